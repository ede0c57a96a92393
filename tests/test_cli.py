"""The command line: what every verb promises, and how it fails."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spanmix import __version__
from spanmix.cli import main
from spanmix.cli.parser import VERBS
from spanmix.cli.terminal import Progress, print_json
from spanmix.errors import InputError, SpanmixError

NAMES = [module.__name__.rpartition(".")[2] for module in VERBS]


def fails(capsys: pytest.CaptureFixture[str], *arguments: str, exit_code: int = 2) -> str:
    """Run a command that must fail; return its one paragraph."""
    assert main(arguments) == exit_code
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    # Progress may come first; the error is the last line, and the only one of its kind.
    assert [line.startswith("spanmix: ") for line in lines].count(True) == 1
    assert lines[-1].startswith("spanmix: ")
    assert "Traceback" not in printed.err
    return lines[-1]


def python(code: str, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([name, "--help"] for name in NAMES), ["trian"]]
)
def test_nothing_heavy_is_imported_before_a_verb_runs(arguments):
    code = (
        "import sys\n"
        "from spanmix.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'numpy', 'pydantic', 'yaml', 'rich', 'tokenizers', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    finished = python(code, *arguments)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_verb_has_help_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: spanmix {name}" in text
    assert f"example:\n  spanmix {name} " in text
    assert "--debug" in text


def test_help_names_every_verb(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert len(NAMES) == 15
    for name in NAMES:
        assert f"\n    {name} " in text


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"spanmix {__version__}\n"


@pytest.mark.parametrize(
    "command", [["-m", "spanmix"], ["-c", "import sys; from spanmix.cli import main; sys.exit(main())"]]
)
def test_the_process_ends_with_the_exit_code(command):
    finished = subprocess.run(
        [sys.executable, *command, "trian"], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 2
    assert finished.stderr == "spanmix: there is no verb 'trian' (did you mean 'train'?)\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "VERB"),
        (["train", "recipe.yaml"], "--out"),
        (["train", "--out", "x"], "RECIPE"),
        (["prepare", "src", "--out", "x", "--vocab-size", "many"], "--vocab-size"),
        (["demo", "--minuts", "3"], "--minuts"),
        (["complete"], "MODEL"),
    ],
)
def test_a_wrong_flag_is_one_paragraph(capsys, arguments, said):
    message = fails(capsys, *arguments)
    assert said in message
    assert "--help" in message


def test_a_missing_recipe(capsys, tmp_path):
    message = fails(capsys, "train", str(tmp_path / "none.yaml"), "--out", str(tmp_path / "run"))
    assert "none.yaml" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        (InputError("run.seed is\n   'x'"), 2, "spanmix: run.seed is 'x'"),
        (SpanmixError("it failed"), 1, "spanmix: it failed"),
        (PermissionError(13, "Permission denied", "runs/mine"), 1, "spanmix: runs/mine: Permission denied"),
        (OSError(28, "No space left on device"), 1, "spanmix: No space left on device"),
        (ZeroDivisionError("oops"), 1, "ZeroDivisionError at "),
        (KeyboardInterrupt(), 130, "spanmix: interrupted"),
    ],
)
def test_errors_are_one_paragraph_with_their_exit_code(capsys, monkeypatch, error, exit_code, said):
    def run(args):
        raise error

    monkeypatch.setattr("spanmix.cli.train.run", run)
    message = fails(capsys, "train", "recipe.yaml", "--out", "x", exit_code=exit_code)
    assert said in message


@pytest.mark.parametrize(
    ("error", "exit_code", "what"),
    [(SpanmixError("it failed"), 1, "it failed"), (KeyboardInterrupt(), 130, "interrupted")],
)
def test_what_an_error_carries_is_told_too(capsys, monkeypatch, error, exit_code, what):
    def run(args):
        error.add_note("Beside that, it rained")
        raise error

    monkeypatch.setattr("spanmix.cli.train.run", run)
    message = fails(capsys, "train", "recipe.yaml", "--out", "x", exit_code=exit_code)
    assert message == f"spanmix: {what}. Beside that, it rained"


def test_debug_shows_the_traceback(capsys):
    assert main(["train", "no-such-recipe", "--out", "x", "--debug"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("Traceback")
    assert "spanmix: recipe no-such-recipe" in printed.splitlines()[-1]


def test_a_closed_pipe_is_quiet():
    code = (
        "import sys, spanmix.cli.train\n"
        "def run(args):\n"
        "    for i in range(100000): print('a line', i)\n"
        "spanmix.cli.train.run = run\n"
        "sys.exit(spanmix.cli.main(['train', 'recipe.yaml', '--out', 'x']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "a line 0\n"
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


def test_json_has_no_nan(capsys):
    print_json({"a": [1.5, float("nan")], "b": {"c": float("-inf")}, "d": "é"})
    line = capsys.readouterr().out
    assert json.loads(line) == {"a": [1.5, None], "b": {"c": None}, "d": "é"}
    assert line.count("\n") == 1


def test_progress_says_its_stage_its_unit_and_how_fast_it_goes(capsys, monkeypatch):
    clock = iter([0.0, 2.0, 20.0, 40.0, 40.0, 41.0])
    monkeypatch.setattr("spanmix.cli.terminal.time.monotonic", lambda: next(clock))
    with Progress(["read", "encode"], dict.fromkeys(("read", "check"), "bytes")) as progress:
        for done in (0, 1_000_000, 50_000_000, 100_000_000):
            progress("read", done, 100_000_000)
        progress("check", 0, 5000)
        progress("check", 5000, 5000)
    assert capsys.readouterr().err.splitlines() == [
        "read (1 of 2): 0 B of 100 MB",
        "read (1 of 2): 50 MB of 100 MB, 2.5 MB/s, 20 s left",
        "read (1 of 2): 100 MB of 100 MB, 2.5 MB/s",
        "check: 0 B of 5 kB",
        "check: 5 kB of 5 kB, 5 kB/s",
    ]
    with Progress(units={"count": "documents"}) as progress:
        clock = iter([0.0, 1.0])
        progress("count", 3, 3)
        progress("runs", 4, 4)
    assert capsys.readouterr().err == "count: 3 of 3 documents\nruns: 4 of 4\n"


def test_progress_is_plain_lines_where_there_is_no_terminal(capsys):
    with Progress() as progress:
        for done in range(1001):
            progress("encode", done, 1000)
        progress("encode", 1000, 1000)
    assert capsys.readouterr().err == "encode: 0 of 1,000\nencode: 1,000 of 1,000\n"


@pytest.fixture
def sources(tmp_path) -> Path:
    """A folder of small files of both kinds of line end, and one file that is no text."""
    folder = tmp_path / "my code"
    folder.mkdir()
    for number in range(40):
        lines = [f"def function_{number}_{i}(value):\n    return value * {i * number}\n" for i in range(12)]
        (folder / f"module_{number}.py").write_text("\n".join(lines), encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG\0\0")
    return folder


def test_prepare_makes_a_corpus_of_a_folder(capsys, sources, tmp_path):
    out = tmp_path / "corpus"
    arguments = ["prepare", str(sources), "--out", str(out), "--vocab-size", "512", "--held-out-share", "0.2"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert "My_code" not in printed.out and "my_code" in printed.out
    assert "my_code: 41 were read, 40 kept" in printed.out
    assert re.search(r"dropped +documents +bytes\nbinary \(NUL byte\) +1 +6\n", printed.out)
    stages = [line.partition(":")[0] for line in printed.err.splitlines() if " of 4): 0 B" in line]
    assert stages == ["read (1 of 4)", "copies (2 of 4)", "tokenizer (3 of 4)", "encode (4 of 4)"]
    assert "spanmix: warning: The held-out side of my_code is small: " in printed.err
    assert main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["vocab_size"] == 512
    source = report["sources"]["my_code"]
    assert source["train"]["documents"] + source["held_out"]["documents"] <= 40
    assert source["held_out"]["documents"] > 0


def test_prepare_refuses_what_holds_no_text(capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "corpus"
    fails(capsys, "prepare", str(tmp_path / "empty"), "--out", str(out))
    message = fails(capsys, "prepare", str(tmp_path / "missing"), "--out", str(out))
    assert "missing" in message
    message = fails(capsys, "prepare", str(tmp_path / "empty"), "--out", str(out), "--vocab-size", "100")
    assert "tokenizer.vocab_size is 100" in message
    assert not out.exists()


def test_a_recipe_names_its_own_sources(capsys, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("corpus: {path: x}\n", encoding="utf-8")
    message = fails(capsys, "prepare", str(recipe), "more", "--out", str(tmp_path / "corpus"))
    assert "leave out more" in message


RECIPE = """
corpus: {path: CORPUS}
model: {preset: demo}
objectives:
  - {name: causal, weight: 1}
  - {name: infill, weight: 1}
