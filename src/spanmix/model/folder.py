"""Read and write the model folder that transformers opens with no remote code.

The CodeGen decoder is mathematically GPT-J, so the folder says ``GPTJForCausalLM`` and carries GPT-J's
tensor names. Ours differ in one thing: queries, keys and values are one matrix ``qkv_proj`` of
[3 D, D], rows in that order, which is cut in three on the way out and joined on the way in.

    config.json  generation_config.json  model.safetensors  README.md  and the tokenizer's files
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spanmix.config import MODEL_FOLDER_VERSION
from spanmix.errors import InputError
from spanmix.files import whole_folder
from spanmix.model.architecture import Architecture
from spanmix.model.card import model_card
from spanmix.model.decoder import Decoder
from spanmix.text.tokenizer import Tokenizer

MAX_SHARD_BYTES = 5_000_000_000
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
_FIXED = {
    "activation_function": "gelu_new",
    "tie_word_embeddings": False,
    "n_inner": None,
}
"""What the decoder has no other form of."""


def save_model_folder(
    path: str | Path,
    decoder: Decoder,
    tokenizer: Tokenizer,
    card_facts: Mapping[str, object],
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> Path:
    """Write a model folder, whole or not at all; an earlier model folder at `path` is replaced.

    Args:
        path: the folder to make.
        decoder: its weights are stored in the type they have.
        tokenizer: exactly as many entries as the embedding has rows.
        card_facts: name and value of what the model card should tell, such as the objectives and the
            fingerprint of the training data.
        max_shard_bytes: larger models are cut into several files with an index.

    Returns:
        The folder.

    Raises:
        InputError: the tokenizer has another size, or `path` holds something that is not a model folder.
    """
    path = Path(path)
    shape = decoder.architecture
    _require_vocabulary(path, len_tokenizer=tokenizer.vocab_size, vocab_size=shape.vocab_size)
    if path.exists() and not (path / "config.json").is_file() and (path.is_file() or any(path.iterdir())):
        raise InputError(f"{path} exists and is not a model folder; name another place to write the model")
    state = to_gptj(decoder.state_dict())
    dtype = _DTYPES[decoder.head.weight.dtype]

    with whole_folder(path) as folder:
        _write_json(folder / "config.json", _config(shape, tokenizer, dtype))
        _write_json(folder / "generation_config.json", _generation_config(tokenizer))
        _write_weights(folder, state, max_shard_bytes)
        tokenizer.save(folder)
        (folder / "README.md").write_text(model_card(shape, tokenizer, card_facts), encoding="utf-8")
    return path


def load_model_folder(path: str | Path) -> tuple[Decoder, Tokenizer]:
    """Read a model folder.

    Args:
        path: a folder that `save_model_folder` wrote, or any GPT-J folder of the same form with a
            tokenizer of ours.

    Returns:
        The decoder, its weights in the type they are stored in, and the tokenizer.

    Raises:
        InputError: a file is missing or broken, the architecture is not one of ours, a tensor is
            missing or has another shape, or the tokenizer and the embedding differ in size.
    """
    path = Path(path)
    config = _read_config(path)
    shape = _architecture(path, config)
    tokenizer = Tokenizer.load(path)
    _require_vocabulary(path, len_tokenizer=tokenizer.vocab_size, vocab_size=shape.vocab_size)
    with torch.device("meta"):
        decoder = Decoder(shape)
    expected = {name: tuple(tensor.shape) for name, tensor in to_gptj(decoder.state_dict()).items()}
    state = _read_weights(path, expected)
    decoder.load_state_dict(from_gptj(state, shape), assign=True)
    return decoder, tokenizer


def resolve_model(name: str | Path) -> Path:
    """Return the model folder that MODEL on a command line means.

    Args:
        name: a model folder, a run (which holds ``model/``) or a name on the Hugging Face hub, which
            is downloaded into the hub's own cache.

    Raises:
        InputError: there is no such model, or it is a form that cannot be opened directly.
    """
    path = Path(name)
    if (path / "config.json").is_file():
        return path
    if (path / "model" / "config.json").is_file():
        return path / "model"
    if path.parent.name == "checkpoints" and path.name.startswith("step-"):
        run = path.parent.parent
        raise InputError(
            f"{path} is a training checkpoint; run `spanmix train` with --out {run} to its end, "
            f"and then name the run or {run / 'model'}"
        )
    if (path / "recipe.yaml").is_file():
        raise InputError(f"{path} is a run with no model yet; it is written when the run's last step is done")
    if path.exists():
        raise InputError(f"{path} is neither a model folder (with config.json) nor a run (with model/)")
    return _from_hub(str(name))


def to_gptj(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a decoder's tensors to GPT-J's, and cut `qkv_proj` [3 D, D] into three of [D, D].

    >>> state = {"h.0.attn.qkv_proj.weight": torch.arange(12.0).view(6, 2), "head.bias": torch.zeros(5)}
    >>> renamed = to_gptj(state)
    >>> [(name, tuple(tensor.shape)) for name, tensor in renamed.items()]  # doctest: +NORMALIZE_WHITESPACE
    [('transformer.h.0.attn.q_proj.weight', (2, 2)), ('transformer.h.0.attn.k_proj.weight', (2, 2)),
     ('transformer.h.0.attn.v_proj.weight', (2, 2)), ('lm_head.bias', (5,))]
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.startswith("head."):
            renamed[f"lm_{name}"] = tensor
        elif name.endswith("qkv_proj.weight"):
            for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                renamed["transformer." + name.replace("qkv_proj", f"{letter}_proj")] = part
        else:
            renamed[f"transformer.{name}"] = tensor
    return renamed


def from_gptj(state: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """Undo `to_gptj`: give GPT-J's tensors the decoder's names, and join queries, keys and values."""
    ours = {name.removeprefix("transformer.").removeprefix("lm_"): tensor for name, tensor in state.items()}
    for layer in range(architecture.num_layers):
        parts = [ours.pop(f"h.{layer}.attn.{letter}_proj.weight") for letter in "qkv"]
        ours[f"h.{layer}.attn.qkv_proj.weight"] = torch.cat(parts)
    return ours


def _config(shape: Architecture, tokenizer: Tokenizer, dtype: str) -> dict[str, Any]:
    return {
        "architectures": ["GPTJForCausalLM"],
        "model_type": "gptj",
        **_FIXED,
        "vocab_size": shape.vocab_size,
        "n_positions": shape.context_tokens,
        "n_ctx": shape.context_tokens,
        "n_embd": shape.dim,
        "n_layer": shape.num_layers,
        "n_head": shape.num_heads,
        "rotary_dim": shape.rotary_dim,
        "layer_norm_epsilon": shape.layer_norm_epsilon,
        "initializer_range": 0.02,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "scale_attn_weights": True,
        "use_cache": True,
        "bos_token_id": tokenizer.control.eot,
        "eos_token_id": tokenizer.control.eot,
        "pad_token_id": tokenizer.control.pad,
        # transformers 4 reads torch_dtype, transformers 5 dtype.
        "torch_dtype": dtype,
        "dtype": dtype,
        "spanmix": {"format_version": MODEL_FOLDER_VERSION},
    }


def _generation_config(tokenizer: Tokenizer) -> dict[str, Any]:
    control = tokenizer.control
    # Without <eom> an infill asked of transformers' generate() would run on into the next sentinel.
    return {
        "bos_token_id": control.eot,
        "eos_token_id": [control.eot, control.eom],
        "pad_token_id": control.pad,
        "suppress_tokens": sorted(tokenizer.suppressed_ids),
    }


def _write_weights(folder: Path, state: Mapping[str, Tensor], max_shard_bytes: int) -> None:
    shards: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, tensor in state.items():
        if shards[-1] and filled + tensor.nbytes > max_shard_bytes:
            shards.append({})
            filled = 0
        shards[-1][name] = tensor
        filled += tensor.nbytes
    names = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    if len(shards) == 1:
        names = [_WEIGHTS]
    for file_name, shard in zip(names, shards, strict=True):
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in shard.items()}
        save_file(tensors, folder / file_name, metadata={"format": "pt"})
    if len(shards) > 1:
        weight_map = {name: file for file, shard in zip(names, shards, strict=True) for name in shard}
        total = sum(tensor.nbytes for tensor in state.values())
        _write_json(folder / _INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise InputError(f"{path} is not a folder; name a model folder")
    file = path / "config.json"
    config = _read_json(file)
    version = config.get("spanmix", {}).get("format_version", MODEL_FOLDER_VERSION)
    if version != MODEL_FOLDER_VERSION:
        raise InputError(
            f"{file} has model folder version {version}; this Spanmix reads version {MODEL_FOLDER_VERSION}"
        )
    return config


def _architecture(path: Path, config: Mapping[str, Any]) -> Architecture:
    file = path / "config.json"
    named = config.get("architectures") or ["none"]
    if named[0] != "GPTJForCausalLM":
        raise InputError(
            f"{file} names the architecture {named[0]}; this version of Spanmix opens GPTJForCausalLM only"
        )
    for key, value in _FIXED.items():
        found = config.get(key, value)
        if found != value and (key, found) != ("n_inner", 4 * config.get("n_embd", 0)):
            raise InputError(f"{file} has {key} {found!r}; the decoder has only {value!r}")
    for key in ("n_layer", "n_embd", "n_head", "rotary_dim", "n_positions", "vocab_size"):
        if not isinstance(config.get(key), int) or config[key] < 1:
            raise InputError(f"{file} has {key} {config.get(key)!r}; a whole number above 0 is needed")
    try:
        return Architecture(
            num_layers=config["n_layer"],
            dim=config["n_embd"],
            num_heads=config["n_head"],
            rotary_dim=config["rotary_dim"],
            context_tokens=config["n_positions"],
            vocab_size=config["vocab_size"],
            layer_norm_epsilon=float(config.get("layer_norm_epsilon", 1e-5)),
        )
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def _read_weights(path: Path, expected: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for file in _weight_files(path):
        try:
            with safe_open(file, framework="pt") as tensors:
                for name in set(tensors.keys()) & expected.keys():
                    found = tuple(tensors.get_slice(name).get_shape())
                    if found != expected[name]:
                        raise InputError(
                            f"{file}: the tensor {name} has shape {list(found)}, but config.json "
                            f"asks for {list(expected[name])}"
                        )
                    state[name] = tensors.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{file} cannot be read as safetensors: {error}") from error
    missing = sorted(expected.keys() - state.keys())
    if missing:
        raise InputError(f"{path}: {len(missing)} tensors are missing from the weights, first {missing[0]}")
    return state


def _weight_files(path: Path) -> list[Path]:
    if (path / _WEIGHTS).is_file():
        return [path / _WEIGHTS]
    if not (path / _INDEX).is_file():
        raise InputError(f"{path} has neither {_WEIGHTS} nor {_INDEX}; it is not a whole model folder")
    names = sorted(set(_read_json(path / _INDEX).get("weight_map", {}).values()))
    for name in names:
        # The index comes from whoever made the folder: a name may not lead out of it.
        if Path(name).name != name:
            raise InputError(f"{path / _INDEX} names the file {name!r}, which is not in the folder")
        if not (path / name).is_file():
            raise InputError(f"{path / name} is missing; {_INDEX} names it")
    return [path / name for name in names]


def _require_vocabulary(path: Path, len_tokenizer: int, vocab_size: int) -> None:
    if len_tokenizer != vocab_size:
        raise InputError(
            f"{path}: the tokenizer has {len_tokenizer} entries and the model {vocab_size} (vocab_size); "
            f"they must be equal, so use the tokenizer that the model was trained with"
        )


def _from_hub(name: str) -> Path:
    # A path with a typing mistake must not become a question to the network.
    if name.count("/") != 1 or name.startswith((".", "/", "~")) or name.endswith("/"):
        raise InputError(
            f"there is no model at {name}; name a model folder, a run, or a hub model as OWNER/NAME"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise InputError(
            f"there is no folder {name}; to fetch it from the hub install `pip install 'spanmix[hf]'`"
        ) from None
    try:
        patterns = ["*.json", "*.safetensors", "*.txt", "README.md"]
        return Path(snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # the hub's client raises what its transport raises
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(f"there is no folder {name}, and the hub did not give it: {reason}") from error


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing; {path.parent} is not a whole model folder") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds {type(content).__name__}; an object is needed")
    return content
