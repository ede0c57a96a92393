"""Read labeled texts from the files in which they were published.

=================  ==========================================================================================
Defect detection   CodeXGLUE's (Devign; Zhou et al., 2019): ``train.jsonl``, ``valid.jsonl`` and
                   ``test.jsonl`` with ``func`` and ``target``; or ``function.json``, one array, and
                   ``train.txt``, ``valid.txt`` and ``test.txt`` with one number of an item a line
Clone detection    CodeXGLUE's (BigCloneBench; Svajlenko et al., 2014): ``data.jsonl`` with ``idx`` and
                   ``func``; ``train.txt``, ``valid.txt`` and ``test.txt`` with ``idx1<tab>idx2<tab>label``
BoolQ              ``train.jsonl``, and ``dev.jsonl`` of its authors or ``val.jsonl`` of SuperGLUE
=================  ==========================================================================================

Other fields are passed over, but ``path``, ``commit_id`` and ``fault``, if they are there: examples of one
path, or else of one commit, are drawn together for intervals. A file may be packed with gzip (CodeXGLUE's
are not), and then still has the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from spanmix import seeding
from spanmix.errors import InputError
from spanmix.evaluate.choice.readers import read_boolq as read_questions
from spanmix.evaluate.understanding.examples import PARTS, LabeledSet, LabeledText
from spanmix.files import parse_json
from spanmix.text.problems.json_lines import read_objects

T = TypeVar("T")

BOOLQ_VALID_SHARE = 0.1
"""BoolQ's test labels are not published: its dev part is measured on, and models are chosen by this share of
its passages for training."""


def has_set(folder: Path) -> bool:
    """Whether a folder has the files of some task, rather than files to make a set of."""
    return any((folder / name).is_file() for name in ("train.jsonl", "function.json", "data.jsonl"))


def read_defects(folder: Path) -> LabeledSet:
    """Read defect detection; label 1 is a function with a defect.

    Raises:
        InputError: a file is missing or broken.
    """
    if not (folder / "function.json").is_file():
        return _set("defects", folder, {part: tuple(_defects(folder / f"{part}.jsonl")) for part in PARTS})
    whole = list(_defects(folder / "function.json"))
    return _set("defects", folder, {part: _by_number(folder / f"{part}.txt", whole) for part in PARTS})


def read_clones(folder: Path) -> LabeledSet:
    """Read clone detection; label 1 is a pair of functions that do the same.

    Raises:
        InputError: a file is missing or broken, or names a function that is not there.
    """
    functions: dict[str, _Function] = {}
    for place, row in _rows(_require(folder / "data.jsonl"), _Function):
        if functions.setdefault(str(row.idx), row) is not row:
            raise InputError(f"{place} has idx {row.idx!r}, which an earlier line has")
    return _set("clones", folder, {part: _pairs(folder / f"{part}.txt", functions) for part in PARTS})


def read_boolq(folder: Path) -> LabeledSet:
    """Read BoolQ: pairs of a passage and a question, label 1 where the answer is yes.

    Raises:
        InputError: a file is missing, broken or unlabeled.
    """
    tested = folder / "dev.jsonl"
    if not tested.is_file():
        tested = folder / "val.jsonl"
    if not tested.is_file():
        raise InputError(f"{folder} has neither dev.jsonl nor val.jsonl, on which BoolQ is measured")
    learned = _questions(_require(folder / "train.jsonl"))
    limit = int(BOOLQ_VALID_SHARE * 2**64)
    is_valid = [seeding.draw_one(0, "boolq", 0, 0, seeding.name_key(e.group), 1)[0] < limit for e in learned]
    parts = {
        "train": tuple(e for e, valid in zip(learned, is_valid, strict=True) if not valid),
        "valid": tuple(e for e, valid in zip(learned, is_valid, strict=True) if valid),
        "test": _questions(tested),
    }
    return _set("boolq-tuned", folder, parts)


READERS: dict[str, Callable[[Path], LabeledSet]] = {
    "defects": read_defects,
    "clones": read_clones,
    "boolq-tuned": read_boolq,
}


@dataclass(frozen=True)
class _Defect:
    func: str
    target: int | bool
    path: str | None = None
    commit_id: str | None = None
    fault: str | None = None


@dataclass(frozen=True)
class _Function:
    func: str
    idx: int | str
    path: str | None = None


def _set(task: str, folder: Path, parts: dict[str, tuple[LabeledText, ...]]) -> LabeledSet:
    num_read = {part: len(examples) for part, examples in parts.items()}
    return LabeledSet(task, str(folder), parts["train"], parts["valid"], parts["test"], num_read)


def _require(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{path} is missing; see docs/understanding.md for the files that a task needs")
    return path


def _rows(path: Path, kind: type[T]) -> Iterator[tuple[str, T]]:
    for place, text in read_objects(path):
        yield place, parse_json(text, kind, place)


def _defects(path: Path) -> Iterator[LabeledText]:
    for number, (place, row) in enumerate(_rows(_require(path), _Defect)):
        if row.target not in (0, 1):
            raise InputError(f"{place} has target {row.target}; a target is 0 or 1")
        name = f"{path.stem}-{number}"
        group = row.path or row.commit_id or name
        yield LabeledText(name, (row.func,), int(row.target), group, row.fault or "")


def _by_number(path: Path, whole: list[LabeledText]) -> tuple[LabeledText, ...]:
    chosen = []
    for place, text in read_objects(_require(path)):
        number = text.strip()
        if not number.isdecimal() or int(number) >= len(whole):
            raise InputError(
                f"{place} is {number[:20]!r}; name an item of function.json, 0 to {len(whole) - 1}"
            )
        chosen.append(whole[int(number)])
    return tuple(chosen)


def _pairs(path: Path, functions: dict[str, _Function]) -> tuple[LabeledText, ...]:
    pairs = []
    for place, text in read_objects(_require(path)):
        fields = text.rstrip("\r").split("\t")
        if len(fields) != 3 or fields[2].strip() not in ("0", "1"):
            raise InputError(f"{place} is {text[:60]!r}; a line is idx1, idx2 and 0 or 1, with tabs between")
        first, second, label = fields
        for index in (first, second):
            if index not in functions:
                raise InputError(f"{place} names the function {index!r}, which data.jsonl does not have")
        one, other = functions[first], functions[second]
        group = one.path or first
        pairs.append(LabeledText(f"{first}-{second}", (one.func, other.func), int(label), group))
    return tuple(pairs)


def _questions(path: Path) -> tuple[LabeledText, ...]:
    examples = []
    for item in read_questions(path):
        passage, _, question = item.context.removesuffix("\nAnswer:").rpartition("\nQuestion: ")
        group = f"passage-{seeding.name_key(passage):016x}"
        examples.append(LabeledText(f"{path.stem}, {item.name}", (passage, question), item.gold, group))
    return tuple(examples)
