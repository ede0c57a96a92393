"""Know licences by what their texts and recommended notices say, however they are wrapped and commented.

A text is first reduced to its words (`words_of`). A rule then is the sentences that must all be there, and
those that must not be: enough to tell a licence from its relatives, such as the three BSD licences. The
wording is that of the licences themselves (the SPDX licence list). What only points to another file
(``governed by a BSD-style license that can be found in the LICENSE file``) states nothing, and nothing is
made of it.
"""

from __future__ import annotations

import re

from spanmix.text.licences.alternatives import alternatives
from spanmix.text.licences.creative_commons import creative_commons
from spanmix.text.licences.gnu import gnu_licences
from spanmix.text.licences.restrictions import without_negations
from spanmix.text.licences.rules import RULES, Rule

# The dot comes first, as a fixed sign is what a pattern is quick to look for.
_DOT = re.compile(r"\.(?:(?![0-9])|(?<![0-9]\.))")


class _Words(dict[int, str]):
    """What each character becomes: itself, or a blank."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kept = character if character in "abcdefghijklmnopqrstuvwxyz0123456789.+" else " "
        self[code] = kept
        return kept


_WORDS = _Words()

_OF_OTHERS = (
    "mozilla public license version 2.0 1 definitions", "european union public licence v 1",
    "business source license 1.1", "beopen python open source license agreement",
    "llvm exceptions to the apache", "this is version 1.3c of the license", "lppl version 1", "vim license",
)  # fmt: skip
"""Found in the whole texts of licences that name the GNU licences without granting them."""

_UNDER = re.compile(
    r"\b(?:(?:licensed|released|distributed|available|covered|provided|published)(?: freely)? (?:under|"
    r"by)|or|or under)"
    r"(?: the| an| a)?(?: terms(?: and conditions)? of(?: the)?)? "
    r"(mit|x11|isc|zlib|wtfpl|unlicense|3 clause bsd|bsd 3 clause|new bsd|modified bsd|2 clause bsd|bsd 2 "
    r"clause|"
    r"simplified bsd|apache 2(?:.0)?|mpl 2.0)"
    r"(?: open source)?(?: style)? licen[sc]e\b"
)
_UNDER_ID = {
    "mit": "MIT", "x11": "X11", "isc": "ISC", "zlib": "Zlib", "wtfpl": "WTFPL", "unlicense": "Unlicense",
    "3 clause bsd": "BSD-3-Clause", "bsd 3 clause": "BSD-3-Clause", "new bsd": "BSD-3-Clause",
    "modified bsd": "BSD-3-Clause", "2 clause bsd": "BSD-2-Clause", "bsd 2 clause": "BSD-2-Clause",
    "simplified bsd": "BSD-2-Clause", "apache 2": "Apache-2.0", "apache 2.0": "Apache-2.0",
    "mpl 2.0": "MPL-2.0",
}  # fmt: skip
_LINE = re.compile(
    r"(?:^|\b)licen[sc]e (mit|isc|apache 2(?:.0)?|bsd 3 clause|bsd 2 clause|mpl 2.0)(?: licen[sc]e)?\b"
)


def words_of(text: str) -> str:
    """Return the lower-case words of a text, single blanks between, with dots only inside of numbers.

    >>> words_of(" * Licensed under the Apache License,\\n * Version 2.0 (the 'License');")
    'licensed under the apache license version 2.0 the license'
    """
    return " ".join(_DOT.sub(" ", text.lower().translate(_WORDS)).split())


def licences_in(words: str) -> tuple[str, ...]:
    """Return the SPDX ids of what `words_of` a text states, by where they stand, each once.

    That a licence does not hold (``not licensed under the MIT License``) states none.
    """
    words = without_negations(words)
    at: dict[str, int] = {}
    names_others = any(phrase in words for phrase in _OF_OTHERS)
    for spdx, place in gnu_licences(words, whole_texts_only=names_others):
        at[spdx] = min(place, at.get(spdx, place))
    if not names_others:
        at |= creative_commons(words)
    for rule in RULES:
        if rule.phrases[0] in words and _holds(rule, words):
            at.setdefault(rule.spdx, words.index(rule.phrases[0]))
    if any(f"{name} " in words for name in _UNDER_ID):
        for match in (*_UNDER.finditer(words), *_LINE.finditer(words)):
            at.setdefault(_UNDER_ID[match[1]], match.start())
    for offered, place in alternatives(words):
        for spdx in offered:
            at.setdefault(spdx, place)
    for spdx in [spdx for spdx in at if " WITH " in spdx]:
        at.pop(spdx.partition(" WITH ")[0], None)
    return tuple(sorted(at, key=lambda spdx: (at[spdx], spdx)))


def _holds(rule: Rule, words: str) -> bool:
    return all(phrase in words for phrase in rule.phrases) and not any(one in words for one in rule.forbidden)
