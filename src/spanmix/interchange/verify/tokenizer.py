"""Look at a folder's tokenizer as other programs open it, beside what the model needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tokenizers

from spanmix.errors import InputError
from spanmix.interchange.parity import PLAIN_TEXTS
from spanmix.interchange.tokenizers import (
    VOCAB_SIZE,
    codegen2_tokenizer,
    codegen25_tokenizer,
    tokenizer_for,
)
from spanmix.interchange.verify.result import Check, cannot_tell, convert_command, ok, wrong
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.tokenizer_files import has_tokenizer, open_tokenizer, open_tokenizer_file
from spanmix.text.tokenizer_training import BLANK_RUNS, EOM, EOT, SEP, mask_name

_IDS, _BLANKS, _CONTROLS = "tokenizer", "blank runs", "controls in a text"
_HOSTILE = f"x = '{mask_name(1)}'  # {SEP}{EOM}{EOT}"


def check_tokenizer(
    folder: Path, source: str, vocab_size: int, is_llama: bool
) -> tuple[Tokenizer | None, list[Check]]:
    """Compare a folder's tokenizer with the model.

    Args:
        folder: of the model.
        source: the same, as it was named.
        vocab_size: rows of the model's embedding.
        is_llama: whether the model has the Llama form.

    Returns:
        The tokenizer, put right, or that of the model's family; None if there is none that fits.
    """
    remedy = convert_command(source)
    family = codegen25_tokenizer if is_llama else codegen2_tokenizer
    try:
        right, _ = tokenizer_for(folder, vocab_size)
    except InputError as error:
        mend = "put the model's own tokenizer files there"
        if vocab_size == VOCAB_SIZE:
            mend = f"{mend}; or take them away, and {remedy} gives it the family's"
        found = wrong(_IDS, str(error), mend, vocab_size=vocab_size)
        return (family() if vocab_size == VOCAB_SIZE else None), [found]
    if not has_tokenizer(folder):
        detail = "there is no tokenizer.json or vocab.json, so nothing opens it without remote code"
        return right, [wrong(_IDS, detail, remedy)]
    theirs, ordinary = _open(folder)
    checks = [_check_ids(theirs, right, vocab_size, remedy), _check_blanks(theirs, right, remedy)]
    return right, [*checks, _check_controls(theirs, right, ordinary, remedy)]


def _open(folder: Path) -> tuple[tokenizers.Tokenizer, list[str]]:
    """Return the tokenizer as the library opens it, and its controls that are ordinary tokens."""
    inner, ordinary = open_tokenizer(folder)
    if (folder / "tokenizer.json").is_file():
        inner = open_tokenizer_file(folder / "tokenizer.json")
    return inner, ordinary


def _check_ids(theirs: tokenizers.Tokenizer, right: Tokenizer, vocab_size: int, remedy: str) -> Check:
    size = theirs.get_vocab_size(with_added_tokens=True)
    numbers = {"tokenizer": size, "embedding": vocab_size}
    if size != vocab_size:
        detail = (
            f"it has {size:,} entries and the embedding {vocab_size:,} rows: a model can generate ids that "
            "have no text, and some programs refuse it"
        )
        return wrong(_IDS, detail, remedy, **numbers)
    if vocab_size == VOCAB_SIZE:
        known = [("CodeGen2", codegen2_tokenizer()), ("CodeGen2.5", codegen25_tokenizer())]
        matching = next((pair for pair in known if pair[1].special_ids == right.special_ids), None)
        if matching is not None:
            name, reference = matching
            moved = [text for text in PLAIN_TEXTS if _encode(theirs, text) != reference.encode(text)]
            if moved:
                detail = (
                    f"it has {name}'s controls but makes other ids of {moved[0]!r} than {name} was trained on"
                )
                mend = f"take the tokenizer files away; {remedy} gives it {name}'s"
                return wrong(_IDS, detail, mend, **numbers)
            return ok(_IDS, f"{name}'s, {size:,} ids as the embedding has rows", **numbers)
    lost = [
        text
        for text in PLAIN_TEXTS
        if theirs.decode(_encode(theirs, text), skip_special_tokens=False) != text
    ]
    if lost:
        return wrong(_IDS, f"{lost[0]!r} does not come back from its ids", remedy, **numbers)
    return ok(_IDS, f"{size:,} ids, as the embedding has rows; texts come back", **numbers)


def _check_blanks(theirs: tokenizers.Tokenizer, right: Tokenizer, remedy: str) -> Check:
    """All tokenizers of this family that have an entry for one run of blanks have one for each."""
    entries: Mapping[str, int] = theirs.get_vocab(with_added_tokens=True)
    runs = [run for run in BLANK_RUNS if run in entries]
    if not runs:
        if all(right.encode(run) == _encode(theirs, run) for run in BLANK_RUNS):
            return ok(_BLANKS, "the tokenizer has no entries for them beside its merges'")
        return wrong(_BLANKS, "runs of blanks become other ids than the model was trained on", remedy)
    whole = [run for run in runs if _encode(theirs, f"{run}x")[:1] == [entries[run]]]
    total = len(BLANK_RUNS)
    if len(whole) < total:
        detail = f"{total - len(whole)} of {total} runs of blanks are cut, and not one token as in training"
        return wrong(_BLANKS, detail, remedy, whole=len(whole), runs=total)
    return ok(_BLANKS, f"each of {total} runs becomes its one token", whole=len(whole), runs=total)


def _check_controls(
    theirs: tokenizers.Tokenizer, right: Tokenizer, ordinary: list[str], remedy: str
) -> Check:
    if ordinary:
        detail = (
            f"{len(ordinary)} controls ({ordinary[0]} to {ordinary[-1]}) are ordinary tokens: a text that "
            "only contains such a string becomes the control, and skip_special_tokens leaves them in answers"
        )
        return wrong(_CONTROLS, detail, remedy, ordinary=len(ordinary))
    if set(_encode(theirs, _HOSTILE)) & set(right.special_ids.values()):
        return wrong(_CONTROLS, f"{_HOSTILE!r} becomes control tokens even as plain text", remedy)
    if not right.num_sentinels:
        return cannot_tell(_CONTROLS, "the tokenizer has none")
    detail = (
        "all are special, so that a text with such strings stays text where it is encoded as text "
        "(Spanmix; split_special_tokens=True in transformers)"
    )
    return ok(_CONTROLS, detail, controls=len(right.special_ids))


def _encode(inner: tokenizers.Tokenizer, text: str) -> list[int]:
    """Return the ids of plain text, control strings in it taken as text."""
    before = inner.encode_special_tokens
    inner.encode_special_tokens = True
    try:
        ids: list[int] = inner.encode(text, add_special_tokens=False).ids
    finally:
        inner.encode_special_tokens = before
    return ids
