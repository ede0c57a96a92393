"""The page's sections on what was looked for: near-copies, secrets and personal data, benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spanmix import html
from spanmix.amounts import count, share
from spanmix.html import Html
from spanmix.text.corpus_page.figures import CorpusFigures
from spanmix.text.corpus_page.harmless import one_line, passage
from spanmix.text.corpus_page.notes import BenchmarkFigures, TaskFigures, TaskMatch
from spanmix.text.corpus_page.searches import KINDS, NOTHING, redacted_kinds, searches
from spanmix.text.problems.benchmarks import benchmark_names

_MOST_TASKS = 50
_MOST_DETECTORS = 8
_MOST_NAMES = 20


def looked_for(figures: CorpusFigures) -> Html:
    """Return a table of all that a recipe can look for: whether this one did, how, and what there was."""
    rows = []
    for one in searches(figures):
        names = ", ".join(one.sources[:_MOST_NAMES]) or "all"
        if len(one.sources) > _MOST_NAMES:
            names += f" and {len(one.sources) - _MOST_NAMES} more"
        cells = [html.text(one_line(cell)) for cell in (one.what, names, one.answer)]
        how = html.wrapped(one_line(one.how, 2000)) if one.how else html.text(NOTHING)
        rows.append([*cells, how, html.text(one.found)])
    words = (
        "Steps that the recipe asked for, and those that it did not. A number, 0 too, stands only where "
        "something was looked for; where it was not, take it that it is in the text."
    )
    columns = ["what", "sources", "looked for", "how", "found"]
    return html.join([html.paragraph(words), html.table(columns, rows, label_columns=5)])


def near_copies(figures: CorpusFigures) -> Html:
    """Return what was found of near-copies."""
    copies, recipe = figures.report.copies, figures.recipe
    if copies is None:
        return html.paragraph("Nothing is on record of near-copies in this corpus.")
    compared = NOTHING if copies.agreements is None else f"{copies.agreements:,}"
    rows = [
        ("comparisons: two documents that agreed in a band, once for each band", compared),
        ("pairs whose signatures agreed in the threshold", f"{copies.pairs:,}"),
        ("groups of two documents or more", f"{copies.groups:,}"),
        ("documents in the largest group", f"{copies.largest:,}" if copies.groups else NOTHING),
    ]
    parts = []
    if recipe is not None:
        duplicates = recipe.duplicates
        words = (
            f"Two documents are near-copies if they have a share of {duplicates.threshold:g} of their "
            f"windows of {duplicates.window_words} words in common, as estimated by MinHash. Exact copies "
            "are not among the figures. "
        )
        words += {
            "drop": "Of near-copies one was kept.",
            "together": "They were all kept, and each group lies on one side of the split.",
        }[duplicates.near]
        parts.append(html.paragraph(words))
    if copies.checked:
        wrong = share(copies.below_threshold, copies.checked)
        words = (
            f"{copies.checked:,} dropped documents, drawn by the seed, were compared word by word with what "
            f"was kept in their place: {wrong} of them had less in common than the threshold asks."
        )
        rows += [
            ("dropped near-copies whose true share was counted", f"{copies.checked:,}"),
            ("of these below the threshold", f"{copies.below_threshold:,}"),
            ("their mean true share", NOTHING if copies.mean_share is None else f"{copies.mean_share:.4f}"),
        ]
        parts.append(html.paragraph(words, note=True))
    table = html.table(["near-copies", "figure"], [[html.text(cell) for cell in row] for row in rows])
    return html.join([*parts, table])


def redactions(figures: CorpusFigures) -> Html:
    """Return how much was replaced of each kind that was looked for."""
    recipe = figures.recipe
    looked_for = {} if recipe is None else redacted_kinds(recipe)
    rows = []
    for source in figures.sources:
        found = source.redactions or {}
        kinds = [kind for kind, done in looked_for.items() if done and kind not in found]
        for kind in [*found, *kinds]:
            cells = [one_line(source.name), one_line(kind, 60)]
            if kind in found:
                one = found[kind]
                cells += [_detectors(one.detectors), f"{one.places:,}", f"{one.documents:,}"]
                cells.append(share(one.documents, source.kept))
            else:
                cells += [NOTHING, "0", "0", share(0, source.kept)]
            rows.append([html.text(cell) for cell in cells])
    off = [KINDS[kind] for kind, done in looked_for.items() if not done]
    if not rows:
        said = (
            "It is not on record whether secrets and personal data were looked for, and no replacement is."
            if recipe is None
            else "Secrets and personal data were not looked for: the recipe has no corpus.redaction, or all "
            "kinds are off in it."
        )
        return html.paragraph(f"{said} Take it that there are some.")
    words = (
        "What was found was replaced before the text was encoded. The audit files name path, line, length "
        "and detector, never the value. Rules miss some, so take it that a few are left. Names of persons "
        "were not looked for."
    )
    if off:
        words += f" Not looked for either: {', '.join(off)}."
    columns = ["source", "kind", "found by", "places", "documents", "of those kept"]
    return html.join([html.paragraph(words), html.table(columns, rows, label_columns=3)])


def _detectors(places: Mapping[str, int]) -> str:
    detectors = sorted(places.items(), key=lambda entry: (-entry[1], entry[0]))
    named = [f"{one_line(name, 60)} {number:,}" for name, number in detectors[:_MOST_DETECTORS]]
    if len(detectors) > _MOST_DETECTORS:
        named.append(f"{len(detectors) - _MOST_DETECTORS} others")
    return ", ".join(named)


def contamination(figures: CorpusFigures) -> Html:
    """Return what was matched of each benchmark: a table, and tasks with what matched where."""
    recipe = figures.recipe
    config = None if recipe is None else recipe.decontamination
    found = [
        (source.name, name, benchmark)
        for source in figures.sources
        for name, benchmark in (source.contamination or {}).items()
    ]
    rows = []
    for source, name, benchmark in found:
        numbers = (f"{len(benchmark.tasks):,}", f"{benchmark.documents:,}")
        cells = (one_line(source), one_line(name), ", ".join(sorted(benchmark.actions)), *numbers)
        rows.append([html.text(cell) for cell in cells])
    matched = {name for _, name, _ in found}
    names = [] if config is None else benchmark_names(config.benchmarks)
    for name in (name for name in names if name not in matched):
        rows.append([html.text(cell) for cell in ("all", one_line(name), NOTHING, "0", "0")])
    if not rows:
        words = (
            "It is not on record whether benchmarks were looked for, and no match is."
            if recipe is None
            else "Benchmarks were not looked for: the recipe has no corpus.decontamination. Problems of any "
            "may be in the text."
        )
        return html.paragraph(words)
    words = (
        "Documents that hold a problem of a benchmark, whether they were dropped or only reported. What the "
        "rules cannot find, such as a solution in other words, may be left."
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
    summary = f"{one_line(source)}, {one_line(name)}: {count(len(tasks), 'task')}, and what matched where"
    return html.details(summary, html.join([table, matches]))


def _matches(tasks: list[tuple[str, TaskFigures]]) -> Iterator[Html]:
    for task_id, task in tasks:
        for match in task.matches:
            yield _match(task_id, match)


def _match(task_id: str, match: TaskMatch) -> Html:
    where = f"{one_line(match.name, 300)}:{match.line}"
    facts = [one_line(task_id), f"{match.method} {match.kind}".strip()]
    facts += [f"{100 * match.share:.0f} % of it"] if match.share else []
    return html.code([(passage(match.matched), "")], title=where, note=" · ".join(facts))
