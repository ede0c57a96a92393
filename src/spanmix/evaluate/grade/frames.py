"""Messages over a file descriptor: four bytes of length, and JSON.

This file and all that it imports is loaded anew for every program, so it imports little.
"""

from __future__ import annotations

import json
import os
from typing import Any

_LENGTH_BYTES = 4


class BadFrameError(Exception):
    """What came is not a message, or is too long."""


def send(channel: int, message: object) -> None:
    """Send a message; blocks until all of it is on its way."""
    body = json.dumps(message, separators=(",", ":")).encode()
    rest = memoryview(len(body).to_bytes(_LENGTH_BYTES, "big") + body)
    while rest:
        rest = rest[os.write(channel, rest) :]


def receive(channel: int, most_bytes: int | None = None) -> Any:
    """Wait for a message.

    Raises:
        EOFError: the other side has closed.
        BadFrameError: it is longer than `most_bytes`, or not JSON.
    """
    num_bytes = int.from_bytes(_exactly(channel, _LENGTH_BYTES), "big")
    if most_bytes is not None and num_bytes > most_bytes:
        raise BadFrameError(f"an answer of {num_bytes:,} bytes, and {most_bytes:,} is the most")
    try:
        return json.loads(_exactly(channel, num_bytes))
    except (ValueError, RecursionError):
        raise BadFrameError("an answer that is not JSON") from None


def _exactly(channel: int, num_bytes: int) -> bytes:
    read = bytearray()
    while len(read) < num_bytes:
        try:
            part = os.read(channel, min(num_bytes - len(read), 1 << 20))
        except ConnectionError:
            part = b""
        if not part:
            raise EOFError
        read += part
    return bytes(read)
