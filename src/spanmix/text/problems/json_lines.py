"""Read the objects of a JSON file: one a line or one array, packed with gzip or not."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from spanmix.errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"


def read_objects(path: Path) -> list[tuple[str, str]]:
    """Return each object's place, such as ``problems.jsonl, line 3``, and its text; blank lines are none.

    Raises:
        InputError: the file cannot be read or unpacked, is not UTF-8, or is an array that is not JSON.
    """
    text = read_text(path)
    if text.lstrip().startswith("["):
        return [(f"{path}, item {n}", json.dumps(item)) for n, item in enumerate(_array(text, path), 1)]
    # Not `splitlines`, which would also cut at U+2028 within a string.
    lines = enumerate(text.split("\n"), 1)
    return [(f"{path}, line {number}", line) for number, line in lines if line.strip()]


def parse_object(place: str, text: str) -> dict[str, Any]:
    """Parse one object, with its place in front of what is wrong.

    >>> parse_object("a.jsonl, line 2", "[1]")
    Traceback (most recent call last):
    spanmix.errors.InputError: a.jsonl, line 2 is [1], which is no JSON object
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place} is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise InputError(f"{place} is {text.strip()[:60]}, which is no JSON object")
    return value


def read_text(path: Path) -> str:
    """Return a UTF-8 file, packed with gzip or not, without a byte order mark.

    Raises:
        InputError: the file cannot be read or unpacked, or is not UTF-8.
    """
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise InputError(f"{path} is missing") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is a damaged gzip file ({error}); get it again") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line} is not UTF-8 text (byte {error.start})") from None


def _array(text: str, path: Path) -> list[Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error})") from None
    assert isinstance(value, list)
    return value
