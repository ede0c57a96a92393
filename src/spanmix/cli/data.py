"""``spanmix data``: look at the rows of a recipe, count what they are made of, bake them for Megatron-LM."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from spanmix.cli.arguments import add_json, add_verb, whole_number
from spanmix.cli.data_text import print_legend, print_news, print_row, print_stats, print_token_table
from spanmix.cli.files import require_writable
from spanmix.cli.terminal import Progress, print_json
from spanmix.errors import EndOfDataError, InputError
from spanmix.files import out_folder, write_text

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs
    from spanmix.config import DataRecipe, Recipe
    from spanmix.data.loader import Loader, LoaderState
    from spanmix.data.packing import Row
    from spanmix.text.corpus import Corpus

EXAMPLE = """
spanmix data preview recipe.yaml
spanmix data stats recipe.yaml --steps 1000
spanmix data WHAT --help
"""
PREVIEW = """
spanmix data preview recipe.yaml
spanmix data preview recipe.yaml --rows 8 --html preview.html data.row_tokens=256
spanmix data preview runs/mine                            # the rows that the run trains on next
spanmix data preview recipe.yaml --rows 1 --tokens        # every position: token, target, loss weight
"""
STATS = """
spanmix data stats recipe.yaml
spanmix data stats recipe.yaml --steps 1000 --html stats.html objectives.1.max_ratio=0.3
"""
BAKE = """
spanmix data bake recipe.yaml --out baked/1 --rows 100000 data.document_mask=false data.positions=continue
spanmix data bake recipe.yaml --out baked/2 --rows 100000 --after baked/1 data.document_mask=false \\
    data.positions=continue                               # the rows that follow
"""
_STEPS = 100


def add(verbs: Verbs) -> None:
    """Add the verb, which is three."""
    about = "look at the rows of a recipe, count what they are made of, or bake them for Megatron-LM"
    parser = add_verb(verbs, "data", about, EXAMPLE, None)
    parts = parser.add_subparsers(title="what", metavar="WHAT", required=True)
    preview = add_verb(parts, "preview", "decode the next rows, in color", PREVIEW, run_preview)
    _add_recipe(preview)
    preview.add_argument(
        "--rows", type=whole_number(1), default=4, metavar="N", help="how many rows (%(default)s)"
    )
    preview.add_argument(
        "--from-row", type=whole_number(0), metavar="N", help="the first one; 0, or where a run stands"
    )
    preview.add_argument(
        "--tokens", action="store_true", help="list every position with its target and loss weight"
    )
    preview.add_argument("--html", type=Path, metavar="FILE", help="write a page instead")
    stats = add_verb(
        parts, "stats", "count shares of sources and objectives, padding and span lengths", STATS, run_stats
    )
    _add_recipe(stats)
    stats.add_argument(
        "--steps", type=whole_number(1), default=_STEPS, metavar="N", help="steps to count over (%(default)s)"
    )
    stats.add_argument("--html", type=Path, metavar="FILE", help="write a page with charts too")
    add_json(stats)
    bake = add_verb(parts, "bake", "write rows as an indexed dataset for Megatron-LM", BAKE, run_bake)
    _add_recipe(bake)
    bake.add_argument(
        "--out", type=out_folder, required=True, metavar="FOLDER", help="an empty or new folder"
    )
    bake.add_argument("--rows", type=whole_number(1), required=True, metavar="N", help="how many rows")
    bake.add_argument(
        "--after", type=Path, metavar="FOLDER", help="go on behind the rows of another baked folder"
    )


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    about = "a recipe file of the data alone or whole, the name of a built-in recipe, or a run"
    parser.add_argument("recipe", metavar="RECIPE", help=about)
    parser.add_argument(
        "overrides", nargs="*", metavar="section.field=value", help="change a field of the recipe"
    )


@dataclass(frozen=True)
class _Opened:
    """The data of a recipe or a run, and where its next row lies."""

    name: str
    recipe: Recipe | DataRecipe
    corpus: Corpus
    loader: Loader
    start: LoaderState


def _open(args: argparse.Namespace, progress: Progress) -> _Opened:
    from spanmix.data.build import build_loader
    from spanmix.recipes import load_data_recipe
    from spanmix.text.corpus import Corpus

    run = Path(args.recipe)
    is_run = run.is_dir() and (run / "recipe.yaml").is_file()
    if is_run and any(not override.startswith("corpus.") for override in args.overrides):
        raise InputError(
            f"{run} is a run, whose rows are decided; leave out {args.overrides[0]}, or name "
            f"{run / 'recipe.yaml'}"
        )
    recipe = load_data_recipe(str(run / "recipe.yaml") if is_run else args.recipe, args.overrides)
    corpus = Corpus.open(recipe.corpus.path, progress)
    corpus.check_recipe(recipe)
    loader = build_loader(recipe, corpus)
    start = _saved(run) if is_run else None
    return _Opened(args.recipe, recipe, corpus, loader, start or loader.start())


def _saved(run: Path) -> LoaderState | None:
    """Return where a run's newest checkpoint goes on, if it has one."""
    from spanmix.train.checkpoint import Checkpoints
    from spanmix.train.run_folder import checkpoints_folder

    checkpoints = Checkpoints(checkpoints_folder(run), keep=1)
    newest = checkpoints.newest()
    return None if newest is None else checkpoints.progress(newest).loader


