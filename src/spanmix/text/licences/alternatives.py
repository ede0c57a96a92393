"""Know the short names of licences of which a sentence lets its reader choose.

>>> alternatives("licensed under either of mit or apache 2.0 at your option")
((('MIT', 'Apache-2.0'), 0),)
>>> alternatives("licensed under mit and apache 2.0"), alternatives("licensed under mit or commercial")
((), ())
"""

from __future__ import annotations

import re

_NAMES = {
    r"mit|expat|x11 mit": "MIT",
    r"apache(?: software)?(?: license)?(?: version)? v?2(?:\.0)?": "Apache-2.0",
    r"bsd 3 clause|3 clause bsd|new bsd|modified bsd": "BSD-3-Clause",
    r"bsd 2 clause|2 clause bsd|simplified bsd": "BSD-2-Clause",
    r"0bsd": "0BSD",
    r"isc": "ISC",
    r"zlib": "Zlib",
    r"bsl 1\.0|boost(?: software)?(?: license)? 1\.0": "BSL-1.0",
    r"unlicense": "Unlicense",
    r"cc0(?: 1\.0)?": "CC0-1.0",
    r"mpl (?:v|version )?2\.0": "MPL-2.0",
}
_GNU = {
    f"{family}{joint}{version}{ending}": f"{name}-{full}-{suffix}"
    for family, name, versions in (
        ("gpl", "GPL", {"2": "2.0", "3": "3.0"}),
        ("lgpl", "LGPL", {"2.1": "2.1", "3": "3.0"}),
        ("agpl", "AGPL", {"3": "3.0"}),
    )
    for version_of, full in versions.items()
    for version in {version_of, full}
    for joint in ("v", " ", " v")
    for ending, suffix in (("", "only"), (" only", "only"), ("+", "or-later"), (" or later", "or-later"))
}
_ID_OF = {re.compile(names): spdx for names, spdx in _NAMES.items()}
_NAME = "|".join([*sorted(map(re.escape, _GNU), key=len, reverse=True), *_NAMES])
_ONE = rf"(?:the |an? )?(?:{_NAME})(?: licen[sc]e)?"
_SENTENCE = re.compile(
    r"\b(?:licensed|released|distributed|available|provided|published) under(?: (?:the )?terms of)?"
    rf"(?: either(?: of)?| one of| any of)? ({_ONE}(?: or(?: under)? {_ONE})+)(?: licen[sc]es?)?+"
    # What goes on may add to a licence, or name one that is not known here.
    r"(?! (?:or|and|with|without|plus|but|except|excluding|exceptions?|version|v?[0-9])\b)(?: |$)"
)
_OF_THIS_WORK = re.compile(
    r"\bthis (?:file|software|program|project|code|source|source code|work|crate|package|library|module|"
    r"repository) is(?: \S+)?$"
)
_OF_OTHERS = re.compile(
    r"\b(?:is|are|was|were|be|been|not|which|that|uses?|using|includ\w+|contain\w*|bundl\w+|embed\w*|"
    r"based|derived|adapted|ported|copied|taken|borrowed|from|portions?|parts?|some|tests?|examples?|docs|"
    r"documentation|data)\b"
)
_IN_FRONT = 8
"""Words of the sentence that may say what is licensed, where it is another work than this one."""
_ARTICLE, _LICENCE = re.compile(r"^(?:the|an?) "), re.compile(r" licen[sc]e$")
_OR = re.compile(r" or(?: under)? (?=(?:the |an? )?(?:" + _NAME + r"))")


def alternatives(words: str) -> tuple[tuple[tuple[str, ...], int], ...]:
    """Return the SPDX ids of each sentence that offers some by their names, and where it stands.

    Between the names stands nothing but ``or``, each of them is known, and nothing says that it is of another
    work, such as one that is used: else nothing is made of it.

    Args:
        words: what `spanmix.text.licences.phrases.words_of` made of a text.
    """
    if " under " not in words:
        return ()
    found = []
    for match in _SENTENCE.finditer(words):
        in_front = " ".join(words[: match.start()].rsplit(maxsplit=_IN_FRONT)[-_IN_FRONT:])
        if _OF_OTHERS.search(in_front) and not _OF_THIS_WORK.search(in_front):
            continue
        ids = [_id(_ARTICLE.sub("", name)) for name in _OR.split(match[1])]
        found.append((tuple(dict.fromkeys(ids)), match.start()))
    return tuple(found)


def _id(name: str) -> str:
    known = _GNU.get(name) or next((spdx for names, spdx in _ID_OF.items() if names.fullmatch(name)), None)
    bare = _LICENCE.sub("", name)
    assert known is not None or bare != name, name
    return known or _id(bare)
