"""Run a batch of requests in CTranslate2, one token at a time.

CTranslate2 decodes a batch from its beginning to its end in a thread of its own, and calls back for every
token. Here the thread waits in the last call of each step until it is told to go on, so that a batch
advances when its owner wants, and stops when its owner wants.

CTranslate2 always takes the most likely token; nothing can make it take another one. So each request's own
choice is made here, of the logits. Where it is that token, decoding goes on with all keys and values in
place. Where it is another, the row leaves the batch, and its request has to go on as a new one whose prompt
is all tokens so far.

    row 0   a b c d          the choices were CTranslate2's
    row 1   a x              at the second token another one was chosen: x is reported, and row 1 leaves

Logits are asked for only where requests need them, as CTranslate2 keeps them all until a batch is done. Where
the likeliest token of another request must not come, its row leaves too, and comes again to be chosen for.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spanmix.errors import SpanmixError
from spanmix.generate.engine import TokenEvent
from spanmix.generate.running import Running
from spanmix.generate.sampling import Choice, choose

_CHECK_SECONDS = 0.5
"""How often a wait for a step looks whether the library has failed."""


@dataclass
class JobRow(Running):
    """A request in a batch.

    Args:
        is_over: it is finished or was cancelled.
        is_hidden: the likeliest next token is one that must not come.
    """

    is_over: bool = False
    is_hidden: bool = False

    @property
    def needs_logits(self) -> bool:
        """Whether the most likely token and its log-probability are not enough to go on."""
        request = self.request
        is_changed = bool(request.logit_bias) or request.has_penalties
        is_changed = is_changed or request.allowed_ids(self.answer_ids) is not None
        return request.temperature > 0 or request.num_top_logprobs > 0 or is_changed or self.is_hidden

    def choose(self, token_id: int, logprob: float, logits_V: NDArray[np.float32] | None) -> Choice | None:
        """Return the next token, given the most likely one; None if it takes the logits to choose it."""
        turn = self.turn()
        if logits_V is None:
            self.is_hidden = token_id in turn.hidden_ids
            return None if self.is_hidden else Choice(token_id, logprob, ())
        return choose(torch.from_numpy(logits_V)[None], [turn])[0]

    def take(self, choice: Choice) -> TokenEvent:
        """Append a token."""
        event = super().take(choice)
        self.is_hidden = False
        self.is_over = event.finish_reason is not None
        return event


class Job:
    """A batch that CTranslate2 decodes.

    Prompts of different lengths are read up to the shortest length at once; what is left of the longer ones
    is then read a token a step while the others generate.

    Args:
        generator: a ``ctranslate2.Generator`` with a free worker.
        rows: the requests, at least one.
        vocabulary: the string of each id.
        most_logits: numbers of logits that may pile up, as CTranslate2 keeps them all until the batch is
            done; then every row leaves.
    """

    def __init__(
        self, generator: Any, rows: Sequence[JobRow], vocabulary: Sequence[str], most_logits: int
    ) -> None:
        # Longest first, as CTranslate2 orders them: rows that are still read come first in its logits.
        self._rows = sorted(rows, key=lambda row: -row.num_tokens)
        shortest = self._rows[-1].num_tokens
        self._joins_at = [row.num_tokens - shortest for row in self._rows]
        self._stays = [True] * len(self._rows)
        self._left: list[JobRow] = []
        self._logits_left = most_logits
        self._step, self._logits_BV = -1, np.empty((0, 0), dtype=np.float32)
        self._num_expected = self._num_called = 0
        self._events: list[TokenEvent] = []
        self._reports: queue.SimpleQueue[list[TokenEvent] | BaseException] = queue.SimpleQueue()
        self._go = threading.Semaphore(0)
        self._generator, self._vocabulary = generator, vocabulary
        self._results: list[Any] | None = None

    @property
    def rows(self) -> list[JobRow]:
        """The requests that are in it."""
        return [row for row, stays in zip(self._rows, self._stays, strict=True) if stays]

    @property
    def is_done(self) -> bool:
        """Whether no row is left in it."""
        return not any(self._stays)

    def go(self) -> None:
        """Let the library find the rows' next token, and come back at once; `report` has to be asked next."""
        if self._results is None:
            self._results = self._begun()
        else:
            self._go.release()

    def leave(self) -> None:
        """Let go of the rows that are over; if those are all, wait until the library has stopped."""
        if all(row.is_over for row in self.rows):
            self._go.release()
            for result in self._results or ():
                result.result()
            self._stays = [False] * len(self._rows)

    def pop_left(self) -> list[JobRow]:
        """Return the requests that left since this was last asked, and have to go on elsewhere."""
        left, self._left = self._left, []
        return left

    def _begun(self) -> list[Any]:
        """Let the library begin; return what it will tell when it has ended."""
        # The library's thread lets go of this job last, and must not be the one that ends the library.
        generator, self._generator = self._generator, None
        prompts = [[*row.request.prompt_ids, *row.answer_ids] for row in self._rows]
        results: list[Any] = generator.generate_batch(
            [[self._vocabulary[token] for token in prompt] for prompt in prompts],
            asynchronous=True,
            include_prompt_in_result=False,
            max_length=max(row.request.max_tokens - len(row.answer_ids) for row in self._rows),
            end_token=[],
            return_scores=True,
            return_logits_vocab=any(row.needs_logits for row in self._rows),
            callback=self._take,
        )
        return results

    def report(self) -> list[TokenEvent] | BaseException:
        """Wait for the tokens; return an event for each row that got one, or what went wrong."""
        while True:
            try:
                return self._reports.get(timeout=_CHECK_SECONDS)
            except queue.Empty:
                if all(result.done() for result in self._results or ()):
                    for result in self._results or ():
                        result.result()  # raises what went wrong
                    return SpanmixError("CTranslate2 ended a batch before its last token")

    def _take(self, result: Any) -> bool:
        """Take a token from the library's thread; return whether the row leaves."""
        try:
            return self._took(result)
        except BaseException as error:  # one that reached the library would end the process
            self._stays = [False] * len(self._rows)
            self._reports.put(error)
            return True

    def _took(self, result: Any) -> bool:
        if result.step != self._step:
            self._begin(result)
        index = result.batch_id
        row = self._rows[index]
        # In the logits the rows that are still being read come first, then those that have a token, in the
        # order of the calls.
        place = len(self._logits_BV) - self._num_expected + self._num_called
        self._num_called += 1
        if not self._stays[index]:  # an earlier call of this job failed
            return True
        if not row.is_over:
            logits_V = self._logits_BV[place] if row.needs_logits else None
            choice = row.choose(result.token_id, result.log_prob, logits_V)
            if choice is not None:
                self._events.append(row.take(choice))
            taken = choice is not None and choice.token_id == result.token_id
            self._stays[index] = taken and self._logits_left > 0
            if not self._stays[index] and not row.is_over:
                self._left.append(row)
        self._stays[index] = self._stays[index] and not row.is_over
        if self._num_called == self._num_expected:
            events, self._events = self._events, []
            has_more = not all(row.is_over for row in self.rows)
            self._reports.put(events)
            if has_more:
                self._go.acquire()
                self._stays[index] = self._stays[index] and not row.is_over
        return not self._stays[index]

    def _begin(self, result: Any) -> None:
        """Begin a step: its first call has the logits of all rows."""
        self._step = result.step
        self._num_called = 0
        self._num_expected = sum(
            stays and joins_at <= result.step
            for stays, joins_at in zip(self._stays, self._joins_at, strict=True)
        )
        if result.logits is not None:
            self._logits_BV = np.array(result.logits)
            self._logits_left -= self._logits_BV.size
