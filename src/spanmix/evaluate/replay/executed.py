"""Let a repository's own tests decide about answers, where it has some.

Nothing is run here: the caller gives a function that runs tests in a sandbox, such as
`spanmix.evaluate.grade.repository_tests.RepositoryTests`. The tests decide about a place if they pass as
the file is and fail when the place raises an error instead; about others they say nothing. The answer then
passes if the tests do, and as many of them as before. They pass or fail with the answer inside their own
process, so an answer that is out to cheat can; what a model fills in is not, but a score that matters should
be looked at. Verdicts are kept in a file, so that work can go on.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.appended import Keeping, open_appended
from spanmix.evaluate.grade.repository_tests import Outcome
from spanmix.evaluate.grade.verdict import PASSED
from spanmix.evaluate.replay.bench import Bench, BenchItem
from spanmix.evaluate.replay.bench_match import BenchAnswer
from spanmix.evaluate.replay.git import FILE_MODES, LINK_MODE, Repository, TreeFile
from spanmix.files import full_disk_named

NOT_PYTHON, IN_TESTS, UNDECIDED = "not Python", "in the tests themselves", "the tests pass without it"
_PROBE = "raise NotImplementedError('left out to see whether a test notices')\n"
VERDICTS_FORMAT_VERSION = 1

RunTests = Callable[[Path], Outcome]
"""``run_tests(checkout)`` runs the tests of a checkout, whose answer is not to be trusted.

It has to run them in a sandbox without network, with limits, and on a copy or a read-only view of the
folder, so that the folder stays as it is; to say that they passed only if tests were run; and to be the
same each time.
"""


@dataclass(frozen=True)
class AnswerVerdict:
    """What the tests say of one answer.

    Args:
        task_id: its place.
        completion: the answer.
        passes: whether they pass with it; None if they do not decide about the place.
        why: how they ended, or why they do not decide.
    """

    task_id: str
    completion: str
    passes: bool | None
    why: str


_KEEPING = Keeping(AnswerVerdict, "verdict")


@dataclass(frozen=True)
class Executed:
    """What the tests say of all answers.

    Args:
        num_tests: how many pass as the repository is.
        verdicts: one for each answer.
    """

    num_tests: int
    verdicts: tuple[AnswerVerdict, ...]

    @property
    def passes(self) -> dict[str, bool]:
        """Whether an answer passes, for each place that the tests decide about."""
        return {one.task_id: one.passes for one in self.verdicts if one.passes is not None}

    @property
    def undecided(self) -> dict[str, int]:
        """How many places they do not decide about, by reason."""
        return dict(Counter(one.why for one in self.verdicts if one.passes is None))


def has_tests(repository: Repository, commit_id: str) -> bool:
    """Say whether a commit has files that pytest would collect."""
    return any(_is_test(file.path) for file in repository.files(commit_id))


def execute(
    folder: Path,
    bench: Bench,
    answers: Sequence[BenchAnswer],
    run_tests: RunTests,
    work_folder: Path,
    verdicts_file: Path,
    *,
    facts: Mapping[str, Any],
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
        verdicts_file: a ``.jsonl`` file for the verdicts; if it is there, the work goes on with it.
        facts: what else the verdicts depend on, such as the command that runs the tests, and its limits.
        progress: called with (answers done, answers in all).

    Raises:
        SpanmixError: the tests do not pass as the repository is.
        InputError: the file was begun with other settings.
    """
    items = {item.task_id: item for item in bench.items}
    settings = {"format_version": VERDICTS_FORMAT_VERSION, "commit": bench.origin.commit, **facts}
    with open_appended(verdicts_file, _KEEPING, settings) as kept:
        known = {(one.task_id, one.completion): one for _, one in kept.records()}
        tests = _Checkout(folder, bench.origin.commit, work_folder, run_tests)
        found = []
        for number, answer in enumerate(answers, 1):
            verdict = known.get((answer.task_id, answer.completion))
            if verdict is None:
                verdict = tests.verdict(items[answer.task_id], answer.completion)
                kept.append(verdict)
            found.append(verdict)
            if progress is not None:
                progress(number, len(answers))
    return Executed(tests.num_tests, tuple(found))


class _Checkout:
    """A checkout whose tests pass, and what they say when one place of it is another.

    Raises:
        SpanmixError: they do not pass.
    """

    def __init__(self, folder: Path, commit_id: str, work_folder: Path, run_tests: RunTests) -> None:
        with Repository(folder) as repository:
            check_out(repository, commit_id, work_folder)
            self._names = {file.path: os.fsdecode(file.name) for file in repository.files(commit_id)}
            label = repository.label
        self._folder = work_folder.absolute()  # a sandbox starts elsewhere
        self._run_tests = run_tests
        before = run_tests(self._folder)
        if not before.passed:
            raise SpanmixError(
                f"the tests of {label} do not pass as they are ({before.result}), so they decide about no "
                "answer; mend them, leave some out, or give them what they need"
            )
        self.num_tests = before.num_passed
        self._decides: dict[str, bool] = {}

    def verdict(self, item: BenchItem, completion: str) -> AnswerVerdict:
        """Return what the tests say of an answer."""
        reason = NOT_PYTHON if item.language != "python" else IN_TESTS if _is_test(item.path) else None
        if reason is None and not self._decide_about(item):
            reason = UNDECIDED
        if reason is not None:
            return AnswerVerdict(item.task_id, completion, None, reason)
        if completion == item.canonical_solution:
            return AnswerVerdict(item.task_id, completion, True, PASSED)
        outcome = self._with(item, completion)
        return AnswerVerdict(item.task_id, completion, outcome.passed, outcome.result)

    def _decide_about(self, item: BenchItem) -> bool:
        if item.task_id not in self._decides:
            self._decides[item.task_id] = not self._with(item, _probe(item)).passed
        return self._decides[item.task_id]

    def _with(self, item: BenchItem, middle: str) -> Outcome:
        """Return how the tests end with something else at a place; fewer tests than before are a failure."""
        with _replaced(self._folder / self._names[item.path], item.prompt + middle + item.suffix):
            outcome = self._run_tests(self._folder)
        if outcome.passed and outcome.num_passed < self.num_tests:
            fewer = f"failed: {outcome.num_passed:,} tests passed, and {self.num_tests:,} did before"
            return Outcome(fewer, outcome.num_passed, outcome.seconds)
        return outcome


def check_out(repository: Repository, commit_id: str, folder: Path) -> None:
    """Write the files of a commit into an empty folder: no ``.git``, no name or link that leads out of it.

    Raises:
        InputError: the folder is not empty, a name would lead out of it, or a file is not in this clone.
        SpanmixError: the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; name a new folder for the checkout")
    files = repository.files(commit_id)
    # Links come last, so that nothing is written through one.
    for file in sorted(files, key=lambda file: file.mode == LINK_MODE):
        if file.mode not in {*FILE_MODES, LINK_MODE}:
            continue
        content = repository.read(file.object_id)
        if content is None:
            raise InputError(
                f"{file.path} of {commit_id[:12]} is not in this clone of {repository.label}, or damaged, so "
                "its tests would run without it; `git fsck` says which, and `git fetch --refetch` gets all"
            )
        with full_disk_named(folder):
            _write(folder, file, content)
    for parent, _, _ in os.walk(folder):
        # Whatever files are made with by default: a sandbox's user has to read them.
        Path(parent).chmod(0o755)


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
