"""Find what a document is made of in the records of published data sets, whatever they call it.

=============================  =====================================================================
The Stack v1                   ``content``, ``max_stars_repo_path``, ``max_stars_repo_name``,
                               ``max_stars_repo_licenses``, ``max_stars_count``, ``lang``
The Stack v2                   ``path``, ``repo_name``, ``detected_licenses``, ``star_events_count``,
                               ``language``; its ``content`` has to be fetched and joined, in the rows
                               themselves or, where a row is a repository, in their ``files``
StarCoderData                  ``content``, ``max_stars_repo_path``, ``max_stars_repo_name``,
                               ``max_stars_count``
The Pile                       ``text``, ``meta.pile_set_name``, which is added to the path
datatrove, dolma               ``text``, ``id``, and of ``metadata`` what it has of the others
=============================  =====================================================================
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from spanmix.corpus_configs.sources import ColumnsConfig, SourceFilesConfig
from spanmix.text.dropped import printable
from spanmix.text.languages.names import language_name
from spanmix.text.readers.origin import Origin

_PILE_SET = "meta.pile_set_name"
_LONGEST_SHOWN = 300
_CHOICE = re.compile(r" or |[/|]", re.IGNORECASE)
"""What stands for a choice in a licence's statement, see `spanmix.text.licences.expressions`."""
_ROLES = {
    "text": ("text", "content", "code", "body"),
    "path": (
        *("path", "max_stars_repo_path", "file_path", "filepath", "metadata.path", "metadata.file_path"),
        "id",
    ),
    "language": ("language", "lang", "programming_language", "metadata.language", "metadata.lang"),
    "licence": (
        *("license", "licence", "licenses", "max_stars_repo_licenses", "detected_licenses", "gha_license_id"),
        *("metadata.license", "metadata.licenses"),
    ),
    "repository": (
        *("repo", "repo_name", "max_stars_repo_name", "repository", "repository_name"),
        *("metadata.repo", "metadata.repo_name", "metadata.repository"),
    ),
    "stars": (
        *("stars", "max_stars_count", "star_events_count", "metadata.stars", "metadata.max_stars_count"),
    ),
}


@dataclass(frozen=True)
class Columns:
    """The names under which a record holds what a document is made of; the first that it has is taken.

    Args:
        text: the one name of the text.
        in_files: a record is a repository, and its ``files`` are the documents.
        path, language, licence, repository, stars: possible names.
    """

    text: str
    in_files: bool
    path: tuple[str, ...]
    language: tuple[str, ...]
    licence: tuple[str, ...]
    repository: tuple[str, ...]
    stars: tuple[str, ...]

    @classmethod
    def named(cls, text: str, source: SourceFilesConfig, in_files: bool = False) -> Columns:
        """Return the usual names, but for those that the source gives."""
        given = source.columns
        others = {
            role: _ROLES[role] if (name := getattr(given, role)) is None else (name,)
            for role in _ROLES
            if role != "text"
        }
        return cls(text, in_files, **others)

    def taken(self, names: Collection[str]) -> list[str]:
        """Return the names at the top of a record that are looked at, of those that it has."""
        roles = (self.path, self.language, self.licence, self.repository, self.stars)
        wanted = {self.text, _PILE_SET, *(name for role in roles for name in role)}
        tops = {name.partition(".")[0] for name in wanted} | wanted | ({"files"} if self.in_files else set())
        return [name for name in names if name in tops]


def names_of(record: dict[str, Any]) -> list[str]:
    """Return the names of a record's fields, and of the fields of those that are records, or lists of them.

    >>> names_of({"text": "a", "meta": {"pile_set_name": "b"}})
    ['text', 'meta', 'meta.pile_set_name']
    """
    found = []
    for name, value in record.items():
        found.append(name)
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict):
            found += [f"{name}.{key}" for key in inner]
    return found


def find_columns(names: Collection[str], source: SourceFilesConfig) -> Columns | None:
    """Return the columns of records that have fields of these names; None if none of them is the text."""
    given = source.columns.text
    if given is None and (source.text_field != "text" or source.prompt_field is not None):
        given = source.text_field
    for candidate in _ROLES["text"] if given is None else (given,):
        if candidate in names:
            return Columns.named(candidate, source)
        if f"files.{candidate}" in names:
            return Columns.named(candidate, source, in_files=True)
    return None


