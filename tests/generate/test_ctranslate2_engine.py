"""What is the CTranslate2 engine's own: its batches, how it stops, and folders that are broken."""

import gc
import json
import shutil
import struct
import subprocess
import sys
import weakref
from collections import Counter
from dataclasses import replace

import pytest
import torch

from spanmix.errors import InputError
from spanmix.generate import ctranslate2_engine, ctranslate2_job
from spanmix.generate.batch import generate
from spanmix.generate.ctranslate2_engine import CTranslate2Engine
from spanmix.generate.engine import GenerateRequest, ScoreRequest
from spanmix.generate.torch_engine import TorchEngine
from spanmix.interchange.convert import convert
from spanmix.model.folder import save_model_folder

VOCAB = 384
CONTEXT = 1500


@pytest.fixture(scope="module")
def decoder(make_decoder):
    return make_decoder(2, 48, 3, 8, CONTEXT)


@pytest.fixture(scope="module")
def folder(decoder, tokenizer, tmp_path_factory):
    native = save_model_folder(tmp_path_factory.mktemp("m") / "native", decoder, tokenizer, {})
    convert(str(native), native.with_name("exported"), "ctranslate2", "float32")
    return native.with_name("exported")


@pytest.fixture
def count_calls(monkeypatch):
    """Counts the tokens that the library reports."""
    calls = Counter()
    take = ctranslate2_job.Job._take

    def counted(job, result):
        calls["tokens"] += 1
        return take(job, result)

    monkeypatch.setattr(ctranslate2_job.Job, "_take", counted)
    return calls


