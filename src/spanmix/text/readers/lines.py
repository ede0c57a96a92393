"""Cut a stream into lines, of which none is held in memory beyond a bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator

BLOCK = 1 << 14
"""Bytes read at once: of a damaged file, so much of what stands in front of the damage may be lost."""


def bounded_lines(
    read: Callable[[int], bytes], max_line_bytes: int, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, bytes | None]]:
    """Yield the place of each line, in bytes, and the line with its end; None for one that is too long.

    Args:
        read: returns up to so many of the next bytes, none at the end.
        max_line_bytes: longer lines are read past, a block at a time.
        start: the place that `read` begins at.
        end: lines that begin here or behind are not read.

    >>> import io
    >>> list(bounded_lines(io.BytesIO(b"ab\\nabcdef\\nc").read, 4))
    [(0, b'ab\\n'), (3, None), (10, b'c')]
    """
    held: list[bytes] = []
    num_held = 0
    block, position, place = b"", 0, start
    while end is None or place < end:
        if position == len(block):
            block, position = read(BLOCK), 0
            if not block:
                break
        cut = block.find(b"\n", position) + 1 or len(block)
        piece = block[position:cut]
        num_held += len(piece)
        if num_held <= max_line_bytes:
            held.append(piece)
        else:
            held.clear()
        position = cut
        if piece.endswith(b"\n"):
            yield place, b"".join(held) if num_held <= max_line_bytes else None
            place += num_held
            held, num_held = [], 0
    if num_held:
        yield place, b"".join(held) if num_held <= max_line_bytes else None