def explain_missing(names: Collection[str], source: SourceFilesConfig) -> str:
    """Say what a file without a column of text holds, and what to do; its path stands in front."""
    if "blob_id" in names or "files.blob_id" in names:
        return (
            "is of The Stack v2, which names files and does not hold them (its columns are "
            f"{listed(names)}); fetch each blob_id from Software Heritage (s3://softwareheritage/content/), "
            "decode it by src_encoding and add it as the column content, in files where a row is a repository"
        )
    wanted = source.columns.text or source.text_field
    return (
        f"has no column {wanted!r}; it has {listed(names)}. Set columns: {{text: NAME}} to the one "
        "that holds the text, or on_error: drop to pass over such files"
    )


def missing_columns(names: Collection[str], config: ColumnsConfig) -> list[str]:
    """Return what the source names of columns that a table does not have."""
    given = [getattr(config, field.name) for field in fields(config)]
    return [name for name in given if name is not None and name not in names]


@dataclass(frozen=True)
class Facts:
    """What is known of a text, as its record says it; `collection` goes in front of its path, and `host` is
    that of the repository."""

    collection: str = ""
    path: str = ""
    language: str = ""
    licence: str = ""
    repository: str = ""
    stars: int | None = None
    host: str = ""

    def known_as(self, origin: Origin) -> Origin:
        """Return the place of a record with the path that the record has for itself, if there is one."""
        if not (self.collection or self.path):
            return origin
        return replace(origin, path=self.collection + (self.path or origin.path), root="")


def facts_of(record: Any, columns: Columns) -> Facts:
    """Return what a record says of its text; what has another type than it should is not said."""
    kind = look_up(record, _PILE_SET)
    return Facts(
        f"{printable(kind)}/" if isinstance(kind, str) else "",
        _string(record, columns.path),
        language_name(_string(record, columns.language)),
        _licences(_first(record, columns.licence)),
        _repositories(record, columns.repository),
        _count(_first(record, columns.stars)),
    )


def look_up(record: Any, name: str) -> Any:
    """Return a field of a record, or one of a field of it; None if there is none.

    >>> look_up({"a": {"b": 1}, "c.d": 2}, "a.b"), look_up({"c.d": 2}, "c.d"), look_up({"a": 3}, "a.b")
    (1, 2, None)
    """
    if not isinstance(record, dict):
        return None
    if name in record or "." not in name:
        return record.get(name)
    head, _, rest = name.partition(".")
    return look_up(record.get(head), rest)


def _first(record: Any, names: tuple[str, ...]) -> Any:
    return next((value for name in names if (value := look_up(record, name)) not in (None, "", [])), None)


def _string(record: Any, names: tuple[str, ...]) -> str:
    found = (value for name in names if isinstance(value := look_up(record, name), str) and value)
    return printable(next(found, ""))


def _repositories(record: Any, names: tuple[str, ...]) -> str:
    """Return a text, or those of a list with commas between: a file may lie in several."""
    found = (", ".join(_texts(look_up(record, name))) for name in names)
    return printable(next(filter(None, found), ""))


def _licences(value: Any) -> str:
    """Join the licences of a list: they were all found in the repository, so all of them have to be kept.

    What is no text, nor a list of them in any depth, stays as it is, and is then no licence that is known.

    >>> _licences(["MIT", "Apache-2.0"]), _licences(["MIT OR GPL-2.0", "MIT"]), _licences("mit")
    ('MIT AND Apache-2.0', '(MIT OR GPL-2.0) AND MIT', 'mit')
    >>> _licences(["mit", ["gpl-3.0"]]), _licences({"id": "mit"})
    ('mit AND gpl-3.0', '{"id": "mit"}')
    """
    if isinstance(value, str):
        return printable(value)
    names = dict.fromkeys(printable(name.strip()) for name in _texts(value, other=_as_json))
    if len(names) == 1:
        return next(iter(names))
    return " AND ".join(f"({name})" if _CHOICE.search(name) else name for name in names)


def _texts(value: Any, other: Callable[[Any], str] = lambda value: "") -> Iterator[str]:
    """Yield the texts of a list of any depth that are not empty; `other` makes one of what is none."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, list):
            pending += reversed(one)
        elif one is not None and (text := one if isinstance(one, str) else other(one)).strip():
            yield text


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:_LONGEST_SHOWN]


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < 2**53 else None


def listed(names: Collection[Any]) -> str:
    """Write the first 40 of some names, and how many more there are."""
    shown = [printable(str(name)) for name in names]
    return ", ".join(shown[:40]) + (f" and {len(shown) - 40} more" if len(shown) > 40 else "")
