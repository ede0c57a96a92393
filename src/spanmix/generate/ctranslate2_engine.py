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
from numpy.typing import NDArray
from torch import Tensor

from spanmix.generate.ctranslate2_folder import CTranslate2Facts, load_generator, read_facts
from spanmix.generate.ctranslate2_job import Job, Running
from spanmix.generate.engine import EngineInfo, GenerateRequest, Score, ScoreRequest, TokenEvent
from spanmix.generate.lengths import by_length
from spanmix.generate.sampling import uniforms
from spanmix.generate.scores import add_scores

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
            frozenset({"seed", "top_logprobs"}),
        )
        self._max_rows, self._max_jobs = max_rows, max_jobs
        self._max_cached_slots = cache_bytes // _slot_bytes(facts)
        self._waiting: list[Running] = []
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
        uniform = uniforms(request.seed, request.max_tokens) if request.temperature > 0 else _NO_UNIFORM
        self._waiting.append(Running(self._next_id, request, uniform))
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
        for request in requests:
            self._info.check_score(request)
        scores = [Score([], []) for _ in requests]
        rows = [[*r.context_ids, *r.target_ids][:-1] for r in requests]
        todo = [index for index, request in enumerate(requests) if len(request.target_ids) > 0]
        most_tokens = _LOGITS_ELEMENTS // self._info.vocab_size
        for part in by_length(todo, [len(row) for row in rows], most_tokens):
            logits_BTV = np.asarray(self._loaded[0].forward_batch([rows[index] for index in part]))
            for index, logits_TV in zip(part, logits_BTV, strict=True):
                first, stop = len(requests[index].context_ids) - 1, len(rows[index])
                scores[index] = _score(torch.from_numpy(logits_TV[first:stop]), requests[index].target_ids)
        return scores

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


_NO_UNIFORM: NDArray[np.float64] = np.empty(0)


def _alike(waiting: Sequence[Running], num_rows: int, num_slots: int) -> list[Running]:
    """Return the first request and those after it that can run in one batch with it, in that much room."""
    rows: list[Running] = []
    for row in waiting:
        lengths = [other.num_read for other in [*rows, row]]
        # Where one prompt is a single token, the library reports what it reads of the others as generated.
        most_apart = _MOST_APART if min(lengths) > 1 else 0
        alike = max(lengths) - min(lengths) <= most_apart and row.needs_logits == waiting[0].needs_logits
        if alike and len(lengths) <= num_rows and _num_slots([*rows, row]) <= num_slots:
            rows.append(row)
        elif not rows:
            break
    return rows


def _parts(rows: list[Running], most: int) -> list[list[Running]]:
    """Cut rows into as many batches of about one size as may be."""
    number = min(most, len(rows))
    bounds = [len(rows) * i // number for i in range(number + 1)]
    return [rows[start:stop] for start, stop in itertools.pairwise(bounds)]


def _num_slots(rows: Sequence[Running]) -> int:
    """Return the most positions whose keys and values a batch keeps."""
    return len(rows) * max((len(row.request.prompt_ids) + row.request.max_tokens for row in rows), default=0)


def _slot_bytes(facts: CTranslate2Facts) -> int:
    return 2 * facts.num_layers * facts.dim * np.dtype(np.float32).itemsize


def _score(logits_NV: Tensor, target_ids: Sequence[int]) -> Score:
    score = Score([], [])
    targets_N = torch.tensor(target_ids)
    chunk = max(1, _CHUNK_ELEMENTS // logits_NV.shape[1])
    for start in range(0, len(targets_N), chunk):
        add_scores(score, logits_NV[start : start + chunk], targets_N[start : start + chunk])
    return score


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
