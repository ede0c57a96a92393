"""A model is scored and asked at every place that fits, and figures are those of the answers."""

import dataclasses
import json
import math

import pytest

from spanmix.errors import InputError
from spanmix.evaluate.replay.bench import Bench, BenchItem, BenchOrigin, BenchSettings, build_bench
from spanmix.evaluate.replay.bench_match import BenchAnswer, answer_bench, default_max_tokens
from spanmix.evaluate.replay.bench_report import report_of, result_of
from spanmix.generate.engine import ScoreRequest
from spanmix.generate.formats import codegen2_format
from spanmix.generate.infill import infill, infill_prompt
from spanmix.generate.text import Sampling
from spanmix.generate.torch_engine import TorchEngine


@pytest.fixture
def bench(make_history):
    history = make_history()
    files = {
        f"m{n}.py": "".join(
            f"def add_{n}_{k}(a, b):\n    c = a + b\n    return c\n\n\n" for k in range(n + 1)
        )
        for n in range(5)
    }
    files["long.py"] = "def f():\n    x = '" + "☃" * 60 + "'\n    return x\n\n\nend = 1\n"
    files["a.js"] = "function f() {\n  return 1;\n}\n"
    history.commit(files, day=1)
    return build_bench(history.write(), BenchSettings(num_per_kind=9))


def test_a_model_is_asked_as_infill_asks_it_and_scored_with_the_same_prompt(
    bench, tokenizer, make_decoder, tmp_path
):
    engine = TorchEngine(make_decoder(1, 32, 1, 8, 128))
    format = codegen2_format(tokenizer.control)
    max_tokens = default_max_tokens(engine)
    assert max_tokens == 32
    answers = answer_bench(
        engine, tokenizer, format, bench.items, tmp_path / "a.jsonl", max_tokens=max_tokens, facts={}
    )
    items = {item.task_id: item for item in bench.items}
    assert [answer.task_id for answer in answers] == [
        item.task_id for item in bench.items if item.task_id in {a.task_id for a in answers}
    ]
    assert 0 < len(answers) < len(bench.items)
    left_out = set(items) - {answer.task_id for answer in answers}
    assert all(len(tokenizer.encode(items[name].canonical_solution)) >= max_tokens for name in left_out)
    cut = 0
    for answer in answers:
        item = items[answer.task_id]
        alone = infill(engine, tokenizer, format, item.prompt, item.suffix, Sampling(max_tokens=max_tokens))
        cut += alone.num_prefix_cut > 0
        if alone.finish_reason == "stop":  # else its last character may be unfinished
            assert answer.completion == alone.text and answer.stopped
        else:
            assert answer.completion.startswith(alone.text) and not answer.stopped
        parts = [tokenizer.encode(item.prompt), tokenizer.encode(item.suffix)]
        prompt = infill_prompt(format, parts, 128, max_tokens).prompt_ids
        middle = tokenizer.encode(item.canonical_solution)
        score = engine.score([ScoreRequest(prompt, middle)])[0]
        assert answer.bits == pytest.approx(-math.fsum(score.logprobs) / math.log(2), rel=1e-5)
        assert answer.num_tokens == len(middle)
    assert cut > 3
    report = report_of(bench, answers, {"model": "m"})
    assert sum(report.num_too_long.values()) == len(left_out)
    assert json.loads(json.dumps(report.as_json()))["facts"] == {"model": "m"}
    overall = [figures for figures in report.figures if figures.language == "all"]
    assert [figures.kind for figures in overall] == ["line", "block", "function"]
    for figures in overall:
        own = [answer for answer in answers if items[answer.task_id].kind == figures.kind]
        num_bytes = sum(len(items[answer.task_id].canonical_solution.encode()) for answer in own)
        assert figures.num_items == len(own) and figures.num_bytes == num_bytes
        assert figures.bits_per_byte.value == pytest.approx(sum(answer.bits for answer in own) / num_bytes)


