"""The recipe's ``filters``: which files are not worth learning from, by preset and by rule."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from spanmix.bounds import MANY, require

PRESETS = ("none", "codegen2", "bigcode", "stack-permissive", "prose", "thorough")
KINDS = ("code", "prose", "by_language")
FROM_PRESET: Literal["preset"] = "preset"
"""A field that is not given: what the preset says. ``null`` turns a rule off instead."""

Preset: TypeAlias = Literal["preset"]
Pair: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class FiltersConfig:
    """What is dropped of a source; `spanmix.text.filters.presets` has each preset's values and their origin.

    Each field is a rule. Left out it is what the preset says, ``null`` turns it off, and any other value
    takes the preset's place. A share is from 0 to 1, a length is in characters. A bound that is met is kept,
    unless the field says more or less than it.

    Args:
        preset: any of `PRESETS`; ``none`` has no rule.
        kind: which rules see a document: those of ``code``, those of ``prose``, or ``by_language``, where
            Markdown, reStructuredText, plain text and their like are prose and all else is code.
        languages: names of languages to keep. A missing one is detected first; what remains unknown is
            dropped if this is set.
        extensions: endings of file names to keep, without the dot; a name without ending passes.
        per_extension: bigcode's table of inspected endings, which leaves out some and changes the bounds of
            others.
        max_bytes: the longest file.
        min_characters: the shortest file.
        max_characters: the longest file.
        data_characters: shortest and longest JSON or YAML file.
        max_mean_line_length: the mean over the lines, without line ends.
        max_line_length: the longest line.
        min_alphanumeric_share: letters and digits among the characters.
        min_alphabetic_share: letters among the characters.
        max_digit_share: decimal and hexadecimal digits among the characters.
        drop_xml: drop what starts with an XML header and is no XSLT.
        html_visible: more than this share of an HTML file, and more than this many characters, must be text
            that a reader sees.
        comment_share: more than the first and less than the second of a file's characters are comments.
        comment_languages: where `comment_share` holds.
        min_characters_per_token: by language; holds only where a tokenizer is given.
        max_encoded_share: base64, hexadecimal and escaped bytes among the bytes.
        max_encoded_run: the longest such piece, in bytes.
        drop_generated: drop files that linguist knows as written by a program.
        drop_generated_headers: drop files whose first lines say that a program wrote them.
        drop_vendored: drop paths that linguist knows as copies of others' code; they count from the
            repository's root.
        drop_minified: drop minified scripts and style sheets, and source maps.
        drop_lock_files: drop what package managers write by themselves, by its name.
        prose_languages: ISO 639-1 codes to keep, of the languages that people speak.
        min_language_confidence: how sure the language must be, from 0 to 1.
        min_words: the shortest text, in words between blanks.
        max_words: the longest text.
        mean_word_length: shortest and longest mean over the words.
        max_symbols_per_word: hashes, or ellipses, for each word.
        max_bullet_lines: lines that start with a bullet, among the lines.
        max_ellipsis_lines: lines that end with an ellipsis, among the lines.
        min_alphabetic_words: words with a letter among the words.
        min_stop_words: how many different of English's most frequent words occur.
        max_duplicate_lines: lines that came before, among the lines.
        max_duplicate_paragraphs: paragraphs that came before, among the paragraphs.
        max_duplicate_line_characters: characters in such lines.
        max_duplicate_paragraph_characters: characters in such paragraphs.
        max_top_ngram: for each number of words, the characters that the most frequent such n-gram may take.
        max_duplicate_ngrams: for each number of words, the characters in n-grams that came before.
        min_sentences: sentences that end with a mark of punctuation.
        min_punctuated_lines: lines that end with a mark of punctuation, among the lines.
        max_short_lines: lines of 30 characters or fewer, among the lines.
        forbidden_texts: a text with any of these, in any case, is dropped.
    """

    preset: str = "bigcode"
    kind: str = FROM_PRESET
    languages: tuple[str, ...] | Preset | None = FROM_PRESET
    extensions: tuple[str, ...] | Preset | None = FROM_PRESET
    per_extension: bool | Preset = FROM_PRESET
    max_bytes: int | Preset | None = FROM_PRESET
    min_characters: int | Preset | None = FROM_PRESET
    max_characters: int | Preset | None = FROM_PRESET
    data_characters: tuple[int, int] | Preset | None = FROM_PRESET
    max_mean_line_length: float | Preset | None = FROM_PRESET
    max_line_length: int | Preset | None = FROM_PRESET
    min_alphanumeric_share: float | Preset | None = FROM_PRESET
    min_alphabetic_share: float | Preset | None = FROM_PRESET
    max_digit_share: float | Preset | None = FROM_PRESET
    drop_xml: bool | Preset = FROM_PRESET
    html_visible: Pair | Preset | None = FROM_PRESET
    comment_share: Pair | Preset | None = FROM_PRESET
    comment_languages: tuple[str, ...] | Preset = FROM_PRESET
    min_characters_per_token: dict[str, float] | Preset | None = FROM_PRESET
    max_encoded_share: float | Preset | None = FROM_PRESET
    max_encoded_run: int | Preset | None = FROM_PRESET
    drop_generated: bool | Preset = FROM_PRESET
    drop_generated_headers: bool | Preset = FROM_PRESET
    drop_vendored: bool | Preset = FROM_PRESET
    drop_minified: bool | Preset = FROM_PRESET
    drop_lock_files: bool | Preset = FROM_PRESET
    prose_languages: tuple[str, ...] | Preset | None = FROM_PRESET
    min_language_confidence: float | Preset | None = FROM_PRESET
    min_words: int | Preset | None = FROM_PRESET
    max_words: int | Preset | None = FROM_PRESET
    mean_word_length: Pair | Preset | None = FROM_PRESET
    max_symbols_per_word: float | Preset | None = FROM_PRESET
    max_bullet_lines: float | Preset | None = FROM_PRESET
    max_ellipsis_lines: float | Preset | None = FROM_PRESET
    min_alphabetic_words: float | Preset | None = FROM_PRESET
    min_stop_words: int | Preset | None = FROM_PRESET
    max_duplicate_lines: float | Preset | None = FROM_PRESET
    max_duplicate_paragraphs: float | Preset | None = FROM_PRESET
    max_duplicate_line_characters: float | Preset | None = FROM_PRESET
    max_duplicate_paragraph_characters: float | Preset | None = FROM_PRESET
    max_top_ngram: dict[int, float] | Preset | None = FROM_PRESET
    max_duplicate_ngrams: dict[int, float] | Preset | None = FROM_PRESET
    min_sentences: int | Preset | None = FROM_PRESET
    min_punctuated_lines: float | Preset | None = FROM_PRESET
    max_short_lines: float | Preset | None = FROM_PRESET
    forbidden_texts: tuple[str, ...] | Preset | None = FROM_PRESET

    def __post_init__(self) -> None:
        require(self.preset in PRESETS, "filters.preset", self.preset, f"use one of {', '.join(PRESETS)}")
        kinds = (*KINDS, FROM_PRESET)
        require(self.kind in kinds, "filters.kind", self.kind, f"use one of {', '.join(KINDS)}")
        for name in _given(self, _SHARES):
            _require_number(name, getattr(self, name), 0, 1, "it is a share, so use a number from 0 to 1")
        for name in _given(self, _COUNTS):
            _require_number(name, getattr(self, name), 0, MANY, "use a number from 0 on, or null")
        for name in _given(self, _PAIRS):
            _require_pair(name, getattr(self, name))
        for name in _given(self, _TEXTS):
            rule = "use a list of at least one text, each once and none empty; null turns the rule off"
            value = getattr(self, name)
            right = bool(value) and len(set(value)) == len(value) and all(value)
            require(isinstance(value, tuple) and right, f"filters.{name}", value, rule)
        for name in _given(self, _TABLES):
            for key, value in getattr(self, name).items():
                _require_entry(f"{name}.{key}", key, value)


_SHARES = (
    "min_alphanumeric_share", "min_alphabetic_share", "max_digit_share", "max_encoded_share",
    "min_language_confidence", "max_bullet_lines", "max_ellipsis_lines", "min_alphabetic_words",
    "max_duplicate_lines", "max_duplicate_paragraphs", "max_duplicate_line_characters",
    "max_duplicate_paragraph_characters", "min_punctuated_lines", "max_short_lines",
)  # fmt: skip
_COUNTS = (
    "max_bytes", "min_characters", "max_characters", "max_mean_line_length", "max_line_length",
    "max_encoded_run", "min_words", "max_words", "max_symbols_per_word", "min_stop_words", "min_sentences",
)  # fmt: skip
_PAIRS = ("data_characters", "html_visible", "comment_share", "mean_word_length")
_TEXTS = ("languages", "extensions", "comment_languages", "prose_languages", "forbidden_texts")
_TABLES = ("min_characters_per_token", "max_top_ngram", "max_duplicate_ngrams")
RULES = tuple(field.name for field in fields(FiltersConfig) if field.name not in ("preset", "kind"))
"""Names of the fields that a preset has a value for."""


def _given(config: FiltersConfig, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if getattr(config, name) not in (None, FROM_PRESET)]


def _require_number(name: str, value: float, least: float, most: float, rule: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    require(is_number and least <= value <= most, f"filters.{name}", value, rule)


def _require_pair(name: str, value: object) -> None:
    rule = "use [least, most], both from 0 on, or null"
    if name == "html_visible":
        rule = "use [share, characters], the share from 0 to 1, or null"
    right = isinstance(value, tuple) and len(value) == 2 and all(0 <= number < math.inf for number in value)
    require(right, f"filters.{name}", value, rule)
    assert isinstance(value, tuple)
    in_order = value[0] <= 1 if name == "html_visible" else value[0] <= value[1]
    require(in_order, f"filters.{name}", value, rule)
    if name == "comment_share":
        require(value[1] <= 1, f"filters.{name}", value, "both are shares, so use numbers from 0 to 1")


def _require_entry(name: str, key: object, value: float) -> None:
    if isinstance(key, str):
        _require_number(name, value, 0, MANY, "use characters for each token, from 0 on")
        return
    require(isinstance(key, int) and 1 <= key <= 100, f"filters.{name}", value, "use 1 to 100 words as key")
    _require_number(name, value, 0, 1, "it is a share, so use a number from 0 to 1")
