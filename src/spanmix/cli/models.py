"""Open the MODEL of a command line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from spanmix.errors import InputError
from spanmix.generate.asked import Asked, read_asked
from spanmix.generate.ctranslate2_engine import CTranslate2Engine
from spanmix.generate.ctranslate2_folder import is_ctranslate2_folder
from spanmix.generate.engine import Engine
from spanmix.generate.formats import InfillFormat
from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.folder import load_model_folder, resolve_model
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.tokenizer_training import EOT


@dataclass(frozen=True)
class OpenModel:
    """An engine that runs the model, its tokenizer, and how it is asked."""

    engine: Engine
    tokenizer: Tokenizer
    asked: Asked

    @property
    def infill_format(self) -> InfillFormat:
        """How it is asked to infill.

        Raises:
            InputError: it was not trained to.
        """
        if self.asked.infill is None:
            raise InputError(
                "this model was not trained to infill, as its config.json or its tokenizer says; `spanmix "
                "complete` continues a text with it, and `spanmix evaluate --tasks bits-per-byte` measures it"
            )
        return self.asked.infill


def open_model(name: str, engine_name: str = "auto", lead_tokens: int | None = None) -> OpenModel:
    """Open a model folder, a CTranslate2 folder, a run or a hub model.

    Args:
        name: which.
        engine_name: ``torch``, ``ctranslate2``, or ``auto``: the one that runs this kind of folder.
        lead_tokens: of the infill format, instead of the model's own.

    Raises:
        InputError: there is no such model, it cannot be opened, or the engine does not run such folders.
    """
    folder = resolve_model(name)
    engine, tokenizer = _open_engine(folder, engine_name)
    asked = read_asked(folder, tokenizer)
    if lead_tokens is not None and asked.infill is not None:
        asked = replace(asked, infill=replace(asked.infill, lead_tokens=lead_tokens))
    return OpenModel(engine, tokenizer, asked)


def _open_engine(folder: Path, engine_name: str) -> tuple[Engine, Tokenizer]:
    """Open a folder with the engine that runs its kind; both engines can do all that is asked of one."""
    if not is_ctranslate2_folder(folder):
        if engine_name == "ctranslate2":
            raise InputError(
                f"{folder} is not a CTranslate2 folder; make one with `spanmix convert {folder} FOLDER --to "
                "ctranslate2`, or use --engine torch"
            )
        decoder, tokenizer = load_model_folder(folder)
        if decoder.wte.weight.dtype == torch.float16:
            decoder.float()  # processors hardly compute in float16, which float32 holds exactly
        return TorchEngine(decoder, pack=True), tokenizer
    if engine_name == "torch":
        raise InputError(
            f"{folder} is a CTranslate2 folder, which PyTorch does not run; use --engine ctranslate2, or "
            "name the folder that it was made from"
        )
    tokenizer = Tokenizer.load(folder)
    engine = CTranslate2Engine(folder)
    if len(engine.vocabulary) != tokenizer.vocab_size or engine.vocabulary[tokenizer.control.eot] != EOT:
        raise InputError(
            f"{folder}: the tokenizer's {tokenizer.vocab_size} entries are not those of the model's "
            f"vocabulary, which has {len(engine.vocabulary)}; use the tokenizer that it was converted with"
        )
    return engine, tokenizer
