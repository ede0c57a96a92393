"""What a check has found: its result, the numbers behind it, and what mends it."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Result = Literal["ok", "wrong", "cannot tell"]
Number = float | int | str | None


@dataclass(frozen=True)
class Check:
    """One check.

    Args:
        name: what was looked at.
        result: ``"cannot tell"`` where the model says nothing either way, or what is needed is missing.
        detail: a sentence on what was found.
        remedy: the command that mends it, or what to do; None unless something is wrong.
        numbers: what it was decided by.
    """

    name: str
    result: Result
    detail: str
    remedy: str | None = None
    numbers: dict[str, Number] = field(default_factory=dict)


def ok(name: str, detail: str, **numbers: Number) -> Check:
    """Return a check that found nothing wrong."""
    return Check(name, "ok", detail, None, numbers)


def wrong(name: str, detail: str, remedy: str, **numbers: Number) -> Check:
    """Return a check that found something wrong, and what mends it."""
    return Check(name, "wrong", detail, remedy, numbers)


def cannot_tell(name: str, detail: str, **numbers: Number) -> Check:
    """Return a check that could not be decided."""
    return Check(name, "cannot tell", detail, None, numbers)


@dataclass(frozen=True)
class Verification:
    """All that was looked at.

    Args:
        target: the folder, file or address.
        kind: what it is, for people.
        checks: in the order that they were made.
    """

    target: str
    kind: str
    checks: tuple[Check, ...]

    @property
    def wrong(self) -> list[Check]:
        """What is wrong."""
        return [check for check in self.checks if check.result == "wrong"]

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {"target": self.target, "kind": self.kind, "checks": [asdict(check) for check in self.checks]}


def convert_command(source: str, to: str = "native", num_groups: int | None = None) -> str:
    """Return the command that writes a right model of a source.

    >>> convert_command("my models/old", num_groups=8)
    "spanmix convert 'my models/old' DEST --to native --mp-num 8"
    """
    groups = f" --mp-num {num_groups}" if num_groups else ""
    return f"spanmix convert {shlex.quote(source)} DEST --to {to}{groups}"
