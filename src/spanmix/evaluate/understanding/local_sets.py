"""Make sets out of local code where the originals are not at hand, and say beside them what they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spanmix.errors import InputError
from spanmix.evaluate.understanding.examples import LabeledSet
from spanmix.evaluate.understanding.local_clones import make_clones
from spanmix.evaluate.understanding.local_defects import make_defects
from spanmix.evaluate.understanding.python_files import PythonFiles
from spanmix.evaluate.understanding.readers import READERS
from spanmix.files import whole_folder, write_json

LOCAL_FORMAT_VERSION = 1
MADE_FILE = "made.json"

Maker = Callable[[Sequence[PythonFiles], Path, int, int], dict[str, Any]]
MAKERS: dict[str, Maker] = {"defects": make_defects, "clones": make_clones}


def make_local_set(
    task: str, groups: Sequence[PythonFiles], folder: Path, made_of: str, seed: int = 0, most: int = 0
) -> LabeledSet:
    """Make a set, write it as CodeXGLUE's files with ``made.json`` beside them, and read it.

    Args:
        task: ``defects`` or ``clones``.
        groups: the Python files.
        folder: to write, whole or not at all; what is there is replaced.
        made_of: what the files are, such as a corpus and its fingerprint; the set's `place`.
        seed: decides everything that is random.
        most: examples of a part at most; 0 for all.

    Raises:
        InputError: there are not enough functions for a part.
    """
    with whole_folder(folder) as place:
        made = MAKERS[task](groups, place, seed, most)
        facts = {"format_version": LOCAL_FORMAT_VERSION, "task": task, "made_of": made_of, "seed": seed}
        write_json(place / MADE_FILE, {**facts, "most": most, **made})
    try:
        return replace(READERS[task](folder), place=made_of)
    except InputError as error:
        raise InputError(f"{made_of} has too few Python functions for {task}: {error}") from None
