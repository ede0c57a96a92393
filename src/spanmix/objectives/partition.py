"""Cut a piece of a file into parts that are shown and hidden in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spanmix.objective_configs import InfillConfig
from spanmix.objectives import units
from spanmix.objectives.characters import CharacterCutter, character_starts, snap
from spanmix.objectives.objective import TokenizedDocument
from spanmix.objectives.spans import Corruption, SpanDraws, Spans, draw_spans
from spanmix.seeding import below
from spanmix.types import IntArray

_PARTS = 1 << 32
NodeFinder = Callable[[bytes, str], Spans]
"""Returns the byte spans of a file's syntax nodes, from its text and its language; none without a grammar."""


class Partition:
    """Draws the spans of a piece, of whatever they are to be made, and cuts them out.

    Args:
        config: the recipe's infill objective.
        draws: number, lengths and places of spans.
        cutter: cuts at characters; needed unless only whole tokens are hidden.
        find_nodes: finds the pieces of syntax of a file; needed where `span_units.nodes` has a weight.
    """

    def __init__(
        self,
        config: InfillConfig,
        draws: SpanDraws,
        cutter: CharacterCutter | None = None,
        find_nodes: NodeFinder | None = None,
    ) -> None:
        self._draws = draws
        self._cutter = cutter
        self._find_nodes = find_nodes
        self._by_token = config.cut == "token"
        chosen = config.span_units
        weights = {
            "random": chosen.random,
            "lines": chosen.lines,
            "blocks": chosen.blocks,
            "nodes": chosen.nodes,
        }
        total = sum(weights.values())
        self._units = [(name, round(weight / total * _PARTS)) for name, weight in weights.items()]
        self.words_per_piece = draws.words_per_piece + 2
        self._nodes_of: tuple[TokenizedDocument, NDArray[np.int64]] | None = None
        self._ends: NDArray[np.int64] = np.zeros(0, np.int64)
        assert cutter is not None or not needs_characters(config), "spans inside tokens need a cutter"

    def parts(
        self, document: TokenizedDocument, start: int, stop: int, corruption: Corruption, words: list[int]
    ) -> list[IntArray]:
        """Return an odd number of parts of tokens `start` to `stop`: shown, hidden, shown, … shown.

        Hidden parts and the shown ones between them are never empty; the first and the last may be. The
        parts together hold the text of the piece, at times in other tokens. They are at most
        ``2 * corruption.num_spans + 1``.
        """
        unit = self._unit(words[-2])
        if unit == "random" and self._by_token:
            return self.token_parts(document, start, stop, corruption, words)
        assert self._cutter is not None
        piece = document.tokens[start:stop]
        text = self._cutter.text(piece)
        spans = self._byte_spans(unit, document, start, len(piece), text, corruption, words)
        if not spans:
            return self.token_parts(document, start, stop, corruption, words)
        parts = self._cutter.cut(piece, text, [cut for span in spans for cut in span])
        if all(map(len, parts[1:-1])):
            return parts
        # Cuts in what cannot be encoded again were moved, onto each other.
        return self.token_parts(document, start, stop, corruption, words)

    def token_parts(
        self, document: TokenizedDocument, start: int, stop: int, corruption: Corruption, words: list[int]
    ) -> list[IntArray]:
        """Return the parts of spans that begin and end between tokens."""
        piece = document.tokens[start:stop]
        cuts = [cut for span in self._draws.spans(corruption, len(piece), words) for cut in span]
        return [piece[a:b] for a, b in pairwise([0, *cuts, len(piece)])]

    def _unit(self, word: int) -> str:
        place = below(word, sum(weight for _, weight in self._units))
        for name, weight in self._units:
            if place < weight:
                return name
            place -= weight
        raise AssertionError("below() returned its bound")

    def _byte_spans(
        self,
        unit: str,
        document: TokenizedDocument,
        start: int,
        num_tokens: int,
        text: bytes,
        corruption: Corruption,
        words: list[int],
    ) -> Spans:
        """Return spans in bytes of the piece's text, none if there is nothing of the unit to choose."""
        if unit in ("blocks", "nodes"):
            candidates = units.blocks(text) if unit == "blocks" else self._nodes(document, start, text)
            hidden = max(1, (len(text) * corruption.ratio) >> 32)
            if candidates:
                return units.choose(candidates, corruption.num_spans, hidden, words[-1])
            if unit == "blocks":
                return []
        if unit == "lines":
            stops = units.line_stops(text)
            # A span that is shorter than a line becomes one: no more spans than there are lines to hide.
            most = max(1, ((len(stops) - 1) * corruption.ratio) >> 32)
            if corruption.num_spans > most:
                return snap(draw_spans(replace(corruption, num_spans=most), len(text), words[3:]), stops)
        else:
            stops = np.flatnonzero(character_starts(text))
        return snap(self._draws.spans(corruption, len(text), words, scale=len(text) / num_tokens), stops)

    def _nodes(self, document: TokenizedDocument, start: int, text: bytes) -> Spans:
        """Return the nodes that lie inside a piece, by offsets in its text."""
        assert self._find_nodes is not None and self._cutter is not None
        if self._nodes_of is None or self._nodes_of[0] is not document:
            whole = self._cutter.text(document.tokens)
            found = np.array(self._find_nodes(whole, document.language), dtype=np.int64).reshape(-1, 2)
            self._nodes_of = (document, found[np.argsort(found[:, 0], kind="stable")])
            self._ends = self._cutter.ends(document.tokens)
        first = int(self._ends[start - 1]) if start else 0
        last = first + len(text)
        nodes = self._nodes_of[1]
        low, high = np.searchsorted(nodes[:, 0], (first, last))
        inside = nodes[low:high][nodes[low:high, 1] <= last] - first
        return [(a, b) for a, b in inside.tolist() if a < b]


def needs_characters(config: InfillConfig) -> bool:
    """Return whether some spans of an objective can begin or end inside a token."""
    units_used = config.span_units
    return config.cut == "character" or bool(units_used.lines or units_used.blocks or units_used.nodes)
