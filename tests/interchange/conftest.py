"""Checkpoints in the published layouts, made by transformers' own classes and by code of the tests."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import CodeGenConfig, CodeGenForCausalLM, GPTJConfig, GPTJForCausalLM

SIZES = {"n_layer": 2, "n_embd": 64, "n_head": 8, "rotary_dim": 4, "n_positions": 96, "vocab_size": 384}


def regrouped(qkv, num_heads, before, after):
    """Regroup rows as codegen2-facts 1.2 defines them: head c * H / G + h of part j is W[c, j, h]."""
    head_dim = qkv.shape[0] // 3 // num_heads
    read = qkv.reshape(before, 3, num_heads // before, head_dim, -1)
    written = torch.empty(after, 3, num_heads // after, head_dim, qkv.shape[1], dtype=qkv.dtype)
    for head in range(num_heads):
        group, place = divmod(head, num_heads // before)
        new_group, new_place = divmod(head, num_heads // after)
        for part in range(3):
            written[new_group, part, new_place] = read[group, part, place]
    return written.reshape(qkv.shape)


def spread_out(model, seed=1):
    """Give random weights whose logits are far apart."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            scale = 0.15 if parameter.ndim == 2 else 0.1
            parameter.copy_(noise * scale + (1.0 if name.endswith(("ln_1.weight", "ln_f.weight")) else 0.0))
    return model.eval()


def in_half(model):
    """Round the weights to float16, and return them in it; the model itself goes on in float32."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half())
    return {name: tensor.half() for name, tensor in model.state_dict().items()}


@dataclass(frozen=True)
class Published:
    """A checkpoint, and the model of transformers that computes what it should."""

    folder: Path
    model: torch.nn.Module


def write_config(folder, model, **changes):
    """Write the config as the publishers did: bos and eos are the ids of `"` and `#`."""
    config = json.loads(model.config.to_json_string(use_diff=False)) | SIZES
    config |= {"bos_token_id": 1, "eos_token_id": 2, "architectures": [type(model).__name__], **changes}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 1, "eos_token_id": 2}))


def write_shards(
    folder, state, names=("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")
):
    """Write two shards with an index, pickled or not by their names."""
    keys = list(state)
    halves = keys[: len(keys) // 2], keys[len(keys) // 2 :]
    for name, half in zip(names, halves, strict=True):
        shard = {key: state[key].contiguous() for key in half}
        torch.save(shard, folder / name) if name.endswith(".bin") else save_file(shard, folder / name)
    stem = names[0].replace("-00001-of-00002", "")
    weight_map = {key: name for name, half in zip(names, halves, strict=True) for key in half}
    (folder / f"{stem}.index.json").write_text(
        json.dumps({"metadata": {"total_size": 0}, "weight_map": weight_map})
    )


def codegen_model(seed=1, **sizes):
    config = CodeGenConfig(**(SIZES | sizes), resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
    return spread_out(CodeGenForCausalLM(config), seed)


def built_in(folder, tokenizer):
    """What transformers' own class saves: four groups, safetensors."""
    model = codegen_model()
    model.save_pretrained(folder)
    tokenizer.save(folder)
    return Published(folder, model)


def codegen1(folder, tokenizer):
    """Salesforce's first generation: four groups, fp16 in one pickle, masks stored as buffers."""
    model = codegen_model(seed=2)
    write_config(folder, model)
    state = in_half(model)
    for layer in range(SIZES["n_layer"]):
        state[f"transformer.h.{layer}.attn.bias"] = torch.ones(1, 1, 96, 96, dtype=torch.uint8).tril()
        state[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e9)
    torch.save(state, folder / "pytorch_model.bin")
    tokenizer.save(folder)
    return Published(folder, model)


def codegen2(
    folder, tokenizer, names=("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")
):
    """codegen2-1B's and 3.7B's: eight groups, `head_dim` in the config, a bool mask as buffer, shards."""
    model = codegen_model(seed=3)
    write_config(folder, model, head_dim=8)
    state = dict(model.state_dict())
    for layer in range(SIZES["n_layer"]):
        name = f"transformer.h.{layer}.attn"
        state[f"{name}.qkv_proj.weight"] = regrouped(state[f"{name}.qkv_proj.weight"], 8, before=4, after=8)
        state[f"{name}.causal_mask"] = torch.ones(1, 1, 96, 96, dtype=torch.bool).tril()
    write_shards(folder, state, names)
    tokenizer.save(folder)
    return Published(folder, model)


def gptj(folder, tokenizer):
    """michaelfeil's for FauxPilot: GPT-J in fp16."""
    config = GPTJConfig(**SIZES, tie_word_embeddings=False, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
    model = spread_out(GPTJForCausalLM(config), seed=4)
    write_config(folder, model)
    torch.save(in_half(model), folder / "pytorch_model.bin")
    tokenizer.save(folder)
    return Published(folder, model)


LAYOUTS = {layout.__name__: layout for layout in (built_in, codegen1, codegen2, gptj)}


@pytest.fixture(scope="session", name="regrouped")
def regrouped_fixture():
    """Regroups qkv rows, by the tests' own code."""
    return regrouped


@pytest.fixture(scope="session")
def published(tmp_path_factory, tokenizer):
    """Makes each layout once; the folders are only read."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = LAYOUTS[name](tmp_path_factory.mktemp(name), tokenizer)
        return made[name]

    return get
