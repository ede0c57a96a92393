"""What the filters ask of a document, every field decided: a preset with the recipe's own values in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bounds:
    """A value for each rule of `spanmix.corpus_configs.filters.FiltersConfig`, where the fields are
    explained.

    None or False is a rule that is off; without arguments all are.

    Args:
        mean_below: the mean line must be below its bound, and not only at most as long.
        fixed: fields that the recipe gave, so that no table of endings changes them.
    """

    kind: str = "code"
    languages: tuple[str, ...] | None = None
    extensions: tuple[str, ...] | None = None
    per_extension: bool = False
    max_bytes: int | None = None
    min_characters: int | None = None
    max_characters: int | None = None
    data_characters: tuple[int, int] | None = None
    max_mean_line_length: float | None = None
    max_line_length: int | None = None
    min_alphanumeric_share: float | None = None
    min_alphabetic_share: float | None = None
    max_digit_share: float | None = None
    drop_xml: bool = False
    html_visible: tuple[float, float] | None = None
    comment_share: tuple[float, float] | None = None
    comment_languages: tuple[str, ...] = ("python", "java", "javascript")
    min_characters_per_token: Mapping[str, float] | None = None
    max_encoded_share: float | None = None
    max_encoded_run: int | None = None
    drop_generated: bool = False
    drop_generated_headers: bool = False
    drop_vendored: bool = False
    drop_minified: bool = False
    drop_lock_files: bool = False
    prose_languages: tuple[str, ...] | None = None
    min_language_confidence: float | None = None
    min_words: int | None = None
    max_words: int | None = None
    mean_word_length: tuple[float, float] | None = None
    max_symbols_per_word: float | None = None
    max_bullet_lines: float | None = None
    max_ellipsis_lines: float | None = None
    min_alphabetic_words: float | None = None
    min_stop_words: int | None = None
    max_duplicate_lines: float | None = None
    max_duplicate_paragraphs: float | None = None
    max_duplicate_line_characters: float | None = None
    max_duplicate_paragraph_characters: float | None = None
    max_top_ngram: Mapping[int, float] | None = None
    max_duplicate_ngrams: Mapping[int, float] | None = None
    min_sentences: int | None = None
    min_punctuated_lines: float | None = None
    max_short_lines: float | None = None
    forbidden_texts: tuple[str, ...] | None = None
    mean_below: bool = False
    fixed: frozenset[str] = field(default=frozenset())
