"""Find where the words of many texts start, as GPT-2's rule does, by arithmetic on arrays of bytes.

The rule is a pattern::

    's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+

Once each character has its kind, all but ``'s`` and its like depends on two neighbors only. In
``a  1\\n\\tb's``, a dot for each space, if no runs are taken off::

    bytes     a  .  .  1  \\n \\t b  '  s
    kinds     L  S  S  N  W  W  L  O  L      letter, space, number, other white, other
    starts    ^  ^  ^     ^  ^  ^  ^         words: a|.|.1|\\n|\\t|b|'s

In front of a letter, number or other character the last white one is a word by itself, or belongs to the word
if it is a space: so such a pair says of both its places whether a word starts there. ``'s`` and its like are
put together afterwards, at the few places that have a ``'``.

Runs that are added tokens are taken off first. Each is a word, and what is beside it sees the text end there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, pre_tokenizers

from spanmix.text.bulk_rules import BulkRules

END = b"\xff"
"""Stands around each text; no UTF-8 has it. It is a word by itself."""

_LETTER, _NUMBER, _OTHER, _WHITE, _SPACE, _SPACES, _TABS, _REST, _END = range(1, 10)
_SOLID = (_LETTER, _NUMBER, _OTHER)
_BLANK = (_WHITE, _SPACE, _REST)  # _REST: all bytes but the first of a white character
_STARTS_HERE, _STARTS_BEFORE = 1, 2

Octets = NDArray[np.uint8]
Places = NDArray[np.int64]

_kind_of_character: Octets = np.zeros(0x110000, dtype=np.uint8)  # 0: not asked yet


def word_starts(data: bytes, rules: BulkRules) -> Places:
    """Return the first byte of each word.

    Args:
        data: UTF-8 texts with an `END` in front of, between and behind them.
        rules: which runs are taken off.
    """
    octets = np.frombuffer(data, dtype=np.uint8)
    kinds = _kinds(data, octets)
    cuts = _take_off(octets, kinds, 0x20, _SPACES, rules.most_spaces)
    cuts += _take_off(octets, kinds, 0x09, _TABS, rules.most_tabs)
    pairs = ((kinds[:-1] << 4) | kinds[1:]).tobytes()
    found = np.frombuffer(pairs.translate(_RULE), dtype=np.uint8)
    starts = np.ones(len(octets), dtype=np.uint8)
    starts[1:] = found & _STARTS_HERE
    starts[:-1] |= found >> 1
    for places in cuts:
        starts[places] = 1
    _split_wide_white(octets, kinds, starts)
    _split_contractions(octets, kinds, starts)
    return np.flatnonzero(starts)


def _kinds(data: bytes, octets: Octets) -> Octets:
    """Return the kind of each byte's character."""
    kinds: Octets = np.frombuffer(bytearray(data).translate(_KIND_OF_BYTE), dtype=np.uint8)
    wide = np.flatnonzero(kinds == 0)
    if not len(wide):
        return kinds
    parts = octets[wide]
    is_first = parts >= 0xC0
    text = parts.tobytes().decode("utf-8")
    of_character = _kinds_of_characters(np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32))
    of_byte = of_character[np.cumsum(is_first) - 1]
    of_byte[(of_byte == _WHITE) & ~is_first] = _REST
    kinds[wide] = of_byte
    return kinds


def _kinds_of_characters(code_points: NDArray[np.uint32]) -> Octets:
    kinds = _kind_of_character[code_points]
    if len(new := np.unique(code_points[kinds == 0])):
        _kind_of_character[new] = _ask_library("".join(map(chr, new.tolist())))
        kinds = _kind_of_character[code_points]
    return kinds


def _ask_library(text: str) -> Octets:
    """Return the kind of each character as the library's own patterns see it, whatever its Unicode."""
    kinds = np.full(len(text), _OTHER, dtype=np.uint8)
    for kind, pattern in ((_LETTER, r"\p{L}"), (_NUMBER, r"\p{N}"), (_WHITE, r"\s")):
        matches = np.ones(len(text), dtype=np.bool_)
        for _, (start, stop) in pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str(text):
            matches[start:stop] = False
        kinds[matches] = kind
    return kinds


