"""Build an infill benchmark from a commit of a repository.

The places are those of `spanmix.evaluate.replay.places`. Files come in seeded order, and each gives one
place of every kind, then a second one, until there are enough; so a large file gives no more than a small
one. Files that nobody typed are left out (`spanmix.evaluate.replay.left_out`), and so is a second copy of a
file.

On disk it is ``NAME.jsonl``, one place a line, with HumanEval-Infilling's names for what it has too::

    {"task_id": "line/src/area.py:4", "prompt": "import math\\n...", "suffix": "print(area(2))\\n",
     "canonical_solution": "    return math.pi * r * r\\n", "kind": "line", "language": "python",
     "path": "src/area.py", "line": 4}

and beside it ``NAME.jsonl.settings.json``: the repository, its commit, and what else decided which places
these are.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np

from spanmix import seeding
from spanmix.errors import InputError, nearest
from spanmix.evaluate.appended import settings_path
from spanmix.evaluate.replay.git import Repository, TreeFile
from spanmix.evaluate.replay.left_out import FileLimits, by_path, language_of, read_text
from spanmix.evaluate.replay.places import KINDS, Place
from spanmix.files import follow, parse_json, read_versioned, write_json, write_text
from spanmix.text.dropped import EMPTY, Dropped

BENCH_FORMAT_VERSION = 1
COPY = "copy of another file"


@dataclass(frozen=True)
class BenchSettings:
    """What decides which places of a commit are taken.

    Args:
        seed: another seed gives other places.
        kinds: of `KINDS`.
        num_per_kind: places of each; fewer if the repository has no more.
        max_per_file: most places of a kind in one file.
        max_middle_bytes: longest text to fill in.
        files: which files are not measured on.

    Raises:
        InputError: there is no such kind, or a number is below 1.
    """

    seed: int = 0
    kinds: tuple[str, ...] = tuple(KINDS)
    num_per_kind: int = 100
    max_per_file: int = 5
    max_middle_bytes: int = 2_000
    files: FileLimits = field(default_factory=FileLimits)

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise InputError(f"there is no kind of place {kind!r}{nearest(kind, KINDS)}")
        for name in ("num_per_kind", "max_per_file", "max_middle_bytes"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; use at least 1")


@dataclass(frozen=True)
class BenchItem:
    """One place: what stands in front of it and behind it in its file, and what stands there."""

    task_id: str
    prompt: str
    suffix: str
    canonical_solution: str
    kind: str
    language: str
    path: str
    line: int


@dataclass(frozen=True)
class BenchOrigin:
    """Where a benchmark comes from, as its ``.jsonl.settings.json`` has it.

    Args:
        repository, commit: from what it was built.
        settings: what decided.
        num_items: of each kind.
        num_files_read: files of the commit that were looked into.
        left_out: files that were not, by reason.
    """

    format_version: int
    repository: str
    commit: str
    settings: BenchSettings
    num_items: dict[str, int]
    num_files_read: int
    left_out: dict[str, int]


@dataclass(frozen=True)
class _Found:
    """A place of a file, whose text is read again if it is taken: all texts may not fit the memory."""

    file: TreeFile
    kind: str
    place: Place


@dataclass(frozen=True)
class Bench:
    """A benchmark: its places, kind by kind, and where they come from."""

    items: tuple[BenchItem, ...]
    origin: BenchOrigin


def build_bench(folder: Path, settings: BenchSettings, revision: str = "HEAD") -> Bench:
    """Choose places of a commit; the same commit and settings give the same ones.

    Args:
        folder: a checkout or a bare repository; it is only read, and changes that are not committed are not
            seen.
        settings: how many of which kinds.
        revision: the commit, by any name that git knows it by.

    Raises:
        InputError: there is no such repository or commit, or it has no place of any kind.
    """
    left_out: Counter[str] = Counter()
    found: dict[str, list[list[_Found]]] = {kind: [] for kind in settings.kinds}
    num_read = 0
    with Repository(folder) as repository:
        commit = repository.resolve(revision)
        for file in _seeded(repository.files(commit), settings.seed, left_out):
            open_kinds = [kind for kind, files in found.items() if len(files) < settings.num_per_kind]
            if not open_kinds:
                break
            text = read_text(repository, file, settings.files)
            if isinstance(text, Dropped) or not text.strip():
                left_out[text.reason if isinstance(text, Dropped) else EMPTY] += 1
                continue
            num_read += 1
            for kind in open_kinds:
                if places := _places(text, file.path, kind, settings):
                    found[kind].append([_Found(file, kind, place) for place in places])
        chosen = [one for files in found.values() for one in _chosen(files, settings.num_per_kind)]
        items = tuple(_item(repository, one) for one in chosen)
        label = repository.label
    if not items:
        raise InputError(
            f"{label} has no place to fill in at {commit[:12]}: {num_read} files were read, and left out "
            f"were {dict(left_out)}; name another repository, or let files be larger"
        )
    counts = Counter(item.kind for item in items)
    num_items = {kind: counts[kind] for kind in settings.kinds}
    origin = BenchOrigin(
        BENCH_FORMAT_VERSION, label, commit, settings, num_items, num_read, dict(sorted(left_out.items()))
    )
    return Bench(items, origin)


def write_bench(path: Path, bench: Bench) -> None:
    """Write a benchmark as a ``.jsonl`` file, and its origin beside it."""
    follow(path).parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(dataclasses.asdict(item)) + "\n" for item in bench.items]
    write_text(path, "".join(lines))
    write_json(settings_path(path), dataclasses.asdict(bench.origin))


def read_bench(path: Path) -> Bench:
    """Read what `write_bench` wrote.

    Raises:
        InputError: a file is missing or damaged.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    items = [parse_json(line, BenchItem, f"{path}, line {number}") for number, line in enumerate(lines, 1)]
    return Bench(tuple(items), read_versioned(settings_path(path), BenchOrigin, BENCH_FORMAT_VERSION))


