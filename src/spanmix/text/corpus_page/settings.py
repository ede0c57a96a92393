"""The page's last section: all settings that the corpus was made with, and its fingerprints."""

from __future__ import annotations

import dataclasses
from typing import Any

from spanmix import html
from spanmix.corpus_configs.filters import FROM_PRESET
from spanmix.html import Html
from spanmix.text.corpus_page.figures import CorpusFigures
from spanmix.text.corpus_page.harmless import one_line, passage
from spanmix.text.shown_paths import without_places

NOT_ON_RECORD = "not on record"
_LONG = 200
"""A longer value is folded, whole."""


def settings(figures: CorpusFigures) -> Html:
    """Return a table of all settings but those of sources, and what each source was made with."""
    report = figures.report
    entries: list[tuple[str, Any]] = [
        ("fingerprint of the corpus", report.fingerprint),
        ("fingerprint of the tokenizer", report.tokenizer),
        ("fingerprint of settings and input files", report.made_from),
        ("version of the format", report.format_version),
        ("entries of the tokenizer", f"{report.vocab_size:,}"),
        ("each document ends with EOD", report.ends_with_eod),
    ]
    sources: list[dict[str, Any]] = []
    if report.made_with is not None:
        for section, fields in without_places(report.made_with).items():
            if section == "corpus":
                sources = fields.get("sources", [])
                fields = {name: value for name, value in fields.items() if name != "sources"}
            entries += _flat(section, fields)
    elif report.settings is not None:
        entries += _flat("corpus", dataclasses.asdict(report.settings))
    else:
        entries.append(("settings", NOT_ON_RECORD))
    rows = [[html.text(name), _value(value)] for name, value in entries]
    parts = [html.table(["setting", "value"], rows, label_columns=2)]
    parts += [_source(source) for source in sources]
    return html.join(parts)


def _value(value: Any) -> Html:
    """Write a value whole; a long one opens behind its beginning."""
    words = _written(value)
    whole = html.wrapped(one_line(words, len(words)))
    return html.details(one_line(words, _LONG), whole) if len(words) > _LONG else whole


def _written(value: Any) -> str:
    """Write a value as a person would.

    >>> _written(None), _written(True), _written([]), _written(["a", "b"]), _written(0.02)
    ('not set', 'yes', 'none', 'a, b', '0.02')
    """
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_written, value)) or "none"
    return str(value)


def _source(source: dict[str, Any]) -> Html:
    """Return what a recipe says of a source, as it would stand in one, without what is left to a preset."""
    import yaml

    fields = dict(source)
    if isinstance(fields.get("filters"), dict):
        fields["filters"] = {name: value for name, value in fields["filters"].items() if value != FROM_PRESET}
    written = yaml.safe_dump([fields], sort_keys=False, allow_unicode=True, width=100)
    name = one_line(str(source.get("name")))
    return html.details(
        f"Settings of the source {name}", html.code([(passage(written, len(written)), "")], title=name)
    )


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
