"""The page's sections on what was not taken: the way from read to kept, and each reason with examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spanmix import html
from spanmix.amounts import share, size
from spanmix.html import Html
from spanmix.row_charts import Row, horizontal_bars
from spanmix.text.corpus_page.dropped import Example
from spanmix.text.corpus_page.figures import SourceFigures
from spanmix.text.corpus_page.harmless import one_line, passage
from spanmix.text.dropped import EMPTY
from spanmix.text.duplicates.decide import REASONS

_MOST_BARS = 16
_MOST_REASONS = 100
_KEPT, _LOST, _TRAIN, _HELD_OUT = 2, 5, 0, 1
"""Colors of the bars."""


def funnel(source: SourceFigures) -> Html:
    """Return the way of a source's documents, and of their bytes, from what was read to both sides."""
    report = source.report
    sides = [("train", report.train.documents, _TRAIN), ("held out", report.held_out.documents, _HELD_OUT)]
    parts = [
        _steps(f"{source.name}, documents", source.num_read, report.dropped, source.kept, sides, _count),
    ]
    read = report.read
    if read is None:
        return html.columns(parts)
    sides = [("train", report.train.bytes, _TRAIN), ("held out", report.held_out.bytes, _HELD_OUT)]
    kept = read.bytes - sum(read.dropped_bytes.values())
    parts.append(_steps(f"{source.name}, bytes", read.bytes, read.dropped_bytes, kept, sides, size))
    return html.join([html.columns(parts), _changes(source, kept)])


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _steps(
    title: str,
    num_read: int,
    dropped: Mapping[str, int],
    kept: int,
    sides: list[tuple[str, int, int]],
    shown: Callable[[float], str],
) -> Html:
    """Draw a bar for all, one for what each reason took of what was left, and those of what is kept."""
    rows = [Row("read", shown(num_read), [(0, num_read, _KEPT)])]
    left = num_read
    for reason, number in _most(dropped):
        words = f"−{shown(number)}, {share(number, num_read)}"
        rows.append(Row(one_line(reason), words, [(max(0, left - number), left, _LOST)]))
        left -= number
    rows.append(Row("kept", f"{shown(kept)}, {share(kept, num_read)}", [(0, kept, _KEPT)]))
    rows += [
        Row(f"in the corpus, {name}", shown(number), [(0, number, color)]) for name, number, color in sides
    ]
    return horizontal_bars(rows, title=title, note="what each reason took, largest first")


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the largest entries that are not 0, and the others as one."""
    entries = sorted(((key, n) for key, n in counts.items() if n), key=lambda entry: (-entry[1], entry[0]))
    if len(entries) <= _MOST_BARS:
        return entries
    rest = entries[_MOST_BARS - 1 :]
    return [*entries[: _MOST_BARS - 1], (f"{len(rest)} other reasons", sum(number for _, number in rest))]


def _changes(source: SourceFigures, kept_bytes: int) -> Html:
    """Say what became of the texts that were kept."""
    report = source.report
    assert report.read is not None
    difference = report.train.bytes + report.held_out.bytes - kept_bytes
    parts = [html.paragraph(f"{one_line(words)}.") for words in report.read.other_fields(source.name)]
    if difference:
        words = (
            f"{source.name}: the text in the corpus is {abs(difference):,} bytes "
            f"{'longer' if difference > 0 else 'shorter'} than what was kept of what was read, since "
            "notebooks and markup became text, steps changed it, or headers were written in front."
        )
        parts.append(html.paragraph(words, note=True))
    if report.read.changed:
        rows = [
            [html.text(one_line(step)), html.text(f"{number:,}"), html.text(share(number, source.kept))]
            for step, number in report.read.changed.items()
        ]
        caption = f"{source.name}: documents that were kept and that a step changed"
        parts.append(html.table(["step", "documents", "of those kept"], rows, caption=caption))
    return html.join(parts)


def reasons(source: SourceFigures) -> Html:
    """Return a table of all reasons for which documents of a source were dropped, and examples of each."""
    report = source.report
    counts = sorted(report.dropped.items(), key=lambda entry: (-entry[1], entry[0]))
    counts = [entry for entry in counts if entry[1]]
    if not counts:
        return html.paragraph(f"{source.name}: nothing was dropped.")
    rows = []
    for reason, number in counts[:_MOST_REASONS]:
        figures = [f"{number:,}", share(number, source.num_read)]
        if report.read:
            num_bytes = report.read.known_bytes(reason)
            figures += ["–", "–"] if num_bytes is None else _with_share(num_bytes, report.read.bytes)
        rows.append([html.text(one_line(reason)), *map(html.text, figures)])
    columns = ["reason", "documents", "of those read"]
    columns += ["bytes, as far as known", "of all bytes"] if report.read else []
    table = html.table(columns, rows, caption=f"{source.name}: {source.num_dropped:,} dropped")
    parts = [table]
    if len(counts) > _MOST_REASONS:
        parts.append(html.paragraph(f"{len(counts) - _MOST_REASONS} rarer reasons are left out.", note=True))
    examples = source.dropped.examples if source.dropped else {}
    shown = [reason for reason, _ in counts[:_MOST_REASONS] if reason in examples]
    parts += [_examples(reason, report.dropped[reason], examples[reason]) for reason in shown]
    return html.join(parts)


def _with_share(num_bytes: int, all_bytes: int) -> list[str]:
    return [f"{num_bytes:,}", share(num_bytes, all_bytes)]


def _examples(reason: str, number: int, examples: tuple[Example, ...]) -> Html:
    measured = "same as" if reason in REASONS.values() else "measured"
    noun = "example" if len(examples) == 1 else "examples"
    summary = f"{one_line(reason)}: {len(examples)} {noun} of {number:,}"
    if any(one.excerpt for one in examples):
        return html.details(summary, html.columns(_example(one, measured) for one in examples))
    rows = []
    for one in examples:
        size_in_bytes = f"{one.num_bytes:,}" if one.num_bytes or reason == EMPTY else "–"
        cells = (one_line(one.name, 300), _rounded(one.value) or "–", size_in_bytes)
        rows.append([html.text(cell) for cell in cells])
    return html.details(summary, html.table(["document", measured, "bytes"], rows, label_columns=2))


def _example(example: Example, measured: str) -> Html:
    facts = [f"{measured} {_rounded(example.value)}"] if example.value else []
    facts += [f"{example.num_bytes:,} bytes"] if example.num_bytes else []
    words = passage(example.excerpt) or "(no excerpt was kept)"
    role = "" if example.excerpt else "hidden"
    return html.code([(words, role)], title=one_line(example.name, 300), note=" · ".join(facts))


def _rounded(value: str) -> str:
    """Write a measured value with four digits if it is a long fraction.

    >>> _rounded("0.083333333"), _rounded("1204"), _rounded("GPL-3.0-only")
    ('0.08333', '1204', 'GPL-3.0-only')
    """
    if "." in value and len(value) > 6:
        try:
            return f"{float(value):.4g}"
        except ValueError:
            pass
    return one_line(value)
