"""The page's sections on the whole corpus: its figures, and whether they add up."""

from __future__ import annotations

from spanmix import html
from spanmix.amounts import share, size
from spanmix.html import Html
from spanmix.text.corpus_page.figures import CorpusFigures, SourceFigures, checks
from spanmix.text.corpus_page.harmless import one_line
from spanmix.text.corpus_page.held_out import page_warnings


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
    warnings = page_warnings(figures)
    if warnings:
        number = "One thing is" if len(warnings) == 1 else f"{len(warnings)} things are"
        said = html.warning(f"{number} to be known of what is held out; see the section on it. {warnings[0]}")
    else:
        said = html.text("")
    return html.join([html.cards(cards), said, table, _notes(figures)])


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
        + [html.text("yes" if check.said == check.found else "no")]
        for check in checks(figures)
    ]
    words = (
        "Whatever was read was kept or dropped for a reason that is counted. This was checked when the page "
        "was made, against the files of the corpus; a corpus that does not add up has no page."
    )
    columns = ["source", "what holds", "corpus.json", "found", "equal"]
    return html.join([html.paragraph(words), html.table(columns, rows, label_columns=2)])
