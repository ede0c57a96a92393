"""Run a program that may do anything, and answer the judge's requests to its functions.

A request is ``[operation, arguments, named arguments]``. The answer has the ``value`` or the ``error``,
and the arguments' contents ``after`` the call if they are no longer what they were. All of it happens in
the program's own interpreter, so nothing that is said from here is more than the program's own word.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from spanmix.evaluate.grade import frames
from spanmix.evaluate.grade.values import pack, unpack

_LONGEST_MESSAGE = 10_000
_ERRORS = frozenset(kind for kind in vars(builtins).values() if isinstance(kind, type))


def serve(channel: int, _command: list[str]) -> None:
    """Answer requests until the judge closes; never returns."""
    program = _Program()
    try:
        while True:
            frames.send(channel, program.answer(*frames.receive(channel)))
    except (EOFError, OSError):
        os._exit(0)
    finally:
        os._exit(1)


class _Program:
    """The program's names, and the objects that the judge has handles of."""

    def __init__(self) -> None:
        self._module = ModuleType("solution")
        sys.modules["solution"] = self._module
        self._kept: list[object] = []
        self._numbers: dict[int, int] = {}
        self._operations: dict[str, Callable[..., Any]] = {
            "run": self._run,
            "name": self._name,
            "call": lambda function, *given, **named: function(*given, **named),
            "get": getattr,
            "set": setattr,
            "item": lambda container, key: container[key],
            "list": list,
            "len": len,
            "bool": bool,
        }

    def answer(self, operation: str, packed: Any, packed_named: Any) -> dict[str, Any]:
        """Do what a request says, and return what there is to say of it."""
        try:
            given, named = unpack(packed, self._find), unpack(packed_named, self._find)
            before = json.dumps(pack([given, named], self._keep))
            reply = self._perform(operation, given, named)
            after = pack([given, named], self._keep)
            return reply if json.dumps(after) == before else {**reply, "after": after}
        except BaseException as error:
            return {"error": self._describe(error)}

    def _perform(self, operation: str, given: list[Any], named: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"value": pack(self._operations[operation](*given, **named), self._keep)}
        except BaseException as error:
            return {"error": self._describe(error)}

    def _describe(self, error: BaseException) -> dict[str, Any]:
        """Return the name of the builtin exception that this is or is made from, and its arguments."""
        kind = next(base for base in type(error).__mro__ if base in _ERRORS)
        try:
            packed = pack(list(error.args), self._keep)
            if len(json.dumps(packed)) <= _LONGEST_MESSAGE:
                return {"kind": kind.__name__, "arguments": packed}
        except Exception:
            pass
        try:
            message = str(error)[:_LONGEST_MESSAGE]
        except Exception:
            message = "an exception that cannot be shown"
        return {"kind": kind.__name__, "arguments": pack([message], self._keep)}

    def _run(self, text: str) -> None:
        exec(compile(text, "<string>", "exec", dont_inherit=True), self._module.__dict__)

    def _name(self, name: str) -> object:
        if name not in self._module.__dict__:
            raise NameError(f"name {name!r} is not defined")
        return self._module.__dict__[name]

    def _keep(self, value: object) -> int:
        number = self._numbers.setdefault(id(value), len(self._kept))
        if number == len(self._kept):
            self._kept.append(value)
        return number

    def _find(self, number: int) -> object:
        return self._kept[number]
