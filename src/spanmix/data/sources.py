"""Say which document comes next, so that the sources' shares of the *tokens* follow their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from spanmix.config import SourceConfig
from spanmix.data.order import Permutation
from spanmix.errors import InputError
from spanmix.objectives.objective import DocumentKey
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


@dataclass(frozen=True)
class SourcePosition:
    """How far a source has been read, in integers.

    Args:
        epoch: how many times it has been read to its end.
        place: documents of this epoch that have been taken.
        tokens: positions that its examples have taken in rows so far.
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


class Mixture:
    """Several sources as one endless stream of documents.

    The next document comes from the source that is furthest behind its share, counted in packed
    tokens; ties go to the source named first. A source that ends starts its next epoch in a new order.

    Args:
        configs: names and weights.
        stores: the documents of each named source.
        seed: the run's seed.

    Raises:
        InputError: a named source is not in the corpus, or holds no documents.
    """

    def __init__(self, configs: Sequence[SourceConfig], stores: dict[str, DocumentStore], seed: int) -> None:
        for config in configs:
            if config.name not in stores:
                raise InputError(
                    f"data.sources names {config.name!r}, but the corpus has {', '.join(sorted(stores))}"
                )
            if stores[config.name].num_documents == 0:
                raise InputError(
                    f"source {config.name!r} holds no documents; prepare it again or leave it out"
                )
        self.names = [config.name for config in configs]
        self.stores = [stores[config.name] for config in configs]
        self.seed = seed
        self._keys = [name_key(name) for name in self.names]
        self._weights = [config.weight for config in configs]

    def start(self) -> tuple[SourcePosition, ...]:
        """Return the position before the first document."""
        return tuple(SourcePosition() for _ in self.names)

    def next_document(self, positions: Sequence[SourcePosition]) -> DocumentKey:
        """Return which document comes next after these positions."""
        behind = [position.tokens / weight for position, weight in zip(positions, self._weights, strict=True)]
        source = behind.index(min(behind))
        position = positions[source]
        order = Permutation(self.seed, self._keys[source], position.epoch, self.stores[source].num_documents)
        return DocumentKey(self.seed, source, self._keys[source], order[position.place], position.epoch)

    def tokens(self, key: DocumentKey) -> IntArray:
        """Return the ids of a document."""
        return self.stores[key.source].tokens(key.document)

    def advance(
        self, positions: Sequence[SourcePosition], source: int, num_tokens: int
    ) -> tuple[SourcePosition, ...]:
        """Return the positions after one more document of `source`, which took `num_tokens` positions."""
        old = positions[source]
        epoch, place = old.epoch, old.place + 1
        if place == self.stores[source].num_documents:
            epoch, place = epoch + 1, 0
        new = list(positions)
        new[source] = SourcePosition(epoch, place, old.tokens + num_tokens)
        return tuple(new)
