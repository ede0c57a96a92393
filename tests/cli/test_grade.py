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
        (["--results", "problems.jsonl"], "would be written over"),
        (["--html", "samples.jsonl"], "--html samples.jsonl would be written over"),
        (
            ["--out", "a", "--write", "bigcode=./a"],
            "--write bigcode a would be written over what --out writes",
        ),
        (["--write", "bigcode=a", "--write", "bigcode=b"], "--write names bigcode twice"),
    ],
)
def test_what_cannot_be_graded_is_refused_before_any_work(
    problems, tmp_path, capsys, monkeypatch, changes, message
):
    monkeypatch.chdir(tmp_path)
    samples = write_lines(tmp_path / "samples.jsonl", [{"task_id": "mine/add", "completion": "    pass\n"}])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(["grade", samples, "--problems", problems, *changes]) == 2
    assert message in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_page_shows_what_a_file_cannot_hold(problems, tmp_path, capsys):
    """JSON has halves of surrogate pairs; controls and marks of direction would hide what an answer is."""
    answer = "    raise ValueError('\ud800')  # \x1b[31m\u202e<script>\n"
    samples = write_lines(tmp_path / "samples.jsonl", [{"task_id": "mine/add", "completion": answer}])
    page = tmp_path / "page.html"
    assert main(["grade", samples, "--problems", problems, "--html", str(page)]) == 0
    text = page.read_text()
    assert "\\ud800" in text and "\\x1b[31m\\u202e&lt;script&gt;" in text and "in a sandbox" in text
    assert "3 s and 1,024 MiB" in text and '<th scope="col"></th>' not in text


def test_a_page_does_not_speak_of_a_sandbox_that_was_not_there(problems, tmp_path, capsys):
    samples = write_lines(tmp_path / "samples.jsonl", [{"task_id": "mine/add", "completion": "    pass\n"}])
    page = tmp_path / "page.html"
    assert main(["grade", samples, "--problems", problems, "--html", str(page), "--unsafe"]) == 0
    assert "in a sandbox" not in page.read_text() and "with the rights of its user" in page.read_text()


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
        ("humanevil", "there is no 'humanevil' (did you mean 'humaneval'?), and no file of that name"),
        (",", "--tasks , names nothing to measure"),
    ):
        assert main(["evaluate", model, "--tasks", tasks]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--start"], "--start is for questions, and none is measured here"),
        (["--lm-eval", "x.json"], "--lm-eval is for questions"),
        (["--corpus", "absent"], "--corpus is for held-out files or understanding"),
        (["--spans", "3"], "--spans is for infill of held-out files"),
        (["--head-only"], "--head-only is for understanding"),
        (["--place-kinds", "line"], "--place-kinds is for --bench-from"),
        (["--since", ""], "--since is for --replay"),
        (["--test-seconds", "9"], "--test-seconds is for --executed"),
        (["--no-grade", "--unsafe"], "--unsafe is for programs or tests that are run"),
        (["--timeout", "9"], "--timeout is for servers"),
        (["--seconds", "nan"], "seconds is nan"),
        (["--max-tokens", "500"], "lower max_tokens"),
        (["--num-samples", "2", "--temperature", "0"], "2 times the same sample"),
        (["--tasks", "lambada=lambada.jsonl,problems.jsonl", "--samples", "problems.jsonl"], "is a file"),
        (["--tasks", "lambada=lambada.jsonl,problems.jsonl", "--samples", "."], "in that file itself"),
        (["--tasks", "problems.jsonl,other/problems.jsonl"], "would both be kept in kept/problems.jsonl"),
        (["--out", "problems.jsonl"], "--out problems.jsonl would be written over problems.jsonl itself"),
    ],
)
def test_what_is_asked_wrongly_is_refused_before_any_measuring(
    problems, make_decoder, tokenizer, tmp_path, capsys, monkeypatch, changes, message
):
    from spanmix.model.folder import save_model_folder

    save_model_folder(tmp_path / "m", make_decoder(1, 32, 2, 4, 128), tokenizer, {})
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "lambada.jsonl", [{"text": "return a"}])
    (tmp_path / "other").mkdir()
    write_lines(tmp_path / "other" / "problems.jsonl", PROBLEMS[:1])
    before = {path.name for path in tmp_path.iterdir()}
    verb = ["evaluate", "m", "--tasks", "problems.jsonl", "--samples", "kept", "--max-tokens", "9"]
    assert main([*verb, *changes]) == 2
    printed = capsys.readouterr()
    assert message in printed.err and "answer problems" not in printed.err and "lambada:" not in printed.err
    assert {path.name for path in tmp_path.iterdir()} == before
    assert json.loads((tmp_path / "problems.jsonl").read_text().splitlines()[0]) == PROBLEMS[0]


def test_a_model_that_is_asked_in_another_way_does_not_go_on(
    make_decoder, tokenizer, tmp_path, capsys, monkeypatch
):
    """Neither the number of hidden tokens nor another tokenizer shows in the weights."""
    from spanmix.model.folder import save_model_folder

    model = str(save_model_folder(tmp_path / "m", make_decoder(1, 32, 2, 4, 128), tokenizer, {}))
    asked = write_lines(tmp_path / "infills.jsonl", [PROBLEMS[0] | {"suffix": "\nadd\n"}])
    kept = tmp_path / "kept"
    verb = ["evaluate", model, "--tasks", asked, "--samples", str(kept), "--max-tokens", "9", "--no-grade"]
    assert main(verb) == 0
    assert main([*verb, "--lead-tokens", "3"]) == 2
    assert "made with other settings: infill_format.lead_tokens " in capsys.readouterr().err
    settings = kept / "infills.jsonl.settings.json"
    settings.write_text(settings.read_text().replace(tokenizer.fingerprint, "0" * 64))
    assert main(verb) == 2
    assert "made with other settings: tokenizer" in capsys.readouterr().err


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
