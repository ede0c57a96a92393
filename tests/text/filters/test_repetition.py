"""Repeated n-grams are counted as datatrove counts them."""

from collections import Counter

from datatrove.pipeline.filters import gopher_repetition_filter as datatrove
from hypothesis import given
from hypothesis import strategies as st

from spanmix.text.filters.repetition import NGrams, lines_of, paragraphs_of, repeated_shares

seen: Counter[str] = Counter()


@given(
    st.lists(st.sampled_from(["a", "bb", "ccc", "d", "é", "\n", "\n\n", "the"]), max_size=30),
    st.lists(st.sampled_from(["a", "bb", "\n"]), max_size=20),
    st.integers(1, 4),
)
def check_against_datatrove(varied, similar, times):
    text = " ".join((varied + similar) * times)
    words = text.split()
    ngrams = NGrams(text, words)
    for n in (2, 3, 4, 2):
        grams = datatrove.get_n_grams(words, n)
        expected = datatrove.find_top_duplicate(grams) / len(text) if grams else 0.0
        assert ngrams.top_share(n) == expected
        seen["frequent"] += len(grams) > len(set(grams))
    for n in range(5, 11):
        expected = datatrove.find_all_duplicate(words, n) / len(text) if text else 0.0
        assert ngrams.repeated_share(n) == expected
        assert ngrams.repeated_share(n, 0.1) >= expected
        assert (ngrams.repeated_share(n, 0.1) > 0.1) == (expected > 0.1)
        seen["repeated"] += expected > 0
        seen["overlapping"] += ngrams.repeated_share(n, 1.0) > expected
    for split, its_own in ((lines_of, r"\n+"), (paragraphs_of, r"\n{2,}")):
        parts = split(text)
        count, characters = datatrove.find_duplicates(parts)
        assert repeated_shares(text, parts) == (
            count / len(parts),
            characters / len(text) if text else 0.0,
        ), its_own
        seen["lines"] += count > 0


def test_repetition_is_counted_as_datatrove_counts_it():
    seen.clear()
    check_against_datatrove()
    assert min(seen.values()) > 10 and len(seen) == 4, seen
