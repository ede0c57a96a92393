"""Train low-rank additions to a frozen decoder (LoRA): peft's layers, and its adapter folder.

The decoder's ``qkv_proj`` is one matrix, with one addition. GPT-J and Llama have three: each gets the same A,
and its own rows of B, which is the same addition.

Method: Hu et al., "LoRA" (arXiv 2106.09685).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spanmix import seeding
from spanmix.config import Recipe
from spanmix.errors import InputError
from spanmix.files import whole_folder
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.model.layers import Linear
from spanmix.model.native import to_native
from spanmix.model.weights import write_file
from spanmix.train.lora_dropout import RowDropout, RowKeys
from spanmix.train.step_shape import block_weights
from spanmix.train_configs import LoraConfig

_ONLY = "default"
"""What peft calls an adapter that was given no name."""
_A, _B, _BASE = f"lora_A.{_ONLY}.weight", f"lora_B.{_ONLY}.weight", "base_layer.weight"


def require_trainable(recipe: Recipe) -> None:
    """Check that a recipe's ``model.lora`` can be trained here.

    Raises:
        InputError: peft is not installed, or dropout is asked for together with tensor parallelism.
    """
    lora = recipe.model.lora
    if lora is None:
        return
    if find_spec("peft") is None:
        raise InputError("model.lora needs the package peft; install it with `pip install 'spanmix[lora]'`")
    if lora.dropout and recipe.parallel.tensor_size > 1:
        raise InputError(
            f"model.lora.dropout is {lora.dropout} and parallel.tensor_size {recipe.parallel.tensor_size}: "
            "each process of tensor parallelism has a part of a layer's inputs, and would drop out others "
            "than one process does; use dropout 0, or tensor_size 1"
        )


def targets_of(lora: LoraConfig, architecture: Architecture) -> tuple[str, ...]:
    """Return the matrices of a block that get an addition: those that the recipe names, or all.

    Raises:
        InputError: a decoder of this form has no such matrix, or the rank is above a side of one.
    """
    matrices = [weight for weight in block_weights(architecture) if len(weight.shape) > 1]
    there = tuple(weight.name.removesuffix(".weight") for weight in matrices)
    missing = sorted(set(lora.targets or ()) - set(there))
    if missing:
        raise InputError(
            f"model.lora.targets has {missing[0]}, and the model is of the form {architecture.form}; use one "
            f"or more of {', '.join(there)}"
        )
    chosen = lora.targets or there
    for weight in matrices:
        name = weight.name.removesuffix(".weight")
        if name in chosen and lora.rank > min(weight.shape):
            rows, columns = weight.shape
            raise InputError(
                f"model.lora.rank is {lora.rank}, and {name} has {rows:,} rows and {columns:,} columns: the "
                f"rank of an addition to it is at most {min(weight.shape):,}; use at most that"
            )
    return chosen


def add_adapters(model: Decoder, lora: LoraConfig, seed: int) -> None:
    """Freeze a decoder and give it additions to train, in place; at first they add nothing.

    Args:
        model: the decoder, whole.
        lora: rank, scale and targets.
        seed: of the run; keys A, which is drawn as `torch.nn.Linear` is. B is 0.
    """
    import peft

    targets = list(targets_of(lora, model.architecture))
    settings = peft.LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=targets)  # type: ignore[arg-type]
    peft.inject_adapter_in_model(settings, model)
    generator = seeding.torch_generator(seed, "lora")
    keys = RowKeys(model) if lora.dropout else None
    for name, layer in _adapted(model):
        down, up = (Linear(*sizes, bias=False) for sizes in _sizes(layer, lora.rank))
        bound = down.in_features**-0.5
        with torch.no_grad():
            down.weight.uniform_(-bound, bound, generator=generator)
            up.weight.zero_()
        # peft's own compute in the type of their weights; these follow that of their input, as the decoder.
        layer.cast_input_dtype_enabled = False
        layer.lora_A[_ONLY], layer.lora_B[_ONLY] = down, up
        if keys is not None:
            layer.lora_dropout[_ONLY] = RowDropout(lora.dropout, seed, name, keys)


def merged(state: Mapping[str, Tensor], lora: LoraConfig) -> dict[str, Tensor]:
    """Return the tensors of a plain decoder, to whose matrices the additions have been added.

    >>> names = ("base_layer", "lora_A.default", "lora_B.default")
    >>> state = {f"fc_in.{name}.weight": torch.full((2, 2), 1.0) for name in names}
    >>> merged(state, LoraConfig(rank=2, alpha=4))
    {'fc_in.weight': tensor([[5., 5.],
            [5., 5.]])}
    """
    plain = {name: tensor for name, tensor in state.items() if not name.endswith((_A, _B))}
    for name in state:
        if name.endswith(_B):
            up, down = state[name], state[name.replace(_B, _A)]
            of = name.replace(_B, _BASE)
            plain[of] = plain[of] + up @ down * (lora.alpha / lora.rank)
    return {name.replace(".base_layer.", "."): tensor for name, tensor in plain.items()}


def save_adapter(
    path: Path, state: Mapping[str, Tensor], lora: LoraConfig, architecture: Architecture, base: str
) -> None:
    """Write the additions as peft opens them on the base, whole or not at all; what was there is replaced.

    Args:
        path: the folder to make.
        state: all tensors of a decoder with additions, whole.
        lora: what they were made with.
        architecture: of the decoder.
        base: the model folder that they are additions to.

    Raises:
        InputError: `path` cannot be replaced.
        SpanmixError: the disk is full.
    """
    import peft

    tensors = adapter_tensors(state, architecture)
    settings = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        task_type="CAUSAL_LM",
        base_model_name_or_path=base,
        inference_mode=True,
    )
    # Set here, since peft makes a set of what it is given, with another order in every process.
    settings.target_modules = sorted({name.split(".lora_")[0].rpartition(".")[2] for name in tensors})
    with whole_folder(path) as folder:
        settings.save_pretrained(str(folder))
        write_file(folder / "adapter_model.safetensors", tensors)


def adapter_tensors(state: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """Return the additions among a decoder's tensors, named and cut as those to the matrices that are stored.

    B has the rows of its matrix, so it is cut up, and its rows change places, as those do.
    """
    found = {}
    for name, up in state.items():
        if not name.endswith(_B):
            continue
        down = state[name.replace(_B, _A)]
        for native, part in to_native(name.replace(_B, "weight"), up, architecture):
            layer = f"base_model.model.{native.removesuffix('.weight')}"
            found[f"{layer}.lora_A.weight"] = down.clone().contiguous()
            found[f"{layer}.lora_B.weight"] = part.clone().contiguous()
    return found


def _adapted(model: Decoder) -> Iterator[tuple[str, Any]]:
    """Yield name and layer of what peft wrapped."""
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            yield name, module


def _sizes(layer: Any, rank: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return inputs and outputs of A and of B."""
    return (layer.in_features, rank), (rank, layer.out_features)
