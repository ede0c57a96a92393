"""See to the files that Weights & Biases keeps of a run while it is offline: how far they go.

A ``.wandb`` file is a log in LevelDB's format: blocks of 32 KiB, in which each record is cut into pieces,
each behind 7 bytes: checksum (4), length (2), and whether the piece is whole (1), the first of its record
(2), in the middle (3) or the last (4). A record is a protocol buffer of wandb's own.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK = 32_768
_FILE_HEADER = 7
_PIECE = struct.Struct("<IHB")
_WHOLE, _FIRST, _LAST = 1, 2, 4
_LAST_BLOCKS = 64


def last_step(folder: Path, run_id: str) -> int:
    """Return the last step that the offline files of a run hold; 0 if there is none.

    Steps only grow within a file, so its end is enough.

    Args:
        folder: holds ``offline-run-TIME-ID/run-ID.wandb``.
        run_id: the run's id.
    """
    return max((_last_step_of(path) for path in _files(folder, run_id)), default=0)


def _last_step_of(path: Path) -> int:
    blocks = path.stat().st_size // _BLOCK
    for start in sorted({max(0, blocks - _LAST_BLOCKS), 0}, reverse=True):
        steps = [step for record in _records(path, start) if (step := _step_of(record)) is not None]
        if steps:
            return max(steps)
    return 0


def drop_empty(folder: Path, run_id: str) -> None:
    """Delete the files of starts that were killed before they wrote a record: ``wandb sync`` ends there."""
    for path in _files(folder, run_id):
        if next(_records(path, 0), None) is None:
            shutil.rmtree(path.parent)


def _files(folder: Path, run_id: str) -> list[Path]:
    """Return the files of a run, oldest first."""
    return sorted(folder.glob(f"offline-run-*-{run_id}/run-{run_id}.wandb"))


def _records(path: Path, first_block: int) -> Iterator[bytes]:
    """Yield the records that begin in a block or later; one that a crash tore is left out."""
    with path.open("rb") as file:
        file.seek(first_block * _BLOCK)
        at = 0 if first_block else _FILE_HEADER
        pieces: list[bytes] = []
        while block := file.read(_BLOCK):
            while at + _PIECE.size <= len(block):
                _, length, kind = _PIECE.unpack_from(block, at)
                piece = block[at + _PIECE.size : at + _PIECE.size + length]
                at += _PIECE.size + length
                if at > len(block) or kind == 0:
                    return
                pieces = [piece] if kind in (_WHOLE, _FIRST) else [*pieces, piece] if pieces else []
                if kind in (_WHOLE, _LAST) and pieces:
                    yield b"".join(pieces)
                    pieces = []
            at = 0


def _step_of(record: bytes) -> int | None:
    from wandb.proto import wandb_internal_pb2

    parsed: Any = wandb_internal_pb2.Record.FromString(record)  # type: ignore[attr-defined]
    return int(parsed.history.step.num) if parsed.WhichOneof("record_type") == "history" else None
