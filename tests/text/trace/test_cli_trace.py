"""``spanmix trace``: what it prints, what it builds and what it refuses."""

import argparse
import io
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from spanmix.cli import trace
from spanmix.cli.arguments import OneParagraphParser
from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.errors import InputError
from spanmix.text.preparation.layout import LaidOut, join_repositories
from spanmix.text.trace.build import build_index
from spanmix.text.trace.layout import IndexSettings
from spanmix.types import Document

DOCUMENTS = [
    "# first\ndef shared(value):\n    return value + 1  # one more\n",
    "alone é\x1b[31m in red, at length\n",
]


def run(*arguments):
    parser = OneParagraphParser(prog="spanmix")
    trace.add(parser.add_subparsers())
    args = parser.parse_args(["trace", *map(str, arguments)])
    assert isinstance(args, argparse.Namespace)
    args.run(args)


@pytest.fixture(scope="module")
def built(traced, tokenizer, tmp_path_factory):
    sources = {"code": [*DOCUMENTS, DOCUMENTS[0]]}
    folder = traced.write_corpus(tmp_path_factory.mktemp("cli") / "corpus", tokenizer, sources)
    build_index(folder)
    return folder


def test_matches_are_marked_and_listed(built, capsys):
    run("--text", "x\n    return value + 1  # one more\nno", "--corpus", built, "--min-bytes", 20)
    out, err = capsys.readouterr()
    assert out.startswith("x⟦\n    return value + 1  # one more\n⟧no\n\nwhere ")
    assert [line.split() for line in out.splitlines()[4:-1]] == [
        ["where", "licence", "text", "line", "bytes", "occurrences"],
        ["code/0.py:2", "unknown", "1", "34", "2"],
        ["code/2.py:2", "unknown"],
    ]
    assert out.endswith("\n34 of 37 bytes (91.9 %) stand in training documents\n")
    assert err == ""


def test_on_a_terminal_it_is_colored_and_cannot_be_steered(built, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    run("--text", DOCUMENTS[1], "--corpus", built, "--min-bytes", 20)
    out = capsys.readouterr().out
    assert out.startswith("\x1b[1;31malone é␛[31m in red, at length\n\x1b[0m")
    assert "code/1.py:1" in out and "MIT" in out


def test_json_holds_all_there_is(built, capsys, tmp_path):
    file = tmp_path / "asked.py"
    file.write_text("é" + DOCUMENTS[0])
    run(file, "--corpus", built, "--json", "--places", 1)
    found = json.loads(capsys.readouterr().out)
    num_bytes = len(DOCUMENTS[0])
    assert (found["text_bytes"], found["matched_bytes"], found["longest_bytes"]) == (
        num_bytes + 2,
        *[num_bytes] * 2,
    )
    (match,) = found["matches"]
    assert (match["start"], match["start_character"], match["num_occurrences"]) == (2, 1, 2)
    assert match["occurrences"] == [
        {
            "source": "code",
            "document": 0,
            "start": 0,
            "files": [
                {
                    "path": "code/0.py",
                    "repository": "",
                    "licence": "",
                    "language": "python",
                    "line": 1,
                    "start": 0,
                    "num_bytes": num_bytes,
                }
            ],
        }
    ]


@pytest.mark.parametrize("text", ["", "short", "nothing of this is to be found in the corpus at all"])
def test_no_match_is_an_answer(built, capsys, text, monkeypatch):
    stdin = argparse.Namespace(buffer=io.BytesIO(text.encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    run("-", "--corpus", built)
    out, err = capsys.readouterr()
    assert out == text + "\n"
    assert err.endswith("no match\n")
    assert ("matches of 40 and more are looked for" in err) == (len(text) < 40)


def test_longest_come_first_and_the_rest_is_counted(built, capsys):
    text = f"{DOCUMENTS[1][:30]}|{DOCUMENTS[0]}|{DOCUMENTS[0][20:50]}"
    run("--text", text, "--corpus", built, "--min-bytes", 20, "--top", 2, "--places", 0)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[-4:-2]] == [str(len(DOCUMENTS[0])), "31"]
    assert lines[-2] == "not listed: 1 no longer than these; --top 3 lists all"


def test_the_same_again_and_again_is_one_line(built, capsys):
    run("--text", "a" + "value + 1  # one more\n" * 40, "--corpus", built, "--min-bytes", 20, "--places", 1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[-4:-2]] == [
        ["where", "licence", "text", "line", "bytes", "occurrences", "times"],
        ["code/0.py:3", "unknown", "1", "22", "2", "40"],
    ]
    assert lines[-1] == "880 of 881 bytes (99.9 %) stand in training documents"
    run("--text", "a" + "value + 1  # one more\n" * 40, "--corpus", built, "--min-bytes", 20, "--json")
    (match,) = json.loads(capsys.readouterr().out)["matches"]
    assert (match["start"], match["end"], match["num_repeats"], match["last_end"]) == (1, 23, 40, 881)


def test_the_same_in_several_places_of_the_text_is_one_line(built, capsys):
    text = "one\nvalue + 1  # one more\n?\nalone é\x1b[31m in red\n" + "?value + 1  # one more\n" * 3
    run("--text", text, "--corpus", built, "--min-bytes", 20, "--places", 1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[-5:-2]] == [
        ["where", "licence", "text", "line", "bytes", "occurrences", "times"],
        ["code/0.py:3", "unknown", "2", "22", "2", "4"],
        ["code/1.py:1", "MIT", "4", "20", "1", "1"],
    ]
    assert lines[-2] == "times: so often the match stands in the text, at first in this line"
    run("--text", text, "--corpus", built, "--min-bytes", 20, "--json")
    assert len(json.loads(capsys.readouterr().out)["matches"]) == 5


@pytest.fixture(scope="module")
def joined(traced, tokenizer, tmp_path_factory):
    """A corpus with one document, made of seven files."""
    files = [
        LaidOut(Document(f"first of {i}\nsecond\n", "code", f"{i}.py", "", f"L{i}", repository="a/b"))
        for i in range(7)
    ]
    documents = list(join_repositories(files, LayoutConfig("repository")))
    folder = tmp_path_factory.mktemp("cli") / "joined"
    traced.write_corpus(folder, tokenizer, {"code": documents})
    build_index(folder, IndexSettings(8))
    return folder


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("of 3\nsecond\n<|file|>4.py\nfirst", [["a/b: 3.py:1", "L3"], ["+ a/b: 4.py:1", "L4"]]),
        ("second\n<|file|>6.py\n", [["a/b: 5.py:2", "L5"]]),
        ("<|file|>2.py\nfirst of", [["a/b: 2.py:1", "L2"]]),
        ("\n<|file|>0.py\nfir", [["a/b: 0.py:1", "L0"]]),
        ("<|file|>5.py\n", [["a/b: 5.py, header", "L5"]]),
    ],
)
def test_the_files_of_a_joined_document_are_told(joined, capsys, text, listed):
    run("--text", text, "--corpus", joined, "--min-bytes", 12)
    assert [
        re.split(r"  +", line)[:2] for line in capsys.readouterr().out.splitlines()[-1 - len(listed) : -1]
    ] == listed


