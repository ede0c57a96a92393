"""A benchmark's problem as texts that must not be trained on."""

from __future__ import annotations

from dataclasses import dataclass

DESCRIPTION, PROMPT, SOLUTION, TEST, TEXT = "description", "prompt", "solution", "test", "text"
KINDS = (DESCRIPTION, PROMPT, SOLUTION, TEST, TEXT)
CODE_KINDS = frozenset({SOLUTION, TEST})
"""Kinds that are code, in which punctuation makes a difference; the others are read for their words."""


@dataclass(frozen=True)
class Part:
    """One text of a problem.

    Args:
        kind: one of `KINDS`: what is asked, in words; all that a model is shown; the answer; what checks
        it; or
            a text of a file that has no fields.
        text: as the benchmark has it.
    """

    kind: str
    text: str

    def __post_init__(self) -> None:
        assert self.kind in KINDS, self.kind


@dataclass(frozen=True)
class BenchmarkProblem:
    """One problem.

    Args:
        benchmark: name of the set.
        task_id: its name in the set.
        parts: its texts, none of them blank; at least one.
    """

    benchmark: str
    task_id: str
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        assert self.parts, f"{self.benchmark}, {self.task_id} has no text"
