"""``spanmix demo``: the whole road, small, on this machine's own sources."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.cli.arguments import add_json, add_verb
from spanmix.cli.terminal import Progress, print_json, print_table

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
        "--out", type=Path, default=Path("runs/demo"), metavar="DIR", help="folder (%(default)s)"
    )
    parser.add_argument(
        "--minutes", type=float, default=7.0, metavar="M", help="minutes of training in all (%(default)s)"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Run the demo and print its table."""
    from spanmix.cli.train import TrainingReport
    from spanmix.demo.run import run_demo

    with Progress() as progress:
        results = run_demo(args.out, args.minutes, progress, TrainingReport(progress))
    if args.json:
        print_json(results)
        return
    print_sources(results)
    print_infill(results)
    print(f"results: {args.out}/results.json   report: {args.out}/report.html   model: {args.out}/run/model")


def print_sources(results: dict[str, Any]) -> None:
    """Print bits per byte of the held-out files, with xz on the same files beside it."""
    rows = []
    for name, source in results["sources"].items():
        after = source.get("xz_after_training")
        rows.append(
            [
                name,
                f"{source['loss']['num_bytes']:,}",
                _shown(source["loss"]["bits_per_byte"]),
                _shown(source["xz"]["bits_per_byte"]),
                _shown(source["ratio_to_xz"]),
                f"{after['bits_per_byte']:.3f}" if after else "-",
            ]
        )
    header = [
        "held out",
        "bytes",
        "bits per byte",
        "xz -9e, file by file",
        "ratio",
        "xz(train + held) - xz(train)",
    ]
    print_table(header, rows)
    print()


def print_infill(results: dict[str, Any]) -> None:
    """Print what the suffix is worth, and how often the infill is right."""
    rows = []
    for figures in results["infill"]:
        for condition, bits in figures["bits_per_byte"].items():
            match = figures["matches"].get(condition)
            rows.append(
                [
                    f"{figures['kind']}, {condition}".replace("_", " "),
                    f"{figures['num_spans']:,}",
                    _shown(bits),
                    _shown(match["exact_stripped"]) if match else "-",
                    _shown(match["edit_similarity_stripped"]) if match else "-",
                ]
            )
    print_table(["infill of held-out code", "spans", "bits per byte", "exact match", "edit similarity"], rows)
    for figures in results["infill"]:
        gain = _shown(figures["suffix_gain"]["better"])
        kind = figures["kind"].replace("_", " ")
        print(f"{kind}: the suffix changes bits per byte by {gain} against the better of the other two")
    print()


def _shown(interval: dict[str, float]) -> str:
    return f"{interval['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"
