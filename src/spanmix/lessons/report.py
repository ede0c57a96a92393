"""Write the reports of suites from their records: Markdown, a page, and the verdicts of all scales.

The same records give the same bytes. What a run's clock said is not in them, so that an interruption changes
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spanmix.files import write_json, write_text
from spanmix.lessons.blocks import Block, Cell, Link, Paragraph, Section, Table, markdown, page
from spanmix.lessons.collected import Collected, Trial, collect, sweep_seed
from spanmix.lessons.lesson_section import lesson_section, signed
from spanmix.lessons.parts import Scale
from spanmix.lessons.records import run_file
from spanmix.lessons.suite import Suite
from spanmix.lessons.verdicts import Judged, LessonVerdict, judge

VERDICTS_FILE = "verdicts.json"
_DIGITS = 5


def write_reports(suite: Suite, metrics: Path, corpora: Mapping[str, str | None]) -> list[LessonVerdict]:
    """Write ``<scale>.md`` and ``.html`` of some scales, and ``verdicts.json`` of all that have records.

    Args:
        suite: the lessons.
        metrics: the folder of all scales' records, and of the reports.
        corpora: the scales to report on, each with the fingerprint of its corpus, or None for that of its
            records.

    Returns:
        The verdicts of the scales that are reported on.

    Raises:
        InputError: a record is damaged, or there are several suites in one folder.
    """
    metrics.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    reported: list[LessonVerdict] = []
    for scale in suite.scales.values():
        if scale.name not in corpora and not (metrics / scale.name).is_dir():
            continue
        collected = collect(suite, scale, metrics / scale.name, corpora.get(scale.name))
        verdicts = [judge(lesson, collected) for lesson in suite.lessons]
        entries += [verdict_fields(scale, verdict) for verdict in verdicts]
        if scale.name in corpora:
            reported += verdicts
            _write(suite, collected, verdicts, metrics)
    write_json(metrics / VERDICTS_FILE, entries)
    return reported


def verdict_fields(scale: Scale, verdict: LessonVerdict) -> dict[str, Any]:
    """Return what ``verdicts.json`` says of a lesson; its figures are those of its first claim."""
    leading = verdict.leading
    return {
        "scale": scale.name,
        "lesson": verdict.lesson.number,
        "title": verdict.lesson.title,
        **(_effect_fields(leading) if leading else {}),
        "verdict": verdict.verdict,
        "runs": sorted({name for one in verdict.claims for name in one.runs}),
        "claims": [
            {
                "name": one.claim.name,
                "text": one.claim.text,
                "basis": one.claim.basis,
                "contrast": one.claim.effect,
                "side": one.claim.side,
                "bound": one.bound,
                **_effect_fields(one),
                "verdict": one.verdict,
                "seeds": list(one.seeds),
            }
            for one in verdict.claims
        ],
    }


def _effect_fields(judged: Judged) -> dict[str, Any]:
    effect = judged.effect
    values = (None,) * 4 if effect is None else (effect.value, effect.low, effect.high, effect.mde)
    names = ("effect", "low", "high", "mde")
    rounded = {
        name: None if value is None else round(value, _DIGITS)
        for name, value in zip(names, values, strict=True)
    }
    return {"endpoint": judged.claim.endpoint, **rounded}


def _write(suite: Suite, collected: Collected, verdicts: list[LessonVerdict], metrics: Path) -> None:
    scale = collected.scale
    title = f"The five lessons, {scale.name}" if len(suite.lessons) == 5 else f"Lessons, {scale.name}"
    subtitle = (
        f"Measured by Spanmix: {scale.about}. Intervals are 95 %, over held-out files and seeds; the "
        "protocol was fixed before the first run."
    )
    sections = [
        Section("Verdicts", tuple(_overview(collected, verdicts))),
        *(lesson_section(verdict, collected, suite) for verdict in verdicts),
        Section("How it was done", tuple(_how(collected))),
    ]
    write_text(metrics / f"{scale.name}.md", markdown(title, subtitle, sections))
    write_text(metrics / f"{scale.name}.html", page(title, subtitle, sections))


def _overview(collected: Collected, verdicts: list[LessonVerdict]) -> list[Block]:
    rows = []
    for verdict in verdicts:
        leading = verdict.leading
        effect = leading.effect if leading else None
        interval = mde = value = "–"
        if effect is not None:
            value = signed(effect.value)
            if effect.low is not None and effect.high is not None and effect.mde is not None:
                interval = f"{signed(effect.low)} to {signed(effect.high)}"
                mde = f"{effect.mde:.3f}"
        sentence = leading.claim.text if leading else "No claim has all of its arms at this scale."
        rows.append(
            (
                f"{verdict.lesson.number} {verdict.lesson.title}",
                verdict.verdict,
                sentence,
                value,
                interval,
                mde,
            )
        )
    header = ("Lesson", "Verdict", "Leading claim", "Effect", "95 %", "Detectable")
    blocks: list[Block] = [Table("", header, tuple(rows), label_columns=3)]
    blocks.append(
        Paragraph(
            "A verdict goes by all claims that the paper found; the figures are those of the first. A "
            "difference smaller than the detectable one would most likely have been missed.",
            note=True,
        )
    )
    return [*_missing(collected), *blocks]


def _missing(collected: Collected) -> list[Block]:
    """Say what the report lacks."""
    scale = collected.scale
    if collected.learning_rate is None:
        tried = len(collected.trials)
        return [
            Paragraph(
                f"{tried} trials of learning rates are done; the lessons' own runs begin when all are.",
                strong="This report is not complete.",
            )
        ]
    lacking = []
    for arm in scale.arms:
        seeds = [seed for seed in scale.seeds if (arm, seed) not in collected.runs]
        if seeds:
            lacking.append(f"{arm} ({', '.join(f'seed {seed}' for seed in seeds)})")
    asked = scale.understanding
    if asked is not None:
        wanted = len(asked.arms) * len(scale.seeds) * len(asked.tasks) * len(asked.representations)
        if len(collected.tasks) < wanted:
            lacking.append(f"{wanted - len(collected.tasks)} of {wanted} fine-tunings")
    if not lacking:
        return []
    return [Paragraph(f"Missing are: {'; '.join(lacking)}.", strong="This report is not complete.")]


def _how(collected: Collected) -> list[Block]:
    scale = collected.scale
    runs = list(collected.runs.values())
    blocks: list[Block] = [
        Paragraph(
            f"All arms have equal tokens but where a lesson says otherwise. Margin: {scale.margin:g} bits "
            f"per byte, {scale.margin_points:g} of the answers of a fine-tuned model. {scale.margin_reason}"
        )
    ]
    if runs:
        positions = sum(run.positions for run in runs)
        flops = sum(run.flops for run in runs)
        one = runs[0]
        blocks.append(
            Paragraph(
                f"{len(runs)} runs of models with {one.parameters:,} parameters, {positions:,} positions and "
                f"{flops:.2e} operations in all. Corpus {collected.corpus[:12]}. Measured with torch "
                f"{one.machine.get('torch', '?')} on {one.machine.get('system', '?')}."
            )
        )
    failed = [f"{run.arm}, seed {run.seed}: {run.failed}" for run in runs if run.failed]
    if failed:
        blocks.append(Paragraph(f"Runs that failed: {'; '.join(failed)}"))
    if collected.trials:
        blocks.append(_sweep(collected))
    if collected.left_out:
        names = ", ".join(collected.left_out)
        blocks.append(Paragraph(f"Records of other recipes, which no figure is made of: {names}", note=True))
    return blocks


def _sweep(collected: Collected) -> Table:
    scale = collected.scale
    assert scale.sweep is not None
    arms = scale.sweep.arms
    found = {(trial.arm, trial.rate): trial for trial in collected.trials}
    rows: list[tuple[Cell, ...]] = []
    for rate in scale.sweep.rates:
        chosen = ", taken" if rate == collected.learning_rate else ""
        trials = [found.get((arm, rate)) for arm in arms]
        rows.append((f"{rate:g}{chosen}", *(_trial(trial, scale) for trial in trials)))
    caption = (
        "Learning rates: bits per byte of code of shorter runs; the first arm decides, the others are checks"
    )
    return Table(caption, ("Peak", *arms), tuple(rows))


def _trial(trial: Trial | None, scale: Scale) -> Cell:
    if trial is None:
        return "–"
    figure = "failed" if math.isinf(trial.code) else f"{trial.code:.3f}"
    return Link(figure, f"{scale.name}/{run_file(trial.key, sweep_seed(scale))}")
