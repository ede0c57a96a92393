"""What the steps note of a partition's documents, until it is known which documents are in the corpus.

Whether a document is a copy is decided after all were read. So its notes are written with its number, and
those of documents that are not in the corpus are left out when the notes of all partitions are put together.
What a step notes of a document that it drops itself stays: a match with a benchmark is why it is gone.

A line of ``notes.KIND.tsv`` is the document's number in its partition, or -1 if the step dropped it, a tab,
and the row as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spanmix.text.steps import Row

_DROPPED = -1


class NotesWriter:
    """Collects the notes of a partition."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}
        self._pending: list[tuple[str, Row]] = []

    def note(self, kind: str, row: Row) -> None:
        """Take a row about the document that a step looks at; see `spanmix.text.steps.Note`."""
        self._pending.append((kind, row))

    @property
    def num_pending(self) -> int:
        """Rows about the document so far."""
        return len(self._pending)

    def keep(self, number: int) -> None:
        """Say that all steps are done: the document is the partition's `number`."""
        self._add(number, 0)

    def drop(self, first: int = 0) -> None:
        """Say that a step dropped the document: the rows from `first` on are what this step noted."""
        self._add(_DROPPED, first)

    def save(self, folder: Path) -> None:
        """Write all."""
        for kind, lines in self._lines.items():
            (folder / f"notes.{kind}.tsv").write_text("".join(lines), encoding="utf-8")

    def _add(self, number: int, first: int) -> None:
        for kind, row in self._pending[first:]:
            line = f"{number}\t{json.dumps(row, ensure_ascii=False)}\n"
            self._lines.setdefault(kind, []).append(line)
        self._pending.clear()


def note_kinds(folder: Path) -> set[str]:
    """Return the kinds of notes in the folder of a partition."""
    return {path.name.removeprefix("notes.").removesuffix(".tsv") for path in folder.glob("notes.*.tsv")}


def read_notes(folder: Path, kind: str, is_in_corpus: NDArray[np.bool_]) -> Iterator[bytes]:
    """Yield the rows of a kind as lines of JSON: of documents in the corpus, and of what the step dropped.

    Args:
        folder: of the partition.
        kind: of the notes; there may be none.
        is_in_corpus: bool [documents of the partition].
    """
    path = folder / f"notes.{kind}.tsv"
    if not path.exists():
        return
    with path.open("rb") as stream:
        for line in stream:
            number, _, row = line.partition(b"\t")
            if int(number) == _DROPPED or is_in_corpus[int(number)]:
                yield row
