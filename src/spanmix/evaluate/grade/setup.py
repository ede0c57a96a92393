"""What a sandbox is told when it starts."""

from __future__ import annotations

import dataclasses
import secrets
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from spanmix.evaluate.grade.limits import Limits

JUDGE_MEMORY_BYTES = 4 << 30
"""Of a judge, which runs the benchmark's own text and holds what a program answers."""
_NUM_JUDGE_PROCESSES = 64
_NUM_SCRATCH_FILES = 4096
_TREE = "/opt/tree"
"""Where a workplace's tree is seen."""
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_OF_SYSTEM = ("/etc/ld.so.cache", "/etc/alternatives")
_FIRST_USER, _NUM_USERS = 1_500_000_000, 500_000_000
"""Numbers that no account and no container uses, as far as one can tell; see `guard.renounce_root`."""


@dataclass(frozen=True)
class Resources:
    """What the system counts for a process; see `Limits`.

    Args:
        cpu_seconds: None for no limit.
        memory_bytes: address space.
        file_bytes: of one file.
        num_processes: None for no limit.
        num_files: open at once.
        sparse: whether the address space is hardly used, as by JavaScript's engine; then only what can be
            written to counts.
    """

    cpu_seconds: int | None
    memory_bytes: int
    file_bytes: int
    num_processes: int | None
    num_files: int
    sparse: bool = False

    @staticmethod
    def of_program(limits: Limits, sparse: bool = False) -> Resources:
        """Return those of a process that runs a program."""
        return Resources(
            limits.whole_cpu_seconds,
            limits.memory_bytes,
            limits.file_bytes,
            limits.num_processes,
            limits.num_files,
            sparse,
        )

    @staticmethod
    def of_judge(limits: Limits) -> Resources:
        """Return those of the process that forks the judges."""
        return Resources(None, JUDGE_MEMORY_BYTES, limits.file_bytes, _NUM_JUDGE_PROCESSES, limits.num_files)


@dataclass(frozen=True)
class View:
    """What can be seen in a sandbox of the file system.

    Args:
        shown: files and folders that can be seen, read-only: where they are seen, and where they are.
        hidden: folders inside of those that can be seen empty.
        links: path of a symbolic link, and where it leads.
        file_bytes: size of ``/tmp``, where alone something can be written.
        num_files: most files and folders that it holds.
    """

    shown: dict[str, str]
    hidden: tuple[str, ...]
    links: dict[str, str]
    file_bytes: int
    num_files: int


@dataclass(frozen=True)
class Workplace:
    """What an ``interpreter`` finds where it starts, instead of an empty ``/tmp``.

    Args:
        tree: a folder; the program gets a copy of its own.
        folder: where the copy is made, and the program starts.
        shown: more files and folders that can be seen, read-only, under the same path.
        variables: of its environment, beside those that all have.
        num_files: most files and folders in ``/tmp``.
    """

    tree: str
    folder: str
    shown: tuple[str, ...]
    variables: dict[str, str]
    num_files: int


@dataclass(frozen=True)
class Setup:
    """What `enter.main` is told.

    Args:
        role: ``candidate``, ``judge``, ``interpreter`` or ``nursery``.
        resources: what is limited.
        file_bytes: of all files of the sandbox.
        command: what an ``interpreter`` becomes.
        workplace: what it finds; None for an empty ``/tmp``.
    """

    role: str
    resources: Resources
    file_bytes: int
    command: tuple[str, ...] = ()
    workplace: Workplace | None = None

    def told(self, isolation: str, view: View, channel: int) -> dict[str, Any]:
        """Return it as a message, with what the isolation and the channel add to it."""
        user = _FIRST_USER + secrets.randbelow(_NUM_USERS)
        added = {"isolation": isolation, "view": dataclasses.asdict(view), "channel": channel, "user": user}
        if self.workplace is not None:
            seen_at = {outside: inside for inside, outside in view.shown.items()}
            tree = seen_at.get(self.workplace.tree, self.workplace.tree)
            added["workplace"] = {
                "tree": tree,
                "folder": self.workplace.folder,
                "variables": self.workplace.variables,
            }
        return {**dataclasses.asdict(self), **added}


def python() -> str:
    """Return the file of the interpreter that runs this, not that of a virtual environment around it."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def view_of(setup: Setup) -> View:
    """Return what can be seen in a sandbox: the system, and the workplace's own."""
    view = _view_of_system(setup.file_bytes)
    place = setup.workplace
    if place is None:
        return view
    shown = {**view.shown, **{path: path for path in place.shown}}
    seen = [path for path in sorted(shown) if not any(str(above) in shown for above in Path(path).parents)]
    return dataclasses.replace(
        view,
        shown={**{path: shown[path] for path in seen}, _TREE: place.tree},
        hidden=tuple(path for path in view.hidden if not _is_below(path, place.shown)),
        # Where locks and memory that processes share have their names.
        links={**view.links, "/dev/shm": "/tmp"},
        num_files=place.num_files,
    )


def _is_below(path: str, folders: Iterable[str]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)


@cache
def _view_of_system(file_bytes: int) -> View:
    """Return what Python and other interpreters need of this machine."""
    shown = ["/usr"]
    links = {}
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            links[str(path)] = str(path.readlink())
        elif path.exists():
            shown.append(str(path))
    shown += [path for path in _OF_SYSTEM if Path(path).exists()]
    hidden = []
    if not Path(python()).is_relative_to("/usr"):
        libraries = Path(sysconfig.get_path("stdlib")).parent
        shown += [python(), str(libraries)]
        # What is installed beside the standard library is the user's, and programs run without it.
        hidden = [str(path) for path in libraries.glob("python*/site-packages")]
    return View({path: path for path in shown}, tuple(hidden), links, file_bytes, _NUM_SCRATCH_FILES)
