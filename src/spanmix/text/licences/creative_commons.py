"""Know the licences of Creative Commons by their names, long and short, and by their addresses.

>>> creative_commons("licence cc by nc sa 4.0"), creative_commons("see creativecommons org licenses by 3.0")
({'CC-BY-NC-SA-4.0': 0}, {'CC-BY-3.0': 4})
"""

from __future__ import annotations

import re

_KINDS = {
    "NC": r"nc\b|non ?commercial",
    "ND": r"nd\b|no ?deriv(?:ative)?s",
    "SA": r"sa\b|share ?alike",
}
_MEANT = r"\b(?:licen[sc]e[ds]?|under|terms of)(?: (?:is|the|a|an|under|terms|of|conditions|and))*"
_NAME = re.compile(
    rf"(?:creative commons attribution|creativecommons org licenses by|{_MEANT} (?:creative commons|cc) by)\b"
    rf"(?P<parts>(?: (?:{'|'.join(_KINDS.values())}))*)(?: international| unported)?(?: licen[sc]e)?"
    r"(?: (?:version |v ?)?(?P<version>[1-4]\.[05])\b)?"
)
_OLDEST = "1.0"


def creative_commons(words: str) -> dict[str, int]:
    """Return the SPDX id of each of its licences that what `words_of` a text names, with its first place.

    Without a version, here and where the same is named again, it is the first: a reader may take any, and the
    first is the strictest. The short name counts only where a licence is spoken of.
    """
    if "cc by" not in words and "creative" not in words:
        return {}
    found: dict[str, dict[str, int]] = {}
    for match in _NAME.finditer(words):
        kinds = [kind for kind, spelled in _KINDS.items() if re.search(rf"\b(?:{spelled})", match["parts"])]
        versions = found.setdefault("-".join(["CC-BY", *kinds]), {})
        versions.setdefault(match["version"] or "", match.start())
    return {
        f"{name}-{version or _OLDEST}": place
        for name, versions in found.items()
        for version, place in versions.items()
        if version or len(versions) == 1
    }
