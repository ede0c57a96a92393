"""Measure how many bits a model needs for each byte of held-out files.

Every byte is charged and every byte counts: the nats of all tokens of a file, its first token
included, over all bytes of the file. Our models have always seen ``<|endoftext|>`` at position 0, so
every window starts with it; the ``<|endoftext|>`` behind a file is no part of its bytes and is not
charged. A file longer than the context is scored in overlapping windows. With a context of 9 and a
stride of 4, a file of 14 tokens is charged like this (``.`` is seen, ``#`` is charged)::

    token     0 1 2 3 4 5 6 7 8 9 10 11 12 13
    window 1  # # # # # # # #
    window 2          . . . . # # #  #
    window 3              . . . . .  .  #  #

It costs one forward pass over about twice the tokens at the default stride.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from spanmix.errors import InputError
from spanmix.evaluate import intervals
from spanmix.evaluate.intervals import Interval
from spanmix.evaluate.scoring import Progress, score_all
from spanmix.generate.engine import Engine, ScoreRequest
from spanmix.types import IntArray


class HeldOutFiles(Protocol):
    """The files of one source, as `spanmix.text.corpus.CorpusSource` gives them."""

    @property
    def name(self) -> str:
        """The source's name."""
        ...

    @property
    def num_documents(self) -> int:
        """How many files there are."""
        ...

    def tokens(self, document: int, /) -> IntArray:
        """Token ids of a file, without ``<|endoftext|>``."""
        ...

    def text(self, document: int, /) -> str:
        """The whole file."""
        ...

    def path(self, document: int, /) -> str:
        """Where the file came from."""
        ...


class Window(NamedTuple):
    """Tokens ``start..stop-1`` of a file are shown, of which ``first_charged..stop-1`` are charged."""

    start: int
    first_charged: int
    stop: int


def windows(num_tokens: int, context_tokens: int, stride_tokens: int | None = None) -> Iterator[Window]:
    """Cut a file into windows that charge each of its tokens exactly once.

    The first window charges all it holds. Each later one charges the next `stride_tokens`, behind at
    least ``context_tokens - stride_tokens`` tokens of context, the start token among them.

    Args:
        num_tokens: length of the file.
        context_tokens: most tokens of a window, with the start token in front.
        stride_tokens: tokens that each later window charges; half a context if not given.

    Raises:
        InputError: the context or the stride is out of bounds.

    >>> [tuple(window) for window in windows(14, context_tokens=9, stride_tokens=4)]
    [(0, 0, 8), (4, 8, 12), (6, 12, 14)]
    """
    width = context_tokens - 1
    stride = max(1, context_tokens // 2) if stride_tokens is None else stride_tokens
    if width < 1:
        raise InputError(f"the context is {context_tokens} tokens; scoring a file needs at least 2")
    if not 1 <= stride <= width:
        raise InputError(f"stride_tokens is {stride}; use 1 to {width}, as the context is {context_tokens}")
    first_charged = 0
    while first_charged < num_tokens:
        stop = min(num_tokens, first_charged + (stride if first_charged else width))
        yield Window(max(0, stop - width), first_charged, stop)
        first_charged = stop


@dataclass(frozen=True)
class FileLoss:
    """What one file costs: its bytes in UTF-8, its tokens, and their total loss in nats."""

    path: str
    num_bytes: int
    num_tokens: int
    nats: float


@dataclass(frozen=True)
class SourceLoss:
    """What the held-out files of a source cost.

    Args:
        source: the source's name.
        bits_per_byte: total bits over total bytes, with its 95 % interval over files.
        num_files, num_bytes, num_tokens: what was scored.
        nats_per_token: total nats over total tokens.
        greedy_share: share of the tokens that were the most likely one.
        context_tokens, stride_tokens: how long files were cut.
        files: one entry per file.
    """

    source: str
    bits_per_byte: Interval
    num_files: int
    num_bytes: int
    num_tokens: int
    nats_per_token: float
    greedy_share: float
    context_tokens: int
    stride_tokens: int
    files: tuple[FileLoss, ...]


def bits_per_byte(
    engine: Engine,
    source: HeldOutFiles,
    start_id: int,
    *,
    seed: int,
    documents: Sequence[int] | None = None,
    stride_tokens: int | None = None,
    context_tokens: int | None = None,
    progress: Progress | None = None,
) -> SourceLoss:
    """Score held-out files of one source; see the module's header for what is charged.

    Args:
        engine: the model.
        source: the files.
        start_id: ``<|endoftext|>``, the context of a file's first token.
        seed: the run's seed, for the interval.
        documents: which files; all if not given.
        stride_tokens: see `windows`.
        context_tokens: most tokens of a window; the engine's context if not given.
        progress: called with (tokens scored, tokens in all).

    Raises:
        InputError: the files hold no byte, or the stride does not fit the context.
    """
    chosen = range(source.num_documents) if documents is None else documents
    context = engine.info.context_tokens if context_tokens is None else context_tokens
    stride = max(1, context // 2) if stride_tokens is None else stride_tokens
    owners, requests = _requests(source, chosen, start_id, context, stride)
    num_bytes_C = np.array([len(source.text(document).encode("utf-8")) for document in chosen])
    num_tokens_C = np.array([len(source.tokens(document)) for document in chosen])
    if num_bytes_C.sum() == 0:
        raise InputError(f"the held-out files of source {source.name!r} hold no byte; nothing can be scored")
    nats_C = np.zeros(len(chosen))
    num_greedy = 0
    for place, score in zip(owners, score_all(engine, requests, progress), strict=True):
        nats_C[place] -= math.fsum(score.logprobs)
        num_greedy += sum(score.is_greedy)
    num_tokens = int(num_tokens_C.sum())
    return SourceLoss(
        source=source.name,
        bits_per_byte=intervals.ratio(nats_C / math.log(2), num_bytes_C, seed),
        num_files=len(chosen),
        num_bytes=int(num_bytes_C.sum()),
        num_tokens=num_tokens,
        nats_per_token=float(nats_C.sum()) / num_tokens,
        greedy_share=num_greedy / num_tokens,
        context_tokens=context,
        stride_tokens=stride,
        files=tuple(
            FileLoss(source.path(document), int(size), int(tokens), float(nats))
            for document, size, tokens, nats in zip(chosen, num_bytes_C, num_tokens_C, nats_C, strict=True)
        ),
    )


def _requests(
    source: HeldOutFiles, documents: Sequence[int], start_id: int, context: int, stride: int
) -> tuple[list[int], list[ScoreRequest]]:
    """Return the windows of all files, with the place of the file that each belongs to."""
    owners: list[int] = []
    requests: list[ScoreRequest] = []
    for place, document in enumerate(documents):
        ids = source.tokens(document).tolist()
        for start, first_charged, stop in windows(len(ids), context, stride):
            owners.append(place)
            requests.append(ScoreRequest([start_id, *ids[start:first_charged]], ids[first_charged:stop]))
    return owners, requests
