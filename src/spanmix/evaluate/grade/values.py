"""Write values of builtin types as JSON, and read them back: nothing but these types can come out.

==============================================  =======================================
None, bool, float, int and str where JSON can   themselves
list                                            an array
all others                                      an object with one key, see `_READERS`
==============================================  =======================================

An instance of a class made from a builtin type is written as that type's value. Whatever else there
is has no value here: the side that has it keeps it under a number, and the other side has a handle.

>>> pack((1, {"a": {2}}), keep=id)
{'tuple': [1, {'dict': ['a', {'set': [2]}]}]}
>>> unpack({"tuple": [1, {"dict": ["a", {"set": [2]}]}]}, find=lambda number: None)
(1, {'a': {2}})
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MAX_DEPTH = 200
"""How deep values may be nested; the interpreter's own limit for comparing them is some 1,000."""
MAX_ITEMS = 1_000_000
_WHOLE = 1 << 63
"""Whole numbers below this are written as JSON writes them; Python's JSON reads at most 4,300 digits."""


class UnfitValueError(Exception):
    """A value that cannot go to the other side."""


def pack(value: object, keep: Callable[[object], int]) -> Any:
    """Return what stands for a value in a message.

    Args:
        value: anything.
        keep: called with an object that has no value here, for the number of its handle.

    Raises:
        UnfitValueError: it is nested deeper than `MAX_DEPTH`, or has more than `MAX_ITEMS` parts.
    """
    return _Packer(keep).pack(value, MAX_DEPTH)


class _Packer:
    def __init__(self, keep: Callable[[object], int]) -> None:
        self._keep = keep
        self._items_left = MAX_ITEMS

    def pack(self, value: object, depth: int) -> Any:
        if value is None or value is True or value is False:
            return value
        kind = _builtin_of(type(value))
        if kind is None:
            return {"handle": self._keep(value)}
        # The methods of the builtin type itself: a class made from it may have others of these names.
        if kind is float:
            return float.__float__(value)  # type: ignore[arg-type]
        if kind is int:
            whole = int.__int__(value)  # type: ignore[arg-type]
            return whole if -_WHOLE <= whole < _WHOLE else {"int": hex(whole)}
        if kind is str:
            return _pack_text(str.__str__(value))
        if kind is bytes:
            return {"bytes": bytes.hex(value)}  # type: ignore[arg-type]
        if kind is complex:
            number = complex.__complex__(value)  # type: ignore[arg-type]
            return {"complex": [number.real, number.imag]}
        return self._pack_container(kind, value, depth - 1)

    def _pack_container(self, kind: type, value: Any, depth: int) -> Any:
        if depth < 0:
            raise UnfitValueError(f"a value that is nested more than {MAX_DEPTH} deep")
        if kind is dict:
            items = list(dict.items(value))
            self._count(2 * len(items))
            # Keys and items in turn: no deeper in the message than it is nested.
            return {"dict": [self.pack(part, depth) for item in items for part in item]}
        parts = list(kind.__iter__(value))  # type: ignore[attr-defined]
        self._count(len(parts))
        packed = [self.pack(part, depth) for part in parts]
        return packed if kind is list else {kind.__name__: packed}

    def _count(self, num_items: int) -> None:
        self._items_left -= num_items
        if self._items_left < 0:
            raise UnfitValueError(f"a value of more than {MAX_ITEMS:,} parts")


def _builtin_of(kind: type) -> type | None:
    """Return the builtin type that a class is, or is made from."""
    if kind in _KINDS:
        return kind
    return next((base for base in kind.__mro__ if base in _KINDS), None)


def _pack_text(text: str) -> Any:
    """Half characters are spelled out: JSON would join two that stand side by side."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return {"text": text.encode("utf-32-le", "surrogatepass").hex()}
    return text


def unpack(packed: Any, find: Callable[[int], object]) -> Any:
    """Return the value that a part of a message stands for.

    Args:
        packed: from `pack`, or from who pretends that it is.
        find: called with the number of a handle, for the object it stands for here.

    Raises:
        ValueError: it is nothing that `pack` writes.
    """
    try:
        return _unpack(packed, find, MAX_DEPTH - 1)
    except (TypeError, KeyError, OverflowError, UnicodeError) as error:
        raise ValueError(f"not a value: {error}") from None


def _unpack(packed: Any, find: Callable[[int], object], depth: int) -> Any:
    kind = type(packed)
    if packed is None or kind in (bool, int, float, str):
        return packed
    if depth < 0:
        raise ValueError(f"not a value: nested more than {MAX_DEPTH} deep")
    if kind is list:
        return [_unpack(part, find, depth - 1) for part in packed]
    if kind is not dict or len(packed) != 1:
        raise ValueError("not a value: an object without its one key")
    ((tag, body),) = packed.items()
    if tag == "handle":
        if type(body) is not int:
            raise ValueError("not a value: a handle without a number")
        return find(body)
    if tag in _READERS:
        return _READERS[tag](body)
    if type(body) is not list:
        raise ValueError(f"not a value: a {tag} without parts")
    parts = [_unpack(part, find, depth - 1) for part in body]
    return _COLLECTIONS[tag](parts)


def _read_whole(body: Any) -> int:
    return int(body, 16)


def _read_bytes(body: Any) -> bytes:
    return bytes.fromhex(body)


def _read_complex(body: Any) -> complex:
    real, imaginary = body
    if type(real) is not float or type(imaginary) is not float:
        raise ValueError("not a value: a complex number of other than floats")
    return complex(real, imaginary)


def _read_text(body: Any) -> str:
    return bytes.fromhex(body).decode("utf-32-le", "surrogatepass")


def _read_dict(parts: list[Any]) -> dict[Any, Any]:
    return dict(zip(parts[::2], parts[1::2], strict=True))


_KINDS = frozenset({int, float, str, bytes, complex, list, tuple, dict, set, frozenset})
_COLLECTIONS: dict[str, Callable[[list[Any]], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": _read_dict,
}
_READERS: dict[str, Callable[[Any], Any]] = {
    "int": _read_whole,
    "bytes": _read_bytes,
    "complex": _read_complex,
    "text": _read_text,
}


def write_back(old: object, new: object) -> None:
    """Give the lists, dicts and sets inside of `old` the contents that they have in `new`, in place.

    Where both have a container of the same builtin type at the same place, it stays the same object.

    >>> inner = [1]
    >>> outer = [inner, {2}]
    >>> write_back(outer, [[1, 5], {3}, "more"])
    >>> outer, inner
    ([[1, 5], {3}, 'more'], [1, 5])
    """
    if _builtin_of(type(old)) is not type(new):
        return
    if isinstance(old, list) and isinstance(new, list):
        old[:] = [_merged(*pair) for pair in zip(old, new, strict=False)] + new[len(old) :]
    elif isinstance(old, tuple) and isinstance(new, tuple):
        for pair in zip(old, new, strict=False):
            write_back(*pair)
    elif isinstance(old, dict) and isinstance(new, dict):
        items = {key: _merged(old[key], item) if key in old else item for key, item in new.items()}
        old.clear()
        old.update(items)
    elif isinstance(old, set) and isinstance(new, set):
        old.clear()
        old.update(new)


def _merged(old: object, new: object) -> object:
    """Return what stands where `old` stood: itself with new contents, if it can have them."""
    if type(old) is tuple and type(new) is tuple and len(old) == len(new):
        return tuple(map(_merged, old, new))
    if isinstance(old, list | dict | set) and _builtin_of(type(old)) is type(new):
        write_back(old, new)
        return old
    return new
