"""Say which document comes next, so that the sources' shares of the *tokens* follow their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from spanmix.data.order import Permutation
from spanmix.data_configs import DataConfig
from spanmix.errors import InputError
from spanmix.objectives.objective import DocumentKey, TokenizedDocument
from spanmix.seeding import name_key
from spanmix.types import IntArray


class DocumentStore(Protocol):
    """The documents of one source, as token ids."""

    @property
    def num_documents(self) -> int:
        """How many there are."""
        ...

    def tokens(self, document: int) -> IntArray:
        """Return one document's ids, int32 [L], L >= 1, without its end token."""
        ...

    def num_prompt_tokens(self, document: int) -> int:
        """Return how many of them are a prompt; 0 in a document that has none."""
        ...

    def language(self, document: int) -> str:
        """Return its language, or ``""``."""
        ...


@dataclass(frozen=True)
class SourcePosition:
    """How far a source has been read, in integers.

    Args:
        epoch: how many times it has been read to its end.
        place: documents of this epoch that have been taken.
        tokens: positions that its examples have taken in rows of this stage so far.
    """

    epoch: int = 0
    place: int = 0
    tokens: int = 0

    def to_json(self) -> list[int]:
        """Return the three integers."""
        return [self.epoch, self.place, self.tokens]

    @classmethod
    def from_json(cls, value: Any) -> SourcePosition:
        """Read what `to_json` returned."""
        epoch, place, tokens = value
        return cls(epoch, place, tokens)


Positions = tuple[SourcePosition, ...]


class Mixture:
    """Several sources as one stream of documents.

    The next document comes from the source that is furthest behind its share, counted in packed
    tokens; ties go to the source named first. A source that ends starts its next epoch in a new order,
    unless it has had all that it may have; the others then go on in their own proportions.

    Args:
        config: names, weights, stages and epoch caps.
        stores: the documents of each named source.
        seed: the run's seed.
        with_languages: whether documents come with their language, which costs a look into a table.

    Raises:
        InputError: a named source is not in the corpus, or holds no documents.
    """

    def __init__(
        self, config: DataConfig, stores: dict[str, DocumentStore], seed: int, with_languages: bool = False
    ) -> None:
        for source in config.sources:
            if source.name not in stores:
                raise InputError(
                    f"data.sources names {source.name!r}, but the corpus has {', '.join(sorted(stores))}"
                )
            if stores[source.name].num_documents == 0:
                raise InputError(
                    f"source {source.name!r} holds no documents; prepare it again or leave it out"
                )
        self.names = [source.name for source in config.sources]
        self.stores = [stores[name] for name in self.names]
        self.seed = seed
        self._with_languages = with_languages
        self._fixed = config.corruption == "fixed"
        self._keys = [name_key(name) for name in self.names]
        self._max_epochs = [source.max_epochs for source in config.sources]
        first = [source.weight for source in config.sources]
        later = [[stage.weights.get(name, 0.0) for name in self.names] for stage in config.stages]
        self._weights = [first, *later]

    def shares(self, stage: int, positions: Positions | None = None) -> dict[str, float]:
        """Return the share of the packed tokens that each source shall have in a stage.

        If `positions` are given, those that are used up there leave their shares to the others.
        """
        places = self.start() if positions is None else positions
        weights = {
            name: 0.0 if self.is_used_up(source, places[source]) else self._weights[stage][source]
            for source, name in enumerate(self.names)
        }
        total = sum(weights.values()) or 1.0
        return {name: weight / total for name, weight in weights.items()}

    def caps_reached(self, before: Positions, after: Positions, stage: int) -> str | None:
        """Say which sources were read for the last time between two positions, and what holds from there."""
        ended = [
            f"{name} has been read {new.epoch} time{'s' if new.epoch > 1 else ''}"
            for source, (name, old, new) in enumerate(zip(self.names, before, after, strict=True))
            if self.is_used_up(source, new) and not self.is_used_up(source, old)
        ]
        if not ended:
            return None
        left = [f"{name} {share:.4f}" for name, share in self.shares(stage, after).items() if share]
        rest = f"from here the shares are {', '.join(left)}" if left else "no source is left"
        return f"{' and '.join(ended)}, as often as data.sources.max_epochs allows; {rest}"

    def start(self) -> Positions:
        """Return the positions before the first document."""
        return tuple(SourcePosition() for _ in self.names)

    def check(self, positions: Positions, stage: int) -> None:
        """Raise `InputError` unless positions and stage are those of such a mixture."""
        fits = len(positions) == len(self.stores) and stage < len(self._weights)
        if not fits or any(
            position.place >= store.num_documents
            for position, store in zip(positions, self.stores, strict=True)
        ):
            raise InputError(
                f"the saved data state has stage {stage} and {[p.to_json() for p in positions]} as (epoch, "
                f"place, tokens) of its sources, but there are {len(self._weights)} stages and "
                f"{[store.num_documents for store in self.stores]} documents"
            )

    def next_document(self, positions: Positions, stage: int = 0) -> DocumentKey | None:
        """Return which document comes next after these positions, or None when all sources are used up."""
        source = self._furthest_behind(positions, self._weights[stage])
        if source is None:
            return None
        key, position = self._keys[source], positions[source]
        order = Permutation(self.seed, key, position.epoch, self.stores[source].num_documents)
        corruption_epoch = 0 if self._fixed else position.epoch
        document = order[position.place]
        return DocumentKey(self.seed, source, key, document, position.epoch, corruption_epoch)

    def _furthest_behind(self, positions: Positions, weights: Sequence[float]) -> int | None:
        best: tuple[float, int] | None = None
        for source, (position, weight) in enumerate(zip(positions, weights, strict=True)):
            if weight and not self.is_used_up(source, position):
                behind = (position.tokens / weight, source)
                best = behind if best is None else min(best, behind)
        return None if best is None else best[1]

    def is_used_up(self, source: int, position: SourcePosition) -> bool:
        """Return whether a source has been read as often as it may be."""
        most = self._max_epochs[source]
        return most is not None and position.epoch >= most

    def document(self, key: DocumentKey) -> TokenizedDocument:
        """Return a document."""
        store, number = self.stores[key.source], key.document
        language = store.language(number) if self._with_languages else ""
        return TokenizedDocument(store.tokens(number), language, store.num_prompt_tokens(number))

    def advance(self, positions: Positions, source: int, num_tokens: int) -> Positions:
        """Return the positions after one more document of `source`, which took `num_tokens` positions."""
        old = positions[source]
        epoch, place = old.epoch, old.place + 1
        if place == self.stores[source].num_documents:
            epoch, place = epoch + 1, 0
        new = list(positions)
        new[source] = SourcePosition(epoch, place, old.tokens + num_tokens)
        if self.is_used_up(source, new[source]):
            return without_debts(tuple(new))
        return tuple(new)


def without_debts(positions: Positions) -> Positions:
    """Return the positions with nothing counted yet, as at the start of a stage.

    What a source was ahead or behind under other weights is not made up for.
    """
    return tuple(SourcePosition(position.epoch, position.place) for position in positions)
