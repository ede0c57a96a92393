"""A corpus of fewer tokens holds what a run of the same seed would read first."""

import pytest

from spanmix.config import CorpusConfig
from spanmix.data.order import Permutation
from spanmix.lessons.unique import first_documents, unique_corpus
from spanmix.seeding import name_key
from spanmix.text.corpus import Corpus
from spanmix.text.written_files import changes


@pytest.fixture(scope="module")
def corpus(corpus_folder):
    return Corpus.open(corpus_folder)


def test_it_holds_what_the_run_reads_first(corpus):
    source = corpus.train["code"]
    some, more = source.num_tokens // 4, source.num_tokens // 2
    sizes = [len(list(first_documents(source, tokens, 5))) for tokens in (1, some, more, 10**9)]
    assert sizes[0] == 1 < sizes[1] < sizes[2] < sizes[3] == len(source)
    order = Permutation(5, name_key("code"), 0, len(source))
    small = list(first_documents(source, some, 5))
    assert small[:2] == [order[0], order[1]]
    assert len(set(small) & set(first_documents(source, more, 5))) >= len(small) - 1
    assert set(first_documents(source, some, 6)) != set(small)


def test_it_comes_near_to_the_tokens_that_were_asked_for(corpus):
    source = corpus.train["code"]
    longest = int(source.lengths.max()) + 1
    met = 0
    for wanted in range(2 * longest, source.num_tokens, 700):
        taken = sum(int(source.lengths[i]) + 1 for i in first_documents(source, wanted, 1))
        assert wanted - longest <= taken <= 1.01 * wanted
        met += 1
    assert met > 3


def test_it_is_a_corpus_with_the_same_held_out_files(corpus, tmp_path):
    made = unique_corpus(corpus, tmp_path / "corpora" / "few", {"code": 1500, "prose": 800}, 5)
    assert made.fingerprint != corpus.fingerprint
    assert made.tokenizer.fingerprint == corpus.tokenizer.fingerprint
    for name, source in corpus.held_out.items():
        other = made.held_out[name]
        assert [other.text(i) for i in range(len(other))] == [source.text(i) for i in range(len(source))]
    chosen = list(first_documents(corpus.train["code"], 1500, 5))
    assert [made.train["code"].path(i) for i in range(len(chosen))] == [
        corpus.train["code"].path(i) for i in chosen
    ]
    assert len(made.train["code"]) == len(chosen) < len(corpus.train["code"])
    assert made.report.settings == corpus.report.settings
    assert CorpusConfig("").held_out_share != corpus.report.settings.held_out_share
    # It is made once.
    before = (tmp_path / "corpora" / "few" / "corpus.json").stat().st_mtime_ns
    again = unique_corpus(corpus, tmp_path / "corpora" / "few", {"code": 1500, "prose": 800}, 5)
    assert again.fingerprint == made.fingerprint
    assert (tmp_path / "corpora" / "few" / "corpus.json").stat().st_mtime_ns == before


def test_its_report_is_of_its_own_files(corpus, tmp_path):
    made = unique_corpus(corpus, tmp_path / "few", {"code": 1500}, 5)
    assert not list(changes(made.path, made.report.files))
    assert {"code.documents.parquet", "tokenizer/tokenizer.json"} <= made.report.files.keys()


def test_one_that_was_made_of_another_corpus_is_made_anew(corpus, tmp_path):
    """As where the whole corpus was prepared again at the same place."""
    first = unique_corpus(corpus, tmp_path / "first", {"code": 3000}, 5)
    other = unique_corpus(first, tmp_path / "few", {"code": 1500}, 5)
    made = unique_corpus(corpus, tmp_path / "few", {"code": 1500}, 5)
    assert made.report.made_from != other.report.made_from
    chosen = list(first_documents(corpus.train["code"], 1500, 5))
    assert [made.train["code"].text(i) for i in range(len(made.train["code"]))] == [
        corpus.train["code"].text(i) for i in chosen
    ]


def test_a_source_that_is_not_named_stays_whole(corpus, tmp_path):
    made = unique_corpus(corpus, tmp_path / "few", {"code": 1500}, 5)
    assert len(made.train["prose"]) == len(corpus.train["prose"])
