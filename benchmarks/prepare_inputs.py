"""What ``prepare.py`` reads: files of text, written once as lines of JSON, which both sides then read.

A source is a folder. Its files are taken one top folder after the other, a package or a collection each, in
an order that a hash of the folders' names gives: a reduced input is then whole packages, with the copies that
real ones have within them. Text that occurs twice is taken twice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sysconfig
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PYTHON = "python"
LIBRARIES = Path(sysconfig.get_paths()["purelib"])
SUFFIXES = {
    *(".cjs", ".css", ".htm", ".html", ".js", ".json", ".jsx", ".less", ".md", ".mjs", ".pod", ".py"),
    *(".rst", ".scss", ".sh", ".sql", ".ts", ".tsx", ".txt", ".vue", ".xhtml", ".xml", ".yaml", ".yml"),
}
MOST_BYTES = 2_000_000
SHARD_BYTES = 16_000_000
FEWEST_SHARDS = 4
"""Both sides hand out whole shards or pairs of them, and have two workers to keep busy."""

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
_CHANGED_OF_TEN = 4

Text = tuple[str, str]
"""What a document is called, and its text."""


@dataclass(frozen=True)
class Source:
    """A folder of text, and the endings of the files in it that are taken."""

    name: str
    folder: Path
    suffixes: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read ``NAME=PATH``."""
        name, _, path = text.partition("=")
        if not name or not Path(path).is_dir():
            raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH with the path of a folder")
        return cls(name, Path(path), frozenset(SUFFIXES))

    def texts(self, most_of_one: int | None = None) -> Iterator[Text]:
        """Yield what can be read as UTF-8, is not empty and not longer than 2 MB.

        Args:
            most_of_one: about how many bytes of one top folder are taken.
        """
        tops = sorted(self.folder.iterdir(), key=lambda top: hashlib.sha256(top.name.encode()).digest())
        for top in tops:
            left = most_of_one
            for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
                if left is not None and left <= 0:
                    break
                if path.suffix in self.suffixes and (text := _read(path)):
                    yield f"{self.name}/{path.relative_to(self.folder)}", text
                    left = left - len(text.encode()) if left is not None else None


def python_packages() -> Source:
    """Return the Python files of the packages installed beside this interpreter."""
    return Source(PYTHON, LIBRARIES, frozenset({".py"}))


def take(sources: Sequence[Source], num_bytes: int | None) -> list[Text]:
    """Take texts of about so many bytes in all, an equal part of each source; all of them if that is None.

    No top folder of a source gives more than a tenth of its part.
    """
    taken: list[Text] = []
    for source in sources:
        left = num_bytes // len(sources) if num_bytes is not None else None
        for name, text in source.texts(left // 10 if left is not None else None):
            taken.append((name, text))
            if left is not None:
                left -= len(text.encode())
                if left <= 0:
                    break
    return taken


def write_shards(texts: Iterable[Text], folder: Path, num_bytes: int) -> int:
    """Write ``00000.jsonl``, ... with ``id`` and ``text``; `num_bytes` is about what there will be.

    Returns:
        Bytes of the texts in UTF-8.
    """
    folder.mkdir(parents=True)
    shard_bytes = min(SHARD_BYTES, num_bytes // FEWEST_SHARDS)
    lines: list[str] = []
    filled = total = number = 0
    for name, text in texts:
        lines.append(json.dumps({"id": name, "text": text}, ensure_ascii=False))
        filled += len(text.encode())
        if filled >= shard_bytes:
            _write(folder / f"{number:05}.jsonl", lines)
            total, filled, number, lines = total + filled, 0, number + 1, []
    if lines:
        _write(folder / f"{number:05}.jsonl", lines)
    return total + filled


def read_shards(folder: Path) -> Iterator[list[Text]]:
    """Yield the texts of each shard."""
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8", newline="\n") as file:
            records = [json.loads(line) for line in file]
        yield [(record["id"], record["text"]) for record in records]


def _read(path: Path) -> str:
    """Return the text of a file; nothing of one that is no text, or too long, or a link."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
        return ""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="\n")


def repeated(texts: Sequence[Text], num_bytes: int) -> Iterator[Text]:
    """Yield texts of about `num_bytes`: the same again and again, each time in other words.

    In a copy, four of ten words of three letters or more stand for others of the same length, the same ones
    throughout. Lines, lengths and words stay those of real text; of windows of five words every thirteenth
    or so is as it was, so no copy is a near-copy of another.
    """
    by_length: dict[int, list[str]] = defaultdict(list)
    for word in sorted({word for _, text in texts for word in _WORD.findall(text)}):
        by_length[len(word)].append(word)
    copy = 0
    while num_bytes > 0:
        words = _Words(copy, by_length)
        for name, text in texts:
            changed = _WORD.sub(lambda found, words=words: words[found[0]], text) if copy else text
            yield f"{copy:04}/{name}", changed
            num_bytes -= len(changed.encode())
            if num_bytes <= 0:
                return
        copy += 1


class _Words(dict[str, str]):
    """What stands for each word in one copy, found out when it is first asked for."""

    def __init__(self, copy: int, by_length: dict[int, list[str]]) -> None:
        self._copy = copy
        self._by_length = by_length

    def __missing__(self, word: str) -> str:
        place, part = divmod(zlib.crc32(f"{self._copy} {word}".encode()), 10)
        others = self._by_length[len(word)]
        self[word] = others[place % len(others)] if part < _CHANGED_OF_TEN else word
        return self[word]