def _rows(
    opened: _Opened, first: int | None, num_rows: int, progress: Progress, news: list[str]
) -> Iterator[tuple[int, Row]]:
    """Yield rows with their numbers, from `first` or from where the run stands, as many as there are.

    What changes in the mixture on the way is added to `news`.
    """
    start = opened.start
    if first is not None and first < start.next_row:
        start = opened.loader.start()
    first = start.next_row if first is None else first
    number, state = start.next_row, start
    try:
        for row, after in islice(opened.loader.rows(start), first + num_rows - number):
            news += [said] if (said := opened.loader.news(state, after)) else []
            state = after
            if number >= first:
                yield number, row
            elif number % 1000 == 0:
                progress("rows before", number, first)
            number += 1
    except EndOfDataError:
        if number <= first:
            raise
        news.append(f"there is no row {number:,}")


def run_preview(args: argparse.Namespace) -> None:
    """Decode rows and show them."""
    from spanmix.data.preview import Previewer

    if args.html is not None:
        if args.tokens:
            raise InputError("--tokens lists positions as text, --html writes a page; leave out one of them")
        require_writable(args.html)
    news: list[str] = []
    with Progress() as progress:
        opened = _open(args, progress)
        previewer = Previewer(opened.loader, opened.corpus)
        rows = [
            previewer.row(row, number)
            for number, row in _rows(opened, args.from_row, args.rows, progress, news)
        ]
    if args.html is not None:
        from spanmix.data.preview_page import preview_page

        write_text(args.html, preview_page(rows, opened.name))
        print(f"wrote {len(rows)} row{'s' if len(rows) > 1 else ''}: {args.html}")
        return
    print_legend()
    print_news(news)
    for row in rows:
        (print_token_table if args.tokens else print_row)(row)


def run_stats(args: argparse.Namespace) -> None:
    """Count rows and show what was counted."""
    from spanmix.data.stats import DataCounter

    if args.html is not None:
        require_writable(args.html)
    news: list[str] = []
    with Progress() as progress:
        opened = _open(args, progress)
        num_rows = args.steps * opened.recipe.data.global_batch_rows
        counter = DataCounter(opened.loader, opened.corpus.tokenizer)
        for done, (number, row) in enumerate(_rows(opened, 0, num_rows, progress, news), start=1):
            counter.add(row, number)
            if done % 64 == 0 or done == num_rows:
                progress("rows", done, num_rows)
    if args.html is not None:
        from spanmix.data.preview_page import stats_page

        write_text(args.html, stats_page(counter.stages, opened.name))
    if args.json:
        print_json({"stages": [stats.to_json() for stats in counter.stages], "news": news})
        return
    print_news(news)
    for stats in counter.stages:
        print_stats(stats, len(counter.stages) > 1)
    if args.html is not None:
        print(f"page: {args.html}")


def run_bake(args: argparse.Namespace) -> None:
    """Write rows for Megatron-LM and say how they are trained on."""
    from spanmix.data.loader import LoaderState
    from spanmix.data.megatron_rows import ROWS_PREFIX, Baked, bake

    before = None if args.after is None else Baked.load(args.after)
    with Progress() as progress:
        opened = _open(args, progress)
        start = opened.start if before is None else LoaderState.from_json(before.next)
        baked = bake(
            opened.loader,
            opened.corpus.tokenizer,
            args.out,
            args.rows,
            start,
            lambda done, total: progress("rows", done, total) if done % 64 == 0 or done == total else None,
        )
    last = baked.first_row + baked.num_rows - 1
    print(f"{args.out}: rows {baked.first_row:,} to {last:,}, PAD is {baked.pad_id}; train on them with")
    print(
        f"--data-path {args.out / ROWS_PREFIX} --seq-length {baked.seq_length} --split 100,0,0 "
        f"--tokenizer-type HuggingFaceTokenizer --tokenizer-model {args.out / 'tokenizer'}"
    )
