"""What `spanmix grade` and `spanmix evaluate` have when samples are graded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.errors import InputError

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


def require_apart(written: Mapping[str, Path | None], read: Iterable[str | Path]) -> None:
    """Raise `InputError` if a file would be written over another one, or over what is read.

    Args:
        written: by flag; None is not written.
        read: files that are read; what is none is passed over.
    """
    from spanmix.files import follow

    taken = {Path(one).resolve(): f"{one} itself" for one in read if Path(one).exists()}
    for flag, path in written.items():
        if path is None:
            continue
        real = follow(path).resolve()
        if real in taken:
            raise InputError(f"{flag} {path} would be written over {taken[real]}; name another file")
        taken[real] = f"what {flag} writes"
