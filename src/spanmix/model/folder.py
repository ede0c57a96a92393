"""Read and write the model folder that transformers opens with no remote code, and find it by its name.

The folder says ``GPTJForCausalLM`` or ``LlamaForCausalLM``, by the decoder's form, and carries the names of
that one's tensors (see `spanmix.model.native`).

    config.json  generation_config.json  model.safetensors  README.md  and the tokenizer's files
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spanmix.errors import InputError, SpanmixError
from spanmix.files import replaceable, whole_folder, write_json
from spanmix.model.card import model_card
from spanmix.model.decoder import Decoder
from spanmix.model.finite import first_not_finite
from spanmix.model.native import config_json, from_native, read_config, to_native
from spanmix.model.prompting import OURS, Prompting
from spanmix.model.weights import WEIGHT_TYPES, read_weights, require_enough_bytes, write_weights
from spanmix.text.tokenizer import Tokenizer

MAX_SHARD_BYTES = 5_000_000_000
_WEIGHTS = ("*.safetensors", "*.bin")


def save_model_folder(
    path: str | Path,
    decoder: Decoder,
    tokenizer: Tokenizer,
    card_facts: Mapping[str, object],
    max_shard_bytes: int = MAX_SHARD_BYTES,
    prompting: Prompting = OURS,
) -> Path:
    """Write a model folder, whole or not at all; an earlier model folder at `path` is replaced.

    Args:
        path: the folder to make.
        decoder: its weights are stored in the type they have.
        tokenizer: exactly as many entries as the embedding has rows.
        card_facts: name and value of what the model card should tell, such as the objectives and the
            fingerprint of the training data.
        max_shard_bytes: larger models are cut into several files with an index.
        prompting: how the model is asked.

    Returns:
        The folder.

    Raises:
        InputError: the tokenizer has another size, or `path` cannot become a model folder.
        SpanmixError: a weight is not finite, or the disk is full.
    """
    path = Path(path)
    shape = decoder.architecture
    _require_vocabulary(path, len_tokenizer=tokenizer.vocab_size, vocab_size=shape.vocab_size)
    require_place(path)
    state = _native(decoder)
    if bad := first_not_finite(state):
        raise SpanmixError(
            f"{path} is not written: the tensor {bad} of the model holds NaN or infinite numbers"
        )
    dtype = WEIGHT_TYPES[decoder.head.weight.dtype]

    with whole_folder(path) as folder:
        write_weights(folder, state, max_shard_bytes)
        card = model_card(shape, tokenizer, card_facts, prompting)
        config = config_json(shape, tokenizer, dtype, prompting)
        write_beside_weights(folder, config, tokenizer, card)
    return path


def write_beside_weights(folder: Path, config: Mapping[str, Any], tokenizer: Tokenizer, card: str) -> None:
    """Write all files of a model folder but its weights.

    Args:
        folder: is there.
        config: the content of ``config.json``.
        tokenizer: the model's.
        card: the text of ``README.md``.
    """
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", _generation_config(tokenizer))
    tokenizer.save(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")


def require_place(path: Path) -> None:
    """Raise `InputError` unless a model folder can be written at `path`. To be asked before long work.

    A model that is there may be replaced. Other programs have a ``config.json`` too, and other things may
    have been put beside a model.
    """
    real = replaceable(path)
    if not real.exists() or not any(real.iterdir()):
        return
    if not (real / "config.json").is_file():
        raise InputError(f"{path} exists and is not a model folder; name another place to write the model")
    if not any(file for pattern in _WEIGHTS for file in real.glob(pattern)):
        raise InputError(f"{path} has a config.json but no weights, so it is not a model; name another place")
    if inner := sorted(inside.name for inside in real.iterdir() if inside.is_dir()):
        raise InputError(
            f"{path} would be replaced, and the folder {inner[0]} in it be lost; move that away, or name "
            "another place"
        )


def load_model_folder(path: str | Path) -> tuple[Decoder, Tokenizer]:
    """Read a model folder.

    Args:
        path: a folder that `save_model_folder` wrote, or any GPT-J or Llama folder of the same form with a
            tokenizer of ours.

    Returns:
        The decoder, its weights in the type they are stored in, and the tokenizer.

    Raises:
        InputError: a file is missing or broken, the architecture is not one of ours, a tensor is
            missing, not finite or of another shape, or the tokenizer and the embedding differ in size.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"{path} is not a folder; name a model folder")
    shape = read_config(path / "config.json")
    tokenizer = Tokenizer.load(path)
    _require_vocabulary(path, len_tokenizer=tokenizer.vocab_size, vocab_size=shape.vocab_size)
    require_enough_bytes(path, shape.num_parameters)
    with torch.device("meta"):
        decoder = Decoder(shape)
    expected = {name: tuple(tensor.shape) for name, tensor in _native(decoder).items()}
    stored = read_weights(path, expected)
    state = {name: from_native(name, stored.pop, shape) for name in decoder.state_dict()}
    decoder.load_state_dict(state, assign=True)
    return decoder, tokenizer


def _native(decoder: Decoder) -> dict[str, Tensor]:
    """Return the decoder's tensors as they are stored."""
    return {
        native: part
        for name, tensor in decoder.state_dict().items()
        for native, part in to_native(name, tensor, decoder.architecture)
    }


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
        run, step = path.parent.parent, path.name.removeprefix("step-")
        raise InputError(
            f"{path} is a training checkpoint; write its model with `spanmix export {run} --step {step} "
            "--out FOLDER`, and name that folder"
        )
    if (path / "recipe.yaml").is_file():
        raise InputError(
            f"{path} is a run with no model yet: that is written when the run's last step is done. `spanmix "
            f"export {path} --out FOLDER` writes the one of its newest checkpoint"
        )
    if path.is_file():
        for_llama = "; a GGUF file is for llama.cpp" if path.suffix == ".gguf" else ""
        raise InputError(f"{path} is a file, and a model is a folder{for_llama}; name the model's folder")
    if path.exists():
        raise InputError(f"{path} is neither a model folder (with config.json) nor a run (with model/)")
    return _from_hub(str(name))


def _generation_config(tokenizer: Tokenizer) -> dict[str, Any]:
    control = tokenizer.control
    # Without <eom> an infill asked of transformers' generate() would run on into the next sentinel.
    return {
        "bos_token_id": control.eot,
        "eos_token_id": [control.eot, control.eom],
        "pad_token_id": control.pad,
        "suppress_tokens": sorted(tokenizer.suppressed_ids),
    }


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
    return fetch_from_hub(name, ("*.json", "*.safetensors", "model.bin", "*.txt", "README.md"))


def fetch_from_hub(name: str, patterns: Sequence[str]) -> Path:
    """Fetch the files of a hub model that match, into the hub's own cache, and return its folder there.

    Raises:
        InputError: the hub did not give it, or its client is not installed.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise InputError(
            f"there is no folder {name}; to fetch it from the hub install `pip install 'spanmix[hf]'`"
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=list(patterns)))
    except Exception as error:  # the hub's client raises what its transport raises
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(f"there is no folder {name}, and the hub did not give it: {reason}") from error
