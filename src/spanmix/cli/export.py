"""``spanmix export``: the model of any checkpoint of a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spanmix.cli.arguments import add_verb, utf8_name, whole_number
from spanmix.cli.terminal import warn
from spanmix.files import out_folder

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs

EXAMPLE = """
spanmix export runs/mine --out models/mine                 # the newest checkpoint; the run may go on
spanmix export runs/mine --step 2000 --out models/mine-2000
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "export", "write the model folder of a checkpoint of a run", EXAMPLE, run)
    parser.add_argument("training_run", type=utf8_name, metavar="RUN", help="folder of the run")
    parser.add_argument(
        "--step", type=whole_number(1), metavar="N", help="of the checkpoint; left out, the newest whole one"
    )
    parser.add_argument(
        "--out", type=out_folder, required=True, metavar="FOLDER", help="the model folder to write"
    )


def run(args: argparse.Namespace) -> None:
    """Write the model folder, and say of which step it is."""
    from spanmix.train.export import export_model

    step = export_model(Path(args.training_run), args.out, args.step, warn)
    print(f"the model of step {step:,} of {args.training_run} is {args.out}")
