"""Parse JSON of strangers without letting a short text become a great many values."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_VALUES = 4_000_000
"""Most commas, brackets and braces outside of strings: a value takes up to some 80 bytes."""

# Its end may be missing: looked for behind each quote of it, that would be read over and over.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)


class NotUtf8Error(ValueError):
    """The bytes are not UTF-8."""


def parse_value(data: bytes) -> Any:
    """Parse one JSON value.

    Raises:
        ValueError: it is not valid, nested too deeply, or of too many values; the text says which.
    """
    if _num_marks(data) > MAX_VALUES:
        outside = sum(_num_marks(part) for part in _outside(data))
        if outside > MAX_VALUES:
            raise ValueError(f"it has {outside:,} values, more than {MAX_VALUES:,}")
    encoding = json.detect_encoding(data)
    if not encoding.startswith("utf-8"):
        raise NotUtf8Error(f"its text is {encoding[:6].upper()}; save the file as UTF-8")
    try:
        return json.loads(data)
    except UnicodeDecodeError as error:
        raise NotUtf8Error(f"byte {error.start:,} is not UTF-8; save the file as UTF-8") from None
    except RecursionError as error:
        raise ValueError(f"it is nested too deeply: {error}") from None


def _num_marks(data: bytes) -> int:
    return data.count(b",") + data.count(b"[") + data.count(b"{") if len(data) > MAX_VALUES else 0


def _outside(data: bytes) -> Any:
    start = 0
    for match in _STRING.finditer(data):
        yield data[start : match.start()]
        start = match.end()
    yield data[start:]
