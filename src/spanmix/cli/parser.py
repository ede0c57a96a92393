"""Build the parser of the whole command line from the verbs' own files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from spanmix import __version__
from spanmix.cli import (
    complete,
    convert,
    data,
    demo,
    evaluate,
    export,
    grade,
    infill,
    lessons,
    plan,
    prepare,
    serve,
    trace,
    train,
    verify,
)
from spanmix.cli.arguments import OneParagraphParser
from spanmix.errors import InputError, nearest

VERBS = (
    *(prepare, trace, data, plan, train, export, convert, verify),
    *(evaluate, grade, complete, infill, serve, lessons, demo),
)

DESCRIPTION = """\
Train, evaluate and serve code language models that complete and infill.

All of it, small, on this machine's own sources:
  spanmix demo --out runs/demo

On your own code:
  spanmix prepare ../my-code --out corpora/mine
  spanmix train recipe.yaml --out runs/mine
  spanmix evaluate runs/mine --corpus corpora/mine
  spanmix infill runs/mine file.py --at 12:5
  spanmix serve runs/mine"""

EPILOG = """\
`spanmix VERB --help` shows a verb's arguments and an example.
Exit codes: 0 done, 1 failed, 2 the input cannot be used and nothing was written, 3 stopped early by
SIGTERM or SIGUSR1 and saved: the same command goes on, 130 interrupted by Ctrl-C, `prepare` by SIGTERM
too: the same command goes on with what was kept. `serve` ends in order at the first Ctrl-C, with 0."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the parsed arguments; their ``run`` does what the verb says.

    Raises:
        InputError: a verb or a flag is unknown or missing, or a value is of the wrong kind.
    """
    parser = OneParagraphParser(
        prog="spanmix",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"spanmix {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for module in VERBS:
        module.add(verbs)
    if arguments and not arguments[0].startswith("-") and arguments[0] not in verbs.choices:
        raise InputError(f"there is no verb {arguments[0]!r}{nearest(arguments[0], verbs.choices)}")
    args, rest = parser.parse_known_args(arguments)
    # argparse ends a list of positional arguments at the first flag; `--out RUN field=value` continues it.
    listed = next((name for name in ("overrides", "inputs") if hasattr(args, name)), None)
    strange = [word for word in rest if word.startswith("-") or listed is None]
    if strange:
        raise InputError(f"unrecognized arguments: {' '.join(strange)}; see `{args.prog} --help`")
    if listed is not None:
        getattr(args, listed).extend(rest)
    return args
