"""What an opened index refuses, how it keeps to a time, and that threads may share it."""

import dataclasses
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from spanmix.errors import InputError
from spanmix.text.trace import places
from spanmix.text.trace.build import build_index
from spanmix.text.trace.guard import VerbatimGuard
from spanmix.text.trace.index import TraceIndex
from spanmix.text.trace.layout import IndexSettings
from spanmix.text.trace.search import Deadline, OutOfTimeError

RANDOM = random.Random(5)
DOCUMENTS = ["".join(RANDOM.choice("ab cd\n") for _ in range(600)) for _ in range(20)]


@pytest.fixture(scope="module")
def index(traced, tokenizer, tmp_path_factory):
    folder = traced.write_corpus(tmp_path_factory.mktemp("asked") / "corpus", tokenizer, {"code": DOCUMENTS})
    build_index(folder, IndexSettings(12))
    return TraceIndex.open(folder)


def test_a_match_says_where_it_is_from(index):
    text = DOCUMENTS[3][100:200]
    (match,) = index.longest_matches("é" + text, 90)
    assert (match.start, match.end, match.start_character, match.end_character) == (2, 102, 1, 101)
    (place,) = match.occurrences[0].files
    assert (place.path, place.licence, place.language) == ("code/3.py", "MIT", "python")
    assert (place.start, place.num_bytes) == (100, 100)
    assert place.line == 1 + DOCUMENTS[3][:100].count("\n")


def test_shorter_matches_than_the_index_finds_are_refused(index):
    with pytest.raises(InputError, match=r"matches of 11 bytes are asked for.*those of 12 and more"):
        index.longest_matches("any text", 11)


def test_text_that_is_not_unicode_is_refused(index):
    with pytest.raises(InputError, match="lone surrogate at character 3"):
        index.longest_matches("abc\udcc3")


@pytest.mark.parametrize("text", ["", "a", "abc d", "\0", "\ufeff"])
def test_a_text_shorter_than_any_match_has_none(index, text):
    traced = index.trace(text, 12)
    assert (traced.matches, traced.longest, traced.is_complete) == ((), None, True)


def test_tokens_are_counted_whole(index):
    text = DOCUMENTS[0][50:250]
    num_tokens = len(index.tokenizer.encode(text))
    assert len(index.longest_matches(text, 12, min_tokens=num_tokens)) == 1
    assert index.longest_matches(text, 12, min_tokens=num_tokens + 1) == []


def test_the_longest_match_is_the_longest_of_all(index):
    text = DOCUMENTS[1][:80] + "#" + DOCUMENTS[2][300:500] + "#" + DOCUMENTS[3][-60:]
    match, is_complete = index.longest_match(text)
    assert is_complete
    assert match == index.trace(text, max_occurrences=1).longest
    assert match.num_bytes >= 200
    assert index.longest_match("nothing of this stands there, not one bit of it") == (None, True)


def test_places_are_counted_beyond_those_that_are_given(traced, tokenizer, tmp_path):
    folder = traced.write_corpus(
        tmp_path / "many", tokenizer, {"code": ["x = 1  # the same line\n" * 50] * 4}
    )
    build_index(folder, IndexSettings(12))
    opened = TraceIndex.open(folder)
    for most in (0, 1, 3, 60):
        (match,) = opened.longest_matches("x = 1  # the same line", 12, max_occurrences=most)
        assert match.num_occurrences == 200
        lines = [(place.document, place.files[0].line) for place in match.occurrences]
        assert lines == [(i // 50, 1 + i % 50) for i in range(most)]


def test_when_the_time_is_over_the_answer_says_so(index):
    traced = index.trace(DOCUMENTS[0], 12, seconds=0.0)
    assert not traced.is_complete
    assert index.longest_match(DOCUMENTS[0], seconds=0.0) == (None, False)
    assert index.trace(DOCUMENTS[0], 12, seconds=60.0).is_complete
    with pytest.raises(OutOfTimeError):
        Deadline(-1.0).check()


def test_a_count_that_was_cut_short_says_so(index, monkeypatch):
    """The search ends in time, and counting does not: what was counted until then stands."""
    plain = index.trace(DOCUMENTS[0], 12).matches[0]

    def cut_short(*arguments):
        yield from places.places(*arguments)
        raise OutOfTimeError

    monkeypatch.setattr("spanmix.text.trace.index.places", cut_short)
    traced = index.trace(DOCUMENTS[0], 12)
    assert traced.is_complete
    assert plain.is_count_exact
    assert traced.matches == (dataclasses.replace(plain, is_count_exact=False),)


def test_threads_may_share_an_index(index):
    texts = [DOCUMENTS[i % 20][i : i + 150] + DOCUMENTS[(i + 7) % 20][:100] for i in range(60)]
    alone = [index.trace(text, 20) for text in texts]
    opened = TraceIndex.open(index.corpus)  # nothing is cached in it yet
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: opened.trace(text, 20), texts))
    assert together == alone
    assert sum(len(traced.matches) for traced in alone) > 60


