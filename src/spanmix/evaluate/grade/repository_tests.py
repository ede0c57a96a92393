"""Run the tests of a repository in a sandbox, on a copy of its files.

The tests and what they test share a process, so this protects less than `pairs`: tests pass only if they
come to their end, say so with a text that is made for this run alone and lies in no file, and the exit
code is 0. How many passed is said too, so that whoever asks can see whether as many did as before.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanmix.errors import InputError
from spanmix.evaluate.grade import counted_tests
from spanmix.evaluate.grade.feeding import Ended, run_fed
from spanmix.evaluate.grade.isolation import Isolation, Unsafe
from spanmix.evaluate.grade.languages import PATH
from spanmix.evaluate.grade.limits import Limits
from spanmix.evaluate.grade.setup import Resources, Setup, Workplace
from spanmix.evaluate.grade.verdict import PASSED

TEST_LIMITS = Limits(
    seconds=120.0, memory_bytes=4 << 30, file_bytes=1 << 30, num_processes=256, num_files=1024
)
_COPY = "/tmp/repository"
_RUNNERS = ("pytest", "unittest")
_MORE_FILES = 20_000
"""Files and folders that tests may add."""
_PAGE_BYTES = 4096
_SHOWN_CHARACTERS = 400
_ASK_SECONDS = 60
_PARTS = ("bin", "lib", "lib32", "lib64", "include", "share", "pyvenv.cfg")
_ASK = """
import json, os, site, sys
user = site.getusersitepackages() if site.ENABLE_USER_SITE else None
prefixes = [sys.prefix, sys.base_prefix]
print(json.dumps({"program": sys.executable, "prefixes": prefixes, "path": sys.path, "user": user,
                  "user_base": site.getuserbase()}))
"""


@dataclass(frozen=True)
class Outcome:
    """What came of a run of tests.

    Args:
        result: ``passed``, ``timed out``, or ``failed: `` and why.
        num_passed: tests that passed; 0 if they did not come to their end.
        seconds: wall time.
    """

    result: str
    num_passed: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all tests that were run passed, and there was one."""
        return self.result == PASSED


@dataclass(frozen=True)
class Interpreter:
    """The interpreter that has what tests need.

    Args:
        program: its path.
        shown: files and folders that it needs, such as its packages.
        variables: with which it finds them.
    """

    program: str
    shown: tuple[str, ...]
    variables: dict[str, str]

    @staticmethod
    def ask(program: str, leave_out: Path) -> Interpreter:
        """Ask an interpreter what it needs.

        Args:
            program: its path or name.
            leave_out: a folder from which no package is shown, such as the checkout that the package under
                test may be installed from; tests get a copy of it.

        Raises:
            InputError: it does not run.
        """
        try:
            done = subprocess.run(
                [program, "-E", "-c", _ASK],
                cwd="/",
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=_ASK_SECONDS,
                check=True,
            )
            told = json.loads(done.stdout)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise InputError(f"{program} is no Python that runs ({error}); name another") from None
        variables = {} if told["user"] is None else {"PYTHONUSERBASE": told["user_base"]}
        return Interpreter(told["program"], tuple(_needed(told, leave_out.resolve())), variables)


def _needed(told: dict[str, Any], leave_out: Path) -> list[str]:
    program = Path(told["program"])
    prefixes = {folder for prefix in told["prefixes"] for folder in (Path(prefix), Path(prefix).resolve())}
    found = [program, program.resolve(), *(prefix / part for prefix in prefixes for part in _PARTS)]
    installed = [Path(path) for path in told["path"] if path]
    found += [
        path
        for path in installed
        if path.is_absolute()
        and (not path.resolve().is_relative_to(leave_out) or any(map(path.is_relative_to, prefixes)))
    ]
    return sorted({str(path) for path in found if path.exists()})


