"""A sample is a function of the model, the settings, the problem and its number, and ends where it should."""

import errno
import os
from collections import Counter
from dataclasses import asdict, replace

import pytest

from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.code.answers import read_answers
from spanmix.evaluate.code.problem import ExitCheck
from spanmix.evaluate.code.samples import open_samples
from spanmix.evaluate.code.sampling import (
    PAPER_TEMPERATURES,
    PAPER_TOP_P,
    SampleSettings,
    make_samples,
)
from spanmix.evaluate.code.truncation import rule_named
from spanmix.generate.asked import Asked
from spanmix.generate.formats import codegen2_format
from spanmix.generate.torch_engine import TorchEngine


@pytest.fixture(scope="session")
def asked(trained):
    return Asked((trained.control.eot,), codegen2_format(trained.control))


@pytest.fixture(scope="module")
def model(make_decoder):
    return make_decoder(2, 32, 4, 4, 128)


@pytest.fixture
def problems(make_problem):
    prompts = [f"def f_{n}(a):\n    # add {n}\n" for n in range(4)]
    infills = [make_problem(f"I/{n}", suffix=f"\n    return {n}\n", prompt=prompts[n]) for n in range(3)]
    return [make_problem(f"T/{n}", prompt=prompt) for n, prompt in enumerate(prompts)] + infills


def run(path, engine, trained, asked, problems, settings, known=None, **options):
    """Make samples, and return what was done and the samples by problem and number."""
    with open_samples(path, settings.facts()) as file:
        made = make_samples(engine, trained, asked, problems, settings, file, **options)
    answers = read_answers(path, known or problems)
    return made, {(answer.task_id, answer.sample): dict(answer.fields) for answer in answers}


def test_a_sample_does_not_depend_on_what_else_is_made(tmp_path, model, trained, asked, problems):
    settings = SampleSettings(3, 0.8, 0.95, 24, seed=5)
    engine = TorchEngine(model)
    made, together = run(tmp_path / "together.jsonl", engine, trained, asked, problems, settings)
    assert (made.num_samples, made.num_there, len(together)) == (21, 0, 21)
    alone = {}
    small = TorchEngine(model, max_rows=1)
    for problem in reversed(problems):
        path = tmp_path / problem.task_id.replace("/", "-")
        alone |= run(path, small, trained, asked, [problem], settings)[1]
    assert alone == together
    parts, told = tmp_path / "parts.jsonl", []
    for some, num_samples in ((problems[2:5], 1), (problems[:3], 2)):
        few = replace(settings, num_samples=num_samples)
        run(parts, engine, trained, asked, some, few, known=problems)
    made, in_parts = run(
        parts, engine, trained, asked, problems, settings, progress=lambda *now: told.append(now)
    )
    assert in_parts == together
    assert (made.num_there, made.num_samples) == (8, 13)
    assert told == [(n, 21) for n in range(9, 22)]
    assert run(parts, engine, trained, asked, problems, settings)[0].num_samples == 0
    _, other_seed = run(
        tmp_path / "seed.jsonl", engine, trained, asked, problems, SampleSettings(3, 0.8, 0.95, 24, seed=6)
    )
    texts = Counter(sample["raw"] for sample in together.values())
    same = [key for key in together if other_seed[key]["raw"] == together[key]["raw"]]
    assert len(texts) >= 18 and len(same) <= 2 and len({s["seed"] for s in together.values()}) == 21


def test_a_sample_says_all_that_made_it(tmp_path, model, trained, asked, problems):
    settings = SampleSettings(1, 0.6, 0.9, 24, seed=5)
    made, samples = run(tmp_path / "s.jsonl", TorchEngine(model), trained, asked, problems, settings)
    for (task_id, _), sample in samples.items():
        rule = rule_named("codegen" if task_id.startswith("T") else "none")
        assert sample["truncation"] == rule.name and sample["completion"] == rule.cut(sample["raw"])
        assert (sample["temperature"], sample["top_p"], sample["max_tokens"]) == (0.6, 0.9, 24)
        assert 0 <= sample["seed"] < 2**53 and sample["cut_tokens"] == 0
    prompt = trained.encode(problems[0].prompt)
    assert samples["T/0", 0]["prompt_tokens"] == len(prompt) + 1
    infill = trained.encode(problems[4].prompt) + trained.encode(problems[4].suffix)
    assert samples["I/0", 0]["prompt_tokens"] == len(infill) + asked.infill.num_control_tokens
    reasons = Counter(sample["finish_reason"] for sample in samples.values())
    assert made.finish_reasons == dict(reasons)