def _seeded(files: list[TreeFile], seed: int, left_out: Counter[str]) -> Iterator[TreeFile]:
    """Yield the files whose name says nothing against them in seeded order, each content once.

    Two names that are not UTF-8 may look alike; the first of them is taken, as places are known by it.
    """
    seen: set[str] = set()
    kept = []
    for file in files:
        reason = by_path(file) or (COPY if seen & {file.object_id, file.path} else None)
        if reason is not None:
            left_out[reason] += 1
            continue
        seen |= {file.object_id, file.path}
        kept.append(file)
    yield from sorted(kept, key=lambda file: (_words(seed, "files", file.path, 1), file.name))


def _places(text: str, path: str, kind: str, settings: BenchSettings) -> list[Place]:
    """Return the places of one kind that may be taken of a file, in seeded order."""
    places = [
        place
        for place in KINDS[kind](text, language_of(path))
        if len(text[place.start : place.stop].encode("utf-8")) <= settings.max_middle_bytes
    ]
    words = _words(settings.seed, kind, path, len(places))
    order = np.argsort(np.array(words, dtype=np.uint64), kind="stable").tolist()
    return [places[index] for index in order[: settings.max_per_file]]


def _chosen(files: list[list[_Found]], most: int) -> list[_Found]:
    """Take the first place of every file, then the second ones, up to so many."""
    rounds = zip_longest(*files)
    return [one for one_round in rounds for one in one_round if one is not None][:most]


def _item(repository: Repository, found: _Found) -> BenchItem:
    content = repository.read(found.file.object_id)
    assert content is not None, "it was there a moment ago"
    text, place, path = content.decode("utf-8"), found.place, found.file.path
    return BenchItem(
        task_id=f"{found.kind}/{path}:{place.line}",
        prompt=text[: place.start],
        suffix=text[place.stop :],
        canonical_solution=text[place.start : place.stop],
        kind=found.kind,
        language=language_of(path),
        path=path,
        line=place.line,
    )


def _words(seed: int, purpose: str, path: str, count: int) -> list[int]:
    return seeding.draw_one(seed, f"bench/{purpose}", seeding.name_key(path), 0, 0, count)
