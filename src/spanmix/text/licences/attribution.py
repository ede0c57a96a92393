"""Write the attribution file of a corpus: who holds the copyright of what was trained on, by licence and
repository."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from spanmix.files import write_text
from spanmix.text.licences.headers import Stated
from spanmix.types import Document

_MOST_PATHS = 20
Row = Mapping[str, str | int | float | bool | None]


def attribution_row(
    document: Document, statements: Iterable[Stated]
) -> dict[str, str | int | float | bool | None]:
    """Return the audit row of a kept document: path, repository, licence and copyright lines, one a line."""
    lines = dict.fromkeys(line for stated in statements for line in stated.copyrights)
    return {
        "path": document.path,
        "repository": document.repository,
        "licence": document.licence,
        "copyright": "\n".join(lines),
    }


def write_attribution(rows: Iterable[Row], path: Path, title: str = "Attribution") -> None:
    """Write an attribution file in Markdown.

    Documents come under their licence and repository, both sorted, with each copyright line once. Of a
    repository's documents the first 20 paths are named and the rest counted; the rows name them all.

    Args:
        rows: of `attribution_row`, in any order.
        path: the file, whose folder exists.
        title: its first line.
    """
    groups: dict[str, dict[str, tuple[set[str], set[str]]]] = {}
    for row in rows:
        licence = str(row.get("licence") or "licence not known")
        repository = str(row.get("repository") or "without a repository")
        paths, lines = groups.setdefault(licence, {}).setdefault(repository, (set(), set()))
        paths.add(str(row["path"]))
        lines.update(line for line in str(row.get("copyright") or "").split("\n") if line)
    write_text(path, "\n".join(_page(title, groups)) + "\n")


def _page(title: str, groups: dict[str, dict[str, tuple[set[str], set[str]]]]) -> list[str]:
    total = sum(len(paths) for by_repository in groups.values() for paths, _ in by_repository.values())
    page = [f"# {title}", "", f"{total:,} documents under {len(groups):,} licences."]
    for licence in sorted(groups):
        page += ["", f"## {_plain(licence)}"]
        for repository, (paths, lines) in sorted(groups[licence].items()):
            page += ["", f"### {_plain(repository)}", ""]
            page += [f"- {_plain(line)}" for line in sorted(lines)] or ["- no copyright line was found"]
            shown = sorted(paths)[:_MOST_PATHS]
            rest = len(paths) - len(shown)
            named = ", ".join(f"`{_plain(one).replace('`', '')}`" for one in shown)
            page += ["", f"{len(paths):,} documents: {named}" + (f" and {rest:,} more" if rest else "")]
    return page


def _plain(text: str) -> str:
    """One line, which no Markdown or HTML in it can break out of."""
    return " ".join(text.split()).replace("<", "&lt;").replace(">", "&gt;")
