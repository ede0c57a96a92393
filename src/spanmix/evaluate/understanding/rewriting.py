"""Write a function again so that it does the same: statements in another order, its names other names."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from itertools import cycle

from spanmix import seeding
from spanmix.evaluate.understanding.functions import (
    Function,
    normal_form,
    only_function,
    without_remarks,
)
from spanmix.evaluate.understanding.reordering import mirrored, reordered
from spanmix.evaluate.understanding.scopes import RESERVED, renamable
from spanmix.evaluate.understanding.source_text import Edit, SourceText, edited, parse

_WORDS = [
    word
    for line in (
        "data item value result name index count key node path line text total size start stop left right",
        "first last source target entry field record group buffer offset limit state mode kind label",
        "token block part chunk table row column cell point pair head tail parent child root level depth",
        "width height length weight score rate step round batch queue stack cache pool task job event",
        "handler message reply request response client server host port address user owner member option",
        "flag setting config context session scope frame layer shape matrix vector array series stream",
        "reader writer parser pattern rule term factor base scale unit amount price date time delay",
        "period unique extra other current previous pending final",
    )
    for word in line.split()
]
MIN_RENAMED = 2
_NUM_WORDS = 1024


@dataclass(frozen=True)
class Rewritten:
    """A function that does the same as another.

    Args:
        text: all of it.
        new_names: of the names that were changed.
        num_moved: statements that stand at another place among their neighbors.
        num_mirrored: comparisons whose sides have changed places.
    """

    text: str
    new_names: dict[str, str]
    num_moved: int
    num_mirrored: int


def rewritten(function: Function, seed: int) -> Rewritten | None:
    """Return a function without its remarks, reordered and with new names; None if too few can be changed.

    Args:
        function: which.
        seed: decides the order and the names, which are common words that the function does not have.
    """
    words = seeding.draw_one(seed, "rewrite", 0, 0, function.key, _NUM_WORDS)
    text, num_moved = reordered(without_remarks(function.text), cycle(words))
    text, num_mirrored = mirrored(text, cycle(words[::-1]))
    source = SourceText(text)
    node = only_function(source)
    places = renamable(text, node)
    if len(places) < MIN_RENAMED:
        return None
    taken = {word.text for word in source.words} | RESERVED | _strings(source.tree)
    new_names = _new_names(sorted(places), taken, words[::-1])
    edits = [
        _rename(source, place, name, new_names[name]) for name, nodes in places.items() for place in nodes
    ]
    again = edited(text, edits)
    # A name of several spellings, which Python takes for one, is the reason to look.
    if parse(again) is None or normal_form(again) != normal_form(text):
        return None
    return Rewritten(again, new_names, num_moved, num_mirrored)


def _new_names(names: list[str], taken: set[str], words: list[int]) -> dict[str, str]:
    """Give each name a word of its own, in an order that the words of the draw decide."""
    order = sorted(range(len(_WORDS)), key=lambda n: words[n])
    free = [_WORDS[n] for n in order if _WORDS[n] not in taken]
    pairs = [f"{one}_{other}" for one in free for other in free if one != other]
    return dict(zip(names, [*free, *pairs], strict=False))


def _rename(source: SourceText, place: ast.AST, old: str, new: str) -> Edit:
    start = source.start(place)
    if isinstance(place, ast.FunctionDef | ast.AsyncFunctionDef):
        # The node begins with `def`, or `async def`.
        behind = source.tokens_between(start, source.stop(place))
        start = next(token.start for token in behind if token.text == old)
    return Edit(start, start + len(old), new)


def _strings(tree: ast.AST) -> set[str]:
    """Return strings that could be names."""
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier()
    }
