"""Train the byte-level BPE base of a tokenizer, with the control tokens laid behind it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import tokenizers
from tokenizers import Regex, models, pre_tokenizers, trainers

from spanmix.errors import InputError
from spanmix.text.byte_level import add_tokens, split_as_gpt2

EOT, PAD, SEP, EOM = "<|endoftext|>", "<pad>", "<sep>", "<eom>"
UNUSED_PREFIX = "<unused_"
BLANK_RUNS = tuple([" " * n for n in range(31, 1, -1)] + ["\t" * n for n in range(9, 1, -1)])

# Runs this long are data, not language: they waste merges, and merging inside them takes quadratic time.
_SOLID = re.compile(r"(?<!\S)\S{256}|\s{256}")
_LONG_RUN = re.compile(r"[^\W\d_]{256,}|\d{256,}|(?:[^\w\s]|_){256,}|\s{256,}")


def mask_name(n: int) -> str:
    """Return the string of sentinel `n`, from 1."""
    return f"<mask_{n}>"


def check_size(vocab_size: int, num_sentinels: int, num_extra: int) -> None:
    """Refuse a vocabulary without room for the bytes and the controls.

    Raises:
        InputError: with both numbers.
    """
    needed = 256 + num_others(num_sentinels) + num_extra
    if vocab_size < needed:
        raise InputError(
            f"tokenizer.vocab_size is {vocab_size}; 256 bytes, {num_sentinels} sentinels and "
            f"{len(BLANK_RUNS) + 4 + num_extra} other entries need {needed}; use {-(-needed // 64) * 64} or "
            "another multiple of 64 above it"
        )


def num_others(num_sentinels: int) -> int:
    """Entries behind the base, fillers not counted."""
    return len(BLANK_RUNS) + 4 + num_sentinels


def train(
    texts: Iterable[str], vocab_size: int, num_sentinels: int, extra_tokens: Sequence[str] = ()
) -> tokenizers.Tokenizer:
    """Train the base on `texts` and lay the other entries behind it; see `spanmix.text.tokenizer`.

    Raises:
        InputError: `vocab_size` has no room for the bytes and the controls.
    """
    check_size(vocab_size, num_sentinels, len(extra_tokens))
    base_size = vocab_size - num_others(num_sentinels) - len(extra_tokens)
    inner = _train_base(texts, base_size)
    num_fillers = base_size - inner.get_vocab_size()
    add_tokens(inner, [EOT], special=True)
    add_tokens(inner, BLANK_RUNS, special=False)
    fillers = [f"{UNUSED_PREFIX}{i}>" for i in range(num_fillers)]
    masks = [mask_name(n) for n in range(num_sentinels, 0, -1)]
    add_tokens(inner, [PAD, *extra_tokens, *fillers, SEP, EOM, *masks], special=True)
    assert inner.get_vocab_size() == vocab_size
    return inner


def _train_base(texts: Iterable[str], num_entries: int) -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    # Encoding takes blank runs off before the base sees the text, so training must not see them either.
    blank_runs = pre_tokenizers.Split(Regex(" {2,31}|\t{2,9}"), "removed")
    inner.pre_tokenizer = pre_tokenizers.Sequence([blank_runs, byte_level])
    trainer = trainers.BpeTrainer(
        vocab_size=num_entries,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    inner.train_from_iterator(_without_long_runs(texts), trainer)
    split_as_gpt2(inner)
    return inner


def _without_long_runs(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield _LONG_RUN.sub(" ", text) if _SOLID.search(text) else text
