"""Sets of problems by name: HumanEval and its infilling sets, or a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spanmix.errors import InputError, nearest
from spanmix.evaluate.code.download import PUBLISHED, published_problems
from spanmix.evaluate.code.humaneval import humaneval_problems, infilling_problems
from spanmix.evaluate.code.problem import CodeProblem
from spanmix.evaluate.code.readers import fingerprint, read_problems

SETS: Mapping[str, Callable[[], list[CodeProblem]]] = {
    "humaneval": humaneval_problems,
    "single-line": lambda: infilling_problems("single-line"),
    "multi-line": lambda: infilling_problems("multi-line"),
}
"""The sets that need no file."""

NAMES = (*SETS, *PUBLISHED)


@dataclass(frozen=True)
class ProblemSet:
    """Problems and where they are from.

    Args:
        name: one of `NAMES`, or the file's name.
        problems: all of them.
        sha256: of all that is in them.
    """

    name: str
    problems: tuple[CodeProblem, ...]
    sha256: str


def problem_set(name: str, plus_tests: bool = True, download: bool = False) -> ProblemSet:
    """Return a set.

    Args:
        name: one of `NAMES`, or a file that `read_problems` reads.
        plus_tests: of EvalPlus's files, whether to take the tests that it added; else those it began from.
        download: fetch a published set that is not on this machine.

    Raises:
        InputError: there is neither a set nor a file of that name, or the file is damaged.
    """
    if name in SETS:
        problems = SETS[name]()
    elif name in PUBLISHED:
        problems = published_problems(name, download)
    elif Path(name).exists():
        problems = read_problems(Path(name), plus_tests)
    else:
        raise InputError(
            f"there is no set of problems {name!r}{nearest(name, NAMES)}, and no file of that name; name "
            f"one of {', '.join(NAMES)}, or a file of problems (.jsonl, .jsonl.gz, .json)"
        )
    return ProblemSet(Path(name).name, tuple(problems), fingerprint(problems))