def ids_of(seed, n):
    return torch.randint(0, VOCAB, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


def test_same_seed_same_tokens_as_the_torch_engine(decoder, folder, count_calls):
    requests = [
        GenerateRequest(ids_of(n, 20 + 9 * n), 30, seed=n, temperature=t, top_p=p, num_top_logprobs=2)
        for n, (t, p) in enumerate([(0.0, 1.0), (0.3, 1.0), (1.0, 1.0), (1.0, 0.8), (2.0, 1.0)])
    ]
    ours = generate(TorchEngine(decoder), requests)
    theirs = generate(CTranslate2Engine(folder), requests)
    for one, other in zip(ours, theirs, strict=True):
        assert one.token_ids == other.token_ids
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    assert len({tuple(generation.token_ids) for generation in ours}) == len(requests)
    # Each is asked for once: a token that was not the most likely one costs a reading, and nothing more.
    assert count_calls["tokens"] == sum(len(generation.token_ids) for generation in theirs)


def test_where_the_likeliest_token_is_suppressed_the_next_one_comes(decoder, folder, count_calls):
    """Only then does greedy read the text again, and piles up no logits else."""
    free = GenerateRequest(ids_of(4, 12), 30)
    (unbound,) = generate(TorchEngine(decoder), [free])
    suppressed = replace(free, suppress_ids=frozenset(unbound.token_ids[10:12]))
    one_token = replace(free, max_tokens=1, suppress_ids=frozenset(unbound.token_ids[:1]))
    requests = [free, suppressed, one_token]
    ours, theirs = (
        generate(engine, requests) for engine in (TorchEngine(decoder), CTranslate2Engine(folder))
    )
    for one, other in zip(ours, theirs, strict=True):
        assert one.token_ids == other.token_ids
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    again = count_calls["tokens"] - sum(len(generation.token_ids) for generation in theirs)
    assert 2 <= again < 10


def test_only_one_batch_computes_at_a_time(folder, monkeypatch):
    order = []
    for name, word in (("_begun", "begins"), ("_take", "token")):
        method = getattr(ctranslate2_job.Job, name)

        def noted(*args, method=method, word=word):
            order.append(word)
            return method(*args)

        monkeypatch.setattr(ctranslate2_job.Job, name, noted)
    engine = CTranslate2Engine(folder)
    for n in range(3):
        engine.submit(GenerateRequest(ids_of(n, 20 + 200 * n), 10))
    assert len(engine.step()) == 3
    assert order == ["begins", "token"] * 3
    assert engine._loaded[0].num_active_batches == 3


def test_longer_prompts_are_read_while_shorter_ones_generate(decoder, folder):
    lengths = [12, 70, 30, 12, 55, 71, 12, 400]
    requests = [GenerateRequest(ids_of(n, length), 3 + 4 * n) for n, length in enumerate(lengths)]
    engine = CTranslate2Engine(folder)
    number_of = {engine.submit(request): n for n, request in enumerate(requests)}
    tokens = [[] for _ in requests]
    at_once = []
    while events := engine.step():
        assert len({event.id for event in events}) == len(events)
        at_once.append(len(events))
        for event in events:
            tokens[number_of[event.id]].append(event.token_id)
    # At first the three shortest, and the one that is too long to be read beside them.
    assert at_once[0] == 4
    assert len(at_once) > 59
    assert tokens == [generation.token_ids for generation in generate(TorchEngine(decoder), requests)]


def test_a_batch_stops_when_its_last_request_is_cancelled(folder, count_calls):
    engine = CTranslate2Engine(folder)
    ids = [engine.submit(GenerateRequest(ids_of(n, 20 + 30 * n), 1000)) for n in range(2)]
    for _ in range(3):
        engine.step()
    assert count_calls["tokens"] == 3  # the second is still being read
    for request_id in ids:
        engine.cancel(request_id)
    stopped_at = count_calls["tokens"]
    assert stopped_at <= 5
    assert engine.step() == []
    assert len(generate(engine, [GenerateRequest([5, 6], 7)])[0].token_ids) == 7
    assert count_calls["tokens"] == stopped_at + 7


def test_one_of_a_batch_is_cancelled_and_the_others_go_on(decoder, folder):
    requests = [GenerateRequest(ids_of(n, 25), 20) for n in range(4)]
    engine = CTranslate2Engine(folder)
    ids = [engine.submit(request) for request in requests]
    tokens = {request_id: [] for request_id in ids}
    for step in range(20):
        for event in engine.step():
            tokens[event.id].append(event.token_id)
        if step == 4:
            engine.cancel(ids[1])
            engine.cancel(ids[3])
    assert engine.step() == []
    whole = [generation.token_ids for generation in generate(TorchEngine(decoder), requests)]
    assert list(tokens.values()) == [whole[0], whole[1][:5], whole[2], whole[3][:5]]


def test_logits_do_not_pile_up(decoder, folder, monkeypatch):
    requests = [GenerateRequest(ids_of(n, 20), 40, num_top_logprobs=1) for n in range(3)]
    scored = [ScoreRequest(ids_of(n, 10), ids_of(n + 9, 30)) for n in range(5)]
    monkeypatch.setattr(ctranslate2_engine, "_LOGITS_ELEMENTS", 45 * VOCAB)
    jobs = []
    begin = ctranslate2_job.Job.__init__
    monkeypatch.setattr(
        ctranslate2_job.Job, "__init__", lambda job, *args: jobs.append(args) or begin(job, *args)
    )
    engine = CTranslate2Engine(folder)
    generations, scores = generate(engine, requests), engine.score(scored)
    assert len(jobs) == 3  # 3 rows of 15 tokens, twice, and the rest
    assert generations == [
        replace(g, logprobs=pytest.approx(g.logprobs, abs=1e-4))
        for g in generate(TorchEngine(decoder), requests)
    ]
    for score, expected in zip(scores, TorchEngine(decoder).score(scored), strict=True):
        assert score.logprobs == pytest.approx(expected.logprobs, abs=1e-4)


def test_nothing_of_a_long_text_is_left_unscored(decoder, folder):
    """CTranslate2's own scoring stops after 1,024 tokens."""
    request = ScoreRequest(ids_of(1, 40), ids_of(2, 1400))
    (score,) = CTranslate2Engine(folder).score([request])
    (expected,) = TorchEngine(decoder).score([request])
    assert len(score.logprobs) == len(score.is_greedy) == 1400
    assert score.logprobs == pytest.approx(expected.logprobs, abs=1e-4)
    assert score.is_greedy == expected.is_greedy


def test_an_error_in_the_librarys_thread_is_raised_here(folder, monkeypatch):
    engine = CTranslate2Engine(folder)
    request = GenerateRequest(ids_of(1, 9), 20, temperature=1.0)

    def broken(*_):
        raise ArithmeticError("no choice")

    with monkeypatch.context() as patched:
        patched.setattr(ctranslate2_job, "choose", broken)
        with pytest.raises(ArithmeticError, match="no choice"):
            generate(engine, [request, request])
    assert engine.step() == []
    assert len(generate(engine, [request])[0].token_ids) == 20


def test_an_engine_that_is_dropped_takes_its_threads_along(folder):
    engine = CTranslate2Engine(folder)
    for n in range(3):
        engine.submit(GenerateRequest(ids_of(n, 20 + 200 * n), 100))
    assert len(engine.step()) == 3
    generator = weakref.ref(engine._loaded[0])
    del engine
    gc.collect()
    assert generator() is None


PROGRAM = """
import sys
from pathlib import Path
from spanmix.generate.ctranslate2_engine import CTranslate2Engine
from spanmix.generate.engine import GenerateRequest
engine = CTranslate2Engine(Path(sys.argv[1]))
for length in (10, 300):
    engine.submit(GenerateRequest([5] * length, 100))
print(len(engine.step()))
"""


def test_a_process_can_end_in_the_middle_of_a_batch(folder):
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder], capture_output=True, text=True, timeout=120, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "2\n", "")