def test_of_very_many_files_some_are_listed(joined, capsys):
    text = "".join(f"<|file|>{i}.py\nfirst of {i}\nsecond\n" for i in range(7))
    run("--text", text, "--corpus", joined)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[-7:-1]] == [
        *["a/b: 0.py:1", "+ a/b: 1.py:1", "+ a/b: 2.py:1", "+ a/b: 3.py:1", "+ a/b: 4.py:1"],
        "+ 2 more files",
    ]
    run("--text", text, "--corpus", joined, "--json")
    (match,) = json.loads(capsys.readouterr().out)["matches"]
    files = match["occurrences"][0]["files"]
    told = [(file["repository"], file["path"], file["licence"]) for file in files]
    assert told == [("a/b", f"{i}.py", f"L{i}") for i in range(7)]


def test_it_builds_and_tells_how_large_the_index_is(built, tmp_path, capsys):
    folder = shutil.copytree(built, tmp_path / "corpus")
    shutil.rmtree(folder / "trace")
    with pytest.raises(
        InputError, match=r"has no trace index. Build it with `spanmix trace --corpus .* --build`"
    ):
        run("--text", "any", "--corpus", folder)
    run("--corpus", folder, "--build", "--shortest-bytes", 8, "--json")
    facts = json.loads(capsys.readouterr().out)
    assert (facts["shortest_bytes"], facts["shards"]) == (8, 1)
    assert facts["text_bytes"] == sum(len(text.encode()) for text in [*DOCUMENTS, DOCUMENTS[0]])
    run("--corpus", folder, "--build")
    assert "finds every match of 8 bytes and more" in capsys.readouterr().out
    run("--text", "value + 1", "--corpus", folder, "--build", "--min-bytes", 9)
    assert "⟦value + 1⟧" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give FILE"),
        (["-", "--text", "a"], "give either FILE"),
        (["--text", "a", "--shard-mb", "5"], "give them with --build"),
        (["--text", "a", "--min-bytes", "3"], "matches of 3 bytes are asked for"),
        (["--text", "a", "--min-bytes", "no"], "not a whole number"),
        (["--build", "--shortest-bytes", "300"], "trace.shortest_bytes is 300; use 1 to 256"),
        (["/no/such/file"], "/no/such/file cannot be read"),
    ],
)
def test_what_cannot_be_done_is_refused(built, arguments, message):
    with pytest.raises(InputError, match=message):
        run(*arguments, "--corpus", built)


def test_a_folder_that_is_no_corpus_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"there is no corpus.json in it"):
        run("--text", "a", "--corpus", tmp_path)
    with pytest.raises(InputError, match=r"corpus .*nowhere does not exist"):
        run("--text", "a", "--corpus", tmp_path / "nowhere")


def test_the_documentation_names_every_field_and_column(joined, capsys):
    """Its table of fields is what is printed, no more and no less; its samples have the columns."""
    page = (Path(__file__).parents[3] / "docs" / "trace.md").read_text(encoding="utf-8")
    run("--text", "first of 3\nsecond\n#" * 2, "--corpus", joined, "--min-bytes", 12)
    header = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("where  "))
    columns = re.split(r"  +", header)
    assert columns[-1] == "times" and "column `times`" in page
    assert [re.split(r"  +", line) for line in page.splitlines() if line.startswith("where  ")] == [
        columns[:-1]
    ] * 2
    run("--text", "first of 3\nsecond\n", "--corpus", joined, "--min-bytes", 12, "--json")
    found = json.loads(capsys.readouterr().out)
    (match,) = found["matches"]
    levels = [found, match, match["occurrences"][0], match["occurrences"][0]["files"][0]]
    table = page[page.index("| field | holds |") : page.index("`--build --json` without")]
    named = re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in table.splitlines() if "|" in line))
    assert sorted(named) == sorted(name for level in levels for name in level)


def test_never_all_of_it_unless_it_is_all(built, capsys):
    long = DOCUMENTS[0] * 900
    for text, share in ((f"{long}||", "> 99.9 %"), (long, "100 %")):
        run("--text", text, "--corpus", built, "--min-bytes", 20, "--places", 0)
        assert f" bytes ({share}) stand in training documents" in capsys.readouterr().out.splitlines()[-1]