def test_greedy_is_the_same_for_every_seed(tmp_path, model, trained, asked, problems):
    runs = [
        run(
            tmp_path / f"{n}",
            TorchEngine(model),
            trained,
            asked,
            problems,
            SampleSettings(1, 0, 1, 16, seed=n),
        )
        for n in (1, 2)
    ]
    raw = [{key: sample["raw"] for key, sample in samples.items()} for _, samples in runs]
    assert raw[0] == raw[1] and len(set(raw[0].values())) > 1


def scripted(make_engine, trained, text, end=()):
    """An engine that writes the tokens of a text, and fails if it is asked for more."""
    return make_engine(context_tokens=200, answer=lambda prompt: [*trained.encode(text), *end])


ON = "    return 1\n\n\n\nprint(2)\n" + "print(3)\n" * 30


def test_a_completion_ends_once_its_rule_has_cut(tmp_path, make_engine, make_problem, trained, asked):
    engine = scripted(make_engine, trained, ON)
    problems = [make_problem(f"T/{n}") for n in range(5)]
    settings = SampleSettings(2, 0.8, max_tokens=150)
    made, samples = run(tmp_path / "s.jsonl", engine, trained, asked, problems, settings)
    for sample in samples.values():
        assert sample["completion"] == "    return 1" and sample["finish_reason"] == "truncated"
        assert ON.startswith(sample["raw"]) and len(sample["raw"]) < len("    return 1\n\n\n") + 10
    assert made.num_tokens <= 10 * len(trained.encode("    return 1\n\n\n\n"))
    assert engine.running == {} and made.finish_reasons == {"truncated": 10}


def test_own_stop_strings_end_an_answer(tmp_path, make_engine, make_problem, trained, asked):
    engine = scripted(make_engine, trained, "  echo 1\n}\nmore" * 9)
    problem = make_problem("T/0", check=ExitCheck("sh", ""), stop=("\n}",))
    _, samples = run(tmp_path / "s.jsonl", engine, trained, asked, [problem], SampleSettings(max_tokens=90))
    assert samples["T/0", 0]["completion"] == "  echo 1" and samples["T/0", 0]["truncation"] == "multipl-e"


def test_an_infill_ends_at_the_formats_end_alone(tmp_path, make_engine, make_problem, trained, asked):
    problem = make_problem("I/0", suffix="\nx = 1\n")
    text = "a\n\n\n# b\n\ndef f():\n    print(1)\nprint(2)\nprint(3)\n"
    for end in asked.infill.end:
        engine = scripted(make_engine, trained, text, [end])
        path = tmp_path / f"{end}.jsonl"
        _, samples = run(path, engine, trained, asked, [problem], SampleSettings(max_tokens=100))
        sample = samples["I/0", 0]
        assert sample["completion"] == sample["raw"] == text and sample["finish_reason"] == "stop"
        request = engine.asked[0]
        assert request.stop_ids == frozenset(asked.infill.end) and not request.stop_ids & request.suppress_ids
        prefix, suffix = trained.encode(problem.prompt), trained.encode(problem.suffix)
        assert request.prompt_ids == asked.infill.prompt(prefix, suffix)
    engine = scripted(make_engine, trained, text * 3)
    settings = SampleSettings(max_tokens=20)
    _, samples = run(tmp_path / "long.jsonl", engine, trained, asked, [problem], settings)
    assert samples["I/0", 0]["finish_reason"] == "length"


