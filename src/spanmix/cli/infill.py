"""``spanmix infill``: fill in at the cursors of a file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from spanmix.cli.arguments import add_json, add_model, add_sampling, add_verb, sampling
from spanmix.cli.files import read_text, write_in_place
from spanmix.cli.terminal import print_json
from spanmix.errors import InputError

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs

EXAMPLE = """
spanmix infill runs/demo file.py --at 12:5                  # prints the file, filled in
spanmix infill runs/demo file.py --at 3:1 --at 12:5 --in-place
spanmix infill runs/demo --prefix 'def add(a, b):' --suffix 'print(add(1, 2))' --only-middle
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "infill", "fill in at the cursors of a file, from both sides", EXAMPLE, run)
    add_model(parser)
    parser.add_argument("file", nargs="?", metavar="FILE", help="the file; - for stdin")
    parser.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="LINE:COL",
        help="a cursor, counted from 1; may be repeated",
    )
    parser.add_argument("--prefix", metavar="TEXT", help="what stands before the gap, instead of FILE")
    parser.add_argument("--suffix", metavar="TEXT", help="what stands behind it")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--only-middle", action="store_true", help="print what was filled in alone")
    shown.add_argument("--in-place", action="store_true", help="write the file, whole or not at all")
    add_sampling(parser, max_tokens=128)
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Ask for the gaps of the text, one after the other, and print it filled in."""
    parts = _parts(args)
    import dataclasses

    from spanmix.cli.models import open_model
    from spanmix.generate.cursors import stitch
    from spanmix.generate.infill import infill_many

    model = open_model(args.model)
    answers = infill_many(model.engine, model.tokenizer, model.infill_format, parts, sampling(args))
    middles = [answer.text for answer in answers]
    text = stitch(parts, middles)
    if args.in_place:
        write_in_place(Path(args.file), text)
    if args.json:
        print_json({"text": text, "infills": [dataclasses.asdict(answer) for answer in answers]})
    elif args.only_middle:
        print("\n".join(middles))
    elif not args.in_place:
        print(text, end="")
    if cut := answers[0].num_prefix_cut + answers[0].num_suffix_cut:
        print(f"{cut:,} tokens at the far ends of the text did not fit", file=sys.stderr)


def _parts(args: argparse.Namespace) -> list[str]:
    """Return the text around the gaps: one part more than there are gaps."""
    if args.prefix is not None or args.suffix is not None:
        if args.file is not None or args.at or args.in_place:
            raise InputError("--prefix and --suffix are the whole text; leave out FILE, --at and --in-place")
        return [args.prefix or "", args.suffix or ""]
    if args.file is None or not args.at:
        raise InputError("give FILE with --at LINE:COL, or --prefix TEXT with --suffix TEXT")
    if args.file == "-" and args.in_place:
        raise InputError("--in-place needs a FILE to write; stdin has none")
    from spanmix.generate.cursors import split_at

    return split_at(read_text(args.file), args.at)
