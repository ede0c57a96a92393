"""``spanmix prepare``: raw sources to a corpus."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from spanmix.cli.arguments import add_json, add_verb
from spanmix.cli.terminal import Progress, print_json, print_table
from spanmix.errors import InputError
from spanmix.files import out_folder

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs
    from spanmix.config import CorpusConfig, TokenizerConfig
    from spanmix.text.report import CorpusReport

EXAMPLE = """
spanmix prepare ../my-code --out corpora/mine
spanmix prepare src notes.jsonl --out corpora/mine --vocab-size 8192 --held-out-share 0.05
spanmix prepare my-repositories ../api ../web --out corpora/mine     # filtered, redacted, without copies
spanmix prepare the-stack data/stack/*.parquet --out corpora/stack --workers 16
spanmix prepare pile-and-stack code=data/stack prose=data/pile --out corpora/mix
spanmix prepare recipe.yaml corpus.duplicates.near=drop --out corpora/mine   # the same line again goes on
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "prepare", "make a corpus of folders and files, with a report", EXAMPLE, run)
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="RECIPE_OR_SOURCE",
        help="a recipe, or folders and files, each a source named after it; behind a recipe NAME=PATH, or "
        "a path alone, for its sources, and section.field=value",
    )
    parser.add_argument(
        "--out", type=out_folder, required=True, metavar="CORPUS", help="folder of the corpus"
    )
    parser.add_argument(
        "--vocab-size", type=int, metavar="N", help="entries of the tokenizer, a multiple of 64"
    )
    parser.add_argument(
        "--held-out-share", type=float, metavar="S", help="share of documents kept out of training"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes at once (one for each core)")
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="a Ray cluster, as ray://head:10001, that sees the same folders"
    )
    parser.add_argument(
        "--trace",
        action="store_true",
        help="also build the index of `spanmix trace`, 1.7 bytes for each of text",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Choose the sources, prepare the corpus and print what became of them."""
    if args.workers is not None and args.workers < 1:
        raise InputError(f"--workers is {args.workers}; use 1 or more")
    corpus, tokenizer = _choose(args)
    import dataclasses

    from spanmix.text.pipeline import prepare
    from spanmix.text.trace.build import build_index

    with Progress() as progress:
        report = prepare(corpus, tokenizer, args.out, progress, args.workers, args.cluster)
        if args.trace:
            build_index(args.out, None, progress)
    if args.json:
        print_json(dataclasses.asdict(report))
    else:
        _print_report(args.out, report)


def _choose(args: argparse.Namespace) -> tuple[CorpusConfig, TokenizerConfig]:
    from spanmix.cli.recipe_inputs import recipe_inputs
    from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
    from spanmix.recipes import load_corpus_recipe

    first, *others = args.inputs
    if _is_recipe(first):
        flags = {"tokenizer.vocab_size": args.vocab_size, "corpus.held_out_share": args.held_out_share}
        overrides = [f"{key}={value}" for key, value in flags.items() if value is not None]
        recipe = load_corpus_recipe(first, recipe_inputs(first, others) + overrides)
        return recipe.corpus, recipe.tokenizer
    sources = tuple(SourceFilesConfig(_source_name(path), (path,)) for path in args.inputs)
    corpus = CorpusConfig(str(args.out), sources)
    if args.held_out_share is not None:
        corpus = CorpusConfig(str(args.out), sources, args.held_out_share)
    return corpus, TokenizerConfig() if args.vocab_size is None else TokenizerConfig(args.vocab_size)


def _is_recipe(name: str) -> bool:
    """Tell a recipe from a source; a folder is a source, whatever it is called."""
    from spanmix.recipes import builtin_recipes

    path = Path(name)
    is_built_in = not path.exists() and name in builtin_recipes()
    return is_built_in or (path.suffix in (".yaml", ".yml") and not path.is_dir())


def _source_name(path: str) -> str:
    """Name a source after its folder or file, with what a file name may not hold replaced.

    >>> _source_name("work/My Code"), _source_name("notes.jsonl"), _source_name("/")
    ('My_Code', 'notes', 'source')
    """
    name = Path(path).resolve().name.removesuffix(".jsonl")
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".-") or "source"


def _print_report(out: Path, report: CorpusReport) -> None:
    rows = []
    for name, source in report.sources.items():
        for side, counts in (("train", source.train), ("held out", source.held_out)):
            rows.append(
                [f"{name}, {side}", f"{counts.documents:,}", f"{counts.tokens:,}", f"{counts.bytes:,}"]
            )
    print_table(["source", "documents", "tokens", "bytes"], rows)
    for name, source in report.sources.items():
        if source.read is not None:
            print(f"\n{name}: {source.read.documents:,} were read, {source.read.kept:,} kept")
        dropped_bytes = source.read.dropped_bytes if source.read else {}
        dropped = [
            [reason, f"{count:,}", f"{dropped_bytes.get(reason, 0):,}"]
            for reason, count in sorted(source.dropped.items(), key=lambda item: -item[1])
        ]
        if dropped:
            print_table(["dropped", "documents", "bytes"], dropped)
    print(f"\n{out}: {report.vocab_size:,} entries in the tokenizer, fingerprint {report.fingerprint[:12]}")
