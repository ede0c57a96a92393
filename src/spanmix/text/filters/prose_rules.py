"""The rules on text that people read, cheap ones first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from spanmix.text.filters.bounds import Bounds
from spanmix.text.filters.prose import count_sentences
from spanmix.text.filters.prose_language import prose_language
from spanmix.text.filters.reading import Reading
from spanmix.text.filters.rules import Rule, at_least, at_most, none_of, one_of

_UNSURE = "unsure"


def prose_rules(bounds: Bounds) -> Iterator[Rule]:
    """Yield the rules on words and lines, then on repetition, then on the language."""
    if bounds.forbidden_texts is not None:
        find = _find_any(bounds.forbidden_texts)
        yield none_of("forbidden_texts", "none", "text that is forbidden", find)
    yield from _word_rules(bounds)
    yield from _line_rules(bounds)
    yield from _repetition_rules(bounds)
    if bounds.prose_languages is not None:
        least = bounds.min_language_confidence or 0.0
        measure = _sure_language(least)
        yield one_of("prose_languages", bounds.prose_languages, "natural language not asked for", measure)


def _word_rules(bounds: Bounds) -> Iterator[Rule]:
    if (least := bounds.min_words) is not None:
        yield at_least("min_words", least, f"fewer than {least:,} words", lambda r: r.prose.num_words)
    if (most := bounds.max_words) is not None:
        yield at_most("max_words", most, f"more than {most:,} words", lambda r: r.prose.num_words)
    if bounds.mean_word_length is not None:
        shortest, longest = bounds.mean_word_length
        low, high = f"mean word below {shortest:g} characters", f"mean word above {longest:g} characters"
        yield at_least("mean_word_length", shortest, low, lambda r: r.prose.mean_word_length)
        yield at_most("mean_word_length", longest, high, lambda r: r.prose.mean_word_length)
    if (ratio := bounds.max_symbols_per_word) is not None:
        hashes, dots = f"hashes for each word above {ratio:g}", f"ellipses for each word above {ratio:g}"
        yield at_most("max_symbols_per_word", ratio, hashes, lambda r: r.prose.hashes_per_word)
        yield at_most("max_symbols_per_word", ratio, dots, lambda r: r.prose.ellipses_per_word)
    if (share := bounds.min_alphabetic_words) is not None:
        reason = f"share of words with a letter below {share:g}"
        yield at_least("min_alphabetic_words", share, reason, lambda r: r.prose.alphabetic_words)
    if (least := bounds.min_stop_words) is not None:
        reason = f"fewer than {least:,} stop words"
        yield at_least("min_stop_words", least, reason, lambda r: r.prose.num_stop_words)
    if (least := bounds.min_sentences) is not None:
        reason = f"fewer than {least:,} sentences"
        yield at_least("min_sentences", least, reason, lambda r: count_sentences(r.text))


def _line_rules(bounds: Bounds) -> Iterator[Rule]:
    if (share := bounds.max_bullet_lines) is not None:
        reason = f"share of lines with a bullet above {share:g}"
        yield at_most("max_bullet_lines", share, reason, lambda r: r.prose.bullet_lines)
    if (share := bounds.max_ellipsis_lines) is not None:
        reason = f"share of lines that end with an ellipsis above {share:g}"
        yield at_most("max_ellipsis_lines", share, reason, lambda r: r.prose.ellipsis_lines)
    if (share := bounds.min_punctuated_lines) is not None:
        reason = f"share of lines that end a sentence below {share:g}"
        yield at_least("min_punctuated_lines", share, reason, lambda r: r.prose.punctuated_lines)
    if (share := bounds.max_short_lines) is not None:
        reason = f"share of short lines above {share:g}"
        yield at_most("max_short_lines", share, reason, lambda r: r.prose.short_lines)


def _repetition_rules(bounds: Bounds) -> Iterator[Rule]:
    if (share := bounds.max_duplicate_lines) is not None:
        reason = f"share of repeated lines above {share:g}"
        yield at_most("max_duplicate_lines", share, reason, lambda r: r.repeated_lines[0])
    if (share := bounds.max_duplicate_paragraphs) is not None:
        reason = f"share of repeated paragraphs above {share:g}"
        yield at_most("max_duplicate_paragraphs", share, reason, lambda r: r.repeated_paragraphs[0])
    if (share := bounds.max_duplicate_line_characters) is not None:
        reason = f"share of characters in repeated lines above {share:g}"
        yield at_most("max_duplicate_line_characters", share, reason, lambda r: r.repeated_lines[1])
    if (share := bounds.max_duplicate_paragraph_characters) is not None:
        reason = f"share of characters in repeated paragraphs above {share:g}"
        yield at_most("max_duplicate_paragraph_characters", share, reason, lambda r: r.repeated_paragraphs[1])
    for n, share in _by_length(bounds.max_top_ngram):
        reason = f"share of the most frequent {n} words above {share:g}"
        yield at_most("max_top_ngram", share, reason, _top_share(n))
    for n, share in _by_length(bounds.max_duplicate_ngrams):
        reason = f"share of {n} words that came before above {share:g}"
        yield at_most("max_duplicate_ngrams", share, reason, _repeated_share(n, share))


def _by_length(table: Mapping[int, float] | None) -> list[tuple[int, float]]:
    return sorted((table or {}).items())


def _top_share(n: int) -> Callable[[Reading], float]:
    return lambda r: r.ngrams.top_share(n)


def _repeated_share(n: int, bound: float) -> Callable[[Reading], float]:
    return lambda r: r.ngrams.repeated_share(n, 0.0 if r.exact else bound)


def _sure_language(least: float) -> Callable[[Reading], str]:
    def measure(reading: Reading) -> str:
        language, confidence = prose_language(reading.text)
        return language if confidence >= least else _UNSURE

    return measure


def _find_any(texts: tuple[str, ...]) -> Callable[[Reading], str | None]:
    lowered = [text.lower() for text in texts]

    def find(reading: Reading) -> str | None:
        text = reading.text.lower()
        return next((piece for piece in lowered if piece in text), None)

    return find
