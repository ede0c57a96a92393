"""Choose which objective a document gets in an epoch."""

from __future__ import annotations

from collections.abc import Sequence

from spanmix.config import ObjectiveConfig
from spanmix.errors import InputError
from spanmix.objectives.causal import Causal
from spanmix.objectives.infill import Infill
from spanmix.objectives.objective import Alphabet, DocumentKey, Objective
from spanmix.seeding import below
from spanmix.types import Example, IntArray

_PARTS = 1 << 32
"""What the weights are scaled to, as the draw is in integers."""


class ObjectiveMixture:
    """The recipe's objectives with their weights; one is drawn per (source, document, epoch).

    Args:
        configs: the recipe's ``objectives``.
        alphabet: the tokenizer's control ids and line ends.
        row_tokens: positions in a row.

    Raises:
        InputError: a draw could need more sentinels than the tokenizer has (law 7).
    """

    def __init__(self, configs: Sequence[ObjectiveConfig], alphabet: Alphabet, row_tokens: int) -> None:
        self.names = [config.name for config in configs]
        self.objectives = [_build(i, config, alphabet, row_tokens) for i, config in enumerate(configs)]
        total = sum(config.weight for config in configs)
        self._weights = [round(config.weight / total * _PARTS) for config in configs]
        have = len(alphabet.control.masks)
        for config, objective in zip(configs, self.objectives, strict=True):
            if objective.max_sentinels > have:
                raise InputError(
                    f"objective {config.name} can draw {objective.max_sentinels} spans, but the tokenizer "
                    f"has {have} sentinels; lower objectives.max_spans or prepare a corpus with more "
                    "tokenizer.num_sentinels"
                )

    def choose(self, key: DocumentKey) -> Objective:
        """Return the objective of this document in this epoch."""
        place = below(key.words("objective", 1)[0], sum(self._weights))
        for weight, objective in zip(self._weights, self.objectives, strict=True):
            if place < weight:
                return objective
            place -= weight
        raise AssertionError("below() returned its bound")

    def examples(self, tokens: IntArray, key: DocumentKey) -> list[Example]:
        """Write a document with the objective that it draws."""
        return self.choose(key).examples(tokens, key)


def _build(index: int, config: ObjectiveConfig, alphabet: Alphabet, row_tokens: int) -> Objective:
    if config.name == "infill":
        return Infill(index, config, alphabet, row_tokens)
    return Causal(index, alphabet, row_tokens)
