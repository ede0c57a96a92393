"""What makes no difference, and what does."""

import json

from hypothesis import given
from hypothesis import strategies as st

from spanmix.text.decontamination.normal_form import blanked, code, fold, places, words

TEXTS = st.text(st.sampled_from("abC1_ .,+-\n\t\"'`\\éÄ—“漢字かな한\u00a0\r"), max_size=60)


@given(st.text(st.sampled_from("abC1_ .,+-\n\t\"'\\/éÄ漢—"), max_size=60))
def test_a_text_written_as_json_reads_alike(text):
    written = fold(json.dumps(text, ensure_ascii=False)[1:-1])
    # A backslash in front of n, t or r is an escape in both, and in JSON the backslash is written twice.
    assert code(written) == code(fold(text))
    assert words(written) == words(fold(text))


@given(TEXTS)
def test_places_are_those_of_the_words(text):
    folded = fold(text)
    assert [blanked(folded)[start:end] for start, end in places(folded)] == words(folded)


@given(st.text(st.characters(max_codepoint=127), max_size=80))
def test_a_byte_of_ascii_keeps_its_place(text):
    assert len(fold(text)) == len(text)
    assert fold(text).count(b"\n") == text.count("\n")


def test_whitespace_case_and_quotes_make_no_difference():
    one = fold("Return  x[0] +\n\t'A'")
    other = fold('return\u00a0x [ 0 ]+"a"')
    assert code(one) == code(other) == b"returnx[0]+a"
    assert words(one) == words(other) == [b"return", b"x", b"0", b"a"]


def test_marks_make_a_difference_in_code_alone():
    assert code(fold("x + y")) != code(fold("x - y"))
    assert words(fold("x + y")) == words(fold("x - y"))


def test_marks_outside_ascii_are_spaces():
    assert words(fold("a—b “c”")) == [b"a", b"b", b"c"]
    assert code(fold("a—b")) == b"ab"


def test_han_kana_and_hangul_are_words_of_one_character():
    assert words(fold("x漢字한Y")) == [c.encode() for c in ("x", "漢", "字", "한", "y")]


def test_half_a_surrogate_pair_is_no_error():
    assert words(fold("a \ud800 b")) == [b"a", b"b"]
