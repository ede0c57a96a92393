"""Open the MODEL of a command line, which may be a server's."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from spanmix.cli.arguments import utf8_name, whole_number
from spanmix.cli.terminal import tell
from spanmix.errors import InputError

if TYPE_CHECKING:
    from spanmix.generate.opening import OpenModel

_EOT = "<|endoftext|>"
_TIMEOUT_SECONDS = 300


def add_served(parser: argparse.ArgumentParser) -> None:
    """Add what has to be known of a server whose address is the MODEL."""
    group = parser.add_argument_group("where MODEL is the address of a server")
    group.add_argument(
        "--tokenizer",
        type=utf8_name,
        metavar="FOLDER",
        help="a model folder, run or hub model that has the served model's tokenizer",
    )
    group.add_argument(
        "--served-name", metavar="NAME", help="what the server calls the model (the first it lists)"
    )
    group.add_argument(
        "--api-key-env", metavar="VAR", help="the variable of the environment that holds the API key"
    )
    group.add_argument(
        "--timeout",
        type=whole_number(1),
        default=_TIMEOUT_SECONDS,
        metavar="S",
        help="seconds for one answer (%(default)s)",
    )
    group.add_argument(
        "--context-tokens",
        type=whole_number(2),
        metavar="N",
        help="longest prompt plus answer (what the server says)",
    )
    group.add_argument(
        "--server-ends",
        default=_EOT,
        metavar="A,B",
        help="controls at which the server ends answers by itself, if it cannot be told (%(default)s)",
    )
    group.add_argument(
        "--allow-unseeded",
        action="store_true",
        help="sample from a server that has no seeds; no sample can be made again",
    )


def tell_news(model: OpenModel) -> None:
    """Print what is unusual in the way a model was opened."""
    if model.news is not None:
        tell(model.news)


def open_named(args: argparse.Namespace) -> OpenModel:
    """Open what ``args.model`` names; the arguments are those of `add_model`, `add_engine`,
    `add_lead_tokens` and `add_served`.

    Raises:
        InputError: there is no such model, it cannot be opened, or a flag does not belong to it.
    """
    from spanmix.generate.opening import Served, is_url, open_model, open_served

    if not is_url(args.model):
        given = {
            "--tokenizer": args.tokenizer,
            "--served-name": args.served_name,
            "--api-key-env": args.api_key_env,
            "--context-tokens": args.context_tokens,
            "--timeout": None if args.timeout == _TIMEOUT_SECONDS else args.timeout,
            "--server-ends": None if args.server_ends == _EOT else args.server_ends,
            "--allow-unseeded": args.allow_unseeded or None,
        }
        for flag in (flag for flag, value in given.items() if value is not None):
            raise InputError(f"{flag} is for servers, and {args.model} is not an http address; leave it out")
        model = open_model(args.model, args.engine, args.lead_tokens)
        tell_news(model)
        return model
    if args.engine != "auto":
        raise InputError(f"--engine {args.engine} is for folders, and {args.model} is a server")
    if args.tokenizer is None:
        raise InputError(
            f"{args.model} is a server; name a folder that has its model's tokenizer with --tokenizer FOLDER"
        )
    served = Served(
        args.tokenizer,
        args.served_name,
        args.api_key_env,
        args.timeout,
        args.context_tokens,
        tuple(args.server_ends.split(",")),
        args.allow_unseeded,
    )
    return open_served(args.model, served, args.lead_tokens)
