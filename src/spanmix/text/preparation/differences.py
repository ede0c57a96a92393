"""Say in which fields two recipes of a corpus differ, as ``corpus.json`` keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spanmix.bounds import shown

_MOST_SHOWN = 4
_LONGEST_VALUE = 60
FILES = "files"
"""The section with a hash of each file that a recipe names, by what it is."""


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return what differs between what a corpus was made with and what is asked for now.

    >>> differences({"corpus": {"seed": 1}}, {"corpus": {"seed": 2, "layout": {"unit": "file"}}})
    ['corpus.layout is not set there and set here', 'corpus.seed is 1 there and 2 here']
    """
    found = list(_fields({k: there.get(k) for k in _RECIPE}, {k: here.get(k) for k in _RECIPE}, ""))
    return found + list(_files(there.get(FILES), here.get(FILES)))


def few(found: Sequence[str]) -> str:
    """Write the first of some differences, and how many more there are.

    >>> few(["a is 1 there and 2 here", "b is gone"])
    'a is 1 there and 2 here; b is gone'
    """
    more = len(found) - _MOST_SHOWN
    return "; ".join(found[:_MOST_SHOWN]) + (f"; and {more:,} more" if more > 0 else "")


_RECIPE = ("corpus", "tokenizer")


def _fields(there: Any, here: Any, path: str) -> Iterator[str]:
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for name in sorted(there.keys() | here.keys()):
            yield from _fields(there.get(name), here.get(name), f"{path}.{name}" if path else name)
    elif _names(there) and _names(there) == _names(here):
        for number, (old, new) in enumerate(zip(there, here, strict=True)):
            yield from _fields(old, new, f"{path}.{number}")
    elif there != here:
        yield f"{path} is {_short(there)} there and {_short(here)} here"


def _files(there: Any, here: Any) -> Iterator[str]:
    """Say which files that both recipes name have other contents."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for name in here:
            if name in there and there[name] != here[name]:
                yield f"{name} has other contents"


def _names(value: Any) -> list[Any]:
    """Return the names of listed sections, such as sources."""
    return [one.get("name") for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "set"
    names = _names(value)
    text = shown(tuple(names or value)) if isinstance(value, list) else shown(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
