"""Look at what a folder's JSON files tell transformers: token ids, what is suppressed, lengths, code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanmix.errors import InputError
from spanmix.files import read_json
from spanmix.interchange.verify.result import Check, cannot_tell, convert_command, ok, wrong
from spanmix.text.tokenizer import Tokenizer

_IDS, _GENERATION, _LENGTH, _PADDING = "begin and end ids", "generation", "longest text", "left padding"


@dataclass(frozen=True)
class _Config:
    bos_token_id: int | tuple[int, ...] | None = None
    eos_token_id: int | tuple[int, ...] | None = None
    suppress_tokens: tuple[int, ...] | None = None
    auto_map: dict[str, Any] | None = None


@dataclass(frozen=True)
class _TokenizerConfig:
    model_max_length: int | float | None = None


def check_files(
    folder: Path, source: str, tokenizer: Tokenizer, can_infill: bool, context_tokens: int
) -> list[Check]:
    """Look at ``config.json``, ``generation_config.json`` and ``tokenizer_config.json``.

    Args:
        folder: of the model.
        source: the same, as it was named.
        tokenizer: the model's, put right.
        can_infill: whether the model was trained to infill.
        context_tokens: that the model can see.
    """
    remedy = convert_command(source)
    return [
        _guarded(_IDS, remedy, lambda: _check_ids(folder, tokenizer, remedy)),
        _guarded(_GENERATION, remedy, lambda: _check_generation(folder, tokenizer, can_infill, remedy)),
        _guarded(_LENGTH, remedy, lambda: _check_length(folder, context_tokens, remedy)),
        _guarded(_PADDING, remedy, lambda: _check_padding(folder, remedy)),
    ]


def _guarded(name: str, remedy: str, check: Any) -> Check:
    """Make a broken file a finding."""
    try:
        found: Check = check()
    except InputError as error:
        return wrong(name, str(error), remedy)
    return found


def _read(folder: Path, name: str) -> _Config:
    return read_json(folder / name, _Config) if (folder / name).is_file() else _Config()


def _check_ids(folder: Path, tokenizer: Tokenizer, remedy: str) -> Check:
    control = tokenizer.control
    strange = []
    for name in ("config.json", "generation_config.json"):
        config = _read(folder, name)
        if set(_listed(config.bos_token_id)) - {control.eot}:
            strange.append(f"{name} has bos_token_id {_named(config.bos_token_id, tokenizer)}")
        ends = set(_listed(config.eos_token_id))
        if ends and not {control.eot} <= ends <= {control.eot, control.eom}:
            strange.append(f"{name} has eos_token_id {_named(config.eos_token_id, tokenizer)}")
    if strange:
        right = f"{control.eot} ('<|endoftext|>')"
        detail = f"{'; '.join(strange)}; the true one is {right}, so a text ends at the wrong token"
        return wrong(_IDS, detail, remedy)
    return ok(_IDS, f"none is another than {control.eot} ('<|endoftext|>')")


def _check_generation(folder: Path, tokenizer: Tokenizer, can_infill: bool, remedy: str) -> Check:
    control = tokenizer.control
    config, generation = _read(folder, "config.json"), _read(folder, "generation_config.json")
    ends = _listed(generation.eos_token_id) or _listed(config.eos_token_id)
    lacking = []
    if control.eot not in ends:
        lacking.append("generation does not end at <|endoftext|>")
    if can_infill and control.eom not in ends:
        lacking.append("generation does not end at <eom>, so an infill runs on into what follows it")
    suppressed = generation.suppress_tokens or config.suppress_tokens or ()
    if missing := tokenizer.suppressed_ids - set(suppressed):
        some = tokenizer.decode([min(missing)])
        lacking.append(f"{len(missing)} tokens that stand for nothing are not suppressed, such as {some}")
    if lacking:
        return wrong(_GENERATION, "; ".join(lacking), remedy, unsuppressed=len(missing))
    ids = " and ".join(str(i) for i in sorted(ends))
    return ok(_GENERATION, f"ends at {ids}, and {len(tokenizer.suppressed_ids)} tokens are suppressed")


def _check_length(folder: Path, context_tokens: int, remedy: str) -> Check:
    file = folder / "tokenizer_config.json"
    length = read_json(file, _TokenizerConfig).model_max_length if file.is_file() else None
    if length is not None and length < context_tokens:
        detail = (
            f"model_max_length is {length:,}, and the model sees {context_tokens:,} tokens: texts are cut"
        )
        return wrong(_LENGTH, detail, remedy, model_max_length=length, context_tokens=context_tokens)
    return ok(_LENGTH, f"the tokenizer cuts nothing short of {context_tokens:,} tokens")


def _check_padding(folder: Path, remedy: str) -> Check:
    named = _read(folder, "config.json").auto_map
    if not named:
        return ok(_PADDING, "no remote code; transformers' own class goes by position_ids")
    code = " ".join(map(str, named.values()))
    if "codegen" not in code.lower():
        return cannot_tell(_PADDING, f"it is run by remote code that is not known here ({code})")
    detail = (
        "config.json names remote code (auto_map), and CodeGen2's never uses its position_ids: padding on "
        "the left shifts every position of a row (rotary attention sees distances only, so that alone is a "
        "matter of rounding), and padding elsewhere makes gaps. transformers 5 cannot import it"
    )
    return wrong(_PADDING, detail, remedy)


def _listed(ids: int | tuple[int, ...] | None) -> tuple[int, ...]:
    return ids if isinstance(ids, tuple) else () if ids is None else (ids,)


def _named(ids: int | tuple[int, ...] | None, tokenizer: Tokenizer) -> str:
    known = range(tokenizer.vocab_size)
    return " and ".join(
        f"{i} ({tokenizer.decode([i])!r})" if i in known else f"{i} (no token)" for i in _listed(ids)
    )
