"""Know what takes back a permission, whatever else is said: that a text is confidential, and its like.

Found are clear statements alone. ``All rights reserved`` stands above half of all BSD licences, ``internal
use only`` names what a package's users should not call, and ``for any purpose, commercial or non-commercial``
is a permission: none of them is taken for a restriction.

>>> restrictions("# ACME CONFIDENTIAL\\n# For non-commercial use only\\n")
('LicenseRef-proprietary', 'LicenseRef-non-commercial')
>>> restrictions("/* Copyright Acme. All rights reserved. */ x.commercial = confidential")
()
"""

from __future__ import annotations

import re

PROPRIETARY, NON_COMMERCIAL = "LicenseRef-proprietary", "LicenseRef-non-commercial"
_BLANKS = re.compile(r"[^\S\n]+")
_BREAKS = re.compile(r"(?: ?\n|^)\W*")
"""The end of a line with the signs of a comment in front of the next one."""
_WORDS = r"(?:[\w'’-]+[,/]? ){0,%d}?"
_THIS = (
    r"(?:this|the) (?:[\w-]+ )?(?:files?|software|source|code|programs?|works?|modules?|scripts?|documents?)"
)
_NOT = r"(?:may|must|shall|can) ?not be"
_IS_PROHIBITED = r"(?:strictly )?(?:prohibited|forbidden|not (?:permitted|allowed))"
_USE = r"(?:use|usage|purposes?|research|applications?)"

_HEADING = re.compile(
    r"^[ \t]*(?:#|//|/?\*|--|;|%|<!--|\"\"\"|''')[^\w\n]*(?:[\w&.,-]+ ){0,3}"
    r"(?:CONFIDENTIAL|PROPRIETARY)(?: (?:AND |& )?(?:INFORMATION|PROPERTY|CONFIDENTIAL|PROPRIETARY))?"
    r"(?=[ \t]*(?:[-–—:.!,;|*/\"']|$))",
    re.MULTILINE,
)
"""A comment's line that is called so in capitals; a constant in code has no sign of a comment in front."""
_OF_A_COMPANY = (
    r"proprietary,?(?: and| &|/) ?confidential",
    r"confidential,?(?: and| &|/) ?proprietary",
    r"(?:company|strictly|highly) confidential",
    r"confidential[\W_]+(?:[\w.&]+ ){0,3}internal use only",
    rf"(?:proprietary|confidential) {_WORDS % 2}(?:information|property|source code|material|software) of",
    rf"{_THIS} (?:is|are|contains?|constitutes?) {_WORDS % 2}(?:confidential|proprietary|trade secrets?)",
    r"licen[sc]ed?(?: ?:| type ?:| under a| is)? (?:proprietary|commercial licen[sc]e)\b",
    rf"unauthori[sz]ed (?:copying|use|(?:re)?distribution|reproduction|disclosure) {_WORDS % 9}"
    rf"{_IS_PROHIBITED}",
    r"unauthori[sz]ed copying of this file",
    rf"{_THIS} {_NOT} (?:copied|shared|reproduced|disclosed)[^.\n]{{0,60}} without (?:the )?"
    r"(?:\w+ ){0,3}(?:permission|consent|authori[sz]ation)",
    rf"{_THIS} {_NOT} (?:re-?)?distributed(?= ?[.;!])",
    rf"(?:re-?)?distribution (?:of this [\w -]{{1,30}} )?is {_IS_PROHIBITED}",
    r"nvidia corporation and its licensors retain all intellectual property",
    r"no ai training",
    rf"{_NOT} used (?:to train|for (?:the )?training)",
)
_NOT_TO_PASS_ON = (
    r"(?:\bD(?:o not|O NOT)|\b[Pp]lease do not|\bN(?:ot|OT) (?:for|FOR)) "
    r"(?:(?:copy|share|publish|COPY|SHARE)(?:,| or| and| OR) ){0,2}(?:(?:[Rr]e-?|RE-?)?"
    r"(?:[Dd]istribut(?:e|ion)|DISTRIBUT(?:E|ION)))"
    r"(?= ?(?:[.!;,)*\n]|$|this|THIS|without|WITHOUT|outside|OUTSIDE|or\b|OR\b))"
)
"""At the start of a sentence, which a capital tells: what a program does not distribute is another matter."""
_NOT_FOR_TRADE = (
    rf"(?:for|limited to|restricted to) {_WORDS % 4}(?<!commercial\sor\s)(?<!commercial\sand\s)"
    r"(?<!commercial,\s)non-? ?commercial(?!,? (?:or|and|as well as) commercial) "
    rf"{_WORDS % 3}{_USE}",
    rf"non-? ?commercial {_WORDS % 3}{_USE} only",
    rf"(?<!non-)(?<!non\s)commercial (?:use|usage) (?:of this [\w -]{{1,30}} )?is {_IS_PROHIBITED}",
    r"(?:not for|(?:may|must|can) ?not be used for) commercial (?:use|usage|purposes?)\b",
    r"no commercial (?:use|usage)(?= ?[.;!,)]| without)",
    rf"(?:academic|research) {_WORDS % 3}(?:use|purposes?) only",
    rf"only (?:be used )?(?:for )?(?:academic|non-?commercial research) {_WORDS % 3}(?:use|purposes?)",
)


