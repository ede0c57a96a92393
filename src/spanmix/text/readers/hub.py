"""Find the files of a data set of the Hugging Face Hub by its name: in the caches, or through the library."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from spanmix.errors import InputError
from spanmix.text.readers.formats import FILE, is_of_kind, kind_of

HUB_PREFIX = "hf:"

_CACHED = re.compile(r"(?:datasets|models|spaces)--.+")
_NAME = re.compile(r"hf:([\w.-]+(?:/[\w.-]+)?)(?::([\w.+-]*))?(?::([\w.-]+))?")


def find_dataset(name: str, source: str) -> list[Path]:
    """Return the files of ``hf:owner/name[:config][:split]``, in the order of their names.

    Looked at are, in this order: what the ``datasets`` library has made of it (``HF_DATASETS_CACHE``); the
    library itself, if it is installed, which fetches what is missing; the files as they are on the Hub, in
    the cache of ``huggingface_hub`` (``HF_HUB_CACHE``) or fetched by it. Of the files, those whose path has
    the config as a folder, and the split as a word, are taken, if there are such names at all.

    Args:
        name: the data set; without a config, there has to be just one, or one called ``default``; without a
            split it is ``train``.
        source: for messages.

    Raises:
        InputError: the name is none, or the data set cannot be had.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise InputError(f"source {source}: {name} is no data set; write hf:owner/name[:config][:split]")
    repository, config, split = match[1], match[2] or "", match[3] or "train"
    found = _made_by_the_library(repository, config, split, source)
    if not found:
        found = _by_the_library(repository, config, split, source) or _as_published(
            repository, config, split, source
        )
    return sorted(found)


def is_link_into_cache(path: str) -> bool:
    """Return whether a link is a file of the cache of ``huggingface_hub``.

    That keeps contents by their hashes, and names each revision's files by links to them:
    ``datasets--owner--name/snapshots/REVISION/data/a.parquet -> ../../../blobs/HASH`` (its guide "Understand
    caching"). A link to anywhere else is none of its files.
    """
    blobs = Path(os.path.realpath(path)).parent
    named_by = Path(os.path.realpath(Path(path).parent))
    cache = blobs.parent
    is_inside = named_by.is_relative_to(cache / "snapshots")
    return blobs.name == "blobs" and is_inside and _CACHED.fullmatch(cache.name) is not None


def _cache(variable: str, below: str) -> Path:
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    return Path(os.environ.get(variable) or f"{home}/{below}").expanduser()


def _made_by_the_library(repository: str, config: str, split: str, source: str) -> list[Path]:
    """Return the Arrow files of ``CACHE/owner___name/config/version/hash``."""
    top = _cache("HF_DATASETS_CACHE", "datasets") / repository.replace("/", "___")
    configs = sorted(path for path in top.glob("*") if path.is_dir()) if top.is_dir() else []
    if config:
        configs = [path for path in configs if path.name == config]
    elif len(configs) > 1:
        named = [path for path in configs if path.name == "default"]
        if not named:
            names = ", ".join(path.name for path in configs)
            raise InputError(
                f"source {source}: {top} holds the configs {names}; name one, as in hf:{repository}:"
                f"{configs[0].name}"
            )
        configs = named
    for path in configs:
        made = [found for found in path.glob("*/*") if (found / "dataset_info.json").is_file()]
        if made:
            newest = max(made, key=lambda folder: (folder / "dataset_info.json").stat().st_mtime_ns)
            files = [file for file in newest.glob("*.arrow") if is_of_kind(file.name, "arrow")]
            return [file for file in files if _has_word(file.name, split)]
    return []


def _by_the_library(repository: str, config: str, split: str, source: str) -> list[Path]:
    try:
        import datasets
    except ImportError:
        return []
    try:
        found: Any = datasets.load_dataset(repository, config or None, split=split)
    except Exception as error:
        raise InputError(
            f"source {source}: hf:{repository} could not be loaded: {_short(error)}; check its name, config "
            f"({config or 'none'}) and split ({split}), and that you are logged in if it is gated"
        ) from None
    return [Path(file["filename"]) for file in found.cache_files]


def _as_published(repository: str, config: str, split: str, source: str) -> list[Path]:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise InputError(
            f"source {source}: hf:{repository} is in no cache; install huggingface_hub or datasets to fetch "
            "it, or name the folder that it lies in"
        ) from None
    folder = None
    for only_local in (True, False):
        try:
            cache = str(_cache("HF_HUB_CACHE", "hub"))
            folder = snapshot_download(
                repository, repo_type="dataset", local_files_only=only_local, cache_dir=cache
            )
            break
        except Exception as error:
            why = _short(error)
    if folder is None:
        raise InputError(
            f"source {source}: hf:{repository} is in no cache and could not be fetched: {why}; check the "
            "name and the network, log in if it is gated, or name the folder that it lies in"
        )
    files = [path for path in Path(folder).rglob("*") if path.is_file() and kind_of(path.name) != FILE]
    names = {path: path.relative_to(folder).as_posix() for path in files}
    if config and any(f"/{config}/" in f"/{name}" for name in names.values()):
        files = [path for path in files if f"/{config}/" in f"/{names[path]}"]
    if any(_has_word(name, split) for name in names.values()):
        files = [path for path in files if _has_word(names[path], split)]
    if not files:
        raise InputError(
            f"source {source}: {folder} holds no file of a known kind for the config {config or '(none)'} "
            f"and the split {split}; name the files in paths"
        )
    return files


def _has_word(name: str, word: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", name) is not None


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
