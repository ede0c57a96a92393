"""Look up the licence of the repository or package that a file on disk lies in.

From the file's folder upwards, the nearest folder that states a licence holds: a library that was copied
into a repository keeps its own. The search ends at the root of a git checkout, at a folder of installed
packages (``site-packages``, ``node_modules``, …) or at the root of the file system. A folder states a
licence by

1. metadata: ``pyproject.toml``, ``PKG-INFO``, ``package.json``, ``Cargo.toml``, ``REUSE.toml``,
   ``debian/copyright``;
2. licence files: ``LICENSE``, ``LICENCE``, ``COPYING``, ``UNLICENSE``, ``copyright`` with any ending, and
   ``LICENSES/``.

Metadata speaks for the licence files beside it if it names the licence that each of them begins with:
installed packages often bundle the texts of what was compiled into them. If the two contradict each other,
both hold. So do several licence files without metadata, unless one of them or the README offers a choice
between just these. Python packages are found by the ``RECORD`` of the ``.dist-info`` that lists the file.

Symbolic links are not opened unless the source follows them. Where a licence file is a link to one in a
folder above, in the same checkout, the search goes on there; any other link makes the licence unknown, so
that files are not taken for what a folder above states of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from spanmix.text.licences import dep5
from spanmix.text.licences.headers import Stated
from spanmix.text.licences.joined import join
from spanmix.text.licences.metadata import READERS, read_metadata, reuse_patterns
from spanmix.text.licences.python_packages import PythonPackages
from spanmix.text.licences.stating_files import LookedAt, StatingFiles

_LICENCE_FILE = re.compile(
    r"(?:un)?licen[sc]es?(?:[-_.].*)?|copying(?:[-_.].*)?|copyright(?:\.txt|\.md)?|mit-license.*", re.I
)
_README = re.compile(r"readme(?:\.(?:md|markdown|rst|txt))?", re.I)
_NO_TEXT = (
    ".py",
    ".js",
    ".ts",
    ".go",
    ".rs",
    ".java",
    ".c",
    ".h",
    ".html",
    ".json",
    ".sh",
    ".rb",
    ".php",
    ".css",
)
_ENDS = frozenset(
    {"site-packages", "dist-packages", "node_modules", "vendor", "third_party", "external", "Pods"}
)


@dataclass(frozen=True)
class RepositoryLicence:
    """What the folders above a file state.

    Args:
        stated: licence and copyright lines, or what of it could not be understood.
        folder: the folder that states it, or ``""``.
        looked_at: by path, the files that were opened to find it, from the file's folder upwards.
    """

    stated: Stated = field(default_factory=Stated)
    folder: str = ""
    looked_at: Mapping[str, LookedAt] = field(default_factory=dict, compare=False)


class RepositoryLicences:
    """Look up files' repository licences; every folder is read once.

    It keeps what it found for the life of the object, so that a partition's documents meet the same licences.

    Args:
        follow_links: as the source's.
    """

    def __init__(self, follow_links: bool = False) -> None:
        self._stating = StatingFiles(follow_links)
        self._folders: dict[str, RepositoryLicence] = {}
        self._by_path: dict[str, _ByPath] = {}
        self._led_to: dict[str, str] = {}
        self._packages: dict[str, PythonPackages] = {}

    def of(self, path: str) -> RepositoryLicence:
        """Return what holds for a file, by its path; nothing if there is no such file."""
        if not os.path.isfile(path):  # noqa: PTH113
            return RepositoryLicence()
        full = os.path.abspath(path)  # noqa: PTH100
        folder = os.path.dirname(full)  # noqa: PTH120
        found = self._of_folder(folder)
        by_path = self._by_path.get(found.folder)
        if by_path is not None:
            stated = by_path.of(os.path.relpath(full, found.folder))
            return replace(found, stated=stated) if stated is not None else found
        packages = self._packages.get(found.folder)
        if packages is not None:
            stated, looked_at = packages.of(os.path.relpath(full, found.folder))
            return replace(found, stated=stated, looked_at={**found.looked_at, **looked_at})
        return found

    def _of_folder(self, folder: str) -> RepositoryLicence:
        passed: list[tuple[str, dict[str, LookedAt]]] = []
        found = RepositoryLicence()
        while True:
            known = self._folders.get(folder)
            if known is not None:
                found = known
                break
            states = self._states(folder)
            passed.append((folder, self._stating.looked_at()))
            if states:
                found = self._folders[folder]
                break
            parent = os.path.dirname(folder)  # noqa: PTH120
            at_root = parent == folder or os.path.exists(os.path.join(folder, ".git"))  # noqa: PTH110, PTH118
            if at_root or os.path.basename(parent) in _ENDS - {"site-packages", "dist-packages"}:  # noqa: PTH119
                break
            if os.path.basename(folder) in _ENDS:  # noqa: PTH119
                break
            folder = self._led_to.get(folder, parent)
        for one, own in reversed(passed):
            if own:
                found = replace(found, looked_at={**own, **found.looked_at})
            self._folders[one] = found
        return found

    def _states(self, folder: str) -> bool:
        """Read a folder, and say whether it states a licence."""
        try:
            names, links = self._stating.names(Path(folder))
        except OSError:
            return False
        if any(name.endswith((".dist-info", ".egg-info")) for name in names):
            packages = PythonPackages(Path(folder), names, self._stating)
            if not packages.is_empty():
                self._packages[folder] = packages
                self._folders[folder] = RepositoryLicence(Stated(), folder)
                return True
        stated, by_path = read_folder(Path(folder), names, self._stating)
        if stated == Stated():
            stated = Stated(unknown=self._follow_up(folder, links))
        if stated == Stated():
            return False
        self._folders[folder] = RepositoryLicence(stated, folder)
        if by_path is not None:
            self._by_path[folder] = by_path
        return True

    def _follow_up(self, folder: str, links: list[str]) -> str:
        """Note in which folder the search goes on, if a licence file is a link to it; else name the link."""
        for name in filter(_is_licence_file, links):
            above = _led_to(Path(folder), name)
            self._stating.note_link(Path(folder) / name, os.path.relpath(above, folder) if above else "")
            if above is None:
                return f"{name} is a symbolic link"
            if str(above) != folder:
                self._led_to.setdefault(folder, str(above))
        return ""


@dataclass(frozen=True)
class _ByPath:
    """Files of which a folder states more than of the rest: by DEP-5 paragraphs or REUSE's annotations."""

    paragraphs: tuple[dep5.Paragraph, ...]
    patterns: tuple[tuple[str, str], ...]

    def of(self, path: str) -> Stated | None:
        path = path.replace(os.sep, "/")
        for pattern, expression in reversed(self.patterns):
            if dep5.matches(pattern, path):
                return Stated(expression)
        stated = dep5.stated_for(self.paragraphs, path)
        return stated if stated != Stated() else None