def _compiled(phrases: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(rf"\b(?:{one})".replace(" ", r"\s") for one in phrases))


_PASS_ON = _compiled((_NOT_TO_PASS_ON,))
_SEARCHES = (
    (
        PROPRIETARY,
        (
            *("confidential", "proprietary", "unauthori", "intellectual", "distribution", "distributed"),
            *("copied", "shared", "reproduced", "disclosed", "train ", "training"),
        ),
        _compiled(_OF_A_COMPANY),
    ),
    (PROPRIETARY, ("distribut",), _PASS_ON),
    (NON_COMMERCIAL, ("commercial", "academic", "research"), _compiled(_NOT_FOR_TRADE)),
)
"""A restriction, words of which it has one, to look for first, and its phrases."""
_NEGATED = re.compile(
    r"\b(?:not|never|no longer|isn t|aren t|cannot be|nor)(?: \w+){0,2}? "
    r"(?:licensed|released|distributed|available|covered|provided|published|usable) (?:under|by)"
    r"(?: the| an?)?(?: terms(?: and conditions)? of(?: the)?)?"
    r"(?:(?: \S+){0,3}? licen[sc]e\b(?: version \S+)?| \S+)"
)
_OF_PERMISSION = re.compile(r" (?:mit|bsd|isc|apache|zlib|x11|boost|unlicense|\d clause|[a-z]+ bsd)\b")


def restrictions(text: str) -> tuple[str, ...]:
    """Return the names of the restrictions that a notice states, each once."""
    lower = text.lower()
    likely = [(name, pattern) for name, words, pattern in _SEARCHES if any(word in lower for word in words)]
    if not likely:
        return ()
    plain = _BREAKS.sub("\n", _BLANKS.sub(" ", text))  # no two blanks
    # Much faster than patterns that are searched regardless of the case.
    found = [n for n, pattern in likely if pattern.search(plain if pattern is _PASS_ON else plain.lower())]
    if ("CONFIDENTIAL" in text or "PROPRIETARY" in text) and _HEADING.search(text):
        found.insert(0, PROPRIETARY)
    return tuple(dict.fromkeys(found))


def negated(words: str) -> str:
    """Return the statement that a permissive licence does not hold, of what `words_of` a text; or ``""``.

    >>> negated("this is not licensed under the mit license"), negated("not covered by the gnu gpl")
    ('not licensed under the mit license', '')
    """
    found = (match[0] for match in _NEGATED.finditer(words) if _OF_PERMISSION.search(match[0]))
    return next(found, "")


def without_negations(words: str) -> str:
    """Return the words of a text without statements that a licence does not hold."""
    return _NEGATED.sub(" ", words)
