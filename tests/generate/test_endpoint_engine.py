"""A served model scores and generates as the same model here, or the engine says why it cannot."""

import math
import threading
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.choice.readers import ChoiceItem
from spanmix.evaluate.choice.score import score_choices
from spanmix.evaluate.lm_eval.answers import EngineAnswers
from spanmix.generate.batch import generate
from spanmix.generate.completions_client import RefusedError
from spanmix.generate.endpoint_answers import TokenTexts
from spanmix.generate.endpoint_probe import IGNORED, SEEDED, UNSEEDED
from spanmix.generate.engine import CAPABILITIES, GenerateRequest, ScoreRequest
from spanmix.generate.text import Sampling, complete
from spanmix.generate.workers import Workers
from spanmix.model.folder import save_model_folder
from spanmix.text.byte_level import byte_alphabet

VOCAB = 384
TEXTS = [
    ("def add(a, b):", "\n    return a + b\n"),
    ("class Näme:\n\tpass\n", "print('hello, wörld')\n" * 3),
    ("x", " = 1"),
    ("print('hello", "')"),
]


def ids_of(seed, n):
    return torch.randint(0, VOCAB, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


def greedy_ids(local, prompt, n):
    return generate(local, [GenerateRequest(prompt, n)])[0].token_ids


WAYS = {
    "vllm": ((), {}),
    "plain": ((), {"plain": True}),
    "texts only": (("refuses ids",), {"plain": True}),
    "no usage": (("no usage",), {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_scores_are_those_of_the_model_here(open_engine, local, tokenizer, way):
    faults, options = WAYS[way]
    engine, model = open_engine(*faults, **options)
    requests = [ScoreRequest(tokenizer.encode(one), tokenizer.encode(other)) for one, other in TEXTS]
    if engine.traits.prompt_ids:
        requests += [ScoreRequest(ids_of(n, 3 + n), ids_of(50 + n, 1 + 2 * n)) for n in range(12)]
        prompts = [ids_of(n, 9) for n in range(4)]
        requests += [ScoreRequest(prompt, greedy_ids(local, prompt, 5)) for prompt in prompts]
        requests.append(ScoreRequest(ids_of(7, 150), ids_of(8, engine.info.context_tokens - 150)))
    requests.append(ScoreRequest([5], []))
    ours, theirs = local.score(requests), engine.score(requests)
    for one, other in zip(ours, theirs, strict=True):
        assert other.logprobs == pytest.approx(one.logprobs, abs=1e-5)
        assert other.is_greedy == one.is_greedy
    assert sum(map(len, (score.logprobs for score in ours))) > 30
    if engine.traits.prompt_ids:
        assert sum(all(score.is_greedy) for score in ours if score.is_greedy) >= 4
    assert all(isinstance(body["prompt"], str) == (way == "texts only") for body in model.bodies)
    assert {len(body["prompt"]) for body in model.bodies if not isinstance(body["prompt"], str)} <= {1}


SCORE_FAULTS = {
    "no logprobs": "no logprobs",
    "ignores echo": "1 log-probabilities for a prompt of",
    "one short": "log-probabilities for a prompt of",
    "one list short": "differ in length",
    "no top": "no list top_logprobs",
    "first is a number": "has to be null",
    "one is null": "has the log-probability None",
    "one is NaN": "has the log-probability nan",
    "approximate": "approximate",
    "other tokenizer": "another tokenizer",
    "cuts prompts": "log-probabilities for a prompt of",
}


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "vllm"])
@pytest.mark.parametrize("fault", SCORE_FAULTS)
def test_no_echo_that_is_not_exact_becomes_a_score(open_engine, local, tokenizer, fault, plain):
    # The names of ids do not say anything of the tokenizer.
    plain = plain or fault == "other tokenizer"
    context_ids = tokenizer.encode("def add")
    request = ScoreRequest(context_ids, greedy_ids(local, context_ids, 4))
    if not (plain and fault == "approximate"):  # which is seen only where a token is the likeliest
        engine, _ = open_engine(fault, plain=plain)
        assert SCORE_FAULTS[fault] in engine.traits.echo_problem
        with pytest.raises(SpanmixError, match="cannot score"):
            engine.score([request])
    engine, model = open_engine(plain=plain)
    assert engine.traits.echo_problem is None
    model.faults.add(fault)
    with pytest.raises(RefusedError, match=SCORE_FAULTS[fault]):
        engine.score([ScoreRequest([3], [4]), request])
    model.faults.clear()
    assert len(engine.score([request])[0].logprobs) == len(request.target_ids)


def test_a_server_that_adds_tokens_to_a_text_is_refused(open_engine, tokenizer):
    engine, model = open_engine("refuses ids", plain=True)
    model.faults.add("adds a start")
    request = ScoreRequest(tokenizer.encode("def add"), tokenizer.encode("(a, b):"))
    for usage in ("counts", "no usage"):
        model.faults.add(usage)
        with pytest.raises(RefusedError, match="adds tokens"):
            engine.score([request])
    with pytest.raises(InputError, match="inside of a character"):
        engine.score([ScoreRequest(tokenizer.encode("ö")[:1], [3])])


def test_tokens_are_known_by_every_name_that_servers_have_for_them(tokenizer):
    texts = TokenTexts(tokenizer)
    character_of = {byte: character for character, byte in byte_alphabet().items()}
    met = Counter()
    for token_id in range(tokenizer.vocab_size):
        data, other = tokenizer.token_bytes[token_id], (token_id + 1) % tokenizer.vocab_size
        assert texts.is_called(f"token_id:{token_id}", token_id)
        assert not texts.is_called(f"token_id:{other}", token_id)
        assert texts.is_called(tokenizer.decode([token_id]), token_id)
        if tokenizer.is_control[token_id]:
            met["control"] += 1
            assert not texts.is_called("x", token_id)
            continue
        assert texts.is_called("".join(character_of[byte] for byte in data), token_id)
        whole = data.decode("utf-8", errors="ignore").encode() == data
        met["whole" if whole else "part of a character"] += 1
        assert texts.is_called("surely not", token_id) != whole
    assert min(met[kind] for kind in ("control", "whole", "part of a character")) > 10


def mixed_requests():
    """Greedy and sampled requests of many lengths, with ends and with ids that must not come."""
    ways = [
        {},
        {"temperature": 0.8, "seed": 2**53 + 5},
        {"temperature": 1.0, "top_p": 0.9, "num_top_logprobs": 3},
        {"temperature": 1.3, "top_k": 5},
        {"stop_ids": frozenset(range(0, 300, 7))},
        {"suppress_ids": frozenset(range(100)), "num_top_logprobs": 1},
    ]
    return [
        GenerateRequest(ids_of(n, 1 + 10 * n), 6 + 3 * n, **{"seed": n} | ways[n % len(ways)])
        for n in range(12)
    ]


def run(engine, requests):
    """Generate, and keep the top tokens."""
    ids = [engine.submit(request) for request in requests]
    events = {request_id: [] for request_id in ids}
    while step := engine.step():
        for event in step:
            assert not events[event.id] or events[event.id][-1].finish_reason is None
            events[event.id].append(event)
    return [events[request_id] for request_id in ids]


def test_what_vllm_generates_are_the_tokens_of_the_model_here(open_engine, local, tokenizer):
    engine, model = open_engine()
    assert engine.info.capabilities == {"seed", "top_logprobs"}
    assert engine.info.capabilities <= CAPABILITIES
    requests = mixed_requests()
    met = Counter()
    # The seed goes over the wire modulo 2**31, and the server always ends at its own end.
    eot = tokenizer.control.eot
    here = [replace(one, seed=one.seed % 2**31, stop_ids=one.stop_ids | {eot}) for one in requests]
    for one, other in zip(run(local, here), run(engine, requests), strict=True):
        assert [event.token_id for event in one] == [event.token_id for event in other]
        assert [event.finish_reason for event in one] == [event.finish_reason for event in other]
        assert [e.logprob for e in one] == pytest.approx([e.logprob for e in other], abs=1e-5)
        for a, b in zip(one, other, strict=True):
            assert [token for token, _ in a.top] == [token for token, _ in b.top]
            met["top"] += bool(a.top)
        met[one[-1].finish_reason] += 1
    assert met["stop"] >= 1 and met["length"] >= 4 and met["top"] > 20
    assert engine.step() == []
    for body in model.bodies:
        assert body["repetition_penalty"] == 1.0 and body["min_p"] == 0.0
        assert ("seed" in body) == (body["temperature"] > 0)


def test_a_plain_server_gives_the_text_and_an_end_without_text(open_engine, local, tokenizer):
    engine, _ = open_engine(plain=True, allow_unseeded=True)
    assert engine.info.capabilities == {"seed"}
    met = Counter()
    for seed in range(24):
        request = GenerateRequest(
            ids_of(seed, 8), 12, 1.5, seed=seed, stop_ids=frozenset({tokenizer.control.eot})
        )
        (here,) = run(local, [request])
        (there,) = run(engine, [request])
        data = tokenizer.decode_bytes(event.token_id for event in here)
        assert (
            tokenizer.decode_bytes(event.token_id for event in there)
            == data.decode(errors="replace").encode()
        )
        assert all(math.isnan(event.logprob) for event in there)
        assert there[-1].finish_reason == here[-1].finish_reason
        if there[-1].finish_reason == "stop":
            assert there[-1].token_id == tokenizer.control.eot
        met[there[-1].finish_reason] += 1
    assert met["length"] > 10


def test_complete_gives_the_same_text_here_and_there(open_engine, local, tokenizer):
    stop = ("r", "(a")
    for options in ({}, {"plain": True}, {"stop": stop}):
        engine, _ = open_engine(**options)
        # The likeliest token of a random model can be a part of a character, whose text tells nothing.
        engine.traits = replace(engine.traits, logit_bias=True)
        seen = 0
        for prompt, _ in TEXTS:
            sampling = Sampling(max_tokens=24, stop=stop)
            here = complete(local, tokenizer, prompt, sampling).run()
            there = complete(engine, tokenizer, prompt, sampling).run()
            assert there.text.rstrip("\ufffd") == here.text.rstrip("\ufffd")
            seen += len(here.text)
        assert seen > 20


@pytest.mark.parametrize(
    ("fields", "options", "told"),
    [
        ({"top_k": 4}, {}, "top_k is 4"),
        ({"num_top_logprobs": 1}, {}, "num_top_logprobs has to be 0"),
        ({"stop_ids": "eom"}, {}, "'<eom>' would not be seen"),
        ({"stop_ids": "eom"}, {"own_ends": "eom"}, None),
        ({"stop_ids": frozenset({5, 6})}, {}, None),
    ],
)
def test_what_a_plain_server_would_pass_over_is_refused(open_engine, tokenizer, fields, options, told):
    named = {"eom": frozenset({tokenizer.control.eom})}
    fields = {name: named.get(value, value) for name, value in fields.items()}
    options = {name: named.get(value, value) for name, value in options.items()}
    engine, model = open_engine(plain=True, **options)
    request = GenerateRequest([1, 2, 3], 4, **fields)
    if told is None:
        assert generate(engine, [request])[0].token_ids
        return
    with pytest.raises(InputError, match=told):
        engine.submit(request)
    assert model.bodies == []


SAYS_X = (200, {}, {"choices": [{"index": 0, "text": "x", "finish_reason": "stop", "logprobs": None}]})


@pytest.mark.parametrize("own", ["eom", "eot"])
def test_an_end_that_is_not_said_is_one_that_the_server_has(open_engine, tokenizer, own):
    named = {"eom": tokenizer.control.eom, "eot": tokenizer.control.eot}
    stop_ids = frozenset({named[own]})
    engine, model = open_engine(plain=True, own_ends=stop_ids)
    model.before.append(SAYS_X)
    request = GenerateRequest([1, 2], 4, stop_ids=stop_ids, suppress_ids=frozenset(named.values()) - stop_ids)
    (done,) = generate(engine, [request])
    assert done.token_ids == [*tokenizer.encode("x"), named[own]]
    assert done.finish_reason == "stop"


@pytest.mark.parametrize(
    ("fault", "sampling"), [("ignores seed", UNSEEDED), ("ignores temperature", IGNORED), ("none", SEEDED)]
)
def test_sampling_is_only_done_where_it_is_what_was_asked_for(open_engine, fault, sampling):
    for plain in (True, False):
        engine, _ = open_engine(fault, plain=plain)
        assert engine.traits.sampling == sampling
        assert ("seed" in engine.info.capabilities) == (sampling == SEEDED)
        request = GenerateRequest([1, 2, 3], 4, 0.7, seed=3)
        assert generate(engine, [GenerateRequest([1, 2, 3], 4)])[0].token_ids
        if sampling == SEEDED:
            assert generate(engine, [request]) == generate(engine, [request]) or plain
            continue
        with pytest.raises(InputError, match="temperature"):
            engine.submit(request)
    engine, _ = open_engine(fault, allow_unseeded=True)
    if sampling == UNSEEDED:
        assert len(generate(engine, [request])[0].token_ids) == 4


def test_a_banned_token_or_an_end_without_a_reason_is_an_error(open_engine, local):
    prompt = ids_of(3, 6)
    first = greedy_ids(local, prompt, 1)[0]
    request = GenerateRequest(prompt, 5, suppress_ids=frozenset({first}))
    engine, model = open_engine()
    assert engine.traits.logit_bias
    assert generate(engine, [request])[0].token_ids == generate(local, [request])[0].token_ids
    model.faults.add("ignores logit_bias")
    with pytest.raises(RefusedError, match="not to be generated"):
        generate(engine, [request])
    other, _ = open_engine("ignores logit_bias")
    assert not other.traits.logit_bias
    with pytest.raises(RefusedError, match="not to be generated"):
        generate(other, [request])
    model.faults.add("no reason")
    with pytest.raises(RefusedError, match="for the reason None"):
        generate(engine, [GenerateRequest(prompt, 5)])
    model.faults.clear()
    assert generate(engine, [GenerateRequest(prompt, 5)])[0].token_ids == greedy_ids(local, prompt, 5)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, {}, b"<html>"), "/v1: the answer is not JSON"),
        ((404, {}, {"error": "gone"}), "/v1: 404, gone"),
        ((200, {}, {"choices": []}), "/v1: the answer to 1 prompts has 0 choices"),
    ],
)
def test_an_answer_that_cannot_be_used_is_told_with_whose_it_is(open_engine, answer, message):
    engine, model = open_engine()
    for ask in (
        lambda: generate(engine, [GenerateRequest(ids_of(1, 9), 4)]),
        lambda: engine.score([ScoreRequest(ids_of(1, 9), ids_of(2, 3))]),
    ):
        model.before.append(answer)
        with pytest.raises(SpanmixError, match=f"^http://127.*{message}"):
            ask()
        assert not model.before
        ask()  # the next one is


