"""Say which licence a notice grants: all that it states, or those that it lets its reader choose from.

A notice often speaks of more than one work: ``Licensed under the GPL. Uses jQuery, dual licensed under the
MIT and GPL licenses`` leaves no choice but for jQuery. So a notice is cut in front of each grant, and what
offers a choice offers it between the licences of its own grant; only ``alternatively`` joins two of them.

>>> granted("licensed under the gpl version 3 this uses x.js dual licensed under the mit license or gpl 2")
'GPL-3.0-only AND (GPL-2.0-only OR MIT)'
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from spanmix.text.licences.alternatives import alternatives
from spanmix.text.licences.expressions import all_of, any_of
from spanmix.text.licences.phrases import licences_in
from spanmix.text.licences.restrictions import without_negations

_CHOICE = re.compile(
    r"\bunder either of\b|\bdual licensed\b|\bdually licensed\b|\bat your choice\b|\btri licensed\b|"
    r"\bor (?:under )?the mit licen[sc]e\b|\bunder either the\b|\bunder the terms of either\b|"
    r"\byour choice of\b|\bmit or gpl\b|\b(?:mit|bsd) and gpl\b"
)
_JOINS, _TEXT = "joins", "text"
_JOINING = re.compile(
    r"\balternatively(?= (?:(?!commercial|contact|proprietary|portions|parts|contain|includ|uses|which|http)"
    r"\S+ ){0,14}?(?:under|terms)\b)"
)
"""Not the address at which to ask for a commercial licence, or where else its text is to be found."""
_GRANT = re.compile(
    rf"(?P<{_JOINS}>{_JOINING.pattern})|\b(?:(?:dual|dually|tri|double|triple|also|made|is|are|be) )*"
    r"(?:licensed|released|distributed|available|provided|published|used|offered|modify it)"
    r"(?: freely| to you| only)? under\b(?! the same terms as perl)|"
    rf"\b(?P<{_TEXT}>permission is hereby granted free|permission to use copy|"
    r"redistribution and use in source and)|"
    r"\b(?:covered|governed|licensed) by\b|\bsubject to the (?!following)"
)
_LONGEST_NOTICE = 3_500
"""Characters: a BSD text with the notice of a second licence behind it has 2,200. Longer texts are
collections: what they offer, they offer for some part of them."""


@dataclass(frozen=True)
class _Piece:
    """A part of a notice: its words, and whether it begins with ``alternatively`` or a licence's text."""

    words: str
    is_alternative: bool
    is_text: bool


def granted(words: str) -> str | None:
    """Return the SPDX expression of what a notice grants, or None if it states no licence that is known.

    Args:
        words: what `spanmix.text.licences.phrases.words_of` made of it.
    """
    words = without_negations(words)
    ids = licences_in(words)
    if len(ids) < 2 or len(words) > _LONGEST_NOTICE or not (_offers_choice(words) or _JOINING.search(words)):
        return all_of(ids)
    statements, met = _statements(words)
    # Where more or less was met, a text that is only known as a whole was cut in two.
    return all_of(any_of(one) or "" for one in statements) if met == set(ids) else all_of(ids)


def _statements(words: str) -> tuple[list[list[str]], set[str]]:
    """Return the expressions of which one of each list holds, and all licences that were met."""
    statements: list[list[str]] = []
    met: set[str] = set()
    offered: set[str] = set()
    joins = are_texts_offered = False
    for piece in _pieces(words):
        stated = licences_in(piece.words)
        met.update(stated)
        offers = _offers_choice(piece.words)
        is_offered_text = piece.is_text and (are_texts_offered or set(stated) <= offered)
        joins = joins or piece.is_alternative or is_offered_text
        if offers or not piece.is_text:
            # "Under either of the following licenses": their texts come behind.
            are_texts_offered = offers and len(stated) < 2
            offered = set(stated) if offers else set()
        if not stated:
            joins = joins and piece.is_alternative
            continue
        expression = any_of(stated) if offers else all_of(stated)
        assert expression is not None
        if joins and statements:
            statements[-1].append(expression)
        else:
            statements.append([expression])
        joins = False
    return statements, met


def _offers_choice(words: str) -> bool:
    return _CHOICE.search(words) is not None or bool(alternatives(words))


def _pieces(words: str) -> Iterator[_Piece]:
    """Cut a notice in front of each grant; what stands in front of the first belongs to it."""
    cuts = [(match.start(), match.lastgroup) for match in _GRANT.finditer(words)]
    if cuts and cuts[0][1] != _JOINS:
        cuts[0] = (0, cuts[0][1])
    else:
        cuts.insert(0, (0, None))
    ends = [*(start for start, _ in cuts[1:]), len(words)]
    for (start, kind), end in zip(cuts, ends, strict=True):
        yield _Piece(words[start:end], kind == _JOINS, kind == _TEXT)
