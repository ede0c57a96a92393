"""Spans are whole lines, the same for the same seed; three conditions differ in nothing but the suffix."""

import dataclasses
import json
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.evaluate.infill_answers import CONDITIONS
from spanmix.evaluate.infill_match import NoSpansError, edit_similarity, measure_infill
from spanmix.evaluate.infill_spans import (
    IN_WORD,
    MULTI_LINE,
    SINGLE_LINE,
    draw_spans,
    head_ids,
    make_cases,
    tail_ids,
)
from spanmix.generate.formats import InfillFormat

FORMAT = InfillFormat((256,), (), (260,), (256, 257, 260), (258, 256))
TEXTS = [
    "".join(f"line {n} of {m}\n" if (n + m) % 4 else "\n" for n in range(3 + 2 * m)) + "end"
    for m in range(12)
]


def levenshtein(one, other):
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


@given(st.text("ab\n ", max_size=12), st.text("ab\n ", max_size=12))
def test_edit_similarity_is_plain_levenshtein(one, other):
    longer = max(len(one), len(other))
    plain = 1 - levenshtein(one, other) / longer if longer else 1.0
    assert edit_similarity(one, other) == pytest.approx(plain)


@pytest.mark.parametrize("kind", [SINGLE_LINE, MULTI_LINE])
def test_spans_are_whole_lines_with_something_on_both_sides(make_files, kind):
    nasty = ["a\r\nb\x0cc\r\n\n  d\u2028e\nf", "only one line", "", "\n\n\n", "x\ny\n"]
    source = make_files("code", TEXTS + nasty)
    spans = list(draw_spans(source, kind, seed=1))
    assert len(spans) > 40 and len(set(spans)) == len(spans)
    for document, start, stop, line in spans:
        text = source.texts[document]
        middle = text[start:stop]
        assert text[:start].endswith("\n") and middle.endswith("\n") and text[stop:].strip()
        assert kind.min_lines <= middle.count("\n") <= kind.max_lines
        lines = middle.split("\n")[:-1]
        assert lines[0].strip() and lines[-1].strip()
        assert text[:start].count("\n") == line - 1
    if kind is SINGLE_LINE:
        eligible = sum(
            bool(line.strip()) and any(later.strip() for later in lines[number + 1 :])
            for lines in (text.split("\n") for text in source.texts)
            for number, line in enumerate(lines)
            if number
        )
        assert len(spans) == eligible


def test_a_cursor_inside_a_word_asks_for_the_rest_of_its_line(make_files):
    texts = [
        "import os\n",
        "def größe_von(x):\r\n    return os.path.getsize(x) + 1234\r\n\nab(1)\nprint(größe_von(1))\nend\n",
    ]
    source = make_files("code", [*TEXTS, *texts])
    places = set()
    for seed in range(60):
        for document, start, stop, line in draw_spans(source, IN_WORD, seed=seed):
            text = source.texts[document]
            before, middle, after = text[:start], text[start:stop], text[stop:]
            assert "\n" not in middle and not middle.endswith("\r") and after.startswith(("\n", "\r\n"))
            assert before[-1].isidentifier() and f"a{middle[0]}".isidentifier() and after.strip()
            assert before.count("\n") == line - 1 >= 1
            places.add((document, before.rpartition("\n")[2], middle))
    ours = {(before, middle) for document, before, middle in places if document == len(TEXTS) + 1}
    assert {
        ("pri", "nt(größe_von(1))"),
        ("print(größe", "_von(1))"),
        ("    retur", "n os.path.getsize(x) + 1234"),
    } <= ours
    assert not any(before.startswith("a") or "1234"[:1] == before[-1:] for before, _ in ours)


def test_spans_come_from_as_many_files_as_possible_and_depend_on_the_seed_only(make_files):
    source = make_files("code", TEXTS)
    spans = list(draw_spans(source, SINGLE_LINE, seed=1))
    first = [span.document for span in spans[: len(TEXTS)]]
    assert sorted(first) == list(range(len(TEXTS))) and first != sorted(first)
    assert max(Counter(span.document for span in spans[: 2 * len(TEXTS)]).values()) <= 3
    assert spans == list(draw_spans(source, SINGLE_LINE, seed=1))
    assert spans != list(draw_spans(source, SINGLE_LINE, seed=2))
    # A file more does not move the spans of the others within their file.
    more = list(draw_spans(make_files("code", [*TEXTS, "a\nb\nc\nd\n"]), SINGLE_LINE, seed=1))
    own = lambda all_spans: [span for span in all_spans if span.document == 7]  # noqa: E731
    assert own(more) == own(spans)


@given(st.text("ab \n", max_size=400), st.integers(1, 12))
def test_trimming_keeps_the_tokens_nearest_to_the_cursor(text, num_tokens):
    def encode(part):
        return [ord(character) for character in part]

    assert tail_ids(encode, text, num_tokens) == encode(text)[-num_tokens:]
    assert head_ids(encode, text, num_tokens) == encode(text)[:num_tokens]


