"""The page's first and last sections: the whole corpus in figures, whether it adds up, and what made it."""

from __future__ import annotations

import dataclasses
from typing import Any

from spanmix import html
from spanmix.html import Html
from spanmix.text.corpus_page.figures import CorpusFigures, SourceFigures, checks
from spanmix.text.corpus_page.harmless import one_line, share, size

NOT_ON_RECORD = "not on record"


def overview(figures: CorpusFigures) -> Html:
    """Return the cards, and a table with a row for each source."""
    num_read = sum(source.num_read for source in figures.sources)
    num_kept = sum(source.kept for source in figures.sources)
    tokens, num_bytes = figures.total("tokens"), figures.total("bytes")
    held_out = sum(source.report.held_out.documents for source in figures.sources)
    documents = figures.total("documents")
    cards = [
        ("Documents", f"{documents:,}", f"{held_out:,} of them held out"),
        ("Tokens", f"{tokens:,}", f"{num_bytes / max(1, tokens):.2f} bytes each"),
        ("Text", size(num_bytes), f"{num_bytes:,} bytes"),
        ("Kept", share(num_kept, num_read), f"{num_kept:,} of {num_read:,} that were read"),
    ]
    columns = [
        *("source", "read", "dropped", "kept", "train", "held out", "tokens, train", "tokens, held out"),
        *("bytes, train", "bytes, held out"),
    ]
    rows = [[html.text(cell) for cell in _cells(source)] for source in figures.sources]
    table = html.table(columns, rows, caption="Sources: documents, tokens and bytes")
    return html.join([html.cards(cards), table, _notes(figures)])


def _cells(source: SourceFigures) -> list[str]:
    train, held_out = source.report.train, source.report.held_out
    numbers = [
        *(source.num_read, source.num_dropped, source.kept, train.documents, held_out.documents),
        *(train.tokens, held_out.tokens, train.bytes, held_out.bytes),
    ]
    return [one_line(source.name), *(f"{number:,}" for number in numbers)]


def _notes(figures: CorpusFigures) -> Html:
    said = []
    if any(source.report.read is None for source in figures.sources):
        said.append(
            "This corpus was made before what was read was written down: read is here the sum of kept and "
            "dropped, and bytes of what was dropped are not known."
        )
    if any(source.kept != source.in_corpus for source in figures.sources):
        said.append("Files of a repository were joined, so that several kept ones are one document.")
    return html.join(html.paragraph(words, note=True) for words in said)


def sums(figures: CorpusFigures) -> Html:
    """Return the table of what was checked; `read_figures` refuses a corpus where one does not hold."""
    rows = [
        [html.text(one_line(check.source)), html.text(one_line(check.what, 400))]
        + [html.text(f"{number:,}") for number in (check.said, check.found)]
        + [html.text("✓" if check.said == check.found else "✗")]
        for check in checks(figures)
    ]
    words = (
        "Whatever was read was kept or dropped for a reason that is counted. This was checked when the page "
        "was made, against the files of the corpus; a corpus that does not add up has no page."
    )
    columns = ["source", "what holds", "corpus.json", "found", ""]
    return html.join([html.paragraph(words), html.table(columns, rows, label_columns=2)])


def settings(figures: CorpusFigures) -> Html:
    """Return what the corpus was made with, and its fingerprints."""
    report = figures.report
    entries: list[tuple[str, Any]] = [
        ("fingerprint of the corpus", report.fingerprint),
        ("fingerprint of the tokenizer", report.tokenizer),
        ("fingerprint of settings and input files", report.made_from),
        ("version of the format", report.format_version),
        ("entries of the tokenizer", f"{report.vocab_size:,}"),
        ("each document ends with EOD", "yes" if report.ends_with_eod else "no"),
    ]
    if report.made_with is not None:
        for section, fields in report.made_with.items():
            entries += _flat(section, fields)
    elif report.settings is not None:
        entries += _flat("corpus", dataclasses.asdict(report.settings))
    else:
        entries.append(("settings", NOT_ON_RECORD))
    rows = [
        [html.text(name), html.text(one_line(str(value), 400))]
        for name, value in entries
        if value is not None
    ]
    return html.table(["setting", "value"], rows, label_columns=2)


def _flat(prefix: str, fields: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return nested fields by their dotted names.

    >>> _flat("corpus", {"seed": 1, "layout": {"unit": "file"}})
    [('corpus.seed', 1), ('corpus.layout.unit', 'file')]
    """
    entries: list[tuple[str, Any]] = []
    for name, value in fields.items():
        dotted = f"{prefix}.{name}"
        entries += _flat(dotted, value) if isinstance(value, dict) else [(dotted, value)]
    return entries
