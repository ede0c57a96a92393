"""Refuse names of languages in a recipe's filters that no document can have."""

from __future__ import annotations

from spanmix.corpus_configs.filters import FROM_PRESET, FiltersConfig
from spanmix.errors import InputError, nearest
from spanmix.text.filters.code_rules import UNKNOWN
from spanmix.text.filters.prose_language import prose_languages
from spanmix.text.languages.known import known_languages
from spanmix.text.languages.names import language_name

_BY_LANGUAGE = ("languages", "comment_languages", "min_characters_per_token")


def check_names(config: FiltersConfig) -> None:
    """Check the names in the fields that go by language.

    Raises:
        InputError: one is unknown; it is named, with the nearest.
    """
    for field in _BY_LANGUAGE:
        known, rule = known_languages(), "use the names of GitHub's linguist, such as python or c++"
        if field == "languages":
            known, rule = known | {UNKNOWN}, f"{rule}, and {UNKNOWN} for files without a language"
        for name in _given(config, field):
            meant = language_name(name)
            if meant not in known:
                raise InputError(
                    f"filters.{field} names {name!r}, which is no language{nearest(meant, known)}; {rule}"
                )
    asked = _given(config, "prose_languages")
    wrong = sorted(set(asked) - prose_languages()) if asked else []
    if wrong:
        raise InputError(
            f"filters.prose_languages names {wrong[0]!r}, which is no language that can be recognized; use "
            f"ISO 639 codes, such as en for English: {', '.join(sorted(prose_languages()))}"
        )


def _given(config: FiltersConfig, field: str) -> tuple[str, ...]:
    value = getattr(config, field)
    return () if value is None or value == FROM_PRESET else tuple(value)
