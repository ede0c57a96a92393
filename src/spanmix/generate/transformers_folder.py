"""Open a model folder with transformers, without code that comes with the folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spanmix.errors import InputError
from spanmix.files import read_json
from spanmix.generate.asked import Asked, read_asked
from spanmix.generate.engine import Engine
from spanmix.generate.families import open_published
from spanmix.generate.transformers_engine import TransformersEngine
from spanmix.text.text_tokenizer import TextTokenizer
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.tokenizer_files import open_tokenizer_file
from spanmix.text.tokenizer_training import mask_name

_OURS = ("gptj", "llama")
"""Types of model that `spanmix.model` writes."""


@dataclass(frozen=True)
class _Config:
    """What decides who opens a folder."""

    architectures: tuple[str, ...] | None = None
    model_type: str | None = None
    auto_map: Any = None


def is_of_another_family(folder: Path) -> bool:
    """Return whether a folder holds a model whose tokenizer has no sentinels of ours.

    The decoder of `spanmix.model` does not run it, or does not know how to ask it.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        return (folder / "tokenizer.model").is_file()
    return open_tokenizer_file(path).token_to_id(mask_name(1)) is None


def open_transformers(folder: Path, device: str | None) -> tuple[Engine, TextTokenizer, Asked]:
    """Open a model with transformers: its engine, its tokenizer, and how it is asked.

    Raises:
        InputError: transformers is not installed or does not know the model, a file is missing or broken, or
            weights and tokenizer do not belong together.
    """
    if is_of_another_family(folder):
        model = _load(folder, device)
        published, asked = open_published(folder, _num_rows(model))
        return TransformersEngine(model, never_ids=published.suppressed_ids), published, asked
    config = read_json(folder / "config.json", _Config)
    if config.model_type not in _OURS:
        raise InputError(
            f"{folder} has CodeGen2's sentinels in a model of type {config.model_type!r}, which transformers "
            f"would run wrongly; `spanmix convert {folder} FOLDER --to native` makes one that runs"
        )
    tokenizer = Tokenizer.load(folder)
    model = _load(folder, device)
    if _num_rows(model) != tokenizer.vocab_size:
        raise InputError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} entries and the model {_num_rows(model)} "
            "rows; use the tokenizer that the model was trained with"
        )
    return TransformersEngine(model), tokenizer, read_asked(folder, tokenizer)


def _num_rows(model: Any) -> int:
    rows: int = model.get_input_embeddings().weight.shape[0]
    return rows


def _load(folder: Path, device: str | None) -> Any:
    transformers = _library(folder)
    config = read_json(folder / "config.json", _Config)
    named = (config.architectures or (config.model_type or "none",))[0]
    if config.model_type not in transformers.CONFIG_MAPPING:
        own_code = ", which come with code of their own that is not run" if config.auto_map else ""
        raise InputError(
            f"{folder / 'config.json'} names {named}; transformers {transformers.__version__} has no models "
            f"of type {config.model_type!r}{own_code}"
        )
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            f"{folder} has no *.safetensors; weights in another form are not opened. With transformers: "
            "`AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(FOLDER)`"
        )
    with _quiet(transformers):
        try:
            model, report = transformers.AutoModelForCausalLM.from_pretrained(
                folder,
                dtype="auto",
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
            )
        except Exception as error:  # transformers raises what comes up, of every kind
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise InputError(f"{folder} cannot be opened by transformers: {reason}") from error
    missing = sorted(report["missing_keys"]) + [str(entry) for entry in report["mismatched_keys"]]
    if missing:
        raise InputError(
            f"{folder}: {len(missing)} tensors of {named} are missing or of another shape, the first is "
            f"{missing[0]}; config.json and the weights are not of one model"
        )
    if model.dtype == torch.float16 and (device is None or device == "cpu"):
        model.float()  # processors hardly compute in float16, which float32 holds exactly
    return model if device is None else model.to(device)


def _library(folder: Path) -> Any:
    try:
        import transformers
    except ImportError:
        raise InputError(
            f"{folder} holds a model that is run by transformers, which is missing; install it with "
            "`pip install 'spanmix[hf]'`"
        ) from None
    return transformers


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Keep transformers from drawing bars and from telling what is raised anyway."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
