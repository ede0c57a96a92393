"""Write a corpus's data card: a ``README.md`` with which it can lie on the Hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spanmix.amounts import count, share, size
from spanmix.files import write_text
from spanmix.text.corpus_page.card_header import header_fields, pretty_name
from spanmix.text.corpus_page.card_removed import benchmarks, personal_data, removed
from spanmix.text.corpus_page.figures import CorpusFigures, read_figures
from spanmix.text.corpus_page.harmless import MOST_ROWS, markdown, markdown_table
from spanmix.text.corpus_page.held_out import page_warnings
from spanmix.text.corpus_page.opt_outs import opting_out
from spanmix.text.corpus_page.page import PAGE_FILE
from spanmix.text.corpus_page.searches import NOTHING, searches, sources_without_licences
from spanmix.text.report import HELD_OUT_SUFFIX

CARD_FILE = "README.md"


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
        "What was looked for": _looked_for,
        "What was removed, and why": removed,
        "Licences and attribution": _licences,
        "Personal data": personal_data,
        "Benchmarks": benchmarks,
        "Opting out": opting_out,
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
        f"{count(documents, 'document')}, {count(tokens, 'token')}, {count(num_bytes, 'byte')} "
        f"({size(num_bytes)}) of text, as ids of the tokenizer in `tokenizer/` with "
        f"{figures.report.vocab_size:,} entries. Tokens are counted without the one that ends "
        "each document. What is held out is for measuring, and not for training.",
        "",
        *markdown_table(("source", "side", "documents", "tokens", "bytes"), rows),
        "",
        *markdown_table(("language", "files", "share"), _languages(figures)),
        "",
        *[f"**Warning:** {markdown(words, 1000)}\n" for words in page_warnings(figures)],
        f"`{PAGE_FILE}` has lengths, languages and licences by side, and what became of all that was read.",
    ]


def _languages(figures: CorpusFigures) -> list[tuple[str, ...]]:
    counts: dict[str, int] = {}
    for source in figures.sources:
        for side in (source.train, source.held_out):
            for name, amount in side.languages.items():
                counts[name] = counts.get(name, 0) + amount.number
    return _largest(counts, figures.num_files)


def _making(figures: CorpusFigures) -> list[str]:
    report = figures.report
    num_read, num_kept = (sum(getattr(s, name) for s in figures.sources) for name in ("num_read", "kept"))
    lines = [
        f"Spanmix (`spanmix prepare`) read {count(num_read, 'document')} and kept {num_kept:,} of them. "
        "Each was kept, or dropped for a reason that is counted below; that this adds up was checked when "
        "the card was written.",
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
    lines += markdown_table(("source", "read", "dropped", "kept", "documents of the corpus"), rows)
    changed = [
        f"{count(number, 'document')} of {markdown(source.name)} by the step {markdown(step)}"
        for source in figures.sources
        if source.report.read
        for step, number in source.report.read.changed.items()
    ]
    lines += ["", f"What was changed: {'; '.join(changed)}."] if changed else []
    copies = report.copies
    if copies is not None:
        largest = f", the largest of {count(copies.largest, 'document')}" if copies.groups else ""
        lines += [
            "",
            f"Exact copies were dropped. Among the other documents near-copies were searched for by MinHash: "
            f"{count(copies.pairs, 'pair')} in {count(copies.groups, 'group')}{largest}."
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


def _looked_for(figures: CorpusFigures) -> list[str]:
    rows = []
    for one in searches(figures):
        names = ", ".join(map(markdown, one.sources[:MOST_ROWS])) or "all"
        if rest := one.sources[MOST_ROWS:]:
            names += f" and {len(rest)} more"
        how = markdown(one.how, 2000) or NOTHING
        rows.append((markdown(one.what), names, one.answer, how, markdown(one.found)))
    return [
        "A number, 0 too, stands only where something was looked for. Take it that what was not looked for "
        "is in the text.",
        "",
        *markdown_table(("what", "sources", "looked for", "how", "found"), rows),
    ]


def _licences(figures: CorpusFigures) -> list[str]:
    lines = [
        "Each file keeps the licence that its source gave or that was found in it; `licence` in "
        "`NAME.documents.parquet` has it beside the path, and `files` there that of each file of a document. "
        "The corpus as a whole has no licence of its own.",
        "",
        *markdown_table(("licence", "files", "share"), _largest(figures.licences, figures.num_files)),
    ]
    unknown = figures.licences.get("", 0)
    if unknown:
        lines += [
            "",
            f"**{count(unknown, 'file')} {'has' if unknown == 1 else 'have'} no licence that is known**, "
            "which permits nothing by itself.",
        ]
    if not_searched := sources_without_licences(figures):
        lines += [
            "",
            f"Licences were **not looked for** in {', '.join(map(markdown, not_searched[:MOST_ROWS]))}"
            f"{', …' if len(not_searched) > MOST_ROWS else ''}: known is what the source says.",
        ]
    named = [
        f"`audit/{source.name}.attribution.jsonl`" for source in figures.sources if source.has_attribution
    ]
    if named:
        lines += ["", f"Repositories and copyright lines of the files: {', '.join(named[:MOST_ROWS])}."]
    else:
        lines += ["", "Copyright lines were not collected; they stand in the files that have them."]
    return lines


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
        "print(len(source), source.name_of(0), source.text(0))",
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
        "What the Hub shows are the tables of documents: path, repository, language, licence and bytes, not "
        "the text.",
    ]


def _largest(counts: dict[str, int], total: int) -> list[tuple[str, ...]]:
    """Return rows of the largest counts with their shares; the others are one row."""
    entries = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    rows = [(markdown(name) or "not known", n) for name, n in entries[:MOST_ROWS]]
    rest = entries[MOST_ROWS:]
    rows += [(f"{len(rest)} others", sum(n for _, n in rest))] if rest else []
    return [(name, f"{n:,}", share(n, total)) for name, n in rows]
