"""Score a prefix-LM as it was trained: what stands in front of the targets is seen in both directions.

Left to right, all in front of the first target is the prefix. In an infill prompt it ends with ``<sep>``, as
in training; the sentinel and the lead behind it are read as targets are. An arm that was trained causally in
one of the two ways is scored causally in that way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from spanmix.generate.engine import Score, ScoreRequest
from spanmix.generate.lengths import by_length
from spanmix.generate.scores import add_scores
from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.decoder import Decoder
from spanmix.model.masks import AttentionMask
from spanmix.objective_configs import (
    CausalConfig,
    FimConfig,
    InfillConfig,
    ObjectiveConfig,
    PrefixLMConfig,
    Ul2Config,
)
from spanmix.types import PAD_SEGMENT

_FORWARD_TOKENS = 4096


@dataclass(frozen=True)
class Reading:
    """Which part of what it is shown a model reads in both directions.

    Args:
        text: the text in front of what it goes on with.
        shown: an infill prompt, up to ``<sep>``.
    """

    text: bool
    shown: bool

    @classmethod
    def of(cls, objectives: Sequence[ObjectiveConfig]) -> Reading:
        """Return how a model reads that was trained with these objectives.

        Where documents are written left to right both with a prefix that is seen both ways and without one,
        the model is read without.

        >>> Reading.of([CausalConfig(weight=1), InfillConfig(weight=1, bidirectional=True)])
        Reading(text=False, shown=True)
        """
        plain = any(isinstance(one, CausalConfig | FimConfig) for one in objectives)
        prefixed = any(
            isinstance(one, PrefixLMConfig | Ul2Config) and one.bidirectional for one in objectives
        )
        shown = any(isinstance(one, InfillConfig | Ul2Config) and one.bidirectional for one in objectives)
        return cls(prefixed and not plain, shown)


class ReadingEngine(TorchEngine):
    """A `TorchEngine` that scores with a prefix in front of the targets.

    Args:
        decoder: the model.
        dtype: what it computes in.
        reading: what it reads in both directions.
        sep_id: ``<sep>``.
    """

    def __init__(self, decoder: Decoder, dtype: torch.dtype, reading: Reading, sep_id: int) -> None:
        super().__init__(decoder, dtype)
        self._reading = reading
        self._sep_id = sep_id

    @torch.inference_mode()
    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Score each request, with its prefix; see `TorchEngine.score`."""
        if not (self._reading.text or self._reading.shown):
            return super().score(requests)
        for request in requests:
            self.info.check_score(request)
        scores = [Score([], []) for _ in requests]
        lengths = [len(one.context_ids) + len(one.target_ids) - 1 for one in requests]
        todo = [index for index, request in enumerate(requests) if len(request.target_ids) > 0]
        for part in by_length(todo, lengths, _FORWARD_TOKENS):
            self._score_rows([requests[index] for index in part], [scores[index] for index in part])
        return scores

    def _score_rows(self, requests: Sequence[ScoreRequest], scores: Sequence[Score]) -> None:
        rows = [[*one.context_ids, *one.target_ids] for one in requests]
        width = max(map(len, rows)) - 1
        token_ids_BT = np.zeros((len(rows), width), dtype=np.int64)
        segment_ids_BT = np.full((len(rows), width), PAD_SEGMENT, dtype=np.int64)
        in_prefix_BT = np.zeros((len(rows), width), dtype=bool)
        for b, (request, row) in enumerate(zip(requests, rows, strict=True)):
            token_ids_BT[b, : len(row) - 1] = row[:-1]
            segment_ids_BT[b, : len(row) - 1] = 1
            in_prefix_BT[b, : self.num_prefix_tokens(request.context_ids)] = True
        positions_BT = np.broadcast_to(np.arange(width), token_ids_BT.shape).copy()
        tokens, positions, segments, in_prefix = (
            torch.from_numpy(array).to(self._device)
            for array in (token_ids_BT, positions_BT, segment_ids_BT, in_prefix_BT)
        )
        mask = AttentionMask.from_segments(segments, in_prefix)
        hidden_BTD = self._decoder(tokens, positions, mask, dtype=self._dtype)
        for b, (request, row) in enumerate(zip(requests, rows, strict=True)):
            logits_NV = self._decoder.head(hidden_BTD[b, len(request.context_ids) - 1 : len(row) - 1]).float()
            targets_N = torch.tensor(list(request.target_ids), device=self._device)
            add_scores(scores[b], logits_NV, targets_N)

    def num_prefix_tokens(self, context_ids: Sequence[int]) -> int:
        """Return how much of a context is seen in both directions."""
        ids = list(context_ids)
        if self._sep_id in ids:
            return len(ids) - ids[::-1].index(self._sep_id) if self._reading.shown else 0
        return len(ids) if self._reading.text else 0
