"""Score a prefix-LM as it was trained: what stands in front of the targets is seen in both directions.

Left to right, all in front of the first target is the prefix. In an infill prompt it ends with ``<sep>``, as
in training; the sentinel and the lead behind it are read as targets are. An arm that was trained causally in
one of the two ways is scored causally in that way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.decoder import Decoder
from spanmix.objective_configs import (
    CausalConfig,
    FimConfig,
    InfillConfig,
    ObjectiveConfig,
    PrefixLMConfig,
    Ul2Config,
)


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

    def num_prefix_tokens(self, context_ids: Sequence[int]) -> int:
        """Return how much of a context is seen in both directions."""
        ids = list(context_ids)
        if self._sep_id in ids:
            return len(ids) - ids[::-1].index(self._sep_id) if self._reading.shown else 0
        return len(ids) if self._reading.text else 0
