"""Write what a run leaves: its model folder, and with LoRA the adapter beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from spanmix.config import Recipe
from spanmix.errors import InputError
from spanmix.files import replaceable
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.model.folder import require_place, save_model_folder
from spanmix.text.tokenizer import Tokenizer
from spanmix.train.base import Base
from spanmix.train.lora import merged, save_adapter, targets_of
from spanmix.train.progress import Progress
from spanmix.train.trained_prompting import trained_prompting
from spanmix.train_configs import ModelConfig

_MODEL, _ADAPTER = "model", "adapter"


@dataclass(frozen=True)
class Result:
    """What a run has come to by one of its steps.

    Args:
        recipe: the run's.
        architecture: of the decoder.
        state: all of its tensors, whole.
        base: the model that the run began from.
        fingerprint: of the corpus.
        progress: how far the run is.
    """

    recipe: Recipe
    architecture: Architecture
    state: Mapping[str, Tensor]
    base: Base | None
    fingerprint: str
    progress: Progress


def require_places(out: Path, recipe: Recipe) -> None:
    """Raise `InputError` unless the folders can be written in the run's. To be asked before training."""
    require_place(out / _MODEL)
    if recipe.model.lora is not None:
        adapter = replaceable(out / _ADAPTER)
        if adapter.exists() and not (adapter / "adapter_config.json").is_file():
            raise InputError(f"{adapter} exists and is not an adapter; move it away")


def save_result(out: Path, result: Result, tokenizer: Tokenizer) -> Path:
    """Write ``model/``, and ``adapter/`` if the run trained one, each whole or not at all.

    Returns:
        The model folder.

    Raises:
        InputError: a folder's place is taken.
        SpanmixError: a weight is not finite, or the disk is full.
    """
    lora, base = result.recipe.model.lora, result.base
    if lora is not None and base is not None:
        save_adapter(out / _ADAPTER, result.state, lora, result.architecture, base.path)
    return save_model(out / _MODEL, result, tokenizer)


def save_model(path: Path, result: Result, tokenizer: Tokenizer) -> Path:
    """Write the model folder `path`, whole or not at all, and return it.

    An adapter's additions are in the model's matrices, so that it is used like any other.

    Raises:
        InputError: its place is taken, or the tensors are those of another model.
        SpanmixError: a weight is not finite, or the disk is full.
    """
    lora = result.recipe.model.lora
    with torch.device("meta"):
        decoder = Decoder(result.architecture)
    state = result.state if lora is None else merged(result.state, lora)
    decoder.load_state_dict(state, assign=True)
    base = result.base.infill if result.base else None
    prompting = trained_prompting(result.recipe.objectives, base)
    beside = tokenizer.with_controls(trained=prompting.infill is not None)
    return save_model_folder(path, decoder, beside, _card_facts(result), prompting=prompting)


def _card_facts(result: Result) -> dict[str, object]:
    recipe = result.recipe
    return {
        **_origin(recipe.model, result.base, result.architecture),
        "steps": result.progress.step,
        "training tokens": result.progress.tokens,
        "objectives": ", ".join(f"{o.name} ({o.weight:g})" for o in recipe.objectives),
        "sources": ", ".join(f"{s.name} ({s.weight:g})" for s in recipe.data.sources),
        "corpus fingerprint": result.fingerprint,
    }


def _origin(model: ModelConfig, base: Base | None, architecture: Architecture) -> dict[str, object]:
    if base is None:
        return {"preset": model.preset}
    origin = {"continued from": f"{model.init_from} (weights {base.weights_sha256})"}
    lora = model.lora
    how = "all weights"
    if lora is not None:
        how = f"LoRA, rank {lora.rank} on {', '.join(targets_of(lora, architecture))}"
    return {**origin, "trained": how}
