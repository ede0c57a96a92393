"""Declare arguments in one style, with one meaning for those that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from spanmix.errors import InputError

if TYPE_CHECKING:
    from spanmix.generate.text import Sampling

    Verbs = argparse._SubParsersAction["OneParagraphParser"]


class OneParagraphParser(argparse.ArgumentParser):
    """Reports a wrong flag like every other error: one paragraph, without the usage in front of it."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        raise InputError(f"{message}; see `{self.prog} --help`")


def add_verb(
    verbs: Verbs, name: str, summary: str, example: str, run: Callable[[argparse.Namespace], None]
) -> argparse.ArgumentParser:
    """Add a verb and return its parser.

    Args:
        verbs: the verbs so far.
        name: the verb.
        summary: one sentence on what it does.
        example: shell lines that work as they stand, but for the names of files.
        run: does it.
    """
    lines = "\n".join(f"  {line}" for line in example.strip().splitlines())
    parser = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run)
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add MODEL."""
    parser.add_argument("model", metavar="MODEL", help="a model folder, a run, or a hub model as OWNER/NAME")


def add_sampling(parser: argparse.ArgumentParser, max_tokens: int) -> None:
    """Add what decides how tokens are chosen."""
    group = parser.add_argument_group("how tokens are chosen")
    group.add_argument(
        "--max-tokens", type=int, default=max_tokens, metavar="N", help="most tokens (%(default)s)"
    )
    group.add_argument(
        "--temperature", type=float, default=0.0, metavar="T", help="0, the default, is greedy"
    )
    group.add_argument("--top-p", type=float, default=1.0, metavar="P", help="keep the likeliest share P")
    group.add_argument("--top-k", type=int, default=0, metavar="K", help="keep the K likeliest; 0 keeps all")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed gives the same text")
    group.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="end before it; may be repeated"
    )


def sampling(args: argparse.Namespace) -> Sampling:
    """Return what `add_sampling` parsed."""
    from spanmix.generate.text import Sampling

    return Sampling(args.max_tokens, args.temperature, args.top_p, args.top_k, args.seed, tuple(args.stop))