def test_answers_are_gone_on_with(bench, tokenizer, make_decoder, tmp_path):
    engine = TorchEngine(make_decoder(1, 32, 1, 8, 128))
    format = codegen2_format(tokenizer.control)
    options = {"max_tokens": 12, "facts": {"model": "m"}}
    whole = answer_bench(engine, tokenizer, format, bench.items, tmp_path / "a.jsonl", **options)
    lines = (tmp_path / "a.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:9])
    done = []
    again = answer_bench(
        engine,
        tokenizer,
        format,
        bench.items,
        tmp_path / "a.jsonl",
        progress=lambda *all: done.append(all),
        **options,
    )
    assert [(one.task_id, one.completion) for one in again] == [
        (one.task_id, one.completion) for one in whole
    ]
    assert (tmp_path / "a.jsonl").read_bytes().splitlines(keepends=True)[:3] == lines[:3]
    assert done == [(len(whole), len(bench.items))]
    with pytest.raises(InputError, match="max_tokens 12 there, 13 now"):
        answer_bench(
            engine, tokenizer, format, bench.items, tmp_path / "a.jsonl", **{**options, "max_tokens": 13}
        )
    with pytest.raises(InputError, match="does not fit the model's context of 128 tokens"):
        answer_bench(engine, tokenizer, format, bench.items, tmp_path / "b.jsonl", max_tokens=126, facts={})


ITEM = BenchItem("line/a.py:2", "def f(x):\n", "y = f(1)\n", "    return x\n", "line", "python", "a.py", 2)

RESULTS = {
    "    return x\n": (True, True, True, True),
    "    return x": (False, True, True, False),
    "\treturn x\n": (False, True, False, True),
    "    return x\n    more\n": (False, False, True, True),
    "    return y\n": (False, False, False, True),
    "    return (\n": (False, False, False, False),
    "": (False, False, False, False),
}


@pytest.mark.parametrize("completion", RESULTS)
def test_one_answer(completion):
    result = result_of(ITEM, BenchAnswer(ITEM.task_id, completion, True, 26.0, 5))
    assert (result.exact, result.exact_stripped, result.first_line, result.parses) == RESULTS[completion]
    assert result.bits_per_byte == 2.0
    assert (result.edit_similarity == 1) == result.exact
    assert (result.edit_similarity_stripped == 1) == result.exact_stripped
    other = dataclasses.replace(ITEM, language="c")
    assert result_of(other, BenchAnswer(ITEM.task_id, completion, True, 26.0, 5)).parses is None
    broken = dataclasses.replace(ITEM, prompt="def f(x:\n")
    assert result_of(broken, BenchAnswer(ITEM.task_id, completion, True, 26.0, 5)).parses is None


def test_figures_are_by_kind_and_language():
    items = [
        dataclasses.replace(
            ITEM, task_id=f"{kind}/{language}:{n}", kind=kind, language=language, path=f"{n % 3}"
        )
        for kind in ("line", "function")
        for language in ("python", "c")
        for n in range(4)
    ]
    origin = BenchOrigin(1, "r", "c", BenchSettings(kinds=("function", "line", "block")), {}, 1, {})
    right = {"line": 3, "function": 1}
    answers = [
        BenchAnswer(
            item.task_id, "    return x\n" if int(item.task_id[-1]) < right[item.kind] else "z", True, 13.0, 3
        )
        for item in items
    ]
    executed = {"function/python:0": True, "function/python:1": False}
    report = report_of(Bench(tuple(items), origin), answers[:-1], {}, executed)
    rows = {(one.kind, one.language): one for one in report.figures}
    assert list(rows) == [(kind, name) for kind in ("function", "line") for name in ("all", "c", "python")]
    assert rows["line", "python"].exact.value == 0.75 and rows["function", "all"].exact.value == 2 / 7
    assert rows["line", "c"].parses is None and rows["line", "python"].parses.value == 0.75
    assert rows["function", "python"].executed.value == 0.5 and rows["line", "all"].executed is None
    assert rows["line", "all"].bits_per_byte.value == 1.0 and rows["line", "all"].num_files == 3
    assert report.num_too_long == {"function": 1, "line": 0, "block": 0}
    assert len(report.items) == 15
