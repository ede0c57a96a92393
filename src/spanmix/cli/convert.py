"""``spanmix convert``: a checkpoint in any published layout -> another layout, with proof."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from spanmix.cli.arguments import add_json, add_verb, utf8_name, whole_number
from spanmix.cli.terminal import Progress, print_json, print_table, tell, warn
from spanmix.errors import InputError

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs
    from spanmix.interchange.convert import Report
    from spanmix.interchange.parity import Agreement

CTRANSLATE2 = "ctranslate2"
GGUF = "gguf"
LAYOUTS = ("native", "codegen", "codegen2", CTRANSLATE2, GGUF)
TYPES = ("fp32", "bf16", "fp16")
QUANTIZATIONS = {
    CTRANSLATE2: ("int8", "int8_float16", "int8_bfloat16", "float16", "bfloat16", "float32"),
    GGUF: ("q8_0", "f16", "bf16", "f32"),
}
"""What the weights can be stored in; the first is taken if none is named."""

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
        "--dtype", choices=TYPES, help="what the weights are stored in; left out, what they are in SOURCE"
    )
    parser.add_argument(
        "--quantization",
        choices=[name for names in QUANTIZATIONS.values() for name in names],
        help="what --to ctranslate2 (left out: int8) and --to gguf (q8_0) store the weights in",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Convert, and print what was put right and how well the two models agree."""
    if args.to in QUANTIZATIONS:
        export = _to_gguf if args.to == GGUF else _to_ctranslate2
        export(args, _quantization(args))
        return
    if args.quantization:
        targets = " and ".join(f"--to {target}" for target in QUANTIZATIONS)
        raise InputError(f"--quantization is for {targets}; for --to {args.to} there is --dtype")
    from spanmix.interchange.convert import convert

    with Progress() as progress:
        report = convert(args.source, Path(args.dest), args.to, args.mp_num, args.dtype, progress=progress)
    for sentence in report.corrections:
        tell(sentence)
    for sentence in report.warnings:
        warn(sentence)
    if args.json:
        print_json(report.to_json())
    else:
        _print(report, args.dest)


def _quantization(args: argparse.Namespace) -> str:
    if args.dtype:
        raise InputError(f"--dtype is not for --to {args.to}; say with --quantization what to store")
    known = QUANTIZATIONS[args.to]
    if args.quantization and args.quantization not in known:
        raise InputError(
            f"--quantization {args.quantization} is not for --to {args.to}; use {', '.join(known)}"
        )
    return args.quantization or known[0]


def _to_gguf(args: argparse.Namespace, quantization: str) -> None:
    if args.mp_num:
        raise InputError("--mp-num is not for --to gguf; convert with it --to native, and that to gguf")
    from spanmix.interchange.gguf import export_gguf

    dest = Path(args.dest)
    sentences = export_gguf(Path(args.source), dest, quantization)
    for sentence in sentences:
        tell(sentence)
    if args.json:
        report = {"file": args.dest, "quantization": quantization, "num_bytes": dest.stat().st_size}
        print_json({**report, "sentences": sentences})
    else:
        print(f"{args.dest}: for llama.cpp, in {quantization}")


def _to_ctranslate2(args: argparse.Namespace, quantization: str) -> None:
    from spanmix.interchange.ctranslate2 import REPORT, export_ctranslate2

    dest = Path(args.dest)
    sentences = export_ctranslate2(Path(args.source), dest, quantization, args.mp_num)
    for sentence in sentences:
        tell(sentence)
    if args.json:
        print_json(json.loads((dest / REPORT).read_text(encoding="utf-8")))
    else:
        print(f"{args.dest}: for CTranslate2, in {quantization}")


def _print(report: Report, dest: str) -> None:
    parity = report.parity
    how = f" (by {report.grouping.decided_by})" if report.grouping else ""
    print(f"{dest}: {report.num_parameters:,} parameters, {report.num_bytes:,} bytes of {report.dtype}")
    print(f"read as {report.source_layout}{how}")
    kinds = list(parity.converted.greedy)
    header = [
        "beside the source",
        "largest logit difference",
        *(f"same next token, {kind}" for kind in kinds),
    ]
    rows = [_row("as converted", parity.converted)]
    if parity.rounding:
        rows.append(_row(f"of that, rounding to {report.dtype}", parity.rounding))
    print_table(header, rows)


def _row(name: str, found: Agreement) -> list[str]:
    return [name, f"{found.max_abs_difference:.2g}", *(f"{share:.2%}" for share in found.greedy.values())]