class RepositoryTests:
    """Runs the tests of checkouts; call it with one.

    Args:
        python: what runs them.
        command: a command line of pytest or unittest, such as ``python -m pytest -q -x``, with
            variables of the environment in front of it as in a shell. ``python`` is the one given.
        isolation: how they are kept apart; see `spanmix.evaluate.grade.choose.best_isolation`.
        limits: what they may use; `file_bytes` holds the copy of the checkout too.

    Raises:
        InputError: the command is another's.
    """

    def __init__(self, python: Interpreter, command: str, isolation: Isolation, limits: Limits) -> None:
        self._variables, runner, arguments = read_command(command)
        self._python = python
        text = Path(counted_tests.__file__).read_text(encoding="utf-8")
        self._command = (python.program, "-c", text, runner, *arguments)
        self._isolation = isolation
        self._limits = limits
        # Tests may compute on all processors at once.
        seconds = math.ceil(limits.seconds) * (os.cpu_count() or 1) + 1
        self._cpu_seconds = seconds if limits.cpu_seconds is None else limits.cpu_seconds

    def __call__(self, checkout: Path) -> Outcome:
        """Run the tests of a checkout, which stays as it is.

        Raises:
            InputError: it is larger than a sandbox may be.
            SandboxError: a sandbox did not start.
        """
        num_files = self._require_room(checkout)
        nonce = secrets.token_hex(16)
        with ExitStack() as stack:
            folder = _COPY
            if isinstance(self._isolation, Unsafe):
                parent = stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="spanmix-tests-", ignore_cleanup_errors=True)
                )
                folder = f"{parent}/repository"
            setup = self._setup(checkout, folder, num_files)
            ended = run_fed(setup, nonce.encode(), self._isolation, self._limits, threading.Event())
        result, num_passed = _read(ended, nonce)
        return Outcome(result, num_passed, ended.seconds)

    def _setup(self, checkout: Path, folder: str, num_files: int) -> Setup:
        import_from = [f"{folder}/src"] if (checkout / "src").is_dir() else []
        variables = {
            "PATH": f"{Path(self._python.program).parent}:{PATH}",
            # In front of what is installed, which may be the same package as it was.
            "PYTHONPATH": ":".join([*import_from, folder]),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self._python.variables,
            **self._variables,
        }
        place = Workplace(str(checkout), folder, self._python.shown, variables, num_files + _MORE_FILES)
        resources = Resources.of_program(self._limits)
        resources = Resources(**{**vars(resources), "cpu_seconds": self._cpu_seconds})
        return Setup("interpreter", resources, self._limits.file_bytes, self._command, place)

    def _require_room(self, checkout: Path) -> int:
        """Return how many files and folders a checkout has; raises `InputError` if it is too large."""
        num_files = num_bytes = 0
        for folder, folders, files in os.walk(checkout):
            num_files += len(folders) + len(files)
            sizes = (Path(folder, name).lstat().st_size for name in files)
            num_bytes += sum(-(-size // _PAGE_BYTES) * _PAGE_BYTES for size in sizes)
        if num_bytes >= self._limits.file_bytes:
            raise InputError(
                f"the repository has {num_bytes:,} bytes of files, and a sandbox holds "
                f"{self._limits.file_bytes:,} with all that tests write; allow more"
            )
        return num_files


def read_command(command: str) -> tuple[dict[str, str], str, Sequence[str]]:
    """Return the variables, the runner and the arguments of a command line that runs tests.

    Raises:
        InputError: it is neither pytest's nor unittest's.

    >>> read_command("TZ=UTC python -m pytest -q 'tests/a b'")
    ({'TZ': 'UTC'}, 'pytest', ['-q', 'tests/a b'])
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"the test command {command!r} is no command line: {error}") from None
    variables = {}
    while words and words[0].partition("=")[0].isidentifier() and "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    if words[:2] in (["python", "-m"], ["python3", "-m"]):
        words = words[2:]
    elif words[:1] == ["unittest"]:
        words = []
    if not words or words[0] not in _RUNNERS:
        raise InputError(
            f"the test command is {command!r}; use `python -m pytest ...` or `python -m unittest ...`, which "
            "can say how many tests passed: an exit code alone would not do"
        )
    return variables, words[0], words[1:]


def _read(ended: Ended, nonce: str) -> tuple[str, int]:
    if ended.over is not None:
        return ended.over, 0
    text = ended.printed.decode(errors="replace")
    said, found, number = text.rpartition(f"\n{nonce} ")
    if ended.code or not found:
        why = f"exit code {ended.code}" if ended.code else "they ended before their end"
        shown = " ".join((said if found else text).split())[-_SHOWN_CHARACTERS:]
        return f"failed: {why}, having printed ... {shown}", 0
    num_passed = int(number.split()[0])
    return (PASSED, num_passed) if num_passed else ("failed: no test was run", 0)