def test_the_context_is_the_servers_less_one_and_has_to_be_known(open_engine, local):
    engine, model = open_engine()
    assert engine.info.context_tokens == model.context - 1 == 159
    with pytest.raises(InputError, match="maximum context length is 159"):
        engine.submit(GenerateRequest(ids_of(1, 100), 60))
    with pytest.raises(InputError, match="maximum context length is 159"):
        engine.score([ScoreRequest(ids_of(1, 100), ids_of(2, 60))])
    assert model.bodies == []
    assert len(generate(engine, [GenerateRequest(ids_of(1, 100), 59)])[0].token_ids) <= 59
    with pytest.raises(InputError, match="give context_tokens"):
        open_engine("no context")
    known, _ = open_engine("no context", context_tokens=65)
    assert known.info.context_tokens == 64


def test_requests_run_at_once_but_no_more_than_asked_for(open_engine, local):
    engine, model = open_engine(concurrency=3)
    together = threading.Barrier(3)
    running, most, lock = 0, 0, threading.Lock()

    def on_request():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(timeout=60)  # goes on only when three are there
        with lock:
            running -= 1

    model.on_request = on_request
    requests = [GenerateRequest(ids_of(n, 5), 4) for n in range(9)]
    ours = [generation.token_ids for generation in generate(local, requests)]
    assert [generation.token_ids for generation in generate(engine, requests)] == ours
    assert most == 3


