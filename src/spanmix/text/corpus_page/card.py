"""Write a corpus's data card: a ``README.md`` with which it can lie on the Hub."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from spanmix.files import write_text
from spanmix.text.corpus_page.card_header import header_fields, pretty_name
from spanmix.text.corpus_page.figures import CorpusFigures, read_figures
from spanmix.text.corpus_page.harmless import markdown, share, size
from spanmix.text.corpus_page.page import PAGE_FILE
from spanmix.text.report import HELD_OUT_SUFFIX

CARD_FILE = "README.md"
_MOST_ROWS = 30


def write_card(folder: Path, figures: CorpusFigures | None = None) -> None:
    """Write ``README.md`` into a corpus folder, in the place of one; the same corpus gives the same bytes.

    Args:
        folder: of a corpus, also of an old one; see `read_figures` for what is read.
        figures: what `read_figures` returned of it, if that is at hand.

    Raises:
        InputError: it is no corpus, a file is damaged, or its numbers do not add up.
    """
    write_text(folder / CARD_FILE, corpus_card(figures or read_figures(folder)))


def corpus_card(figures: CorpusFigures) -> str:
    """Return the card."""
    import yaml

    header = yaml.safe_dump(header_fields(figures), sort_keys=False, allow_unicode=True)
    sections: dict[str, Callable[[CorpusFigures], list[str]]] = {
        "What is in it": _contents,
        "How it was made": _making,
        "What was removed, and why": _removed,
        "Licences and attribution": _licences,
        "Personal data": _personal_data,
        "Benchmarks": _benchmarks,
        "Opting out": _opting_out,
        "Loading it": _loading,
    }
    lines = ["---", header.rstrip("\n"), "---", "", f"# {markdown(pretty_name(figures))}"]
    for heading, write in sections.items():
        lines += ["", f"## {heading}", "", *write(figures)]
    return "\n".join(lines) + "\n"


def _contents(figures: CorpusFigures) -> list[str]:
    documents, tokens, num_bytes = (figures.total(name) for name in ("documents", "tokens", "bytes"))
    rows = []
    for source in figures.sources:
        for side, one in (("train", source.report.train), ("held out", source.report.held_out)):
            numbers = (f"{one.documents:,}", f"{one.tokens:,}", f"{one.bytes:,}")
            rows.append((markdown(source.name), side, *numbers))
    return [
        f"{documents:,} documents, {tokens:,} tokens, {num_bytes:,} bytes ({size(num_bytes)}) of text, as "
        f"ids of the tokenizer in `tokenizer/` with {figures.report.vocab_size:,} entries. Tokens are "
        "counted without the one that ends each document. What is held out is for measuring, and not for "
        "training.",
        "",
        *_table(("source", "side", "documents", "tokens", "bytes"), rows),
        "",
        *_table(("language", "documents", "share"), _languages(figures, documents)),
        "",
        f"`{PAGE_FILE}` has lengths, languages and licences by side, and what became of all that was read.",
    ]


def _languages(figures: CorpusFigures, documents: int) -> list[tuple[str, ...]]:
    counts: dict[str, int] = {}
    for source in figures.sources:
        for side in (source.train, source.held_out):
            for name, amount in side.languages.items():
                counts[name] = counts.get(name, 0) + amount.documents
    return _largest(counts, documents)


def _making(figures: CorpusFigures) -> list[str]:
    report = figures.report
    num_read, num_kept = (sum(getattr(s, name) for s in figures.sources) for name in ("num_read", "kept"))
    lines = [
        f"Spanmix (`spanmix prepare`) read {num_read:,} documents and kept {num_kept:,} of them. Each was "
        "kept, or dropped for a reason that is counted below; that this adds up was checked when the card "
        "was written.",
        "",
    ]
    rows = [
        (
            markdown(one.name),
            f"{one.num_read:,}",
            f"{one.num_dropped:,}",
            f"{one.kept:,}",
            f"{one.in_corpus:,}",
        )
        for one in figures.sources
    ]
    lines += _table(("source", "read", "dropped", "kept", "documents of the corpus"), rows)
    changed = [
        f"{markdown(step)} changed {number:,} documents of {markdown(source.name)}"
        for source in figures.sources
        if source.report.read
        for step, number in source.report.read.changed.items()
    ]
    lines += ["", f"{'; '.join(changed)}."] if changed else []
    copies = report.copies
    if copies is not None:
        lines += [
            "",
            f"Exact copies were dropped. Near-copies were searched for by MinHash: {copies.pairs:,} pairs in "
            f"{copies.groups:,} groups, the largest of {copies.largest:,} documents."
            + (
                f" Of {copies.checked:,} near-copies that were dropped and compared word by word, "
                f"{copies.below_threshold:,} had less in common than the threshold asks."
                if copies.checked
                else ""
            ),
        ]
    if report.settings is not None:
        split = report.settings
        lines += [
            "",
            f"A share of {split.held_out_share:g} of the groups of near-copies was held out, drawn by the "
            f"seed {split.seed}. Files of more than {split.max_document_bytes:,} bytes were left out.",
        ]
    return [
        *lines,
        "",
        f"Fingerprint of the corpus: {markdown(report.fingerprint)}; of the settings and input files: "
        f"{markdown(report.made_from)}; version {report.format_version} of the format.",
    ]


def _removed(figures: CorpusFigures) -> list[str]:
    rows = []
    for source in figures.sources:
        read = source.report.read
        dropped = {reason: number for reason, number in source.report.dropped.items() if number}
        entries = sorted(dropped.items(), key=lambda entry: (-entry[1], entry[0]))
        for reason, number in entries[:_MOST_ROWS]:
            num_bytes = f"{read.dropped_bytes.get(reason, 0):,}" if read else "not on record"
            of_all = share(number, source.num_read)
            rows.append((markdown(source.name), markdown(reason), f"{number:,}", of_all, num_bytes))
        if rest := entries[_MOST_ROWS:]:
            number = sum(count for _, count in rest)
            of_all = share(number, source.num_read)
            rows.append((markdown(source.name), f"{len(rest)} others", f"{number:,}", of_all, ""))
    if not rows:
        return ["Nothing was."]
    lines = _table(("source", "reason", "documents", "of those read", "bytes, as far as known"), rows)
    if any(source.dropped for source in figures.sources):
        lines += [
            "",
            "`audit/NAME.dropped.parquet` lists each of them with what was measured. It and the examples in "
            f"`{PAGE_FILE}` quote text that was **not** taken, without anything replaced in it: look at both "
            "before publishing them.",
        ]
    return lines


def _licences(figures: CorpusFigures) -> list[str]:
    documents = figures.total("documents")
    lines = [
        "Each document keeps the licence that its source gave or that was found in it; `licence` in "
        "`NAME.documents.parquet` has it beside the path. The corpus as a whole has no licence of its own.",
        "",
        *_table(("licence", "documents", "share"), _largest(figures.licences, documents)),
    ]
    unknown = figures.licences.get("", 0)
    if unknown:
        lines += [
            "",
            f"**{unknown:,} documents have no licence that is known**, which permits nothing by itself.",
        ]
    named = [
        f"`audit/{source.name}.attribution.jsonl`" for source in figures.sources if source.has_attribution
    ]
    if named:
        lines += ["", f"Repositories and copyright lines of the documents: {', '.join(named[:_MOST_ROWS])}."]
    else:
        lines += ["", "Copyright lines were not collected; they stand in the documents that have them."]
    return lines


def _personal_data(figures: CorpusFigures) -> list[str]:
    rows = [
        (markdown(source.name), markdown(kind), f"{found.places:,}", f"{found.documents:,}")
        for source in figures.sources
        for kind, found in (source.redactions or {}).items()
    ]
    if not rows:
        return [
            "No replacement of secrets or personal data is on record: they were not looked for, or none were "
            "found. Take it that there are some."
        ]
    return [
        "These were found by rules and replaced in the text; the audit files name the places, not the "
        "values. Rules miss some, and names of persons were not looked for.",
        "",
        *_table(("source", "kind", "places", "documents"), rows),
    ]


def _benchmarks(figures: CorpusFigures) -> list[str]:
    rows = [
        (
            markdown(source.name),
            markdown(name),
            f"{len(found.tasks):,}",
            f"{found.documents:,}",
            markdown(", ".join(sorted(found.actions))),
        )
        for source in figures.sources
        for name, found in (source.contamination or {}).items()
    ]
    if not rows:
        return [
            "No match with a benchmark is on record: none was searched for, or no document holds a problem "
            "of one."
        ]
    return [
        "Documents that hold problems of benchmarks, and what was done with them; "
        "`audit/NAME.contamination.jsonl` says what matched where.",
        "",
        *_table(("source", "benchmark", "tasks", "documents", "what was done"), rows),
    ]


def _opting_out(figures: CorpusFigures) -> list[str]:
    return [
        "> **Placeholder.** No contact is set. Whoever publishes this corpus writes here an address at which "
        "authors can ask that their work be left out, and how fast that is done.",
        "",
        "Who made a corpus leaves out what an opt-out list names (owner, repository or path) by preparing it "
        "again with that list.",
    ]


def _loading(figures: CorpusFigures) -> list[str]:
    source = next((one for one in figures.sources if one.report.train.documents), figures.sources[0])
    name = source.name
    others = f"`{name}{HELD_OUT_SUFFIX}` is the held-out side; each source has both."
    return [
        "With Spanmix, which checks every id against the fingerprint; a recipe has it as "
        "`corpus: {path: FOLDER}`:",
        "",
        "```python",
        "from spanmix.text.corpus import Corpus",
        "",
        'corpus = Corpus.open(".")  # this folder',
        f'source = corpus.train["{name}"]',
        "print(len(source), source.path(0), source.text(0))",
        "```",
        "",
        f"With Megatron-Core, whose indexed data sets the `.bin` and `.idx` files are. {others}",
        "",
        "```python",
        "from megatron.core.datasets.indexed_dataset import IndexedDataset",
        "",
        f'dataset = IndexedDataset("{name}")  # this folder\'s {name}.bin and {name}.idx',
        "print(len(dataset), dataset[0])  # ids of the first document and EOD",
        "```",
        "",
        "What the Hub shows are the tables of documents: path, language, licence and bytes, not the text.",
    ]


def _largest(counts: dict[str, int], documents: int) -> list[tuple[str, ...]]:
    """Return rows of the largest counts with their shares; the others are one row."""
    entries = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    rows = [(markdown(name) or "not known", n) for name, n in entries[:_MOST_ROWS]]
    rest = entries[_MOST_ROWS:]
    rows += [(f"{len(rest)} others", sum(n for _, n in rest))] if rest else []
    return [(name, f"{n:,}", share(n, documents)) for name, n in rows]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table, whose cells have been through `markdown`."""
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    return lines + [f"| {' | '.join(cells)} |" for cells in rows]
