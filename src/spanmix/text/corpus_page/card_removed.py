"""The data card's sections on what is not in a corpus: what was dropped, replaced, and matched."""

from __future__ import annotations

from spanmix.amounts import share
from spanmix.text.corpus_page.figures import CorpusFigures
from spanmix.text.corpus_page.harmless import MOST_ROWS, markdown, markdown_table
from spanmix.text.corpus_page.page import PAGE_FILE
from spanmix.text.corpus_page.searches import KINDS, redacted_kinds


def removed(figures: CorpusFigures) -> list[str]:
    """Return what each reason took."""
    rows = []
    for source in figures.sources:
        read = source.report.read
        dropped = {reason: number for reason, number in source.report.dropped.items() if number}
        entries = sorted(dropped.items(), key=lambda entry: (-entry[1], entry[0]))
        for reason, number in entries[:MOST_ROWS]:
            known = read.known_bytes(reason) if read else None
            num_bytes = ("–" if read else "not on record") if known is None else f"{known:,}"
            of_all = share(number, source.num_read)
            rows.append((markdown(source.name), markdown(reason), f"{number:,}", of_all, num_bytes))
        if rest := entries[MOST_ROWS:]:
            number = sum(count for _, count in rest)
            of_all = share(number, source.num_read)
            rows.append((markdown(source.name), f"{len(rest)} others", f"{number:,}", of_all, ""))
    if not rows:
        return ["Nothing was."]
    lines = markdown_table(("source", "reason", "documents", "of those read", "bytes, as far as known"), rows)
    if any(source.dropped for source in figures.sources):
        lines += [
            "",
            "`audit/NAME.dropped.parquet` lists each of them with what was measured. It and the examples in "
            f"`{PAGE_FILE}` quote text that was **not** taken, without anything replaced in it: look at both "
            "before publishing them.",
        ]
    return lines


def personal_data(figures: CorpusFigures) -> list[str]:
    """Return what was replaced, or why there is nothing to say."""
    rows = [
        (markdown(source.name), markdown(kind), f"{found.places:,}", f"{found.documents:,}")
        for source in figures.sources
        for kind, found in (source.redactions or {}).items()
    ]
    recipe = figures.recipe
    kinds = {} if recipe is None else redacted_kinds(recipe)
    searched = any(kinds.values())
    off = [name for kind, name in KINDS.items() if searched and not kinds[kind]]
    others = f"Not looked for: {', '.join([*off, 'names of persons'])}."
    if not rows:
        words = _nothing(
            None if recipe is None else searched,
            "secrets and personal data",
            "`corpus.redaction`, or all kinds are off in it",
            "replacement of any",
        )
        return [f"{words} {others}" if searched else words]
    return [
        "These were found by rules and replaced in the text; the audit files name the places, not the "
        f"values. Rules miss some. {others}",
        "",
        *markdown_table(("source", "kind", "places", "documents"), rows),
    ]


def benchmarks(figures: CorpusFigures) -> list[str]:
    """Return what was matched of benchmarks, or why there is nothing to say."""
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
        recipe = figures.recipe
        searched = None if recipe is None else recipe.decontamination is not None
        return [_nothing(searched, "benchmarks", "`corpus.decontamination`", "match with one")]
    return [
        "Documents that hold problems of benchmarks, and what was done with them; "
        "`audit/NAME.contamination.jsonl` says what matched where.",
        "",
        *markdown_table(("source", "benchmark", "tasks", "documents", "what was done"), rows),
    ]


def _nothing(searched: bool | None, what: str, without: str, found: str) -> str:
    """Say why there is no row of something: it was not looked for, or it was and there was none.

    Args:
        searched: whether it was looked for; None if that is not on record.
        what: it, in words.
        without: what the recipe has not if it was not looked for.
        found: what there would be of it.
    """
    if searched is None:
        return f"It is not on record whether {what} were looked for, and no {found} is. Expect some."
    if not searched:
        return f"**{what.capitalize()} were not looked for**: the recipe has no {without}. Expect some."
    return f"{what.capitalize()} were looked for as said above, and there was no {found}."