def test_a_failed_request_ends_its_batch_and_leaves_the_engine_usable(open_engine, local):
    engine, model = open_engine(concurrency=1)
    model.before.append((400, {}, {"error": {"message": "no thanks", "code": 400}}))
    requests = [GenerateRequest(ids_of(n, 5), 4) for n in range(6)]
    with pytest.raises(RefusedError, match="400, no thanks"):
        generate(engine, requests)
    assert engine.step() == []
    assert len(model.bodies) <= 3  # the rest was cancelled before it was sent
    assert generate(engine, requests)[5].token_ids == generate(local, requests)[5].token_ids
    request_id = engine.submit(requests[0])
    engine.cancel(request_id)
    engine.cancel(12345)
    assert engine.step() == []


def test_workers_end_with_their_work_and_tell_their_errors():
    before = threading.active_count()
    workers = Workers(3)
    futures = [workers.submit(lambda n=n: 10 // n) for n in range(6)]
    with pytest.raises(ZeroDivisionError):
        futures[0].result(timeout=60)
    assert [future.result(timeout=60) for future in futures[1:]] == [10, 5, 3, 2, 2]
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and getattr(thread, "_target", None) == workers._work:
            thread.join(timeout=60)
    assert threading.active_count() <= before
    assert workers.submit(lambda: 7).result(timeout=60) == 7


def test_what_is_measured_over_a_server_is_what_is_measured_here(
    open_engine, serve, make_model_server, tiny_decoder, local, tokenizer, tmp_path, monkeypatch
):
    items = [ChoiceItem(f"line {n}", "def add(a, b" * (1 + n), ("):", " =", "ö"), " ", 0) for n in range(3)]
    engine, _ = open_engine()
    here, there = (score_choices(one, tokenizer, "made", items) for one in (local, engine))
    for one, other in zip(here.items, there.items, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)
        assert one.chosen == other.chosen
    folder = str(save_model_folder(tmp_path / "m", tiny_decoder, tokenizer, {}))
    monkeypatch.setenv("MY_KEY", "s3cret")
    model = make_model_server()
    texts = [SimpleNamespace(args=("def add", {"until": ["\n"], "max_gen_toks": 8})) for _ in range(2)]
    with serve(model) as url:
        answers = EngineAnswers(url, tokenizer=folder, served_name="tiny", api_key_env="MY_KEY")
        assert answers.generate_until(texts, True) == EngineAnswers(folder).generate_until(texts, True)
        answers.engine.close()
    assert {headers["Authorization"] for headers in model.headers} == {"Bearer s3cret"}
