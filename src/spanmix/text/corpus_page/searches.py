"""Tell what a corpus's recipe looked for, and how: finding nothing says little where nobody looked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spanmix.amounts import count, share
from spanmix.config import CorpusConfig
from spanmix.corpus_configs.filters import FROM_PRESET, RULES, FiltersConfig
from spanmix.corpus_configs.sources import SourceFilesConfig
from spanmix.text.corpus_page.figures import CorpusFigures, SourceFigures
from spanmix.text.duplicates.decide import EXACT_COPY, KEPT_OUT, NEAR_COPY, REASONS
from spanmix.text.licences.reasons import NOT_KNOWN, NOT_PERMITTED, OPTED_OUT
from spanmix.text.problems.benchmarks import benchmark_names
from spanmix.text.redaction.found import EMAIL, IP_ADDRESS, KEY, PASSWORD

NOTHING = "–"
_FIELDS = {KEY: "keys", PASSWORD: "passwords", EMAIL: "emails", IP_ADDRESS: "ip_addresses"}
"""By kind, the recipe's field that turns it on."""
KINDS = {KEY: "keys", PASSWORD: "passwords", EMAIL: "e-mail addresses", IP_ADDRESS: "IP addresses"}
"""By kind, what people call it."""
_WHERE = {
    KEY: "tokens of known services, private keys, and random values of keys' names in code, settings, "
    "shells, request headers and options of commands; ",
    PASSWORD: "values of passwords' names in code, settings and shells, and passwords in addresses, request "
    "headers and options of commands; ",
}
"""What is found of secrets; of the others, all that there are."""


@dataclass(frozen=True)
class Search:
    """Something that a recipe may look for.

    Args:
        what: in words.
        sources: names of the sources that this is about; all of the corpus if there are none.
        done: whether it was looked for; None if that is not on record.
        how: with which settings; ``""`` if it was not.
        found: how much there was, in words; a dash where nobody looked, and where it is not counted.
    """

    what: str
    sources: tuple[str, ...]
    done: bool | None
    how: str
    found: str

    @property
    def answer(self) -> str:
        """Whether it was looked for, in a word or two."""
        return "not on record" if self.done is None else "yes" if self.done else "no"


def searches(figures: CorpusFigures) -> list[Search]:
    """Return all that a recipe can look for, in the order of the steps."""
    recipe = figures.recipe
    if recipe is None:
        kinds = ("languages", "filters", "licences", "opt-outs", "benchmarks", "secrets and personal data")
        return [Search(what, (), None, "", NOTHING) for what in (*kinds, "exact copies", "near-copies")]
    return [
        *_of_sources(figures, recipe, "languages", _languages, _without_language),
        *_of_sources(figures, recipe, "licences", _licences, _not_permitted),
        *_of_sources(figures, recipe, "opt-outs", _opt_outs, _opted_out),
        *_of_sources(figures, recipe, "filters", _filters(figures), lambda sources: "see what was dropped"),
        *_benchmarks(figures, recipe),
        *_private(figures, recipe),
        *_copies(figures, recipe),
    ]


def sources_without_licences(figures: CorpusFigures) -> list[str]:
    """Return the names of sources in which licences were not looked for, as far as that is on record."""
    recipe = figures.recipe
    return [] if recipe is None else [one.name for one in recipe.sources if one.licences is None]


def redacted_kinds(recipe: CorpusConfig) -> dict[str, bool]:
    """Return for each kind of secret and personal data whether it was looked for."""
    config = recipe.redaction
    return {kind: config is not None and getattr(config, field) for kind, field in _FIELDS.items()}


def _of_sources(
    figures: CorpusFigures,
    recipe: CorpusConfig,
    what: str,
    how: Callable[[SourceFilesConfig], str],
    found: Callable[[list[SourceFigures]], str],
) -> Iterator[Search]:
    """Yield a search for each way of it, with the sources that were searched so; ``""`` is not at all."""
    known = {source.name: source for source in figures.sources}
    ways: dict[str, list[SourceFigures]] = {}
    for config in recipe.sources:
        if config.name in known:
            ways.setdefault(how(config), []).append(known[config.name])
    for way, sources in ways.items():
        names = tuple(source.name for source in sources) if len(ways) > 1 else ()
        yield Search(what, names, bool(way), way, found(sources) if way else NOTHING)


def _languages(source: SourceFilesConfig) -> str:
    contents = ", else by its contents" if source.filters is not None else ""
    return f"what the source says, else by the file's name{contents}"


def _without_language(sources: list[SourceFigures]) -> str:
    sides = [side.languages for one in sources for side in (one.train, one.held_out)]
    unknown = sum(side[""].number for side in sides if "" in side)
    return f"{unknown:,} of {count(sum(one.num_files for one in sources), 'file')} have none"


def _licences(source: SourceFilesConfig) -> str:
    config = source.licences
    if config is None:
        return ""
    where = "headers, columns" + (", licence files and package metadata" if config.repository_files else "")
    return f"{where}; permitted: {', '.join(config.permitted)}; unknown: {config.unknown}"


