"""Run an engine in a thread of its own, for callers in an event loop."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from spanmix.errors import InputError, SpanmixError
from spanmix.generate.engine import Engine, GenerateRequest, Score, ScoreRequest, TokenEvent
from spanmix.serve.asked_stream import AskedStream

_LOGGER = logging.getLogger(__name__)


class BusyError(SpanmixError):
    """As many requests wait as are let in.

    Args:
        retry_seconds: after which time there may be room.
    """

    def __init__(self, num_waiting: int, retry_seconds: int) -> None:
        super().__init__(f"the server is busy: {num_waiting} requests wait; try again in {retry_seconds} s")
        self.retry_seconds = retry_seconds


class EndedError(SpanmixError):
    """The engine's thread has ended; nothing is answered any more."""


class EngineThread:
    """Lets many callers in one event loop share an engine.

    The thread takes what it was sent (new requests, those to forget, sequences to score), lets the engine
    make a step, and hands out the tokens. A caller that goes away cancels its request: the engine forgets it
    before its next step.

    An engine that fails cannot say whose fault it was. So what ran begins again, in two halves one after the
    other, each half in halves when it fails too, until a request fails alone: that one has failed. The others
    go on with the same tokens, as these are drawn from the request's own seed.

    Args:
        engine: nothing else uses it.
        max_requests: most requests that run or wait; more are refused.
    """

    def __init__(self, engine: Engine, max_requests: int) -> None:
        self.info = engine.info
        self._engine = engine
        self._max_requests = max_requests
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._streams: dict[int, AskedStream] = {}
        self._scores: deque[Callable[[], None]] = deque()
        self._groups: list[list[AskedStream]] = []
        """After a failure: what begins when nothing runs, the last first; the first is what came since."""
        self._has_ended = False
        self._num_requests = 0
        self._finished_at: list[float] = []
        self.num_faults = 0
        """Steps of the engine that failed."""
        self.last_step_seconds = 0.0
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread works."""
        return self._thread.is_alive() and not self._has_ended

    @property
    def num_running(self) -> int:
        """Requests that have got tokens, and will get more."""
        return sum(bool(stream.sent_ids) for stream in list(self._streams.values()))

    @property
    def num_requests(self) -> int:
        """Requests that run or wait."""
        return self._num_requests

    def check_room(self, num_requests: int) -> None:
        """Look whether so many more requests can be taken now.

        Raises:
            InputError: they are too many even when nothing else runs.
            BusyError: they are too many beside what runs and waits.
            EndedError: none is answered any more.
        """
        self._check_alive()
        if num_requests > self._max_requests:
            raise InputError(
                f"{num_requests} answers are more than the {self._max_requests} that run or wait at once on "
                "this server (its --max-requests); ask for fewer"
            )
        if self._num_requests + num_requests > self._max_requests:
            raise BusyError(self._num_requests - self.num_running, self._retry_seconds(num_requests))

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[list[TokenEvent]]:
        """Yield the tokens of a request as they come, one or several at a time.

        To leave early, close the generator; the request is then cancelled.

        Whether there is room for it (`check_room`) is asked before an answer begins, not here.

        Raises:
            InputError: the engine cannot run it.
            EndedError: the engine has ended.
            SpanmixError: the engine failed.
        """
        stream = AskedStream(request, asyncio.get_running_loop())
        self._num_requests += 1
        try:
            self._orders.put(lambda: self._take(stream))
            while (events := await stream.events.get()) is not None:
                if isinstance(events, Exception):
                    raise events
                yield events
        finally:
            self._num_requests -= 1
            self._orders.put(lambda: self._forget(stream))

    async def score(self, request: ScoreRequest) -> Score:
        """Score a sequence, between two steps.

        Raises:
            InputError: the engine cannot score it.
            EndedError: the engine has ended.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Score] = loop.create_future()
        self._num_requests += 1
        try:
            self._orders.put(lambda: self._scores.append(lambda: self._score(request, loop, answer)))
            return await answer
        finally:
            self._num_requests -= 1

    def close(self) -> None:
        """End the thread; what still runs is forgotten."""
        self._orders.put(None)
        self._thread.join()

    def _retry_seconds(self, num_requests: int) -> int:
        """Return how long it took lately to finish so many requests, from 1 to 60 seconds."""
        recent = self._finished_at[-32:]
        if len(recent) < 2:
            return 1
        each = (recent[-1] - recent[0]) / (len(recent) - 1)
        return min(60, max(1, round(num_requests * each)))

    def _work(self) -> None:
        try:
            self._serve()
        except BaseException as error:
            _LOGGER.exception("the engine's thread has ended; start the server again")
            self._end(EndedError(f"the engine has ended: {type(error).__name__}: {error}"))

    def _serve(self) -> None:
        """Do what there is to do until the thread is closed."""
        while True:
            while self._groups and not self._streams:
                for stream in self._groups[-1]:
                    self._begin(stream)
                self._groups.pop()
            for order in self._orders_now():
                if order is None:
                    return
                order()
            if self._streams:
                self._step()
            if self._scores:  # one between two steps, so that both go on
                self._scores.popleft()()

    def _end(self, error: EndedError) -> None:
        """Refuse what there is and what still comes, until the thread is closed."""
        self._has_ended = True
        for stream in [*self._streams.values(), *(one for group in self._groups for one in group)]:
            self._send(stream, error)
        self._streams, self._groups = {}, []
        order: Callable[[], None] | None = lambda: None  # noqa: E731
        while order is not None:
            order()
            while self._scores:
                self._scores.popleft()()
            order = self._orders.get()

    def _check_alive(self) -> None:
        if self._has_ended:
            raise EndedError("the engine has ended; start the server again")

    def _orders_now(self) -> list[Callable[[], None] | None]:
        """Return what was sent since; wait for it if there is nothing else to do."""
        is_idle = not (self._streams or self._scores)
        orders = [self._orders.get()] if is_idle else []
        while not self._orders.empty():
            orders.append(self._orders.get())
        return orders

    def _step(self) -> None:
        before = time.perf_counter()
        try:
            events = self._engine.step()
        except Exception as error:
            self.num_faults += 1
            self._divide(error)
            return
        self.last_step_seconds = time.perf_counter() - before
        parts: defaultdict[int, list[TokenEvent]] = defaultdict(list)
        for event in events:
            parts[event.id].append(event)
        for request_id, mine in parts.items():
            stream = self._streams.get(request_id)
            if stream is None:
                continue
            try:
                new = stream.new(mine)
            except SpanmixError as error:
                self._forget(stream)
                self._send(stream, error)
                continue
            if new:
                self._send(stream, new)
            if mine[-1].finish_reason is not None:
                del self._streams[request_id]
                self._finished_at = [*self._finished_at[-31:], time.monotonic()]
                self._send(stream, None)

    def _divide(self, error: Exception) -> None:
        """Fail what ran alone; of several, let one half begin again, and then the other."""
        streams = list(self._streams.values())
        for stream in streams:
            self._engine.cancel(stream.request_id)
        self._streams = {}
        if len(streams) == 1:
            self._send(streams[0], SpanmixError(f"the engine failed: {type(error).__name__}: {error}"))
            return
        middle = len(streams) // 2
        self._groups = [*(self._groups or [[]]), streams[middle:], streams[:middle]]

    def _take(self, stream: AskedStream) -> None:
        """Let a new request begin, or wait until it is known with which one the engine failed."""
        if self._groups:
            self._groups[0].append(stream)
        else:
            self._begin(stream)

    def _begin(self, stream: AskedStream) -> None:
        if stream.is_left:
            return
        stream.num_made = 0
        try:
            self._check_alive()
            stream.request_id = self._engine.submit(stream.request)
        except Exception as error:
            self._send(stream, error)
            return
        self._streams[stream.request_id] = stream

    def _forget(self, stream: AskedStream) -> None:
        stream.is_left = True
        if self._streams.pop(stream.request_id, None) is not None:
            self._engine.cancel(stream.request_id)

    def _score(
        self, request: ScoreRequest, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Score]
    ) -> None:
        if answer.cancelled():
            return
        try:
            self._check_alive()
            scores: Sequence[Score] | Exception = self._engine.score([request])
        except Exception as error:
            scores = error

        def tell() -> None:
            if answer.cancelled():
                return
            if isinstance(scores, Exception):
                answer.set_exception(scores)
            else:
                answer.set_result(scores[0])

        _call(loop, tell)

    @staticmethod
    def _send(stream: AskedStream, events: list[TokenEvent] | Exception | None) -> None:
        _call(stream.loop, stream.events.put_nowait, events)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: Any) -> None:
    """Call a function in an event loop, unless that has been closed."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        if not loop.is_closed():
            raise
