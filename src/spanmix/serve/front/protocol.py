"""Close connections whose clients stall: that send no request, or do not take their answer."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a limit of time where uvicorn waits for a client forever.

    That is until the head of a request has come, and until what was written has been taken; the time of a
    request's body is the gate's. It is h11 wherever the server runs: httptools, which uvicorn takes where it
    is installed, does not limit how long a head may be.
    """

    seconds = 60.0
    """Longest time of either; nginx's."""

    _head_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # `pause_writing` as soon as anything is left to be taken
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Take more of a request."""
        super().data_received(data)
        self._watch_head()

    def pause_writing(self) -> None:
        """Begin to wait until what was written is taken."""
        super().pause_writing()
        self._answer_timer = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """All has been taken."""
        super().resume_writing()
        _stop(self._answer_timer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        _stop(self._head_timer)
        _stop(self._answer_timer)

    def _watch_head(self) -> None:
        """Let the time run while there is no request that is answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            _stop(self._head_timer)
            self._head_timer = None
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.seconds, self.transport.abort)


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
