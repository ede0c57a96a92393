"""``spanmix convert``: a checkpoint in any published layout -> another layout, with proof."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spanmix.cli.arguments import add_json, add_verb, utf8_name, whole_number
from spanmix.cli.terminal import Progress, print_json, print_table, tell, warn
from spanmix.errors import InputError
from spanmix.interchange.layouts import LAYOUTS, QUANTIZED

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs
    from spanmix.interchange.convert import Report
    from spanmix.interchange.parity import Agreement

EXAMPLE = """
spanmix convert Salesforce/codegen2-1B_P models/codegen2-1b --to native       # a hub model
spanmix convert runs/mine exports/mine --to codegen --dtype bf16              # a model of yours
spanmix convert runs/mine exports/fast --to ctranslate2 --quantization int8   # for a CPU
spanmix convert runs/mine exports/mine.gguf --to gguf --quantization q8_0     # for llama.cpp
spanmix convert old-checkpoint models/old --to native --mp-num 8 --json       # its config says too little
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    summary = "write a checkpoint in another layout, and check that it computes the same"
    parser = add_verb(verbs, "convert", summary, EXAMPLE, run)
    parser.add_argument(
        "source",
        type=utf8_name,
        metavar="SOURCE",
        help="a model folder of this or another program, a run, or a hub model as OWNER/NAME",
    )
    parser.add_argument("dest", type=utf8_name, metavar="DEST", help="the folder to write; for gguf the file")
    parser.add_argument(
        "--to",
        choices=LAYOUTS,
        required=True,
        help="native: GPT-J or Llama, which transformers, vLLM and Spanmix open; codegen: transformers' own "
        "CodeGen, qkv_proj in 4 groups; codegen2: the published codegen2-1B's and 3.7B's, in 8 groups; "
        "ctranslate2: for fast generation on a CPU; gguf: one file, for llama.cpp",
    )
    parser.add_argument(
        "--mp-num",
        type=whole_number(1),
        metavar="N",
        help="groups of the source's qkv_proj rows, where its config says nothing or something wrong",
    )
    parser.add_argument(
        "--dtype",
        choices=LAYOUTS["native"],
        help="what the weights are stored in; left out, what they are in SOURCE",
    )
    parser.add_argument(
        "--quantization",
        choices=[name for layout in QUANTIZED for name in LAYOUTS[layout]],
        help="what --to ctranslate2 (left out: int8) and --to gguf (q8_0) store the weights in",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Convert, and print what was put right and how well the two models agree."""
    stored_as = _stored_as(args)
    if not args.source or not args.dest:
        raise InputError("SOURCE or DEST is empty; name a model and a place, or `.` for the current folder")
    from spanmix.interchange.convert import convert

    with Progress() as progress:
        report = convert(args.source, Path(args.dest), args.to, stored_as, args.mp_num, progress=progress)
    for sentence in report.corrections:
        tell(sentence)
    for sentence in report.warnings:
        warn(sentence)
    if args.json:
        print_json(report.to_json())
    else:
        _print(report, args.dest)


def _stored_as(args: argparse.Namespace) -> str | None:
    """Return what to store the weights in, as the layout calls it; None if it was left out."""
    used, other = ("--quantization", "--dtype") if args.to in QUANTIZED else ("--dtype", "--quantization")
    if getattr(args, other.strip("-")):
        raise InputError(f"{other} is not for --to {args.to}; say with {used} what to store")
    asked: str | None = getattr(args, used.strip("-"))
    if asked and asked not in LAYOUTS[args.to]:
        raise InputError(f"{used} {asked} is not for --to {args.to}; use {', '.join(LAYOUTS[args.to])}")
    return asked


def _print(report: Report, dest: str) -> None:
    parity = report.parity
    how = f" (by {report.grouping.decided_by})" if report.grouping else ""
    print(f"{dest}: {report.num_parameters:,} parameters, {report.num_bytes:,} bytes of {report.stored_as}")
    print(f"read as {report.source_layout}{how}")
    if parity is None:
        return
    rows = []
    if parity.rounding:
        rows.append((f"as {report.stored_as}", parity.rounding))
    if parity.conversion:
        rows.append(("but for rounding" if rows else "as converted", parity.conversion))
    header = [
        f"beside the source, in {parity.computed_in}",
        "largest difference: logit",
        "log-probability",
        *(f"same next token, {kind}" for kind in rows[0][1].greedy),
    ]
    print_table(header, [_row(name, found) for name, found in rows])


def _row(name: str, found: Agreement) -> list[str]:
    differences = (found.max_abs_difference, found.max_logprob_difference)
    return [
        name,
        *(f"{largest:.2g}" for largest in differences),
        *(f"{share:.2%}" for share in found.greedy.values()),
    ]
