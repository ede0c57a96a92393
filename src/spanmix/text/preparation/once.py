"""Make a folder once: whole or absent, and made again if anything in it was lost or cut short."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

_SIZES = "sizes.json"


def make_once(out: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a folder aside, and put it in the place of `out`, unless that is there and whole.

    Whole means that every file that was written is there with its size.
    """
    if _is_whole(out):
        return
    shutil.rmtree(out, ignore_errors=True)
    aside = out.with_name(out.name + ".partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        fill(aside)
        sizes = {path.relative_to(aside).as_posix(): path.stat().st_size for path in _files(aside)}
        (aside / _SIZES).write_text(json.dumps(sizes), encoding="utf-8")
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)  # on a full disk others need the room
        raise
    aside.rename(out)


def _is_whole(folder: Path) -> bool:
    try:
        sizes = json.loads((folder / _SIZES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    found = {path.relative_to(folder).as_posix(): path.stat().st_size for path in _files(folder)}
    found.pop(_SIZES, None)
    return isinstance(sizes, dict) and found == sizes


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]
