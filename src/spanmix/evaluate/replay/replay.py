"""Replay a history: ask a model at each cursor what its author then typed, and keep every answer.

The answers of a hunk depend on one another, as the author goes on behind what was accepted; those of two
hunks do not. Each is appended to a file when it is there, so a replay that was interrupted goes on with the
first that is missing, and what it asks is what it would have asked.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanmix.errors import InputError
from spanmix.evaluate.appended import Keeping, open_appended
from spanmix.evaluate.replay.asking import Ask
from spanmix.evaluate.replay.author import accepted, is_line_start, without_end
from spanmix.evaluate.replay.git import Repository
from spanmix.evaluate.replay.history import HistorySettings, Hunk, LeftOut, commits_to_replay, planned
from spanmix.evaluate.replay.lines import first_of, last_of

ANSWERS_FORMAT_VERSION = 1
_LINES_IN_FRONT, _LINES_BEHIND = 8, 4


@dataclass(frozen=True)
class Event:
    """One cursor, what was proposed there, and what came of it.

    Args:
        id: ``COMMIT/FILE/LINE``.
        commit: id of the commit.
        path, language: the file.
        line: line of the new file that the cursor is in, from 1.
        inside_line: whether something stands in front of the cursor in its line.
        wanted: the author's line from there on, without its end.
        proposal: what the model wrote.
        finish_reason: ``"stop"`` if the model ended it, or ``"length"``.
        num_lines_accepted: 0 if the first line is not the author's.
        num_keys: keys that the author's lines take, those of the blank ones around them included.
        num_saved: keys that were saved.
        seconds: from the question to the end of the answer.
        num_tokens: tokens that the model wrote, the one that ended it included.
        num_prefix_cut, num_suffix_cut: tokens that did not fit the context.
    """

    id: str
    commit: str
    path: str
    language: str
    line: int
    inside_line: bool
    wanted: str
    proposal: str
    finish_reason: str
    num_lines_accepted: int
    num_keys: int
    num_saved: int
    seconds: float
    num_tokens: int
    num_prefix_cut: int
    num_suffix_cut: int


_KEEPING = Keeping(Event, "answer")


@dataclass(frozen=True)
class Replay:
    """All that a replay has found.

    Args:
        repository: its name.
        head: id of the last commit of the line that was replayed.
        settings: which part.
        num_commits: commits that could be replayed.
        num_hunks: places at which something was typed and asked for.
        left_out: what was not replayed, of the commits that were looked at.
        events: one for each question, in the order of the commits.
        around: for each event, by its id, the lines in front of the cursor and those behind it, a few.
    """

    repository: str
    head: str
    settings: HistorySettings
    num_commits: int
    num_hunks: int
    left_out: LeftOut
    events: tuple[Event, ...]
    around: dict[str, tuple[str, str]]


def replay(
    folder: Path,
    ask: Ask,
    settings: HistorySettings,
    answers_file: Path,
    *,
    facts: Mapping[str, Any],
    revision: str = "HEAD",
    progress: Callable[[int, int], None] | None = None,
) -> Replay:
    """Ask at every cursor of a part of a history.

    Args:
        folder: a checkout or a bare repository; it is only read.
        ask: asks the model; see `spanmix.evaluate.replay.asking.ask_engine`.
        settings: which part of the history.
        answers_file: a ``.jsonl`` file for the answers; if it is there, the replay goes on with it.
        facts: what else the answers depend on, such as the model, its tokenizer and the sampling; compared
            when a replay goes on.
        revision: the last commit, by any name that git knows it by.
        progress: called after each hunk with (cursors passed, most cursors).

    Raises:
        InputError: there is no such repository or commit, or nothing to replay in it; the file was begun with
            other settings.
    """
    left_out = LeftOut()
    with Repository(folder) as repository:
        head = repository.resolve(revision)
        commits = commits_to_replay(repository, head, settings, left_out)
        begun_with = {
            "format_version": ANSWERS_FORMAT_VERSION,
            "head": head,
            **dataclasses.asdict(settings),
            **facts,
        }
        num_hunks = num_passed = 0
        events: list[Event] = []
        around: dict[str, tuple[str, str]] = {}
        with open_appended(answers_file, _KEEPING, begun_with) as kept:
            known = {event.id: event for _, event in kept.records()}
            for hunk in planned(repository, commits, settings, left_out):
                for event in events_of(hunk, ask, known):
                    if event.id not in known:
                        kept.append(event)
                    events.append(event)
                    around[event.id] = _around(hunk, event)
                num_hunks += 1
                num_passed += hunk.num_events
                if progress is not None:
                    progress(num_passed, settings.max_events)
        if not events:
            raise InputError(
                f"nothing was typed in {len(commits)} commits of {repository.label} that could be replayed; "
                f"left out: files {dict(left_out.files)}, hunks {dict(left_out.hunks)}; name an earlier date"
            )
        return Replay(
            repository.label, head, settings, len(commits), num_hunks, left_out, tuple(events), around
        )


def events_of(hunk: Hunk, ask: Ask, known: Mapping[str, Event]) -> Iterator[Event]:
    """Yield the events of a hunk; those that are known are not asked for again.

    The author types a line that was not accepted, and the next question is at the line behind it. Behind
    lines that were accepted it is at the first that was not. Blank lines are typed without a question.
    """
    first = 0
    while first < len(hunk.lines):
        at = _filled(hunk, first)
        event_id = f"{hunk.commit}/{hunk.file_index}/{hunk.line + at}"
        event = known.get(event_id)
        if event is None:
            event = _asked(hunk, first, at, event_id, ask)
        yield event
        first = _filled(hunk, at + max(1, event.num_lines_accepted))


def _filled(hunk: Hunk, start: int) -> int:
    """Return the first line from `start` on that is not blank, or the end."""
    lines = hunk.lines
    return next((place for place in range(start, len(lines)) if not lines[place].is_blank), len(lines))


def _around(hunk: Hunk, event: Event) -> tuple[str, str]:
    before = hunk.prefix + hunk.typed[: hunk.lines[event.line - hunk.line].start]
    return last_of(before, _LINES_IN_FRONT), first_of(hunk.suffix, _LINES_BEHIND)


def _asked(hunk: Hunk, first: int, at: int, event_id: str, ask: Ask) -> Event:
    before = hunk.prefix + hunk.typed[: hunk.lines[at].start]
    began = time.perf_counter()
    answer = ask(before, hunk.suffix)
    seconds = time.perf_counter() - began
    taken = accepted(answer.text, hunk.lines[at:])
    after = _filled(hunk, at + max(1, taken.num_lines))
    return Event(
        id=event_id,
        commit=hunk.commit,
        path=hunk.path,
        language=hunk.language,
        line=hunk.line + at,
        inside_line=not is_line_start(before),
        wanted=without_end(hunk.lines[at].text),
        proposal=answer.text,
        finish_reason=answer.finish_reason,
        num_lines_accepted=taken.num_lines,
        num_keys=sum(line.num_keys for line in hunk.lines[first:after]),
        num_saved=taken.num_saved,
        seconds=seconds,
        num_tokens=len(answer.token_ids),
        num_prefix_cut=answer.num_prefix_cut,
        num_suffix_cut=answer.num_suffix_cut,
    )
