"""Drop the documents that a corpus is better without, by the rules of a recipe's ``filters``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from spanmix.corpus_configs.filters import FiltersConfig
from spanmix.text.dropped import Dropped
from spanmix.text.filters.bounds import Bounds
from spanmix.text.filters.code_rules import code_rules, name_rules, program_rules, size_rules
from spanmix.text.filters.per_extension import ENDINGS, EndingBounds
from spanmix.text.filters.presets import resolve
from spanmix.text.filters.prose_rules import prose_rules
from spanmix.text.filters.reading import Reading
from spanmix.text.filters.rules import Rule, RuleResult
from spanmix.text.steps import Note
from spanmix.types import Document


class FilterStep:
    """A `spanmix.text.steps.Step`: the first rule that a document breaks drops it.

    A document that is kept comes back as it was, with its language filled in if it had none and one was
    found.

    Args:
        config: which rules hold.
        num_tokens: counts the tokens of a text, for ``min_characters_per_token``; without it that rule is
            off. It must be picklable if the step is to be.
    """

    def __init__(self, config: FiltersConfig, num_tokens: Callable[[str], int] | None = None) -> None:
        self._config = config
        self._num_tokens = num_tokens
        self._bounds = resolve(config)
        self._rules: dict[tuple[bool, EndingBounds | None], list[Rule]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return FilterStep, (self._config, self._num_tokens)

    def __call__(self, document: Document, note: Note) -> Document | Dropped:
        """Return the document, or the rule that it broke as a reason, with what was measured."""
        reading = Reading(document)
        for rule in self._rules_for(reading):
            result = rule.apply(reading)
            if not result.kept:
                return Dropped.by_step(document, result.reason, result.value, result.excerpt)
        return reading.document

    def explain(self, document: Document) -> list[RuleResult]:
        """Return what every rule finds in a document, also behind the first that it breaks.

        A rule with two bounds, or with one for each length of n-grams, has a result for each.
        """
        reading = Reading(document, exact=True)
        return [rule.apply(reading) for rule in self._rules_for(reading)]

    def _rules_for(self, reading: Reading) -> list[Rule]:
        bounds = self._bounds
        is_prose = bounds.kind == "prose" or (bounds.kind == "by_language" and reading.is_prose)
        ending = ENDINGS.get(reading.ending) if bounds.per_extension else None
        key = (is_prose, ending)
        if key not in self._rules:
            self._rules[key] = _rules(_with_ending(bounds, ending), is_prose, self._num_tokens)
        return self._rules[key]


def explain(
    document: Document, config: FiltersConfig, num_tokens: Callable[[str], int] | None = None
) -> list[RuleResult]:
    """Return what every rule of `config` finds in a document; see `FilterStep.explain`."""
    return FilterStep(config, num_tokens).explain(document)


def has_rules(config: FiltersConfig, counts_tokens: bool) -> bool:
    """Return whether there is a rule that could drop a document.

    Args:
        config: which rules hold.
        counts_tokens: whether `FilterStep` has a `num_tokens`, without which one rule is off.

    >>> has_rules(FiltersConfig("none"), True), has_rules(FiltersConfig("none", max_bytes=9), True)
    (False, True)
    """
    bounds = resolve(config)
    kinds = (False, True) if bounds.kind == "by_language" else (bounds.kind == "prose",)
    endings = (None, *ENDINGS.values()) if bounds.per_extension else (None,)
    num_tokens = len if counts_tokens else None
    return any(
        _rules(_with_ending(bounds, ending), is_prose, num_tokens) for is_prose in kinds for ending in endings
    )


def _rules(bounds: Bounds, is_prose: bool, num_tokens: Callable[[str], int] | None) -> list[Rule]:
    rules = [*name_rules(bounds), *size_rules(bounds), *program_rules(bounds)]
    return [*rules, *(prose_rules(bounds) if is_prose else code_rules(bounds, num_tokens))]


def _with_ending(bounds: Bounds, ending: EndingBounds | None) -> Bounds:
    """Put the bounds of an ending in the place of the preset's, but not of the recipe's own."""
    if ending is None:
        return bounds
    changed = {name: value for name, value in dataclasses.asdict(ending).items() if name not in bounds.fixed}
    return dataclasses.replace(bounds, **changed)
