"""Compute the blocks' matrix products in float8, on GPUs that have units for it.

The matrices of each block become torchao's float8 layers: inputs, weights and gradients are scaled, one
scale a tensor, when a product takes them (Micikevicius et al., "FP8 formats for deep learning",
arXiv 2209.05433). Weights, and all between the products, stay as with bf16; so do embedding and head.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
from torch import nn

from spanmix.config import Recipe
from spanmix.errors import InputError
from spanmix.model.decoder import Decoder

_STEP = 16
"""Sizes of float8 products are multiples of it."""
_LEAST_CAPABILITY = (8, 9)


def require_float8(recipe: Recipe) -> None:
    """Check that a resolved recipe's ``run.precision`` can be computed here, if it is float8.

    Raises:
        InputError: it cannot; it says why.
    """
    if recipe.run.precision != "float8":
        return
    asked = "run.precision is float8, "
    if recipe.run.device != "cuda":
        raise InputError(f"{asked}which takes a GPU, and run.device is {recipe.run.device}; use bf16 or fp32")
    if find_spec("torchao") is None:
        raise InputError(f"{asked}which needs torchao; install it with `pip install 'spanmix[gpu]'`")
    capability = torch.cuda.get_device_capability()
    if capability < _LEAST_CAPABILITY:
        raise InputError(
            f"{asked}and this GPU, {torch.cuda.get_device_name()}, has compute capability "
            f"{capability[0]}.{capability[1]}; float8 needs 8.9 (Ada) or 9.0 (Hopper) or more. Use bf16"
        )
    if recipe.parallel.tensor_size > 1:
        raise InputError(
            f"{asked}and parallel.tensor_size {recipe.parallel.tensor_size}: float8 matrices are not cut "
            "among processes; use tensor_size 1, or bf16"
        )
    if recipe.model.lora is not None:
        raise InputError(f"{asked}and model.lora is set: low-rank additions are to bf16 matrices; use bf16")
    if recipe.data.row_tokens % _STEP:
        raise InputError(
            f"{asked}and data.row_tokens {recipe.data.row_tokens}; use a multiple of {_STEP}, or bf16"
        )


def use_float8(model: Decoder, emulate: bool = False) -> None:
    """Change the decoder's matrices, in place; the names of parameters stay as they are.

    Args:
        model: the decoder, before anything wraps its blocks.
        emulate: multiply in float32, for a processor without float8 units.
    """
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training

    config = Float8LinearConfig(emulate=emulate)
    for block in model.h:
        convert_to_float8_training(block, module_filter_fn=_fits, config=config)


def _fits(module: nn.Module, name: str) -> bool:
    return isinstance(module, nn.Linear) and not any(size % _STEP for size in module.weight.shape)
