"""Open a model by its name: a folder, a run, a hub model, or the address of a server."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from spanmix.errors import InputError, nearest
from spanmix.generate.asked import Asked, read_asked
from spanmix.generate.completions_client import Endpoint, api_key_of
from spanmix.generate.ctranslate2_engine import CTranslate2Engine
from spanmix.generate.ctranslate2_folder import MODEL_FILE, is_ctranslate2_folder
from spanmix.generate.endpoint_engine import EndpointEngine
from spanmix.generate.engine import Engine
from spanmix.generate.formats import InfillFormat
from spanmix.generate.healing import Healer
from spanmix.generate.torch_engine import TorchEngine
from spanmix.generate.transformers_engine import TransformersEngine
from spanmix.generate.transformers_folder import is_of_another_family, open_transformers
from spanmix.model.devices import check_device, computes_bf16
from spanmix.model.folder import load_model_folder, resolve_model
from spanmix.model.weights import weights_checksum
from spanmix.text.text_tokenizer import TextTokenizer
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.tokenizer_training import EOT


@dataclass(frozen=True)
class OpenModel:
    """An engine that runs the model, its tokenizer, and how it is asked.

    Args:
        name: as it was given.
        engine: what runs it.
        tokenizer: its own.
        asked: how it is asked.
        folder: where its weights are; None for a server's.
        news: what the user should know of the way it was opened; None if it is the usual one.
    """

    name: str
    engine: Engine
    tokenizer: TextTokenizer
    asked: Asked
    folder: Path | None
    news: str | None = None

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

    def healer(self) -> Healer | None:
        """Return what lets answers go on inside a word; None if the engine cannot."""
        return Healer(self.tokenizer) if "opening" in self.engine.info.capabilities else None

    def identity(self) -> dict[str, str | None]:
        """Return what two measurements of the same model have in common: ``model``, ``weights_sha256``
        (None for a server's), ``tokenizer``, its fingerprint, and ``engine``, what it computes in."""
        checksum = None if self.folder is None else _checksum(self.folder)
        return {
            "model": self.name,
            "weights_sha256": checksum,
            "tokenizer": self.tokenizer.fingerprint,
            "engine": self.engine.info.dtype,
        }


@dataclass(frozen=True)
class Served:
    """What has to be known of a model that a server has, beside the address.

    Args:
        tokenizer: a folder with the model's tokenizer, or a hub model; how it is asked is read there too.
        name: what the server calls it; the first that it lists if not given.
        api_key_env: the variable of the environment that holds the API key.
        timeout_seconds: longest wait for one answer.
        context_tokens: prompt plus completion; as the server says if not given.
        own_ends: names of the controls at which the server ends an answer by itself.
        allow_unseeded: sample also where the same seed gives another sample.
    """

    tokenizer: str
    name: str | None = None
    api_key_env: str | None = None
    timeout_seconds: float = 300.0
    context_tokens: int | None = None
    own_ends: tuple[str, ...] = (EOT,)
    allow_unseeded: bool = False


@dataclass(frozen=True)
class TorchTuning:
    """How the torch engine runs a model folder.

    Args:
        precision: ``fp32``, ``bf16``, ``auto`` (bf16 where the device has instructions for it), or None: the
            type of the weights.
        read_tokens, resting_rows, part_seconds: see `TorchEngine`.
    """

    precision: str | None = None
    read_tokens: int = 2048
    resting_rows: int = 0
    part_seconds: float | None = None

    def dtype_on(self, device: str) -> torch.dtype | None:
        """Return what to compute in."""
        if self.precision == "auto":
            return torch.bfloat16 if computes_bf16(device) else torch.float32
        return None if self.precision is None else _DTYPES[self.precision]


_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def is_url(name: str) -> bool:
    """Say whether a model is named by an address.

    >>> is_url("http://localhost:8000/v1"), is_url("models/mine")
    (True, False)
    """
    return name.startswith(("http://", "https://"))


def open_model(
    name: str,
    engine_name: str = "auto",
    lead_tokens: int | None = None,
    device: str | None = None,
    tuning: TorchTuning | None = None,
) -> OpenModel:
    """Open a model folder, a CTranslate2 folder, a run or a hub model.

    Args:
        name: which.
        engine_name: ``torch``, ``ctranslate2``, ``transformers``, or ``auto``: the one that runs this kind of
            folder.
        lead_tokens: of the infill format, instead of the model's own.
        device: where PyTorch computes; the processor if not given.
        tuning: what the torch engine is told beside that.

    Raises:
        InputError: there is no such model or device, it cannot be opened, the engine does not run such
            folders or on such a device, or the lead fills the context.
    """
    if device is not None:
        check_device(device)
    folder = resolve_model(name)
    engine, tokenizer, asked = _open_engine(folder, engine_name, device, tuning or TorchTuning())
    news = None
    if engine_name == "auto" and isinstance(engine, TransformersEngine):
        news = f"{name} is of another family than CodeGen2's, and is run by transformers"
    return OpenModel(name, engine, tokenizer, _with_lead(asked, lead_tokens, engine), folder, news)


def open_served(url: str, served: Served, lead_tokens: int | None = None) -> OpenModel:
    """Open the model of a server.

    Args:
        url: of the server, of its ``/v1``, or of its ``/v1/completions``.
        served: what else has to be known.
        lead_tokens: of the infill format, instead of the model's own.

    Raises:
        InputError: nothing answers there, or the tokenizer, the key or the context is missing.
    """
    folder = resolve_model(served.tokenizer)
    tokenizer = Tokenizer.load(folder)
    ends = set()
    for name in served.own_ends:
        if name not in tokenizer.special_ids:
            known = [one for one in tokenizer.special_ids if not one.startswith("<mask_")]
            raise InputError(f"the tokenizer has no control {name!r}{nearest(name, known)}")
        ends.add(tokenizer.special_ids[name])
    key = api_key_of(served.api_key_env) if served.api_key_env else None
    endpoint = Endpoint(url, served.name, key, served.timeout_seconds)
    engine = EndpointEngine(
        endpoint,
        tokenizer,
        context_tokens=served.context_tokens,
        own_ends=frozenset(ends),
        allow_unseeded=served.allow_unseeded,
    )
    name = f"{endpoint.model} at {endpoint.url}"
    asked = _with_lead(read_asked(folder, tokenizer), lead_tokens, engine)
    return OpenModel(name, engine, tokenizer, asked, None)


def _with_lead(asked: Asked, lead_tokens: int | None, engine: Engine) -> Asked:
    if lead_tokens is not None and asked.infill is not None:
        if lead_tokens >= (context := engine.info.context_tokens):
            raise InputError(
                f"a lead of {lead_tokens} tokens leaves nothing of the model's context of {context}; give "
                "fewer"
            )
        asked = replace(asked, infill=replace(asked.infill, lead_tokens=lead_tokens))
    return asked


def _open_engine(
    folder: Path, engine_name: str, device: str | None, tuning: TorchTuning
) -> tuple[Engine, TextTokenizer, Asked]:
    """Open a folder with the engine that runs its kind; all of them can do all that is asked of one."""
    if is_ctranslate2_folder(folder):
        if engine_name in ("torch", "transformers"):
            raise InputError(
                f"{folder} is a CTranslate2 folder, which PyTorch does not run; use --engine ctranslate2, or "
                "name the folder that it was made from"
            )
        if device not in (None, "cpu"):
            raise InputError(
                f"{folder} is a CTranslate2 folder, which runs on the processor, not on {device}; leave the "
                "device out, or name the folder that it was made from"
            )
        return _open_ctranslate2(folder)
    if engine_name == "ctranslate2":
        raise InputError(
            f"{folder} is not a CTranslate2 folder; make one with `spanmix convert {folder} FOLDER --to "
            "ctranslate2`, or use --engine torch"
        )
    others = is_of_another_family(folder)
    if engine_name == "transformers" or (engine_name == "auto" and others):
        return open_transformers(folder, device)
    if others:
        raise InputError(
            f"{folder} holds a model of another family than CodeGen2's; use --engine transformers, or "
            f"`spanmix convert {folder} FOLDER --to native` if it is a CodeGen model"
        )
    return _open_torch(folder, device, tuning)


def _open_torch(folder: Path, device: str | None, tuning: TorchTuning) -> tuple[Engine, TextTokenizer, Asked]:
    decoder, tokenizer = load_model_folder(folder)
    if decoder.wte.weight.dtype == torch.float16:
        decoder.float()  # processors hardly compute in float16, which float32 holds exactly
    if device is not None:
        decoder.to(device)
    engine = TorchEngine(
        decoder,
        tuning.dtype_on(device or "cpu"),
        pack=True,
        read_tokens=tuning.read_tokens,
        resting_rows=tuning.resting_rows,
        part_seconds=tuning.part_seconds,
    )
    return engine, tokenizer, read_asked(folder, tokenizer)


def _open_ctranslate2(folder: Path) -> tuple[Engine, TextTokenizer, Asked]:
    tokenizer = Tokenizer.load(folder)
    engine = CTranslate2Engine(folder)
    if len(engine.vocabulary) != tokenizer.vocab_size or engine.vocabulary[tokenizer.control.eot] != EOT:
        raise InputError(
            f"{folder}: the tokenizer's {tokenizer.vocab_size} entries are not those of the model's "
            f"vocabulary, which has {len(engine.vocabulary)}; use the tokenizer that it was converted with"
        )
    return engine, tokenizer, read_asked(folder, tokenizer)


def _checksum(folder: Path) -> str:
    packed = folder / MODEL_FILE
    if packed.is_file():
        with packed.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    return weights_checksum(folder)
