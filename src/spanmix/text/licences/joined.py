"""Join what a package's metadata declares with the texts of the licence files beside it."""

from __future__ import annotations

import re

from spanmix.text.licences.alternatives import alternatives
from spanmix.text.licences.expressions import all_of, any_of, licence_ids
from spanmix.text.licences.headers import Stated, copyright_lines, text_expression
from spanmix.text.licences.phrases import licences_in, words_of
from spanmix.text.licences.restrictions import restrictions

_CHOICE = re.compile(r"\beither\b.{0,200}licen[sc]es\b", re.DOTALL)
_LINK_TARGET = re.compile(r"\]\([^()\n]*\)")


def join(declared: list[str], texts: list[str], unknown: str = "", readme: str = "") -> Stated:
    """Join what metadata declares with the texts of licence files.

    Args:
        declared: expressions of metadata.
        texts: the licence files' texts.
        unknown: what of the metadata was not understood; of no account where the texts say it.
        readme: what lies beside the texts and may offer a choice between just them; it states nothing else.
    """
    copyrights = tuple(dict.fromkeys(line for text in texts for line in copyright_lines(text[:100_000])))
    whole = all_of(declared)
    if whole is None:
        found = [text_expression(text) for text in texts]
        known = [one for one in found if one is not None]
        if len(known) > 1 and all(len(licence_ids(one)) == 1 for one in known):
            if _is_choice(texts):
                return Stated(any_of(known), "", copyrights)
            if len(known) == len(texts) and (offered := _offered(readme, known)):
                return Stated(any_of(offered), "", copyrights)
        return Stated(all_of(known), "" if known else unknown, copyrights)
    named = {_base(one) for one in licence_ids(whole)}
    others: list[str] = []
    for text in texts:
        others += restrictions(text)
        first = licences_in(words_of(text))[:1]
        if first and _base(first[0]) not in named:
            others.append(text_expression(text) or first[0])
    return Stated(all_of([whole, *others]), "", copyrights)


def _is_choice(texts: list[str]) -> bool:
    """A short file beside the licences' texts may say that either may be chosen, as that of ``packaging``
    does."""
    return any(len(text) < 1_000 and _CHOICE.search(text) for text in texts)


def _offered(readme: str, known: list[str]) -> tuple[str, ...]:
    """Return the licences between which a README offers a choice, if they are those of the texts."""
    texts = {_base(one) for one in known}
    words = words_of(_LINK_TARGET.sub("]", readme))
    return next((ids for ids, _ in alternatives(words) if {_base(one) for one in ids} == texts), ())


def _base(spdx: str) -> str:
    return spdx.partition(" WITH ")[0].removesuffix("-only").removesuffix("-or-later")
