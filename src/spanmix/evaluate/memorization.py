"""Measure how much of what a model writes stands word for word in its training documents.

A token of a completion is memorized if it lies whole in a match of at least N tokens: N tokens of the
completion in a row whose bytes some training document holds in a row (N = 50 is Carlini et al.'s choice,
"Quantifying Memorization Across Neural Language Models", 2023, section 3). The prompt is no part of a
match. Much code is written the same by everybody, so beside it stands the same share of how the documents
really go on: of held-out documents that is what people copy, and of training documents it is 1 but for those
that end early. Where a completion begins with the very N tokens that come next in the document, it is
recited: that alone is what Carlini et al. count.

=============  ==================================================================================
``held_out``   prompts from held-out documents: what the model copies when it is used
``train``      prompts from training documents: what it gives back when it is asked for it
=============  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spanmix.errors import InputError
from spanmix.evaluate import intervals
from spanmix.evaluate.intervals import Interval
from spanmix.evaluate.memorization_prompts import MemorizationSettings, Prompt, draw_prompts
from spanmix.generate.batch import generate
from spanmix.generate.engine import Engine, EngineInfo, GenerateRequest
from spanmix.text.corpus import CorpusSource
from spanmix.text.document_names import document_name
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.trace.index import TraceIndex
from spanmix.text.trace.matches import FilePlace
from spanmix.text.trace.token_spans import TokenEnds, covered_tokens

_AT_ONCE = 64
_NUM_COPIES = 3


@dataclass(frozen=True)
class Copy:
    """The longest match of one completion.

    Args:
        text: its characters.
        num_tokens: of the completion, that lie whole in it.
        num_bytes: of it in UTF-8.
        num_occurrences: places in all training documents.
        files: those that the first of them stands in.
        prompt: name of the file that the prompt ends in, see `document_name`.
    """

    text: str
    num_tokens: int
    num_bytes: int
    num_occurrences: int
    files: tuple[FilePlace, ...]
    prompt: str


@dataclass(frozen=True)
class MemorizationFigures:
    """What was found on one side of one source.

    Args:
        source, side: where prompts are from; the side is ``held_out`` or ``train``.
        min_tokens: of the shortest match that counts.
        num_completions, num_tokens: what the model wrote; controls are not counted.
        memorized: share of its tokens, with the bootstrap interval over completions; None if it wrote none.
        with_match: share of completions with any such token, with Wilson's interval.
        really: the same share as `memorized` of how the documents go on, up to as many tokens.
        num_recitable: documents that go on for `min_tokens` at least.
        recited: share of these whose next `min_tokens` tokens the completion begins with; None without any.
        longest_bytes: bytes of the longest match of all completions; 0 if none counts.
        copies: the longest matches, each once and of one completion, the longest first.
    """

    source: str
    side: str
    min_tokens: int
    num_completions: int
    num_tokens: int
    memorized: Interval | None
    with_match: Interval
    really: Interval | None
    num_recitable: int
    recited: Interval | None
    longest_bytes: int
    copies: tuple[Copy, ...]


class _Found(NamedTuple):
    """One completion: its tokens, those that are memorized, and the longest match that counts."""

    num_tokens: int
    num_memorized: int
    longest: bytes
    longest_tokens: int


def measure_memorization(
    engine: Engine,
    tokenizer: Tokenizer,
    index: TraceIndex,
    source: CorpusSource,
    side: str,
    settings: MemorizationSettings | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> MemorizationFigures:
    """Let a model go on from places in a source's documents, and trace what it writes.

    Args:
        engine: runs the model; it is idle.
        tokenizer: the model's, which is the corpus's.
        index: of the corpus that the model was trained on.
        source: documents to cut prompts from; of any side of the corpus.
        side: how the figures name that side.
        settings: what is asked.
        progress: called with completions done and in all.

    Raises:
        NoPromptsError: no document is long enough.
        InputError: `min_tokens` is below what the index finds, or a prompt and its completion do not fit
            the model's context.
    """
    settings = MemorizationSettings() if settings is None else settings
    require_measurable(engine.info, index, settings)
    prompts = draw_prompts(source, side, settings)
    written = _write(engine, tokenizer, prompts, settings, progress)
    found = [_trace(index, tokenizer, ids, settings.min_tokens) for ids in written]
    real = [_trace(index, tokenizer, prompt.next_ids, settings.min_tokens) for prompt in prompts]
    has_match = np.array([one.num_memorized > 0 for one in found], np.float64)
    recited = _recited(tokenizer, prompts, written, settings.min_tokens)
    return MemorizationFigures(
        source=source.name,
        side=side,
        min_tokens=settings.min_tokens,
        num_completions=len(found),
        num_tokens=sum(one.num_tokens for one in found),
        memorized=_share(found, settings.seed),
        with_match=intervals.share(has_match, np.ones(len(found))),
        really=_share(real, settings.seed),
        num_recitable=len(recited),
        recited=intervals.share(recited, np.ones(len(recited))) if len(recited) else None,
        longest_bytes=max(len(one.longest) for one in found),
        copies=tuple(_copies(index, tokenizer, source, prompts, found)),
    )


def require_measurable(info: EngineInfo, index: TraceIndex, settings: MemorizationSettings) -> None:
    """Raise `InputError` if the index does not find such matches, or the model cannot write as much."""
    if settings.min_tokens < index.shortest_bytes:
        raise InputError(
            f"matches of {settings.min_tokens} tokens are asked for, which may be as few bytes, and this "
            f"index finds those of {index.shortest_bytes} bytes and more; ask for {index.shortest_bytes} or "
            f"more, or build it again with `spanmix trace --corpus {index.corpus} --build --shortest-bytes "
            f"{settings.min_tokens}`"
        )
    needed = 1 + settings.prompt_tokens + settings.max_tokens
    if needed > info.context_tokens:
        raise InputError(
            f"<|endoftext|>, a prompt of {settings.prompt_tokens} tokens and a completion of up to "
            f"{settings.max_tokens} are {needed}, and the model's context is {info.context_tokens}; ask for "
            "shorter ones"
        )


def _write(
    engine: Engine,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    settings: MemorizationSettings,
    progress: Callable[[int, int], None],
) -> list[list[int]]:
    """Return the ids of each completion, without the control that ended it."""
    eot = tokenizer.control.eot
    controls = (
        frozenset(i for i, piece in enumerate(tokenizer.token_bytes) if not piece) | tokenizer.suppressed_ids
    )
    requests = [
        GenerateRequest(
            prompt_ids=[eot, *prompt.prompt_ids],
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
            seed=settings.seed + number,
            stop_ids=frozenset({eot}),
            suppress_ids=controls - {eot},
        )
        for number, prompt in enumerate(prompts)
    ]
    written: list[list[int]] = []
    for start in range(0, len(requests), _AT_ONCE):
        for generation in generate(engine, requests[start : start + _AT_ONCE]):
            written.append([i for i in generation.token_ids if i not in controls])
        progress(len(written), len(requests))
    return written


def _trace(index: TraceIndex, tokenizer: Tokenizer, ids: Sequence[int], min_tokens: int) -> _Found:
    content = tokenizer.decode_bytes(ids)
    # So many tokens have at least as many bytes.
    spans = index.byte_spans(content, min_tokens)
    ends = TokenEnds([len(tokenizer.token_bytes[i]) for i in ids])
    counted = [span for span in spans if len(ends.inside(*span)) >= min_tokens]
    start, end = max(counted, key=lambda span: span[1] - span[0], default=(0, 0))
    num_memorized = len(covered_tokens(ends, counted, min_tokens))
    return _Found(len(ids), num_memorized, content[start:end], len(ends.inside(start, end)))


def _recited(
    tokenizer: Tokenizer, prompts: Sequence[Prompt], written: Sequence[Sequence[int]], min_tokens: int
) -> NDArray[np.float64]:
    """Return of each document that goes on so long whether a completion begins as it goes on."""
    expected = (tokenizer.decode_bytes(prompt.next_ids[:min_tokens]) for prompt in prompts)
    return np.array(
        [
            tokenizer.decode_bytes(ids).startswith(content)
            for prompt, content, ids in zip(prompts, expected, written, strict=True)
            if len(prompt.next_ids) >= min_tokens
        ],
        np.float64,
    )


def _copies(
    index: TraceIndex,
    tokenizer: Tokenizer,
    source: CorpusSource,
    prompts: Sequence[Prompt],
    found: Sequence[_Found],
) -> Iterator[Copy]:
    """Yield the longest matches, each once, and where they stand."""
    shown: set[bytes] = set()
    for number in sorted(range(len(found)), key=lambda number: (-len(found[number].longest), number)):
        one = found[number]
        if len(shown) == _NUM_COPIES:
            return
        if one.longest in shown:
            continue
        shown.add(one.longest)
        # The bytes of a match may begin and end inside of characters.
        text = one.longest.decode("utf-8", errors="ignore")
        if len(text.encode()) < max(1, index.shortest_bytes):
            continue
        match, _ = index.longest_match(text, index.shortest_bytes)
        assert match is not None, "a match is found again"
        yield Copy(
            text,
            one.longest_tokens,
            len(one.longest),
            match.num_occurrences,
            match.occurrences[0].files,
            _file_name(tokenizer, source, prompts[number]),
        )


def _file_name(tokenizer: Tokenizer, source: CorpusSource, prompt: Prompt) -> str:
    """Return what people call the file that a prompt ends in."""
    ids = source.tokens(prompt.document)[: prompt.start + len(prompt.prompt_ids)]
    end = int(tokenizer.num_bytes[ids].sum())
    file = source.files_between(prompt.document, end - 1, end)[-1]
    return document_name(file.repository, file.path)


def _share(found: Sequence[_Found], seed: int) -> Interval | None:
    if not any(one.num_tokens for one in found):
        return None
    memorized = np.array([one.num_memorized for one in found], np.float64)
    tokens = np.array([one.num_tokens for one in found], np.float64)
    return intervals.ratio(memorized, tokens, seed)
