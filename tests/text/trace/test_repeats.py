"""Texts that repeat themselves, and long matches that overlap: nothing is lost or looked up twice."""

import random
from bisect import bisect_right
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmix.text.trace import plan, search
from spanmix.text.trace.build import build_index
from spanmix.text.trace.index import TraceIndex
from spanmix.text.trace.layout import IndexSettings
from spanmix.text.trace.repeats import Agreement, grouped
from spanmix.text.trace.shard import Query

PATTERNS = [" ", "ab", "-=-", "é", "x = 0\n", "你好", "0123456789abcdefghij\n"]


@st.composite
def repeating(draw):
    """Documents and texts glued together of runs of few patterns."""
    random_ = random.Random(draw(st.integers(0, 2**32)))
    patterns = draw(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2, unique=True))

    def glued(most_runs, most_characters):
        parts = []
        for _ in range(random_.randint(1, most_runs)):
            pattern = random_.choice(patterns)
            length = random_.randint(1, most_characters)
            phase = random_.randrange(len(pattern))
            parts.append((pattern * (2 + length // len(pattern)))[phase : phase + length])
            parts.append(random_.choice(["", "", "#", "b", " ", pattern]))
        return "".join(parts)

    documents = [glued(3, 90) for _ in range(random_.randint(2, 6))]
    texts = [glued(2, 300), glued(5, 150), "!" + random_.choice(documents) * 3 + glued(1, 200)]
    return documents, texts


@pytest.fixture
def met(monkeypatch):
    """Counts what happened in the search."""
    counts = Counter()
    repeat, first_beyond, examine = search._Pass._repeat, search._Pass._first_beyond, search._Pass._examine

    def counted_repeat(self, number):
        beyond = repeat(self, number)
        counts["copied"] += beyond > number
        counts["copied to the end of a part"] += beyond == len(self._offsets) > number
        return beyond

    def counted_first_beyond(self, number, reach):
        last = bisect_right(self._offsets, reach - self._most, lo=number)
        leads = [self._leads_beyond(i, reach) for i in range(number, last)]
        assert leads == sorted(leads), "from one position a match leads further, and from the next one not"
        counts["halved"] += any(leads) and not leads[0]
        return first_beyond(self, number, reach)

    def counted_examine(self, number, least):
        counts["looked up"] += 1
        examine(self, number, least)

    monkeypatch.setattr(search._Pass, "_repeat", counted_repeat)
    monkeypatch.setattr(search._Pass, "_first_beyond", counted_first_beyond)
    monkeypatch.setattr(search._Pass, "_examine", counted_examine)
    return counts


def test_texts_that_repeat_themselves_have_all_their_matches(
    tokenizer, traced, tmp_path_factory, monkeypatch, met
):
    """In one shard and in several, whose matches hide one another's, and in parts of few positions."""
    monkeypatch.setattr(plan, "BYTES_A_MB", 150)

    @settings(max_examples=settings().max_examples // 10)
    @given(repeating(), st.sampled_from([3, 8, 16]), st.sampled_from([10, 50, 1 << 14]), st.booleans())
    def check(case, shortest, at_once, is_one_shard):
        documents, texts = case
        monkeypatch.setattr(search, "_OFFSETS_AT_ONCE", at_once)
        folder = traced.write_corpus(
            tmp_path_factory.mktemp("repeats") / "corpus", tokenizer, {"code": documents}
        )
        build_index(folder, IndexSettings(shortest, 128 if is_one_shard else 1))
        index = TraceIndex.open(folder)
        for text in texts:
            matches = index.longest_matches(text, shortest)
            assert traced.spans_of(matches) == traced.longest_by_search(documents, text, shortest)
            met["several shards"] += len(index.record.shards) > 2
            met["matches"] += len(matches)
            met["repeated"] += sum(match.num_repeats > 2 for match in matches)

    check()
    least = {"copied": 20, "copied to the end of a part": 5, "several shards": 10, "matches": 100}
    least |= {"repeated": 15, "halved": 5}
    assert {name: met[name] for name in least if met[name] < least[name]} == {}


def test_a_long_run_is_looked_up_once(tokenizer, traced, tmp_path, met):
    """5,000 blanks and 5,000 equal lines, more in a row than any document has, take a few questions."""
    line = "    return value  # as ever\n"
    folder = traced.write_corpus(
        tmp_path / "corpus", tokenizer, {"code": ["x" + " " * 120 + "y", "z" + line * 7 + "."]}
    )
    build_index(folder)
    index = TraceIndex.open(folder)
    (match,) = index.longest_matches("a" + " " * 5000 + "b")
    assert (match.start, match.end, match.num_repeats, match.last_end) == (1, 121, 4881, 5001)
    (match,) = index.longest_matches("?" + line * 5000)
    assert (match.num_bytes, match.num_repeats) == (7 * len(line), 4994)
    assert match.last_end_character == 1 + 5000 * len(line)
    assert met["looked up"] < 60


def test_a_run_that_begins_in_a_longer_match_has_its_own(tokenizer, traced, tmp_path, met):
    """Of the first period of a run a document has more in front, which hides what the later ones have.

    Such heads and patterns are taken that windows begin to choose another position just where each of the
    first two periods begins.
    """
    random_ = random.Random(4)
    documents, asked = [], []
    while len(asked) < 12:
        head = "".join(random_.choices("uvwxyz", k=5))
        pattern = "".join(random_.choices("abcd", k=7))
        text = f"?{head}{pattern * 40}?"
        query = Query(text.encode(), IndexSettings(16))
        if {6, 13} <= set((query.positions - query.before).tolist()):
            documents.append(f"#{head}{pattern * 12}#")
            asked.append(text)
    folder = traced.write_corpus(tmp_path / "corpus", tokenizer, {"code": documents})
    build_index(folder, IndexSettings(16))
    index = TraceIndex.open(folder)
    for text in asked:
        expected = traced.longest_by_search(documents, text, 16)
        assert traced.spans_of(index.longest_matches(text, 16)) == expected
    assert met["copied"] >= 12


def test_a_run_with_no_match_long_enough_ends(tokenizer, traced, tmp_path, met):
    document = f"x{('ab.cd-' * 7)[:39]}y"
    folder = traced.write_corpus(tmp_path / "corpus", tokenizer, {"code": [document] * 2})
    build_index(folder)
    index = TraceIndex.open(folder)
    assert index.longest_matches("ab.cd-" * 500) == []
    assert met["copied"] >= 1 and met["looked up"] < 30


def test_overlapping_long_matches_are_found_by_halving(tokenizer, traced, tmp_path_factory, met):
    """Once a match leads further than what is known, it does so from every later position, up to there."""
    for seed in range(12):
        random_ = random.Random(seed)
        text = "".join(random_.choice("abcd") for _ in range(700))
        parts = [text[start : start + random_.randint(90, 300)] for start in random_.sample(range(700), 24)]
        documents = [random_.choice("abcd") * 3 + part + "#" for part in parts]
        folder = traced.write_corpus(
            tmp_path_factory.mktemp("gaps") / "corpus", tokenizer, {"code": documents}
        )
        build_index(folder, IndexSettings(16))
        found = TraceIndex.open(folder).longest_matches(text, 16)
        assert traced.spans_of(found) == traced.longest_by_search(documents, text, 16)
        met["matches"] += len(found)
    assert met["matches"] > 90 and met["halved"] > 40, met


@given(st.text("ab", max_size=40), st.lists(st.integers(1, 12), max_size=6))
def test_agreement_is_what_comparing_byte_by_byte_says(text, distances):
    content = text.encode() * 3
    agreement = Agreement(content)
    for distance in [*distances, *distances]:
        for start in range(distance, len(content), 5):
            end = start
            while end < len(content) and content[end] == content[end - distance]:
                end += 1
            assert agreement.until(start, distance) == end


def test_only_the_same_bytes_in_a_row_are_one():
    def shown(text, spans):
        return [(one.start, one.number, one.last_end) for one in grouped(Agreement(text), spans)]

    assert shown(b"abab", [(0, 2), (2, 4)]) == [(0, 2, 4)]  # they touch
    assert shown(b"abxab", [(0, 2), (3, 5)]) == [(0, 1, 2), (3, 1, 5)]  # they do not
    assert shown(b"abcd", [(0, 2), (2, 4)]) == [(0, 1, 2), (2, 1, 4)]  # other bytes
    assert shown(b"aaaaaaa", [(0, 3), (1, 4), (3, 6)]) == [(0, 2, 4), (3, 1, 6)]  # another distance
    assert shown(b"aaaaa", [(0, 2), (1, 4)]) == [(0, 1, 2), (1, 1, 4)]  # another length
