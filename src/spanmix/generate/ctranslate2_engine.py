"""Run a CTranslate2 folder: score sequences, and generate many requests at once."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spanmix.generate.ctranslate2_folder import CTranslate2Facts, load_generator, read_facts
from spanmix.generate.ctranslate2_job import Job, JobRow
from spanmix.generate.engine import CAPABILITIES, EngineInfo, GenerateRequest, Score, ScoreRequest, TokenEvent
from spanmix.generate.scores import add_scores, score_in_parts

_MOST_APART = 64
"""Most tokens that the prompts of one batch may differ by: the longer ones read them one a step."""
_MOST_AT_ONCE = 2
"""Batches that compute at the same time. The library copies keys and values with one thread at every step,
so eight requests on two processors take a quarter less time in two batches of four, each with all threads."""
_LOGITS_ELEMENTS = 64_000_000
"""Most logits, positions times vocabulary, that exist at once (those of one long sequence may be more)."""
_CHUNK_ELEMENTS = 4_000_000
"""Most logits that are looked at together while scoring."""
_DTYPE_NAMES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


class CTranslate2Engine:
    """The `Engine` of a CTranslate2 folder, on the CPU.

    Requests of one kind whose prompts are nearly equally long run as one batch, or as two that compute side
    by side; further batches advance in turn, one token each a `step`. A batch's rows are fixed when
    it starts, so a request that comes later begins a batch of its own, or waits for the next.

    Choices are the same as the torch engine's, by the same rule, of these logits: seeds, ``top_p`` and
    the rest hold whatever else is in the batch. CTranslate2 itself only ever takes the most likely token,
    and starts again from the whole text where another one is chosen. So greedy is as fast as CTranslate2
    is, and sampling costs a reading of the text for every token that is not the most likely one.

    Args:
        folder: what `spanmix.interchange.ctranslate2` wrote, or any decoder's CTranslate2 folder.
        max_rows: most requests that run at once.
        max_jobs: most batches that run at once.
        cache_bytes: most memory for keys and values; one request always runs.

    Raises:
        InputError: the folder is not whole, or ``ctranslate2`` is not installed.
    """

    def __init__(
        self, folder: Path, max_rows: int = 64, max_jobs: int = 8, cache_bytes: int = 4 * 2**30
    ) -> None:
        facts = read_facts(folder)
        self._at_once = min(_MOST_AT_ONCE, torch.get_num_threads())
        self._loaded = [load_generator(folder, facts, max_jobs)]
        self.vocabulary = facts.vocabulary
        compute_type = self._loaded[0].compute_type
        self._info = EngineInfo(
            facts.context_tokens,
            len(facts.vocabulary),
            _DTYPE_NAMES.get(compute_type, compute_type),
            CAPABILITIES,
        )
        self._max_rows, self._max_jobs = max_rows, max_jobs
        self._max_cached_slots = cache_bytes // _slot_bytes(facts)
        self._waiting: list[JobRow] = []
        self._jobs: list[Job] = []
        self._next_id = 0
        weakref.finalize(self, _stop, self._jobs, self._loaded)

    @property
    def info(self) -> EngineInfo:
        """What this engine can do."""
        return self._info

    def submit(self, request: GenerateRequest) -> int:
        """Accept a request and return its id.

        Raises:
            InputError: it does not fit the context, has an id outside the vocabulary, or suppresses
                every token.
        """
        self._info.check_generate(request)
        self._waiting.append(JobRow.start(self._next_id, request))
        self._next_id += 1
        return self._waiting[-1].id

    def step(self) -> list[TokenEvent]:
        """Give every running request its next token, and every one that can begin its first.

        Returns:
            At most one event a request (a longer prompt beside shorter ones may take some steps to read);
            empty when nothing is left to do.
        """
        events: list[TokenEvent] = []
        # A request whose likeliest token is suppressed has no token in its first step.
        while not events and (self._jobs or self._waiting):
            events += self._advance(self._jobs)
            new = self._begin()
            self._jobs += new
            events += self._advance(new)
            self._sort_out()
        return events

    def _advance(self, jobs: Sequence[Job]) -> list[TokenEvent]:
        """Give the rows of batches their next token, a few batches at a time."""
        events: list[TokenEvent] = []
        for start in range(0, len(jobs), self._at_once):
            part = jobs[start : start + self._at_once]
            for job in part:
                job.go()
            for report in [job.report() for job in part]:
                if isinstance(report, BaseException):
                    raise report
                events += report
        return events

    def cancel(self, request_id: int) -> None:
        """Forget a request, waiting or running; unknown ids are ignored.

        When the last request of a batch is forgotten, its work has stopped when this returns.
        """
        self._waiting = [row for row in self._waiting if row.id != request_id]
        for job in self._jobs:
            for row in job.rows:
                if row.id == request_id:
                    row.is_over = True
                    job.leave()
        self._jobs[:] = [job for job in self._jobs if not job.is_done]

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Score each request.

        Returns:
            Log-probabilities (natural, float32) of each request's targets, in the requests' order.

        Raises:
            InputError: a context is empty, or a request is longer than the context window.
        """
        most_tokens = _LOGITS_ELEMENTS // self._info.vocab_size
        return score_in_parts(self._info, requests, most_tokens, self._score_part)

    def _score_part(self, requests: Sequence[ScoreRequest], scores: Sequence[Score]) -> None:
        rows = [[*request.context_ids, *request.target_ids] for request in requests]
        logits_BTV = np.asarray(self._loaded[0].forward_batch([row[:-1] for row in rows]))
        chunk = max(1, _CHUNK_ELEMENTS // self._info.vocab_size)
        for request, score, row, logits_TV in zip(requests, scores, rows, logits_BTV, strict=True):
            for start in range(len(request.context_ids), len(row), chunk):
                targets_N = torch.tensor(row[start : start + chunk])
                num = len(targets_N)
                logits_NV = torch.from_numpy(logits_TV[start - 1 : start - 1 + num])
                add_scores([score] * num, [request.num_top_logprobs] * num, logits_NV, targets_N)

    def _begin(self) -> list[Job]:
        """Make batches of the requests that wait, in the order they came, as far as there is room."""
        new: list[Job] = []
        while self._waiting and len(self._jobs) + len(new) < self._max_jobs:
            running = [job.rows for job in [*self._jobs, *new]]
            num_rows = self._max_rows - sum(len(rows) for rows in running)
            num_slots = self._max_cached_slots - sum(_num_slots(rows) for rows in running)
            rows = _alike(self._waiting, num_rows, num_slots)
            if not rows and running:
                break
            rows = rows or self._waiting[:1]
            taken = {row.id for row in rows}
            self._waiting = [row for row in self._waiting if row.id not in taken]
            room = self._max_jobs - len(self._jobs) - len(new)
            parts = _parts(rows, min(self._at_once, room))
            most_logits = _LOGITS_ELEMENTS // (len(running) + len(parts))
            new += [Job(self._loaded[0], part, self.vocabulary, most_logits) for part in parts]
        return new

    def _sort_out(self) -> None:
        """Put the requests that left their batch unfinished in front of those that wait."""
        left = [row for job in self._jobs for row in job.pop_left()]
        self._waiting = [*sorted(left, key=lambda row: row.id), *self._waiting]
        self._jobs[:] = [job for job in self._jobs if not job.is_done]


def _alike(waiting: Sequence[JobRow], num_rows: int, num_slots: int) -> list[JobRow]:
    """Return the first request and those after it that can run in one batch with it, in that much room."""
    rows: list[JobRow] = []
    for row in waiting:
        lengths = [other.num_tokens for other in [*rows, row]]
        # Where one prompt is a single token, the library reports what it reads of the others as generated.
        most_apart = _MOST_APART if min(lengths) > 1 else 0
        alike = max(lengths) - min(lengths) <= most_apart and row.needs_logits == waiting[0].needs_logits
        if alike and len(lengths) <= num_rows and _num_slots([*rows, row]) <= num_slots:
            rows.append(row)
        elif not rows:
            break
    return rows


def _parts(rows: list[JobRow], most: int) -> list[list[JobRow]]:
    """Cut rows into as many batches of about one size as may be."""
    number = min(most, len(rows))
    bounds = [len(rows) * i // number for i in range(number + 1)]
    return [rows[start:stop] for start, stop in itertools.pairwise(bounds)]


def _num_slots(rows: Sequence[JobRow]) -> int:
    """Return the most positions whose keys and values a batch keeps."""
    return len(rows) * max((len(row.request.prompt_ids) + row.request.max_tokens for row in rows), default=0)


def _slot_bytes(facts: CTranslate2Facts) -> int:
    return 2 * facts.num_layers * facts.dim * np.dtype(np.float32).itemsize


def _stop(jobs: list[Job], loaded: list[Any]) -> None:
    """End all batches and let go of the model, when the engine or the process ends.

    A batch waits in a thread of the library to be told to go on, and the library waits for its threads. They
    have to be gone before Python is, or they end the process when they call back.
    """
    for job in jobs:
        for row in job.rows:
            row.is_over = True
        with suppress(RuntimeError, ValueError):  # what went wrong in it has been said
            job.leave()
    jobs.clear()
    loaded.clear()
