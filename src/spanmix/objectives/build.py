"""Build an objective from its part of the recipe."""

from __future__ import annotations

from spanmix.errors import InputError
from spanmix.objective_configs import (
    CausalConfig,
    FimConfig,
    InfillConfig,
    ObjectiveConfig,
    PrefixLMConfig,
    PromptResponseConfig,
    Ul2Config,
)
from spanmix.objectives.causal import Causal, PrefixLM, PromptResponse
from spanmix.objectives.characters import CharacterCutter
from spanmix.objectives.fim import Fim
from spanmix.objectives.infill import Infill
from spanmix.objectives.nodes import find_nodes
from spanmix.objectives.objective import Alphabet, Objective
from spanmix.objectives.partition import Partition, needs_characters
from spanmix.objectives.spans import SpanDraws

_REGULAR = ((3, 0.15), (8, 0.15))
_EXTREME = ((3, 0.5), (8, 0.5), (64, 0.15), (64, 0.5))
_SEQUENTIAL_PREFIX = 0.75


def denoisers(config: ObjectiveConfig) -> list[ObjectiveConfig]:
    """Return what an entry of the recipe stands for, each part equally often: itself, or UL2's denoisers.

    UL2 (Tay et al., 2022, arXiv 2205.05131, table 1) has R with mean spans of 3 and 8 at a ratio of 15 %, X
    with longer spans or a ratio of 50 %, and S, which predicts the last quarter behind the rest.

    >>> [part.name for part in denoisers(Ul2Config(weight=1))]
    ['infill', 'infill', 'prefix_lm', 'infill', 'infill', 'infill', 'infill']
    """
    if not isinstance(config, Ul2Config):
        return [config]
    r, s, x = config.mode_tokens or (None, None, None)
    sequential = PrefixLMConfig(
        weight=config.weight,
        mode_token=s,
        min_share=_SEQUENTIAL_PREFIX,
        max_share=_SEQUENTIAL_PREFIX,
        bidirectional=config.bidirectional,
    )
    regular = [_denoiser(config, r, *bounds) for bounds in _REGULAR]
    return [*regular, sequential, *(_denoiser(config, x, *bounds) for bounds in _EXTREME)]


def _denoiser(config: Ul2Config, mode_token: str | None, mean: float, ratio: float) -> InfillConfig:
    return InfillConfig(
        weight=config.weight,
        mode_token=mode_token,
        min_ratio=ratio,
        max_ratio=ratio,
        mean_span_tokens=mean,
        max_spans=config.max_spans,
        bidirectional=config.bidirectional,
        loss_on_shown=False,
    )


def build(
    index: int, config: ObjectiveConfig, alphabet: Alphabet, cutter: CharacterCutter | None
) -> Objective:
    """Return the objective that a part of the recipe describes.

    Args:
        index: place of the entry in the recipe.
        config: the entry, or one of its `denoisers`.
        alphabet: the tokenizer's control ids and line ends.
        cutter: cuts at characters.

    Raises:
        InputError: the tokenizer lacks a special token that the objective needs.
    """
    match config:
        case InfillConfig():
            if needs_characters(config) and cutter is None:
                raise InputError("objective infill cuts inside tokens here, which needs the tokenizer's text")
            return Infill(index, config, alphabet, Partition(config, SpanDraws(config), cutter, find_nodes))
        case FimConfig():
            return Fim(index, config, alphabet, cutter)
        case PrefixLMConfig():
            return PrefixLM(index, config, alphabet)
        case PromptResponseConfig():
            return PromptResponse(index, config, alphabet)
        case CausalConfig():
            return Causal(index, config, alphabet)
    raise AssertionError(f"{type(config).__name__} is a mixture of its denoisers")
