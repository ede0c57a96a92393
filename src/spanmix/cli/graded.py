"""What `spanmix grade` and `spanmix evaluate` have when samples are graded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spanmix.evaluate.code.answers import Answer
    from spanmix.evaluate.code.grading import Graded
    from spanmix.evaluate.grade.isolation import Isolation
    from spanmix.evaluate.grade.limits import Limits


@dataclass(frozen=True)
class Places:
    """Where samples are, and where their results and the page with what failed go (None: no page)."""

    samples: Path
    results: Path
    page: Path | None


@dataclass(frozen=True)
class GradedSamples:
    """Samples, what became of them, the report, what each program might use, and how they were kept apart."""

    answers: tuple[Answer, ...]
    graded: Graded
    report: dict[str, Any]
    limits: Limits
    isolation: Isolation
