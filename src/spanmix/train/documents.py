"""Name the documents of examples as their corpus knows them: by source and path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from spanmix.errors import InputError
from spanmix.text.corpus import CorpusSource
from spanmix.types import Segment

_NAMED = 20


def describer(
    names: Sequence[str], sources: Mapping[str, CorpusSource]
) -> Callable[[Sequence[Segment]], str]:
    """Return what writes the documents of examples as ``code: a.py, b.py; prose: c.md; and 7 more``.

    Args:
        names: of the sources, by the index that examples carry.
        sources: the corpus's, by name.
    """

    def describe(segments: Sequence[Segment]) -> str:
        keys = list(dict.fromkeys((s.ref.source, s.ref.document) for s in segments))
        named: dict[str, list[str]] = {}
        for source, document in keys[:_NAMED]:
            named.setdefault(names[source], []).append(_path(sources[names[source]], document))
        parts = [f"{name}: {', '.join(paths)}" for name, paths in named.items()]
        more = len(keys) - _NAMED
        return "; ".join([*parts, f"and {more} more"] if more > 0 else parts)

    return describe


def _path(source: CorpusSource, document: int) -> str:
    try:
        return source.name_of(document) or f"number {document}"
    except InputError:  # the table of paths is damaged, which is no reason to hide what was to be told
        return f"number {document}"