def test_a_guard_stops_at_the_piece_that_makes_a_long_match(index):
    """In pieces of any length, the first that completes `most_bytes` verbatim bytes is named, and none
    before."""
    stopped = 0
    for seed in range(60):
        random_ = random.Random(seed)
        copied = random_.randint(0, 60)
        text = "".join(random_.choice("éwxyz") for _ in range(30)) + DOCUMENTS[seed % 20][:copied] + "zyé" * 9
        guard = VerbatimGuard(index, most_bytes=30)
        shown = ""
        while len(shown) < len(text):
            piece = text[len(shown) : len(shown) + random_.randint(1, 9)]
            found = guard.add(piece)
            shown += piece
            expected = index.spans(shown, 31)
            assert (found is not None) == bool(expected)
            if found is not None:
                assert found.end - found.start >= 31
                assert shown.encode()[found.start : found.end] in DOCUMENTS[seed % 20].encode()
                stopped += 1
                break
    assert 10 < stopped < 55


def test_a_guard_goes_on_behind_a_copy_and_names_each_piece_of_it(traced, tokenizer, tmp_path):
    """Of text in characters of one and of four bytes, every piece in which a copy ends, and no other."""
    document = "".join(RANDOM.choice("😀abc") for _ in range(200))
    folder = traced.write_corpus(tmp_path / "faces", tokenizer, {"code": [document]})
    build_index(folder, IndexSettings(12))
    guard = VerbatimGuard(TraceIndex.open(folder), most_bytes=30)
    starts = range(0, 180, 12)
    text = "".join(f"{document[start : start + RANDOM.randint(10, 30)]}!é" for start in starts)
    sizes = set()
    for at, character in enumerate(text):
        found = guard.add(character)
        spans = traced.longest_by_search([document], text[: at + 1], 31)
        assert (found is not None) == any(end == at + 1 for _, end in spans)
        if found is not None:
            part = text[found.start_character : found.end_character]
            assert text.encode()[found.start : found.end].decode() == part
            assert part in document and found.end_character == at + 1
            sizes.add(found.num_bytes)
    assert min(sizes) >= 31 and {33, 34} & sizes and len(sizes) > 3
    assert guard.is_complete


def test_a_guard_without_time_says_so_and_goes_on(index, monkeypatch):
    guard = VerbatimGuard(index, most_bytes=30, seconds=60.0)
    with monkeypatch.context() as patch:
        patch.setattr("spanmix.text.trace.index.Deadline", lambda seconds: Deadline(-1.0))
        assert guard.add(DOCUMENTS[4][:40]) is None
    assert not guard.is_complete
    found = guard.add(DOCUMENTS[4][40:50])  # what was not searched then is not what ends here
    assert found is not None and found.end == 50
    assert not guard.is_complete


def test_a_guard_that_cannot_watch_is_refused(index):
    VerbatimGuard(index, most_bytes=11)
    with pytest.raises(InputError, match=r"copies of more than 10 bytes.*allow 11, or build.*bytes 11"):
        VerbatimGuard(index, most_bytes=10)
    with pytest.raises(InputError, match="seconds is 0; use a number above 0"):
        VerbatimGuard(index, most_bytes=30, seconds=0)
