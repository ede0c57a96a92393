"""Choose which objective a document gets in an epoch."""

from __future__ import annotations

from collections.abc import Sequence

from spanmix.errors import InputError, nearest
from spanmix.objective_configs import ObjectiveConfig
from spanmix.objectives.build import build, denoisers
from spanmix.objectives.characters import CharacterCutter
from spanmix.objectives.objective import Alphabet, DocumentKey, Objective, TokenizedDocument, write_all
from spanmix.seeding import below
from spanmix.types import Example

_PARTS = 1 << 32
"""What the weights are scaled to, as the draw is in integers."""


class ObjectiveMixture:
    """The recipe's objectives with their weights; one is drawn per (source, document, epoch).

    Args:
        configs: the recipe's ``objectives``.
        alphabet: the tokenizer's control ids and line ends.
        row_tokens: positions in a row.
        sources: names of the run's sources, in its order.
        cutter: cuts at characters; needed where an objective does.

    Raises:
        InputError: a draw could need more sentinels than the tokenizer has (law 7); a row is too short
            for the most spans; an objective names a source that is not there, or a source has none.
    """

    def __init__(
        self,
        configs: Sequence[ObjectiveConfig],
        alphabet: Alphabet,
        row_tokens: int,
        sources: Sequence[str],
        cutter: CharacterCutter | None = None,
    ) -> None:
        self.row_tokens = row_tokens
        self.names: list[str] = []
        self.objectives: list[Objective] = []
        weights: list[list[float]] = [[] for _ in sources]
        for index, config in enumerate(configs):
            _check_sources(config, sources)
            written = denoisers(config)
            for part in written:
                self.objectives.append(build(index, part, alphabet, cutter))
                for source, name in enumerate(sources):
                    taken = not config.sources or name in config.sources
                    weights[source].append(config.weight / len(written) if taken else 0.0)
            # Two entries of one kind are told apart in metrics: infill, infill_2, ...
            same = sum(other.name == config.name for other in configs[:index])
            self.names.append(f"{config.name}_{same + 1}" if same else config.name)
        self._weights = [_in_parts(row, name) for row, name in zip(weights, sources, strict=True)]
        for objective in self.objectives:
            _check_room(self.names[objective.index], objective, alphabet, row_tokens)

    def choose(self, key: DocumentKey, index: int | None = None) -> Objective:
        """Return the objective of this document in this epoch.

        If `index` is given, it is one of the recipe's entry `index`.
        """
        weights = self._weights[key.source]
        if index is not None:
            pairs = zip(weights, self.objectives, strict=True)
            weights = [weight if objective.index == index else 0 for weight, objective in pairs]
        return self._at(key.words("objective", 1)[0], weights)

    def is_drawn(self, index: int, source: int) -> bool:
        """Return whether documents of a source can get the recipe's entry `index`."""
        pairs = zip(self._weights[source], self.objectives, strict=True)
        return any(weight for weight, objective in pairs if objective.index == index)

    def share(self, index: int, source: int) -> float:
        """Return the probability that a document of a source gets the recipe's entry `index`."""
        weights = self._weights[source]
        chosen = [w for w, o in zip(weights, self.objectives, strict=True) if o.index == index]
        return sum(chosen) / sum(weights)

    def choose_by_word(self, word: int, source: int = 0) -> Objective:
        """Return the objective that a random word stands for, among those of a source."""
        return self._at(word, self._weights[source])

    @property
    def same_for_all_sources(self) -> bool:
        """Whether every source has the same weights."""
        return all(weights == self._weights[0] for weights in self._weights)

    def examples(self, document: TokenizedDocument, key: DocumentKey) -> list[Example]:
        """Write a document with the objective that it draws."""
        return write_all(self.choose(key), document, key, self.row_tokens)

    def of(self, index: int) -> Objective:
        """Return the (first) objective of the recipe's entry `index`."""
        return next(objective for objective in self.objectives if objective.index == index)

    def _at(self, word: int, weights: Sequence[int]) -> Objective:
        place = below(word, sum(weights))
        for weight, objective in zip(weights, self.objectives, strict=True):
            if place < weight:
                return objective
            place -= weight
        raise AssertionError("below() returned its bound")


def _check_sources(config: ObjectiveConfig, sources: Sequence[str]) -> None:
    for name in config.sources:
        if name not in sources:
            raise InputError(
                f"objective {config.name} is for source {name!r}{nearest(name, sources)}, which data.sources "
                "lacks"
            )


def _in_parts(weights: Sequence[float], source: str) -> list[int]:
    if not sum(weights):
        raise InputError(
            f"source {source!r} has no objective: every one names other sources in objectives.sources; add "
            f"{source!r} to one, or an objective without sources"
        )
    return [round(weight / sum(weights) * _PARTS) for weight in weights]


def _check_room(name: str, objective: Objective, alphabet: Alphabet, row_tokens: int) -> None:
    have = len(alphabet.control.masks)
    if objective.max_sentinels > have:
        raise InputError(
            f"objective {name} can draw {objective.max_sentinels} spans, but the tokenizer has {have} "
            "sentinels; lower objectives.max_spans or prepare a corpus with more tokenizer.num_sentinels"
        )
    if row_tokens < objective.wanted_room:
        raise InputError(
            f"data.row_tokens is {row_tokens}; objective {name} with up to {objective.max_sentinels} spans "
            f"(objectives.max_spans) needs rows of at least {objective.wanted_room}"
        )
