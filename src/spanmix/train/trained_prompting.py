"""Say how a model is asked from the objectives that it was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spanmix.model.prompting import LEAD_TOKENS, OURS, InfillPrompting, Prompting
from spanmix.objective_configs import FimConfig, InfillConfig, ObjectiveConfig, Ul2Config

assert OURS.infill is not None
_SPANS = OURS.infill
_PRE, _SUF, _MID, _END = ("<fim_prefix>",), ("<fim_suffix>",), ("<fim_middle>",), ("<|endoftext|>",)
_PSM = InfillPrompting(_PRE, _SUF, _MID, _END, "psm", LEAD_TOKENS)
_SPM = InfillPrompting(prefix=_MID, suffix=(*_PRE, *_SUF), middle=(), end=_END, order="spm", lead_tokens=0)
"""See `spanmix.objectives.fim`; in suffix-prefix-middle the middle follows the prefix anyway."""


def trained_prompting(objectives: Sequence[ObjectiveConfig], base: InfillPrompting | None) -> Prompting:
    """Return how a model is asked after a run.

    Every example of every objective starts with ``<|endoftext|>``. To infill, a model is asked in the form
    that it has seen most; a run that trains no infill leaves what the model could before.

    Args:
        objectives: of the recipe.
        base: how the model that the run began from was asked to infill; None if it was not, or there is none.

    >>> from spanmix.objective_configs import CausalConfig
    >>> trained_prompting([CausalConfig(weight=1)], None).infill is None
    True
    >>> trained_prompting([CausalConfig(weight=1), FimConfig(weight=1)], None).infill.middle
    ('<fim_middle>',)
    """
    weights: dict[InfillPrompting, float] = {}
    for config in objectives:
        if infill := _taught(config):
            weights[infill] = weights.get(infill, 0.0) + config.weight
    return replace(OURS, infill=max(weights, key=weights.__getitem__) if weights else base)


def _taught(config: ObjectiveConfig) -> InfillPrompting | None:
    """Return how a model is asked that one objective has taught; None if it teaches no infill."""
    if isinstance(config, InfillConfig):
        return _with_mode(_SPANS, config.mode_token)
    if isinstance(config, Ul2Config):
        # Its X denoisers hide the long spans that a cursor asks for.
        return _with_mode(_SPANS, config.mode_tokens[2] if config.mode_tokens else None)
    if isinstance(config, FimConfig):
        return _with_mode(_SPM if config.spm_share > 0.5 else _PSM, config.mode_token)
    return None


def _with_mode(infill: InfillPrompting, mode_token: str | None) -> InfillPrompting:
    """Put a mode token where examples have it, behind the start."""
    if mode_token is None:
        return infill
    if infill.order == "psm":
        return replace(infill, prefix=(mode_token, *infill.prefix))
    return replace(infill, suffix=(mode_token, *infill.suffix))
