"""Measure a model on somebody's own code, for `spanmix evaluate`: places of a checkout, and its history."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.cli.arguments import listed, whole_number
from spanmix.cli.repository_tables import print_bench, print_replay
from spanmix.cli.repository_tests import add_tests, execute_answers, repository_tests
from spanmix.cli.terminal import Progress, tell, warn
from spanmix.errors import InputError

if TYPE_CHECKING:
    from spanmix.evaluate.replay.bench import Bench, BenchSettings
    from spanmix.evaluate.replay.history import HistorySettings
    from spanmix.evaluate.replay.left_out import FileLimits
    from spanmix.generate.opening import OpenModel

_KINDS = ("line", "block", "function")
_NUM_PLACES = 100
_REVISION = "HEAD"


def add_repositories(parser: argparse.ArgumentParser) -> None:
    """Add what decides how a model is measured on a repository."""
    group = parser.add_argument_group("your own code (answers and reports are kept in --samples DIR)")
    group.add_argument(
        "--bench-from",
        type=Path,
        metavar="GIT",
        help="fill in places of this checkout or bare repository, or of a .jsonl that was made of one",
    )
    group.add_argument(
        "--replay", type=Path, metavar="GIT", help="replay the history of this repository, cursor by cursor"
    )
    group.add_argument(
        "--since",
        metavar="DATE",
        help="replay commits from this day on: the one up to which the model's training data was collected",
    )
    group.add_argument("--revision", metavar="REV", help=f"the commit, or the last one ({_REVISION})")
    group.add_argument("--languages", metavar="A,B", help="files of these languages alone")
    number = partial(group.add_argument, type=whole_number(1), metavar="N")
    number("--places", help=f"places of a kind ({_NUM_PLACES})")
    group.add_argument("--place-kinds", metavar="A,B", help=f"kinds of places ({','.join(_KINDS)})")
    number("--place-tokens", help="of an answer (a quarter of the context, at most 256)")
    number("--cursors", default=1000, help="most cursors of a replay (%(default)s)")
    number("--proposal-tokens", default=64, help="of a proposal at a cursor (%(default)s)")
    add_tests(parser)


def repositories_asked(args: argparse.Namespace) -> bool:
    """Say whether a repository is to be measured on. To be asked before a model is opened.

    Raises:
        InputError: a flag is missing, or has a value that cannot be used.
    """
    for flag, belongs_to in (("since", "replay"), ("executed", "bench_from")):
        if getattr(args, flag) not in (None, False) and getattr(args, belongs_to) is None:
            name = belongs_to.replace("_", "-")
            raise InputError(f"--{flag} is for --{name}; give --{name} GIT, or leave it out")
    if args.bench_from is None and args.replay is None:
        return False
    from spanmix.evaluate.replay.git import Repository
    from spanmix.files import require_makable

    if args.samples is None:
        raise InputError("to measure on a repository give --samples DIR, where answers and reports are kept")
    _bench_settings(args)
    _history_settings(args)
    require_makable(args.samples)
    for folder in filter(None, (args.bench_from, args.replay)):
        if folder != args.bench_from or not folder.is_file():
            with Repository(folder) as repository:
                repository.resolve(args.revision or _REVISION)
    return True


def measure_repositories(args: argparse.Namespace, model: OpenModel) -> dict[str, Any]:
    """Measure on what ``--bench-from`` and ``--replay`` name, print the figures, and write reports and pages.

    Returns:
        The report of each, under ``bench`` and ``replay``.

    Raises:
        InputError: a repository, a date or a model cannot be used, or what was kept was made in another way.
        SpanmixError: the tests of the repository do not pass as they are.
    """
    repositories_asked(args)
    model.infill_format  # noqa: B018 - what cannot infill is refused before all work
    found: dict[str, Any] = {}
    if args.bench_from is not None:
        found["bench"] = _measure_bench(args, model)
    if args.replay is not None:
        found["replay"] = _measure_replay(args, model)
    return found


def _file_limits(args: argparse.Namespace) -> FileLimits:
    from spanmix.evaluate.replay.left_out import FileLimits
    from spanmix.text.languages.endings import LANGUAGE_OF

    names = () if args.languages is None else listed("--languages", args.languages, set(LANGUAGE_OF.values()))
    return FileLimits(languages=tuple(names))


def _bench_settings(args: argparse.Namespace) -> BenchSettings:
    from spanmix.evaluate.replay.bench import BenchSettings

    kinds = tuple(listed("--place-kinds", args.place_kinds or ",".join(_KINDS), _KINDS))
    return BenchSettings(args.seed, kinds, args.places or _NUM_PLACES, files=_file_limits(args))


def _history_settings(args: argparse.Namespace) -> HistorySettings:
    from spanmix.evaluate.replay.history import HistorySettings

    return HistorySettings(args.since, args.seed, args.cursors, files=_file_limits(args))


def _how(model: OpenModel, max_tokens: int) -> dict[str, Any]:
    """Return what a report has to say of how a model was asked."""
    from spanmix import __version__
    from spanmix.evaluate.measured_on import measured_on

    machine = {f"machine, {name}": value for name, value in measured_on().items()}
    asked = {"order": model.infill_format.order, "lead_tokens": model.infill_format.lead_tokens}
    how = {"max_tokens": max_tokens, "temperature": 0, **asked}
    return {**model.identity(), **how, "spanmix": __version__, **machine}


def _measure_bench(args: argparse.Namespace, model: OpenModel) -> dict[str, Any]:
    from spanmix.evaluate.replay.bench_match import answer_bench, default_max_tokens
    from spanmix.evaluate.replay.bench_report import report_of
    from spanmix.evaluate.replay.pages import write_bench_page
    from spanmix.files import write_json

    tests = repository_tests(args) if args.executed else None
    bench = _bench(args)
    max_tokens = args.place_tokens or default_max_tokens(model.engine)
    identity = {**model.identity(), "commit": bench.origin.commit}
    with Progress() as progress:
        answers = answer_bench(
            model.engine,
            model.tokenizer,
            model.infill_format,
            bench.items,
            args.samples / "answers.jsonl",
            max_tokens=max_tokens,
            facts=identity,
            progress=partial(progress, f"fill in {bench.origin.repository}"),
        )
        if not answers:
            raise InputError(
                f"none of the {len(bench.items)} places has a text of less than {max_tokens} tokens, so "
                "nothing was asked; give answers more room with --place-tokens"
            )
        facts = _how(model, max_tokens)
        executed = None
        if tests is not None:
            asked = {**identity, "max_tokens": max_tokens}
            executed = execute_answers(args, bench, answers, tests, asked, progress)
            facts |= {"test_command": args.test_command, "num_tests": executed.num_tests}
            facts |= {f"undecided: {reason}": count for reason, count in executed.undecided.items()}
    report = report_of(bench, answers, facts, executed.passes if executed else None)
    why = {one.task_id: one.why for one in executed.verdicts if one.passes is not None} if executed else {}
    write_json(args.samples / "bench.report.json", report.as_json())
    write_bench_page(args.samples / "bench.html", report, bench, why)
    if not args.json:
        print_bench(report, executed)
        tell(f"look at what differs: {args.samples / 'bench.html'}")
    return report.as_json()


def _bench(args: argparse.Namespace) -> Bench:
    """Return the benchmark of a file; or build it, and keep it for the next time."""
    from spanmix.evaluate.replay.bench import build_bench, read_bench, write_bench

    if args.bench_from.is_file():
        _require_repository(args)
        return read_bench(args.bench_from)
    bench = build_bench(args.bench_from, _bench_settings(args), args.revision or _REVISION)
    kept = args.samples / "bench.jsonl"
    if kept.exists():
        there = read_bench(kept)
        if there != bench:
            raise InputError(
                f"{kept} was built from {there.origin.repository} at {there.origin.commit[:12]} with other "
                f"settings or from another commit, and this is {bench.origin.commit[:12]}; give the same "
                "--revision and settings, or another folder as --samples"
            )
    else:
        write_bench(kept, bench)
    return bench


def _require_repository(args: argparse.Namespace) -> None:
    """Raise `InputError` if a flag was given that a benchmark which is built already leaves no room for."""
    given = {
        "--executed": args.executed,
        "--places": args.places,
        "--place-kinds": args.place_kinds,
        "--languages": args.languages,
        "--revision": args.revision,
    }
    for flag in (flag for flag, value in given.items() if value):
        raise InputError(
            f"{args.bench_from} is a benchmark that was built already; {flag} needs the repository itself"
        )


def _measure_replay(args: argparse.Namespace, model: OpenModel) -> dict[str, Any]:
    from spanmix.evaluate.replay.asking import ask_engine
    from spanmix.evaluate.replay.pages import write_replay_page
    from spanmix.evaluate.replay.replay import replay
    from spanmix.evaluate.replay.replay_report import report_of
    from spanmix.files import write_json
    from spanmix.generate.text import Sampling

    sampling = Sampling(max_tokens=args.proposal_tokens)
    ask = ask_engine(model.engine, model.tokenizer, model.infill_format, sampling)
    asked = {"max_tokens": args.proposal_tokens, "infill_format": asdict(model.infill_format)}
    with Progress() as progress:
        done = replay(
            args.replay,
            ask,
            _history_settings(args),
            args.samples / "events.jsonl",
            facts={**model.identity(), **asked},
            revision=args.revision or _REVISION,
            progress=partial(progress, f"replay {args.replay}"),
        )
    report = report_of(done, _how(model, args.proposal_tokens))
    write_json(args.samples / "replay.report.json", report.as_json())
    write_replay_page(args.samples / "replay.html", report, done)
    if report.warning is not None:
        warn(report.warning)
    if not args.json:
        print_replay(report)
        tell(f"look at what was not taken: {args.samples / 'replay.html'}")
    return report.as_json()
