"""Measure how well a model fills in lines of held-out files, with the suffix shown and hidden.

The true middle is scored under three prompts with the same prefix ids and the same middle ids; see
`spanmix.evaluate.infill_answers`. What the model writes by itself, greedily, is compared with the true
middle, both as it is and with blanks taken off both ends. An infill ends where the model ends it; left
to right there is no such end, so a single line is cut behind its first newline, and several lines,
whose number nothing would tell, are not tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from spanmix.errors import InputError
from spanmix.evaluate import intervals
from spanmix.evaluate.infill_answers import (
    Answer,
    middle_bits,
    prompts_of,
    requests_of,
    write_answers,
)
from spanmix.evaluate.infill_spans import SINGLE_LINE, InfillCase, InfillCases, SpanKind, make_cases
from spanmix.evaluate.intervals import Interval
from spanmix.evaluate.losses import HeldOutFiles
from spanmix.generate.engine import Engine
from spanmix.generate.formats import InfillFormat
from spanmix.text.tokenizer import Tokenizer

PhaseProgress = Callable[[str, int, int], None]
"""Called with (phase, units done, units in all); the phases are ``score`` and ``generate``."""

_SHOWN_LINES = 8
_NUM_SAMPLES = 12


class NoSpansError(InputError):
    """The held-out files of a source have no span of the kind that was asked for."""


@dataclass(frozen=True)
class MatchFigures:
    """How what the model wrote compares with the true middle, with 95 % intervals over files.

    Args:
        num_spans: spans that were generated for.
        exact: share of answers equal to the middle.
        exact_stripped: the same without blanks at both ends.
        edit_similarity: mean of 1 - Levenshtein distance / length of the longer, in characters.
        edit_similarity_stripped: the same without blanks at both ends.
        stopped: share of answers that the model ended by itself within the room it had.
    """

    num_spans: int
    exact: Interval
    exact_stripped: Interval
    edit_similarity: Interval
    edit_similarity_stripped: Interval
    stopped: Interval


@dataclass(frozen=True)
class InfillSample:
    """One span as the report shows it; `answers` has one text per condition."""

    path: str
    line: int
    prefix_tail: str
    middle: str
    suffix_head: str
    answers: dict[str, str]


@dataclass(frozen=True)
class InfillFigures:
    """All figures of one kind of spans.

    Args:
        kind: ``single_line``, ``multi_line`` or ``in_word``.
        source: name of the held-out source.
        num_spans, num_files, num_middle_bytes, num_middle_tokens: what was scored.
        num_too_long: drawn spans whose middle had more than `max_middle_tokens`; others took their place.
        context_tokens: longest prompt with its middle.
        lead_tokens: of the infill format.
        bits_per_byte: of the true middle, for each of `CONDITIONS`: total bits over total bytes.
        suffix_gain: paired differences in bits per byte, suffix shown minus ``suffix_hidden``,
            ``left_to_right``, and ``better`` (whichever of the two is lower, chosen anew in every
            resample). Below 0 the suffix helps.
        matches: for each condition that was generated.
        samples: the first spans of the seeded order, not chosen by anyone.
    """

    kind: str
    source: str
    num_spans: int
    num_files: int
    num_middle_bytes: int
    num_middle_tokens: int
    num_too_long: int
    max_middle_tokens: int
    context_tokens: int
    lead_tokens: int
    bits_per_byte: dict[str, Interval]
    suffix_gain: dict[str, Interval]
    matches: dict[str, MatchFigures]
    samples: tuple[InfillSample, ...]


def measure_infill(
    engine: Engine,
    tokenizer: Tokenizer,
    source: HeldOutFiles,
    infill_format: InfillFormat,
    *,
    seed: int,
    kind: SpanKind = SINGLE_LINE,
    num_spans: int = 1000,
    num_generated: int | None = None,
    context_tokens: int | None = None,
    progress: PhaseProgress | None = None,
) -> InfillFigures:
    """Draw spans of held-out files, score their middles and fill them in; see the module's header.

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        source: the held-out files.
        infill_format: how the model is asked to infill.
        seed: the run's seed; the same spans whatever the model.
        kind: `SINGLE_LINE`, `MULTI_LINE` or `IN_WORD`.
        num_spans: spans to score; fewer if the files have no more.
        num_generated: spans to fill in, the first of those scored; all if not given.
        context_tokens: longest prompt with its middle; the engine's context if not given.
        progress: called after every batch.

    Raises:
        NoSpansError: the source has no span of this kind.
    """
    report = progress or (lambda phase, done, total: None)
    context = engine.info.context_tokens if context_tokens is None else context_tokens
    drawn = make_cases(
        source,
        tokenizer.encode,
        kind,
        num_spans,
        seed=seed,
        context_tokens=context,
        # Left to right the start token stands in front, which is no longer than any infill prompt.
        num_control_tokens=max(1, infill_format.num_control_tokens),
    )
    cases = drawn.cases
    if not cases:
        raise NoSpansError(
            f"source {source.name!r} has no {kind.name} span among its {source.num_documents} held-out "
            f"files; it needs files of at least {max(1, kind.min_lines) + 2} lines"
        )
    prompts = [prompts_of(case, infill_format, tokenizer.control.eot) for case in cases]
    bits = middle_bits(engine, cases, prompts, lambda done, total: report("score", done, total))
    generated = cases[: len(cases) if num_generated is None else num_generated]
    requests = requests_of(prompts[: len(generated)], drawn, infill_format, tokenizer)
    answers = write_answers(
        engine, tokenizer, generated, requests, kind, lambda done, total: report("generate", done, total)
    )
    return _figures(source.name, context, infill_format.lead_tokens, drawn, bits, generated, answers, seed)


def edit_similarity(one: str, other: str) -> float:
    """Return 1 - Levenshtein distance / length of the longer, in characters; 1 for two empty texts.

    >>> edit_similarity("return x", "return xy")
    0.888...
    """
    return Levenshtein.normalized_similarity(one, other)


def _figures(
    source_name: str,
    context_tokens: int,
    lead_tokens: int,
    drawn: InfillCases,
    bits_N3: NDArray[np.float64],
    generated: Sequence[InfillCase],
    answers: Mapping[str, Sequence[Answer]],
    seed: int,
) -> InfillFigures:
    cases = drawn.cases
    num_bytes_N = np.array([len(case.middle.encode("utf-8")) for case in cases], dtype=np.float64)
    columns_C4 = _by_file(cases, np.column_stack([bits_N3, num_bytes_N]))

    def figure(numerator: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Interval:
        return intervals.bootstrap(columns_C4, lambda sums: numerator(sums) / sums[..., 3], seed)

    return InfillFigures(
        kind=drawn.kind.name,
        source=source_name,
        num_spans=len(cases),
        num_files=len(columns_C4),
        num_middle_bytes=int(num_bytes_N.sum()),
        num_middle_tokens=sum(len(case.middle_ids) for case in cases),
        num_too_long=drawn.num_too_long,
        max_middle_tokens=drawn.max_middle_tokens,
        context_tokens=context_tokens,
        lead_tokens=lead_tokens,
        bits_per_byte={
            "suffix_shown": figure(lambda sums: sums[..., 0]),
            "suffix_hidden": figure(lambda sums: sums[..., 1]),
            "left_to_right": figure(lambda sums: sums[..., 2]),
        },
        suffix_gain={
            "suffix_hidden": figure(lambda sums: sums[..., 0] - sums[..., 1]),
            "left_to_right": figure(lambda sums: sums[..., 0] - sums[..., 2]),
            "better": figure(lambda sums: sums[..., 0] - np.minimum(sums[..., 1], sums[..., 2])),
        },
        matches={name: _match(generated, written, seed) for name, written in answers.items() if written},
        samples=tuple(_sample(case, index, answers) for index, case in enumerate(generated[:_NUM_SAMPLES])),
    )


def _by_file(cases: Sequence[InfillCase], columns_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up the rows of the spans of each file: [N, K] to [C, K]."""
    _, file_of_N = np.unique([case.span.document for case in cases], return_inverse=True)
    sums_CK = np.zeros((int(file_of_N.max()) + 1, columns_NK.shape[1]))
    np.add.at(sums_CK, file_of_N, columns_NK)
    return sums_CK


