"""The exceptions whose text is written for the person who runs Spanmix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST_LISTED = 50


class SpanmixError(Exception):
    """Something the user can act on; the command line prints it as one paragraph.

    ``exit_code`` is 1 for work that failed although it was asked for correctly.
    """

    exit_code = 1


class InputError(SpanmixError):
    """What was given cannot be used: a file, a field or a flag. Exit code 2, nothing is written."""

    exit_code = 2


class StoppedEarlyError(SpanmixError):
    """The work was asked to stop, and what is done of it is saved; the same command goes on. Exit code 3."""

    exit_code = 3


class EndOfDataError(InputError):
    """There are no more rows: every source has been read as often as the recipe allows."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the closest of `choices`, or all if none is close and they are few.

    >>> nearest("sede", ["seed", "num_steps"])
    " (did you mean 'seed'?)"
    >>> nearest("zzz", ["seed", "num_steps"])
    ' (one of: num_steps, seed)'
    """
    names = sorted(choices)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (one of: {', '.join(names)})" if 0 < len(names) <= _MOST_LISTED else ""
