"""Say in the Hub's terms what a corpus is: the YAML header of its data card.

Fields and their values are those of the Hub's documentation: "Dataset Cards", "Manual Configuration" and
"Licenses" (huggingface.co/docs/hub), and of ``DatasetCardData`` in huggingface_hub. A field of which the
corpus does not tell the value is left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from spanmix.text.corpus_page.figures import CorpusFigures, SourceFigures
from spanmix.text.document_table import table_path
from spanmix.text.filters.presets import resolve
from spanmix.text.languages.names import PROSE
from spanmix.text.report import HELD_OUT_SUFFIX

_LICENCE_NAMES = """
afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 cc-by-2.0
cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0
cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0
cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 gpl-2.0
gpl-3.0 isc lgpl-2.1 lgpl-3.0 lppl-1.3c mit mpl-2.0 ms-pl ncsa ofl-1.1 osl-3.0 postgresql unlicense wtfpl zlib
"""
_LICENCES = frozenset(_LICENCE_NAMES.split())
"""The Hub's identifiers that are SPDX's in lower case, with ``-only`` and ``-or-later`` taken off."""
_FAMILIES = {"odc-by-1.0": "odc-by", "odbl-1.0": "odbl", "pddl-1.0": "pddl", "c-uda-1.0": "c-uda"}
_JOINED = re.compile(r"\s+(?:AND|OR)\s+|[()]")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
          (10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"),
          (10**11, "10B<n<100B"), (10**12, "100B<n<1T"))  # fmt: skip


def header_fields(figures: CorpusFigures) -> dict[str, Any]:
    """Return the fields of a card's header in their order."""
    fields: dict[str, Any] = {"pretty_name": pretty_name(figures)}
    licences = hub_licences(list(figures.licences))
    fields["license"] = licences[0] if len(licences) == 1 else licences
    if "other" in licences:
        fields["license_name"] = "licences-of-each-document"
    if languages := [*(["code"] if has_code(figures) else []), *spoken_languages(figures)]:
        fields["language"] = languages
    fields["task_categories"] = ["text-generation"]
    fields["size_categories"] = [size_category(figures.total("documents"))]
    fields["tags"] = [*(["code"] if has_code(figures) else []), "spanmix", "megatron-core"]
    configs = [config for source in figures.sources for config in [_config(source)] if config]
    if configs:
        configs[0]["default"] = True
        fields["configs"] = configs
    return fields


def pretty_name(figures: CorpusFigures) -> str:
    """Return a name for people, made of the sources' names: a folder's name would say where it was made."""
    names = [source.name for source in figures.sources]
    named = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"Spanmix corpus: {named}"


def hub_licences(expressions: list[str]) -> list[str]:
    """Return the Hub's identifiers of all licences in some SPDX expressions.

    What has no identifier there, an exception included, is ``other``; ``""`` is ``unknown``.

    >>> hub_licences(["MIT", "GPL-2.0-or-later OR (MIT AND Zlib)", "", "GPL-2.0-only WITH GCC-exception-2.0"])
    ['gpl-2.0', 'mit', 'zlib', 'other', 'unknown']
    >>> hub_licences([])
    ['unknown']
    """
    found = {_hub_licence(name) for expression in expressions for name in _JOINED.split(expression)} - {None}
    if "" in expressions or not expressions:
        found.add("unknown")
    last = ["other", "unknown"]
    return sorted(name for name in found if name and name not in last) + [n for n in last if n in found]


def _hub_licence(name: str) -> str | None:
    name = name.strip().lower()
    if not name:
        return None
    plain = re.sub(r"(-only|-or-later|\+)$", "", name)
    if plain.startswith("gfdl-"):
        return "gfdl"
    return plain if plain in _LICENCES else _FAMILIES.get(plain, "other")


def has_code(figures: CorpusFigures) -> bool:
    """Whether a document is in a language that is known and is not one of prose."""
    known = {
        name
        for source in figures.sources
        for side in (source.train, source.held_out)
        for name in side.languages
    }
    return bool(known - PROSE - {""})


def spoken_languages(figures: CorpusFigures) -> list[str]:
    """Return the codes of the languages that people speak in which the prose of a source is, as far as a
    filter saw to it that it is in that one alone."""
    configs = {} if figures.recipe is None else {one.name: one.filters for one in figures.recipe.sources}
    found: set[str] = set()
    for source in figures.sources:
        if (config := configs.get(source.name)) is None:
            continue
        bounds = resolve(config)
        kept = source.train.languages.keys() | source.held_out.languages.keys()
        has_prose = bounds.kind == "prose" or (bounds.kind == "by_language" and kept & PROSE)
        if has_prose and source.in_corpus and len(bounds.prose_languages or ()) == 1:
            found.update(bounds.prose_languages or ())
    return sorted(found)


def size_category(num_documents: int) -> str:
    """Return the Hub's name for a number of documents.

    >>> size_category(0), size_category(1000), size_category(3 * 10**12)
    ('n<1K', '1K<n<10K', 'n>1T')
    """
    return next((name for limit, name in _SIZES if num_documents < limit), "n>1T")


def _config(source: SourceFigures) -> dict[str, Any] | None:
    """Name the tables of a source's documents as what the Hub's viewer shows; empty ones it cannot."""
    counts = {"train": source.report.train, "held_out": source.report.held_out}
    files = [
        {"split": side, "path": table_path(_prefix(source.name, side)).name}
        for side, one in counts.items()
        if one.documents
    ]
    return {"config_name": source.name, "data_files": files} if files else None


def _prefix(name: str, side: str) -> Path:
    return Path(name + (HELD_OUT_SUFFIX if side == "held_out" else ""))
