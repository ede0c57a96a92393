"""Read the multiple-choice benchmarks from their published files, and word them as lm-eval 0.4.13 does.

=============  =======================================================  ===============================
PIQA           ``valid.jsonl`` and, beside it, ``valid-labels.lst``     ``goal``, ``sol1``, ``sol2``
HellaSwag      ``hellaswag_val.jsonl``                                  ``activity_label``, ``ctx_a``,
                                                                        ``ctx_b``, ``endings``, ``label``
BoolQ          ``dev.jsonl``, or ``val.jsonl`` of SuperGLUE             ``passage``, ``question``,
                                                                        ``answer`` or ``label``
LAMBADA        ``lambada_test.jsonl``                                   ``text``
=============  =======================================================  ===============================

The prompts are those of lm-eval's tasks ``piqa``, ``hellaswag``, ``boolq``, ``lambada_openai`` and
``lambada_standard``, without examples in front. A file may be packed with gzip.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field

from spanmix.errors import InputError, nearest
from spanmix.files import parse_json
from spanmix.text.problems.json_lines import read_objects

T = TypeVar("T")
_MOST_DIGITS = 9


@dataclass(frozen=True)
class ChoiceItem:
    """One question.

    Args:
        name: where it stands, such as ``line 3``.
        context: what the model is given.
        answers: the texts that are compared; only one for the last word of a text.
        delimiter: stands between context and answer, and is scored with the answer.
        gold: number of the right answer.

    Raises:
        ValueError: there is no such answer, or one is empty.
    """

    name: str
    context: str
    answers: tuple[str, ...]
    delimiter: str
    gold: int

    def __post_init__(self) -> None:
        if not 0 <= self.gold < len(self.answers):
            raise ValueError(f"the right answer is {self.gold}, of {len(self.answers)}")
        if "" in self.answers:
            raise ValueError(f"answer {self.answers.index('')} is empty")


def read_piqa(path: Path, labels: Path | None = None) -> list[ChoiceItem]:
    """Read PIQA (Bisk et al., 2020).

    Args:
        path: the questions.
        labels: a line with 0 or 1 for each of them; ``NAME-labels.lst`` beside the questions if not given.

    Raises:
        InputError: a file is missing or broken, or there are more questions than labels, or fewer.
    """
    labels = labels or path.with_name(f"{path.name.partition('.')[0]}-labels.lst")
    rows = list(_rows(path, _Piqa))
    golds = read_objects(labels)
    if len(rows) != len(golds):
        raise InputError(f"{path} has {len(rows)} questions and {labels} has {len(golds)} labels")
    items = []
    for (place, row), (gold_place, gold) in zip(rows, golds, strict=True):
        if gold.strip() not in ("0", "1"):
            raise InputError(f"{gold_place} is {gold.strip()[:20]!r}; a label is 0 or 1")
        context = f"Question: {row.goal}\nAnswer:"
        items.append(_item(place, context, (row.sol1, row.sol2), int(gold)))
    return items


def read_hellaswag(path: Path) -> list[ChoiceItem]:
    """Read HellaSwag (Zellers et al., 2019); raises `InputError` if the file is bad or has no labels."""
    items = []
    for place, row in _rows(path, _HellaSwag):
        gold = str(row.label)
        if not gold.isdecimal() or len(gold) > _MOST_DIGITS:
            raise InputError(f"{place} has label {gold[:20]!r}; use a part whose labels are published (val)")
        context = _cleaned(f"{row.activity_label}: {row.ctx_a} {row.ctx_b.capitalize()}")
        items.append(_item(place, context, tuple(map(_cleaned, row.endings)), int(gold)))
    return items


def read_boolq(path: Path) -> list[ChoiceItem]:
    """Read BoolQ (Clark et al., 2019) as its authors or SuperGLUE published it.

    SuperGLUE, from which lm-eval takes it, put the title of the page in front of the passage; so does this.

    Raises:
        InputError: the file is missing, broken or unlabeled.
    """
    items = []
    for place, row in _rows(path, _BoolQ):
        gold = row.answer if row.answer is not None else row.label
        if gold is None or gold not in (0, 1):
            raise InputError(f"{place} has neither answer nor label that is true or false; use train or dev")
        passage = row.passage if row.title is None else f"{row.title} -- {row.passage}"
        context = f"{passage}\nQuestion: {row.question}?\nAnswer:"
        items.append(_item(place, context, ("no", "yes"), int(gold)))
    return items


def read_lambada(path: Path) -> list[ChoiceItem]:
    """Read LAMBADA (Paperno et al., 2016); the answer is what stands behind the last space.

    Raises:
        InputError: the file is missing or broken, or a text ends in a space.
    """
    items = []
    for place, row in _rows(path, _Lambada):
        context, _, word = row.text.rpartition(" ")
        items.append(_item(place, context, (word,), 0))
    return items


READERS: dict[str, Callable[[Path], list[ChoiceItem]]] = {
    "piqa": read_piqa,
    "hellaswag": read_hellaswag,
    "boolq": read_boolq,
    "lambada": read_lambada,
}


def read_items(task: str, path: Path) -> list[ChoiceItem]:
    """Read the questions of a task; raises `InputError` if there is no such task, or the file is bad."""
    if task not in READERS:
        raise InputError(f"there is no task {task!r}{nearest(task, READERS)}")
    items = READERS[task](path)
    if not items:
        raise InputError(f"{path} is empty; name a file with questions")
    return items


@dataclass(frozen=True)
class _Piqa:
    goal: str
    sol1: str
    sol2: str


@dataclass(frozen=True)
class _HellaSwag:
    activity_label: str
    ctx_a: str
    ctx_b: str
    endings: Annotated[tuple[str, ...], Field(min_length=2)]
    label: int | str


@dataclass(frozen=True)
class _BoolQ:
    passage: str
    question: str
    title: str | None = None
    answer: bool | None = None
    label: int | bool | None = None


@dataclass(frozen=True)
class _Lambada:
    text: str


def _rows(path: Path, kind: type[T]) -> Iterator[tuple[str, T]]:
    for place, text in read_objects(path):
        yield place, parse_json(text, kind, place)


def _item(place: str, context: str, answers: tuple[str, ...], gold: int) -> ChoiceItem:
    try:
        return ChoiceItem(place.rpartition(", ")[2], context, answers, " ", gold)
    except ValueError as error:
        raise InputError(f"{place}: {error}") from None


def _cleaned(text: str) -> str:
    """Take out what WikiHow's pages left in HellaSwag's texts.

    >>> _cleaned("How to run [title] Put shoes on. [step] Go   out. ")
    'How to run. Put shoes on. Go  out.'
    """
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")
