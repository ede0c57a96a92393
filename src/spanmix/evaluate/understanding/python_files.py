"""The Python files that local sets are made of, each with the part that it belongs to.

Of a prepared corpus, training files are for training, and held-out files, which no model of that corpus was
trained on, to choose by and to measure on. Of a folder, all are spread over the parts. A file's part follows
from its text and the seed alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spanmix import seeding
from spanmix.config import SourceFilesConfig
from spanmix.errors import InputError
from spanmix.evaluate.understanding.functions import Function, functions_of
from spanmix.text.corpus import Corpus, CorpusSource
from spanmix.text.readers.source import read_source
from spanmix.types import Document

FOLDER_SHARES = {"train": 0.7, "valid": 0.1, "test": 0.2}
HELD_OUT_SHARES = {"valid": 0.25, "test": 0.75}
MAX_FUNCTIONS_PER_FILE = 32
"""More would let a few long files decide, and make wide intervals."""


@dataclass(frozen=True)
class PythonFile:
    """A file, and the part it belongs to."""

    path: str
    text: str
    part: str


@dataclass(frozen=True)
class PythonFiles:
    """Files of some parts, in an order that only their paths decide.

    Args:
        parts: which parts they can belong to.
        files: read one after the other, only as far as they are needed.
    """

    parts: tuple[str, ...]
    files: Iterable[PythonFile]


def corpus_files(corpus: Corpus, seed: int) -> list[PythonFiles]:
    """Return a corpus's Python files, those that are held out first.

    Raises:
        InputError: the corpus has none, or none that is held out.
    """
    learned = [(source, n) for source in corpus.train.values() for n in _python_documents(source)]
    held_out = [(source, n) for source in corpus.held_out.values() for n in _python_documents(source)]
    if not learned or not held_out:
        raise InputError(
            f"corpus {corpus.path} has {len(learned):,} Python files for training and {len(held_out):,} held "
            "out; local sets need some of each. Prepare one with Python and held_out_share above 0, or name "
            "a folder that has the task's files"
        )
    return [
        PythonFiles(tuple(HELD_OUT_SHARES), _of_corpus(held_out, HELD_OUT_SHARES, seed)),
        PythonFiles(("train",), _of_corpus(learned, {"train": 1.0}, seed)),
    ]


def folder_files(folder: Path, seed: int) -> list[PythonFiles]:
    """Return the ``.py`` files of a folder; raises `InputError` if there are none."""
    source = SourceFilesConfig("code", (str(folder),), include=("*.py",))
    documents = [document for document in read_source(source) if isinstance(document, Document)]
    if not documents:
        raise InputError(f"{folder} has no Python files; name a folder with .py files")
    # Below the folder: where that lies must not decide anything.
    found = [(Path(document.file).relative_to(folder).as_posix(), document.text) for document in documents]
    found.sort(key=lambda file: seeding.name_key(file[0]))
    files = [PythonFile(path, text, part_of(text, FOLDER_SHARES, seed)) for path, text in found]
    return [PythonFiles(tuple(FOLDER_SHARES), files)]


def part_of(text: str, shares: dict[str, float], seed: int) -> str:
    """Return the part of a file: each has a share of all, and nothing but the text and the seed decides.

    >>> part_of("x = 1", {"train": 1.0}, seed=0)
    'train'
    """
    key = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "little")
    word = seeding.draw_one(seed, "part", 0, 0, key, 1)[0] / 2**64
    for part, share in shares.items():
        word -= share
        if word < 0:
            return part
    return part


def distinct_functions(
    groups: Sequence[PythonFiles], min_characters: int, max_characters: int, most: int
) -> dict[str, list[Function]]:
    """Return the functions of each part, none of which says the same as another, up to names and remarks.

    A file gives at most `MAX_FUNCTIONS_PER_FILE`, in an order that their texts decide. Of functions that say
    the same the first is taken.

    Args:
        groups: where to look.
        min_characters, max_characters: functions that are shorter or longer are passed over.
        most: how many of a part are enough; 0 takes all.
    """
    found: dict[str, list[Function]] = {"train": [], "valid": [], "test": []}
    seen: set[str] = set()
    for group in groups:
        for file in group.files:
            if most and all(len(found[part]) >= most for part in group.parts):
                break
            if most and len(found[file.part]) >= most:
                continue
            fitting = [
                function
                for function in functions_of(file.text, file.path)
                if min_characters <= len(function.text) <= max_characters
            ]
            for function in sorted(fitting, key=lambda function: function.key)[:MAX_FUNCTIONS_PER_FILE]:
                if function.form not in seen:
                    seen.add(function.form)
                    found[file.part].append(function)
    return found


def _of_corpus(
    documents: list[tuple[CorpusSource, int]], shares: dict[str, float], seed: int
) -> Iterator[PythonFile]:
    for source, n in sorted(documents, key=lambda found: seeding.name_key(found[0].path(found[1]))):
        text = source.text(n)
        yield PythonFile(f"{source.name}/{source.path(n)}", text, part_of(text, shares, seed))


def _python_documents(source: CorpusSource) -> list[int]:
    return [
        n
        for n in range(len(source))
        if source.language(n) == "python" or (not source.language(n) and source.path(n).endswith(".py"))
    ]
