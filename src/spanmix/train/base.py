"""Begin a run from a model folder: check that it fits, load it, and record which one it was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from spanmix.config import Recipe
from spanmix.errors import InputError
from spanmix.generate.asked import read_prompting
from spanmix.model.architecture import Architecture, preset
from spanmix.model.decoder import Decoder
from spanmix.model.folder import load_model_folder, resolve_model
from spanmix.model.native import read_config
from spanmix.model.prompting import InfillPrompting
from spanmix.model.weights import weights_checksum
from spanmix.text.corpus import Corpus
from spanmix.text.tokenizer import Tokenizer
from spanmix.train_configs import ModelConfig


@dataclass(frozen=True)
class Base:
    """The model that a run began from, as ``run.json`` keeps it.

    Args:
        path: its folder, when the run began.
        weights_sha256: see `spanmix.model.weights.weights_checksum`.
        architecture: its shape.
        infill: how it is asked to infill; None if it is not.
    """

    path: str
    weights_sha256: str
    architecture: Architecture
    infill: InfillPrompting | None = None


@dataclass(frozen=True)
class Start:
    """What a run begins with.

    Args:
        base: the model it goes on from; None if it draws its first weights.
        decoder: that model, in float32; None without one, and in a run that has a checkpoint.
    """

    base: Base | None = None
    decoder: Decoder | None = None


def find_start(model: ModelConfig, corpus: Corpus, recorded: Base | None, goes_on: bool) -> Start:
    """Return what a run begins with.

    Args:
        model: the recipe's.
        corpus: its tokenizer has to be the model's.
        recorded: what ``run.json`` says, if the run was started before.
        goes_on: whether it has a checkpoint, which then holds all weights; the model folder is not needed.

    Raises:
        InputError: the model does not fit the corpus or the preset, is not the one that is recorded, or
            cannot be read.
    """
    if model.init_from is None:
        return Start()
    if goes_on:
        if recorded is None:
            raise InputError(
                "the run's run.json does not say which model the run began from (init_from); restore that "
                "file, or give another --out"
            )
        return Start(recorded)
    path = resolve_model(model.init_from)
    tokenizer = Tokenizer.load(path)
    _require_tokenizer(path, tokenizer, corpus)
    base = Base(
        path=str(path.resolve()),
        weights_sha256=weights_checksum(path),
        architecture=read_config(path / "config.json"),
        infill=read_prompting(path, tokenizer).infill,
    )
    if model.preset is not None:
        _require_preset(base, model.preset)
    if recorded is not None and recorded.weights_sha256 != base.weights_sha256:
        raise InputError(
            f"the run began from weights {recorded.weights_sha256[:12]} and has no checkpoint yet; "
            f"model.init_from {path} now holds {base.weights_sha256[:12]}. Put the old model back, or give "
            "another --out"
        )
    return Start(base, load_model_folder(path)[0].float())


def build_architecture(recipe: Recipe, tokenizer: Tokenizer, base: Base | None = None) -> Architecture:
    """Return the base's or preset's shape, with the tokenizer's vocabulary and room for the recipe's rows.

    Positions are rotary, with no table that was learned, so a longer context needs no other weights.
    """
    named = base.architecture if base else named_architecture(recipe.model)
    context = max(named.context_tokens, recipe.data.row_tokens)
    return replace(named, vocab_size=tokenizer.vocab_size, context_tokens=context)


def named_architecture(model: ModelConfig) -> Architecture:
    """Return the shape that a recipe names: that of its model folder, or else of its preset.

    Raises:
        InputError: there is no such folder or preset.
    """
    if model.init_from is not None:
        return read_config(resolve_model(model.init_from) / "config.json")
    assert model.preset is not None, "a recipe names one of the two"
    return preset(model.preset)


def _require_tokenizer(path: Path, tokenizer: Tokenizer, corpus: Corpus) -> None:
    if tokenizer.fingerprint != corpus.tokenizer.fingerprint:
        raise InputError(
            f"corpus {corpus.path} was prepared with the tokenizer {corpus.tokenizer.fingerprint[:12]} "
            f"({corpus.tokenizer.vocab_size:,} entries), and model.init_from {path} has "
            f"{tokenizer.fingerprint[:12]} ({tokenizer.vocab_size:,} entries). A model goes on with its own "
            "tokenizer only, and its vocabulary cannot be enlarged: prepare a corpus with "
            f"tokenizer.path={path}"
        )


def _require_preset(base: Base, name: str) -> None:
    named, found = preset(name), base.architecture
    shapes = [
        f"{shape.num_layers} layers of width {shape.dim:,}, {shape.num_heads} heads and "
        f"{shape.rotary_dim} rotary channels, and in the form {shape.form} {shape.hidden_dim:,} hidden ones"
        for shape in (named, found)
    ]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"model.preset {name} has {shapes[0]}, and model.init_from {base.path} has {shapes[1]}; leave "
            "model.preset out, or name another model"
        )
