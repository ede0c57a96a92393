"""Verify a GGUF file for llama.cpp: what it says, and, where its graph is known here, what it computes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from spanmix.interchange.gguf.reader import open_gguf
from spanmix.interchange.verify.result import Check, Verification, cannot_tell, ok, wrong
from spanmix.interchange.verify.sample import SAMPLE, Budget, check_loss, measure, sample_ids
from spanmix.text.byte_level import byte_level_bpe
from spanmix.text.tokenizer_files import is_control
from spanmix.text.tokenizer_training import BLANK_RUNS, EOM, EOT

if TYPE_CHECKING:
    import tokenizers
    from gguf import GGUFReader

_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5
"""llama.cpp's types of tokens."""

_LOSS = "loss on code"
_Item = TypeVar("_Item")
_GRAPHS = ("phi2", "llama")
_VALUES_AT_ONCE = 1 << 24


def verify_gguf(file: Path, seconds: float) -> Verification:
    """Verify a file.

    Args:
        file: which.
        seconds: what the loss may take.

    Raises:
        InputError: it is no GGUF file, was cut short, or ``gguf`` is not installed.
    """
    facts = _Facts(open_gguf(file))
    remedy = "spanmix convert ORIGINAL DEST.gguf --to gguf, from the model that it was made of"
    checks = [_check_finite(facts, remedy), _check_size(facts, remedy), _check_ids(facts, remedy)]
    checks += [_check_types(facts, remedy), _check_blanks(facts, remedy)]
    checks.append(_check_loss(file, facts, seconds, remedy))
    return Verification(str(file), f"GGUF, {facts.architecture}", tuple(checks))


class _Facts:
    """What a file says; a key that it lacks, or that is of another type, is None."""

    def __init__(self, reader: GGUFReader) -> None:
        self.reader = reader
        self.architecture = str(self.key("general.architecture"))
        self.tokens: list[str] = self.array("tokenizer.ggml.tokens", str) or []
        self.types: list[int] = self.array("tokenizer.ggml.token_type", int) or []

    def key(self, name: str) -> Any:
        """Return the value of a key, or None."""
        field = self.reader.fields.get(name)
        try:
            return None if field is None else field.contents()
        except ValueError:  # a string that is not UTF-8
            return None

    def array(self, name: str, kind: type[_Item]) -> list[_Item] | None:
        """Return a list of values that are all of one type, or None."""
        found = self.key(name)
        return found if isinstance(found, list) and all(type(item) is kind for item in found) else None

    def whole(self, name: str) -> int:
        """Return a whole number, which a key of the architecture has; 0 if it is none."""
        found = self.key(f"{self.architecture}.{name}")
        return found if type(found) is int else 0

    def token(self, i: Any) -> str:
        """Return the string of an id, for people."""
        return f"{i} ({self.tokens[i]!r})" if isinstance(i, int) and 0 <= i < len(self.tokens) else f"{i}"


def _check_finite(facts: _Facts, remedy: str) -> Check:
    name = "finite weights"
    seen = 0
    for tensor in facts.reader.tensors:
        if tensor.data.dtype not in (np.float32, np.float16):
            continue  # whole numbers cannot be infinite; their scales would show in the loss
        seen += 1
        flat = tensor.data.reshape(-1)
        parts = range(0, len(flat), _VALUES_AT_ONCE)
        if not all(np.isfinite(flat[start : start + _VALUES_AT_ONCE]).all() for start in parts):
            return wrong(name, f"{tensor.name} holds NaN or infinite numbers", remedy)
    total = len(facts.reader.tensors)
    return ok(
        name, f"{seen} of {total} tensors are stored as floats, and are finite", seen=seen, tensors=total
    )


def _check_size(facts: _Facts, remedy: str) -> Check:
    name = "tokenizer"
    rows = {tensor.name: int(tensor.shape[1]) for tensor in facts.reader.tensors if len(tensor.shape) == 2}
    embedding = rows.get("token_embd.weight")
    if not facts.tokens or embedding is None:
        return wrong(name, "the file has no tokens, or no token_embd.weight", remedy)
    numbers = {"tokens": len(facts.tokens), "embedding": embedding}
    if len(facts.tokens) != embedding or len(facts.types) != embedding:
        detail = (
            f"{len(facts.tokens)} tokens with {len(facts.types)} types, and {embedding} rows of the embedding"
        )
        return wrong(name, detail, remedy, **numbers)
    if facts.key("tokenizer.ggml.model") != "gpt2":
        return cannot_tell(name, f"the tokenizer is {facts.key('tokenizer.ggml.model')!r}, of another family")
    split = facts.key("tokenizer.ggml.pre")
    if split not in ("gpt-2", "gpt2"):
        detail = f"texts are split by the rule {split!r}, and models of this family were trained with gpt-2's"
        return wrong(name, detail, remedy, **numbers)
    return ok(name, f"{embedding} tokens, as the embedding has rows; split as GPT-2 does", **numbers)


