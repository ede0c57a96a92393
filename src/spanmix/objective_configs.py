"""The recipe's objectives: one dataclass for each, told apart by `name`.

Bounds that the paper does not publish are our own choice; ``docs/objectives.md`` says which. A value
out of bounds raises `InputError` naming the field.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from spanmix.bounds import MAX_ENTRIES, require, require_from_to, require_weight

CUTS = ("token", "character")
SPAN_LENGTHS = ("uniform", "fixed", "geometric", "poisson")


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """What every objective has.

    Args:
        weight: relative probability that a document gets this objective in an epoch.
        sources: the sources whose documents may get it; empty means all.
        mode_token: a special token of the tokenizer to write behind the start, which tells the model
            what the example is; it carries no loss.
    """

    weight: float
    sources: tuple[str, ...] = ()
    mode_token: str | None = None

    def __post_init__(self) -> None:
        require_weight("objectives.weight", self.weight)


@dataclass(frozen=True, kw_only=True)
class CausalConfig(_Shared):
    """Next-token prediction."""

    name: Literal["causal"] = "causal"


@dataclass(frozen=True, kw_only=True)
class SpanUnitsConfig:
    """What the hidden spans of a piece are made of: relative weights, drawn for each piece.

    Args:
        random: spans of any tokens (or characters, see `InfillConfig.cut`).
        lines: the same, moved to the nearest ends of lines.
        blocks: lines that are indented more deeply than the line above them.
        nodes: expressions, statements and function bodies, where the language has a grammar; elsewhere
            `random` takes their place.
    """

    random: float = 1.0
    lines: float = 0.0
    blocks: float = 0.0
    nodes: float = 0.0

    def __post_init__(self) -> None:
        weights = {"random": self.random, "lines": self.lines, "blocks": self.blocks, "nodes": self.nodes}
        for name, weight in weights.items():
            if weight != 0:
                require_weight(f"objectives.span_units.{name}", weight)
        require(sum(weights.values()) > 0, "objectives.span_units", weights, "give one of them a weight")


@dataclass(frozen=True, kw_only=True)
class InfillConfig(_Shared):
    """File-level span corruption (CodeGen2).

    Args:
        min_ratio, max_ratio: the share of a piece that is hidden is uniform between them.
        span_lengths: ``uniform`` splits the hidden tokens uniformly among the spans; ``fixed``,
            ``geometric`` and ``poisson`` draw each length.
        mean_span_tokens: mean length of a span, from which their number follows; needed for all but
            ``uniform``, which without it draws the number of spans.
        one_span_probability: probability of a single span where their number is drawn; else it is
            uniform in 2..`max_spans`.
        max_spans: largest number of spans in one piece.
        span_units: what spans are made of.
        cut: ``token``, or ``character`` to let spans begin and end inside tokens.
        bidirectional: a prefix-LM over infill: all up to ``<sep>`` is seen in both directions and carries
            no loss.
        loss_on_shown: false takes all up to ``<sep>`` out of the loss, as an encoder-decoder would.
        loss_on_sentinels: false takes ``<mask_n>`` and ``<sep>`` out of the loss.
    """

    name: Literal["infill"] = "infill"
    min_ratio: float = 0.05
    max_ratio: float = 0.5
    span_lengths: str = "uniform"
    mean_span_tokens: float | None = None
    one_span_probability: float = 0.5
    max_spans: int = 8
    span_units: SpanUnitsConfig = field(default_factory=SpanUnitsConfig)
    cut: str = "token"
    bidirectional: bool = False
    loss_on_shown: bool = True
    loss_on_sentinels: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        ratios = (self.min_ratio, self.max_ratio)
        rule = "they are shares of the file, so use 0 <= min_ratio <= max_ratio <= 1"
        require(0 <= ratios[0] <= ratios[1] <= 1, "objectives.(min_ratio, max_ratio)", ratios, rule)
        kind, mean = self.span_lengths, self.mean_span_tokens
        require(
            kind in SPAN_LENGTHS, "objectives.span_lengths", kind, f"use one of {', '.join(SPAN_LENGTHS)}"
        )
        right = kind == "uniform" if mean is None else 1 <= mean <= 10_000
        require(right, "objectives.mean_span_tokens", mean, f"span_lengths: {kind} needs 1 to 10,000")
        one = self.one_span_probability
        require(0 <= one <= 1, "objectives.one_span_probability", one, "use 0 to 1")
        require_from_to("objectives.max_spans", self.max_spans, 2, MAX_ENTRIES)
        require(self.cut in CUTS, "objectives.cut", self.cut, f"use one of {', '.join(CUTS)}")


@dataclass(frozen=True, kw_only=True)
class FimConfig(_Shared):
    """Fill-in-the-middle (Bavarian et al., 2022, arXiv 2207.14255), in StarCoder's token layout.

    Args:
        spm_share: probability of suffix-prefix-middle; else prefix-suffix-middle.
        cut: ``token`` or ``character``: where prefix and middle may end.
    """

    name: Literal["fim"] = "fim"
    spm_share: float = 0.5
    cut: str = "character"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.spm_share <= 1, "objectives.spm_share", self.spm_share, "use 0 to 1")
        require(self.cut in CUTS, "objectives.cut", self.cut, f"use one of {', '.join(CUTS)}")


@dataclass(frozen=True, kw_only=True)
class PrefixLMConfig(_Shared):
    """A prefix that is seen and not predicted, then next-token prediction of the rest.

    Args:
        min_share, max_share: the prefix's share of an example is uniform between them; it always leaves
            a token to predict.
        bidirectional: the prefix sees itself in both directions.
    """

    name: Literal["prefix_lm"] = "prefix_lm"
    min_share: float = 0.0
    max_share: float = 1.0
    bidirectional: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = (self.min_share, self.max_share)
        rule = "use 0 <= min_share <= max_share <= 1"
        require(0 <= shares[0] <= shares[1] <= 1, "objectives.(min_share, max_share)", shares, rule)


@dataclass(frozen=True, kw_only=True)
class PromptResponseConfig(_Shared):
    """Next-token prediction of a response behind its prompt, for sources that have prompts."""

    name: Literal["prompt_response"] = "prompt_response"


@dataclass(frozen=True, kw_only=True)
class Ul2Config(_Shared):
    """The seven denoisers of UL2 (Tay et al., 2022, arXiv 2205.05131, table 1), equally often.

    Args:
        mode_tokens: special tokens that tell R, S and X denoisers apart; empty means none.
        bidirectional: what is not predicted is seen in both directions, as in a prefix-LM.
        max_spans: largest number of spans in one piece.
    """

    name: Literal["ul2"] = "ul2"
    mode_tokens: tuple[str, ...] = ()
    bidirectional: bool = False
    max_spans: int = 99

    def __post_init__(self) -> None:
        super().__post_init__()
        tokens = self.mode_tokens
        rule = "name three tokens, for R, S and X, or none"
        require(
            len(tokens) in (0, 3) and len(set(tokens)) == len(tokens), "objectives.mode_tokens", tokens, rule
        )
        rule = "ul2 has mode_tokens instead, one for each of R, S and X"
        require(self.mode_token is None, "objectives.mode_token", self.mode_token, rule)
        require_from_to("objectives.max_spans", self.max_spans, 2, MAX_ENTRIES)


ObjectiveConfig = Annotated[
    CausalConfig | InfillConfig | FimConfig | PrefixLMConfig | PromptResponseConfig | Ul2Config,
    Field(discriminator="name"),
]
