"""``spanmix prepare``: raw sources to a corpus."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from spanmix.cli.arguments import add_json, add_verb
from spanmix.cli.corpus_recipes import RECIPES
from spanmix.cli.signals import sigterm_interrupts
from spanmix.cli.terminal import Progress, paragraph, print_json, print_table, tell, warn
from spanmix.errors import InputError
from spanmix.files import out_folder

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs
    from spanmix.config import CorpusConfig, CorpusRecipe, Recipe, SourceFilesConfig
    from spanmix.text.report import CorpusReport

_MOST_PATHS = 3

EXAMPLE = """
spanmix prepare ../my-code --out corpora/mine
spanmix prepare src notes.jsonl --out corpora/mine --vocab-size 8192 --held-out-share 0.05
spanmix prepare my-repositories ../api ../web --out corpora/mine     # filtered, redacted, without copies
spanmix prepare the-stack data/stack/*.parquet --out corpora/stack --workers 16
spanmix prepare pile-and-stack code=data/stack prose=data/pile --out corpora/mix
spanmix prepare code=../api code=../web notes=docs corpus.redaction={} --out corpora/mine
spanmix prepare recipe.yaml corpus.duplicates.near=drop --out corpora/mine   # the same line again goes on
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "prepare", "make a corpus of folders and files, with a report", EXAMPLE, run)
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="RECIPE_OR_SOURCE",
        help="a recipe, or folders and files, each a source named after it or, as NAME=PATH, NAME. Behind a "
        "recipe a path alone is for its one source without paths, and NAME=PATH takes the place of all paths "
        "that it has for its source NAME; given again it adds one more. section.field=value changes a field",
    )
    lines = [f"  {name:16} {about}" for name, about in RECIPES.items()]
    parser.epilog = "\n".join(["recipes:", *lines, "", str(parser.epilog)])
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
    recipe = _choose(args)
    import dataclasses

    from spanmix.text.corpus_page.held_out import held_out_warnings
    from spanmix.text.licences.opt_out_counts import read_counts, unmatched_words
    from spanmix.text.pipeline import UNITS, prepare, stages

    to_do, units = stages(recipe.tokenizer), dict(UNITS)
    if args.trace:
        from spanmix.text.trace.build import STAGE, build_index, suffix_sorter

        suffix_sorter()  # its package may be missing
        to_do.append(STAGE)
        units[STAGE] = "bytes"
    with sigterm_interrupts(), Progress(to_do, units) as progress:
        meter = _PlanFirst(to_do[0], recipe.corpus, progress)
        report = prepare(recipe.corpus, recipe.tokenizer, args.out, meter, args.workers, args.cluster, tell)
        if not meter.begun:
            if not args.trace:
                _refuse_damaged_index(args.out)
            tell(f"{args.out} was made of the same recipe and files before, and is whole")
        if args.trace:
            build_index(args.out, None, progress)
    if args.json:
        print_json(dataclasses.asdict(report))
    else:
        _print_report(args.out, report)
    for words in (*held_out_warnings(args.out, report), *unmatched_words(read_counts(args.out))):
        warn(words)


def _refuse_damaged_index(out: Path) -> None:
    from spanmix.text.trace.layout import index_damages, index_folder

    if damages := index_damages(index_folder(out)):
        raise InputError(
            f"the corpus {out} is whole, and its trace index is not: {', '.join(damages[:_MOST_PATHS])}"
            f"{', …' if len(damages) > _MOST_PATHS else ''}; `spanmix trace --corpus {out} --build` mends it"
        )


def _choose(args: argparse.Namespace) -> CorpusRecipe | Recipe:
    from spanmix.cli.recipe_inputs import corpus_recipe

    flags = {"tokenizer.vocab_size": args.vocab_size, "corpus.held_out_share": args.held_out_share}
    given = [f"{key}={value}" for key, value in flags.items() if value is not None]
    return corpus_recipe(args.inputs, str(args.out), given)


class _PlanFirst:
    """Shows progress, and before the stage `first` what will be read; `begun` tells whether that came."""

    def __init__(self, first: str, corpus: CorpusConfig, progress: Progress) -> None:
        self.begun = False
        self._first = first
        self._corpus = corpus
        self._progress = progress

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report on a stage."""
        if stage == self._first and not self.begun:
            self.begun = True
            plan = "; ".join(map(_plan, self._corpus.sources))
            print(paragraph(f"sources: {plan}"), file=sys.stderr, flush=True)
        self._progress(stage, done, total)


def _plan(source: SourceFilesConfig) -> str:
    """Say where a source comes from.

    >>> from spanmix.config import SourceFilesConfig
    >>> _plan(SourceFilesConfig("code", ("api", "web", "a", "b", "c")))
    'code from api, web, a and 2 more'
    """
    more = len(source.paths) - _MOST_PATHS
    return f"{source.name} from {', '.join(source.paths[:_MOST_PATHS])}" + (
        f" and {more} more" if more > 0 else ""
    )


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
            for words in source.read.other_fields(name):
                print(words)
        dropped = []
        for reason, count in sorted(source.dropped.items(), key=lambda item: -item[1]):
            num_bytes = source.read.known_bytes(reason) if source.read else None
            dropped.append([reason, f"{count:,}", "–" if num_bytes is None else f"{num_bytes:,}"])
        if dropped:
            print_table(["dropped", "documents", "bytes"], dropped)
    print(f"\n{out}: {report.vocab_size:,} entries in the tokenizer, fingerprint {report.fingerprint[:12]}")
