"""Read what stands behind a recipe of ``spanmix prepare``: paths for its sources, and changed fields."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from spanmix.errors import InputError, nearest
from spanmix.recipes import read_fields


def recipe_inputs(name: str, inputs: Sequence[str]) -> list[str]:
    """Return ``section.field=value`` overrides for all of `inputs`.

    ``NAME=PATH`` adds a path to the source NAME; a path alone to the one source of the recipe that has none.

    Raises:
        InputError: there is no such source; a path could belong to several sources, or to none.
    """
    sources = _sources(name)
    overrides = []
    paths: dict[str, list[str]] = defaultdict(list)
    for text in inputs:
        key, equals, value = text.partition("=")
        if equals and "." in key and "/" not in key:
            overrides.append(text)
        elif equals and key in sources:
            paths[key].append(value)
        elif equals and "/" not in key:
            raise InputError(
                f"recipe {name} has no source {key!r}, which {text!r} is for{nearest(key, sources)}"
            )
        else:
            paths[_only_empty(name, sources, text)].append(text)
    numbers = list(sources)
    for source, added in paths.items():
        whole = json.dumps([*sources[source], *added])
        overrides.append(f"corpus.sources.{numbers.index(source)}.paths={whole}")
    return overrides


def _sources(name: str) -> dict[str, list[str]]:
    """Return the paths of each source of a recipe; a recipe that is wrong otherwise is refused later."""
    corpus = read_fields(name).get("corpus")
    listed: Any = corpus.get("sources") if isinstance(corpus, dict) else None
    found: dict[str, list[str]] = {}
    for source in listed if isinstance(listed, list) else []:
        if isinstance(source, dict):
            paths = source.get("paths")
            found[str(source.get("name"))] = list(paths) if isinstance(paths, list) else []
    return found


def _only_empty(name: str, sources: dict[str, list[str]], text: str) -> str:
    empty = [source for source, paths in sources.items() if not paths]
    if len(empty) == 1:
        return empty[0]
    if not empty:
        raise InputError(
            f"{name} is a recipe, which names its sources itself; leave out {text}, or say which it is for: "
            f"{next(iter(sources), 'NAME')}={text}"
        )
    raise InputError(
        f"{text} could belong to several sources of {name}; say which: "
        + " or ".join(f"{source}={text}" for source in empty)
    )
