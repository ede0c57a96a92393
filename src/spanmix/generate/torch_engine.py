"""Run a decoder of ours: score sequences, and generate many requests at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch

from spanmix.generate import packed
from spanmix.generate.decoder_runner import DecoderRunner
from spanmix.generate.drafts import Drafter
from spanmix.generate.engine import (
    CAPABILITIES,
    EngineInfo,
    GenerateRequest,
    Score,
    ScoreRequest,
    TokenEvent,
)
from spanmix.generate.lengths import neighbors_alike
from spanmix.generate.row_cache import LEAST_REUSED, RowCache, num_common
from spanmix.generate.running import Running, needed_slots
from spanmix.generate.sampling import Choice, choose
from spanmix.generate.scores import score_in_parts
from spanmix.model.decoder import Decoder

_DTYPE_NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
_FORWARD_TOKENS = 2048
"""Most positions, padding included, that go through the decoder at once while scoring."""
_DRAFTED_POSITIONS = 32
"""Most positions of a step, drafts included. Our own choice: what a wider step costs was not measured."""
_PARTS_BETWEEN = 2
"""Parts of prompts that are read between two tokens of the others. Our own choice: more keep those waiting
longer, and fewer let more steps run with few rows, each of which reads all weights."""


class TorchEngine:
    """The `Engine` of a decoder in this process, with continuous batching.

    A request joins at the next `step`, as soon as a row is free, and leaves with its last token; the others
    do not notice. Its prompt is read in parts, two between the tokens of the others; what it has in
    common with another prompt, running or done, is not read again. Where the text repeats itself, the tokens
    that followed before are guessed, and those that turn out to be what is chosen come in one step.

    Choices do not depend on the rest of the batch: each is a function of the row's own logits and
    the request's own random numbers, guessed or not. Logits agree between batches to rounding (about 1e-6
    in fp32).

        rows of the cache   0 1 2 | 3 4 | . .        0 to 2 get their next tokens, the prompts of 3 and 4 are
                                                     being read; those behind rest (see `RowCache`)

    Args:
        decoder: the model; its weights may change between calls if `dtype` is theirs and it is not packed.
        dtype: what to compute in; the weights' own type if not given. Another type than the weights'
            makes a copy of the linear maps in it, once.
        max_rows: most requests that run at once.
        cache_bytes: most memory for keys and values; one request always runs.
        pack: take the decoder over: where the processor can, its linear maps are replaced by packed ones,
            which are faster and in the place of the others (see `spanmix.generate.packed`).
        read_tokens: most tokens of prompts that are read at once.
        max_draft_tokens: most tokens that are guessed at once for a request (see `Drafter`); 0 guesses none.
        resting_rows: for how many prompts that are done there is room, for others that begin like them;
            beyond that they stay until their row is needed.
        part_seconds: read no more at once than takes about so long, and let a step end behind it, so that a
            request can be cancelled, or join. A step may then be empty before the end.
    """

    def __init__(
        self,
        decoder: Decoder,
        dtype: torch.dtype | None = None,
        max_rows: int = 64,
        cache_bytes: int = 4 * 2**30,
        pack: bool = False,
        read_tokens: int = 2048,
        max_draft_tokens: int = 8,
        resting_rows: int = 0,
        part_seconds: float | None = None,
    ) -> None:
        own = decoder.wte.weight.dtype
        dtype = dtype or own
        if pack and packed.can_pack(decoder, dtype):
            packed.pack(decoder, dtype)
        elif dtype != own:
            decoder = packed.cast(decoder, dtype)
        self._runner = DecoderRunner(decoder, dtype)
        shape = decoder.architecture
        max_slots = cache_bytes // RowCache.slot_bytes(shape, dtype)
        self._cache = RowCache(shape, dtype, self._runner.device, max_slots, resting_rows)
        self._info = EngineInfo(
            shape.context_tokens, shape.vocab_size, _DTYPE_NAMES[dtype], CAPABILITIES, keeps_prompts=True
        )
        self._max_rows = max_rows
        self._has_short_steps = part_seconds is not None
        if part_seconds is not None:
            read_tokens = self._runner.num_read_in(part_seconds, read_tokens)
        self._read_tokens = read_tokens
        self._max_draft_tokens = max_draft_tokens
        self._waiting: deque[Running] = deque()
        self._running: list[Running] = []
        """In the order of the cache's rows: first those that have been read, then those that are not yet."""
        self._drafters: list[Drafter] = []
        """Of those that have been read."""
        self._parts_read = 0
        """Since the last tokens of those that have been read."""
        self._next_id = 0

    @property
    def info(self) -> EngineInfo:
        """What this engine can do."""
        return self._info

    def submit(self, request: GenerateRequest) -> int:
        """Accept a request and return its id.

        Raises:
            InputError: it does not fit the context, or the vocabulary, or suppresses every token.
        """
        self._info.check_generate(request)
        self._waiting.append(Running.start(self._next_id, request))
        self._next_id += 1
        return self._waiting[-1].id

    @torch.inference_mode()
    def step(self) -> list[TokenEvent]:
        """Give every running request its next tokens, and read more of the prompts of those that join.

        Returns:
            The events of a request in their order; empty when nothing is left to do (see `part_seconds`).
        """
        events: list[TokenEvent] = []
        while not events and (self._running or self._waiting):
            self._admit()
            events = self._decode() if self._decodes_now() else []
            events += self._read()
            self._drop({event.id for event in events if event.finish_reason is not None})
            if self._has_short_steps:
                break
        return events

    @torch.inference_mode()
    def cancel(self, request_id: int) -> None:
        """Forget a request, waiting or running; unknown ids are ignored."""
        self._waiting = deque(waiting for waiting in self._waiting if waiting.id != request_id)
        self._drop({request_id})

    @torch.inference_mode()
    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Score each request.

        Returns:
            Log-probabilities (natural, float32) of each request's targets, in the requests' order.

        Raises:
            InputError: a context is empty, or a request is longer than the context window.
        """
        return score_in_parts(self._info, requests, _FORWARD_TOKENS, self._score_part)

    def num_prefix_tokens(self, context_ids: Sequence[int]) -> int:
        """Return how many first tokens see each other in both directions while scoring: none."""
        return 0

    def _score_part(self, requests: Sequence[ScoreRequest], scores: Sequence[Score]) -> None:
        prefixes = [self.num_prefix_tokens(request.context_ids) for request in requests]
        self._runner.score(requests, prefixes, scores)

    def _decodes_now(self) -> bool:
        """Return whether those that have been read get their next tokens, or prompts are read alone."""
        is_all_read = len(self._drafters) == len(self._running)
        decodes = bool(self._drafters) and (is_all_read or self._parts_read >= _PARTS_BETWEEN)
        if decodes:
            self._parts_read = 0
        return decodes

    def _decode(self) -> list[TokenEvent]:
        """Let each request that has been read choose its next token, and those that its draft had right."""
        num_ready = len(self._drafters)
        most = min(self._max_draft_tokens, _DRAFTED_POSITIONS // num_ready - 1)
        ready = self._running[:num_ready]
        drafts = [
            # The last token of an answer needs no guess.
            drafter.propose(min(most, running.request.max_tokens - len(running.answer_ids) - 1))
            for running, drafter in zip(ready, self._drafters, strict=True)
        ]
        rows = [[running.answer_ids[-1], *draft] for running, draft in zip(ready, drafts, strict=True)]
        starts = [running.num_tokens - 1 for running in ready]
        hidden_BTD = self._runner.further(self._cache, 0, rows, starts)
        places = [(b, t) for b, row in enumerate(rows) for t in range(len(row))]
        turns = [ready[b].turn(drafts[b][:t]) for b, t in places]
        choices = iter(choose(self._runner.logits(hidden_BTD, places), turns))
        events: list[TokenEvent] = []
        for row, draft in enumerate(drafts):
            events += self._confirm(row, draft, [next(choices) for _ in range(len(draft) + 1)])
        return events

    def _confirm(self, row: int, draft_ids: Sequence[int], choices: Sequence[Choice]) -> list[TokenEvent]:
        """Take the choices as long as the draft behind which they were made is what was chosen."""
        events: list[TokenEvent] = []
        for place, choice in enumerate(choices):
            events.append(self._running[row].take(choice))
            self._drafters[row].add(choice.token_id)
            if events[-1].finish_reason or draft_ids[place : place + 1] != [choice.token_id]:
                break
        if draft_ids:
            self._drafters[row].learn(len(draft_ids), len(events) - 1)
        return events

    def _admit(self) -> None:
        """Give rows to the requests that can join, in their order."""
        waiting: deque[Running] = deque()
        longest = max((needed_slots(running.request) for running in self._running), default=0)
        while self._waiting:
            one = self._waiting[0]
            num_slots = max(longest, needed_slots(one.request))
            num_rows = len(self._running) + 1
            if num_rows > self._max_rows or not self._cache.has_room(num_rows, num_slots):
                break
            self._waiting.popleft()
            if self._is_being_read(one.request.prompt_ids):
                waiting.append(one)
                continue
            longest = num_slots
            self._cache.reserve(num_rows, longest)
            one.num_read = self._cache.take_row(one.request.prompt_ids)
            self._running.append(one)
        self._waiting = waiting + self._waiting

    def _is_being_read(self, prompt_ids: Sequence[int]) -> bool:
        """Return whether a prompt shares more with one that is being read than with all that was read."""
        being_read = self._running[len(self._drafters) :]
        shared = max((num_common(prompt_ids, one.request.prompt_ids) for one in being_read), default=0)
        return shared >= LEAST_REUSED and min(shared, len(prompt_ids) - 1) > self._cache.common(prompt_ids)

    def _read(self) -> list[TokenEvent]:
        """Read more of the prompts; return the first token of each that is read to its end."""
        left = self._read_tokens
        first = len(self._drafters)
        parts: list[list[int]] = []
        for one in self._running[first:]:
            if left > 0:
                parts.append(list(one.request.prompt_ids[one.num_read : one.num_read + left]))
                left -= len(parts[-1])
        self._parts_read += bool(parts)
        events: list[TokenEvent] = []
        for start, end in neighbors_alike([len(part) for part in parts]):
            events += self._read_rows(first + start, parts[start:end])
        self._sort_ready()
        return events

    def _read_rows(self, first: int, parts: Sequence[Sequence[int]]) -> list[TokenEvent]:
        """Read a part of the prompts of neighboring rows."""
        rows = self._running[first : first + len(parts)]
        starts = [one.num_read for one in rows]
        hidden_B1D = self._runner.further(self._cache, first, parts, starts, only_last=True)
        done: list[int] = []
        for b, (one, part) in enumerate(zip(rows, parts, strict=True)):
            one.num_read += len(part)
            self._cache.hold(first + b, one.request.prompt_ids[: one.num_read])
            if one.num_read == len(one.request.prompt_ids):
                done.append(b)
        if not done:
            return []
        logits_NV = self._runner.logits(hidden_B1D, [(b, 0) for b in done])
        choices = choose(logits_NV, [rows[b].turn() for b in done])
        return [rows[b].take(choice) for b, choice in zip(done, choices, strict=True)]

    def _sort_ready(self) -> None:
        """Bring the rows that have been read to their end in front of those that have not."""
        for row in range(len(self._drafters), len(self._running)):
            one = self._running[row]
            if one.answer_ids:
                self._swap(row, len(self._drafters))
                text = [*one.request.prompt_ids, *one.answer_ids]
                self._drafters.append(Drafter(text, self._max_draft_tokens))

    def _drop(self, request_ids: set[int]) -> None:
        for row in range(len(self._running) - 1, -1, -1):
            if self._running[row].id in request_ids:
                self._remove(row)

    def _remove(self, row: int) -> None:
        """Let a row rest, with the keys and values that it has."""
        if row < len(self._drafters):
            last = len(self._drafters) - 1
            self._swap(row, last)
            self._drafters[row] = self._drafters[last]
            self._drafters.pop()
            row = last
        self._swap(row, len(self._running) - 1)
        self._running.pop()
        self._cache.release()

    def _swap(self, row: int, other: int) -> None:
        """Let two running rows change places, in the cache too."""
        for each in (row, other):
            one = self._running[each]
            if one.answer_ids:  # all but the last token has been read
                self._cache.hold(each, [*one.request.prompt_ids, *one.answer_ids][:-1])
        self._cache.swap(row, other)
        self._running[row], self._running[other] = self._running[other], self._running[row]
