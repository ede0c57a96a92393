"""``spanmix demo``: the whole road, small, on this machine's own sources."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spanmix.cli.arguments import add_json, add_verb
from spanmix.cli.files import require_writable
from spanmix.cli.signals import stop_signals
from spanmix.cli.tables import print_infill, print_sources
from spanmix.cli.terminal import Progress, print_json
from spanmix.files import out_folder

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs

EXAMPLE = """
spanmix demo --out runs/demo
spanmix demo --out runs/demo --minutes 60       # goes on from there
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    summary = "prepare, train, evaluate and infill, small, on this machine's own sources"
    parser = add_verb(verbs, "demo", summary, EXAMPLE, run)
    parser.add_argument(
        "--out", type=out_folder, default=Path("runs/demo"), metavar="DIR", help="folder (%(default)s)"
    )
    parser.add_argument(
        "--minutes", type=float, default=7.0, metavar="M", help="minutes of training in all (%(default)s)"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Run the demo and print its table."""
    for name in ("results.json", "report.html"):
        require_writable(args.out / name)
    from spanmix.cli.train import TrainingReport
    from spanmix.demo.run import run_demo
    from spanmix.text.pipeline import UNITS

    with Progress(units=UNITS) as progress:
        results = run_demo(args.out, args.minutes, progress, TrainingReport(progress), stop_signals())
    if args.json:
        print_json(results)
        return
    print_sources(results)
    print_infill(results)
    print(f"results: {args.out}/results.json   report: {args.out}/report.html   model: {args.out}/run/model")
