"""Write a corpus's ``report.html``: what is in it, what became of all that was read, and examples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spanmix import html
from spanmix.files import write_text
from spanmix.html import Html
from spanmix.text.corpus_page.contents import held_out, languages, lengths, licences
from spanmix.text.corpus_page.figures import CorpusFigures, SourceFigures, read_figures
from spanmix.text.corpus_page.found import contamination, looked_for, near_copies, redactions
from spanmix.text.corpus_page.opt_outs import opt_outs
from spanmix.text.corpus_page.overview import overview, sums
from spanmix.text.corpus_page.removed import funnel, reasons
from spanmix.text.corpus_page.settings import settings

PAGE_FILE = "report.html"
_MOST_SOURCES = 20
"""More sources than this are in the tables alone, so that the page stays small."""


def write_corpus_page(folder: Path, figures: CorpusFigures | None = None) -> None:
    """Write ``report.html`` into a corpus folder; the same corpus gives the same bytes.

    Args:
        folder: of a corpus, also of an old one; see `read_figures` for what is read.
        figures: what `read_figures` returned of it, if that is at hand.

    Raises:
        InputError: it is no corpus, a file is damaged, or its numbers do not add up.
    """
    write_text(folder / PAGE_FILE, corpus_page(figures or read_figures(folder)))


def corpus_page(figures: CorpusFigures) -> Html:
    """Return the page."""
    names = [source.name for source in figures.sources]
    named = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    warning = (
        "Excerpts are of text that is not in the corpus. No secret or name in them was replaced, and their "
        "licences may forbid what those of the corpus allow: look at them before this page is published."
    )
    sections = [
        ("Overview", overview(figures)),
        ("From read to kept", _each(figures, funnel)),
        ("What was looked for", looked_for(figures)),
        ("What was dropped", html.join([html.paragraph(warning, note=True), _each(figures, reasons)])),
        ("Languages", languages(figures)),
        ("Licences", licences(figures)),
        ("Opting out", opt_outs(figures)),
        ("Lengths", _each(figures, lengths)),
        ("Held-out side", held_out(figures)),
        ("Near-copies", near_copies(figures)),
        ("Secrets and personal data", redactions(figures)),
        ("Benchmarks", contamination(figures)),
        ("It adds up", sums(figures)),
        ("Settings and versions", settings(figures)),
    ]
    return html.page(f"Corpus: {named}", "What is in it, and what became of all that was read.", sections)


def _each(figures: CorpusFigures, part: Callable[[SourceFigures], Html]) -> Html:
    """Return a part for each source, of the largest ones if they are many."""
    sources = figures.sources
    if len(sources) <= _MOST_SOURCES:
        return html.join(part(source) for source in sources)
    largest = sorted(sources, key=lambda source: (-source.num_read, source.name))[:_MOST_SOURCES]
    words = f"The {_MOST_SOURCES} largest of {len(sources)} sources; the table above has all."
    return html.join([html.paragraph(words, note=True), *(part(source) for source in largest)])
