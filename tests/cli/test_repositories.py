"""`spanmix evaluate` on repositories goes on where it was, refuses bad flags, and shows what was missed."""

import json
import os
import re
import subprocess
import sys

import pytest

from spanmix.cli.arguments import OneParagraphParser, add_engine, add_json, add_lead_tokens, add_model
from spanmix.cli.code_tasks import add_code_tasks
from spanmix.cli.models import add_served, open_named
from spanmix.cli.repositories import add_repositories, measure_repositories, repositories_asked
from spanmix.errors import InputError

DOUBLE = "import os\n\n\ndef double(x):\n    # <b>&\n    y = 2 * x\n    return y\n"
TESTS = "import unittest\n\nfrom used import double\n\n\nclass T(unittest.TestCase):\n"
TESTS += "    def test_two(self):\n        self.assertEqual(double(2), 4)\n"
COMMITS = (
    {"used.py": "import os\n", "web.js": "function f() {\n  g();\n}\nf();\n"},
    {"used.py": DOUBLE},
    {"test_used.py": TESTS},
    {"used.py": DOUBLE.replace("2 * x", "x + x"), "web.js": "function f() {\n  g();\n  h();\n}\nf();\n"},
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Four commits on the first four days of March 2024."""
    folder = tmp_path_factory.mktemp("repository")
    git = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@b"]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    outside |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run([*git, "init", "--quiet"], check=True, env=outside)
    for day, files in enumerate(COMMITS, 1):
        for name, text in files.items():
            (folder / name).write_text(text)
        date = f"2024-03-0{day}T12:00:00+0000"
        dated = {**outside, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        subprocess.run([*git, "add", "."], check=True, env=outside)
        subprocess.run([*git, "commit", "--quiet", "-m", "m"], check=True, env=dated)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory, make_decoder, tokenizer):
    from spanmix.model.folder import save_model_folder

    folder = tmp_path_factory.mktemp("model")
    return str(save_model_folder(folder / "m", make_decoder(1, 32, 2, 4, 128), tokenizer, {}))


@pytest.fixture
def measure(model, tmp_path):
    """Measures as the verb does; answers are kept in one folder."""

    def run(*flags, kept="kept"):
        parser = OneParagraphParser(allow_abbrev=False)
        for add in (add_model, add_engine, add_lead_tokens, add_code_tasks, add_served, add_json):
            add(parser)
        parser.add_argument("--seed", type=int, default=0)
        add_repositories(parser)
        samples = [] if kept is None else ["--samples", str(tmp_path / kept)]
        args = parser.parse_args([model, *map(str, flags), *samples])
        return measure_repositories(args, open_named(args)) if repositories_asked(args) else None

    return run


def test_places_and_history_are_measured_and_gone_on_with(measure, repository, tmp_path, capsys):
    flags = ("--bench-from", repository, "--replay", repository, "--since", "2024-03-02", "--places", 4)
    found = measure(*flags, "--proposal-tokens", 8, "--place-tokens", 40)
    assert set(found) == {"bench", "replay"}
    printed = capsys.readouterr()
    lines = [re.split(r"  +", line)[0] for line in printed.out.splitlines()]
    for row in ("line, all", "line, python", "function, javascript", "all", "line start", "javascript"):
        assert row in lines
    assert "look at what differs" in printed.err and "warning" not in printed.err
    kept = tmp_path / "kept"
    assert {path.name for path in kept.iterdir()} == {
        *("bench.jsonl", "bench.jsonl.settings.json", "bench.report.json", "bench.html"),
        *("answers.jsonl", "answers.jsonl.settings.json", "events.jsonl", "events.jsonl.settings.json"),
        *("replay.report.json", "replay.html"),
    }
    for name in ("bench", "replay"):
        told = json.loads((kept / f"{name}.report.json").read_text())
        assert told == json.loads(json.dumps(found[name]))
        assert len(told["facts"]["weights_sha256"]) == 64 and told["facts"]["machine, python"]
    assert found["replay"]["since"] == "2024-03-02" and found["replay"]["num_commits"] == 3
    assert found["replay"]["facts"]["max_tokens"] == 8
    before = {name: (kept / name).read_bytes() for name in ("bench.jsonl", "answers.jsonl", "events.jsonl")}
    again = measure(*flags, "--proposal-tokens", 8, "--place-tokens", 40, "--json")
    assert again == found and capsys.readouterr().out == ""
    assert {name: (kept / name).read_bytes() for name in before} == before
    from_file = measure("--bench-from", kept / "bench.jsonl", "--place-tokens", 40, kept="other")
    assert from_file["bench"]["figures"] == found["bench"]["figures"]
    assert not (tmp_path / "other" / "bench.jsonl").exists()
    for flag in (("--places", 3), ("--languages", "python"), ("--executed",)):
        with pytest.raises(InputError, match=f"{flag[0]} needs the repository itself"):
            measure("--bench-from", kept / "bench.jsonl", *flag, kept="other")


def test_pages_need_nothing_else_and_show_what_was_missed(measure, repository, tmp_path, capsys):
    measure("--bench-from", repository, "--replay", repository, "--places", 4, "--proposal-tokens", 8)
    assert "spanmix: warning: no date was given" in capsys.readouterr().err
    for name, heading in (("bench", "Answers that differ"), ("replay", "Not taken")):
        page = (tmp_path / "kept" / f"{name}.html").read_text()
        assert page.startswith('<!DOCTYPE html>\n<html lang="en">') and f"<h2>{heading}</h2>" in page
        assert not re.search(r"<(script|link|img|iframe)|https?://|url\(", page)
        assert "<b>&" not in page and "&lt;b&gt;&amp;" in page
        assert page.count('<figure class="code">') == page.count("<figcaption>used.py") + page.count(
            "<figcaption>web.js"
        ) + page.count("<figcaption>test_used.py")
        assert page.count('<mark class="truth">') > 3 and page.count('<mark class="infill">') > 3
    assert "Warning:</strong> no date was given" in (tmp_path / "kept" / "replay.html").read_text()


def test_the_repository_s_own_tests_decide(measure, repository, tmp_path, capsys):
    flags = ("--bench-from", repository, "--place-kinds", "function", "--executed", "--place-tokens", 40)
    run = ("--test-command", "python -m unittest -q test_used")
    found = measure(*flags, *run)
    [whole, *_] = found["bench"]["figures"]
    assert whole["executed"] == {"value": 0.0, "low": 0.0, "high": whole["executed"]["high"]}
    items = {item["task_id"]: item["executed"] for item in found["bench"]["items"]}
    assert items["function/used.py:6"] is False
    assert [name for name, passes in items.items() if passes is not None] == ["function/used.py:6"]
    printed = capsys.readouterr()
    assert "tests pass" in printed.out.splitlines()[0]
    assert "places that the tests do not decide about: 1 (not Python)" in printed.err
    assert found["bench"]["facts"]["num_tests"] == 1
    assert "tests: failed: " in (tmp_path / "kept" / "bench.html").read_text()
    verdicts = (tmp_path / "kept" / "executed.jsonl").read_bytes()
    assert measure(*flags, *run)["bench"]["items"] == found["bench"]["items"]
    assert (tmp_path / "kept" / "executed.jsonl").read_bytes() == verdicts
    with pytest.raises(InputError, match=r'test_command ".*" there, "A=1 .*" now'):
        measure(*flags, "--test-command", "A=1 python -m unittest -q test_used")


def test_no_copy_of_a_checkout_is_left_when_the_system_ends_the_process(tmp_path):
    code = (
        "import os, signal, sys, tempfile\n"
        "from spanmix.cli.repository_tests import cleared_up\n"
        "with cleared_up(), tempfile.TemporaryDirectory(dir=sys.argv[1]):\n"
        "    assert os.listdir(sys.argv[1])\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    signal.pause()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 143, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_languages_are_chosen(measure, repository):
    found = measure("--bench-from", repository, "--replay", repository, "--languages", "javascript,c")
    assert {one["language"] for one in found["bench"]["figures"]} == {"all", "javascript"}
    assert [one["name"] for one in found["replay"]["by_language"]] == ["javascript"]
    assert found["bench"]["origin"]["left_out"]["another language"] == 2
    assert found["replay"]["left_out"]["files"]["another language"] >= 2


def test_what_was_kept_is_not_mixed_with_something_else(measure, repository):
    measure("--bench-from", repository, "--place-kinds", "line")
    with pytest.raises(InputError, match=r"bench\.jsonl was built from .*; give the same --revision"):
        measure("--bench-from", repository, "--place-kinds", "line", "--revision", "HEAD~1")
    with pytest.raises(InputError, match=r"answers\.jsonl was made with other settings: max_tokens"):
        measure("--bench-from", repository, "--place-kinds", "line", "--place-tokens", 9)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--since", "2024-01-01"), "--since is for --replay; give --replay GIT"),
        (("--replay", ".", "--executed"), "--executed is for --bench-from"),
        (("--replay", ".", "--since", "yesterday"), "the date 'yesterday' is none"),
        (("--bench-from", ".", "--place-kinds", "lines"), "there is no 'lines' (did you mean 'line'?)"),
        (("--bench-from", ".", "--languages", "pyton"), "there is no 'pyton' (did you mean 'python'?)"),
        (("--bench-from", "/nowhere"), "/nowhere does not exist; name a git checkout"),
        (("--bench-from", "@", "--executed", "--test-command", "make"), "the test command is 'make'"),
        (("--bench-from", "@", "--executed", "--test-python", "/no"), "/no is no Python that runs"),
        (("--bench-from", "@", "--places", "0"), "'0' is not a whole number from 1"),
        (("--since", ""), "--since is for --replay; give --replay GIT"),
        (
            ("--bench-from", "@", "--place-tokens", "2"),
            "has a text of less than 2 tokens, so nothing was asked",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(measure, repository, flags, message):
    with pytest.raises(InputError, match=re.escape(message)):
        measure(*(str(repository) if flag == "@" else flag for flag in flags))


def test_both_repositories_are_looked_at_before_any_work(measure, repository, tmp_path):
    with pytest.raises(InputError, match="/nowhere does not exist"):
        measure("--bench-from", repository, "--replay", "/nowhere")
    with pytest.raises(InputError, match="has no commit 'v9'"):
        measure("--bench-from", repository, "--revision", "v9")
    assert not (tmp_path / "kept").exists()


def test_a_folder_is_needed_and_nothing_asked_is_nothing(measure, repository):
    with pytest.raises(InputError, match="give --samples DIR, where answers and reports are kept"):
        measure("--replay", repository, kept=None)
    assert measure() is None
