"""Run token lists of unequal lengths through a decoder of ours: padding, positions, the logits wanted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from spanmix.generate.engine import Score, ScoreRequest
from spanmix.generate.row_cache import RowCache
from spanmix.generate.scores import add_scores
from spanmix.model.decoder import Decoder
from spanmix.model.masks import AttentionMask
from spanmix.types import PAD_SEGMENT

Rows = Sequence[Sequence[int]]
Places = Sequence[tuple[int, int]]
"""Rows and columns of a batch."""

_FEWEST_READ = 128
"""Tokens of a prompt that are read at once, however long it takes: fewer are hardly read sooner."""
_FP32_FLOPS, _BF16_FLOPS = 6e10, 5e11
"""Of a thread's matrix products of some hundred rows, with AVX2 and with AMX (docs/performance.md)."""
_LOGITS_ELEMENTS = 4_000_000
"""Most logits, positions times vocabulary, that exist at once while scoring."""


class DecoderRunner:
    """A decoder, the type it computes in, and the device that it is on."""

    def __init__(self, decoder: Decoder, dtype: torch.dtype) -> None:
        self.decoder = decoder
        self.dtype = dtype
        self.device = decoder.wte.weight.device

    def whole(self, rows: Rows, prefixes: Sequence[int]) -> Tensor:
        """Return the hidden states of rows that are read from their beginning, without a cache, [B, T, D].

        Args:
            rows: the tokens.
            prefixes: how many first tokens of each row see each other in both directions.
        """
        token_ids_BT, positions_BT = self._pad(rows, [0] * len(rows))
        lengths_B1 = torch.tensor([[len(row)] for row in rows], device=self.device)
        segment_ids_BT = torch.where(positions_BT < lengths_B1, 1, PAD_SEGMENT)
        prefixes_B1 = torch.tensor(prefixes, device=self.device)[:, None]
        in_prefix_BT = positions_BT < prefixes_B1 if any(prefixes) else None
        mask = AttentionMask.from_segments(segment_ids_BT, in_prefix_BT)
        hidden_BTD: Tensor = self.decoder(token_ids_BT, positions_BT, mask, dtype=self.dtype)
        return hidden_BTD

    def further(
        self, cache: RowCache, first: int, rows: Rows, starts: Sequence[int], only_last: bool = False
    ) -> Tensor:
        """Return the hidden states of tokens that go on from what a cache holds, [B, T, D].

        Args:
            cache: keys and values of what is in front of them; theirs are added.
            first: the cache's row that belongs to the first of `rows`; the others follow it.
            rows: the tokens.
            starts: position of the first token of each row.
            only_last: return that of each row's last token alone, [B, 1, D].
        """
        cache.select(first, first + len(rows))
        token_ids_BT, positions_BT = self._pad(rows, starts)
        last_B = torch.tensor([len(row) - 1 for row in rows], device=self.device) if only_last else None
        hidden_BTD: Tensor = self.decoder(
            token_ids_BT, positions_BT, cache=cache, dtype=self.dtype, only_B=last_B
        )
        return hidden_BTD

    def logits(self, hidden_BTD: Tensor, places: Places) -> Tensor:
        """Return the logits at some places, float32 [N, V]."""
        rows_N = torch.tensor([b for b, _ in places], device=self.device)
        columns_N = torch.tensor([t for _, t in places], device=self.device)
        logits_NV: Tensor = self.decoder.head(hidden_BTD[rows_N, columns_N]).float()
        return logits_NV

    def score(
        self, requests: Sequence[ScoreRequest], prefixes: Sequence[int], scores: Sequence[Score]
    ) -> None:
        """Add an entry for each target of some requests to their scores, without a cache.

        Args:
            requests: all have targets.
            prefixes: how many first tokens of each see each other in both directions.
            scores: of each request.
        """
        rows = [[*request.context_ids, *request.target_ids] for request in requests]
        hidden_BTD = self.whole([row[:-1] for row in rows], prefixes)
        places = [
            (b, t)
            for b, (request, row) in enumerate(zip(requests, rows, strict=True))
            for t in range(len(request.context_ids) - 1, len(row) - 1)
        ]
        chunk = max(1, _LOGITS_ELEMENTS // self.decoder.architecture.vocab_size)
        for start in range(0, len(places), chunk):
            part = places[start : start + chunk]
            targets_N = torch.tensor([rows[b][t + 1] for b, t in part], device=self.device)
            num_top = [requests[b].num_top_logprobs for b, _ in part]
            add_scores([scores[b] for b, _ in part], num_top, self.logits(hidden_BTD, part), targets_N)

    def num_read_in(self, seconds: float, most: int) -> int:
        """Return how many tokens, up to `most`, are read at once in about so long; `_FEWEST_READ` at least.

        What is read at once changes how sums are rounded, so this is a rule, not a measurement: so many
        operations a thread and second as a processor of these days does in this type.
        """
        if self.device.type != "cpu":
            return most
        flops = torch.get_num_threads() * (_BF16_FLOPS if self.dtype == torch.bfloat16 else _FP32_FLOPS)
        shape = self.decoder.architecture
        fits = int(seconds * flops / (2 * shape.num_layers * shape.num_block_weights))
        return min(most, max(_FEWEST_READ, 1 << max(0, fits.bit_length() - 1)))

    def _pad(self, rows: Rows, starts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return token ids and positions of rows padded on the right, each int64 [B, T].

        The padding's token does not matter. Its positions go on, up to the first one that is behind all
        rows, so what is stored there is behind the end of its own row, and overwritten before it is seen.
        """
        width = max(len(row) for row in rows)
        token_ids_BT = np.zeros((len(rows), width), dtype=np.int64)
        for b, row in enumerate(rows):
            token_ids_BT[b, : len(row)] = row
        positions_BT = np.asarray(starts)[:, None] + np.arange(width)
        behind_all = max(start + len(row) for row, start in zip(rows, starts, strict=True))
        np.minimum(positions_BT, behind_all, out=positions_BT)
        tokens, positions = torch.from_numpy(token_ids_BT), torch.from_numpy(positions_BT)
        return tokens.to(self.device), positions.to(self.device)
