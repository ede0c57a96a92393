"""Runs of one sign, marks that never close and tags that are opened again take no longer than other text.

What grows with the square of these would run into the limit of a test, or take gigabytes.
"""

import json

import pytest

from spanmix.config import SourceFilesConfig
from spanmix.text.languages.detect import detect_language
from spanmix.text.licences.headers import Stated
from spanmix.text.licences.metadata import read_metadata, reuse_patterns
from spanmix.text.readers import json_values
from spanmix.text.readers.markdown import markdown_to_text
from spanmix.text.readers.notebook import to_script
from spanmix.text.readers.restructured_text import restructured_text_to_text
from spanmix.text.readers.source import read_source
from spanmix.text.readers.web_page import web_page_to_text

NUM = 2_000_000
BLANKS, TABS = " " * NUM, "\t" * NUM


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"# a{BLANKS}x", f"a{BLANKS}x\n"),
        (f"# a{BLANKS}#x", f"a{BLANKS}#x\n"),
        (f"# a{BLANKS}#", "a\n"),
        (f"--{BLANKS}x", f"--{BLANKS}x\n"),
        (f"a\n{BLANKS}-x", f"a\n{BLANKS}-x\n"),
        (f"a\n{TABS}|x", "a\nx\n"),
    ],
)
def test_blanks_of_markdown_are_read_once(text, expected):
    assert markdown_to_text(text) == expected


def test_a_mark_that_never_closes_is_not_looked_for_again():
    """As many as 700,000 marks in a line, each with a thousand characters behind it to be searched."""
    assert markdown_to_text("_x_ " + " _a" * 700_000) == "x " + " _a" * 700_000 + "\n"
    odd = "`" * 3 + "a"
    line = "x " + " ``a" * 300_001 + odd
    assert markdown_to_text(line).count("``") == 1 + 1  # the last, and that of the three
    assert restructured_text_to_text("x" + "**a " * 500_000) == ("x" + "**a " * 500_000).rstrip() + "\n"


def test_blanks_in_front_of_an_address_are_read_once():
    text = "x " + f":a:`b{' ' * 400}c` " * 20_000 + f":a:`b{BLANKS}x"
    assert restructured_text_to_text(text).startswith(f"x b{' ' * 400}c b")
    assert restructured_text_to_text("`a b  <http://c.d>`_ :e:`f  <g>` `  <h>`_") == "a b f\n"


@pytest.mark.parametrize("line", [f"{' ' * NUM}-x", f"{TABS}|x", f"{' ' * NUM}a.b=x"])
def test_blanks_of_a_notebook_are_read_once(line):
    cells = [{"cell_type": "code", "source": f"print 1\n{line}"}]
    assert to_script(json.dumps({"cells": cells}).encode()) == (f"print 1\n{line}\n", "python")


def test_tags_left_open_are_not_opened_again_in_each_block():
    page = "<p>" + "".join(f"<b id={i}>" for i in range(900)) + "<p>x" * 20_000
    assert web_page_to_text(page) == "x\n\n" * 19_999 + "x\n"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>x<" + "a" * NUM, "x\n"),
        (f"<pre>{BLANKS}x", f"{BLANKS}x\n"),
        ("<div>" * 1001 + f"&#{'1' * 5000};&#65;", "\ufffdA\n"),
    ],
)
def test_runs_of_a_page_are_read_once(page, expected):
    assert web_page_to_text(page) == expected


@pytest.mark.parametrize("name", ["a.html", "a.jsonl"])
def test_a_page_that_the_parser_gives_up_on_is_counted(tmp_path, monkeypatch, name):
    import selectolax.lexbor

    def give_up(_):
        raise selectolax.lexbor.SelectolaxError("no memory")

    monkeypatch.setattr(selectolax.lexbor, "LexborHTMLParser", give_up)
    row = json.dumps({"text": "<p>a", "path": "a.html"})
    (tmp_path / name).write_text("<p>a" if name == "a.html" else row + "\n")
    (dropped,) = read_source(SourceFilesConfig("s", (str(tmp_path / name),), prose=True))
    assert dropped.reason == "malformed web page"
    assert "no memory" in dropped.value


def test_a_string_of_json_without_an_end_is_read_once(monkeypatch):
    monkeypatch.setattr(json_values, "MAX_VALUES", 2)
    with pytest.raises(ValueError, match="it has 4 values"):
        json_values.parse_value(b'[1,2,3,"' + rb"\"" * NUM)


def test_a_word_behind_a_shebang_is_read_once():
    for _ in range(200):
        assert detect_language("#!" + "a" * 15_900 + "|x") == ""
    assert detect_language("#!/usr/bin/env -S python3.11 -u\n") == "python"
    assert detect_language("#! /opt/a+b/perl5 -w\n") == "perl"


@pytest.mark.parametrize(
    "text", ["a." * 500_000 + "x=1\n", '"=".' * 500_000 + "x=1\n", f"[{'a.' * 500_000}x]\n"]
)
def test_a_key_of_very_many_parts_states_no_licence(text):
    assert read_metadata("pyproject.toml", text) == Stated()
    assert reuse_patterns(text) == []
