"""Use a program that runs in another process as if it were here, without ever running any of it.

Values of builtin types are copied back and forth. Of anything else there is a `Remote` here: it can be
called, asked for attributes and items, and given back to the program, and it is equal to nothing.
"""

from __future__ import annotations

import builtins
import contextlib
from collections.abc import Iterator
from typing import Any

from spanmix.evaluate.grade import frames
from spanmix.evaluate.grade.frames import BadFrameError
from spanmix.evaluate.grade.values import UnfitValueError, pack, unpack, write_back


class ProgramEndedError(BaseException):
    """The program has ended, or what comes from it makes no sense; no test should catch this."""


class ProgramError(Exception):
    """An exception of the program that is none of the builtin ones."""


class RemoteProgram:
    """The program at the other end of a channel.

    Args:
        channel: file descriptor of a stream to `candidate.serve`.
        most_bytes: longest answer that is read.
    """

    def __init__(self, channel: int, most_bytes: int) -> None:
        self._channel = channel
        self._most_bytes = most_bytes
        self._ended: ProgramEndedError | None = None

    def run(self, text: str) -> None:
        """Run the text of a program, which defines its names."""
        self.ask("run", text)

    def name(self, name: str) -> Any:
        """Return what the program has under a name; raises `NameError` if it has none."""
        return self.ask("name", name)

    def require_alive(self) -> None:
        """Raise `ProgramEndedError` again if it has been raised, and was caught by somebody."""
        if self._ended is not None:
            raise self._ended

    def ask(self, operation: str, *given: object, **named: object) -> Any:
        """Have the program do something, and return its answer.

        Lists, dicts and sets among the arguments are changed if the program has changed them.

        Raises:
            ProgramEndedError: it has ended, or has sent something that is no answer.
            Exception: what the program raised, if that is a builtin exception; otherwise `ProgramError`.
        """
        self.require_alive()
        packed, packed_named = pack(list(given), self._keep), pack(named, self._keep)
        try:
            frames.send(self._channel, [operation, packed, packed_named])
            value, error = self._read(frames.receive(self._channel, self._most_bytes), [list(given), named])
        except (EOFError, OSError):
            self._ended = ProgramEndedError("the program ended before it answered")
        except (BadFrameError, TypeError, KeyError, ValueError, RecursionError) as wrong:
            self._ended = ProgramEndedError(f"the program sent what is no answer: {wrong}")
        self.require_alive()
        if error is not None:
            raise error
        return value

    def _read(self, reply: dict[str, Any], arguments: object) -> tuple[Any, BaseException | None]:
        """Return the value of an answer, or the exception to raise, and change the arguments."""
        value, error = None, None
        if "error" in reply:
            error = _error(reply["error"]["kind"], unpack(reply["error"]["arguments"], self._find))
        else:
            value = unpack(reply["value"], self._find)
        if "after" in reply:
            write_back(arguments, unpack(reply["after"], self._find))
        return value, error

    def _keep(self, value: object) -> int:
        if type(value) is Remote and value._program is self:
            number: int = value._number
            return number
        raise UnfitValueError(f"a {type(value).__name__}, which cannot be given to another process by value")

    def _find(self, number: int) -> Remote:
        # A new one each time: two lists that hold one and the same object would be equal.
        return Remote(self, number)


class Remote:
    """An object of the program that has no value here."""

    __slots__ = ("_number", "_program")

    def __init__(self, program: RemoteProgram, number: int) -> None:
        object.__setattr__(self, "_program", program)
        object.__setattr__(self, "_number", number)

    def __call__(self, *given: object, **named: object) -> Any:
        """Call it, in its process."""
        return self._program.ask("call", self, *given, **named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._program.ask("get", self, name)

    def __setattr__(self, name: str, value: object) -> None:
        self._program.ask("set", self, name, value)

    def __getitem__(self, key: object) -> Any:
        return self._program.ask("item", self, key)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._program.ask("list", self)))

    def __repr__(self) -> str:
        return "<object of the program>"

    def __len__(self) -> int:
        length: int = self._program.ask("len", self)
        return length

    def __bool__(self) -> bool:
        return self._program.ask("bool", self) is True

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return id(self)


def _error(kind: object, arguments: list[object]) -> BaseException:
    """Make the builtin exception of this name, with these arguments."""
    known = getattr(builtins, str(kind), None)
    if not isinstance(known, type) or not issubclass(known, BaseException):
        return ProgramError(*arguments)
    if not issubclass(known, Exception):
        return ProgramEndedError(*arguments)
    # Raised from within a loop of the test, StopIteration would end the loop.
    if not issubclass(known, StopIteration | StopAsyncIteration):
        with contextlib.suppress(TypeError):
            return known(*arguments)
    return ProgramError(*arguments)
