"""Put one realistic fault into a function; every other character of its text stays as it was.

==============  ====================================================================================
``comparison``  ``<`` becomes ``<=`` or ``>``, ``==`` becomes ``!=``, ``in`` becomes ``not in``, ...
``off_by_one``  a whole number in an index, a slice, a range, a comparison or a sum is one more or less
``operator``    ``+`` becomes ``-``, ``and`` becomes ``or``, ``+=`` becomes ``-=``, ...
``name``        another parameter or variable of the function that has a value there
``condition``   ``if x`` becomes ``if not x``, or the other way round
``dropped``     a call, an update or a jump that stands in its own lines is gone
``arguments``   two neighboring arguments of a call have changed places
``constant``    ``True`` becomes ``False``, or the other way round
==============  ====================================================================================

Faults of this kind are what mutation testing makes (DeMillo et al., 1978), ``name`` is the misuse of a
variable (Allamanis et al., arXiv 1711.00740). A fault changes what the text means to Python; that some input
shows it cannot be promised.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from spanmix import seeding
from spanmix.evaluate.understanding.fault_sites import FINDERS, Body, Site
from spanmix.evaluate.understanding.functions import Function, normal_form, only_function
from spanmix.evaluate.understanding.source_text import SourceText, edited, parse

_TRIES = 8


@dataclass(frozen=True)
class Faulty:
    """A function with a fault.

    Args:
        text: all of it.
        kind: of the fault.
        line: of the fault, from 1.
    """

    text: str
    kind: str
    line: int


def sites_of(text: str) -> dict[str, list[Site]]:
    """Return where a function can get a fault, by kind; kinds without a place are left out."""
    source = SourceText(text)
    body = Body(source, only_function(source))
    found = {kind: find(body) for kind, find in FINDERS.items()}
    return {kind: sites for kind, sites in found.items() if sites}


def with_fault(function: Function, seed: int) -> Faulty | None:
    """Return the function with one fault, or None if there is no place for any.

    Each kind that has a place is as likely as any other, and so is each of its places.
    """
    sites = sites_of(function.text)
    if not sites:
        return None
    words = seeding.draw_one(seed, "fault", 0, 0, function.key, 2 * _TRIES)
    for kind_word, site_word in zip(words[::2], words[1::2], strict=True):
        kind = sorted(sites)[seeding.below(kind_word, len(sites))]
        site = sites[kind][seeding.below(site_word, len(sites[kind]))]
        text = edited(function.text, site)
        tree = parse(text)
        if tree is not None and _is_one_function(tree) and normal_form(text) != function.form:
            start = min(edit.start for edit in site)
            return Faulty(text, kind, function.text.count("\n", 0, start) + 1)
    return None


def _is_one_function(tree: ast.Module) -> bool:
    return len(tree.body) == 1 and isinstance(tree.body[0], ast.FunctionDef | ast.AsyncFunctionDef)
