"""Keep how many documents each line of an opt-out list left out: one that fits none may be mistyped."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spanmix.errors import InputError
from spanmix.files import parse_json, write_text
from spanmix.text.report import MEND

_MOST_NAMED = 5
_MOST_CHARACTERS = 80


@dataclass(frozen=True)
class OptOutCount:
    """A line of a list.

    Args:
        path: the list's name, with as much of its path in front as tells two of the same name apart.
        entry: the line without its comment.
        documents: how many it fits, of all sources that have the list; one may fit several lines.
        sources: names of these; none in corpora made before they were written down.
    """

    path: str
    entry: str
    documents: int
    sources: tuple[str, ...] = ()


def counts_path(folder: Path) -> Path:
    """Return where they lie in a corpus folder."""
    return folder / "audit" / "opt_out.jsonl"


def write_counts(folder: Path, counts: Sequence[OptOutCount]) -> None:
    """Write the counts of all lists into a corpus folder; nothing if there is no list."""
    if counts:
        lines = (json.dumps(dataclasses.asdict(one), ensure_ascii=False) + "\n" for one in counts)
        write_text(counts_path(folder), "".join(lines))


def read_counts(folder: Path) -> list[OptOutCount]:
    """Return what was written; none for a corpus without lists.

    Raises:
        InputError: the file is damaged.
    """
    path = counts_path(folder)
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}. {MEND}") from None
    return [parse_json(line, OptOutCount, f"{path}, line {i}") for i, line in enumerate(lines, 1) if line]


def unmatched(counts: Sequence[OptOutCount]) -> dict[str, list[str]]:
    """Return for each list the lines that fit no document; lists of which all fit are left out."""
    found: dict[str, list[str]] = {}
    for one in counts:
        if not one.documents:
            found.setdefault(one.path, []).append(one.entry)
    return found


def unmatched_words(counts: Sequence[OptOutCount]) -> list[str]:
    """Return a sentence for each list with lines that fit no document, which names the first of them.

    >>> unmatched_words([OptOutCount("out.txt", "ann", 3), OptOutCount("out.txt", "src/*.rs", 0, ("code",))])
    ['1 of 2 lines of the opt-out list out.txt fit no document of code: src/*.rs']
    """
    sizes: dict[str, int] = {}
    sources: dict[str, str] = {}
    for one in counts:
        sizes[one.path] = sizes.get(one.path, 0) + 1
        sources[one.path] = f" of {', '.join(one.sources)}" if one.sources else ""
    sentences = []
    for name, entries in unmatched(counts).items():
        named = ", ".join(entry[:_MOST_CHARACTERS] for entry in entries[:_MOST_NAMED])
        more = len(entries) - _MOST_NAMED
        rest = f" and {more:,} more, see audit/opt_out.jsonl" if more > 0 else ""
        count = f"{len(entries):,} of {sizes[name]:,} lines"
        sentences.append(f"{count} of the opt-out list {name} fit no document{sources[name]}: {named}{rest}")
    return sentences
