"""Write ``report.html``: what a run learnt, measured and filled in, on one page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spanmix import html
from spanmix.charts import Series, line_chart
from spanmix.evaluate.infill_match import InfillFigures, InfillSample
from spanmix.evaluate.memorization_report import memorization_section
from spanmix.files import write_text
from spanmix.html import Html

Metrics = Sequence[Mapping[str, Any]]

_CONDITIONS = {
    "suffix_shown": "suffix shown",
    "suffix_hidden": "suffix hidden",
    "left_to_right": "left to right",
}
_KINDS = {"single_line": "Single lines", "multi_line": "Several lines", "in_word": "From inside a word"}


def write_report(
    path: Path, results: Mapping[str, Any], metrics: Metrics = (), infill: Sequence[InfillFigures] = ()
) -> None:
    """Write the page, whole or not at all; the same input gives the same bytes.

    Args:
        path: the file.
        results: what `spanmix.evaluate.results.gather` returned, or ``results.json`` read back.
        metrics: the lines of ``metrics.jsonl``.
        infill: where the samples come from; none are shown without it.
    """
    parts = [
        ("Held-out files", _losses(results)),
        ("Infill", _infill(results)),
        ("Filled in", _samples(infill)),
        ("Memorization", memorization_section(results)),
        ("Training", _training(metrics)),
        ("The run", _facts(results)),
    ]
    sections = [(heading, content) for heading, content in parts if content]
    cards = _cards(results)
    if cards and sections:
        sections[0] = (sections[0][0], html.join([cards, sections[0][1]]))
    subtitle = "Measured by Spanmix. Intervals are 95 %, over files."
    write_text(path, html.page(str(results["title"]), subtitle, sections))


def _digits(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def _ranged(interval: Mapping[str, float], write: Any = _digits) -> Html:
    return html.figure_with_range(*(write(interval[end]) for end in ("value", "low", "high")))


def _thousands(value: float) -> str:
    return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _cards(results: Mapping[str, Any]) -> Html:
    entries = []
    for name, source in results["sources"].items():
        loss = source["loss"]["bits_per_byte"]
        beside = f"{loss['low']:.3f} to {loss['high']:.3f}"
        if "ratio_to_xz" in source:
            beside = f"{source['ratio_to_xz']['value']:.3f} times xz -9e on the same files"
        entries.append((f"{name}: bits per byte", _digits(loss["value"]), beside))
    for figures in results["infill"]:
        kind = _KINDS[figures["kind"]]
        gain = figures["suffix_gain"]["better"]
        verdict = (
            "the interval excludes 0" if gain["high"] < 0 or gain["low"] > 0 else "the interval includes 0"
        )
        entries.append((f"{kind}: suffix effect", _signed(gain["value"]), f"bits per byte; {verdict}"))
        match = figures["matches"].get("suffix_shown")
        if match and figures["kind"] == "single_line":
            similar = f"edit similarity {match['edit_similarity_stripped']['value']:.3f}"
            entries.append((f"{kind}: exact match", _percent(match["exact_stripped"]["value"]), similar))
    return html.cards(entries) if entries else Html("")


def _losses(results: Mapping[str, Any]) -> Html:
    if not results["sources"]:
        return Html("")
    rows = []
    for name, source in results["sources"].items():
        loss, xz, after = source["loss"], source.get("xz"), source.get("xz_after_training")
        rows.append(
            [
                html.text(name),
                html.text(
                    f"{_thousands(loss['num_files'])} files, {_thousands(loss['num_bytes'] / 1000)} kB"
                ),
                _ranged(loss["bits_per_byte"]),
                _ranged(xz["bits_per_byte"]) if xz else html.text("–"),
                _ranged(source["ratio_to_xz"]) if xz else html.text("–"),
                html.text(_digits(after["bits_per_byte"]) if after else "–"),
            ]
        )
    headings = (
        "Source",
        "Held out",
        "Model",
        "xz -9e, file by file",
        "Model over xz",
        "xz(train + held) − xz(train)",
    )
    note = (
        "Every byte is charged, the first of each file too, and the bits of all tokens are divided by all "
        "bytes. Files longer than the context are scored in overlapping windows. The last column is what the "
        "held-out files cost xz after it has read the training files, of which it remembers 64 MiB."
    )
    caption = "Bits per byte of held-out files"
    return html.join(
        [html.table(headings, rows, caption=caption, label_columns=2), html.paragraph(note, note=True)]
    )


def _infill(results: Mapping[str, Any]) -> Html:
    parts = []
    for figures in results["infill"]:
        about = (
            f"{_KINDS[figures['kind']]}: {_thousands(figures['num_spans'])} spans in "
            f"{_thousands(figures['num_files'])} held-out files of {figures['source']}"
        )
        rows = [_condition_row(figures, condition) for condition in _CONDITIONS]
        headings = (
            "Condition",
            "Bits per byte of the middle",
            "Suffix shown minus this",
            "Exact match",
            "Edit similarity",
            "Stopped by itself",
        )
        parts.append(html.table(headings, rows, caption=about))
        gain = figures["suffix_gain"]["better"]
        parts.append(
            html.paragraph(
                "Against the better of the other two, showing the suffix changes the cost of the true middle "
                f"by {_signed(gain['value'])} bits per byte ({_signed(gain['low'])} to "
                f"{_signed(gain['high'])}, paired over files). {_thousands(figures['num_too_long'])} drawn "
                f"spans of more than {figures['max_middle_tokens']} tokens gave way to others."
            )
        )
    if parts:
        note = (
            "A span is whole lines; the prefix ends with a newline. Prefix and middle are the same tokens in "
            "all three rows, and only the middle is charged. What the model writes, greedily, is compared "
            "without the blanks at both ends; left to right, it is cut behind its first newline, and not "
            "tried for several lines."
        )
        parts.append(html.paragraph(note, note=True))
    return html.join(parts)


def _condition_row(figures: Mapping[str, Any], condition: str) -> list[Html]:
    none = html.text("–")
    gain = figures["suffix_gain"].get(condition)
    match = figures["matches"].get(condition)
    words = _CONDITIONS[condition]
    return [
        html.strong(words) if condition == "suffix_shown" else html.text(words),
        _ranged(figures["bits_per_byte"][condition]),
        _ranged(gain, _signed) if gain else none,
        _ranged(match["exact_stripped"], _percent) if match else none,
        _ranged(match["edit_similarity_stripped"]) if match else none,
        _ranged(match["stopped"], _percent) if match else none,
    ]


def _samples(infill: Sequence[InfillFigures]) -> Html:
    shown = [sample for figures in infill for sample in figures.samples[: 12 // max(1, len(infill))]]
    if not shown:
        return Html("")
    words = (
        "The first spans of the seeded order, chosen by nobody. Green is what the model wrote with the "
        "suffix shown; orange is what stood there, where it differs."
    )
    return html.join([html.paragraph(words), html.columns(_sample(sample) for sample in shown)])


def _sample(sample: InfillSample) -> Html:
    answer = sample.answers.get("suffix_shown", "")
    parts = [(sample.prefix_tail, ""), (answer, "infill")]
    same = answer.strip() == sample.middle.strip()
    if not same:
        gap = "" if answer.endswith("\n") else "\n"
        parts += [(gap, ""), (sample.middle, "truth")]
    elif not answer.endswith("\n"):
        parts.append(("\n", ""))
    parts.append((sample.suffix_head, "hidden"))
    note = f"line {sample.line}, " + ("as it was" if same else "differs")
    return html.code(parts, title=sample.path, note=note)


def _training(metrics: Metrics) -> Html:
    charts = [
        _chart(metrics, "train", "loss", "objective", "Training loss by objective", "nats per token"),
        _chart(metrics, "train", "loss", "source", "Training loss by source", "nats per token"),
        _hook_charts(metrics),
        _chart(metrics, "speed", "tokens_per_second", None, "Speed", "tokens per second", from_zero=True),
        _chart(metrics, "train", "learning_rate", None, "Learning rate", "AdamW's", from_zero=True),
    ]
    drawn = [chart for chart in charts if chart]
    return html.columns(drawn) if drawn else Html("")


def _chart(
    metrics: Metrics, kind: str, name: str, label: str | None, title: str, unit: str, from_zero: bool = False
) -> Html:
    """Draw one quantity against the tokens seen; one line for each value of `label`."""
    chosen = [line for line in metrics if (line["kind"], line["name"]) == (kind, name)]
    if label is None:
        named = [
            (name.replace("_", " "), line) for line in chosen if not {"source", "objective"} & line.keys()
        ]
    else:
        named = [(str(line[label]), line) for line in chosen if label in line]
    return _lines(named, title, unit, from_zero)


def _hook_charts(metrics: Metrics) -> Html:
    """Draw what hooks measured, one chart for each kind of hook."""
    kinds = dict.fromkeys(str(line["kind"]) for line in metrics if line["kind"] not in ("train", "speed"))
    charts = []
    for kind in kinds:
        chosen = [line for line in metrics if line["kind"] == kind]
        named = [
            (" ".join(str(line[key]) for key in ("name", "source", "objective") if key in line), line)
            for line in chosen
        ]
        unit = "nats per token" if kind == "held_out" else ""
        charts.append(_lines(named, kind.replace("_", " ").capitalize(), unit, False))
    return html.join(charts)


def _lines(named: Iterable[tuple[str, Mapping[str, Any]]], title: str, unit: str, from_zero: bool) -> Html:
    points: dict[str, tuple[list[float], list[float]]] = {}
    for name, line in named:
        x, y = points.setdefault(name, ([], []))
        x.append(float(line["tokens"]))
        y.append(float(line["value"]))
    series = [Series(name, x, y) for name, (x, y) in points.items()]
    if not series:
        return Html("")
    return line_chart(series, title=title, x_label="tokens seen", y_label=unit, from_zero=from_zero)


def _facts(results: Mapping[str, Any]) -> Html:
    parts = []
    if results["facts"]:
        rows = [[html.text(name), html.text(value)] for name, value in results["facts"].items()]
        parts.append(html.table(("Fact", "Value"), rows, label_columns=2))
    if results["seconds"]:
        phases = [*results["seconds"].items(), ("all together", sum(results["seconds"].values()))]
        rows = [[html.text(name), html.text(_digits(seconds, 1))] for name, seconds in phases]
        parts.append(html.table(("Phase", "Seconds"), rows))
    return html.columns(parts) if parts else Html("")
