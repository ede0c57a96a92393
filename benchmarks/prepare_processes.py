"""Run a command, and watch what it and all that it starts take: time, processor time, memory.

Processes are looked at twenty times a second. Of one that ends in between, what it took since it was last
looked at is not known. Memory is what no file stands behind, with what is shared between processes counted in
each of them.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.05
_TICKS = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM, _STARTED = 11, 12, 19
"""Fields of ``/proc/PID/stat`` behind the name."""


@dataclass(frozen=True)
class Watched:
    """What a command took.

    Args:
        seconds: from its start to its end.
        processor_seconds: of all its processes, user and system.
        peak_bytes: memory of all its processes at once.
        code: its exit code.
        printed: what it wrote to its standard output.
    """

    seconds: float
    processor_seconds: float
    peak_bytes: int
    code: int
    printed: str


def watch(command: Sequence[str], log: Path) -> Watched:
    """Run a command; its errors go into the file `log`."""
    printed = log.with_suffix(".out")
    used: dict[tuple[int, int], int] = {}
    peak = 0
    with log.open("w") as errors, printed.open("w") as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=errors)
        while process.poll() is None:
            pids = tree(process.pid)
            peak = max(peak, sum(map(own_bytes, pids)))
            for pid in pids:
                with suppress(OSError, IndexError):
                    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                    used[pid, int(fields[_STARTED])] = int(fields[_USER]) + int(fields[_SYSTEM])
            time.sleep(POLL_SECONDS)
        seconds = time.perf_counter() - start
    return Watched(seconds, sum(used.values()) / _TICKS, peak, process.returncode, printed.read_text())


def tree(pid: int) -> list[int]:
    """Return a process and all that it started, as far as they are still there."""
    pids = [pid]
    for parent in pids:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                pids += map(int, task.read_text().split())
    return pids


def own_bytes(pid: int) -> int:
    """Return the memory of a process that no file stands behind; 0 if it has just ended."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon", "RssShmem")))
    return 0
