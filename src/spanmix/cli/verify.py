"""``spanmix verify``: is this checkpoint, export or endpoint loaded right, and what mends it?"""

from __future__ import annotations

import argparse
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from spanmix.cli.arguments import add_json, add_verb, utf8_name, whole_number
from spanmix.cli.terminal import print_json, tell
from spanmix.control_pictures import printable
from spanmix.errors import InputError, SpanmixError

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs
    from spanmix.interchange.verify.result import Check, Verification

EXAMPLE = """
spanmix verify Salesforce/codegen2-1B_P              # a hub model, or any model folder
spanmix verify exports/fast                          # CTranslate2's folder
spanmix verify exports/mine.gguf --json              # a file for llama.cpp
spanmix verify http://localhost:8000/v1              # any server's completions
"""

_WIDTH = 100
_HOST_AND_PORT = re.compile(r"[\w.-]+:\d+(/|$)")


def add(verbs: Verbs) -> None:
    """Add the verb."""
    summary = "say whether a model or an endpoint is loaded right, and what mends it"
    parser = add_verb(verbs, "verify", summary, EXAMPLE, run)
    parser.add_argument(
        "target",
        type=utf8_name,
        metavar="MODEL_OR_URL",
        help="a model folder of this or another program, a run, a hub model as OWNER/NAME, a GGUF file, or "
        "the http address of a server",
    )
    parser.add_argument(
        "--seconds",
        type=whole_number(1),
        default=45,
        metavar="N",
        help="most seconds for the pass through the weights (%(default)s); a large model may need more",
    )
    group = parser.add_argument_group("endpoints")
    group.add_argument("--model", metavar="NAME", help="what the server calls the model (the first it lists)")
    group.add_argument(
        "--api-key-env", metavar="VAR", help="the variable of the environment that holds the API key"
    )
    group.add_argument(
        "--timeout",
        type=whole_number(1),
        default=30,
        metavar="S",
        help="seconds for one answer (%(default)s)",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Verify, and print what was found."""
    from spanmix.generate.completions_client import api_key_of
    from spanmix.generate.opening import is_url
    from spanmix.interchange.verify.verify import verify

    if not is_url(args.target):
        if args.model or args.api_key_env:
            raise InputError(
                f"--model and --api-key-env are for endpoints, and {args.target} is not an http address"
            )
        if _HOST_AND_PORT.match(args.target) and not Path(args.target).exists():
            raise InputError(
                f"there is no folder {args.target}; if it is a server, write http:// in front of it"
            )
    key = api_key_of(args.api_key_env) if args.api_key_env else None
    found = verify(args.target, args.seconds, args.model, key, args.timeout, tell)
    if args.json:
        print_json(found.to_json())
    else:
        _print(found)
    if found.wrong:
        names = ", ".join(check.name for check in found.wrong)
        raise SpanmixError(
            f"{args.target}: {len(found.wrong)} of {len(found.checks)} checks are wrong: {names}"
        )


def _print(found: Verification) -> None:
    print(f"{printable(found.target)}: {printable(found.kind)}\n")
    width = max(len(check.name) for check in found.checks)
    for check in found.checks:
        _print_check(check, width)


def _print_check(check: Check, width: int) -> None:
    head = f"{check.result:<11}  {check.name:<{width}}  "
    indent = " " * len(head)
    # What a folder or a server says may hold control characters.
    detail = printable(" ".join(check.detail.split()))
    print(textwrap.fill(detail, _WIDTH, initial_indent=head, subsequent_indent=indent))
    if check.remedy:
        # A command stays on one line, to be copied.
        print(f"{indent}mend: {printable(check.remedy)}")