def test_cases_fit_the_context_and_long_middles_are_counted(make_files, tokenizer):
    texts = ["a\n" * 100 + "y" * 200 + "\n" + "b\n" * 100 for _ in range(5)]
    source = make_files("code", texts)
    drawn = make_cases(
        source, tokenizer.encode, SINGLE_LINE, 5000, seed=0, context_tokens=80, num_control_tokens=5
    )
    assert drawn.num_too_long == 5 and len(drawn.cases) == 5 * 198
    ends = 0
    for case in drawn.cases:
        prefix, middle, suffix = (list(part.encode()) for part in (case.prefix, case.middle, case.suffix))
        assert list(case.middle_ids) == middle
        assert prefix[len(prefix) - len(case.prefix_ids) :] == list(case.prefix_ids)
        assert suffix[: len(case.suffix_ids)] == list(case.suffix_ids)
        room = len(case.prefix_ids) + len(case.suffix_ids) + 5 + drawn.max_middle_tokens + 1
        assert room <= 80
        ends += room < 80
        if len(prefix) > 80 and len(suffix) > 80:
            assert room == 80 and len(case.suffix_ids) == (80 - 5 - 11) // 3
    assert ends < 5


def test_conditions_use_the_same_prefix_and_middle_and_bits_are_exact(make_engine, make_files, tokenizer):
    chances = {"suffix_shown": 1 / 2, "suffix_hidden": 1 / 4, "left_to_right": 1 / 8}

    def condition(context):
        if 257 not in context:
            return "left_to_right"
        return "suffix_hidden" if context[context.index(257) - 2] == 260 else "suffix_shown"

    engine = make_engine(probability=lambda context, token: chances[condition(context)], context_tokens=128)
    engine.answer = lambda prompt: [*b"line", 258] if 257 in prompt else list(b"line\n")
    figures = measure_infill(engine, tokenizer, make_files("code", TEXTS), FORMAT, seed=3, num_spans=40)
    assert figures.num_spans == 40 and figures.num_files == len(TEXTS)
    bits = [figures.bits_per_byte[name].value for name in CONDITIONS]
    assert bits == pytest.approx([1, 2, 3])  # one token a byte, <eom> not charged
    gains = [figures.suffix_gain[name].value for name in ("suffix_hidden", "left_to_right", "better")]
    assert gains == pytest.approx([-1, -2, -1])
    assert figures.suffix_gain["better"].excludes_zero

    by_condition = {name: [] for name in CONDITIONS}
    for context, targets in engine.scored:
        name = condition(context)
        prefix = context[1:] if name == "left_to_right" else context[1 : context.index(260)]
        by_condition[name].append((prefix, targets))
        assert not set(targets) & {256, 257, 258, 259, 260, 261}
    shown, hidden, plain = (sorted(by_condition[name]) for name in CONDITIONS)
    assert shown == hidden == plain and len(shown) == 40
    assert any(prefix for prefix, _ in shown)


def test_what_the_model_writes_is_compared_with_the_middle(make_engine, make_files, tokenizer):
    texts = [f"first {n}\n    target\nlast {n}\n" for n in range(30)]
    engine = make_engine(context_tokens=256)

    def answer(prompt):
        if 257 not in prompt:
            return list(b"    target\n    more")
        shown = prompt[prompt.index(257) - 2] != 260
        return [*b"    target\n", 258] if shown else list(b"spam" * 20)

    engine.answer = answer
    source = make_files("code", texts)
    kept = dataclasses.replace(SINGLE_LINE)
    figures = measure_infill(engine, tokenizer, source, FORMAT, seed=3, kind=kept, num_generated=20)
    match = figures.matches
    assert figures.num_spans == 30 and {m.num_spans for m in match.values()} == {20}
    assert match["suffix_shown"].exact.value == match["left_to_right"].exact.value == 1
    assert match["suffix_shown"].edit_similarity.value == 1
    assert match["suffix_hidden"].exact.value == 0 and match["suffix_hidden"].exact.high > 0
    assert match["suffix_hidden"].stopped.value == 0 and match["suffix_shown"].stopped.value == 1
    assert figures.samples[0].answers["left_to_right"] == "    target\n"
    assert figures.samples[0].middle == "    target\n"
    json.dumps(dataclasses.asdict(figures), allow_nan=False)
    assert all(not request.temperature for request in engine.asked)


def test_several_lines_are_not_tried_left_to_right(make_engine, make_files, tokenizer):
    engine = make_engine(context_tokens=256, answer=lambda prompt: [258])
    calls = []
    figures = measure_infill(
        engine,
        tokenizer,
        make_files("code", TEXTS),
        FORMAT,
        seed=3,
        kind=MULTI_LINE,
        num_spans=20,
        progress=lambda phase, done, total: calls.append((phase, done, total)),
    )
    assert set(figures.matches) == {"suffix_shown", "suffix_hidden"}
    assert set(figures.bits_per_byte) == set(CONDITIONS)
    assert calls[-1] == ("generate", 40, 40) and {call[0] for call in calls} == {"score", "generate"}
    assert all(math.isfinite(value.value) for value in figures.bits_per_byte.values())


def test_files_without_a_span_are_refused(make_engine, make_files, tokenizer):
    with pytest.raises(NoSpansError, match="no single_line span"):
        measure_infill(make_engine(), tokenizer, make_files("code", ["one line"]), FORMAT, seed=0)
