"""Tell of each answer which part of it stands word for word in the training data, and withhold long ones."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import quote

from spanmix.errors import InputError
from spanmix.text.trace.guard import VerbatimGuard
from spanmix.text.trace.index import TraceIndex
from spanmix.text.trace.matches import Match

_SECONDS = 2.0
"""Longest search for an answer's longest match; a piece that is to be let through is searched whole."""


@dataclass(frozen=True)
class Provenance:
    """What is asked of the training data.

    Args:
        index: of the corpus that the model was trained on.
        min_bytes: of the shortest match that is told.
        block_bytes: of the longest match that is let through; None lets all through.

    Raises:
        InputError: the index does not find matches that short.
    """

    index: TraceIndex
    min_bytes: int
    block_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.min_bytes < self.index.shortest_bytes:
            raise InputError(
                f"matches of {self.min_bytes} bytes are to be told, and this index finds those of "
                f"{self.index.shortest_bytes} and more; use --match-bytes {self.index.shortest_bytes}"
            )
        if self.block_bytes is not None:
            VerbatimGuard(self.index, self.block_bytes)  # which checks itself

    def guard(self) -> VerbatimGuard | None:
        """Return what watches one answer, if long matches are withheld."""
        return None if self.block_bytes is None else VerbatimGuard(self.index, self.block_bytes)

    async def longest(self, text: str) -> Match | None:
        """Return the longest match of an answer."""
        match, _ = await asyncio.to_thread(self.index.longest_match, text, self.min_bytes, _SECONDS)
        return match


def in_words(match: Match | None) -> str:
    """Write a match as a header: bytes, then repository, path, line and licence of its first place.

    The repository is left out where it is not known. It and the path are percent-encoded, as headers are not
    UTF-8; ``none`` says that it was looked for.
    """
    if match is None:
        return "none"
    place = match.occurrences[0].files[0]
    licence = quote(place.licence, safe=" .+-()") or "unknown"
    repository = f'repository="{quote(place.repository)}"; ' if place.repository else ""
    return (
        f'bytes={match.num_bytes}; {repository}path="{quote(place.path)}"; line={place.line}; '
        f'licence="{licence}"; occurrences={match.num_occurrences}'
    )


def as_fields(match: Match | None) -> dict[str, str | int] | None:
    """Write a match as fields of JSON; None if there is none."""
    if match is None:
        return None
    place = match.occurrences[0].files[0]
    return {
        "bytes": match.num_bytes,
        "start": match.start_character,
        "end": match.end_character,
        "repository": place.repository,
        "path": place.path,
        "line": place.line,
        "licence": place.licence,
        "occurrences": match.num_occurrences,
    }
