"""Install a client from npm, and run a script of Node's with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from report import CheckFailedError

_TELL = Path(__file__).with_name("tell.mjs")
_NODE = "node@24"
"""Many systems have an older one than the newest clients want, and npm then gives older clients."""
_SECONDS = 1800


def install(scratch: Path, *packages: str) -> dict[str, str]:
    """Have packages of npm in a folder, and Node in the folder ``node`` beside it; what is there is kept.

    Args:
        scratch: where ``node_modules`` stands.
        packages: their names.

    Returns:
        The version of each, and of ``node``.

    Raises:
        CheckFailedError: there is no npm, or it did not give one of them.
    """
    node = _have(_node_folder(scratch), (_NODE,))
    return _have(scratch, packages) | node


def run_script(scratch: Path, files: list[Path], *arguments: str, **environment: str) -> list[dict[str, str]]:
    """Run a script that tells what it checked with ``tell.mjs``.

    Args:
        scratch: where its packages are; the files are copied there, as Node looks for packages beside them.
        files: the script, last, behind those that it imports.
        arguments: what it is given.
        environment: further variables.

    Returns:
        Its lines: ``{"checked": ...}``, or whatever else it told.

    Raises:
        CheckFailedError: one of its checks failed, or it ended otherwise.
    """
    for file in (_TELL, *files):
        shutil.copy(file, scratch)
    done = _run(scratch, ["node", files[-1].name, *arguments], environment)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for line in told:
        if "failed" in line:
            raise CheckFailedError(line["failed"], "it to hold", line["because"])
    if done.returncode:
        raise CheckFailedError(files[-1].name, "exit code 0", f"{done.returncode}: {done.stderr[-500:]}")
    return told


def _have(folder: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """Install what is missing of some packages, as npm is asked for them; return their versions."""
    names = [package[:1] + package[1:].partition("@")[0] for package in packages]
    files = {name: folder / "node_modules" / name / "package.json" for name in names}
    missing = [package for package, file in zip(packages, files.values(), strict=True) if not file.is_file()]
    if missing:
        if shutil.which("npm") is None:
            raise CheckFailedError("npm", "Node with npm to be installed", "no npm on the path")
        folder.mkdir(exist_ok=True)
        (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
        command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", *missing]
        done = _run(folder, command, {})
        if done.returncode:
            raise CheckFailedError(f"npm install {' '.join(missing)}", "exit code 0", done.stderr[-400:])
    return {name: json.loads(file.read_text(encoding="utf-8"))["version"] for name, file in files.items()}


def _run(folder: Path, command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    path = f"{_node_folder(folder) / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path} | environment
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_SECONDS
    )


def _node_folder(scratch: Path) -> Path:
    return scratch.with_name("node")
