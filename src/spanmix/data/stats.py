"""Count what a run's rows are made of: shares of sources and objectives, padding, spans."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from spanmix.data.anatomy import Anatomist
from spanmix.data.loader import Loader
from spanmix.data.packing import Row
from spanmix.text.tokenizer import Tokenizer
from spanmix.types import Example

_MANY_BARS = 16


@dataclass
class Tally:
    """Counts of examples.

    Args:
        pieces: examples.
        positions: places that they take in rows.
        with_loss: tokens that carry loss.
        hidden: tokens of text in hidden spans.
        text: tokens of text.
        spans: hidden spans.
        documents: first pieces.
    """

    pieces: int = 0
    positions: int = 0
    with_loss: int = 0
    hidden: int = 0
    text: int = 0
    spans: int = 0
    documents: int = 0

    @property
    def loss_share(self) -> float | None:
        """Share of the positions that carry loss; None if there are none."""
        return self.with_loss / self.positions if self.positions else None

    @property
    def hidden_share(self) -> float | None:
        """Share of the text that is in hidden spans; None if there is none."""
        return self.hidden / self.text if self.text else None

    @property
    def mean_span(self) -> float | None:
        """Mean number of tokens in a hidden span; None if there is none."""
        return self.hidden / self.spans if self.spans else None


@dataclass
class DataStats:
    """What was counted over some rows of one stage.

    Args:
        stage: number of the stage, from 1.
        weights: the share that each source shall have.
        first_row: number of the first row.
        rows, positions, padding: rows, their places, and those that hold nothing.
        sources, objectives: tallies by name.
        pairs: tallies by (source, objective).
        asked: the share of the documents of a source that shall have an objective, by (source, objective).
        span_lengths: by objective, how many spans have how many tokens.
        spans_in_piece: by objective, how many pieces that hide something have how many spans.
    """

    stage: int
    weights: dict[str, float]
    first_row: int
    rows: int = 0
    positions: int = 0
    padding: int = 0
    sources: dict[str, Tally] = field(default_factory=dict)
    objectives: dict[str, Tally] = field(default_factory=dict)
    pairs: dict[tuple[str, str], Tally] = field(default_factory=dict)
    asked: dict[tuple[str, str], float] = field(default_factory=dict)
    span_lengths: dict[str, Counter[int]] = field(default_factory=dict)
    spans_in_piece: dict[str, Counter[int]] = field(default_factory=dict)

    def share_of(self, source: str) -> float:
        """Return a source's share of the packed positions."""
        return self.sources[source].positions / max(1, self.positions - self.padding)

    def drawn(self, source: str, objective: str) -> float | None:
        """Return the share of the documents begun of a source that had an objective; None if none was."""
        begun = self.sources[source].documents
        return self.pairs[source, objective].documents / begun if begun else None

    def length_bars(self, objective: str) -> list[tuple[str, int]]:
        """How many of an objective's spans have how many tokens, in bins that double."""
        return binned(self.span_lengths[objective])

    def number_bars(self, objective: str) -> list[tuple[str, int]]:
        """How many of its pieces that hide something have how many spans, in bins if there are many."""
        counts = self.spans_in_piece[objective]
        most = max(counts, default=0)
        if most > _MANY_BARS:
            return binned(counts)
        return [(str(number), counts[number]) for number in range(1, most + 1)]

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain values, with each source's share beside its weight."""
        used = max(1, self.positions - self.padding)
        return {
            "stage": self.stage,
            "first_row": self.first_row,
            "rows": self.rows,
            "positions": self.positions,
            "padding_share": self.padding / max(1, self.positions),
            "sources": {
                name: asdict(tally) | {"share": tally.positions / used, "weight": self.weights[name]}
                for name, tally in self.sources.items()
            },
            "objectives": {
                name: asdict(tally) | {"share": tally.positions / used}
                for name, tally in self.objectives.items()
            },
            "pairs": [
                {"source": source, "objective": objective, "weight": self.asked[source, objective]}
                | asdict(tally)
                for (source, objective), tally in self.pairs.items()
            ],
            "span_lengths": _by_number(self.span_lengths),
            "spans_in_piece": _by_number(self.spans_in_piece),
        }


