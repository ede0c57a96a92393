"""Let real clients ask a real server; see docs/compat.md.

    python compat/run.py [--only NAME ...] [--scratch DIR] [--write docs/compat.md]

Each folder of ``compat/checks`` has a ``check.py`` with ``check(url, scratch, model) -> Report``: it installs
its client into ``scratch``, where that stays for the next run, and raises `report.CheckFailedError` where the
client did not get what it is to get. Ends with 1 if any failed.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from page import Outcome, write_page
from report import CheckFailedError, Report
from serving import make_model, serving

from spanmix import __version__

CHECKS = Path(__file__).parent / "checks"
ROOT = Path(__file__).parents[1]
_REASON_CHARACTERS = 600


def names_of_checks() -> list[str]:
    """Return the names of all checks, in the order in which they run."""
    return sorted(path.parent.name for path in CHECKS.glob("*/check.py"))


def main(arguments: list[str] | None = None) -> int:
    """Run checks; return the exit code."""
    names = names_of_checks()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument(
        "--scratch", type=Path, default=ROOT / "build" / "compat", help="where clients are kept"
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="the page to bring up to date")
    given = parser.parse_args(arguments)
    scratch = given.scratch.resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    model = make_model(scratch / "tiny")
    outcomes = []
    for name in given.only:
        print(f"{name} ...", flush=True)
        outcome = run_check(name, scratch, model)
        outcomes.append(outcome)
        print(f"  {outcome.client}: {'passed' if outcome.passed else 'FAILED'}, {outcome.seconds:.0f} s")
        print("".join(f"  - {line}\n" for line in outcome.lines), end="", flush=True)
        if given.write:  # after each, so that a run that is ended has told what it came to
            write_page(given.write, [outcome], names)
    failed = [outcome.name for outcome in outcomes if not outcome.passed]
    told = f"; failed: {', '.join(failed)}" if failed else ""
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} passed{told}")
    return 1 if failed else 0


def run_check(name: str, scratch: Path, model: Path) -> Outcome:
    """Run one check against a server of its own.

    Args:
        name: of its folder.
        scratch: it gets the folder of its name in there.
        model: the model folder that is served.
    """
    own = scratch / name
    own.mkdir(exist_ok=True)
    started = time.monotonic()
    try:
        with serving(model, own / "server.log") as url:
            report = _load(name)(url, own, model)
        client, lines, passed = f"{report.client} {report.version}", report.checks, True
    except Exception as error:  # whatever keeps a client from working is told in its row
        kind = "" if isinstance(error, CheckFailedError) else f"{type(error).__name__}: "
        reason = " ".join(f"{kind}{error}".replace(str(scratch), "SCRATCH").split())
        client, lines, passed = name, [reason[:_REASON_CHARACTERS]], False
    ours = f"{__version__}, {platform.python_version()}"
    day = datetime.date.today().isoformat()
    return Outcome(name, client, lines, passed, time.monotonic() - started, day, ours)


def _load(name: str) -> Callable[[str, Path, Path], Report]:
    spec = importlib.util.spec_from_file_location(f"check_{name}", CHECKS / name / "check.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    check: Callable[[str, Path, Path], Report] = module.check
    return check


if __name__ == "__main__":
    sys.exit(main())
