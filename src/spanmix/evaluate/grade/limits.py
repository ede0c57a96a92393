"""What a program may use while it is graded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spanmix.errors import InputError


@dataclass(frozen=True)
class Limits:
    """What one program may use; beyond it the program is ended, or refused what it asks for.

    Args:
        seconds: wall time of the whole check, from the first line of the program to the verdict.
        cpu_seconds: processor time of each of its processes; what `seconds` allows, if not given.
        memory_bytes: address space of each of its processes, and memory of all of them together.
        file_bytes: of all files that it writes, together.
        num_processes: its processes and threads, two of which are the sandbox's own.
        num_files: files that one of its processes has open.
        output_bytes: of one answer, as text; of all that it prints, in other languages than Python.

    Raises:
        InputError: a number is below 1, or `seconds` is not above 0.
    """

    seconds: float = 3.0
    cpu_seconds: int | None = None
    memory_bytes: int = 1 << 30
    file_bytes: int = 1 << 26
    num_processes: int = 32
    num_files: int = 64
    output_bytes: int = 1 << 24

    def __post_init__(self) -> None:
        if not 0 < self.seconds < math.inf:
            raise InputError(f"seconds is {self.seconds}; a program needs a time above 0")
        least = {"num_processes": 4, "num_files": 16, "memory_bytes": 1 << 27}
        for name in (
            "cpu_seconds",
            "memory_bytes",
            "file_bytes",
            "num_processes",
            "num_files",
            "output_bytes",
        ):
            value = getattr(self, name)
            if value is not None and value < least.get(name, 1):
                raise InputError(f"{name} is {value}; use at least {least.get(name, 1)}")

    @property
    def whole_cpu_seconds(self) -> int:
        """Processor time of a process, in the whole seconds that the system counts."""
        return math.ceil(self.seconds) + 1 if self.cpu_seconds is None else self.cpu_seconds
