"""What an answer is made of while it comes, and several of them side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Literal

from spanmix.generate.engine import TokenEvent
from spanmix.text.trace.matches import Match

ServedReason = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True)
class Piece:
    """More of an answer.

    Args:
        index: which answer of the request.
        text: what is certain now; may be empty.
        events: the tokens that came and bring something.
        finish_reason: with the last piece; ``"content_filter"`` if more of it was withheld.
        stopped_by: the stop string that ended it, if one did.
        match: with the last piece, the answer's longest match with the training data, if that is looked for.
        repeated_ids: tokens that came in front of them, and only repeat the prompt's end (see `Opening`).
        num_split: bytes of the first of `events` that repeat it too.
    """

    index: int
    text: str
    events: tuple[TokenEvent, ...]
    finish_reason: ServedReason | None
    stopped_by: str | None = None
    match: Match | None = None
    repeated_ids: tuple[int, ...] = ()
    num_split: int = 0


@dataclass(frozen=True)
class Whole:
    """An answer that is done."""

    text: str
    events: list[TokenEvent]
    finish_reason: ServedReason


@dataclass(frozen=True)
class Limits:
    """Where an answer ends beside its end and its stop strings.

    Args:
        seconds: after the first token; the answer ends at the first end of a line that comes then.
        least_blanks: in front of each of its lines but the first (see `BlockEnd`); 0 does not look.
    """

    seconds: float | None = None
    least_blanks: int = 0


NO_LIMITS = Limits()


async def merged(sources: Sequence[AsyncGenerator[Piece]]) -> AsyncGenerator[Piece]:
    """Yield from several generators whatever comes first, until all are done or one fails."""
    if len(sources) == 1:
        async with aclosing(sources[0]) as only:
            async for piece in only:
                yield piece
        return
    come: asyncio.Queue[Piece | BaseException | None] = asyncio.Queue()

    async def pump(source: AsyncGenerator[Piece]) -> None:
        try:
            async with aclosing(source):
                async for piece in source:
                    come.put_nowait(piece)
        except Exception as error:
            come.put_nowait(error)
        else:
            come.put_nowait(None)

    tasks = [asyncio.create_task(pump(source)) for source in sources]
    try:
        left = len(tasks)
        while left:
            item = await come.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                left -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
