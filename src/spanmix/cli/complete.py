"""``spanmix complete``: continue a text."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from spanmix.cli.arguments import add_engine, add_json, add_model, add_sampling, add_verb, sampling, text
from spanmix.cli.files import read_file
from spanmix.cli.models import tell_news
from spanmix.cli.terminal import print_json
from spanmix.errors import InputError

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs

EXAMPLE = """
spanmix complete runs/demo --prompt 'def fibonacci(n):'
spanmix complete runs/demo half_a_file.py --max-tokens 200 --temperature 0.6 --top-p 0.95 --seed 1
git diff | spanmix complete runs/demo - --stop ')'
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "complete", "continue a text from left to right, streamed", EXAMPLE, run)
    add_model(parser)
    add_engine(parser)
    parser.add_argument("file", nargs="?", metavar="FILE", help="the text to continue; - for stdin")
    parser.add_argument("--prompt", type=text, metavar="TEXT", help="the text to continue, instead of FILE")
    add_sampling(parser, max_tokens=256)
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Print what follows the prompt as it is made; the prompt itself is not printed."""
    if (args.file is None) == (args.prompt is None):
        raise InputError("give either FILE (- for stdin) or --prompt TEXT")
    prompt = args.prompt if args.file is None else read_file(args.file).text
    import dataclasses

    from spanmix.generate.opening import open_model
    from spanmix.generate.text import complete

    asked = sampling(args)
    model = open_model(args.model, args.engine)
    tell_news(model)
    stream = complete(model.engine, model.tokenizer, prompt, asked, model.asked.start_ids)
    if args.json:
        print_json(dataclasses.asdict(stream.run()))
        return
    for piece in stream:
        print(piece, end="", flush=True)
    print()
    if stream.result.num_cut_tokens:
        print(f"the first {stream.result.num_cut_tokens:,} tokens of the prompt did not fit", file=sys.stderr)