def cut_short(folder):
    file = folder / "model.bin"
    file.write_bytes(file.read_bytes()[:-20_000])


def cut_in_a_name(folder):
    file = folder / "model.bin"
    file.write_bytes(file.read_bytes()[:50])


def of_another_kind(folder):
    file = folder / "model.bin"
    file.write_bytes(file.read_bytes().replace(b"TransformerDecoderSpec", b"TransformerEncoderSpec", 1))


def of_another_version(folder):
    file = folder / "model.bin"
    file.write_bytes(struct.pack("<I", 5) + file.read_bytes()[4:])


def no_vocabulary(folder):
    (folder / "vocabulary.json").unlink()


def another_vocabulary(folder):
    file = folder / "vocabulary.json"
    file.write_text(json.dumps(json.loads(file.read_text())[:-3]))


def an_entry_twice(folder):
    file = folder / "vocabulary.json"
    file.write_text(json.dumps([*json.loads(file.read_text())[:-1], "a"]))


def not_a_list(folder):
    (folder / "vocabulary.json").write_text('{"a": 0}')


def no_context(folder):
    (folder / "config.json").write_text('{"n_positions": 0}')


BAD = [
    (cut_short, r"is no model of CTranslate2, or was cut short: decoder/.* ends at byte"),
    (cut_in_a_name, "is no model of CTranslate2, or was cut short"),
    (of_another_kind, "it holds a 'TransformerEncoderSpec', and only TransformerDecoderSpec continues"),
    (of_another_version, "it has binary version 5, and only 6 is read"),
    (no_vocabulary, "has neither vocabulary.json nor vocabulary.txt"),
    (another_vocabulary, "the vocabulary has 381 entries and the model 384"),
    (an_entry_twice, "has an entry twice"),
    (not_a_list, "is not a list of strings"),
    (no_context, "has n_positions 0"),
]


@pytest.mark.parametrize(("damage", "message"), BAD, ids=[damage.__name__ for damage, _ in BAD])
def test_a_broken_folder_is_refused(folder, tmp_path, damage, message):
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert CTranslate2Engine(copy).info.context_tokens == CONTEXT
    damage(copy)
    with pytest.raises(InputError, match=message):
        CTranslate2Engine(copy)


def test_the_library_may_be_missing(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(InputError, match=r"install `pip install 'spanmix\[ctranslate2\]'`"):
        CTranslate2Engine(folder)
