"""The page's sections on what was searched for: near-copies, secrets and personal data, benchmarks."""

from __future__ import annotations

from collections.abc import Iterator

from spanmix import html
from spanmix.html import Html
from spanmix.text.corpus_page.figures import CorpusFigures
from spanmix.text.corpus_page.harmless import one_line, passage, share
from spanmix.text.corpus_page.notes import BenchmarkFigures, TaskFigures, TaskMatch
from spanmix.text.corpus_page.removed import details

_MOST_TASKS = 50
_MOST_DETECTORS = 8


def near_copies(figures: CorpusFigures) -> Html:
    """Return what was found of near-copies."""
    copies = figures.report.copies
    if copies is None:
        return html.paragraph("Nothing is on record of near-copies in this corpus.")
    rows = [
        ("candidates: pairs that agreed in a band", f"{copies.candidates:,}"),
        ("pairs whose signatures agreed in the threshold", f"{copies.pairs:,}"),
        ("groups of two documents or more", f"{copies.groups:,}"),
        ("documents in the largest group", f"{copies.largest:,}"),
        ("dropped near-copies whose true share was counted", f"{copies.checked:,}"),
        ("of these below the threshold", f"{copies.below_threshold:,}"),
        ("their mean true share", "–" if copies.mean_share is None else f"{copies.mean_share:.4f}"),
    ]
    parts = [html.table(["near-copies", "figure"], [[html.text(cell) for cell in row] for row in rows])]
    if copies.checked:
        wrong = share(copies.below_threshold, copies.checked)
        words = (
            f"Signatures estimate the share of windows of words that two documents have in common. "
            f"{copies.checked:,} dropped documents, drawn by the seed, were compared word by word with what "
            f"was kept in their place: {wrong} of them had less in common than the threshold asks."
        )
        parts.append(html.paragraph(words, note=True))
    return html.join(parts)


def redactions(figures: CorpusFigures) -> Html:
    """Return how much was replaced of each kind."""
    rows = []
    for source in figures.sources:
        for kind, found in (source.redactions or {}).items():
            detectors = sorted(found.detectors.items(), key=lambda entry: (-entry[1], entry[0]))
            named = [f"{one_line(name, 60)} {number:,}" for name, number in detectors[:_MOST_DETECTORS]]
            if len(detectors) > _MOST_DETECTORS:
                named.append(f"{len(detectors) - _MOST_DETECTORS} others")
            numbers = (f"{found.places:,}", f"{found.documents:,}", share(found.documents, source.num_read))
            cells = (one_line(source.name), one_line(kind, 60), *numbers, ", ".join(named))
            rows.append([html.text(cell) for cell in cells])
    if not rows:
        words = (
            "No replacement is on record: secrets and personal data were not looked for, or none were found. "
            "Take it that there are some."
        )
        return html.paragraph(words)
    words = (
        "What was found was replaced before the text was encoded. The audit files name path, line, length "
        "and detector, never the value. Rules miss some, so take it that a few are left."
    )
    columns = ["source", "kind", "places", "documents", "of those read", "found by"]
    return html.join([html.paragraph(words), html.table(columns, rows, label_columns=2)])


def contamination(figures: CorpusFigures) -> Html:
    """Return what was matched of each benchmark: a table, and tasks with what matched where."""
    found = [
        (source.name, name, benchmark)
        for source in figures.sources
        for name, benchmark in (source.contamination or {}).items()
    ]
    if not found:
        words = (
            "No match with a benchmark is on record: benchmarks were not searched for, or no document holds "
            "a problem of theirs."
        )
        return html.paragraph(words)
    rows = []
    for source, name, benchmark in found:
        numbers = (f"{len(benchmark.tasks):,}", f"{benchmark.documents:,}")
        cells = (one_line(source), one_line(name), ", ".join(sorted(benchmark.actions)), *numbers)
        rows.append([html.text(cell) for cell in cells])
    words = (
        "Matches of documents with problems of benchmarks, whether they were dropped or only reported. A "
        "benchmark that nothing matched is not listed."
    )
    columns = ["source", "benchmark", "what was done", "tasks", "documents"]
    parts = [html.paragraph(words), html.table(columns, rows, label_columns=3)]
    parts += [_tasks(*one) for one in found]
    return html.join(parts)


def _tasks(source: str, name: str, benchmark: BenchmarkFigures) -> Html:
    tasks = sorted(benchmark.tasks.items(), key=lambda entry: (-entry[1].documents, entry[0]))
    rows = []
    for task_id, task in tasks[:_MOST_TASKS]:
        methods = ", ".join(sorted(one_line(method, 60) for method in task.methods))
        rows.append([html.text(cell) for cell in (one_line(task_id), f"{task.documents:,}", methods)])
    rest = tasks[_MOST_TASKS:]
    if rest:
        number = sum(task.documents for _, task in rest)
        rows.append([html.text(f"{len(rest):,} others"), html.text(f"{number:,}"), html.text("")])
    table = html.table(["task", "documents", "method"], rows)
    matches = html.columns(_matches(tasks[:_MOST_TASKS]))
    summary = f"{one_line(source)}, {one_line(name)}: {len(tasks):,} tasks, and what matched where"
    return details(summary, html.join([table, matches]))


def _matches(tasks: list[tuple[str, TaskFigures]]) -> Iterator[Html]:
    for task_id, task in tasks:
        for match in task.matches:
            yield _match(task_id, match)


def _match(task_id: str, match: TaskMatch) -> Html:
    where = f"{one_line(match.path, 300)}:{match.line}"
    facts = [one_line(task_id), f"{match.method} {match.kind}".strip()]
    facts += [f"{100 * match.share:.0f} % of it"] if match.share else []
    return html.code([(passage(match.matched), "")], title=where, note=" · ".join(facts))
