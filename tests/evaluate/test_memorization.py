"""Of what a model writes, the tokens in long verbatim matches count, and no others."""

import dataclasses
import json
import random
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest

from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.errors import InputError
from spanmix.evaluate.memorization import measure_memorization
from spanmix.evaluate.memorization_prompts import MemorizationSettings, NoPromptsError, draw_prompts
from spanmix.evaluate.report import write_report
from spanmix.evaluate.results import gather, write_results
from spanmix.generate.engine import EngineInfo, TokenEvent
from spanmix.text.corpus import TOKENIZER_FOLDER, Corpus, SourceWriter, stores_fingerprint
from spanmix.text.preparation.layout import LaidOut, join_repositories
from spanmix.text.report import HELD_OUT_SUFFIX, CorpusReport, SourceReport
from spanmix.text.tokenizer import Tokenizer
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
    info: EngineInfo = field(default_factory=lambda: EngineInfo(5200, 384, "fp32", frozenset()))

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


def make_corpus(folder, train, held_out):
    """A corpus of laid out documents, and its index."""
    texts = [laid.document.text for laid in (*train, *held_out)]
    tokenizer = Tokenizer.train(texts, vocab_size=384, num_sentinels=9)
    folder.mkdir()
    tokenizer.save(folder / TOKENIZER_FOLDER)
    counts = []
    for side, documents in (("", train), (HELD_OUT_SUFFIX, held_out)):
        with SourceWriter(folder / f"code{side}", tokenizer) as writer:
            for laid in documents:
                text = laid.document.text
                ids = np.array(tokenizer.encode(text), np.int32)
                writer.add(laid.document, ids, len(text.encode()), 0, laid.files)
        counts.append(writer.counts)
    reports = {"code": SourceReport(*counts, {}, {})}
    fingerprint = stores_fingerprint(folder, ["code"], tokenizer)
    names = (tokenizer.fingerprint, tokenizer.vocab_size)
    CorpusReport(1, fingerprint, *names, True, "made up", reports).save(folder)
    build_index(folder, IndexSettings(12))
    return Corpus.open(folder), TraceIndex.open(folder)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A corpus and its index."""
    train, held_out = (
        [LaidOut(Document(text, "code", f"{i}.py")) for i, text in enumerate(texts)]
        for texts in (TRAIN, HELD_OUT)
    )
    return make_corpus(tmp_path_factory.mktemp("memorized") / "corpus", train, held_out)


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
    assert (figures.recited.value, figures.num_recitable) == (1.0, 8)
    assert figures.longest_bytes >= 60
    assert len(figures.copies) == 3 and figures.copies[0].num_bytes == figures.longest_bytes
    for copy in figures.copies:
        (file,) = copy.files
        assert copy.text in TRAIN[int(file.path.removesuffix(".py"))]
        assert (file.path, copy.num_tokens, copy.num_occurrences) == (copy.prompt, 60, 1)
    assert len({request.seed for request in engine.asked}) == 8


def test_a_model_that_writes_its_own_scores_zero(opened):
    tokenizer = opened[0].tokenizer
    figures, _ = measured(opened, lambda prompt: tokenizer.encode("never seen before! " * 3), "held_out")
    assert (figures.memorized.value, figures.with_match.value, figures.longest_bytes) == (0.0, 0.0, 0)
    assert figures.with_match.high > 0.2  # of six completions, not much is known
    assert (figures.really.value, figures.recited.value, figures.copies) == (0.0, 0.0, ())
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
    assert figures.recited.value == 0.0
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
    few, many = (draw_prompts(source, "train", MemorizationSettings(20, n, 10, 60, seed=3)) for n in (4, 9))
    assert [prompt.document for prompt in few] == sorted({prompt.document for prompt in few})
    assert all(prompt in many for prompt in few)
    assert draw_prompts(source, "train", MemorizationSettings(20, 4, 10, 60, seed=4)) != few
    for prompt in many:
        ids = source.tokens(prompt.document).tolist()
        joined = prompt.prompt_ids + prompt.next_ids
        assert any(ids[start : start + 70] == joined for start in range(len(ids)))


@pytest.mark.parametrize("same", [19, 20])
def test_recited_is_what_begins_as_the_document_goes_on(opened, same):
    """Twenty tokens count however the answer goes on; nineteen do not, nor what comes later in it."""
    tokenizer = opened[0].tokenizer
    known = continuation(opened)
    made_up = [tokenizer.encode("Q")[0]]
    figures, _ = measured(opened, lambda prompt: known(prompt)[:same] + made_up * 9)
    assert (figures.recited.value, figures.num_recitable) == (float(same >= 20), 8)
    figures, _ = measured(opened, lambda prompt: made_up + known(prompt)[: 2 * same])
    assert figures.recited.value == 0.0 and figures.memorized.value > 0.5


def test_the_same_copy_of_several_completions_is_shown_once(opened):
    tokenizer = opened[0].tokenizer
    ids = tokenizer.encode(TRAIN[2])[10:40]
    figures, _ = measured(opened, lambda prompt: ids)
    assert figures.with_match.value == 1.0
    (copy,) = figures.copies
    assert (copy.files[0].path, copy.num_tokens) == ("2.py", 30)


def test_files_of_joined_documents_are_told_by_themselves(tmp_path):
    """A copy is of the files that hold it, with their licences; its prompt is of the one that it ends in."""
    files = [
        Document(text, "code", f"{i}.py", "python", f"L{i}", repository="a/b") for i, text in enumerate(TRAIN)
    ]
    (joined,) = join_repositories(map(LaidOut, files), LayoutConfig("repository"))
    corpus, index = make_corpus(tmp_path / "joined", [joined], [joined])
    tokenizer, source = corpus.tokenizer, corpus.held_out["code"]
    seen = Counter()
    for seed in range(16):
        settings = dataclasses.replace(SETTINGS, seed=seed)
        (prompt,) = draw_prompts(source, "held_out", settings)
        engine = Writer(lambda ids, answer=prompt.next_ids: answer, tokenizer.control.eot)
        figures = measure_memorization(engine, tokenizer, index, source, "held_out", settings)
        (copy,) = figures.copies
        start = len(tokenizer.decode_bytes(source.tokens(0).tolist()[: prompt.start + 10]))
        end = start + copy.num_bytes
        held = [file for file in joined.files if file.start < end and file.end > start]
        told = [(file.path, file.licence, file.num_bytes) for file in copy.files]
        expected = [(file.path, file.licence, min(end, file.end) - max(start, file.start)) for file in held]
        assert told == expected
        assert copy.prompt == next(f"a/b: {file.path}" for file in joined.files if file.end >= start)
        assert copy.prompt in json.dumps(gather(title="run", seed=0, memorization=[figures]))
        write_report(tmp_path / "page.html", gather(title="run", seed=0, memorization=[figures]))
        page = (tmp_path / "page.html").read_text()
        assert ", ".join(f"a/b: {file.path}:{file.line}" for file in copy.files) in page
        assert ", ".join(file.licence for file in copy.files) in page
        seen[len(told)] += 1
    assert seen[1] and seen[2]


def test_a_document_that_ends_early_cannot_be_recited(opened):
    settings = MemorizationSettings(min_tokens=250, num_prompts=12, prompt_tokens=10, max_tokens=250)
    figures, _ = measured(opened, continuation(opened), settings=settings)
    lengths = opened[0].train["code"].lengths
    assert figures.num_recitable == sum(length >= 260 for length in lengths) < 12
    assert figures.num_completions == 12


def test_what_cannot_be_measured_is_refused(opened):
    with pytest.raises(InputError, match=r"matches of 11 tokens.*those of 12 bytes and more.*bytes 11`"):
        measured(opened, lambda prompt: [], settings=MemorizationSettings(11, 8, 10, 60))
    with pytest.raises(NoPromptsError, match="no document of more than 5000 tokens among its 12"):
        measured(opened, lambda prompt: [], settings=MemorizationSettings(20, 8, 5000, 60))
    with pytest.raises(InputError, match="up to 200 are 5251, and the model's context is 5200"):
        measured(opened, lambda prompt: [], settings=MemorizationSettings(20, 8, 5050, 200))
    with pytest.raises(InputError, match="completions of up to 10 tokens hold no match of 50"):
        MemorizationSettings(max_tokens=10)
    with pytest.raises(InputError, match="num_prompts is 0; use 1 or more"):
        MemorizationSettings(num_prompts=0)


def test_the_report_says_what_was_copied_and_what_to_compare_it_with(opened, tmp_path):
    tokenizer = opened[0].tokenizer
    knows, _ = measured(opened, continuation(opened))
    writes_its_own, _ = measured(opened, lambda prompt: tokenizer.encode("<i>new</i> " * 9), "held_out")
    wordless, _ = measured(opened, lambda prompt: [])
    results = gather(title="a <run>", seed=0, memorization=[knows, writes_its_own, wordless])
    write_results(tmp_path / "results.json", results)
    back = json.loads((tmp_path / "results.json").read_text())
    assert back["memorization"][0]["memorized"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert back["memorization"][0]["copies"][0]["text"] == knows.copies[0].text
    for name, content in (("one", results), ("two", back)):
        write_report(tmp_path / f"{name}.html", content)
    page = (tmp_path / "one.html").read_text()
    assert (tmp_path / "two.html").read_text() == page
    assert "<h2>Memorization</h2>" in page and "in copies of at least 20 tokens in a row" in page
    assert "code, training documents" in page and "code, held-out documents" in page
    assert "The documents themselves" in page and "writes no more by heart than people do" in page
    assert '100.00 % <span class="range">100.00 % to 100.00 %</span>' in page
    assert "8 of 8" in page and "0 of 6" in page
    for copy in knows.copies:
        assert (
            f"{copy.files[0].path}:{copy.files[0].line}" in page
            and "60 tokens, 1 place, licence unknown" in page
        )
    alone = gather(title="run", seed=0, memorization=[writes_its_own])
    write_report(tmp_path / "none.html", alone)
    assert "No completion holds a copy that counts." in (tmp_path / "none.html").read_text()
    assert "memorization" not in gather(title="run", seed=0)
