"""Train low-rank additions to a frozen decoder (LoRA): peft's layers, and its adapter folder.

The decoder's ``qkv_proj`` is one matrix, with one addition. GPT-J has three: each gets the same A, and its
own rows of B, which is the same addition.

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
from spanmix.model.decoder import Decoder, Linear, by_kind
from spanmix.train.lora_dropout import RowDropout, RowKeys
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


def add_adapters(model: Decoder, lora: LoraConfig, seed: int) -> None:
    """Freeze a decoder and give it additions to train, in place; at first they add nothing.

    Args:
        model: the decoder, whole.
        lora: rank, scale and targets.
        seed: of the run; keys A, which is drawn as `torch.nn.Linear` is. B is 0.
    """
    import peft

    settings = peft.LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=list(lora.targets))  # type: ignore[arg-type]
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


def save_adapter(path: Path, state: Mapping[str, Tensor], lora: LoraConfig, head_dim: int, base: str) -> None:
    """Write the additions as peft opens them on GPT-J, whole or not at all; what was there is replaced.

    Args:
        path: the folder to make.
        state: all tensors of a decoder with additions, whole.
        lora: what they were made with.
        head_dim: of the decoder.
        base: the model folder that they are additions to.

    Raises:
        InputError: `path` cannot be replaced.
        SpanmixError: the disk is full.
    """
    import peft
    from safetensors.torch import save_file

    tensors = adapter_tensors(state, head_dim)
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
        save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def adapter_tensors(state: Mapping[str, Tensor], head_dim: int) -> dict[str, Tensor]:
    """Return the additions among a decoder's tensors, named and cut as those to GPT-J's matrices."""
    found = {}
    for name, tensor in state.items():
        if not name.endswith((_A, _B)):
            continue
        gptj = "base_model.model.transformer." + name.replace(f".{_ONLY}.", ".")
        if "qkv_proj" not in name:
            found[gptj] = tensor.contiguous()
            continue
        parts = by_kind(tensor, head_dim).chunk(3) if name.endswith(_B) else (tensor, tensor, tensor)
        for letter, part in zip("qkv", parts, strict=True):
            found[gptj.replace("qkv_proj", f"{letter}_proj")] = part.clone().contiguous()
    return found


def _adapted(model: Decoder) -> Iterator[tuple[str, Any]]:
    """Yield name and layer of what peft wrapped."""
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            yield name, module


def _sizes(layer: Any, rank: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return inputs and outputs of A and of B."""
    return (layer.in_features, rank), (rank, layer.out_features)
