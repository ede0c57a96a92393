"""Name and turn the tensors of a native folder as llama.cpp has them.

    codegen   its architecture ``phi2``: attention and MLP side by side behind one LayerNorm with bias, rotary
              positions on the first channels of each head, a head with bias
    llama     its architecture ``llama``

Both differ from the native folder in the order of the rows of queries and keys only. ``phi2`` rotates
channels i and i + R / 2 of a head's first R, where GPT-J rotates neighbors; ``llama`` rotates neighbors,
where transformers' Llama rotates halves. ``phi2`` also has biases in attention, which are zero here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spanmix.model.architecture import Architecture
from spanmix.model.llama import halves_to_neighbors, neighbors_to_halves

ARCHITECTURES = {"codegen": "phi2", "llama": "llama"}
"""llama.cpp's architecture of each form."""

_OUTER = {
    "codegen": {
        "transformer.wte": "token_embd",
        "transformer.ln_f": "output_norm",
        "lm_head": "output",
    },
    "llama": {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
    },
}
_BLOCK = {
    "codegen": {
        "ln_1": "attn_norm",
        "attn.q_proj": "attn_q",
        "attn.k_proj": "attn_k",
        "attn.v_proj": "attn_v",
        "attn.out_proj": "attn_output",
        "mlp.fc_in": "ffn_up",
        "mlp.fc_out": "ffn_down",
    },
    "llama": {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    },
}
_ZERO_BIASES = ("attn_q", "attn_k", "attn_v", "attn_output")


def gguf_name(native: str, form: str) -> str:
    """Return llama.cpp's name of a native folder's tensor.

    >>> gguf_name("transformer.h.3.mlp.fc_in.bias", "codegen")
    'blk.3.ffn_up.bias'
    >>> gguf_name("model.embed_tokens.weight", "llama")
    'token_embd.weight'
    """
    module, _, kind = native.rpartition(".")
    if module in _OUTER[form]:
        return f"{_OUTER[form][module]}.{kind}"
    _, _, layer, inner = module.split(".", 3)
    return f"blk.{layer}.{_BLOCK[form][inner]}.{kind}"


def zero_biases(shape: Architecture) -> dict[str, tuple[int]]:
    """Return name and shape of the tensors that are all zeros: biases that ``phi2`` has and the model not."""
    if shape.form != "codegen":
        return {}
    return {
        f"blk.{layer}.{name}.bias": (shape.dim,) for layer in range(shape.num_layers) for name in _ZERO_BIASES
    }


def turned(name: str, tensor: Tensor, shape: Architecture) -> Tensor:
    """Return a tensor of a native folder with its rows in llama.cpp's order.

    Args:
        name: llama.cpp's.
        tensor: the native folder's.
        shape: the decoder's.

    >>> shape = Architecture(1, 6, 1, 4, 8, 5)
    >>> rows = torch.arange(6.0)[:, None]
    >>> turned("blk.0.attn_q.weight", rows, shape)[:, 0].tolist()
    [0.0, 2.0, 1.0, 3.0, 4.0, 5.0]
    >>> turned("blk.0.attn_v.weight", rows, shape) is rows
    True
    """
    if not name.endswith(("attn_q.weight", "attn_k.weight")):
        return tensor
    if shape.form == "llama":
        return halves_to_neighbors(tensor, shape.head_dim)
    rows_HCD = tensor.view(shape.num_heads, shape.head_dim, -1)
    rotated, kept = rows_HCD[:, : shape.rotary_dim], rows_HCD[:, shape.rotary_dim :]
    halves = neighbors_to_halves(rotated.flatten(0, 1), shape.rotary_dim).view(rotated.shape)
    return torch.cat((halves, kept), dim=1).view(tensor.shape)
