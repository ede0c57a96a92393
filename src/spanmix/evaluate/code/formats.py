"""Write samples and results as bigcode-evaluation-harness and EvalPlus do.

Read in their source: bigcode-evaluation-harness 8fc5bae (``main.py``, ``evaluator.py``), EvalPlus 26d6d00
(``evaluate.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from spanmix.evaluate.code.answers import Answer, Judged, tally
from spanmix.evaluate.code.pass_at_k import KS, PassAtK, pass_at_k
from spanmix.evaluate.code.problem import CodeProblem
from spanmix.files import follow, write_json, write_text


def bigcode_generations(problems: Sequence[CodeProblem], answers: Sequence[Answer]) -> list[list[str]]:
    """Return ``generations.json``: the programs of each problem, in the order of the problems.

    It is what ``--load_generations_path`` takes; the order has to be that of the benchmark.
    """
    programs: dict[str, list[str]] = {problem.task_id: [] for problem in problems}
    for answer in answers:
        programs[answer.task_id].append(answer.program)
    return list(programs.values())


def bigcode_results(task: str, figures: PassAtK, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``--metric_output_path`` gets: pass@k of a task, and all settings."""
    return {task: _by_name(figures), "config": dict(config)}


def write_generations(path: Path, problems: Sequence[CodeProblem], answers: Sequence[Answer]) -> None:
    """Write `bigcode_generations`."""
    write_text(follow(path), json.dumps(bigcode_generations(problems, answers)))


def write_evalplus_samples(path: Path, answers: Sequence[Answer]) -> None:
    """Write samples as whole programs, ``{"task_id": ..., "solution": ...}``, which EvalPlus grades."""
    lines = [json.dumps({"task_id": answer.task_id, "solution": answer.program}) for answer in answers]
    write_text(follow(path), "".join(line + "\n" for line in lines))


def evalplus_results(
    problems: Sequence[CodeProblem],
    answers: Sequence[Answer],
    base: Sequence[Judged],
    plus: Sequence[Judged] | None = None,
    *,
    ks: Sequence[int] = KS,
    date: datetime | None = None,
    checksum: str = "",
) -> dict[str, Any]:
    """Return EvalPlus's ``eval_results.json``.

    Args:
        problems: the whole set.
        answers: the samples.
        base: for each of them, what the tests that EvalPlus began from say.
        plus: the same for all tests; None if they were not run.
        ks: which k.
        date: when the samples were graded; now if not given.
        checksum: of the problems; EvalPlus has the MD5 of its file there.

    Inputs on which a program failed are not listed: the lists are there, and empty.
    """
    every: Sequence[Judged | None] = plus if plus is not None else [None] * len(base)
    by_task: dict[str, list[dict[str, Any]]] = {problem.task_id: [] for problem in problems}
    for answer, verdict, more in zip(answers, base, every, strict=True):
        by_task[answer.task_id].append(
            {
                "task_id": answer.task_id,
                "solution": answer.program,
                "base_status": _status(verdict),
                "plus_status": None if more is None else _status(more),
                "base_fail_tests": [],
                "plus_fail_tests": [],
            }
        )
    right = [verdict.passed for verdict in base]
    figures = {"base": _by_name(pass_at_k(tally(problems, answers, right), ks))}
    if plus is not None:
        both = [verdict.passed and more.passed for verdict, more in zip(base, plus, strict=True)]
        figures["plus"] = _by_name(pass_at_k(tally(problems, answers, both), ks))
    return {
        "date": (date or datetime.now()).strftime("%Y-%m-%d %H:%M"),
        "hash": checksum,
        "eval": by_task,
        "pass_at_k": figures,
    }


def write_evalplus_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write what `evalplus_results` gives."""
    write_json(follow(path), dict(results))


def _status(verdict: Judged) -> str:
    if verdict.passed:
        return "pass"
    return "timeout" if verdict.result == "timed out" else "fail"


def _by_name(figures: PassAtK) -> dict[str, float]:
    return {f"pass@{k}": interval.value for k, interval in figures.figures.items()}
