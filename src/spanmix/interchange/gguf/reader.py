"""Open a GGUF file of anyone's, none of whose numbers is believed before it is compared with its size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.errors import InputError

if TYPE_CHECKING:
    from gguf import GGUFReader

_LENGTH_BEHIND = 4
"""Bytes in front of a list's length: the type of its items."""

_MOST_ITEMS = 10_000_000
"""Of a list: many more than any tokenizer has."""


def open_gguf(file: Path) -> GGUFReader:
    """Open a file.

    Raises:
        InputError: it is no GGUF file, was cut short, or ``gguf`` is not installed.
    """
    try:
        import gguf
        import numpy as np
    except ImportError:
        raise InputError(f"{file} is a GGUF file; to read it install `pip install 'spanmix[gguf]'`") from None

    class Reader(gguf.GGUFReader):
        """Stops at the end of the file, where the library goes on with nothing for as long as it was told."""

        def _get(self, offset: int, dtype: Any, count: int = 1, *others: Any, **more: Any) -> Any:
            end = int(offset) + int(count) * np.dtype(dtype).itemsize
            if end > len(self.data):
                raise ValueError(f"something in it would end at byte {end:,} of {len(self.data):,}")
            return super()._get(offset, dtype, count, *others, **more)

        def _get_field_parts(self, orig_offs: int, raw_type: int, *others: Any, **more: Any) -> Any:
            if raw_type == gguf.GGUFValueType.ARRAY:
                length = int(self._get(orig_offs + _LENGTH_BEHIND, np.uint64)[0])
                if length > _MOST_ITEMS:
                    raise ValueError(f"it says that a list of {length:,} items is in it")
            return super()._get_field_parts(orig_offs, raw_type, *others, **more)

    try:
        return Reader(file)
    except (OSError, ValueError, LookupError, ArithmeticError, TypeError, RecursionError) as error:
        raise InputError(f"{file} is no GGUF file, or was cut short: {error}") from error
