"""Put a byte-level BPE tokenizer of GPT-2's kind together from its parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors


def byte_alphabet() -> dict[str, int]:
    """Return the byte of each character of the byte-level alphabet: GPT-2 writes a byte as one of them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def byte_level_bpe(
    ids: Mapping[str, int], merges: Sequence[tuple[str, str]], added: Mapping[str, bool]
) -> tokenizers.Tokenizer:
    """Return a tokenizer with GPT-2's splitting rule.

    The same parts always give the same files, whoever wrote down what they were read from.

    Args:
        ids: id of each entry that the merges make, in the byte-level alphabet; special tokens may be
            among them.
        merges: the pairs, the first to be merged first.
        added: the other entries as plain text, in the order of their ids, and whether each is special.
    """
    inner = tokenizers.Tokenizer(models.BPE(dict(ids), [(left, right) for left, right in merges]))
    split_as_gpt2(inner)
    for special, texts in groupby(added, added.__getitem__):
        add_tokens(inner, texts, special)
    return inner


def split_as_gpt2(inner: tokenizers.Tokenizer) -> None:
    """Give a BPE model GPT-2's way from text to bytes and back."""
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    inner.post_processor = processors.ByteLevel(trim_offsets=False)
    inner.decoder = decoders.ByteLevel()


def add_tokens(inner: tokenizers.Tokenizer, contents: Iterable[str], special: bool) -> None:
    """Lay entries behind the others; the text of a special one is found only where the caller asks for it."""
    tokens = [AddedToken(text, special=special, normalized=False) for text in contents]
    added = inner.add_special_tokens(tokens) if special else inner.add_tokens(tokens)
    assert added == len(tokens), "an entry of the base has the name of an added one"
