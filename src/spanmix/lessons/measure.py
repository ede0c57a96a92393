"""Measure a finished run: bits of each held-out file, and of each hidden middle with and without its suffix.

Files are scored left to right in overlapping windows, as `spanmix.evaluate.losses` does, but only the first
so many tokens of each, and of as many files as come to so many tokens; which files, hangs on the corpus
alone. The middles are those of `spanmix.evaluate.infill_spans`, the same of every arm: prefixes and suffixes
are cut to a room that fits every form of prompt.

What is kept are bits and bytes, file by file and middle by middle; every figure of the report is made of
them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spanmix import seeding
from spanmix.evaluate.infill_answers import prompts_of
from spanmix.evaluate.infill_spans import MULTI_LINE, SINGLE_LINE, InfillCase, SpanKind, make_cases
from spanmix.evaluate.losses import windows
from spanmix.evaluate.scoring import Progress, score_all
from spanmix.generate.engine import Engine, ScoreRequest
from spanmix.generate.formats import InfillFormat
from spanmix.lessons.parts import Measuring
from spanmix.text.corpus import Corpus, CorpusSource

MIDDLES_OF = "code"
_SEED = 0
_CONTROL_ROOM = 8
"""Control tokens for which every prompt keeps room; no form has more."""


@dataclass(frozen=True)
class FileBits:
    """Held-out files of a source: number, bytes that were scored, and their bits, file by file."""

    documents: tuple[int, ...]
    num_bytes: tuple[int, ...]
    bits: tuple[float, ...]

    @property
    def bits_per_byte(self) -> float:
        """All bits over all bytes."""
        return sum(self.bits) / sum(self.num_bytes)


@dataclass(frozen=True)
class MiddleBits:
    """Middles of one kind: the number of each one's file, its bytes, and its bits.

    Args:
        documents: the file of each middle.
        num_bytes: of each middle.
        shown: bits with prefix and suffix, in the form that the model was trained to infill in; of a model
            that was not, those behind the prefix alone.
        left_to_right: bits behind the prefix alone.
    """

    documents: tuple[int, ...]
    num_bytes: tuple[int, ...]
    shown: tuple[float, ...]
    left_to_right: tuple[float, ...]


def file_bits(
    engine: Engine,
    corpus: Corpus,
    name: str,
    file_tokens: int,
    documents: Sequence[int],
    context_tokens: int,
    progress: Progress | None = None,
) -> FileBits:
    """Score the first tokens of held-out files.

    Args:
        engine: the model.
        corpus: holds the files.
        name: of their source.
        file_tokens: so many first tokens of each.
        documents: which files.
        context_tokens: longest window.
        progress: called with (tokens scored, tokens in all).
    """
    source, start_id = corpus.held_out[name], corpus.tokenizer.control.eot
    token_bytes = corpus.tokenizer.token_bytes
    owners: list[int] = []
    requests: list[ScoreRequest] = []
    num_bytes = []
    for place, document in enumerate(documents):
        ids = source.tokens(document)[:file_tokens].tolist()
        num_bytes.append(sum(len(token_bytes[token]) for token in ids))
        for start, first_charged, stop in windows(len(ids), context_tokens):
            owners.append(place)
            requests.append(ScoreRequest([start_id, *ids[start:first_charged]], ids[first_charged:stop]))
    bits = np.zeros(len(documents))
    for place, score in zip(owners, score_all(engine, requests, progress), strict=True):
        bits[place] -= math.fsum(score.logprobs) / math.log(2)
    return FileBits(tuple(documents), tuple(num_bytes), tuple(_rounded(bits.tolist())))


def chosen_files(source: CorpusSource, file_tokens: int, source_tokens: int) -> list[int]:
    """Return the held-out files that are scored: in a drawn order, until they have `source_tokens`."""
    key = seeding.name_key(source.name)
    words = seeding.draw(_SEED, "lessons/files", key, 0, np.arange(len(source)), 1)[:, 0]
    chosen: list[int] = []
    taken = 0
    for document in np.argsort(words, kind="stable").tolist():
        length = min(file_tokens, int(source.lengths[document]))
        if length and (not chosen or taken + length <= source_tokens):
            chosen.append(document)
            taken += length
    return sorted(chosen)


def middle_bits(
    engine: Engine,
    corpus: Corpus,
    infill_format: InfillFormat | None,
    kind: SpanKind,
    num_spans: int,
    context_tokens: int,
    progress: Progress | None = None,
) -> MiddleBits:
    """Score hidden middles of held-out code.

    Args:
        engine: the model.
        corpus: holds the files.
        infill_format: how the model is asked; None if it was not trained to infill.
        kind: of middles.
        num_spans: how many; fewer if the files have no more.
        context_tokens: longest prompt with its middle.
        progress: called with (tokens scored, tokens in all).
    """
    source, start_id = corpus.held_out[MIDDLES_OF], corpus.tokenizer.control.eot
    drawn = make_cases(
        source,
        corpus.tokenizer.encode,
        kind,
        num_spans,
        seed=_SEED,
        context_tokens=context_tokens,
        num_control_tokens=_CONTROL_ROOM,
    )
    requests = [ScoreRequest([start_id, *case.prefix_ids], case.middle_ids) for case in drawn.cases]
    if infill_format is not None:
        assert infill_format.num_control_tokens <= _CONTROL_ROOM
        requests += list(_shown(drawn.cases, infill_format, start_id))
    scores = score_all(engine, requests, progress)
    bits = _rounded(-math.fsum(score.logprobs) / math.log(2) for score in scores)
    number = len(drawn.cases)
    return MiddleBits(
        documents=tuple(case.span.document for case in drawn.cases),
        num_bytes=tuple(len(case.middle.encode("utf-8")) for case in drawn.cases),
        shown=tuple(bits[number:] or bits),
        left_to_right=tuple(bits[:number]),
    )


def _shown(cases: Sequence[InfillCase], infill_format: InfillFormat, start_id: int) -> Iterator[ScoreRequest]:
    for case in cases:
        prompt = prompts_of(case, infill_format, start_id)["suffix_shown"]
        yield ScoreRequest(prompt, case.middle_ids)


def middle_kinds(measuring: Measuring) -> tuple[tuple[SpanKind, int], ...]:
    """Return the kinds of middles and how many of each are scored."""
    return (SINGLE_LINE, measuring.single_line_spans), (MULTI_LINE, measuring.multi_line_spans)


def _rounded(values: Iterator[float] | Sequence[float]) -> list[float]:
    # Ten times finer than any figure of the report, and short enough to be kept for good.
    return [round(value, 3) for value in values]
