"""One rule: what it measures of a document, its bound, and the reason it drops a document for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spanmix.text.filters.reading import Reading

EXCERPT_CHARACTERS = 200
Value = float | str | None


@dataclass(frozen=True)
class RuleResult:
    """What one rule found.

    Args:
        rule: the field of `spanmix.corpus_configs.filters.FiltersConfig`.
        value: what was measured, or None where the rule does not apply.
        bound: what was asked, in words.
        kept: whether the rule lets the document pass.
        reason: why it does not; ``""`` if it does.
        excerpt: of the text, what the rule looked at; ``""`` if it does.
    """

    rule: str
    value: Value
    bound: str
    kept: bool
    reason: str = ""
    excerpt: str = ""


@dataclass(frozen=True)
class Rule:
    """A rule of the filters.

    Args:
        name: the field that turned it on.
        bound: what is asked, in words.
        reason: why a document is dropped: the same text for all documents, to be counted.
        measure: returns what is compared, or None where the rule does not apply.
        breaks: whether such a value drops the document.
        excerpt: returns what to show of a dropped document.
    """

    name: str
    bound: str
    reason: str
    measure: Callable[[Reading], Value]
    breaks: Callable[[Value], bool]
    excerpt: Callable[[Reading], str]

    def apply(self, reading: Reading) -> RuleResult:
        """Measure a document and compare."""
        value = self.measure(reading)
        if value is None or not self.breaks(value):
            return RuleResult(self.name, value, self.bound, True)
        excerpt = self.excerpt(reading)[:EXCERPT_CHARACTERS]
        return RuleResult(self.name, value, self.bound, False, self.reason, excerpt)


def beginning(reading: Reading) -> str:
    """Return the first characters of a document."""
    return reading.text[:EXCERPT_CHARACTERS]


def at_most(
    name: str,
    most: float,
    reason: str,
    measure: Callable[[Reading], float | None],
    excerpt: Callable[[Reading], str] = beginning,
) -> Rule:
    """Return a rule that keeps values up to `most`, itself included."""
    return Rule(name, f"at most {most:,g}", reason, measure, lambda value: _number(value) > most, excerpt)


def below(name: str, limit: float, reason: str, measure: Callable[[Reading], float | None]) -> Rule:
    """Return a rule that keeps values below `limit`."""
    return Rule(name, f"below {limit:,g}", reason, measure, lambda value: _number(value) >= limit, beginning)


def at_least(name: str, least: float, reason: str, measure: Callable[[Reading], float | None]) -> Rule:
    """Return a rule that keeps values from `least` on, itself included."""
    return Rule(
        name, f"at least {least:,g}", reason, measure, lambda value: _number(value) < least, beginning
    )


def above(name: str, limit: float, reason: str, measure: Callable[[Reading], float | None]) -> Rule:
    """Return a rule that keeps values above `limit`."""
    return Rule(name, f"above {limit:,g}", reason, measure, lambda value: _number(value) <= limit, beginning)


def none_of(name: str, bound: str, reason: str, find: Callable[[Reading], str | None]) -> Rule:
    """Return a rule that drops a document in which `find` finds something, and keeps the rest."""
    return Rule(name, bound, reason, find, lambda value: value is not None, beginning)


def one_of(
    name: str, allowed: tuple[str, ...], reason: str, measure: Callable[[Reading], str | None]
) -> Rule:
    """Return a rule that keeps what is in `allowed`; ``""`` counts as unknown."""
    names = frozenset(allowed)
    bound = f"one of {', '.join(allowed)}"
    return Rule(name, bound, reason, measure, lambda value: value not in names, beginning)


def _number(value: Value) -> float:
    assert isinstance(value, int | float)
    return value
