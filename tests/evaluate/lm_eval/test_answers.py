"""lm-eval's requests are answered by the engine, and its task descriptions ask as CodeGen2 is asked."""

import importlib
import math
import sys
import types
from collections import Counter
from types import SimpleNamespace

import pytest
import tokenizers
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spanmix.errors import InputError
from spanmix.evaluate.code.problem import CallCheck, CodeProblem
from spanmix.evaluate.lm_eval import infilling
from spanmix.evaluate.lm_eval.answers import EngineAnswers, rolling_windows
from spanmix.evaluate.lm_eval.register import MODEL_NAME, TASKS, register
from spanmix.generate.asked import in_ids
from spanmix.generate.batch import generate
from spanmix.generate.engine import GenerateRequest, ScoreRequest
from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.folder import save_model_folder
from spanmix.model.prompting import CODEGEN2_CARD
from spanmix.text.tokenizer import Tokenizer

CORPUS = ["def add(a, b):\n    return a + b\n\n\nclass Näme:\n\tpass\n" * 3, "print('hello, wörld')\n" * 3]


@pytest.fixture(scope="module")
def real_tokenizer():
    return Tokenizer.train(CORPUS, vocab_size=384, num_sentinels=9)


@pytest.fixture(scope="module")
def decoder(make_decoder):
    return make_decoder(2, 48, 3, 8, 96)


@pytest.fixture(scope="module")
def folder(decoder, real_tokenizer, tmp_path_factory):
    return str(save_model_folder(tmp_path_factory.mktemp("m") / "m", decoder, real_tokenizer, {}))


@pytest.fixture(scope="module")
def model(folder):
    return EngineAnswers(folder)


def asked(*args):
    return SimpleNamespace(args=args)


def likely(engine, context_ids, target_ids):
    (score,) = engine.score([ScoreRequest(context_ids, target_ids)])
    return math.fsum(score.logprobs), all(score.is_greedy)


def test_names_of_controls_are_read_as_transformers_reads_them(folder, model, real_tokenizer):
    theirs = tokenizers.Tokenizer.from_file(f"{folder}/tokenizer.json")
    pieces = [
        "def add",
        " ",
        "   ",
        "\n",
        "ö",
        "<mask_1>",
        "<mask_12>",
        "<sep>",
        "<|endoftext|>",
        "<eom>",
        "<eom",
    ]
    met = Counter()

    @given(st.lists(st.sampled_from(pieces), max_size=12).map("".join))
    def check(text):
        (ours,) = model._encode_batch([text])
        assert ours == theirs.encode(text, add_special_tokens=False).ids
        met["controls"] += any(real_tokenizer.is_control[i] for i in ours)
        met["empty"] += not ours

    check()
    assert met["controls"] > 50 and met["empty"] >= 1


def test_log_likelihoods_are_the_engines(decoder, model, real_tokenizer, folder):
    engine, encode = TorchEngine(decoder), real_tokenizer.encode
    eot = real_tokenizer.control.eot
    greedy = generate(
        engine, [GenerateRequest([eot, *encode("def add")], 3, suppress_ids=frozenset(range(3)))]
    )
    pairs = [("def add(a,", " b):"), ("", "def"), ("print ", "'hello'"), ("<mask_1>x", "\n")]
    found = model.loglikelihood([asked(*pair) for pair in pairs], disable_tqdm=True)
    (mask,) = real_tokenizer.control.masks[:1]
    contexts = [encode("def add(a,"), [eot], encode("print"), [mask, *encode("x")]]
    targets = [encode(" b):"), encode("def"), encode(" 'hello'"), encode("\n")]
    for answer, context, target in zip(found, contexts, targets, strict=True):
        assert answer[0] == pytest.approx(likely(engine, context, target)[0], abs=1e-4)
        assert answer[1] == likely(engine, context, target)[1]
    started = EngineAnswers(folder, start=True)
    (first, _) = started.loglikelihood([asked("def add", " b"), asked("", "def")], disable_tqdm=True)
    assert first[0] == pytest.approx(likely(engine, [eot, *encode("def add")], encode(" b"))[0], abs=1e-4)
    assert len(greedy[0].token_ids) == 3
    long = model.loglikelihood([asked("def add " * 60, " b")], disable_tqdm=True)[0]
    ids = encode("def add " * 60 + " b")[-96:]
    tail = encode("def add " * 60 + " b")[len(encode(("def add " * 60).rstrip())) :]
    assert long[0] == pytest.approx(likely(engine, ids[: -len(tail)], tail)[0], abs=1e-4)
    with pytest.raises(InputError, match="room for 1 to 95"):
        model.loglikelihood([asked("x", "def add " * 60)], disable_tqdm=True)
    with pytest.raises(InputError, match="has 0 tokens of its own"):
        model.loglikelihood([asked("x", "")], disable_tqdm=True)


