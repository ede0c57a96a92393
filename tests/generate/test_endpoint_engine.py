"""A served model scores and generates as the same model here, or the engine says why it cannot."""

import math
import threading
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace

import pytest
import torch

from spanmix.errors import InputError, SpanmixError
from spanmix.generate.batch import generate
from spanmix.generate.completions_client import Endpoint, RefusedError, api_key_of
from spanmix.generate.endpoint_answers import TokenTexts
from spanmix.generate.endpoint_engine import EndpointEngine
from spanmix.generate.endpoint_probe import IGNORED, SEEDED, UNSEEDED
from spanmix.generate.engine import CAPABILITIES, GenerateRequest, ScoreRequest
from spanmix.generate.text import Sampling, complete
from spanmix.generate.torch_engine import TorchEngine
from spanmix.generate.workers import Workers
from spanmix.text.byte_level import byte_alphabet

SHAPE = (2, 48, 3, 8, 160)
VOCAB = 384
TEXTS = [
    ("def add(a, b):", "\n    return a + b\n"),
    ("class Näme:\n\tpass\n", "print('hello, wörld')\n" * 3),
    ("x", " = 1"),
    ("print('hello", "')"),
]


@pytest.fixture(scope="module")
def decoder(make_decoder):
    return make_decoder(*SHAPE)


@pytest.fixture(scope="module")
def local(decoder):
    return TorchEngine(decoder)


@pytest.fixture
def open_engine(make_model_server, served, decoder, tokenizer):
    """Opens an engine on a server with faults; both are closed at the end."""
    opened = ExitStack()

    def open_one(*faults, plain=False, **options):
        model = make_model_server(decoder, tokenizer, *faults, plain=plain)
        url = opened.enter_context(served(model))
        engine = opened.enter_context(
            EndpointEngine(Endpoint(url, timeout_seconds=600), tokenizer, **options)
        )
        model.bodies.clear()
        return engine, model

    with opened:
        yield open_one


@pytest.fixture
def slept(monkeypatch):
    """The pauses that the client makes, which take no time."""
    pauses = []
    monkeypatch.setattr("spanmix.generate.completions_client.time.sleep", pauses.append)
    return pauses


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
    """Generate; also check that no step gives a request two tokens, and keep the top tokens."""
    ids = [engine.submit(request) for request in requests]
    events = {request_id: [] for request_id in ids}
    while step := engine.step():
        assert len({event.id for event in step}) == len(step)
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


def test_the_context_is_the_servers_less_one_and_has_to_be_known(open_engine, local):
    engine, model = open_engine()
    assert engine.info.context_tokens == SHAPE[-1] - 1
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


BUSY = (429, {"Retry-After": "7"}, {"error": {"message": "slow down"}})


@pytest.mark.parametrize(
    ("before", "pauses"),
    [
        ([BUSY], [7.0]),
        ([BUSY, (500, {}, b"oops"), (503, {"Retry-After": "soon"}, {})], [7.0, 1.0, 2.0]),
        ([(429, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, {})], [0.0]),
        ([(None, {}, None)], [0.5]),
        ([(502, {}, {}), (504, {}, {}), (408, {}, {})], [0.5, 1.0, 2.0]),
    ],
)
def test_a_busy_server_is_asked_again_after_the_pause_it_asks_for(open_engine, slept, before, pauses):
    engine, model = open_engine()
    model.before.extend(before)
    assert len(engine.score([ScoreRequest([1], [2, 3])])[0].logprobs) == 2
    assert slept == pauses
    assert len(model.bodies) == len(before) + 1
    assert all(body == model.bodies[0] for body in model.bodies)


@pytest.mark.parametrize(
    ("answer", "asked", "told"),
    [
        ((500, {}, {"error": {"message": "worker died"}}), 6, r"500, worker died \(asked 6 times\)"),
        ((429, {"Retry-After": "900"}, {}), 1, "left alone for 900 s"),
        ((400, {}, {"error": {"message": "bad field"}}), 1, "400, bad field"),
        ((404, {}, {"error": "no such model"}), 1, "404, no such model"),
        ((401, {}, {}), 1, "another API key"),
        ((302, {"Location": "http://127.0.0.1:9/"}, {}), 1, "another address"),
        ((200, {}, b"{" * (2**24 + 1)), 1, "longer than 16,777,216 bytes"),
        ((200, {}, {"error": {"message": "out of memory"}}), 1, "out of memory"),
        ((200, {}, {"choices": []}), 1, "1 prompts has 0 choices"),
        ((None, {}, None), 6, r"does not answer: .* \(asked 6 times\)"),
    ],
)
def test_other_errors_are_told_and_not_tried_again(open_engine, slept, answer, asked, told):
    engine, model = open_engine()
    model.before.extend([answer] * asked)
    with pytest.raises(SpanmixError, match=told):
        engine.score([ScoreRequest([1], [2, 3])])
    assert len(model.bodies) == asked
    assert len(slept) == asked - 1


def test_a_server_that_takes_too_long_is_asked_again(make_model_server, served, decoder, tokenizer):
    model = make_model_server(decoder, tokenizer)
    done, asked = threading.Event(), []

    def on_request():
        asked.append(1)
        if len(asked) == 1:
            done.wait(60)

    with served(model) as url:
        endpoint = Endpoint(url, timeout_seconds=2, retries=200)
        model.on_request = on_request
        try:
            (choice,) = endpoint.complete([[1, 2, 3]], max_tokens=2)
        finally:
            done.set()
        assert choice.finish_reason == "length"
        assert len(asked) >= 2


def test_the_key_is_sent_and_never_told(make_model_server, served, decoder, tokenizer, monkeypatch):
    monkeypatch.setenv("MY_KEY", "s3cret")
    monkeypatch.delenv("NO_KEY", raising=False)
    assert api_key_of("MY_KEY") == "s3cret"
    with pytest.raises(InputError, match="no variable NO_KEY"):
        api_key_of("NO_KEY")
    model = make_model_server(decoder, tokenizer)
    with served(model) as url:
        endpoint = Endpoint(f"{url}/v1/completions", api_key=api_key_of("MY_KEY"))
        endpoint.complete([[1, 2]], max_tokens=1)
        assert model.headers[-1]["Authorization"] == "Bearer s3cret"
        assert "s3cret" not in repr(endpoint)
        Endpoint(url).complete([[1, 2]], max_tokens=1)
        assert "Authorization" not in model.headers[-1]
        with pytest.raises(InputError, match="no header can hold") as raised:
            Endpoint(url, api_key="s3cret\n")
        assert "s3cret" not in str(raised.value)
    with pytest.raises(InputError, match="does not answer"):
        Endpoint(url)  # nobody is there any more, and nobody is waited for
    for address in ("ftp://x/v1", "http://", "http://a:b@host/v1", "http://host/v1?key=1"):
        with pytest.raises(InputError, match="address"):
            Endpoint(address)


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