def _not_permitted(sources: list[SourceFigures]) -> str:
    return _dropped(sources, NOT_PERMITTED, NOT_KNOWN)


def _opt_outs(source: SourceFilesConfig) -> str:
    if source.licences is None or source.licences.opt_out is None:
        return ""
    return f"the list {_name(source.licences.opt_out)}"


def _opted_out(sources: list[SourceFigures]) -> str:
    return _dropped(sources, OPTED_OUT)


def _filters(figures: CorpusFigures) -> Callable[[SourceFilesConfig], str]:
    """Return what writes the filters of a source; those without a rule are none."""
    made_with = figures.report.made_with or {}
    tokenizer = made_with.get("tokenizer")
    counts_tokens = isinstance(tokenizer, dict) and tokenizer.get("path") is not None

    def how(source: SourceFilesConfig) -> str:
        config = source.filters
        if config is None:
            return ""
        from spanmix.text.filters.step import has_rules  # its patterns take long to compile

        return filter_settings(config) if has_rules(config, counts_tokens) else ""

    return how


def filter_settings(config: FiltersConfig) -> str:
    """Write a preset, and what the recipe says otherwise.

    >>> filter_settings(FiltersConfig("bigcode", max_bytes=9, comment_share=None, drop_xml=False))
    'preset bigcode; max_bytes: 9; off: drop_xml, comment_share'
    """
    given = {name: getattr(config, name) for name in ("kind", *RULES)}
    given = {name: value for name, value in given.items() if value != FROM_PRESET}
    off = [name for name, value in given.items() if value is None or value is False]
    said = [f"preset {config.preset}"]
    said += [f"{name}: {_value(value)}" for name, value in given.items() if name not in off]
    return "; ".join(said + ([f"off: {', '.join(off)}"] if off else []))


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "on" if value is True else str(value)


def _benchmarks(figures: CorpusFigures, recipe: CorpusConfig) -> Iterator[Search]:
    config = recipe.decontamination
    if config is None:
        yield Search("benchmarks", (), False, "", NOTHING)
        return
    ways = {"exact": f"whole texts of {config.min_exact_words} words or more"}
    ways["n-gram"] = f"{config.ngram_words}-word windows that make up {config.min_share:g} of a text"
    done = {"drop": "dropped", "report": "only reported"}[config.action]
    how = f"{' and '.join(ways[method] for method in config.methods)}; {done}"
    for name in benchmark_names(config.benchmarks):
        matched = [
            found[name] for one in figures.sources for found in [one.contamination or {}] if name in found
        ]
        documents = sum(one.documents for one in matched)
        yield Search(
            f"benchmark {name}", (), True, how, f"{count(documents, 'document')} with a problem of it"
        )


def _private(figures: CorpusFigures, recipe: CorpusConfig) -> Iterator[Search]:
    config, kinds = recipe.redaction, redacted_kinds(recipe)
    if config is None or not any(kinds.values()):
        yield Search("secrets and personal data", (), False, "", NOTHING)
        return
    for kind, done in kinds.items():
        found = [one for source in figures.sources for one in [(source.redactions or {}).get(kind)] if one]
        places, documents = (sum(getattr(one, name) for one in found) for name in ("places", "documents"))
        words = f"{count(places, 'place')} in {count(documents, 'document')}" if done else NOTHING
        how = f"{_WHERE.get(kind, '')}replaced in the style {config.style}" if done else ""
        yield Search(KINDS[kind], (), done, how, words)
    yield Search("names of persons", (), False, "", NOTHING)


def _copies(figures: CorpusFigures, recipe: CorpusConfig) -> Iterator[Search]:
    config, sources = recipe.duplicates, list(figures.sources)
    found = _dropped(sources, REASONS[EXACT_COPY])
    yield Search("exact copies", (), True, "all bytes, across sources; one stays", found)
    how = f"windows of {config.window_words} words, MinHash of {config.num_hashes}, from a share of "
    how += f"{config.threshold:g} on; "
    if config.near == "drop":
        how, found = how + "one stays", _dropped(sources, REASONS[NEAR_COPY])
    else:
        how += "all stay, each group on one side of the split"
        found = NOTHING if figures.report.copies is None else count(figures.report.copies.groups, "group")
    yield Search("near-copies", (), True, how, found)
    found = _dropped(sources, REASONS[KEPT_OUT]) if config.against else NOTHING
    against = f"copies and near-copies of {', '.join(map(_name, config.against))}" if config.against else ""
    yield Search("copies of what is kept out", (), bool(config.against), against, found)


def _name(path: str) -> str:
    """Return the name of a file: where it lies is nothing to publish."""
    return Path(path).name or path


def _dropped(sources: list[SourceFigures], *reasons: str) -> str:
    """Write how many documents some reasons took, and of how many that were read."""
    number = sum(source.report.dropped.get(reason, 0) for source in sources for reason in reasons)
    return f"{number:,} dropped ({share(number, sum(source.num_read for source in sources))})"
