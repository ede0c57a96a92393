"""Of what a model writes, the tokens in long verbatim matches count, and no others."""

import random
from dataclasses import dataclass, field

import numpy as np
import pytest

from spanmix.errors import InputError
from spanmix.evaluate.memorization import MemorizationSettings, draw_prompts, measure_memorization
from spanmix.generate.engine import TokenEvent
from spanmix.text.corpus import TOKENIZER_FOLDER, Corpus, SourceWriter, stores_fingerprint
from spanmix.text.report import HELD_OUT_SUFFIX, CorpusReport, SourceReport
from spanmix.text.trace.build import build_index
from spanmix.text.trace.index import TraceIndex
from spanmix.text.trace.layout import IndexSettings
from spanmix.types import Document

RANDOM = random.Random(11)
TRAIN = ["".join(RANDOM.choice("abcdé \n") for _ in range(400)) for _ in range(12)]
HELD_OUT = ["".join(RANDOM.choice("uvwxyz") for _ in range(300)) for _ in range(6)] + ["short"]
SETTINGS = MemorizationSettings(min_tokens=20, num_prompts=8, prompt_tokens=10, max_tokens=60)


@dataclass
class Writer:
    """An engine that writes what `answer` makes of a prompt."""

    answer: object
    eot: int
    _events: list = field(default_factory=list)
    _number: int = 0
    asked: list = field(default_factory=list)

    def submit(self, request):
        self._number += 1
        self.asked.append(request)
        ids = [*self.answer(list(request.prompt_ids[1:]))][: request.max_tokens]
        reasons = [None] * len(ids)
        if len(ids) < request.max_tokens:
            ids, reasons = [*ids, self.eot], [*reasons, "stop"]
        else:
            reasons[-1] = "length"
        self._events += [
            TokenEvent(self._number, i, 0.0, (), reason) for i, reason in zip(ids, reasons, strict=True)
        ]
        return self._number

    def step(self):
        events, self._events = self._events, []
        return events

    def cancel(self, request_id):
        raise AssertionError(f"{request_id} was cancelled")


@pytest.fixture(scope="module")
def opened(tokenizer, tmp_path_factory):
    """A corpus and its index."""
    folder = tmp_path_factory.mktemp("memorized") / "corpus"
    folder.mkdir()
    tokenizer.save(folder / TOKENIZER_FOLDER)
    counts = []
    for side, texts in (("", TRAIN), (HELD_OUT_SUFFIX, HELD_OUT)):
        with SourceWriter(folder / f"code{side}", tokenizer) as writer:
            for i, text in enumerate(texts):
                ids = np.array(tokenizer.encode(text), np.int32)
                writer.add(Document(text, "code", f"{i}.py"), ids, len(text.encode()), 0)
        counts.append(writer.counts)
    reports = {"code": SourceReport(*counts, {}, {})}
    fingerprint = stores_fingerprint(folder, ["code"], tokenizer)
    names = (tokenizer.fingerprint, tokenizer.vocab_size)
    CorpusReport(1, fingerprint, *names, True, "made up", reports).save(folder)
    build_index(folder, IndexSettings(12))
    return Corpus.open(folder), TraceIndex.open(folder)


def measured(opened, answer, side="train", settings=SETTINGS):
    corpus, index = opened
    engine = Writer(answer, corpus.tokenizer.control.eot)
    source = getattr(corpus, side)["code"]
    figures = measure_memorization(engine, corpus.tokenizer, index, source, side, settings)
    return figures, engine


def continuation(opened):
    """What knows all training documents by heart."""
    tokenizer = opened[0].tokenizer
    documents = [tokenizer.encode(text) for text in TRAIN]

    def answer(prompt):
        for ids in documents:
            for start in range(len(ids)):
                if ids[start : start + len(prompt)] == prompt:
                    return ids[start + len(prompt) :]
        raise AssertionError("the prompt is of no document")

    return answer


def test_a_model_that_knows_all_by_heart_scores_one(opened):
    figures, engine = measured(opened, continuation(opened))
    assert (figures.memorized.value, figures.with_match.value, figures.really.value) == (1.0, 1.0, 1.0)
    assert (figures.num_completions, figures.num_tokens) == (8, 8 * 60)
    assert figures.longest_bytes >= 60
    assert len({request.seed for request in engine.asked}) == 8


def test_a_model_that_writes_its_own_scores_zero(opened):
    tokenizer = opened[0].tokenizer
    figures, _ = measured(opened, lambda prompt: tokenizer.encode("never seen before! " * 3), "held_out")
    assert (figures.memorized.value, figures.with_match.value, figures.longest_bytes) == (0.0, 0.0, 0)
    assert figures.with_match.high > 0.2  # of six completions, not much is known
    assert figures.really.value == 0.0
    assert figures.num_completions == 6  # one document is too short


@pytest.mark.parametrize("copied", [19, 20, 28])
def test_copies_count_from_min_tokens_on(opened, copied):
    """Of 60 tokens, a copied run in the middle of made-up ones counts from 20 tokens on, and whole."""
    tokenizer = opened[0].tokenizer
    made_up = [tokenizer.encode("Q")[0]] * 15
    numbers = iter(range(100))

    def answer(prompt):
        ids = tokenizer.encode(TRAIN[next(numbers) % len(TRAIN)])
        return [*made_up, *ids[50 : 50 + copied], *made_up]

    figures, _ = measured(opened, answer)
    total = 30 + copied
    expected = copied / total if copied >= 20 else 0.0
    assert figures.memorized.value == pytest.approx(expected)
    assert (figures.memorized.low, figures.memorized.high) == pytest.approx((expected, expected))
    assert figures.num_tokens == 8 * total


def test_an_empty_completion_is_no_figure(opened):
    figures, _ = measured(opened, lambda prompt: [])
    assert (figures.memorized, figures.num_tokens) == (None, 0)
    assert figures.with_match.value == 0.0


def test_prompts_are_the_same_for_a_seed_and_grow(opened):
    source = opened[0].train["code"]
    few, many = (draw_prompts(source, MemorizationSettings(20, n, 10, 60, seed=3)) for n in (4, 9))
    assert [prompt.document for prompt in few] == sorted({prompt.document for prompt in few})
    assert all(prompt in many for prompt in few)
    assert draw_prompts(source, MemorizationSettings(20, 4, 10, 60, seed=4)) != few
    for prompt in many:
        ids = source.tokens(prompt.document).tolist()
        joined = prompt.prompt_ids + prompt.next_ids
        assert any(ids[start : start + 70] == joined for start in range(len(ids)))


def test_what_cannot_be_measured_is_refused(opened):
    with pytest.raises(InputError, match=r"min_tokens is 11, and the index finds matches of 12 bytes"):
        measured(opened, lambda prompt: [], settings=MemorizationSettings(11, 8, 10, 60))
    with pytest.raises(InputError, match="no document of more than 5000 tokens among its 12"):
        measured(opened, lambda prompt: [], settings=MemorizationSettings(20, 8, 5000, 60))
    with pytest.raises(InputError, match="max_tokens is 10 and min_tokens 50"):
        MemorizationSettings(max_tokens=10)
    with pytest.raises(InputError, match="num_prompts is 0; use 1 or more"):
        MemorizationSettings(num_prompts=0)
