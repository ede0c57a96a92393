"""The page's sections on what is in the corpus: languages, licences, and how long documents are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spanmix import html
from spanmix.amounts import count, share
from spanmix.html import Html
from spanmix.row_charts import Row, horizontal_bars, log_histogram
from spanmix.text.corpus_page.figures import CorpusFigures, SourceFigures
from spanmix.text.corpus_page.harmless import one_line
from spanmix.text.corpus_page.held_out import FEW_GROUPS, differences, page_warnings
from spanmix.text.corpus_page.searches import sources_without_licences
from spanmix.text.corpus_page.sides import Amount, Lengths, SideFigures

MOST_SHOWN = 30
_MOST_SOURCES = 100
NOT_KNOWN = "not known"
_TRAIN, _HELD_OUT, _UNKNOWN = 0, 1, 5
Amounts = Mapping[str, Amount]


def languages(figures: CorpusFigures) -> Html:
    """Return the languages of the whole corpus, on both sides."""
    words = (
        "Shares of the bytes of each side's files: what is held out should look like what is trained on. The "
        "language is the one that the source gave or that was detected."
    )
    return html.join([html.paragraph(words), _amounts(figures, "languages", "Languages")])


def licences(figures: CorpusFigures) -> Html:
    """Return the licences of the whole corpus, on both sides."""
    unknown = figures.licences.get("", 0)
    words = f"{unknown:,} of {count(figures.num_files, 'file')} have no licence that is known"
    if unknown:
        words += "; nothing is permitted by that. They are drawn in grey"
    files = [source.name for source in figures.sources if source.has_attribution]
    if not_searched := sources_without_licences(figures):
        named = ", ".join(map(one_line, not_searched[:MOST_SHOWN])) + ", …" * (len(not_searched) > MOST_SHOWN)
        words += f". Licences were not looked for in {named}: known is only what the source itself says"
    parts = [html.paragraph(f"{words}."), _amounts(figures, "licences", "Licences")]
    if files:
        named = ", ".join(f"audit/{name}.attribution.jsonl" for name in files[:MOST_SHOWN])
        parts.insert(1, html.paragraph(f"Whose work each file is stands in {named}.", note=True))
    return html.join(parts)


def _amounts(figures: CorpusFigures, name: str, title: str) -> Html:
    """Draw what there is of each, by bytes on either side, above a table of all figures."""
    train = _together([getattr(source.train, name) for source in figures.sources])
    held_out = _together([getattr(source.held_out, name) for source in figures.sources])
    keys = sorted(train.keys() | held_out.keys(), key=lambda key: (-_bytes_of(key, train, held_out), key))
    others = keys[MOST_SHOWN:]
    shown: list[tuple[str, int, Amount, Amount]] = []
    for key in keys[:MOST_SHOWN]:
        label, color = (one_line(key), _TRAIN) if key else (NOT_KNOWN, _UNKNOWN)
        shown.append((label, color, train.get(key, _NONE), held_out.get(key, _NONE)))
    if others:
        rest = [_together([{"": side.get(key, _NONE)} for key in others])[""] for side in (train, held_out)]
        shown.append((f"{len(others)} others", _TRAIN, rest[0], rest[1]))
    if not shown:
        return html.paragraph("There is no file.")
    totals = [sum(amount.bytes for amount in side.values()) for side in (train, held_out)]
    rows, cells = [], []
    for label, color, *sides in shown:
        shares = [side.bytes / total if total else 0.0 for side, total in zip(sides, totals, strict=True)]
        written = [share(side.bytes, total) for side, total in zip(sides, totals, strict=True)]
        rows.append(Row(label, " · ".join(written), [(0, shares[0], color), (0, shares[1], _HELD_OUT)]))
        numbers = [f"{n:,}" for side in sides for n in (side.number, side.bytes)]
        cells.append([html.text(cell) for cell in (label, *numbers)])
    chart = horizontal_bars(rows, title=title, note="train · held out", legend=("train", "held out"))
    columns = [title.lower(), "files, train", "bytes, train", "files, held out", "bytes, held out"]
    return html.columns([chart, html.table(columns, cells)])


_NONE = Amount(0, 0)


def _bytes_of(key: str, train: Amounts, held_out: Amounts) -> int:
    return train.get(key, _NONE).bytes + held_out.get(key, _NONE).bytes


def _together(many: Sequence[Amounts]) -> dict[str, Amount]:
    total: dict[str, Amount] = {}
    for amounts in many:
        for key, amount in amounts.items():
            before = total.get(key, _NONE)
            total[key] = Amount(before.number + amount.number, before.bytes + amount.bytes)
    return total


def held_out(figures: CorpusFigures) -> Html:
    """Return how far the held-out side of each source is from its training side."""
    rows = []
    for source in figures.sources[:_MOST_SOURCES]:
        draw = source.report.held_out_draw
        documents = source.report.held_out.documents
        cells = [one_line(source.name), f"{documents:,}", share(documents, source.in_corpus)]
        cells += ["–", "–"] if draw is None else [f"{draw.groups:,}", f"{draw.effective_groups:,.0f}"]
        apart = {one.what: one for one in differences(source.report, source.train, source.held_out)}
        for what in ("languages", "licences", "lengths"):
            one = apart.get(what)
            cells.append("–" if one is None else f"{one.distance:.2f} ({one.by_chance:.2f})")
        known = draw if draw is not None and draw.repository else None
        cells.append(f"{one_line(known.repository)}, {share(known.repository_share, 1)}" if known else "–")
        rows.append([html.text(cell) for cell in cells])
    words = (
        "What is measured on the held-out side is meant for text like that of the training side. Documents "
        "are held out by groups: near-copies stay together. Those of one size are how many equal ones would "
        f"say as much as those drawn, which differ in size (Kish); with fewer than {FEW_GROUPS} a measured "
        "loss is off by more than a tenth of how much the losses of documents differ. Distances are from 0, "
        "where both sides are alike, to 1: of languages and licences by bytes (total variation), of lengths "
        "by documents (Kolmogorov and Smirnov). In brackets is what a random draw of as many groups comes to "
        "on average."
    )
    columns = ["source", "documents", "of all", "groups", "of one size"]
    columns += ["languages apart", "licences apart", "lengths apart", "largest repository"]
    parts = [*map(html.warning, page_warnings(figures)), html.paragraph(words)]
    parts.append(html.table(columns, rows, caption="Held-out side of each source"))
    if len(figures.sources) > _MOST_SOURCES:
        parts.append(html.paragraph(f"These are the first {_MOST_SOURCES} sources.", note=True))
    return html.join(parts)


def lengths(source: SourceFigures) -> Html:
    """Return how long the documents of a source are, in tokens and in bytes."""
    sides = [("train", source.train), ("held out", source.held_out)]
    charts = [
        chart
        for unit in ("tokens", "bytes")
        for chart in [_histogram(source.name, unit, sides)]
        if chart is not None
    ]
    rows = []
    for unit in ("tokens", "bytes"):
        for name, side in sides:
            one: Lengths = getattr(side, unit)
            if sum(one.bins):
                numbers = [
                    f"{one.mean:,.1f}",
                    *(f"{n:,}" for n in (one.median, one.p90, one.p99, one.longest)),
                ]
                rows.append([html.text(cell) for cell in (f"{unit}, {name}", f"{sum(one.bins):,}", *numbers)])
    columns = ["length in", "documents", "mean", "median", "90 % up to", "99 % up to", "longest"]
    table = html.table(columns, rows, caption=f"{source.name}: lengths of documents")
    return html.join([html.columns(charts), table])


def _histogram(name: str, unit: str, sides: Sequence[tuple[str, SideFigures]]) -> Html | None:
    """Draw lengths over powers of two, from the shortest to the longest that occur."""
    bins = {side: getattr(figures, unit).bins for side, figures in sides}
    filled = [place for counts in bins.values() for place, count in enumerate(counts) if count]
    if not filled:
        return None
    first, stop = min(filled), max(filled) + 1
    series = [(side, _window(counts, first, stop)) for side, counts in bins.items()]
    labels = [_edge(place) for place in range(first, stop + 1)]
    label = f"{unit} in a document, in powers of two; k is 1,024"
    return log_histogram(series, title=f"{name}, {unit}", x_label=label, labels=labels)


def _window(counts: Sequence[int], first: int, stop: int) -> list[int]:
    padded = [*counts, *[0] * max(0, stop - len(counts))]
    return padded[first:stop]


def _edge(place: int) -> str:
    """Write where a bin of `Lengths` begins.

    >>> [_edge(place) for place in (0, 1, 2, 11, 21)]
    ['0', '1', '2', '1k', '1M']
    """
    if place == 0:
        return "0"
    for digits, unit in ((30, "G"), (20, "M"), (10, "k")):
        if place > digits:
            return f"{2 ** (place - 1 - digits)}{unit}"
    return str(2 ** (place - 1))
