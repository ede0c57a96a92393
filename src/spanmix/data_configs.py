"""The recipe's ``data``: which sources are mixed how, and how documents become rows."""

from __future__ import annotations

from dataclasses import dataclass

from spanmix.bounds import MANY, require, require_from_to, require_weight

_MAX_BATCH_POSITIONS = 1 << 28
_CHOICES = {
    "corruption": ("fresh", "fixed"),
    "unit": ("document", "sequence"),
    "positions": ("restart", "continue"),
}


@dataclass(frozen=True)
class SourceConfig:
    """One source in the mixture; weights count packed tokens.

    Args:
        name: the source's name in the corpus.
        weight: relative share of the packed tokens.
        max_epochs: how often its documents are read; then the others go on in their proportions. None
            means without end.
    """

    name: str
    weight: float
    max_epochs: int | None = None

    def __post_init__(self) -> None:
        require_weight("data.sources.weight", self.weight)
        if self.max_epochs is not None:
            require_from_to("data.sources.max_epochs", self.max_epochs, 1, MANY)


@dataclass(frozen=True)
class StageConfig:
    """Other weights from a step on.

    Args:
        from_step: how many steps come before; `data.sources` has the weights of the first stage.
        weights: the new weight of each source by its name; one that is not named gets none.
    """

    from_step: int
    weights: dict[str, float]

    def __post_init__(self) -> None:
        require_from_to("data.stages.from_step", self.from_step, 1, MANY)
        require(len(self.weights) >= 1, "data.stages.weights", self.weights, "name at least one source")
        for name, weight in self.weights.items():
            require_weight(f"data.stages.weights.{name}", weight)


@dataclass(frozen=True)
class DataConfig:
    """How documents become rows.

    Args:
        row_tokens: positions in a row.
        global_batch_rows: rows in an optimizer step.
        sources: the mixture.
        window_documents: documents that are packed together.
        stages: other weights of the sources, from later steps on.
        corruption: ``fresh`` draws objectives and spans anew in every epoch, ``fixed`` once for all.
        unit: ``document`` packs whole pieces, best fit, and gives every document its objective;
            ``sequence`` lays documents end to end, cuts them where the row ends and gives every row
            its objective, as the paper does.
        document_mask: false lets the documents of a row see those before them.
        positions: ``restart`` counts from 0 in every example, ``continue`` through the row.
    """

    row_tokens: int
    global_batch_rows: int
    sources: tuple[SourceConfig, ...]
    window_documents: int = 512
    stages: tuple[StageConfig, ...] = ()
    corruption: str = "fresh"
    unit: str = "document"
    document_mask: bool = True
    positions: str = "restart"

    def __post_init__(self) -> None:
        size = (self.row_tokens, self.global_batch_rows)
        require_from_to("data.row_tokens", size[0], 32, 1_048_576)
        require_from_to("data.global_batch_rows", size[1], 1, 65_536)
        rule = f"their product is the positions of a batch, so keep it to {_MAX_BATCH_POSITIONS:,}"
        require(size[0] * size[1] <= _MAX_BATCH_POSITIONS, "data.(row_tokens, global_batch_rows)", size, rule)
        require(len(self.sources) >= 1, "data.sources", self.sources, "name at least one source")
        names = [source.name for source in self.sources]
        require(len(set(names)) == len(names), "data.sources", names, "name each source once")
        require_from_to("data.window_documents", self.window_documents, 1, 1_000_000)
        self._check_stages(names)
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            require(value in known, f"data.{name}", value, f"use one of {', '.join(known)}")

    def _check_stages(self, names: list[str]) -> None:
        steps = [stage.from_step for stage in self.stages]
        require(steps == sorted(set(steps)), "data.stages.from_step", steps, "list the stages in order")
        for stage in self.stages:
            unknown = sorted(set(stage.weights) - set(names))
            rule = f"use the names in data.sources: {', '.join(names)}"
            require(not unknown, "data.stages.weights", unknown, rule)
