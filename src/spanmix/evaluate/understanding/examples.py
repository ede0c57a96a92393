"""Labeled texts in three parts: what a model is fine-tuned on, chosen by, and measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spanmix import seeding
from spanmix.errors import InputError

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class LabeledText:
    """One text, or a pair of texts, and which of two classes it is.

    Args:
        name: where it stands in its file, such as ``12`` or ``7-31``.
        texts: one, or two that are read one after the other.
        label: 0 or 1.
        group: what it came from, such as a file; intervals draw whole groups again.
        kind: what sort of example it is, such as the fault in it, or ``""``.

    Raises:
        ValueError: there is no text, more than two, or another label.
    """

    name: str
    texts: tuple[str, ...]
    label: int
    group: str
    kind: str = ""

    def __post_init__(self) -> None:
        if len(self.texts) not in (1, 2):
            raise ValueError(f"it has {len(self.texts)} texts; use one or two")
        if self.label not in (0, 1):
            raise ValueError(f"its label is {self.label}; use 0 or 1")


@dataclass(frozen=True)
class LabeledSet:
    """The three parts of a task.

    Args:
        task: its name.
        place: the folder that it was read from, or what it was made of.
        train, valid, test: each has examples of both labels.
        num_read: how many examples there were of each part, before any were left out.

    Raises:
        InputError: a part has examples of one label alone, or none.
    """

    task: str
    place: str
    train: tuple[LabeledText, ...]
    valid: tuple[LabeledText, ...]
    test: tuple[LabeledText, ...]
    num_read: dict[str, int]

    def __post_init__(self) -> None:
        for part in PARTS:
            labels = [example.label for example in self.part(part)]
            if set(labels) != {0, 1}:
                raise InputError(
                    f"{self.place}: the part {part} of {self.task} has {labels.count(0):,} examples of label "
                    f"0 and {labels.count(1):,} of label 1; it needs some of each"
                )

    def part(self, name: str) -> tuple[LabeledText, ...]:
        """Return the examples of a part by its name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[name]


def limited(examples: LabeledSet, most: int, seed: int) -> LabeledSet:
    """Return at most so many examples of each part, chosen by their names and in the order they had.

    Args:
        examples: all of them.
        most: how many of a part; 0 leaves all.
        seed: decides which.
    """
    if not most:
        return examples
    train, valid, test = (_drawn(examples.part(part), most, seed) for part in PARTS)
    return replace(examples, train=train, valid=valid, test=test)


def _drawn(examples: Sequence[LabeledText], most: int, seed: int) -> tuple[LabeledText, ...]:
    if len(examples) <= most:
        return tuple(examples)
    keys = [seeding.name_key(example.name) >> 1 for example in examples]
    words = seeding.draw(seed, "examples", 0, 0, keys, 1)[:, 0].tolist()
    first = sorted(range(len(examples)), key=lambda n: (words[n], n))[:most]
    return tuple(examples[n] for n in sorted(first))
