"""Make a folder once: whole or absent, and made again if anything in it was lost or damaged."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

_RECORD = "files.json"
_PARTIAL = ".partial"
_BLOCK_BYTES = 1 << 20


def make_once(out: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a folder aside, and put it in the place of `out`, unless that is there and whole.

    Whole means that every file that was written is there with its size and its checksum, and no other. The
    checksum is CRC-32: it tells every single bit that was flipped, and whatever else a disk or a crash does
    but for one case in four billion, at some gigabytes a second. It is no guard against intent.
    """
    if _is_whole(out):
        return
    shutil.rmtree(out, ignore_errors=True)
    aside = out.with_name(out.name + _PARTIAL)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        fill(aside)
        (aside / _RECORD).write_text(json.dumps(_files(aside)), encoding="utf-8")
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)  # on a full disk others need the room
        raise
    aside.rename(out)


def finished_folders(folder: Path) -> set[Path]:
    """Return what `make_once` finished two levels below a folder, whether or not it is still whole."""
    found = (record.parent for record in folder.glob(f"*/*/{_RECORD}"))
    return {path for path in found if path.suffix != _PARTIAL}


def _is_whole(folder: Path) -> bool:
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        return bool(record == _files(folder))
    except (OSError, ValueError):
        return False


def _files(folder: Path) -> dict[str, list[int]]:
    """Return the size in bytes and the checksum of each file but the record, by its path in the folder."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: _measure(path) for name, path in sorted(paths.items()) if name != _RECORD}


def _measure(path: Path) -> list[int]:
    num_bytes = checksum = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            num_bytes += len(block)
            checksum = zlib.crc32(block, checksum)
    return [num_bytes, checksum]
