"""``spanmix infill``: fill in at the cursors of a file."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from spanmix.cli.arguments import (
    add_engine,
    add_json,
    add_lead_tokens,
    add_model,
    add_sampling,
    add_verb,
    sampling,
    text,
)
from spanmix.cli.files import ends_in_crlf, read_file, replace_text, require_writable
from spanmix.cli.models import tell_news
from spanmix.cli.terminal import print_json
from spanmix.errors import InputError
from spanmix.generate.cursors import split_at, stitch

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
    add_engine(parser)
    parser.add_argument("file", nargs="?", metavar="FILE", help="the file; - for stdin")
    parser.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="LINE:COL",
        help="a cursor, counted from 1; may be repeated",
    )
    about = "what stands before the gap, instead of FILE"
    parser.add_argument("--prefix", type=text, metavar="TEXT", help=about)
    parser.add_argument("--suffix", type=text, metavar="TEXT", help="what stands behind it")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--only-middle", action="store_true", help="print what was filled in alone")
    shown.add_argument("--in-place", action="store_true", help="write the file, whole or not at all")
    add_lead_tokens(parser)
    add_sampling(parser, max_tokens=128)
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Ask for the gaps of the text, one after the other, and print it filled in."""
    _check(args)
    file = None if args.file is None else read_file(args.file)
    parts = [args.prefix or "", args.suffix or ""] if file is None else split_at(file.text, args.at)
    if file is not None and args.in_place:
        require_writable(file.path)
    asked = sampling(args)
    import dataclasses

    from spanmix.generate.infill import infill_many
    from spanmix.generate.opening import open_model

    model = open_model(args.model, args.engine, args.lead_tokens)
    tell_news(model)
    # Models know lines that end in a line feed; a file that has other ends keeps them.
    crlf = file is not None and ends_in_crlf(file.text)
    shown = [part.replace("\r\n", "\n") for part in parts] if crlf else parts
    format = model.infill_format
    answers = infill_many(model.engine, model.tokenizer, format, shown, asked, model.healer())
    middles = [answer.text.replace("\n", "\r\n") if crlf else answer.text for answer in answers]
    filled = stitch(parts, middles)
    if file is not None and args.in_place:
        replace_text(file, filled)
    if args.json:
        print_json({"text": filled, "infills": [dataclasses.asdict(answer) for answer in answers]})
    elif args.only_middle:
        print("\n".join(middles))
    elif not args.in_place:
        print(filled, end="")
    if cut := answers[0].num_prefix_cut + answers[0].num_suffix_cut:
        print(f"{cut:,} tokens at the far ends of the text did not fit", file=sys.stderr)


def _check(args: argparse.Namespace) -> None:
    """Raise `InputError` unless the text is given in one of the two ways, and one result is asked for."""
    if args.json and args.only_middle:
        raise InputError("--json has every middle by itself; leave out --only-middle")
    if args.prefix is not None or args.suffix is not None:
        if args.file is not None or args.at or args.in_place:
            raise InputError("--prefix and --suffix are the whole text; leave out FILE, --at and --in-place")
    elif args.file is None or not args.at:
        raise InputError("give FILE with --at LINE:COL, or --prefix TEXT with --suffix TEXT")
    elif args.file == "-" and args.in_place:
        raise InputError("--in-place needs a FILE to write; stdin has none")
