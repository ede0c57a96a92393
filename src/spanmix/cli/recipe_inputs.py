"""Read the inputs of ``spanmix prepare``: a recipe with what stands behind it, or folders and files."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from spanmix.cli.corpus_recipes import RECIPES
from spanmix.config import CorpusRecipe, Recipe
from spanmix.errors import InputError, nearest
from spanmix.recipes import (
    builtin_recipes,
    corpus_recipe_from_fields,
    nearest_recipe,
    read_fields,
    refuse_cut_off,
)

_NOT_ON_DISK = re.compile(r"(hf|python):")


def corpus_recipe(inputs: Sequence[str], out: str, flags: Sequence[str] = ()) -> CorpusRecipe | Recipe:
    """Return the recipe that `inputs` ask for: the one that they begin with, or one that reads them.

    ``section.field=value`` changes a field. ``NAME=PATH``, which may stand there several times, takes the
    place of the paths that a recipe has for its source NAME; without a recipe it makes such a source. A path
    alone belongs to the one source of the recipe that has no paths; without a recipe it is a source that is
    named after it.

    Args:
        inputs: as they were typed, at least one.
        out: the corpus folder.
        flags: more ``section.field=value``, which go before all others.

    Raises:
        InputError: there is no such recipe, source or field; a path could belong to several sources, or to
            none; two sources would have one name.
    """
    name, *others = inputs
    if _is_recipe(name):
        fields = read_fields(name)
        overrides, others = _split(others, _paths_in(fields))
        overrides += _paths_behind(name, _paths_in(fields), others)
        return corpus_recipe_from_fields(fields, name, [*overrides, *flags])
    if "=" not in name and not Path(name).expanduser().exists() and not _NOT_ON_DISK.match(name):
        close = nearest_recipe(name)
        raise InputError(
            f"there is no recipe, folder or file {name!r}{close if 'did you mean' in close else ''}; the "
            f"recipes of corpora are {', '.join(RECIPES)}"
        )
    overrides, others = _split(inputs, ())
    sources = [{"name": source, "paths": paths} for source, paths in _named_after(others).items()]
    fields = {"corpus": {"path": out, "sources": sources}}
    return corpus_recipe_from_fields(fields, "of the command line", [*overrides, *flags])


def _is_recipe(name: str) -> bool:
    """Tell a recipe from a source; a folder is a source, whatever it is called."""
    path = Path(name)
    is_built_in = not path.exists() and name in builtin_recipes()
    return is_built_in or (path.suffix in (".yaml", ".yml") and not path.is_dir())


def _split(inputs: Sequence[str], sources: Collection[str]) -> tuple[list[str], list[str]]:
    """Tell changed fields from all else; the name of a source may have a dot too."""
    overrides: list[str] = []
    others: list[str] = []
    for text in inputs:
        key, equals, _ = text.partition("=")
        is_field = equals and "." in key and "/" not in key and key not in sources and not Path(text).exists()
        if is_field:
            refuse_cut_off(text)
        (overrides if is_field else others).append(text)
    return overrides, others


def _paths_in(fields: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the paths of each source of a recipe; a recipe that is wrong otherwise is refused later."""
    corpus = fields.get("corpus")
    listed: Any = corpus.get("sources") if isinstance(corpus, dict) else None
    found: dict[str, list[str]] = {}
    for source in listed if isinstance(listed, list) else []:
        if isinstance(source, dict):
            paths = source.get("paths")
            found[str(source.get("name"))] = list(paths) if isinstance(paths, list) else []
    return found


def _paths_behind(name: str, sources: Mapping[str, list[str]], inputs: Sequence[str]) -> list[str]:
    """Return the fields that paths behind a recipe change."""
    paths: dict[str, list[str]] = defaultdict(list)
    for text in inputs:
        key, equals, value = text.partition("=")
        if equals and key in sources:
            paths[key].append(value)
        elif equals and "/" not in key and not Path(text).exists():
            raise InputError(
                f"recipe {name} has no source {key!r}, which {text!r} is for{nearest(key, sources)}"
            )
        else:
            paths[_only_empty(name, sources, text)].append(text)
    numbers = list(sources)
    return [f"corpus.sources.{numbers.index(key)}.paths={json.dumps(paths[key])}" for key in paths]


def _only_empty(name: str, sources: Mapping[str, list[str]], text: str) -> str:
    empty = [source for source, paths in sources.items() if not paths]
    if len(empty) == 1:
        return empty[0]
    if not sources:
        raise InputError(f"recipe {name} has no sources; name them in corpus.sources, or leave out {text}")
    if not empty:
        raise InputError(
            f"recipe {name} has paths for all its sources; leave out {text}, or say which ones it takes the "
            f"place of: {next(iter(sources))}={text}"
        )
    raise InputError(
        f"{text} could belong to several sources of {name}; say which: "
        + " or ".join(f"{source}={text}" for source in empty)
    )


def _named_after(inputs: Sequence[str]) -> dict[str, list[str]]:
    """Return the paths of each source, where there is no recipe."""
    if not inputs:
        raise InputError("fields alone make no corpus; name a recipe, folders or files before them")
    paths: dict[str, list[str]] = defaultdict(list)
    first: dict[str, str] = {}
    for text in inputs:
        key, equals, value = text.partition("=")
        if equals and "/" not in key and not Path(text).exists():
            paths[key].append(value)
            continue
        name = _source_name(text)
        if name in first:
            raise InputError(
                f"{first[name]} and {text} would both be the source {name}; name them, as one={first[name]} "
                f"two={text}, or make them one, as {name}={first[name]} {name}={text}"
            )
        first[name] = text
        paths[name].append(text)
    return paths


def _source_name(path: str) -> str:
    """Name a source after its folder or file, with what a file name may not hold replaced.

    >>> _source_name("work/My Code"), _source_name("notes.jsonl"), _source_name("/")
    ('My_Code', 'notes', 'source')
    """
    name = Path(path).resolve().name.removesuffix(".jsonl")
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".-") or "source"
