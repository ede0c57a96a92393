"""Answer the system when it wants a process to end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""What a scheduler sends some time before it kills. Ctrl-C is SIGINT, which interrupts at once."""


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does; at the end it does again what it did.

    Where Ctrl-C is ignored, as a shell has it for what a script puts in the background, it interrupts too.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Give what tells whether one of `SIGNALS` has come since; at the end they do again what they did.

    A signal only leaves a note, so however many come, and whatever they meet, nothing is cut short.
    """
    come: list[int] = []
    before = {number: signal.signal(number, lambda number, _: come.append(number)) for number in SIGNALS}
    try:
        yield lambda: bool(come)
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