def _take_off(octets: Octets, kinds: Octets, blank: int, kind: int, most: int) -> list[Places]:
    """Give runs of a blank their `kind`; return where those longer than `most` are cut."""
    if most < 2:
        return []
    is_blank = octets == blank
    beside = is_blank[1:] & is_blank[:-1]
    in_run = np.zeros(len(octets), dtype=np.bool_)
    in_run[1:] = beside
    in_run[:-1] |= beside
    single = _KIND_OF_BYTE[blank]
    kinds += in_run.view(np.uint8) * np.uint8(kind - single)
    first = np.flatnonzero(in_run[1:] & ~in_run[:-1]) + 1
    lengths = np.flatnonzero(in_run[:-1] & ~in_run[1:]) + 1 - first
    is_long = lengths > most
    first, lengths = first[is_long], lengths[is_long]
    # What is left of one blank is no run any more: it belongs to what is behind it.
    kinds[(first + lengths - 1)[lengths % most == 1]] = single
    num_cuts = (lengths - 1) // most
    number = np.arange(num_cuts.sum()) - np.repeat(np.cumsum(num_cuts) - num_cuts, num_cuts)
    return [np.repeat(first, num_cuts) + most * (number + 1)]


def _split_wide_white(octets: Octets, kinds: Octets, starts: Octets) -> None:
    """Start a word at each white character of several bytes that is in front of a solid one."""
    rest = np.flatnonzero(kinds == _REST)
    before = rest[np.isin(kinds[rest + 1], _SOLID)] - 1
    # Such a character has two or three bytes.
    starts[np.where(octets[before] >= 0xC0, before, before - 1)] = 1


def _split_contractions(octets: Octets, kinds: Octets, starts: Octets) -> None:
    """Put ``'s`` and its like together where a word starts with the ``'``."""
    quote = np.flatnonzero(octets == 0x27)
    quote = quote[(kinds[quote - 1] != _OTHER) & (kinds[quote - 1] != _SPACE) & (kinds[quote + 1] == _LETTER)]
    one, two = octets[quote + 1], octets[quote + 2]
    is_short = _IS_SHORT[one]
    is_found = is_short | ((two == _E) & ((one == _R) | (one == _V))) | ((one == _L) & (two == _L))
    quote, is_short = quote[is_found], is_short[is_found]
    starts[quote + 1] = 0
    behind = quote + np.where(is_short, 2, 3)
    starts[behind[kinds[behind] == _LETTER]] = 1


def _make_kind_of_byte() -> bytes:
    table = bytearray([_OTHER] * 0x80 + [0] * 0x80)
    for byte in b"\t\n\v\f\r":
        table[byte] = _WHITE
    for byte in range(0x80):
        if chr(byte).isalpha():
            table[byte] = _LETTER
        elif chr(byte).isdigit():
            table[byte] = _NUMBER
    table[ord(" ")] = _SPACE
    table[END[0]] = _END
    return bytes(table)


def _make_rule() -> bytes:
    """Return where words start, for each kind * 16 + the kind behind it."""
    table = bytearray(256)
    for kind in range(1, 10):
        for behind in range(1, 10):
            table[kind * 16 + behind] = _starts(kind, behind)
    return bytes(table)


def _starts(kind: int, behind: int) -> int:
    """Say whether a word starts at the second of two bytes, at the first, or at both, by their kinds."""
    if kind in _BLANK and behind in _BLANK:
        return 0
    if kind in _BLANK and behind in _SOLID:
        # The first byte of a wide white character has its _REST behind it; `_split_wide_white` starts it.
        return {_SPACE: _STARTS_BEFORE, _WHITE: _STARTS_HERE | _STARTS_BEFORE, _REST: _STARTS_HERE}[kind]
    return _STARTS_HERE if kind != behind or kind == _END else 0


_KIND_OF_BYTE = _make_kind_of_byte()
_RULE = _make_rule()
_IS_SHORT = np.isin(np.arange(256), list(b"stmd"))
_E, _L, _R, _V = b"elrv"
