"""`spanmix grade`, and `spanmix evaluate` on programming problems."""

import json

import pytest

from spanmix.cli import main

PROBLEMS = [
    {
        "task_id": "mine/add",
        "prompt": "def add(a, b):\n",
        "entry_point": "add",
        "canonical_solution": "    return a + b\n",
        "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n",
    },
    {
        "task_id": "mine/sign",
        "prompt": "def sign(x):\n",
        "entry_point": "sign",
        "canonical_solution": "    return (x > 0) - (x < 0)\n",
        "test": "def check(candidate):\n    assert [candidate(x) for x in (-7, 0, 2)] == [-1, 0, 1]\n",
    },
]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def problems(tmp_path):
    return write_lines(tmp_path / "problems.jsonl", PROBLEMS)


def test_right_and_wrong_answers_are_told_apart(problems, tmp_path, capsys):
    answers = [("mine/add", "    return a + b\n"), ("mine/add", "    return b - a\n")]
    answers += [("mine/sign", "    return (x > 0) - (x < 0)\n")] * 2
    rows = [{"task_id": name, "completion": completion} for name, completion in answers]
    samples = write_lines(tmp_path / "samples.jsonl", rows)
    out, page = tmp_path / "out.json", tmp_path / "page.html"
    verb = ["grade", samples, "--problems", problems, "--k", "1,2,10", "--out", str(out), "--html", str(page)]
    assert main(verb) == 0
    printed = capsys.readouterr()
    assert "pass@1" in printed.out and "0.7500" in printed.out
    assert "pass@10 needs 10 of every problem" in printed.err
    report = json.loads(out.read_text())
    assert report["pass_at_k"]["1"]["value"] == 0.75 and report["pass_at_k"]["2"]["value"] == 1.0
    assert [one["passed"] for one in report["results"]["mine/add"]] == [True, False]
    assert report["problems"]["number"] == 2 and report["settings"] is None
    lines = (tmp_path / "samples.jsonl_results.jsonl").read_text().splitlines()
    assert [json.loads(line)["passed"] for line in lines] == [True, False, True, True]
    text = page.read_text()
    assert "return b - a" in text and "mine/add, sample 1" in text and "mine/sign, sample" not in text
    assert main([*verb, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_passed"] == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--problems", "humanevil"], "no set of problems 'humanevil' (did you mean 'humaneval'?)"),
        (["--k", "0"], "--k is '0'"),
        (["--seconds", "0"], "seconds is 0.0"),
        (["--out", "samples.jsonl/x.json"], "samples.jsonl is a file; name another place"),
    ],
)
def test_what_cannot_be_graded_is_refused_before_any_work(
    problems, tmp_path, capsys, monkeypatch, changes, message
):
    monkeypatch.chdir(tmp_path)
    samples = write_lines(tmp_path / "samples.jsonl", [{"task_id": "mine/add", "completion": "    pass\n"}])
    assert main(["grade", samples, "--problems", problems, *changes]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "samples.jsonl_results.jsonl").exists()


def test_a_model_answers_and_is_graded_and_goes_on(problems, make_decoder, tokenizer, tmp_path, capsys):
    from spanmix.model.folder import save_model_folder

    model = str(save_model_folder(tmp_path / "m", make_decoder(1, 32, 2, 4, 128), tokenizer, {}))
    kept = tmp_path / "kept"
    verb = ["evaluate", model, "--tasks", problems, "--samples", str(kept), "--max-tokens", "9"]
    assert main([*verb, "--num-samples", "2", "--json"]) == 0
    printed = capsys.readouterr()
    (report,) = json.loads(printed.out)["code"]
    assert report["pass_at_k"]["1"]["value"] == 0.0 and report["num_samples"] == 4
    assert report["settings"]["temperature"] == 0.2 and len(report["settings"]["weights_sha256"]) == 64
    first = (kept / "problems.jsonl").read_text()
    assert (kept / "problems.html").is_file()
    assert json.loads((kept / "problems.report.json").read_text()) == report
    assert main([*verb, "--num-samples", "3", "--no-grade"]) == 0
    assert "2 answers of" in (said := capsys.readouterr().err) and "4 were there" in said
    assert (kept / "problems.jsonl").read_text().startswith(first)
    assert main([*verb, "--num-samples", "3", "--temperature", "0.7"]) == 2
    assert "temperature 0.2 there, 0.7 now" in capsys.readouterr().err


def test_tasks_need_what_they_are_measured_on(problems, make_decoder, tokenizer, tmp_path, capsys):
    from spanmix.model.folder import save_model_folder

    model = str(save_model_folder(tmp_path / "m", make_decoder(1, 32, 2, 4, 128), tokenizer, {}))
    for tasks, message in (
        ("infill", "to measure infill name a corpus with --corpus"),
        (problems, "give --samples DIR"),
        ("humanevil", "there is no 'humanevil' (did you mean 'humaneval'?)"),
    ):
        assert main(["evaluate", model, "--tasks", tasks]) == 2
        assert message in capsys.readouterr().err


EVALPLUS = {
    "task_id": "HumanEval/900",
    "prompt": "def double(x):\n",
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
    "base_input": [[1], [3]],
    "plus_input": [[-5]],
    "atol": 0,
    "contract": "",
}


def test_what_other_programs_read_is_written(tmp_path, capsys):
    problems = write_lines(tmp_path / "plus.jsonl", [EVALPLUS])
    answers = ["    return 2 * x\n", "    return abs(2 * x)\n", "    return x\n"]
    samples = write_lines(
        tmp_path / "samples.jsonl", [{"task_id": "HumanEval/900", "completion": text} for text in answers]
    )
    names = ("bigcode-generations", "bigcode", "evalplus-samples", "evalplus", "lm-eval")
    files = {name: tmp_path / "other" / f"{name}.json" for name in names}
    verb = ["grade", samples, "--problems", problems, "--k", "1"]
    assert main([*verb, *(part for name in names for part in ("--write", f"{name}={files[name]}"))]) == 0
    found = {name: file.read_text() for name, file in files.items()}
    assert json.loads(found["bigcode-generations"]) == [[EVALPLUS["prompt"] + text for text in answers]]
    assert json.loads(found["bigcode"])["plus.jsonl"] == {"pass@1": pytest.approx(1 / 3)}
    first = json.loads(found["evalplus-samples"].splitlines()[0])
    assert first == {"task_id": "HumanEval/900", "solution": EVALPLUS["prompt"] + answers[0]}
    results = json.loads(found["evalplus"])
    statuses = [(row["base_status"], row["plus_status"]) for row in results["eval"]["HumanEval/900"]]
    assert statuses == [("pass", "pass"), ("pass", "fail"), ("fail", "fail")]
    figures = results["pass_at_k"]
    assert figures == {"base": {"pass@1": pytest.approx(2 / 3)}, "plus": {"pass@1": pytest.approx(1 / 3)}}
    measured = json.loads(found["lm-eval"])["results"]["plus.jsonl"]
    assert measured["pass@1,create_test"] == pytest.approx(1 / 3) and measured["sample_len"] == 1
    capsys.readouterr()
    for wrong, message in (("evalpus=x", "did you mean 'evalplus'?"), ("evalplus", "has no file")):
        assert main([*verb, "--write", wrong]) == 2
        assert message in capsys.readouterr().err
