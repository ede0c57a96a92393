"""Read what is in CTranslate2's ``model.bin``: names, shapes, types and places, without the numbers.

It is a list of named arrays behind a short header (``ctranslate2/specs/model_spec.py``); integers are
little-endian::

    u32 version, text specification, u32 revision, u32 number of variables
    each:  text name, u8 rank, u32 each dimension, u8 type, u32 bytes, the numbers
    u32 number of aliases, each: text name, text variable              (text: u16 length, bytes, a zero byte)
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch

from spanmix.errors import InputError

_VERSION = 6
_SPECIFICATION = "TransformerDecoderSpec"
_TYPES = (torch.float32, torch.int8, torch.int16, torch.int32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class FileVariable:
    """An array: its shape and type, and where in the file its numbers are."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    start: int
    num_bytes: int


def read_header(file: Path) -> dict[str, FileVariable]:
    """Return all variables of a decoder's ``model.bin`` by their names.

    Raises:
        InputError: it is missing, cut short, of another version, or of a model that is no decoder alone.
    """
    try:
        with file.open("rb") as stream:
            return _Header(stream, file.stat().st_size).variables()
    except (struct.error, UnicodeDecodeError, LookupError, ValueError) as error:
        raise InputError(f"{file} is no model of CTranslate2, or was cut short: {error}") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error


class _Header:
    """Reads a file of so many bytes from its beginning, and steps over the numbers."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._size = stream, size

    def variables(self) -> dict[str, FileVariable]:
        if (version := self._number("I")) != _VERSION:
            raise ValueError(f"it has binary version {version}, and only {_VERSION} is read")
        if (specification := self._text()) != _SPECIFICATION:
            raise ValueError(f"it holds a {specification!r}, and only {_SPECIFICATION} continues text")
        self._number("I")  # the revision
        found = {}
        for _ in range(self._number("I")):
            name = self._text()
            found[name] = self._variable(name)
        for _ in range(self._number("I")):
            alias, name = self._text(), self._text()
            found[alias] = found[name]
        return found

    def _variable(self, name: str) -> FileVariable:
        shape = tuple(self._number("I") for _ in range(self._number("B")))
        dtype, num_bytes = _TYPES[self._number("B")], self._number("I")
        if num_bytes != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{name} of shape {list(shape)} has {num_bytes:,} bytes")
        start = self._stream.tell()
        if self._stream.seek(num_bytes, 1) > self._size:
            raise ValueError(f"{name} ends at byte {start + num_bytes:,} of {self._size:,}")
        return FileVariable(shape, dtype, start, num_bytes)

    def _number(self, kind: str) -> int:
        (value,) = struct.unpack(f"<{kind}", self._stream.read(struct.calcsize(f"<{kind}")))
        return int(value)

    def _text(self) -> str:
        return self._stream.read(self._number("H")).rstrip(b"\0").decode()
