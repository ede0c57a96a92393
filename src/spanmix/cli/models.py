"""Open the MODEL of a command line."""

from __future__ import annotations

from dataclasses import dataclass

from spanmix.generate.engine import Engine
from spanmix.generate.formats import LEAD_TOKENS, InfillFormat, codegen2_format
from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.folder import load_model_folder, resolve_model
from spanmix.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class OpenModel:
    """An engine that runs the model, its tokenizer, and how it is asked to infill."""

    engine: Engine
    tokenizer: Tokenizer
    infill_format: InfillFormat


def open_model(name: str, lead_tokens: int = LEAD_TOKENS) -> OpenModel:
    """Open a model folder, a run or a hub model.

    Args:
        name: which.
        lead_tokens: of the infill format.

    Raises:
        InputError: there is no such model, or it cannot be opened.
    """
    decoder, tokenizer = load_model_folder(resolve_model(name))
    return OpenModel(TorchEngine(decoder), tokenizer, codegen2_format(tokenizer.control, lead_tokens))
