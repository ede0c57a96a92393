"""Read from a repository's history what its authors typed, and where.

Commits are those of one branch, along first parents. Merges are left out, as what they bring was typed in
others' commits, and so are commits from before a date, as a model may have been trained on them. A commit
counts from the earlier of its two dates, as a rebase makes the later one new.

A `Hunk` is what was typed at one place of a file, in the file as it was at that moment: what stands in
front of the cursor is the new file's, with the edits that came before, and what stands behind it is the old
file's, without what was replaced. See `spanmix.evaluate.replay.edits` for what counts as typed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from spanmix import seeding
from spanmix.errors import InputError
from spanmix.evaluate.replay.author import AuthorLine, author_lines
from spanmix.evaluate.replay.edits import BLANKS, DELETED, TYPED, Edit, find_edits
from spanmix.evaluate.replay.git import Change, Commit, Repository
from spanmix.evaluate.replay.left_out import FileLimits, language_of, read_text
from spanmix.text.dropped import Dropped

MERGE, BEFORE, CUT_OFF = "merge", "before the date", "its parent is not here (shallow clone)"
MOVED, BEYOND = "moved within the commit", "beyond the limits"
_MOVED_CHARACTERS = 20
"""Letters and digits that a moved text has at least; git's own --color-moved asks for as many."""
_LAST_SECOND = 253_402_300_799
"""Of the year 9999; a commit may claim any."""


