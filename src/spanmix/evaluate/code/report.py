"""Report graded samples: one JSON object with all that decides the figures, and a page with what failed."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spanmix import __version__, html
from spanmix.evaluate.code.answers import Answer
from spanmix.evaluate.code.grading import Graded
from spanmix.evaluate.code.sets import ProblemSet
from spanmix.evaluate.grade.isolation import Unsafe
from spanmix.evaluate.grade.limits import Limits
from spanmix.evaluate.measured_on import measured_on
from spanmix.files import write_text
from spanmix.html import Html

REPORT_VERSION = 1
_MOST_SHOWN = 100
"""Failures on the page; the JSON has all of them."""
_UNSEEN = ("Cc", "Cf", "Cs")
"""Unicode's controls, marks of direction, and surrogates, which JSON can hold and a file cannot."""


def report_json(
    problems: ProblemSet,
    answers: Sequence[Answer],
    graded: Graded,
    limits: Limits,
    isolation: str,
    settings: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what is to be known of a graded set of samples.

    Args:
        problems: the set.
        answers: the samples.
        graded: what became of them.
        limits: what each program might use.
        isolation: how they were kept apart.
        settings: how the samples were made; None if nobody knows.
    """
    figures = graded.figures
    results: dict[str, list[dict[str, Any]]] = {problem.task_id: [] for problem in problems.problems}
    for answer, verdict in zip(answers, graded.verdicts, strict=True):
        results[answer.task_id].append(
            {"sample": answer.sample, "passed": verdict.passed, "result": verdict.result}
        )
    return {
        "format_version": REPORT_VERSION,
        "spanmix": __version__,
        "problems": {"name": problems.name, "number": len(results), "sha256": problems.sha256},
        "num_samples": figures.num_samples,
        "num_passed": figures.num_passed,
        "pass_at_k": {str(k): asdict(figure) for k, figure in figures.figures.items()},
        "left_out": {str(k): why for k, why in figures.left_out.items()},
        "rerun": [[answers[place].task_id, answers[place].sample] for place in graded.rerun],
        "settings": settings,
        "limits": asdict(limits),
        "isolation": isolation,
        "machine": measured_on(),
        "results": results,
    }


def write_page(
    path: Path,
    report: Mapping[str, Any],
    problems: ProblemSet,
    answers: Sequence[Answer],
    graded: Graded,
) -> None:
    """Write ``report.html``: the figures, and the failures to look at; whole or not at all."""
    limits = report["limits"]
    machine = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    facts = {
        "set": f"{report['problems']['name']}, {report['problems']['number']} problems",
        "samples": f"{report['num_samples']:,}, of which {report['num_passed']:,} passed",
        **{f"not reported: pass@{k}": why for k, why in report["left_out"].items()},
        "timed out at first, then run alone": len(report["rerun"]),
        "kept apart by": report["isolation"],
        "a program may use": f"{limits['seconds']:g} s and {limits['memory_bytes'] >> 20:,} MiB",
        "graded with": f"Spanmix {report['spanmix']}, {machine}",
        **(report["settings"] or {"settings": "not known"}),
    }
    rows = [[html.text(name), html.text(value)] for name, value in facts.items()]
    cards = [
        (f"pass@{k}", f"{figure['value']:.3f}", f"{figure['low']:.3f} to {figure['high']:.3f}")
        for k, figure in report["pass_at_k"].items()
    ]
    sections = [
        ("Figures", html.join([html.cards(cards), html.table(["fact", "value"], rows, label_columns=2)])),
        ("Failed", _failures(problems, answers, graded)),
    ]
    kept = "with the rights of its user" if report["isolation"] == Unsafe.name else "in a sandbox"
    subtitle = f"Graded by Spanmix, each program {kept}. Intervals are 95 %, over problems."
    write_text(path, html.page(str(report["problems"]["name"]), subtitle, sections))


def _failures(problems: ProblemSet, answers: Sequence[Answer], graded: Graded) -> Html:
    by_id = {problem.task_id: problem for problem in problems.problems}
    failed = [
        (answer, verdict)
        for answer, verdict in zip(answers, graded.verdicts, strict=True)
        if not verdict.passed
    ]
    if not failed:
        return html.paragraph("None: every sample passed.")
    parts = []
    if len(failed) > _MOST_SHOWN:
        parts.append(html.paragraph(f"The first {_MOST_SHOWN} of {len(failed):,}.", note=True))
    for answer, verdict in failed[:_MOST_SHOWN]:
        problem = by_id[answer.task_id]
        completion = answer.fields.get("completion")
        shown = (
            [(problem.prompt, ""), (completion, "infill"), (problem.suffix or "", "")]
            if isinstance(completion, str)
            else [(answer.program, "infill")]
        )
        title = f"{answer.task_id}, sample {answer.sample}"
        shown = [(_visible(words), role) for words, role in shown]
        parts.append(html.code(shown, title=title, note=_visible(verdict.result[:400])))
    return html.join(parts)


def _visible(words: str) -> str:
    """Write what a page cannot hold, or would hide or turn around, as Python does.

    >>> _visible("a\\ud800\\x1b[31m\\n")
    'a\\\\ud800\\\\x1b[31m\\n'
    """
    return "".join(
        repr(one)[1:-1] if unicodedata.category(one) in _UNSEEN and one not in "\n\t" else one
        for one in words
    )
