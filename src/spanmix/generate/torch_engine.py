"""Run a decoder of ours: score sequences, and generate many requests at once."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from spanmix.generate import packed
from spanmix.generate.engine import EngineInfo, GenerateRequest, Score, ScoreRequest, TokenEvent
from spanmix.generate.lengths import by_length
from spanmix.generate.row_cache import RowCache
from spanmix.generate.running import Running, needed_slots
from spanmix.generate.sampling import choose
from spanmix.generate.scores import add_scores
from spanmix.model.decoder import Decoder
from spanmix.model.layers import Linear
from spanmix.model.masks import AttentionMask
from spanmix.types import PAD_SEGMENT

_DTYPE_NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
_FORWARD_TOKENS = 2048
"""Most positions, padding included, that go through the decoder at once (a longer row goes alone)."""
_LOGITS_ELEMENTS = 4_000_000
"""Most logits, positions times vocabulary, that exist at once while scoring."""


class TorchEngine:
    """The `Engine` of a decoder in this process, with continuous batching.

    A request joins the running batch at the next `step`, as soon as a row is free, and leaves it with
    its last token; the others do not notice. Prompts of different lengths are padded on the right: a
    cache slot is a position, so the padding is overwritten before it is ever seen.

    Choices do not depend on the rest of the batch: each is a function of the row's own logits and
    the request's own random numbers. Logits agree between batches to rounding (about 1e-6 in fp32).

    Args:
        decoder: the model; its weights may change between calls if `dtype` is theirs and it is not packed.
        dtype: what to compute in; the weights' own type if not given. Another type than the weights'
            makes a copy of the linear maps in it, once.
        max_rows: most requests that run at once.
        cache_bytes: most memory for keys and values; one request always runs.
        pack: take the decoder over: where the processor can, its linear maps are replaced by packed ones,
            which are faster and in the place of the others (see `spanmix.generate.packed`).
    """

    def __init__(
        self,
        decoder: Decoder,
        dtype: torch.dtype | None = None,
        max_rows: int = 64,
        cache_bytes: int = 4 * 2**30,
        pack: bool = False,
    ) -> None:
        own = decoder.wte.weight.dtype
        self._dtype = dtype or own
        self._device = decoder.wte.weight.device
        if pack and packed.can_pack(decoder, self._dtype):
            packed.pack(decoder, self._dtype)
        elif self._dtype != own:
            decoder = _cast(decoder, self._dtype)
        self._decoder = decoder
        self._max_rows = max_rows
        # A CPU's kernel for one query a row is two to three times as slow in bfloat16.
        cache_dtype = torch.float32 if self._device.type == "cpu" else self._dtype
        slot_bytes = RowCache.slot_bytes(decoder.architecture, cache_dtype)
        self._max_cached_slots = cache_bytes // slot_bytes
        self._cache = RowCache(decoder.architecture, cache_dtype, self._device)
        self._waiting: deque[tuple[int, GenerateRequest]] = deque()
        self._running: list[Running] = []
        self._next_id = 0

    @property
    def info(self) -> EngineInfo:
        """What this engine can do."""
        shape = self._decoder.architecture
        capabilities = frozenset({"seed", "top_logprobs"})
        return EngineInfo(shape.context_tokens, shape.vocab_size, _DTYPE_NAMES[self._dtype], capabilities)

    def submit(self, request: GenerateRequest) -> int:
        """Accept a request and return its id.

        Raises:
            InputError: it does not fit the context, has an id outside the vocabulary, or suppresses
                every token.
        """
        self.info.check_generate(request)
        request_id = self._next_id
        self._next_id += 1
        self._waiting.append((request_id, request))
        return request_id

    @torch.inference_mode()
    def step(self) -> list[TokenEvent]:
        """Give every running request its next token, and every one that can join its first.

        Returns:
            One event a request; empty when nothing is left to do.
        """
        events = self._decode() if self._running else []
        events += self._admit()
        self._drop_finished(events)
        return events

    @torch.inference_mode()
    def cancel(self, request_id: int) -> None:
        """Forget a request, waiting or running; unknown ids are ignored."""
        self._waiting = deque(entry for entry in self._waiting if entry[0] != request_id)
        for row, running in enumerate(self._running):
            if running.id == request_id:
                self._remove(row)
                return

    @torch.inference_mode()
    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Score each request.

        Returns:
            Log-probabilities (natural, float32) of each request's targets, in the requests' order.

        Raises:
            InputError: a context is empty, or a request is longer than the context window.
        """
        for request in requests:
            self.info.check_score(request)
        scores = [Score([], []) for _ in requests]
        # The last target is only predicted, so a request takes one position fewer than its tokens.
        lengths = [len(r.context_ids) + len(r.target_ids) - 1 for r in requests]
        todo = [index for index, request in enumerate(requests) if len(request.target_ids) > 0]
        for part in by_length(todo, lengths, _FORWARD_TOKENS):
            for index, score in zip(part, self._score_part([requests[i] for i in part]), strict=True):
                scores[index] = score
        return scores

    def _score_part(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        rows = [[*r.context_ids, *r.target_ids] for r in requests]
        token_ids_BT, positions_BT, segment_ids_BT = self._pad([row[:-1] for row in rows])
        mask = AttentionMask.from_segments(segment_ids_BT)
        hidden_BTD = self._decoder(token_ids_BT, positions_BT, mask, dtype=self._dtype)
        target_states = [
            hidden_BTD[b, len(request.context_ids) - 1 : len(row) - 1]
            for b, (request, row) in enumerate(zip(requests, rows, strict=True))
        ]
        hidden_ND = torch.cat(target_states)
        targets_N = torch.tensor([t for r in requests for t in r.target_ids], device=self._device)
        chunk = max(1, _LOGITS_ELEMENTS // self.info.vocab_size)
        all_scores = Score([], [])
        for start in range(0, len(targets_N), chunk):
            logits_NV = self._decoder.head(hidden_ND[start : start + chunk]).float()
            add_scores(all_scores, logits_NV, targets_N[start : start + chunk])
        scores = []
        start = 0
        for request in requests:
            stop = start + len(request.target_ids)
            scores.append(Score(all_scores.logprobs[start:stop], all_scores.is_greedy[start:stop]))
            start = stop
        return scores

    def _decode(self) -> list[TokenEvent]:
        self._cache.all_rows(max(running.num_cached for running in self._running) + 1)
        token_ids_B1 = torch.tensor([[running.last_token] for running in self._running], device=self._device)
        positions_B1 = torch.tensor([[running.num_cached] for running in self._running], device=self._device)
        hidden_B1D = self._decoder(token_ids_B1, positions_B1, cache=self._cache, dtype=self._dtype)
        for running in self._running:
            running.num_cached += 1
        return self._choose(hidden_B1D[:, 0], self._running)

    def _admit(self) -> list[TokenEvent]:
        """Read the prompts of the requests that can join, and give each its first token."""
        new: list[Running] = []
        longest = max((needed_slots(running.request) for running in self._running), default=0)
        while self._waiting:
            request_id, request = self._waiting[0]
            longest = max(longest, needed_slots(request))
            num_rows = len(self._running) + len(new) + 1
            if num_rows > self._max_rows or (num_rows > 1 and num_rows * longest > self._max_cached_slots):
                break
            self._waiting.popleft()
            new.append(Running.start(request_id, request))
        if new:
            self._cache.reserve(len(self._running) + len(new), longest)
        events = {}
        for part in by_length(
            list(range(len(new))), [len(n.request.prompt_ids) for n in new], _FORWARD_TOKENS
        ):
            joining = [new[i] for i in part]
            for event in self._prefill(joining):
                events[event.id] = event
            self._running += joining
        return [events[joined.id] for joined in new]

    def _prefill(self, joining: list[Running]) -> list[TokenEvent]:
        token_ids_BT, positions_BT, _ = self._pad([joined.request.prompt_ids for joined in joining])
        self._cache.add_rows(len(joining), token_ids_BT.shape[1])
        hidden_BTD = self._decoder(token_ids_BT, positions_BT, cache=self._cache, dtype=self._dtype)
        rows_B = torch.arange(len(joining), device=self._device)
        last_B = torch.tensor([joined.num_cached - 1 for joined in joining], device=self._device)
        return self._choose(hidden_BTD[rows_B, last_B], joining)

    def _choose(self, hidden_BD: Tensor, batch: Sequence[Running]) -> list[TokenEvent]:
        logits_BV = self._decoder.head(hidden_BD).float()
        requests = [running.request for running in batch]
        choices = choose(logits_BV, requests, [running.next_uniform for running in batch])
        return [running.take(choice) for running, choice in zip(batch, choices, strict=True)]

    def _drop_finished(self, events: Sequence[TokenEvent]) -> None:
        finished = {event.id for event in events if event.finish_reason is not None}
        for row in range(len(self._running) - 1, -1, -1):
            if self._running[row].id in finished:
                self._remove(row)

    def _remove(self, row: int) -> None:
        last = self._running.pop()
        self._cache.remove_row(row, last.num_cached)
        if row < len(self._running):
            self._running[row] = last

    def _pad(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
        """Return token ids, positions and segment ids of rows padded on the right, each int64 [B, T].

        The padding's token does not matter: nothing sees it. Its positions go on, to slots that are free.
        """
        width = max(len(row) for row in rows)
        token_ids_BT = np.zeros((len(rows), width), dtype=np.int64)
        segment_ids_BT = np.full((len(rows), width), PAD_SEGMENT, dtype=np.int64)
        for b, row in enumerate(rows):
            token_ids_BT[b, : len(row)] = row
            segment_ids_BT[b, : len(row)] = 1
        positions_BT = np.broadcast_to(np.arange(width), (len(rows), width)).copy()
        arrays = (token_ids_BT, positions_BT, segment_ids_BT)
        tokens, positions, segments = (torch.from_numpy(array).to(self._device) for array in arrays)
        return tokens, positions, segments


def _cast(decoder: Decoder, dtype: torch.dtype) -> Decoder:
    """Copy a decoder with its linear maps in another type; embedding and norms keep theirs."""
    cast = copy.deepcopy(decoder)
    for module in cast.modules():
        if isinstance(module, Linear):
            module.to(dtype)
    return cast
