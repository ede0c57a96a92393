"""``spanmix lessons``: the paper's five lessons as experiments, with one report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.cli.arguments import add_json, add_verb, whole_number
from spanmix.cli.signals import stop_signals
from spanmix.cli.terminal import Progress, print_json, print_table, tell
from spanmix.errors import InputError, StoppedEarlyError
from spanmix.files import out_folder

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs
    from spanmix.lessons.parts import Scale
    from spanmix.lessons.plan import SuitePlan
    from spanmix.lessons.pool import JobProgress, Place
    from spanmix.lessons.runner import Asked
    from spanmix.lessons.verdicts import LessonVerdict
    from spanmix.train.machines import Machine

EXAMPLE = """
spanmix lessons --scale tiny --out runs/lessons --plan         # what it would take; nothing is written
spanmix lessons --scale tiny --out runs/lessons                # the same line again goes on
spanmix lessons --scale tiny --out runs/lessons --only 2,5
spanmix lessons --scale tiny --report-only                     # from the records alone
spanmix lessons --scale paper --plan --gpu h100
spanmix lessons --scale small --out runs/small --corpus corpora/mine --suite my-lessons
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "lessons", "run the paper's five lessons, and report what holds", EXAMPLE, run)
    parser.add_argument("--scale", required=True, metavar="NAME", help="how large: tiny, small or paper")
    parser.add_argument(
        "--out", type=out_folder, metavar="DIR", help="folder of runs and corpora (runs/lessons-SCALE)"
    )
    parser.add_argument(
        "--only", type=_numbers, default=(), metavar="1,3", help="these lessons, with the baselines they need"
    )
    parser.add_argument(
        "--metrics",
        type=out_folder,
        default=Path("docs/lessons"),
        metavar="DIR",
        help="folder of records and reports (%(default)s); a run whose record is there is not made again",
    )
    parser.add_argument(
        "--corpus", type=Path, metavar="CORPUS", help="a prepared corpus with the sources code and prose"
    )
    parser.add_argument(
        "--suite", type=Path, metavar="DIR", help="lessons of your own, as docs/lessons.md says"
    )
    parser.add_argument("--plan", action="store_true", help="print the plan, and do nothing")
    parser.add_argument("--report-only", action="store_true", help="write the report again from the records")
    parser.add_argument("--gpu", metavar="NAME", help="the device that times are estimated for")
    parser.add_argument(
        "--workers",
        type=whole_number(1),
        metavar="N",
        help="runs at once (the GPUs, or the cores, there are)",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Plan the suite; then run it, or write its report."""
    if args.plan and args.report_only:
        raise InputError("--plan does nothing and --report-only writes; give one of them")
    from spanmix.lessons.runner import Asked, plan_of, run_suite
    from spanmix.lessons.suite import load_suite

    suite = load_suite(args.suite)
    scale = suite.scale(args.scale)
    suite.of(args.only)
    out = args.out or Path(f"runs/lessons-{scale.name}")
    asked = Asked(suite, scale, args.only, out, args.metrics, args.corpus)
    if args.report_only:
        _report(args, asked)
        return
    where, machine = _where(args, scale)
    plan = plan_of(asked, machine, len(where))
    if args.plan and args.json:
        from spanmix.lessons.plan import plan_fields

        print_json(plan.to_json() | {"each": plan_fields(plan)})
        return
    _print_plan(plan, asked, to_stderr=args.json)
    if args.plan:
        return
    again = f"spanmix lessons --scale {scale.name} --out {out}"
    try:
        with Progress() as progress:
            run_suite(asked, _make_corpus, where, stop_signals(), progress, tell)
    except StoppedEarlyError as error:
        raise StoppedEarlyError(f"{error} (`{again}`, with what else was given)") from None
    _report(args, asked)


def _report(args: argparse.Namespace, asked: Asked) -> None:
    from spanmix.lessons.report import VERDICTS_FILE, verdict_fields, write_reports

    scale, metrics = asked.scale, asked.metrics
    if args.report_only and not (metrics / scale.name).is_dir():
        raise InputError(
            f"there are no records of scale {scale.name} in {metrics}; name their folder as --metrics"
        )
    verdicts = write_reports(asked.suite, metrics, {scale.name: _fingerprint(args, asked)})
    if args.json:
        print_json([verdict_fields(scale, verdict) for verdict in verdicts])
        return
    print_table(
        ["lesson", "verdict", "effect", "95 %", "detectable"],
        [_verdict_row(verdict) for verdict in verdicts],
    )
    print(f"report: {metrics / scale.name}.html and .md   verdicts: {metrics / VERDICTS_FILE}")


def _fingerprint(args: argparse.Namespace, asked: Asked) -> str | None:
    """Return the fingerprint of the corpus that is reported on; None takes that of the records."""
    from spanmix.lessons.runner import fingerprint_of

    if args.report_only and args.corpus is None:
        return None
    return fingerprint_of(asked)


def _verdict_row(verdict: LessonVerdict) -> list[str]:
    name = f"{verdict.lesson.number} {verdict.lesson.title}"
    effect = verdict.leading.effect if verdict.leading else None
    if effect is None:
        return [name, verdict.verdict, "-", "-", "-"]
    if effect.low is None or effect.high is None or effect.mde is None:
        return [name, verdict.verdict, f"{effect.value:+.4f}", "-", "-"]
    interval = f"{effect.low:+.4f} to {effect.high:+.4f}"
    return [name, verdict.verdict, f"{effect.value:+.4f}", interval, f"{effect.mde:.4f}"]


def _print_plan(plan: SuitePlan, asked: Asked, to_stderr: bool) -> None:
    """Print what there is to do, arm by arm."""
    by_arm: dict[tuple[str, str], list[Any]] = {}
    for planned in plan.runs:
        by_arm.setdefault((planned.configuration.kind, planned.configuration.arm), []).append(planned)
    rows = []
    for (kind, arm), runs in by_arm.items():
        done = sum(one.is_done for one in runs)
        about = (
            "learning rates" if kind == "sweep" else f"{runs[0].configuration.recipe.run.num_steps:,} steps"
        )
        minutes = sum(one.seconds for one in runs) / len(runs) / 60
        rows.append([arm, about, f"{len(runs)}", f"{done}", f"{minutes:,.1f}", runs[0].basis])
    left, cost = len(plan.left), ""
    if plan.dollars_left:
        cost = f", {plan.dollars_left:,.0f} dollars at {plan.dollars_per_hour:g} an hour"
    summary = (
        f"{len(plan.runs)} runs, {len(plan.runs) - left} done, {left} left: about {plan.hours_left:,.1f} of "
        f"{plan.hours:,.1f} hours on {plan.device}, {plan.num_workers} at once{cost}; records in "
        f"{asked.folders.metrics}"
    )
    if to_stderr:
        tell(summary)
        return
    print_table(["arm", "what", "runs", "done", "minutes each", "as"], rows)
    print(summary, flush=True)


def _where(args: argparse.Namespace, scale: Scale) -> tuple[list[Place], Machine]:
    """Return where runs are made, and the device that their time is estimated for."""
    import torch

    from spanmix.lessons.configurations import scale_recipe
    from spanmix.lessons.pool import places
    from spanmix.train.machines import machine_named

    run = scale_recipe(scale).run
    devices = torch.cuda.device_count() if run.device in ("auto", "cuda") else 0
    where = places(devices, run.num_threads, args.workers)
    named = args.gpu or (_gpu_name(torch.cuda.get_device_name(0)) if devices else "cpu")
    return where, machine_named(named)


def _gpu_name(full: str) -> str:
    """Return the name by which a GPU is planned for; the H100's where it is not in the list.

    >>> _gpu_name("NVIDIA H200"), _gpu_name("Something Else")
    ('h200', 'h100')
    """
    from spanmix.train.machines import MACHINES

    words = full.lower().replace(" ", "")
    return next((name for name in MACHINES if name.partition("-")[0] in words), "h100")


def _make_corpus(folder: Path, scale: Scale, progress: JobProgress) -> None:
    """Make the demo's corpus at OUT/corpus, with the scale's tokenizer."""
    from spanmix.demo.corpus import demo_corpus
    from spanmix.lessons.configurations import scale_recipe

    demo_corpus(folder.parent, scale_recipe(scale), progress)


def _numbers(value: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(part) for part in value.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is not a list of numbers such as 1,3") from None
