"""Declare arguments in one style, with one meaning for those that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NoReturn

from spanmix.errors import InputError, nearest

if TYPE_CHECKING:
    from spanmix.generate.text import Sampling

    Verbs = argparse._SubParsersAction["OneParagraphParser"]


class OneParagraphParser(argparse.ArgumentParser):
    """Reports a wrong flag like every other error: one paragraph, without the usage in front of it."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        raise InputError(f"{message}; see `{self.prog} --help`")


def add_verb(
    verbs: Verbs, name: str, summary: str, example: str, run: Callable[[argparse.Namespace], None] | None
) -> OneParagraphParser:
    """Add a verb and return its parser.

    Args:
        verbs: the verbs so far.
        name: the verb.
        summary: one sentence on what it does.
        example: shell lines that work as they stand, but for the names of files.
        run: does it; None where the verb's own verbs do.
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
    parser.set_defaults(prog=parser.prog)
    if run is not None:
        parser.set_defaults(run=run)
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def listed(flag: str, value: str, known: Collection[str]) -> list[str]:
    """Read a list of names, each once, in the order given; raises `InputError` if one is not known.

    >>> listed("--tasks", "b,a,b", ["a", "b", "c"])
    ['b', 'a']
    """
    names = list(dict.fromkeys(value.split(",")))
    for name in names:
        if name not in known:
            raise InputError(f"{flag}: there is no {name!r}{nearest(name, known)}")
    return names


def add_model(parser: argparse.ArgumentParser, served: bool = False) -> None:
    """Add MODEL, which may be the address of a server if `served`."""
    about = "a model folder, a run, a hub model as OWNER/NAME"
    about += ", or the http address of a server" if served else ""
    parser.add_argument("model", type=utf8_name, metavar="MODEL", help=about)


ENGINES = ("auto", "torch", "ctranslate2", "transformers")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add ``--engine``."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="what runs the model; auto takes ctranslate2 for a folder made with `convert --to ctranslate2`, "
        "transformers for a model of another family (StarCoder2, Qwen2.5-Coder), torch for any other",
    )


def add_lead_tokens(parser: argparse.ArgumentParser) -> None:
    """Add ``--lead-tokens``."""
    parser.add_argument(
        "--lead-tokens",
        type=whole_number(0),
        metavar="N",
        help="tokens in front of the cursor that are hidden with the gap and begin its answer (what the "
        "model's folder says); 0 asks exactly as CodeGen2 does",
    )


def whole_number(least: int) -> Callable[[str], int]:
    """Return what reads a whole number from `least` to 999,999,999; argparse names the flag if it is none."""

    def read(value: str) -> int:
        if not value.isascii() or not value.isdigit() or len(value) > 9 or int(value) < least:
            raise argparse.ArgumentTypeError(f"{value!r} is not a whole number from {least} to 999,999,999")
        return int(value)

    return read


def text(value: str) -> str:
    """Read text; what another locale made of its bytes becomes UTF-8 again.

    >>> text("caf\\udcc3\\udca9")
    'café'
    """
    try:
        return value.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"{value!r} is not UTF-8 text") from None


def utf8_name(value: str) -> str:
    """Read the name of a folder that libraries open which know only UTF-8."""
    try:
        value.encode("utf-8")
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"{value!r} is not UTF-8; give the folder another name") from None
    return value


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
        "--stop",
        type=text,
        action="append",
        default=[],
        metavar="TEXT",
        help="end before it; may be repeated",
    )


def sampling(args: argparse.Namespace) -> Sampling:
    """Return what `add_sampling` parsed.

    Raises:
        InputError: a number is out of its range.
    """
    from spanmix.generate.text import Sampling

    return Sampling(args.max_tokens, args.temperature, args.top_p, args.top_k, args.seed, tuple(args.stop))
