"""The checks with real clients, their page, and the runner of the two; no client runs here."""

import importlib
import re
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPAT = ROOT / "compat"
FILES = ("page", "report", "run")


@pytest.fixture(scope="module")
def compat():
    """Import the files of ``compat`` as they import each other when they run, and forget them again."""
    names = [path.stem for path in COMPAT.glob("*.py")]
    assert not set(names) & set(sys.modules) and set(FILES) <= set(names)
    sys.path.insert(0, str(COMPAT))
    yield {name: importlib.import_module(name) for name in FILES}
    sys.path.remove(str(COMPAT))
    for name in names:
        sys.modules.pop(name, None)


def outcome(compat, name, line="all of it", passed=True):
    return compat["page"].Outcome(name, f"{name} 1.0", [line], passed, 2.4, "2026-01-31", "0.1, 3.11")


def test_every_check_has_its_row_and_its_section(compat):
    names = compat["run"].names_of_checks()
    folders = sorted(path.name for path in (COMPAT / "checks").iterdir() if path.is_dir())
    assert names == folders and len(names) >= 3
    page = (ROOT / "docs" / "compat.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[(\w+)\]\(#\1\) \|", page, re.M) == names
    assert re.findall(r"^## (\w+)\n\n- ", page, re.M) == names
    assert compat["page"].written(page, [], names) == page


def test_a_page_keeps_what_was_not_run_and_drops_what_is_no_longer_there(compat):
    written, names = compat["page"].written, ["a", "b", "c"]
    page = written("", [outcome(compat, "a", "first"), outcome(compat, "c", "third")], names)
    again = written(
        page, [outcome(compat, "b", "second", passed=False), outcome(compat, "c", "other")], names
    )
    assert re.findall(r"^- (.*)", again, re.M) == ["first", "second", "other"]
    assert "| [b](#b) | b 1.0 | **failed** | 2 | 2026-01-31 | 0.1, 3.11 |\n" in again
    assert written(again, [], names) == again
    assert "- first" not in written(again, [], ["b", "c"])


@pytest.fixture
def checks(compat, monkeypatch, tmp_path):
    """Writes checks in the place of those that there are; no server is started for them."""
    monkeypatch.setattr(compat["run"], "CHECKS", tmp_path / "checks")
    monkeypatch.setattr(compat["run"], "make_model", lambda folder: folder)
    monkeypatch.setattr(compat["run"], "serving", lambda model, log: nullcontext("http://here"))

    def write(name, body):
        folder = tmp_path / "checks" / name
        folder.mkdir(parents=True)
        text = f"from report import *\ndef check(url, scratch, model):\n    {body}\n"
        (folder / "check.py").write_text(text)

    return write


def test_the_runner_tells_of_all_and_fails_if_one_did(compat, checks, tmp_path, capsys):
    checks("fine", "return Report('Fine', '2.0, Node 24', [url])")
    page, scratch = tmp_path / "page.md", tmp_path / "scratch"
    arguments = ["--scratch", str(scratch), "--write", str(page)]
    assert compat["run"].main(arguments) == 0
    checks("other", "raise CheckFailedError('text', 'x', 'y')")
    checks("missing", "raise OSError(f'{scratch} is full')")
    assert compat["run"].main(arguments) == 1
    assert "1 of 3 passed; failed: missing, other" in capsys.readouterr().out
    told = page.read_text()
    for line in ("http://here", "OSError: SCRATCH/missing is full", "text: expected x, and y came"):
        assert f"\n- {line}\n" in told
    assert "| Fine 2.0, Node 24 | passed |" in told and told.count("**failed**") == 2
    assert compat["run"].main([*arguments, "--only", "fine"]) == 0
    assert page.read_text() == told


def test_a_report_that_says_nothing_or_breaks_the_table_is_refused(compat):
    report = compat["report"].Report
    for fields in (("a", "1", []), ("a|b", "1", ["x"]), ("a", "1", ["two\nlines"]), ("a", "", ["x"])):
        with pytest.raises(AssertionError):
            report(*fields)