@dataclass(frozen=True)
class HistorySettings:
    """Which part of a history is replayed.

    Args:
        since: commits from this moment on, such as ``2024-05-31`` (in UTC) or ``2024-05-31T12:00:00+02:00``.
            None takes all, and the report says so.
        seed: decides which commits come first, and what is taken of a commit that has too much.
        max_events: most cursors in all.
        max_events_per_commit: most cursors of a commit.
        max_events_per_hunk: most cursors of what was typed at one place; lines behind it are not looked at.
        max_files_per_commit: a commit that changes more files is left out: a tool made it, or it brings
            others' code.
        files: which files are not measured on.

    Raises:
        InputError: the date is none, or a number is below 1.
    """

    since: str | None = None
    seed: int = 0
    max_events: int = 1_000
    max_events_per_commit: int = 50
    max_events_per_hunk: int = 20
    max_files_per_commit: int = 100
    files: FileLimits = field(default_factory=FileLimits)

    def __post_init__(self) -> None:
        if self.since is not None:
            parse_date(self.since)
        for name in ("max_events", "max_events_per_commit", "max_events_per_hunk", "max_files_per_commit"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; use at least 1")


@dataclass(frozen=True)
class LeftOut:
    """How many commits, files and hunks were left out, for each reason."""

    commits: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    hunks: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Hunk:
    """What was typed at one place.

    Args:
        commit: id of the commit.
        file_index: number of the file among those that the commit changed.
        path: its name.
        language: by its ending.
        line: line of the new file that the cursor is in, from 1.
        prefix: what stands in front of the cursor.
        typed: what was typed.
        suffix: what stands behind the cursor.
        lines: of `typed`, those that are looked at; at least one is not blank.
    """

    commit: str
    file_index: int
    path: str
    language: str
    line: int
    prefix: str
    typed: str
    suffix: str
    lines: tuple[AuthorLine, ...]

    @property
    def num_events(self) -> int:
        """Most cursors that it has: its lines that are not blank."""
        return sum(not line.is_blank for line in self.lines)


def parse_date(text: str) -> int:
    """Read a date or a time as seconds since 1970; without an offset it is UTC.

    Raises:
        InputError: it is no ISO date; git's own ``yesterday`` and the like would mean something else
            tomorrow.

    >>> parse_date("1970-01-02"), parse_date("1970-01-01T01:00:00+01:00")
    (86400, 0)
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"the date {text!r} is none; write it as 2024-05-31, or with a time as 2024-05-31T12:00:00+02:00"
        ) from None
    return int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp())


def commits_to_replay(
    repository: Repository, head: str, settings: HistorySettings, left_out: LeftOut
) -> list[Commit]:
    """Return the commits to replay, in seeded order.

    Args:
        repository: the repository.
        head: id of the last commit.
        settings: since when, and the seed.
        left_out: takes the commits that are left out.

    Raises:
        InputError: there is none.
    """
    line = repository.line_of(head)
    since = None if settings.since is None else parse_date(settings.since)
    taken = []
    for commit in line:
        reason = _why_not(repository, commit, since)
        if reason is None:
            taken.append(commit)
        else:
            left_out.commits[reason] += 1
    if not taken:
        newest = max(min(commit.committed, commit.authored) for commit in line)
        raise InputError(
            f"{repository.label} has no commit to replay: of {len(line)} on the line of {head[:12]}, "
            f"{_listed(left_out.commits)}; the newest is of {date_of(newest)}, so name an earlier date"
        )
    return sorted(taken, key=lambda commit: (_word(settings.seed, "commits", commit.id), commit.id))


def _why_not(repository: Repository, commit: Commit, since: int | None) -> str | None:
    if since is not None and min(commit.committed, commit.authored) < since:
        return BEFORE
    if len(commit.parents) > 1:
        return MERGE
    return CUT_OFF if not commit.parents and repository.is_cut_off(commit) else None


def date_of(seconds: int) -> str:
    """Return a moment as a date in UTC.

    >>> date_of(86400)
    '1970-01-02'
    """
    return datetime.fromtimestamp(min(max(seconds, 0), _LAST_SECOND), UTC).date().isoformat()


def planned(
    repository: Repository, commits: Sequence[Commit], settings: HistorySettings, left_out: LeftOut
) -> Iterator[Hunk]:
    """Yield the hunks of commit after commit until they have `max_events` cursors.

    They do not depend on what a model answers, so two models are asked about the same lines.
    """
    room = settings.max_events
    for commit in commits:
        hunks = hunks_of(repository, commit, settings, left_out)
        for hunk in _limited(hunks, min(room, settings.max_events_per_commit), settings.seed, left_out):
            room -= hunk.num_events
            yield hunk
        if room == 0:
            return


def hunks_of(
    repository: Repository, commit: Commit, settings: HistorySettings, left_out: LeftOut
) -> list[Hunk]:
    """Return what was typed in a commit, file by file, from top to bottom."""
    changes = repository.changes(commit)
    if len(changes) > settings.max_files_per_commit:
        left_out.commits[f"changes more than {settings.max_files_per_commit} files"] += 1
        return []
    edited = []
    for index, change in enumerate(changes):
        texts = _texts(repository, change, settings.files)
        if isinstance(texts, Dropped):
            left_out.files[texts.reason] += 1
        else:
            edited.append((index, change, *texts, find_edits(*texts)))
    removed = _joined(old[edit.old_start : edit.old_stop] for _, _, old, _, edits in edited for edit in edits)
    hunks = []
    for index, change, old, new, edits in edited:
        for edit in edits:
            reason = _why_not_typed(edit, new, removed)
            if reason is None:
                assert change.new is not None, "nothing was typed in a file that was deleted"
                hunks.append(
                    _hunk(commit, index, change.new.path, old, new, edit, settings.max_events_per_hunk)
                )
            else:
                left_out.hunks[reason] += 1
    return hunks


def _texts(repository: Repository, change: Change, limits: FileLimits) -> tuple[str, str] | Dropped:
    texts = []
    for side in (change.old, change.new):
        text = "" if side is None else read_text(repository, side, limits)
        if isinstance(text, Dropped):
            return text
        texts.append(text)
    return texts[0], texts[1]


def _hunk(commit: Commit, index: int, path: str, old: str, new: str, edit: Edit, most: int) -> Hunk:
    prefix, typed = new[: edit.new_start], new[edit.new_start : edit.new_stop]
    return Hunk(
        commit=commit.id,
        file_index=index,
        path=path,
        language=language_of(path),
        line=prefix.count("\n") + 1,
        prefix=prefix,
        typed=typed,
        suffix=old[edit.old_stop :],
        lines=_first(author_lines(typed, prefix), most),
    )


def _first(lines: Sequence[AuthorLine], num_events: int) -> tuple[AuthorLine, ...]:
    """Return the lines up to the last of so many that are not blank; all of them if there are no more."""
    filled = [place for place, line in enumerate(lines) if not line.is_blank]
    return tuple(lines if len(filled) <= num_events else lines[: filled[num_events - 1] + 1])


def _why_not_typed(edit: Edit, new: str, removed: str) -> str | None:
    if edit.kind != TYPED:
        return {DELETED: "deletion", BLANKS: "blanks alone"}[edit.kind]
    text = _joined([new[edit.new_start : edit.new_stop]])
    return MOVED if sum(map(str.isalnum, text)) >= _MOVED_CHARACTERS and text in removed else None


def _joined(texts: Iterator[str] | Sequence[str]) -> str:
    """Return texts without indentation and blank lines, a line of NUL between two (no text has one)."""
    bare = ("\n".join(line.strip() for line in text.split("\n") if line.strip()) for text in texts)
    return "\n" + "\n\0\n".join(bare) + "\n"


def _limited(hunks: Sequence[Hunk], most: int, seed: int, left_out: LeftOut) -> list[Hunk]:
    """Take hunks of a commit in seeded order until they have `most` cursors, the last one in part."""
    words = [_word(seed, "hunks", f"{hunk.commit}/{hunk.file_index}/{hunk.line}") for hunk in hunks]
    taken: dict[int, Hunk] = {}
    for place in sorted(range(len(hunks)), key=lambda place: (words[place], place)):
        if most == 0:
            left_out.hunks[BEYOND] += 1
            continue
        hunk = hunks[place]
        taken[place] = hunk = replace(hunk, lines=_first(hunk.lines, most))
        most -= hunk.num_events
    return [hunk for _, hunk in sorted(taken.items())]


def _word(seed: int, purpose: str, name: str) -> int:
    return seeding.draw_one(seed, f"replay/{purpose}", seeding.name_key(name), 0, 0, 1)[0]


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
