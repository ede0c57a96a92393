"""Open the model that lm-eval is told to measure."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from spanmix.errors import InputError
from spanmix.generate.asked import read_asked
from spanmix.generate.completions_client import Endpoint, api_key_of
from spanmix.generate.ctranslate2_engine import CTranslate2Engine
from spanmix.generate.ctranslate2_folder import is_ctranslate2_folder
from spanmix.generate.endpoint_engine import EndpointEngine
from spanmix.generate.engine import Engine
from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.folder import load_model_folder, resolve_model
from spanmix.text.tokenizer import Tokenizer

_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class MeasuredModel:
    """An engine that runs the model, its tokenizer, and what it is given in front of a text."""

    engine: Engine
    tokenizer: Tokenizer
    start_ids: tuple[int, ...]


def open_model(
    model: str,
    device: str | None = None,
    tokenizer: str | None = None,
    served_name: str | None = None,
    api_key_env: str | None = None,
) -> MeasuredModel:
    """Open a folder, a run, a hub model or a server; the arguments are those of `EngineAnswers`.

    Raises:
        InputError: there is no such model, it cannot be opened, or an argument does not belong to it.
    """
    if model.startswith(("http://", "https://")):
        if tokenizer is None:
            raise InputError(
                f"{model} is a server; name its model's folder too, for the tokenizer: tokenizer=FOLDER"
            )
        folder = resolve_model(tokenizer)
        served = Tokenizer.load(folder)
        key = api_key_of(api_key_env) if api_key_env else None
        endpoint = Endpoint(model, served_name, key, _TIMEOUT_SECONDS)
        return MeasuredModel(EndpointEngine(endpoint, served), served, read_asked(folder, served).start_ids)
    if tokenizer or served_name or api_key_env:
        raise InputError(
            f"tokenizer, served_name and api_key_env are for servers, and {model} is not an http address"
        )
    folder = resolve_model(model)
    if is_ctranslate2_folder(folder):
        own = Tokenizer.load(folder)
        return MeasuredModel(CTranslate2Engine(folder), own, read_asked(folder, own).start_ids)
    decoder, own = load_model_folder(folder)
    if decoder.wte.weight.dtype == torch.float16:
        decoder.float()  # processors hardly compute in float16, which float32 holds exactly
    if device is not None:
        decoder.to(device)
    return MeasuredModel(TorchEngine(decoder), own, read_asked(folder, own).start_ids)
