"""Choose the places of held-out files that a model will have to fill in.

As in HumanEval-Infilling (Bavarian et al., 2022, arXiv 2207.14255), a span is made of whole lines: the
prefix ends with a newline, the middle is the lines with their indentation and their newlines, and the
suffix is the rest of the file. Its first and last line are not blank, at least one line stands before
it, and something that is not blank stands behind it. In this file of five lines the single-line spans
are lines 2 and 4::

    1  def area(r):
    2      r2 = r * r
    3
    4      return 3 * r2
    5  print(area(2))

The third kind, ``in_word``, is what an editor asks for while a name is typed: the cursor stands inside an
identifier of at least four characters, and the middle is the rest of its line without the newline. No
token of the file need end at such a cursor.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spanmix import seeding
from spanmix.evaluate.losses import HeldOutFiles


@dataclass(frozen=True)
class SpanKind:
    """A family of spans.

    Args:
        name: its key in ``results.json``.
        min_lines, max_lines: the number of lines is uniform between them; 0 stands for a part of a line.
        context_share: longest middle, as a share of the model's context; longer ones are dropped and counted.
    """

    name: str
    min_lines: int
    max_lines: int
    context_share: float

    def __post_init__(self) -> None:
        assert 0 <= self.min_lines <= self.max_lines
        assert 0 < self.context_share < 1


SINGLE_LINE = SpanKind("single_line", 1, 1, context_share=1 / 8)
MULTI_LINE = SpanKind("multi_line", 2, 8, context_share=1 / 4)
IN_WORD = SpanKind("in_word", 0, 0, context_share=1 / 8)
KINDS = {kind.name: kind for kind in (SINGLE_LINE, MULTI_LINE, IN_WORD)}


class FileSpan(NamedTuple):
    """Characters ``start..stop-1`` of a file; the first of them is in line number `line` (from 1)."""

    document: int
    start: int
    stop: int
    line: int


def spans_of(text: str, kind: SpanKind, document: int, words_L2: seeding.UInt64Array) -> Iterator[FileSpan]:
    """Yield the spans of one file in random order, each first line at most once.

    Args:
        text: the file.
        kind: how many lines a span has.
        document: id of the file, for the spans' sake.
        words_L2: two random words for each line of the file: its place in the order, and the number of lines
            (or the place in the line).
    """
    # Only "\n" ends a line here; str.splitlines would also cut at form feeds and the like.
    lines = text.split("\n")
    starts = np.cumsum([0] + [len(line) + 1 for line in lines])
    filled = [index for index, line in enumerate(lines) if line.strip()]
    last_filled = filled[-1] if filled else 0
    for first in np.argsort(words_L2[:, 0], kind="stable").tolist():
        word = int(words_L2[first, 1])
        if not 1 <= first < last_filled or not lines[first].strip():
            continue
        if kind.max_lines == 0:
            if places := _inside_words(lines[first]):
                start = int(starts[first]) + places[seeding.below(word, len(places))]
                stop = int(starts[first]) + len(lines[first].removesuffix("\r"))
                yield FileSpan(document, start, stop, first + 1)
            continue
        after = first + kind.min_lines + seeding.below(word, kind.max_lines - kind.min_lines + 1)
        if after <= last_filled and lines[after - 1].strip():
            yield FileSpan(document, int(starts[first]), int(starts[after]), first + 1)


_WORD = re.compile(r"[^\W\d]\w{3,}")


def _inside_words(line: str) -> list[int]:
    """Return every place strictly inside an identifier of at least four characters.

    >>> _inside_words("  abcd = x")
    [3, 4, 5]
    """
    return [place for word in _WORD.finditer(line) for place in range(word.start() + 1, word.end())]


def draw_spans(source: HeldOutFiles, kind: SpanKind, seed: int) -> Iterator[FileSpan]:
    """Yield spans of as many files as possible: one of every file, then a second one of every file, ...

    The order of the files and of the spans in a file depends on the seed, the source's name and the
    kind only. A file is read when its turn comes, so a few spans of a large source cost little.

    Args:
        source: the held-out files.
        kind: the family of spans.
        seed: the run's seed.
    """
    key = seeding.name_key(source.name)
    purpose = f"infill_spans/{kind.name}"
    order = seeding.draw(seed, purpose + "/files", key, 0, np.arange(source.num_documents), 1)[:, 0]
    waiting = deque(np.argsort(order, kind="stable").tolist())
    streams: dict[int, Iterator[FileSpan]] = {}
    while waiting:
        document = waiting.popleft()
        if document not in streams:
            text = source.text(document)
            num_lines = text.count("\n") + 1
            words_L2 = seeding.draw(seed, purpose, key, 0, [document], 2 * num_lines).reshape(num_lines, 2)
            streams[document] = spans_of(text, kind, document, words_L2)
        span = next(streams[document], None)
        if span is None:
            del streams[document]
        else:
            waiting.append(document)
            yield span


@dataclass(frozen=True)
class InfillCase:
    """A span with the text and the token ids around it, trimmed to the context.

    The ids are those of each part encoded by itself, as an editor would send them.
    """

    span: FileSpan
    path: str
    prefix: str
    middle: str
    suffix: str
    prefix_ids: tuple[int, ...]
    middle_ids: tuple[int, ...]
    suffix_ids: tuple[int, ...]


@dataclass(frozen=True)
class InfillCases:
    """The cases of one kind, and how many spans were too long to be one."""

    kind: SpanKind
    max_middle_tokens: int
    cases: tuple[InfillCase, ...]
    num_too_long: int


_CHARACTERS_PER_TOKEN = 8


def make_cases(
    source: HeldOutFiles,
    encode: Callable[[str], Sequence[int]],
    kind: SpanKind,
    num_spans: int,
    *,
    seed: int,
    context_tokens: int,
    num_control_tokens: int,
) -> InfillCases:
    """Draw spans and prepare them for a context.

    Room for the longest middle, one end token and the control tokens is set aside. Of the rest the
    suffix gets a third and the prefix two thirds; what one of them does not need goes to the other.
    The prefix keeps its end and the suffix its beginning.

    Args:
        source: the held-out files.
        encode: plain text to token ids.
        kind: the family of spans.
        num_spans: how many; fewer come if the files have no more.
        seed: the run's seed.
        context_tokens: longest prompt with its middle.
        num_control_tokens: tokens of the prompt that are neither prefix nor suffix.
    """
    max_middle = max(1, int(context_tokens * kind.context_share))
    budget = context_tokens - num_control_tokens - max_middle - 1
    assert budget >= 3, f"a context of {context_tokens} tokens leaves no room around a span"
    cases: list[InfillCase] = []
    num_too_long = 0
    spans = draw_spans(source, kind, seed)
    while len(cases) < num_spans and (span := next(spans, None)) is not None:
        text = source.text(span.document)
        prefix, middle, suffix = text[: span.start], text[span.start : span.stop], text[span.stop :]
        # No token is longer than the whole middle, so this many characters cannot be few enough tokens
        # in practice; a line of a megabyte is not even encoded.
        middle_ids = encode(middle) if len(middle) <= 64 * max_middle else None
        if middle_ids is None or len(middle_ids) > max_middle:
            num_too_long += 1
            continue
        suffix_ids = head_ids(encode, suffix, budget)
        prefix_ids = tail_ids(encode, prefix, budget)
        suffix_room = max(budget // 3, budget - len(prefix_ids))
        suffix_ids = suffix_ids[:suffix_room]
        prefix_ids = prefix_ids[max(0, len(prefix_ids) - (budget - len(suffix_ids))) :]
        cases.append(
            InfillCase(
                span,
                source.path(span.document),
                prefix,
                middle,
                suffix,
                tuple(prefix_ids),
                tuple(middle_ids),
                tuple(suffix_ids),
            )
        )
    return InfillCases(kind, max_middle, tuple(cases), num_too_long)


def tail_ids(encode: Callable[[str], Sequence[int]], text: str, num_tokens: int) -> list[int]:
    """Return the last token ids of a text, reading no more of it than needed.

    The part that is read starts with a line, because tokenizers cut words there.

    >>> tail_ids(lambda text: [ord(character) for character in text], "ab\\ncd", 3)
    [10, 99, 100]
    """
    characters = _CHARACTERS_PER_TOKEN * num_tokens
    while characters < len(text):
        start = text.find("\n", len(text) - characters) + 1
        ids = encode(text[start:]) if start else []
        if len(ids) > num_tokens:
            return list(ids[-num_tokens:])
        characters *= 4
    ids = encode(text)
    return list(ids[max(0, len(ids) - num_tokens) :])


def head_ids(encode: Callable[[str], Sequence[int]], text: str, num_tokens: int) -> list[int]:
    """Return the first token ids of a text, reading no more of it than needed; see `tail_ids`.

    >>> head_ids(lambda text: [ord(character) for character in text], "ab\\ncd", 3)
    [97, 98, 10]
    """
    characters = _CHARACTERS_PER_TOKEN * num_tokens
    while characters < len(text):
        stop = text.rfind("\n", 0, characters) + 1
        ids = encode(text[:stop])
        if len(ids) > num_tokens:
            return list(ids[:num_tokens])
        characters *= 4
    return list(encode(text)[:num_tokens])