data:
  row_tokens: 128
  global_batch_rows: 2
  sources: [{name: my_code, weight: 1}]
optimizer: {learning_rate: 1e-3}
schedule: {warmup_steps: 1}
run: {seed: 1, num_steps: 2, save_every_steps: 2, log_every_steps: 1, num_threads: 1}
"""


def test_the_whole_road(capsys, sources, tmp_path):
    """prepare, train, evaluate, complete and infill, each by its verb."""
    corpus, trained, recipe = tmp_path / "corpus", tmp_path / "run", tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.replace("CORPUS", str(corpus)), encoding="utf-8")
    prepare = [
        "prepare",
        str(sources),
        "--out",
        str(corpus),
        "--vocab-size",
        "512",
        "--held-out-share",
        "0.2",
    ]
    assert main(prepare) == 0
    assert main(["train", str(recipe), "--out", str(trained)]) == 0
    printed = capsys.readouterr()
    assert "step 2 of 2: loss " in printed.err
    assert "tokens/s" in printed.err
    assert "trained 2 steps" in printed.out

    results = tmp_path / "results.json"
    arguments = ["evaluate", str(trained), "--corpus", str(corpus), "--spans", "4", "--out", str(results)]
    assert main(arguments) == 0
    assert "bits per byte" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sources"]["my_code"]["loss"]["bits_per_byte"]["value"] > 0
    assert [figures["kind"] for figures in found["infill"]] == ["single_line", "multi_line", "in_word"]
    assert json.loads(results.read_text(encoding="utf-8")) == found

    some = ["--tasks", "infill", "--kinds", "in_word", "--sources", "my_code", "--json"]
    assert main([*arguments, *some]) == 0
    assert [figures["kind"] for figures in json.loads(capsys.readouterr().out)["infill"]] == ["in_word"]
    assert main([*arguments, "--sources", "my_cod"]) == 2
    assert "did you mean 'my_code'" in capsys.readouterr().err

    sampled = ["--max-tokens", "8", "--temperature", "1", "--seed", "3"]
    assert main(["complete", str(trained), "--prompt", "def function", *sampled]) == 0
    text = capsys.readouterr().out
    assert main(["complete", str(trained), "--prompt", "def function", *sampled, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] + "\n" == text

    file = tmp_path / "file.py"
    file.write_bytes(b"def one():\r\n    return\r\n")
    infill = ["infill", str(trained), str(file), "--at", "2:11", *sampled]
    assert main([*infill, "--only-middle"]) == 0
    middle = capsys.readouterr().out.removesuffix("\n")
    assert main(infill) == 0
    assert capsys.readouterr().out == f"def one():\r\n    return{middle}\r\n"
    assert main([*infill, "--in-place"]) == 0
    assert capsys.readouterr().out == ""
    assert file.read_bytes().decode() == f"def one():\r\n    return{middle}\r\n"
    assert main(["infill", str(trained), "--prefix", "a", "--suffix", "b", *sampled, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["text"] == f"a{answer['infills'][0]['text']}b"

    message = fails(capsys, *infill[:3], "--at", "9:1")
    assert "9:1" in message


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["complete", "m"], "--prompt"),
        (["complete", "m", "f", "--prompt", "p"], "either FILE"),
        (["infill", "m"], "--at LINE:COL"),
        (["infill", "m", "f"], "--at LINE:COL"),
        (["infill", "m", "f", "--prefix", "p"], "leave out FILE"),
        (["infill", "m", "-", "--at", "1:1", "--in-place"], "stdin"),
        (["infill", "m", "f", "--at", "1:1", "--in-place", "--only-middle"], "not allowed with"),
        (["evaluate", "m", "--corpus", "c", "--tasks", "infil"], "did you mean 'infill'"),
        (["evaluate", "m", "--corpus", "c", "--kinds", "single_lin"], "did you mean 'single_line'"),
        (["evaluate", "m", "--corpus", "c", "--spans", "0"], "--spans: '0' is not a whole number from 1"),
        (["evaluate", "m", "--corpus", "c"], "corpus c does not exist"),
        (["complete", "no/such/model", "--prompt", "p"], "no/such/model"),
    ],
)
def test_what_does_not_fit_together_is_refused(capsys, arguments, said):
    assert said in fails(capsys, *arguments)


def test_overrides_may_stand_behind_a_flag(capsys, tmp_path):
    said = fails(capsys, "train", "demo", "--out", str(tmp_path / "run"), "optimizer.learing_rate=1")
    assert "learing_rate (did you mean 'learning_rate'?)" in said
    said = fails(capsys, "train", "demo", "run.sed=1", "--out", str(tmp_path / "run"), "run.num_steps=5")
    assert "run.sed (did you mean 'seed'?)" in said
    said = fails(capsys, "train", "demo", "--out", "run", "--fast")
    assert "unrecognized arguments: --fast; see `spanmix train --help`" in said
    assert "unrecognized arguments: more; see `spanmix demo --help`" in fails(capsys, "demo", "more")
    assert not (tmp_path / "run").exists()


def test_evaluate_knows_every_kind_of_span():
    from spanmix.cli.corpus_tasks import KIND_NAMES
    from spanmix.evaluate.infill_spans import KINDS

    assert tuple(KINDS) == KIND_NAMES  # written twice for the sake of a quick --help


def test_one_of_several_processes_ends_at_once_with_its_exit_code():
    """A thread that PyTorch left behind must neither keep nor abort a process that has done its part."""
    code = (
        "import sys, threading, time\n"
        "from spanmix.__main__ import start\n"
        "threading.Thread(target=lambda: time.sleep(1000)).start()\n"
        "sys.argv[1:] = ['train', 'no-such-recipe.yaml', '--out', 'nowhere']\n"
        "start()\n"
    )
    ended = python(code, env={**os.environ, "WORLD_SIZE": "2"})
    assert ended.returncode == 2 and "no-such-recipe" in ended.stderr
