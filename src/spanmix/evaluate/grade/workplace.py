"""Get a copy of a folder to work in, once in the sandbox and without privilege."""

from __future__ import annotations

import os
import shutil


def move_in(tree: str, folder: str, variables: dict[str, str]) -> None:
    """Copy a folder, go there, and set variables of the environment; see `setup.Workplace`.

    Raises:
        OSError: there is no room for it.
    """
    shutil.copytree(tree, folder, symlinks=True)
    os.chdir(folder)
    os.environ.update(variables)
