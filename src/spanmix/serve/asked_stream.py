"""A request on its way through an engine, which may have to begin it again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from spanmix.errors import SpanmixError
from spanmix.generate.engine import GenerateRequest, TokenEvent


@dataclass
class AskedStream:
    """A request on its way.

    Args:
        request: what is asked.
        loop: where who asks waits.
        events: what it gets: lists of events, an error, or None when it has ended.
        request_id: the engine's.
        is_left: whether nobody waits for it any more.
        sent_ids: the tokens that were sent.
        num_made: how many there are of them since it began, which it may do again.
    """

    request: GenerateRequest
    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[list[TokenEvent] | Exception | None] = field(default_factory=asyncio.Queue)
    request_id: int = -1
    is_left: bool = False
    sent_ids: list[int] = field(default_factory=list)
    num_made: int = 0

    def new(self, events: Sequence[TokenEvent]) -> list[TokenEvent]:
        """Return those events that have not been sent yet.

        Raises:
            SpanmixError: what was made again is not what was sent.
        """
        sent = self.sent_ids[self.num_made : self.num_made + len(events)]
        self.num_made += len(events)
        if [event.token_id for event in events[: len(sent)]] != sent:
            raise SpanmixError("the engine failed, and the answer cannot go on as it began; ask again")
        new = list(events[len(sent) :])
        self.sent_ids += [event.token_id for event in new]
        return new