def _match(cases: Sequence[InfillCase], answers: Sequence[Answer], seed: int) -> MatchFigures:
    rows = [
        (
            1.0,
            answer.text == case.middle,
            answer.text.strip() == case.middle.strip(),
            edit_similarity(answer.text, case.middle),
            edit_similarity(answer.text.strip(), case.middle.strip()),
            answer.stopped,
        )
        for case, answer in zip(cases, answers, strict=True)
    ]
    columns_CK = _by_file(cases, np.array(rows, dtype=np.float64))
    num_spans_C = columns_CK[:, 0]
    return MatchFigures(
        num_spans=len(cases),
        exact=intervals.share(columns_CK[:, 1], num_spans_C),
        exact_stripped=intervals.share(columns_CK[:, 2], num_spans_C),
        edit_similarity=intervals.ratio(columns_CK[:, 3], num_spans_C, seed),
        edit_similarity_stripped=intervals.ratio(columns_CK[:, 4], num_spans_C, seed),
        stopped=intervals.share(columns_CK[:, 5], num_spans_C),
    )


def _sample(case: InfillCase, index: int, answers: Mapping[str, Sequence[Answer]]) -> InfillSample:
    return InfillSample(
        path=case.path,
        line=case.span.line,
        prefix_tail="".join(case.prefix.splitlines(keepends=True)[-_SHOWN_LINES:]),
        middle=case.middle,
        suffix_head="".join(case.suffix.splitlines(keepends=True)[:_SHOWN_LINES]),
        answers={condition: written[index].text for condition, written in answers.items()},
    )
