"""Keep one run's folder: its recipe, its lock, and what may differ when it is started again."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from spanmix.bounds import shown
from spanmix.config import RUN_FORMAT_VERSION, Recipe
from spanmix.errors import InputError
from spanmix.files import follow, read_versioned, require_makable, write_json, write_text
from spanmix.recipes import load_recipe, to_fields, to_yaml
from spanmix.train.base import Base

_FACTS, _RECIPE, _LOCK = "run.json", "recipe.yaml", "lock"
_LOGS = ("metrics.jsonl", "events.jsonl")
_CHECKPOINTS = "checkpoints"
_OF_A_RUN = (_FACTS, _CHECKPOINTS, *_LOGS)
_WRITTEN_ASIDE = (_FACTS, _RECIPE, *_LOGS, "watch_id")
"""What `spanmix.files.write_text` writes in a run's folder."""
_MAY_CHANGE = (
    "corpus.",  # the corpus itself is known by its fingerprint
    "tokenizer.",
    "data.global_batch_rows",  # rows are numbered for the whole run, whatever a step takes of them
    "parallel.",
    "evaluate.",
    "watch.",
    "run.num_steps",
    "run.save_every_steps",
    "run.keep_checkpoints",
    "run.keep_every_steps",
    "run.async_checkpoints",
    "run.skip_bad_batches",
    "run.log_every_steps",
)
_RESOLVED = {"device": "auto", "precision": "auto", "compile": "auto", "num_threads": 0}
"""Fields of ``run`` that the first start decides, with the value that asks for it."""


@dataclass(frozen=True)
class _Facts:
    """What ``run.json`` holds beside its format version."""

    corpus_fingerprint: str
    versions: dict[str, str]
    init_from: Base | None = None


def run_place(out: Path) -> Path:
    """Return the folder of the run that `out` names: links are followed, whether or not they end yet.

    Raises:
        InputError: it is a file or cannot be made, or a folder that is neither empty nor a run. What a new
            run leaves that was killed before it was written down whole counts as empty.
    """
    require_makable(out)
    out = follow(out)
    if out.is_dir() and not is_run(out):
        foreign = sorted(path.name for path in out.iterdir() if not _is_of_a_start(path))
        if foreign:
            raise InputError(
                f"{out} is neither empty nor a run: it holds {foreign[0]!r}, but not what a run writes; "
                "give another --out"
            )
    return out


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run's lock; raises `InputError` if another process writes to this run."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"another process is writing to the run {folder}; wait for it, or give another --out"
            ) from None
        for name in _WRITTEN_ASIDE:  # what a process that was killed has left
            for leftover in folder.glob(f".{name}.partial-*"):
                leftover.unlink()
        yield


def checkpoints_folder(folder: Path) -> Path:
    """Return where a run's checkpoints lie."""
    return folder / _CHECKPOINTS


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run: its recipe, and what tells that from a recipe that someone wrote."""
    return (folder / _RECIPE).is_file() and any((folder / name).exists() for name in _OF_A_RUN)


def adopt(folder: Path, recipe: Recipe) -> Recipe:
    """Return the recipe to go on with, after comparing it with the one that the run was started with.

    What the first start resolved (device, precision, threads) is kept where the recipe leaves it open.

    Raises:
        InputError: a field differs that would make this another run; every such field is listed.
    """
    old = recorded_recipe(folder)
    kept = {
        name: getattr(old.run, name)
        for name, open_value in _RESOLVED.items()
        if getattr(recipe.run, name) == open_value
    }
    recipe = replace(recipe, run=replace(recipe.run, **kept))
    before, after = (dict(_flat(to_fields(r))) for r in (old, recipe))
    changed = [
        f"{name}: {shown(before.get(name))} -> {shown(after.get(name))}"
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
        made_from = _read_facts(folder).corpus_fingerprint
    except InputError as error:
        raise InputError(f"{error}. Restore it to go on with the run, or give another --out") from error
    if made_from != fingerprint:
        raise InputError(
            f"the run {folder} was trained on corpus {made_from[:12]}, the recipe's corpus is "
            f"{fingerprint[:12]}; put the old corpus in its place, or train a new run"
        )


def recorded_recipe(folder: Path) -> Recipe:
    """Return the recipe that a run goes by.

    Raises:
        InputError: the folder is no run, or what it says is damaged.
    """
    if not is_run(folder):
        raise InputError(f"{folder} is not a run: there is no {_RECIPE} of a run in it; name that of one")
    return load_recipe(str(folder / _RECIPE))


def recorded_base(folder: Path) -> Base | None:
    """Return the model that a run began from; None if there was none, or the folder is no run yet."""
    return _read_facts(folder).init_from if is_run(folder) else None


def write_facts(
    folder: Path, recipe: Recipe, fingerprint: str, versions: dict[str, str], base: Base | None
) -> None:
    """Write what the run is: ``run.json``, then ``recipe.yaml``, whose presence makes it a run."""
    facts = {
        "format_version": RUN_FORMAT_VERSION,
        "corpus_fingerprint": fingerprint,
        "versions": versions,
        "init_from": None if base is None else asdict(base),
    }
    write_json(folder / _FACTS, facts)
    write_text(folder / _RECIPE, to_yaml(recipe))


def _read_facts(folder: Path) -> _Facts:
    return read_versioned(folder / _FACTS, _Facts, RUN_FORMAT_VERSION)


def _is_of_a_start(path: Path) -> bool:
    """Whether a file is one that `locked` and `write_facts` make before ``recipe.yaml`` is there."""
    if path.name == _FACTS:
        try:
            _read_facts(path.parent)
        except InputError:
            return False
        return True
    partial = tuple(f".{name}.partial-" for name in _WRITTEN_ASIDE)
    return path.name == _LOCK or path.name.startswith(partial)


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of every field."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value