def _check_ids(facts: _Facts, remedy: str) -> Check:
    """llama.cpp ends generation at ``eos``, ``eot`` and ``eom``."""
    name = "begin and end ids"
    if EOT not in facts.tokens:
        return cannot_tell(name, f"the tokenizer has no {EOT}, so it is of another family")
    end = facts.tokens.index(EOT)
    strange = [
        f"{key} is {facts.token(value)}"
        for key in ("bos_token_id", "eos_token_id")
        if (value := facts.key(f"tokenizer.ggml.{key}")) not in (end, None if key == "bos_token_id" else end)
    ]
    ends = [facts.key(f"tokenizer.ggml.{key}_token_id") for key in ("eot", "eom")]
    infills = EOM in facts.tokens and facts.key("spanmix.infill.end") is not None
    if infills and facts.tokens.index(EOM) not in ends:
        strange.append("nothing ends an infill: neither eot_token_id nor eom_token_id is <eom>")
    if strange:
        return wrong(name, f"{'; '.join(strange)}; the true end of a text is {facts.token(end)}", remedy)
    return ok(name, f"a text ends at {facts.token(end)}")


def _check_types(facts: _Facts, remedy: str) -> Check:
    name = "controls in a text"
    pairs = list(zip(facts.tokens, facts.types, strict=False))
    controls = [(text, kind) for text, kind in pairs if is_control(text)]
    ordinary = [text for text, kind in controls if kind in (_NORMAL, _USER_DEFINED)]
    if ordinary:
        detail = (
            f"{len(ordinary)} controls, first {ordinary[0]}, are ordinary tokens, which any text can yield"
        )
        return wrong(name, detail, remedy, ordinary=len(ordinary))
    if not controls:
        return cannot_tell(name, "the tokenizer has none that are known here")
    unused = sum(kind == _UNUSED for _, kind in controls)
    return ok(
        name, f"{len(controls)} are of the type CONTROL or UNUSED", controls=len(controls), unused=unused
    )


def _check_blanks(facts: _Facts, remedy: str) -> Check:
    name = "blank runs"
    kinds = [kind for text, kind in zip(facts.tokens, facts.types, strict=False) if text in set(BLANK_RUNS)]
    if not kinds:
        return ok(name, "the tokenizer has no entries for them beside its merges'")
    strange = [kind for kind in kinds if kind != _USER_DEFINED]
    if strange:
        detail = f"{len(strange)} of {len(kinds)} runs are not USER_DEFINED, so texts do not become them"
        return wrong(name, detail, remedy, runs=len(kinds))
    return ok(name, f"all {len(kinds)} runs are taken off a text first", runs=len(kinds))


def _check_loss(file: Path, facts: _Facts, seconds: float, remedy: str) -> Check:
    """Run the sample through the graphs of models of this family; a model of another is left alone."""
    known = {"token_embd.weight", "blk.0.attn_q.weight", "output.weight"}
    names = {tensor.name for tensor in facts.reader.tensors}
    heads = facts.whole("attention.head_count")
    groups = facts.key(f"{facts.architecture}.attention.head_count_kv")
    if facts.architecture not in _GRAPHS or not known <= names or not heads or groups not in (None, heads):
        detail = (
            f"its graph ({facts.architecture}) is not known here; llama.cpp's llama-perplexity measures it"
        )
        return cannot_tell(_LOSS, detail)
    from spanmix.interchange.gguf.forward import gguf_forward

    tokenizer = _tokenizer(facts)
    if tokenizer is None:
        return check_loss(None)
    blocks = sum(name.endswith(".attn_q.weight") for name in names)
    context, num_layers = facts.whole("context_length") or 1, facts.whole("block_count")
    if num_layers != blocks:
        return wrong(_LOSS, f"it says that it has {num_layers:,} blocks, and holds {blocks}", remedy)
    starts = facts.array("spanmix.start", str) or []
    start = [facts.tokens.index(text) for text in starts if text in facts.tokens]
    ids_1T = sample_ids(tokenizer.encode(SAMPLE, add_special_tokens=False).ids, start, context)
    try:
        forward = gguf_forward(file)
        measured = measure(forward, ids_1T, 1, num_layers, len(facts.tokens), Budget(seconds))
    except (LookupError, ValueError, TypeError, ArithmeticError, RuntimeError) as error:
        detail = f"its tensors and sizes do not fit together: {type(error).__name__}, {error}"
        return wrong(_LOSS, detail, remedy)
    return check_loss(measured)


def _tokenizer(facts: _Facts) -> tokenizers.Tokenizer | None:
    """Return the file's own tokenizer; None if it is none that is known here."""
    merges = facts.array("tokenizer.ggml.merges", str)
    is_whole = merges is not None and len(facts.types) == len(facts.tokens)
    if merges is None or facts.key("tokenizer.ggml.model") != "gpt2" or not is_whole:
        return None
    last = max((i for i, kind in enumerate(facts.types) if kind == _NORMAL), default=-1)
    ids = {text: i for i, text in enumerate(facts.tokens[: last + 1])}
    added = {
        text: facts.types[last + 1 + n] != _USER_DEFINED for n, text in enumerate(facts.tokens[last + 1 :])
    }
    pairs = [tuple(merge.split(" ", 1)) for merge in merges]
    if not all(len(pair) == 2 and pair[0] in ids and pair[1] in ids for pair in pairs):
        return None
    return byte_level_bpe(ids, [(pair[0], pair[1]) for pair in pairs], added)
