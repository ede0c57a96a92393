"""The recipe's ``corpus.layout``: what is written around the text of a file."""

from __future__ import annotations

from dataclasses import dataclass

from spanmix.bounds import MANY, require, require_from_to

_UNITS = ("file", "repository")


@dataclass(frozen=True)
class LayoutConfig:
    """What a document of the corpus is made of; all of it is text, so no control token comes of it.

    Args:
        unit: ``file``, or ``repository``: the files of one repository as one document, each behind a header
            with its path.
        language_tag: begin each file with its language, as ``<|python|>``; CodeGen2 was trained with such
            tags. How it wrote those of other languages is not known; the names here are the package's own.
        repository_share, path_share, stars_share: share of files that begin with their repository, their
            path, their repository's stars, each drawn by itself, as StarCoder was trained (0.2 each there).
        max_repository_bytes: a repository is cut into documents of at most so many bytes, between files.
    """

    unit: str = "file"
    language_tag: bool = False
    repository_share: float = 0.0
    path_share: float = 0.0
    stars_share: float = 0.0
    max_repository_bytes: int = 1_000_000

    def __post_init__(self) -> None:
        require(self.unit in _UNITS, "corpus.layout.unit", self.unit, f"use one of {', '.join(_UNITS)}")
        for name in ("repository_share", "path_share", "stars_share"):
            share = getattr(self, name)
            require(0 <= share <= 1, f"corpus.layout.{name}", share, "use a share from 0 to 1")
        most = self.max_repository_bytes
        require_from_to("corpus.layout.max_repository_bytes", most, 1000, MANY)
