"""Run a decoder of transformers: score sequences, and generate many requests at once."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spanmix.errors import InputError
from spanmix.generate.aligned_cache import AlignedCache
from spanmix.generate.engine import CAPABILITIES, EngineInfo, GenerateRequest, Score, ScoreRequest, TokenEvent
from spanmix.generate.lengths import by_length
from spanmix.generate.running import Running, needed_slots
from spanmix.generate.sampling import choose
from spanmix.generate.scores import add_scores, score_in_parts

_DTYPE_NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
_CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
_FORWARD_TOKENS = 2048
"""Most positions, padding included, that go through the decoder at once while prompts are read."""
_LOGITS_ELEMENTS = 16_000_000
"""Most logits, positions times vocabulary, that exist at once while scoring."""


class TransformersEngine:
    """The `Engine` of a causal decoder of transformers, with continuous batching.

    A request joins the running batch at the next `step`, as soon as there is room, and leaves it with its
    last token. Prompts are read padded on the right, where nothing sees the padding; the rows that run are
    aligned at their ends (see `AlignedCache`), and positions are counted for each row.

    Choices do not depend on the rest of the batch: each is a function of the row's own logits and the
    request's own random numbers. Logits agree between batches to rounding (about 1e-6 in fp32).

    Args:
        model: a model of transformers with a head, such as ``LlamaForCausalLM``, on its device.
        never_ids: rows of the embedding that stand for nothing and are never generated.
        max_rows: most requests that run at once.
        cache_bytes: most memory for keys and values; one request always runs.

    Raises:
        InputError: the model does not say how long its context is, has no head, or keeps something else than
            keys and values.
    """

    def __init__(
        self,
        model: Any,
        never_ids: frozenset[int] = frozenset(),
        max_rows: int = 64,
        cache_bytes: int = 4 * 2**30,
    ) -> None:
        self._model = model.eval()
        self._device = model.device
        self._never_ids = never_ids
        self._max_rows = max_rows
        self._head = model.get_output_embeddings()
        if self._head is None:
            raise InputError(f"{type(model).__name__} has no head that predicts tokens")
        self._takes_positions = "position_ids" in inspect.signature(model.forward).parameters
        dtype = _DTYPE_NAMES.get(model.dtype, str(model.dtype))
        num_rows = model.get_input_embeddings().weight.shape[0]
        self._info = EngineInfo(_context_tokens(model), num_rows, dtype, CAPABILITIES)
        self._max_cached_slots = cache_bytes // self._slot_bytes()
        self._cache = AlignedCache()
        self._waiting: deque[tuple[int, GenerateRequest]] = deque()
        self._running: list[Running] = []
        self._next_id = 0

    @property
    def info(self) -> EngineInfo:
        """What this engine can do."""
        return self._info

    def submit(self, request: GenerateRequest) -> int:
        """Accept a request and return its id.

        Raises:
            InputError: it does not fit the context, has an id outside the vocabulary, or suppresses
                every token.
        """
        self.info.check_generate(request)
        request = replace(request, suppress_ids=request.suppress_ids | self._never_ids)
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
        self._drop({event.id for event in events if event.finish_reason is not None})
        return events

    @torch.inference_mode()
    def cancel(self, request_id: int) -> None:
        """Forget a request, waiting or running; unknown ids are ignored."""
        self._waiting = deque(entry for entry in self._waiting if entry[0] != request_id)
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

    def _score_part(self, requests: Sequence[ScoreRequest], scores: Sequence[Score]) -> None:
        rows = [[*r.context_ids, *r.target_ids] for r in requests]
        token_ids_BT, positions_BT = self._pad([row[:-1] for row in rows])
        cache = _new_cache()
        for start, stop in self._windows(requests, token_ids_BT.shape[1]):
            # Of each row: the places in this window whose next token is a target.
            spans = [
                (max(start, len(request.context_ids) - 1), min(stop, len(row) - 1))
                for request, row in zip(requests, rows, strict=True)
            ]
            places = [(b, t) for b, span in enumerate(spans) for t in range(*span)]
            wanted = self._places([b for b, _ in places], [t - start for _, t in places])
            window = slice(start, stop)
            logits_NV = self._forward(token_ids_BT[:, window], positions_BT[:, window], None, cache, wanted)
            targets_N = torch.tensor([rows[b][t + 1] for b, t in places], device=self._device)
            num_top = [requests[b].num_top_logprobs for b, _ in places]
            add_scores([scores[b] for b, _ in places], num_top, logits_NV, targets_N)

    def _windows(self, requests: Sequence[ScoreRequest], width: int) -> Iterator[tuple[int, int]]:
        """Cut the columns of a batch so that the targets of each part give few enough logits."""
        most = max(1, _LOGITS_ELEMENTS // (self.info.vocab_size * len(requests)))
        first = min(len(request.context_ids) for request in requests) - 1
        return pairwise([0, *range(first + most, width, most), width])

    def _decode(self) -> list[TokenEvent]:
        mask_BS = self._cache.next_slot(self._device)
        token_ids_B1 = torch.tensor(
            [[running.answer_ids[-1]] for running in self._running], device=self._device
        )
        positions_B1 = torch.tensor(
            [[running.num_tokens - 1] for running in self._running], device=self._device
        )
        rows = list(range(len(self._running)))
        wanted = self._places(rows, [0] * len(rows))
        logits_BV = self._forward(token_ids_B1, positions_B1, mask_BS, self._cache.cache, wanted)
        return self._choose(logits_BV, self._running)

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
        events = {}
        lengths = [len(one.request.prompt_ids) for one in new]
        for part in by_length(list(range(len(new))), lengths, _FORWARD_TOKENS):
            for event in self._prefill([new[i] for i in part]):
                events[event.id] = event
        return [events[one.id] for one in new]

    def _prefill(self, joining: list[Running]) -> list[TokenEvent]:
        token_ids_BT, positions_BT = self._pad([one.request.prompt_ids for one in joining])
        lengths = [len(one.request.prompt_ids) for one in joining]
        cache = _new_cache()
        wanted = self._places(list(range(len(joining))), [length - 1 for length in lengths])
        logits_BV = self._forward(token_ids_BT, positions_BT, None, cache, wanted)
        self._cache.add(cache, lengths)
        self._running += joining
        return self._choose(logits_BV, joining)

    def _choose(self, logits_BV: Tensor, batch: Sequence[Running]) -> list[TokenEvent]:
        choices = choose(logits_BV, [running.turn() for running in batch])
        return [running.take(choice) for running, choice in zip(batch, choices, strict=True)]

    def _drop(self, ids: set[int]) -> None:
        kept = [row for row, running in enumerate(self._running) if running.id not in ids]
        if len(kept) < len(self._running):
            self._running = [self._running[row] for row in kept]
            self._cache.keep(kept)

    def _forward(
        self,
        token_ids_BT: Tensor,
        positions_BT: Tensor,
        mask_BS: Tensor | None,
        cache: Any,
        wanted: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Return the logits of the wanted places (rows and columns), float32 [N, V]; the cache grows."""

        def select(head: Any, args: tuple[Tensor]) -> tuple[Tensor]:
            """Give the head only the wanted states: most of a prompt's logits would be thrown away."""
            rows_N, columns_N = wanted
            return (args[0][rows_N, columns_N][:, None],)

        extra = {"position_ids": positions_BT} if self._takes_positions else {}
        hook = self._head.register_forward_pre_hook(select)
        try:
            made = self._model(
                input_ids=token_ids_BT, attention_mask=mask_BS, past_key_values=cache, use_cache=True, **extra
            )
        finally:
            hook.remove()
        logits_NV: Tensor = made.logits[:, 0].float()
        return logits_NV

    def _places(self, rows: Sequence[int], columns: Sequence[int]) -> tuple[Tensor, Tensor]:
        rows_N, columns_N = (torch.tensor(where, dtype=torch.long) for where in (rows, columns))
        return rows_N.to(self._device), columns_N.to(self._device)

    def _pad(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Return token ids and positions of rows padded on the right, each int64 [B, T]."""
        width = max(len(row) for row in rows)
        token_ids_BT = np.zeros((len(rows), width), dtype=np.int64)
        for b, row in enumerate(rows):
            token_ids_BT[b, : len(row)] = row
        positions_BT = torch.arange(width, device=self._device).expand(len(rows), width)
        return torch.from_numpy(token_ids_BT).to(self._device), positions_BT

    @torch.inference_mode()
    def _slot_bytes(self) -> int:
        """Return the bytes that one position of one row takes, after a look at what the model keeps."""
        cache = _new_cache()
        token_ids_BT, positions_BT = self._pad([[0, 0]])
        try:
            self._forward(token_ids_BT, positions_BT, None, cache, self._places([0], [1]))
            parts = [part for layer in cache.layers for part in (layer.keys, layer.values)]
            plain = bool(parts) and all(part.ndim == 4 and part.shape[2] == 2 for part in parts)
        except Exception as error:  # whatever a model of this kind raises when it is given keys and values
            raise InputError(f"{type(self._model).__name__} cannot be run: {error}") from error
        if not plain:
            raise InputError(f"{type(self._model).__name__} keeps something else than keys and values")
        num_bytes: int = sum(part.nbytes for part in parts) // 2
        return num_bytes


def _new_cache() -> Any:
    from transformers import DynamicCache

    return DynamicCache()


def _context_tokens(model: Any) -> int:
    config = model.config.get_text_config()
    for name in _CONTEXT_NAMES:
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    raise InputError(f"the model's config.json names no context; it needs one of {', '.join(_CONTEXT_NAMES)}")