def _by_number(counts: dict[str, Counter[int]]) -> dict[str, dict[str, int]]:
    return {name: {str(n): count for n, count in sorted(found.items())} for name, found in counts.items()}


def shown(figure: float | None, form: str) -> str:
    """Write a figure in a form of Python's; a dash where nothing can be said.

    >>> shown(0.25, ".4f"), shown(0.25, ".1%"), shown(None, ".4f")
    ('0.2500', '25.0%', '-')
    """
    return "-" if figure is None else format(figure, form)


class DataCounter:
    """Counts rows, stage by stage.

    Args:
        loader: makes the rows.
        tokenizer: the corpus's.
    """

    def __init__(self, loader: Loader, tokenizer: Tokenizer) -> None:
        self._loader = loader
        self._anatomist = Anatomist(tokenizer)
        self.stages: list[DataStats] = []

    def add(self, row: Row, number: int) -> None:
        """Count a row, by its number in the run."""
        stage = self._loader.stage_of(number) + 1
        if not self.stages or self.stages[-1].stage != stage:
            self.stages.append(self._empty(stage, number))
        stats = self.stages[-1]
        used = sum(example.num_positions for example in row)
        stats.rows += 1
        stats.positions += self._loader.config.row_tokens
        stats.padding += self._loader.config.row_tokens - used
        for example in row:
            self._add(stats, example)

    def _add(self, stats: DataStats, example: Example) -> None:
        source = self._loader.mixture.names[example.ref.source]
        objective = self._loader.objectives.names[example.objective]
        anatomy = self._anatomist(example)
        with_loss = int((example.loss_weights > 0).sum())
        pair = stats.pairs.setdefault((source, objective), Tally())
        for tally in (stats.sources[source], stats.objectives[objective], pair):
            tally.pieces += 1
            tally.positions += example.num_positions
            tally.with_loss += with_loss
            tally.hidden += sum(anatomy.span_tokens)
            tally.text += anatomy.num_text_tokens
            tally.spans += len(anatomy.span_tokens)
            tally.documents += example.ref.piece == 0
        if anatomy.span_tokens:
            stats.span_lengths.setdefault(objective, Counter()).update(anatomy.span_tokens)
            stats.spans_in_piece.setdefault(objective, Counter())[len(anatomy.span_tokens)] += 1

    def _empty(self, stage: int, first_row: int) -> DataStats:
        stats = DataStats(stage, self._loader.mixture.shares(stage - 1), first_row)
        for number, source in enumerate(self._loader.mixture.names):
            for index, objective in enumerate(self._loader.objectives.names):
                share = self._loader.objectives.share(index, number)
                if share:
                    stats.asked[source, objective] = share
                    stats.pairs[source, objective] = Tally()
        stats.sources = {name: Tally() for name in self._loader.mixture.names}
        stats.objectives = {name: Tally() for name in self._loader.objectives.names}
        return stats


def binned(counts: Counter[int]) -> list[tuple[str, int]]:
    """Put counts of lengths into bins that double: 1, 2, 3-4, 5-8, and so on.

    >>> binned(Counter({1: 4, 2: 1, 3: 1, 9: 2}))
    [('1', 4), ('2', 1), ('3-4', 1), ('5-8', 0), ('9-16', 2)]
    """
    if not counts:
        return []
    bins: list[tuple[str, int]] = []
    low, high = 1, 1
    while low <= max(counts):
        label = str(low) if low == high else f"{low}-{high}"
        bins.append((label, sum(count for length, count in counts.items() if low <= length <= high)))
        low, high = high + 1, high * 2
    return bins