def test_rolling_windows_predict_every_token_once_behind_all_that_fits():
    met = Counter()

    @given(st.integers(0, 60), st.integers(1, 12))
    def check(count, most):
        windows = list(rolling_windows(range(1, count + 1), 0, most))
        assert [token for window in windows for token in window.target_ids] == list(range(1, count + 1))
        whole = list(range(count + 1))
        for window in windows:
            both = [*window.context_ids, *window.target_ids]
            start = both[0]
            assert both == whole[start : start + len(both)]
            assert window.context_ids
            assert len(both) == min(most, count) + 1
        met["many"] += len(windows) > 2
        met["short last"] += len(windows) > 1 and len(windows[-1].target_ids) < most

    check()
    assert min(met["many"], met["short last"]) > 20


def test_rolling_log_likelihoods_are_the_sums_over_windows(decoder, model, real_tokenizer):
    engine = TorchEngine(decoder)
    texts = ["def add(a, b):\n" * 20, "x", ""]
    found = model.loglikelihood_rolling([asked(text) for text in texts], disable_tqdm=True)
    ids = real_tokenizer.encode(texts[0])
    windows = list(rolling_windows(ids, real_tokenizer.control.eot, 95))
    assert len(windows) > 1
    expected = sum(likely(engine, window.context_ids, window.target_ids)[0] for window in windows)
    assert found[0] == pytest.approx(expected, abs=1e-3)
    assert found[2] == 0.0


