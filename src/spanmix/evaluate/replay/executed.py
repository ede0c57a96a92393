"""Let a repository's own tests decide about answers, where it has some.

Nothing is run here: the caller gives a function that runs tests in a sandbox. The tests decide about a
place if they pass as the file is and fail when the place raises an error instead; about others they say
nothing. The answer then passes if the tests do. They pass or fail with the answer inside their own process,
so an answer that is out to cheat can; what a model fills in is not, but a score that matters should be
looked at.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.grade.verdict import Verdict
from spanmix.evaluate.replay.bench import Bench, BenchItem
from spanmix.evaluate.replay.bench_match import BenchAnswer
from spanmix.evaluate.replay.git import FILE_MODES, LINK_MODE, Repository, TreeFile
from spanmix.files import full_disk_named

NOT_PYTHON, IN_TESTS, UNDECIDED = "not Python", "in the tests themselves", "the tests pass without it"
_PROBE = "raise NotImplementedError('left out to see whether a test notices')\n"


RunTests = Callable[[Path], Verdict]
"""``run_tests(checkout)`` runs the tests of a checkout, whose answer is not to be trusted.

It has to run them in a sandbox without network, with limits, and on a copy or a read-only view of the
folder, so that the folder stays as it is; to say that they passed only if tests were run; and to be the
same each time.
"""


@dataclass(frozen=True)
class Executed:
    """Whether each answer passes that the tests decide about, and how many they do not, by reason."""

    passes: dict[str, bool]
    undecided: dict[str, int]


def has_tests(repository: Repository, commit_id: str) -> bool:
    """Say whether a commit has files that pytest would collect."""
    return any(_is_test(file.path) for file in repository.files(commit_id))


def execute(
    folder: Path,
    bench: Bench,
    answers: Sequence[BenchAnswer],
    run_tests: RunTests,
    work_folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Executed:
    """Put each answer into a checkout and have its tests run, with a run before that to see whether they
    would notice.

    Args:
        folder: the repository that the benchmark was built from; it is only read.
        bench: the benchmark.
        answers: to some of its places.
        run_tests: see `RunTests`.
        work_folder: an empty folder for the checkout.
        progress: called with (answers done, answers in all).

    Raises:
        SpanmixError: the tests do not pass as the repository is.
    """
    items = {item.task_id: item for item in bench.items}
    passes: dict[str, bool] = {}
    undecided: Counter[str] = Counter()
    with Repository(folder) as repository:
        check_out(repository, bench.origin.commit, work_folder)
        names = {file.path: file.name for file in repository.files(bench.origin.commit)}
    before = run_tests(work_folder)
    if not before.passed:
        raise SpanmixError(
            f"the tests of {bench.origin.repository} do not pass as they are ({before.result}), so they "
            "decide "
            "about no answer; mend them, or leave them out"
        )
    for number, answer in enumerate(answers, 1):
        item = items[answer.task_id]
        reason = NOT_PYTHON if item.language != "python" else IN_TESTS if _is_test(item.path) else None
        path = work_folder / os.fsdecode(names[item.path])
        if reason is None and _run(run_tests, work_folder, path, item, _probe(item)):
            reason = UNDECIDED
        if reason is None:
            same = answer.completion == item.canonical_solution
            passes[item.task_id] = same or _run(run_tests, work_folder, path, item, answer.completion)
        else:
            undecided[reason] += 1
        if progress is not None:
            progress(number, len(answers))
    return Executed(passes, dict(undecided))


def check_out(repository: Repository, commit_id: str, folder: Path) -> None:
    """Write the files of a commit into an empty folder: no ``.git``, no name or link that leads out of it.

    Raises:
        InputError: the folder is not empty, or a name would lead out of it.
        SpanmixError: the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; name a new folder for the checkout")
    files = repository.files(commit_id)
    # Links come last, so that nothing is written through one.
    for file in sorted(files, key=lambda file: file.mode == LINK_MODE):
        content = repository.read(file.object_id) if file.mode in {*FILE_MODES, LINK_MODE} else None
        if content is not None:
            with full_disk_named(folder):
                _write(folder, file, content)


def _write(folder: Path, file: TreeFile, content: bytes) -> None:
    name = os.fsdecode(file.name)
    parts = name.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        raise InputError(f"the repository has a file named {file.path!r}, which cannot be checked out safely")
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    if file.mode != LINK_MODE:
        with path.open("xb") as opened:
            opened.write(content)
        path.chmod(0o755 if file.mode == "100755" else 0o644)
    elif _stays_inside(PurePosixPath(name).parent, os.fsdecode(content)):
        path.symlink_to(os.fsdecode(content))


def _stays_inside(parent: PurePosixPath, target: str) -> bool:
    depth = len(parent.parts)
    for part in PurePosixPath(target).parts:
        depth += -1 if part == ".." else 1
        if depth < 0 or part == "/":
            return False
    return True


def _probe(item: BenchItem) -> str:
    first = item.canonical_solution
    return first[: len(first) - len(first.lstrip(" \t"))] + _PROBE


def _run(run_tests: RunTests, folder: Path, path: Path, item: BenchItem, middle: str) -> bool:
    with _replaced(path, item.prompt + middle + item.suffix):
        return run_tests(folder).passed


@contextmanager
def _replaced(path: Path, text: str) -> Iterator[None]:
    content = path.read_bytes()
    try:
        path.write_bytes(text.encode("utf-8"))
        yield
    finally:
        path.write_bytes(content)


def _is_test(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.endswith(".py") and (
        name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"
    )
