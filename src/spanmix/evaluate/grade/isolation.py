"""The ways to keep a program away from everything: how a process is started so that it is in a sandbox."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from spanmix.evaluate.grade import enter
from spanmix.evaluate.grade.namespaces import DEVICES, STREAMS, USER
from spanmix.evaluate.grade.setup import Setup, View, python, view_of

_INSIDE = "/opt/grade"
"""Where our own files are seen inside of bubblewrap."""
_INSIDE_PARTS = f"{_INSIDE}/spanmix/evaluate/grade"
_PARTS = Path(enter.__file__).parent
_ROOT = _PARTS.parents[2]


class Isolation(Protocol):
    """A way to start a process in a sandbox."""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        ...

    @property
    def forks(self) -> bool:
        """Whether a process can go there by itself, so that sandboxes can be forked."""
        ...

    def told(self, setup: Setup, channel: int) -> dict[str, Any]:
        """Return what `enter.become` gets."""
        ...

    def command(self, setup: Setup, channel: int) -> list[str]:
        """Return the command that starts `enter.main` there.

        Args:
            setup: what becomes of the process.
            channel: number of the file descriptor that the process keeps.
        """
        ...


@dataclass(frozen=True)
class Bubblewrap:
    """By ``bwrap``, a small program that many systems trust with this (github.com/containers/bubblewrap).

    Args:
        program: its path.
        is_root: whether we are root. Then it needs no namespace of users, and `guard.renounce_root` gives the
            program a user of its own, since the system does not count the processes of root.
    """

    program: str
    is_root: bool
    name: str = "bubblewrap"
    forks: bool = False

    def told(self, setup: Setup, channel: int) -> dict[str, Any]:
        """See `Isolation`."""
        return setup.told(self.name, view_of(setup), channel)

    def command(self, setup: Setup, channel: int) -> list[str]:
        """See `Isolation`."""
        view = view_of(setup)
        alone = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
        user = [] if self.is_root else ["--unshare-user", "--uid", str(USER), "--gid", str(USER)]
        # For `namespaces.become_inner`, which gives them up.
        kept = ("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
        # Folders that it makes by itself on the way are for root alone.
        folders = _parents((*view.shown, *DEVICES, _INSIDE_PARTS, "/tmp/-"))
        return [
            self.program,
            *(*alone, *user, "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL"),
            *(part for name in kept for part in ("--cap-add", name)),
            *(part for path in folders for part in ("--dir", path)),
            *(part for path, outside in view.shown.items() for part in ("--ro-bind", outside, path)),
            *(part for path in view.hidden for part in ("--size", "4096", "--tmpfs", path)),
            *(part for path in view.hidden for part in ("--remount-ro", path)),
            *(part for path, target in view.links.items() for part in ("--symlink", target, path)),
            *("--ro-bind", str(_PARTS), _INSIDE_PARTS, "--proc", "/proc"),
            *(part for path in DEVICES for part in ("--dev-bind", path, path)),
            *(part for path, end in STREAMS.items() for part in ("--symlink", f"/proc/self/fd{end}", path)),
            *("--remount-ro", "/", "--"),
            *_python_command(_INSIDE, self.told(setup, channel)),
        ]


@dataclass(frozen=True)
class Namespaces:
    """By our own hand; see `namespaces`."""

    name: str = "namespaces"
    forks: bool = True

    def told(self, setup: Setup, channel: int) -> dict[str, Any]:
        """See `Isolation`."""
        return setup.told(self.name, view_of(setup), channel)

    def command(self, setup: Setup, channel: int) -> list[str]:
        """See `Isolation`."""
        return _python_command(str(_ROOT), self.told(setup, channel))


@dataclass(frozen=True)
class Unsafe:
    """Not at all: the program can do what the user can, with limits on what a process uses.

    Its processes are not counted, since those of the user would be too.
    """

    name: str = "unsafe"
    forks: bool = False

    def told(self, setup: Setup, channel: int) -> dict[str, Any]:
        """See `Isolation`."""
        resources = dataclasses.replace(setup.resources, num_processes=None)
        setup = dataclasses.replace(setup, resources=resources)
        return setup.told(self.name, View({}, (), {}, 0, 0), channel)

    def command(self, setup: Setup, channel: int) -> list[str]:
        """See `Isolation`."""
        return _python_command(str(_ROOT), self.told(setup, channel))


def _parents(paths: Iterable[str]) -> list[str]:
    """Return all folders above these paths, from the top down."""
    found = {str(parent) for path in paths for parent in Path(path).parents}
    return sorted(found - {"/"})


def _python_command(folder: str, told: dict[str, Any]) -> list[str]:
    # Without site-packages and what the user has set; a file in the current folder is no module.
    return [python(), "-S", "-s", "-P", "-c", enter.COMMAND, folder, json.dumps(told)]