def test_what_does_not_fit_is_left_out_far_from_the_answer_and_counted(
    tmp_path, make_engine, make_problem, trained, asked
):
    engine = make_engine(context_tokens=60, answer=lambda prompt: [trained.control.eot])
    long = "".join(f"x{n} = {n}\n" for n in range(90))
    problems = [make_problem("T/0", prompt=long), make_problem("T/1"), make_problem("I/0", suffix=long)]
    settings = SampleSettings(max_tokens=30)
    made, samples = run(tmp_path / "s.jsonl", engine, trained, asked, problems, settings)
    ids, suffix = trained.encode(long), trained.encode(long)
    left, infill = engine.asked[0], engine.asked[2]
    assert list(left.prompt_ids) == [trained.control.eot, *ids[-29:]]
    assert len(infill.prompt_ids) == 30
    num_shown = 30 - asked.infill.num_control_tokens - len(trained.encode(problems[2].prompt))
    assert made.cut_problems == {"T/0": len(ids) - 29, "I/0": len(suffix) - num_shown}
    assert {name: sample["cut_tokens"] for (name, _), sample in samples.items()} == {
        **made.cut_problems,
        "T/1": 0,
    }
    with pytest.raises(InputError, match=r"max_tokens 80 .* context of 60 tokens"):
        run(tmp_path / "t.jsonl", engine, trained, asked, problems, SampleSettings(max_tokens=80))


def test_an_empty_prompt_still_starts_with_something(tmp_path, make_engine, make_problem, trained):
    engine = scripted(make_engine, trained, "x", [trained.control.eot])
    settings = SampleSettings(max_tokens=9)
    problems = [make_problem("T/0", prompt=""), make_problem("T/1", prompt="x")]
    run(tmp_path / "s.jsonl", engine, trained, Asked((), None), problems, settings)
    first, second = (list(request.prompt_ids) for request in engine.asked)
    assert first == [trained.control.eot] and second == trained.encode("x")


def test_few_requests_wait_in_the_engine(tmp_path, make_engine, make_problem, trained, asked):
    engine = scripted(make_engine, trained, "x", [trained.control.eot])
    most = 0
    step = engine.step

    def watched():
        nonlocal most
        most = max(most, len(engine.running))
        return step()

    engine.step = watched
    problems = [make_problem(f"T/{n}") for n in range(300)]
    settings = SampleSettings(2, max_tokens=9)
    made, samples = run(tmp_path / "s.jsonl", engine, trained, asked, problems, settings)
    assert made.num_samples == len(samples) == 600 and most == 256


def test_after_an_error_the_engine_is_idle_and_the_samples_are_there(
    tmp_path, make_engine, make_problem, trained, asked, monkeypatch
):
    engine = scripted(make_engine, trained, "x", [trained.control.eot])
    problems = [make_problem(f"T/{n}") for n in range(9)]
    settings = SampleSettings(40, max_tokens=9)
    path = tmp_path / "s.jsonl"
    write, left = os.write, [100]

    def full(handle, data):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data)

    with monkeypatch.context() as patch, pytest.raises(SpanmixError, match="No space left on device"):
        patch.setattr(os, "write", full)
        run(path, engine, trained, asked, problems, settings)
    assert engine.running == {} and path.read_bytes().count(b"\n") == 100
    made, samples = run(path, engine, trained, asked, problems, settings)
    assert (made.num_there, made.num_samples, len(samples)) == (100, 260, 360)


def test_a_model_without_infill_is_refused_before_anything_is_made(
    tmp_path, make_engine, make_problem, trained
):
    engine = scripted(make_engine, trained, "x")
    problems = [make_problem("T/0"), make_problem("I/0", suffix="")]
    with pytest.raises(
        InputError, match="I/0 asks for what stands in front of a suffix, and this model was not"
    ):
        run(tmp_path / "s.jsonl", engine, trained, Asked((0,), None), problems, SampleSettings(max_tokens=20))
    assert engine.asked == []


def test_settings_say_what_is_wrong_with_them():
    assert (PAPER_TEMPERATURES, PAPER_TOP_P) == ({1: 0.2, 10: 0.6, 100: 0.8}, 0.95)
    wrong = {
        "num_samples is 0": {"num_samples": 0},
        "temperature 0 gives 5 times the same sample": {"num_samples": 5, "temperature": 0},
        "no truncation rule 'evalplu'": {"truncation": "evalplu"},
        "top_p is 0": {"top_p": 0.0},
        "max_tokens is 0": {"max_tokens": 0},
        "temperature is -1": {"temperature": -1},
    }
    for message, fields in wrong.items():
        with pytest.raises(InputError, match=message):
            SampleSettings(**fields)
    settings = SampleSettings(num_samples=4)
    assert settings.facts() == {name: v for name, v in asdict(settings).items() if name != "num_samples"}
    assert settings.facts() == SampleSettings(num_samples=9).facts()
