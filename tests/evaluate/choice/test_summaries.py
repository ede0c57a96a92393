"""Articles are summarized after one fixed example, and compared by the ROUGE of its package."""

import json
import sys

import pytest

from spanmix.errors import InputError
from spanmix.evaluate.choice.summaries import KINDS, Article, score_summaries

ARTICLES = [
    Article("The cat sat.\n\nIt was  happy.", "A cat sat happily."),
    Article("x" * 3000, "Nothing was said."),
    Article("Dogs run.", "The dogs are running in the park."),
]
WRITTEN = [" A cat sat happily.", " something else", " Dogs ran in parks\u00e9"]


def summarize(make_engine, tokenizer, written=WRITTEN, **options):
    """Summarize with an engine that writes the given texts, a newline, and more that does not count."""
    left = [[*text.encode(), 10, *b" more"] for text in written]
    tokenizer.encode_batch = lambda texts: [tokenizer.encode(text) for text in texts]
    tokenizer.is_control = [i >= 256 for i in range(tokenizer.vocab_size)]
    engine = make_engine(context_tokens=2048, answer=lambda prompt: left.pop(0))
    return score_summaries(engine, tokenizer, ARTICLES, **options), engine


def test_the_prompt_is_the_example_and_the_article_on_one_line(make_engine, tokenizer):
    told = []
    result, engine = summarize(make_engine, tokenizer, start_ids=(256,), progress=lambda *at: told.append(at))
    first, second, third = engine.asked
    text = bytes(i for i in first.prompt_ids if i < 256).decode()
    example, article = text.split("\n\n")
    assert article == "Article: The cat sat. It was happy.\nSummary:"
    assert [line.partition(":")[0] for line in example.splitlines()] == ["Article", "Summary"]
    assert first.prompt_ids[0] == 256 and first.temperature == 0
    assert tokenizer.token_bytes.index(b"\n") in first.stop_ids and 256 in first.stop_ids
    assert not first.stop_ids & first.suppress_ids
    # A long article loses its end; the words around it stay.
    assert len(second.prompt_ids) + second.max_tokens == 2048
    assert bytes(second.prompt_ids[-11:]) == b"xx\nSummary:"
    assert second.prompt_ids[: len(example)] == first.prompt_ids[: len(example)]
    assert bytes(third.prompt_ids[-18:]) == b"Dogs run.\nSummary:"
    assert (result.num_items, result.num_cut_items) == (3, 1)
    num_around = len(first.prompt_ids) - len(" The cat sat. It was happy.")
    assert result.items[1].num_cut_tokens == 3001 - (2048 - second.max_tokens - num_around)
    assert told == [(3, 3)]
    json.dumps([item.__dict__ for item in result.items])


def test_rouge_is_f1_in_percent_after_stemming(make_engine, tokenizer):
    result, _ = summarize(make_engine, tokenizer)
    assert [item.text for item in result.items] == [text.strip() for text in WRITTEN]
    same, nothing, part = (item.rouge for item in result.items)
    assert same == dict.fromkeys(KINDS, 100.0)
    assert nothing == dict.fromkeys(KINDS, 0.0)
    # "the dog are run in the park" and "dog ran in park": dog, in, park of 7 and 4 words (é is none).
    assert part["rouge1"] == pytest.approx(100 * 2 * 3 / 11)
    assert part["rouge2"] == 0.0
    assert part["rougeL"] == pytest.approx(100 * 2 * 3 / 11)
    for kind in KINDS:
        interval = result.rouge[kind]
        assert interval.value == pytest.approx(sum(item.rouge[kind] for item in result.items) / 3)
        assert 0 <= interval.low < interval.value < interval.high <= 100


def test_what_is_missing_is_told(make_engine, tokenizer, monkeypatch):
    tokenizer.encode_batch = lambda texts: [tokenizer.encode(text) for text in texts]
    with pytest.raises(InputError, match="XSum needs a longer context"):
        score_summaries(make_engine(context_tokens=512), tokenizer, ARTICLES)
    monkeypatch.setitem(sys.modules, "rouge_score", None)
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(InputError, match=r"pip install rouge-score==0\.1\.2"):
        score_summaries(make_engine(), tokenizer, ARTICLES)
