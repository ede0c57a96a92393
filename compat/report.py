"""What a check gives back: which client it was, and what was seen to work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """A client that passed.

    Args:
        client: its name, as its makers write it.
        version: which one was tried, and what it ran in if that is not Python: ``6.9.1, Node 20.20.2``.
        checks: what was seen to work, a short sentence each, without a pipe or an end of line.
    """

    client: str
    version: str
    checks: list[str]

    def __post_init__(self) -> None:
        assert self.checks, f"{self.client}: a check that looked at nothing"
        for line in (self.client, self.version, *self.checks):
            assert line and not set("|\n") & set(line), f"{line!r} cannot stand in a table"


class CheckFailedError(Exception):
    """A client did not get what it is to get, or could not be installed.

    Args:
        what: what was looked at.
        expected: what was to come.
        came: what came instead.
    """

    def __init__(self, what: str, expected: object, came: object) -> None:
        super().__init__(f"{what}: expected {expected}, and {came} came")


def expect(what: str, expected: object, came: object) -> None:
    """Compare what came with what was to come.

    Raises:
        CheckFailedError: they differ.
    """
    if came != expected:
        raise CheckFailedError(what, repr(expected), repr(came))
