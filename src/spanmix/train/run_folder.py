"""Keep one run's folder: its recipe, its lock, and what may differ when it is started again."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from spanmix.config import RUN_FORMAT_VERSION, Recipe
from spanmix.errors import InputError
from spanmix.files import write_json, write_text
from spanmix.recipes import load_recipe, to_fields, to_yaml

_MAY_CHANGE = (
    "corpus.",  # the corpus itself is known by its fingerprint
    "tokenizer.",
    "parallel.",
    "evaluate.",
    "data.global_batch_rows",
    "run.num_steps",
    "run.save_every_steps",
    "run.keep_checkpoints",
    "run.log_every_steps",
)
_RESOLVED = {"device": "auto", "precision": "auto", "num_threads": 0}
"""Fields of ``run`` that the first start decides, with the value that asks for it."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run's lock; raises `InputError` if another process writes to this run."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"another process is writing to the run {folder}; wait for it, or give another --out"
            ) from None
        yield


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run."""
    return (folder / "recipe.yaml").is_file()


def adopt(folder: Path, recipe: Recipe) -> Recipe:
    """Return the recipe to go on with, after comparing it with the one that the run was started with.

    What the first start resolved (device, precision, threads) is kept where the recipe leaves it open.

    Raises:
        InputError: a field differs that would make this another run; every such field is listed.
    """
    old = load_recipe(str(folder / "recipe.yaml"))
    kept = {
        name: getattr(old.run, name)
        for name, open_value in _RESOLVED.items()
        if getattr(recipe.run, name) == open_value
    }
    recipe = replace(recipe, run=replace(recipe.run, **kept))
    before, after = (dict(_flat(to_fields(r))) for r in (old, recipe))
    changed = [
        f"{name}: {before.get(name)!r} -> {after.get(name)!r}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name) and not name.startswith(_MAY_CHANGE)
    ]
    if changed:
        raise InputError(
            f"the run {folder} was started with another recipe: {'; '.join(changed)}. Use the old values to "
            "go on with it, or another --out to start a new run"
        )
    return recipe


def check_corpus(folder: Path, fingerprint: str) -> None:
    """Raise `InputError` if the run was made from another corpus."""
    try:
        made_from = json.loads((folder / "run.json").read_text())["corpus_fingerprint"]
    except (OSError, ValueError, KeyError):
        raise InputError(f"{folder}/run.json is missing or damaged; the run cannot go on") from None
    if made_from != fingerprint:
        raise InputError(
            f"the run {folder} was trained on corpus {made_from[:12]}, the recipe's corpus is "
            f"{fingerprint[:12]}; give the old corpus, or another --out"
        )


def write_facts(folder: Path, recipe: Recipe, fingerprint: str, versions: dict[str, str]) -> None:
    """Write what the run is: ``run.json``, then ``recipe.yaml``, whose presence makes it a run."""
    facts = {
        "format_version": RUN_FORMAT_VERSION,
        "corpus_fingerprint": fingerprint,
        "versions": versions,
    }
    write_json(folder / "run.json", facts)
    write_text(folder / "recipe.yaml", to_yaml(recipe))


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of every field."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value