def test_texts_end_at_a_stop_string_or_control(decoder, model, real_tokenizer):
    engine, control = TorchEngine(decoder), real_tokenizer.control
    prompts = [f"def add_{n}(a, b):" for n in range(300)]
    ends = frozenset({control.eot, control.eom})
    requests = [
        GenerateRequest(
            real_tokenizer.encode(prompt),
            12,
            stop_ids=ends,
            suppress_ids=real_tokenizer.suppressed_ids - ends,
        )
        for prompt in prompts
    ]
    raw = [
        real_tokenizer.decode_bytes(generation.token_ids).decode("utf-8", errors="replace")
        for generation in generate(engine, requests)
    ]
    stops = sorted({text[len(text) // 2 :][:2] for text in raw[:3]})
    options = {"until": [*stops, "<mask_3>"], "max_gen_toks": 12, "do_sample": False, "temperature": 0.7}
    found = model.generate_until([asked(prompt, options) for prompt in prompts], disable_tqdm=True)
    met = Counter()
    for text, whole in zip(found, raw, strict=True):
        cut = min((whole.partition(stop)[0] for stop in stops), key=len)
        assert text == cut or whole.startswith(text)
        assert not any(stop in text for stop in stops)
        met["cut"] += text != whole
        met["whole"] += text == whole
    assert met["cut"] > 3 and sum(met.values()) == 300
    sampled = {
        "until": "\n",
        "max_tokens": 8,
        "do_sample": True,
        "temperature": 1.2,
        "top_p": 0.9,
        "top_k": 50,
    }
    once = model.generate_until([asked("def", sampled)] * 6, disable_tqdm=True)
    assert once == model.generate_until([asked("def", sampled)] * 6, disable_tqdm=True)
    assert len(set(once)) > 3
    with pytest.raises(InputError, match="option num_beams is not known"):
        model.generate_until([asked("x", {"num_beams": 4})], disable_tqdm=True)
    with pytest.raises(InputError, match="max_gen_toks is 96"):
        model.generate_until([asked("x", {"max_gen_toks": 96})], disable_tqdm=True)


def test_answers_go_to_the_cache_of_lm_eval(folder):
    model, kept = EngineAnswers(folder, batch_size="auto", max_batch_size=8, device="cpu"), []
    model.cache_hook = SimpleNamespace(add_partial=lambda kind, args, answer: kept.append((kind, args)))
    model.loglikelihood([asked("def", " add")], disable_tqdm=True)
    model.loglikelihood_rolling([asked("def")], disable_tqdm=True)
    model.generate_until([asked("def", {"until": [], "max_gen_toks": 2})], disable_tqdm=True)
    assert [kind for kind, _ in kept] == ["loglikelihood", "loglikelihood_rolling", "generate_until"]
    assert model.max_length == 95
    assert model.get_model_info()["model"] == folder
    with pytest.raises(InputError, match="are for servers"):
        EngineAnswers(folder, served_name="x")
    with pytest.raises(InputError, match="tokenizer=FOLDER"):
        EngineAnswers("http://localhost:1/v1")


def task_files():
    """The descriptions of the tasks, with what they include, as lm-eval reads them."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))
    tasks = {}
    for path in sorted(TASKS.glob("*.yaml")):
        task = yaml.load(path.read_text(), Loader)
        if "include" in task:
            task = yaml.load((TASKS / task.pop("include")).read_text(), Loader) | task
        tasks[path.stem] = task
    return tasks


def test_the_tasks_ask_as_codegen2_is_asked_and_stop_at_eom_only(model, real_tokenizer):
    tasks = task_files()
    group = tasks.pop("infilling")
    assert len(tasks) == 4
    assert set(group["task"]) < {task["task"] for task in tasks.values()}
    format = in_ids(CODEGEN2_CARD, real_tokenizer).infill
    for task in tasks.values():
        text = task["doc_to_text"].replace("{{prompt}}", "def add(").replace("{{suffix}}", "  return a\n")
        (ids,) = model._encode_batch([text])
        assert ids == format.prompt(real_tokenizer.encode("def add("), real_tokenizer.encode("  return a\n"))
        assert task["generation_kwargs"]["until"] == ["<eom>"]
        for name in (task["custom_dataset"], task["process_results"]):
            module, _, function = name.rpartition(".")
            assert callable(getattr(importlib.import_module(module), function))


def test_rows_carry_all_that_grading_needs(monkeypatch):
    check = CallCheck("", "def check(f):\n    assert f() == 1\n", "one")
    problem = CodeProblem("T/0", "def one():\n", "\n", "    return 1\n", check)
    (row,) = infilling.rows_of([problem])
    asked_of = []
    monkeypatch.setattr(
        infilling, "_passes", lambda program, check: asked_of.append((program, check)) or True
    )
    assert infilling.process_results(row, ["    return 1\n"]) == {"pass@1": 1.0, "exact_match": 1.0}
    assert infilling.process_results(row, ["    return 2 - 1\n"])["exact_match"] == 0.0
    assert asked_of[0] == (problem.program("    return 1\n"), check)
    with pytest.raises(InputError, match="random_span_light set is read from its published file"):
        infilling.random_span_light(version=1.0)


def test_the_model_is_registered_once_and_only_where_lm_eval_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(InputError, match=r"pip install lm-eval==0\.4\.13"):
        register()
    registry, calls = {}, []

    def register_model(name):
        calls.append(name)
        return lambda cls: registry.setdefault(name, cls)

    class LM:
        def __init__(self):
            self.cache_hook = None

    for name in ("lm_eval", "lm_eval.models", "lm_eval.api"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "lm_eval.api.model", SimpleNamespace(LM=LM))
    stand_in = SimpleNamespace(model_registry=registry, register_model=register_model)
    monkeypatch.setitem(sys.modules, "lm_eval.api.registry", stand_in)
    register()
    register()
    assert calls == [MODEL_NAME]
    assert issubclass(registry[MODEL_NAME], EngineAnswers) and issubclass(registry[MODEL_NAME], LM)
