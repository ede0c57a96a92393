"""Read a git repository through the ``git`` program, without writing, fetching or running anything of it.

A repository's own settings can name programs: text conversions, external diffs, pagers, file system
monitors, signature checks, credential helpers, transports. So only plumbing is asked (``rev-parse``,
``rev-list``, ``diff-tree --raw``, ``ls-tree``, ``cat-file``), which looks at few of them; those are
overridden, and no transport is allowed. Grafts and replaced objects are not followed: what is read is what
was committed. Git refuses a checkout that belongs to another user, and so does this.

Names are bytes in git. `path` is text for people, with what is not UTF-8 as ``\\xff``; `name` is the bytes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from spanmix.errors import InputError
from spanmix.text.dropped import printable

_OVERRIDES = (
    *("--no-pager", "--no-replace-objects", "--no-optional-locks", "--literal-pathspecs"),
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.attributesFile=/dev/null"),
    # What stands in a commit-graph may differ from the commits.
    *("-c", "core.commitGraph=false", "-c", "protocol.allow=never"),
)
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_GRAFT_FILE": os.devnull,
    # A partial clone would fetch what it lacks. Older versions know the second alone, and fail instead.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
    "LC_ALL": "C",
}
_RENAMES_LOOKED_AT = "-l1000"
FILE_MODES = frozenset({"100644", "100664", "100755"})
LINK_MODE, SUBMODULE_MODE = "120000", "160000"


@dataclass(frozen=True)
class Commit:
    """Its id, the ids of its parents, and when it was committed and authored, in seconds since 1970."""

    id: str
    parents: tuple[str, ...]
    committed: int
    authored: int


@dataclass(frozen=True)
class TreeFile:
    """An entry of a commit that is no folder: a file, a link or a submodule, as its mode says."""

    path: str
    name: bytes
    mode: str
    object_id: str


@dataclass(frozen=True)
class Change:
    """What a commit did to one file: the old side of an added one is None, the new side of a deleted one."""

    old: TreeFile | None
    new: TreeFile | None


class Repository:
    """A repository that is read only; a context that ends the ``git cat-file`` it keeps running.

    Args:
        folder: the top of a checkout, or a bare repository.

    Raises:
        InputError: git is not installed, or this is no repository, or only a folder inside a checkout.
    """

    def __init__(self, folder: Path) -> None:
        self.label = printable(str(folder))
        program = shutil.which("git")
        if program is None:
            raise InputError("git is not installed, and a repository is read with it; install it first")
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist"
            raise InputError(f"{self.label} {what}; name a git checkout or a bare repository")
        self._command = [program, *_OVERRIDES]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        self._environment = inherited | _ENVIRONMENT
        self._readers: dict[str, subprocess.Popen[bytes]] = {}
        git_dir, top = self._find(folder)
        if top:
            raise InputError(f"{self.label} is a folder inside a git checkout; name its top, {top}")
        self._command.append(f"--git-dir={git_dir}")

    def __enter__(self) -> Repository:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for verb in list(self._readers):
            self._end(verb)

    def resolve(self, revision: str = "HEAD") -> str:
        """Return the id of a commit by any name that git knows it by.

        Raises:
            InputError: there is no such commit.
        """
        if not revision.startswith("-"):
            done = self._run("rev-parse", "--verify", "--quiet", revision + "^{commit}")
            if done.returncode == 0:
                return done.stdout.decode().strip()
        if revision == "HEAD":
            raise InputError(f"{self.label} has no commit yet; commit something first")
        raise InputError(f"{self.label} has no commit {revision!r}; name a commit, a branch or a tag")

    def line_of(self, commit_id: str) -> list[Commit]:
        """Return a commit and those before it along first parents, newest first: a branch with its merges."""
        listed = self._git("rev-list", "--first-parent", "--format=%H %ct %at %P", commit_id)
        commits = []
        for line in listed.decode("ascii").splitlines():
            if not line.startswith("commit "):
                commit, committed, authored, parents = line.split(" ", 3)
                # Tools have written commits without a date that git can read.
                commits.append(
                    Commit(commit, tuple(parents.split()), int(committed or 0), int(authored or 0))
                )
        return commits

    def is_cut_off(self, commit: Commit) -> bool:
        """Say whether a commit without parents has some that a shallow clone left out."""
        header = self._git("cat-file", "commit", commit.id).partition(b"\n\n")[0]
        return not commit.parents and b"\nparent " in header

    def changes(self, commit: Commit) -> list[Change]:
        """Return what a commit with at most one parent did to each file, renames found, sorted by name."""
        form = ("-r", "-z", "--raw", "--no-abbrev", "--no-commit-id", "--root", "--ignore-submodules=none")
        safe = ("--no-ext-diff", "--no-textconv")
        listed = self._git("diff-tree", *form, *safe, "-M", _RENAMES_LOOKED_AT, commit.id)
        found = list(_changes(listed))
        return sorted(found, key=lambda change: (change.new or change.old).name)  # type: ignore[union-attr]

    def files(self, commit_id: str) -> list[TreeFile]:
        """Return every file, link and submodule of a commit, sorted by name."""
        found = []
        for entry in self._git("ls-tree", "-r", "-z", "--full-tree", commit_id).split(b"\0")[:-1]:
            fields, _, name = entry.partition(b"\t")
            mode, _, object_id = fields.decode("ascii").split(" ")
            found.append(_tree_file(name, mode, object_id))
        return sorted(found, key=lambda file: file.name)

    def size(self, object_id: str) -> int | None:
        """Return the bytes of a file, or None if it is not here, as in a partial clone, or is damaged."""
        header = self._ask("--batch-check", object_id)
        return None if header is None else header[1]

    def read(self, object_id: str) -> bytes | None:
        """Return the bytes of a file, or None if it is not here, as in a partial clone, or is damaged."""
        asked = self._ask("--batch", object_id)
        if asked is None:
            return None
        stream, size = asked
        content = stream.read(size)
        if len(content) != size or stream.read(1) != b"\n":
            self._end("--batch")
            return None
        return content

    def _find(self, folder: Path) -> tuple[str, str]:
        """Return the git folder, and the top of the checkout if `folder` only lies inside it."""
        command = ("-C", str(folder), "rev-parse")
        done = self._run(*command, "--absolute-git-dir")
        if done.returncode:
            said = _said(done)
            if "dubious ownership" in said:
                raise InputError(
                    f"git does not read {self.label}, as it belongs to another user; if you trust it, "
                    f"`git config --global --add safe.directory {self.label}`"
                )
            if "not a git repository" in said:
                raise InputError(
                    f"{self.label} is not a git repository; name a checkout or a bare repository"
                )
            raise InputError(f"git cannot read {self.label}: {said}; see to the repository")
        inside = self._run(*command, "--show-prefix").stdout.strip(b"\n")
        top = self._run(*command, "--show-toplevel").stdout[:-1] if inside else b""
        return os.fsdecode(done.stdout[:-1]), printable(os.fsdecode(top))

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self._command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=self._environment,
            check=False,
        )

    def _git(self, *arguments: str) -> bytes:
        done = self._run(*arguments)
        if done.returncode:
            raise InputError(
                f"git {arguments[0]} failed in {self.label}: {_said(done)}; `git fsck` says if it is whole"
            )
        return done.stdout

    def _ask(self, verb: str, object_id: str) -> tuple[IO[bytes], int] | None:
        """Ask a running ``git cat-file``; return where the content comes, and its size."""
        reader = self._readers.get(verb)
        if reader is None:
            reader = self._readers[verb] = subprocess.Popen(
                [*self._command, "cat-file", verb],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment,
            )
        assert reader.stdin is not None and reader.stdout is not None
        try:
            reader.stdin.write(object_id.encode("ascii") + b"\n")
            reader.stdin.flush()
            fields = reader.stdout.readline().split()
        except BrokenPipeError:
            fields = []
        if not fields:  # it ended, over an object that is damaged or would have to be fetched
            self._end(verb)
            return None
        return (reader.stdout, int(fields[2])) if len(fields) == 3 else None

    def _end(self, verb: str) -> None:
        reader = self._readers.pop(verb)
        reader.kill()
        reader.communicate()


def _changes(listed: bytes) -> Iterator[Change]:
    """Read ``:MODE MODE ID ID STATUS NUL NAME NUL``, with a second name behind a rename."""
    fields = iter(listed.split(b"\0")[:-1])
    for field in fields:
        old_mode, new_mode, old_id, new_id, status = field.decode("ascii").removeprefix(":").split(" ")
        name = next(fields)
        new_name = next(fields) if status[0] in "RC" else name
        old = None if status[0] in "AC" else _tree_file(name, old_mode, old_id)
        new = None if status[0] == "D" else _tree_file(new_name, new_mode, new_id)
        yield Change(old, new)


def _tree_file(name: bytes, mode: str, object_id: str) -> TreeFile:
    return TreeFile(name.decode("utf-8", "backslashreplace"), name, mode, object_id)


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines or ["it said nothing"]
    return fatal[-1].removeprefix("fatal: ").removeprefix("error: ")[:300]