def read_folder(folder: Path, names: list[str], stating: StatingFiles) -> tuple[Stated, _ByPath | None]:
    """Return what a folder states of all files below it, and of some of them."""
    declared, unknown = [], ""
    paragraphs: tuple[dep5.Paragraph, ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()
    for name in names:
        if name.lower() in READERS:
            text = stating.text(folder / name)
            stated = read_metadata(name, text)
            declared += [stated.expression] if stated.expression else []
            unknown = unknown or stated.unknown
            if name.lower() == "reuse.toml":
                patterns = tuple(reuse_patterns(text))
    for place in ("debian/copyright", ".reuse/dep5", "copyright"):
        text = stating.text(folder / place) if place.partition("/")[0] in names else ""
        if dep5.is_dep5(text):
            paragraphs = dep5.read_dep5(text)
    files = _licence_files(folder, names, stating)
    texts = [text for path in files if not dep5.is_dep5(text := stating.text(path))]
    readme = _readme(folder, names, stating) if len(texts) > 1 and not declared else ""
    stated = join(declared, texts, unknown, readme)
    if paragraphs:
        whole = dep5.stated_for(paragraphs, None)
        expression = stated.expression or whole.expression
        stated = Stated(expression, stated.unknown or whole.unknown, stated.copyrights or whole.copyrights)
    by_path = _ByPath(paragraphs, patterns) if paragraphs or patterns else None
    return stated, by_path


def _readme(folder: Path, names: list[str], stating: StatingFiles) -> str:
    return next((stating.text(folder / name) for name in names if _README.fullmatch(name)), "")


def _licence_files(folder: Path, names: list[str], stating: StatingFiles) -> list[Path]:
    files = []
    for name in names:
        if _is_licence_file(name):
            path = folder / name
            files += stating.licence_files(path) if path.is_dir() else [path]
    return files


def _is_licence_file(name: str) -> bool:
    return _LICENCE_FILE.fullmatch(name) is not None and not name.lower().endswith(_NO_TEXT)


def _led_to(folder: Path, link: str) -> Path | None:
    """Return the folder, this or one above it in its checkout, whose licence file a link leads to."""
    target = Path(os.path.realpath(folder / link))
    if not _is_licence_file(target.name):
        return None
    for above in (folder, *folder.parents):
        if os.path.realpath(above) == str(target.parent):
            return above
        if (above / ".git").exists():
            break
    return None
