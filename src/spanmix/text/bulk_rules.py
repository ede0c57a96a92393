"""Say of a tokenizer whether its words can be found by arithmetic: `BulkRules`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import tokenizers
from tokenizers import AddedToken, models

from spanmix.text.byte_level import byte_alphabet

SPACE, TAB = " ", "\t"

_BYTES_OF_UTF8 = frozenset({*range(0x80), *range(0x80, 0xC0), *range(0xC2, 0xF5)})


@dataclass(frozen=True)
class BulkRules:
    """What a tokenizer takes off a text before GPT-2's rule splits the rest.

    Args:
        most_spaces: there is an added token for each run of 2 to this many spaces; 1 if there is none.
        most_tabs: the same for tabs.
    """

    most_spaces: int = 1
    most_tabs: int = 1


def bulk_rules(inner: tokenizers.Tokenizer) -> BulkRules | None:
    """Return the rules of a tokenizer, or None if its words have to be found by the library.

    They can be found here if

    - nothing changes the text before it is split, and GPT-2's rule alone splits it, without a space in front;
    - a word's ids depend on the word alone (BPE without dropout) and stand for exactly its bytes;
    - the added tokens that text can yield are runs of 2, 3, ... spaces or tabs without a gap, and no special
      token has a space or tab, so that none can lie across a run. The library is expected to take special
      tokens' strings as text (``encode_special_tokens``).

    How words become ids is not asked: the library does that; see `spanmix.text.bulk_encoding`. Vocabulary
    and merges are not written out for the answer, which takes less than a millisecond.
    """
    if inner.normalizer is not None or inner.pre_tokenizer is None:
        return None
    if not _splits_as_gpt2(json.loads(inner.pre_tokenizer.__getstate__())) or not _is_plain_bpe(inner.model):
        return None
    return _runs(inner.get_added_tokens_decoder().values())


def _splits_as_gpt2(step: Any) -> bool:
    if step["type"] == "Sequence":
        inner = step["pretokenizers"]
        return len(inner) == 1 and _splits_as_gpt2(inner[0])
    return step["type"] == "ByteLevel" and not step["add_prefix_space"] and bool(step.get("use_regex", True))


def _is_plain_bpe(model: models.Model) -> bool:
    if not isinstance(model, models.BPE):
        return False
    if model.dropout or model.continuing_subword_prefix or model.end_of_word_suffix:
        return False
    letters = (letter for letter, byte in byte_alphabet().items() if byte in _BYTES_OF_UTF8)
    return all(model.token_to_id(letter) is not None for letter in letters)


def _runs(added: Iterable[AddedToken]) -> BulkRules | None:
    special = [token for token in added if token.special]
    plain = [token for token in added if not token.special]
    lengths: dict[str, set[int]] = {SPACE: set(), TAB: set()}
    for token in plain:
        if set(token.content) not in ({SPACE}, {TAB}) or token.single_word or token.lstrip or token.rstrip:
            return None
        lengths[token.content[0]].add(len(token.content))
    if len({token.normalized for token in plain}) > 1:  # the library looks for one kind after the other
        return None
    if plain and any({SPACE, TAB} & set(token.content) for token in special):
        return None
    most = {blank: max(found, default=1) for blank, found in lengths.items()}
    if any(found != set(range(2, most[blank] + 1)) for blank, found in lengths.items()):
        return None
    return BulkRules(most[SPACE], most[TAB])
