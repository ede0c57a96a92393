"""Install a client from PyPI into an environment of its own, and run a script with it."""

from __future__ import annotations

import json
import subprocess
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path

from report import CheckFailedError, Report

_SECONDS = 1800


def install(folder: Path, *requirements: str, beside_ours: bool = False) -> Path:
    """Have packages of PyPI in an environment; those that are there are kept.

    Args:
        folder: of the environment; its scripts can import what stands in ``compat``.
        requirements: as pip reads them.
        beside_ours: let it see the packages of the environment that runs this, behind its own.

    Returns:
        Its Python.

    Raises:
        CheckFailedError: pip did not give one of them.
    """
    python, done = folder / "bin" / "python", folder / "installed.json"
    if done.is_file() and json.loads(done.read_text(encoding="utf-8")) == list(requirements):
        return python
    venv.create(folder, with_pip=True, clear=True)
    places = [str(Path(__file__).parent), *([sysconfig.get_path("purelib")] if beside_ours else [])]
    next(folder.glob("lib/python*/site-packages")).joinpath("compat.pth").write_text("\n".join(places) + "\n")
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    tried = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    if tried.returncode:
        wanted = f"pip install {' '.join(requirements)}"
        raise CheckFailedError(wanted, "it to be installed", tried.stderr.strip()[-400:])
    done.write_text(json.dumps(requirements), encoding="utf-8")
    return python


def run_script(
    python: Path, script: Path, *arguments: str | Path, environment: Mapping[str, str] | None = None
) -> Report:
    """Run a script that ends by printing what `tell` prints.

    Args:
        python: of the environment that has its client.
        script: the file.
        arguments: what it is given.
        environment: all of its variables, if not ours.

    Raises:
        CheckFailedError: it ended otherwise.
    """
    command = [str(python), str(script), *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, env=environment)
    if ran.returncode:
        raise CheckFailedError(script.parent.name, "every check to pass", ran.stderr.strip()[-500:])
    return Report(**json.loads(ran.stdout.splitlines()[-1]))


def tell(client: str, version: str, checks: list[str]) -> None:
    """Print a report as the last line of a script's output."""
    print(json.dumps({"client": client, "version": version, "checks": checks}))
