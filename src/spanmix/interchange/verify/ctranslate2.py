"""Look at what a CTranslate2 folder says beside its weights, and run it where its library is installed."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from spanmix.errors import InputError
from spanmix.files import read_json
from spanmix.generate.ctranslate2_engine import CTranslate2Engine
from spanmix.generate.ctranslate2_folder import read_facts
from spanmix.generate.engine import ScoreRequest
from spanmix.interchange.verify.positions import check_batch
from spanmix.interchange.verify.result import Check, cannot_tell, convert_command, ok, wrong
from spanmix.interchange.verify.sample import SAMPLE, Measured, check_loss
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.tokenizer_files import has_tokenizer, open_tokenizer
from spanmix.text.tokenizer_training import EOT

_VOCABULARY, _IDS, _BATCH, _ENGINE = "vocabulary", "begin and end ids", "left padding", "engine"


@dataclass(frozen=True)
class _Tokens:
    bos_token: str | None = None
    eos_token: str | None = None


def check_ctranslate2(folder: Path, source: str, tokenizer: Tokenizer | None) -> list[Check]:
    """Check a folder.

    Args:
        folder: CTranslate2's.
        source: the same, as it was named.
        tokenizer: the model's; None if there is none that fits.
    """
    remedy = f"{convert_command('ORIGINAL', 'ctranslate2')}, from the model that {source} was made of"
    checks = [_check_ids(folder, remedy)]
    try:
        vocabulary = read_facts(folder).vocabulary
    except InputError as error:
        return [*checks, wrong(_VOCABULARY, str(error), remedy)]
    if tokenizer is None:
        return checks
    known = tokenizer.special_ids
    if has_tokenizer(folder):
        known |= open_tokenizer(folder)[0].get_vocab(with_added_tokens=True)
    if moved := sorted(i for text, i in known.items() if i >= len(vocabulary) or vocabulary[i] != text):
        found = vocabulary[moved[0]] if moved[0] < len(vocabulary) else None
        detail = (
            f"{len(moved)} of {len(vocabulary)} entries are not the tokenizer's, first {moved[0]}: {found!r}"
        )
        return [*checks, wrong(_VOCABULARY, detail, remedy, moved=len(moved))]
    checks.append(ok(_VOCABULARY, f"its {len(vocabulary)} entries are the tokenizer's"))
    return [*checks, *_run(folder, tokenizer, remedy)]


def _check_ids(folder: Path, remedy: str) -> Check:
    file = folder / "config.json"
    tokens = read_json(file, _Tokens) if file.is_file() else _Tokens()
    strange = [
        f"{field} {text!r}"
        for field, text in (("bos_token", tokens.bos_token), ("eos_token", tokens.eos_token))
        if text not in (None, EOT)
    ]
    if strange:
        return wrong(_IDS, f"config.json has {' and '.join(strange)}; the true one is {EOT}", remedy)
    return ok(_IDS, f"config.json names no other than {EOT}")


def _run(folder: Path, tokenizer: Tokenizer, remedy: str) -> list[Check]:
    if importlib.util.find_spec("ctranslate2") is None:
        return [
            cannot_tell(_ENGINE, "ctranslate2 is not installed; `pip install 'spanmix[ctranslate2]'` runs it")
        ]
    try:
        engine = CTranslate2Engine(folder)
    except InputError as error:
        return [wrong(_ENGINE, str(error), remedy)]
    ids = tokenizer.encode(SAMPLE)[: engine.info.context_tokens]
    short = ScoreRequest(ids[:1], ids[1 : len(ids) // 2])
    try:
        (alone,) = engine.score([short])
        beside = engine.score([short, ScoreRequest(ids[:1], ids[1:])])[0]
        (whole,) = engine.score([ScoreRequest(ids[:1], ids[1:])])
    except (RuntimeError, ValueError, LookupError) as error:
        return [wrong(_ENGINE, f"the library cannot run it: {error}", remedy)]
    losses_1N = -torch.tensor([whole.logprobs])
    loss = check_loss(Measured(losses_1N, torch.tensor([math.nan]), engine.info.vocab_size))
    batch = check_batch(_BATCH, alone.logprobs, alone.logprobs, beside.logprobs, remedy)
    return [replace(loss, name=_ENGINE, detail=f"run by ctranslate2: {loss.detail}"), batch]
