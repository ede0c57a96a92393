"""An opt-out list leaves out what its lines name, wherever it lies on this machine, and counts each line."""

import json
import re
from pathlib import Path

import pytest

from spanmix.config import SourceFilesConfig
from spanmix.corpus_configs.licences import LicencesConfig
from spanmix.errors import InputError
from spanmix.text.dropped import Dropped
from spanmix.text.licences.opt_out import OptOut
from spanmix.text.licences.opt_out_counts import (
    OptOutCount,
    counts_path,
    read_counts,
    unmatched_words,
    write_counts,
)
from spanmix.text.licences.reasons import OPTED_OUT
from spanmix.text.licences.step import LicenceStep
from spanmix.text.preparation.assemble import count_opt_outs
from spanmix.text.readers.source import read_source
from spanmix.types import Document

LIST = """\ufeff# who asked
AnnAuthor   # all of hers
bo/Tool
https://github.com/cy/lib.git

*/private/*
secret/
src/*.py
owner/repo/src/**
/setup.cfg
**/Generated.js
https://github.com/di/x/blob/main/docs/a.md
https://gitlab.com/di/y/-/tree/v1.2/lib
group/sub/project
a?.txt
lib/Old
tests/data/
"""
CASES = {
    ("annauthor/x", "a.py"): ["AnnAuthor"],
    ("Bo/tool", "src/a.py"): ["bo/Tool", "src/*.py"],
    ("cy/lib", "a.rs"): ["https://github.com/cy/lib.git"],
    ("di/x", "lib/Private/a.py"): ["*/private/*"],
    ("", "secret/a.rs"): ["secret/"],
    ("di/x", "src/a.py"): ["src/*.py"],
    ("", "src/deep/a.py"): ["src/*.py"],
    ("owner/repo", "src/deep/b.c"): ["owner/repo/src/**"],
    ("", "owner/repo/src/b.c"): ["owner/repo/src/**"],
    ("di/x", "setup.cfg"): ["/setup.cfg"],
    ("di/x", "generated.js"): ["**/Generated.js"],
    ("di/x", "web/out/generated.js"): ["**/Generated.js"],
    ("di/x", "docs/a.md"): ["https://github.com/di/x/blob/main/docs/a.md"],
    ("di/y", "lib/a/b.c"): ["https://gitlab.com/di/y/-/tree/v1.2/lib"],
    ("group/sub/project", "a.c"): ["group/sub/project"],
    ("", "a1.txt"): ["a?.txt"],
    ("di/q", "lib/old/b.c"): ["lib/Old"],
    ("di/q", "tests/data/b.c"): ["tests/data/"],
    ("", "bo/tool/b.c"): ["bo/Tool"],
    ("bo/other", "a.py"): [],
    ("di/q", "lib/older/b.c"): [],
    ("", "annauthor/x/a.py"): [],
    ("", "a.py"): [],
    ("cy/library", "annauthor/a.py"): [],
    ("owner/repo2", "src/b.c"): [],
    ("owner/repo", "lib/src/b.c"): [],
    ("di/x", "lib/src/a.py"): [],
    ("di/x", "lib/setup.cfg"): [],
    ("di/z", "docs/a.md"): [],
    ("di/y", "library/b.c"): [],
    ("", "ab1.txt"): [],
}


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "opt_out.txt"
    path.write_text(LIST)
    return str(path)


def test_every_line_leaves_out_what_it_names(listed):
    step = LicenceStep(LicencesConfig(opt_out=listed))
    met = set()
    rows = []
    for (repository, path), entries in CASES.items():
        rows.clear()
        document = Document("x = 1\n", "code", path, licence="mit", repository=repository)
        result = step(document, lambda kind, row: rows.append((kind, row)))
        if not entries:
            assert isinstance(result, Document), (repository, path)
            continue
        assert isinstance(result, Dropped) and (result.reason, result.value) == (OPTED_OUT, entries[0])
        fits = [("opt_out", {"path": path, "repository": repository, "entry": entry}) for entry in entries]
        assert rows == fits
        met.update(entries)
    assert met == set(OptOut.load(listed).entries)


LAB, HUB = "lab.acme.org", "github.com"
ROWS = {  # of the table in docs/corpus.md: what a line fits, and what it does not, as host, repository, path
    "ann": ([("", "Ann/tool", "src/a.py"), ("", "", "ann")], [("", "", "ann/a.py"), ("", "bo/ann", "a.py")]),
    "hmac.py": (
        [("", "", "hmac.py"), ("", "ann/tool", "hmac.py"), ("", "hmac.py/tool", "a.py")],
        [("", "ann/tool", "src/hmac.py"), ("", "", "hmac.py.txt")],
    ),
    "acme/api": ([("", "acme/api", "a.c"), ("", "", "acme/api/a.c")], [("", "acme/apis", "a.c")]),
    "acme/api.git": ([("", "acme/api", "a.c"), ("", "", "acme/api/a.c")], [("", "acme/apis", "a.c")]),
    "acme/api/docs/": ([("", "acme/api", "docs/a.md"), ("", "", "acme/api/docs/a")], [("", "acme/api", "a")]),
    "core/engine/src/a.py": ([("", "core/engine", "src/a.py")], [("", "core/engine", "src/a.pyi")]),
    "/setup.cfg": ([("", "ann/tool", "setup.cfg"), ("", "", "setup.cfg")], [("", "ann/tool", "a/setup.cfg")]),
    "./src/acme/dis.py": (
        [("", "", "src/acme/dis.py"), ("", "ann/tool", "src/acme/dis.py")],
        [("", "src/acme", "dis.py"), ("", "", "acme/dis.py")],
    ),
    "secret/": ([("", "", "secret/a.c"), ("", "ann/tool", "secret/a.c")], [("", "secret/tool", "a.c")]),
    "core/engin?": (
        [("", "core/engine", "src/a.py"), ("", "", "core/engine/src/a.py")],
        [("", "core/engin", "a.py"), ("", "core/engines", "a.py")],
    ),
    "cor?/engine": ([("", "core/engine", "src/a.py"), (LAB, "core/engine", "a.c")], [("", "core/eng", "a")]),
    "src/*.py": ([("", "", "src/deep/a.py"), ("", "ann/tool", "src/a.py")], [("", "ann/tool", "src/a.pyi")]),
    "core/*": ([("", "core/engine", "a.c"), ("", "", "core/a.c")], [("", "ann/core", "a.c")]),
    "**/generated.js": (
        [("", "", "generated.js"), ("", "ann/tool", "web/generated.js")],
        [("", "", "regenerated.js")],
    ),
    "https://lab.acme.org/core/engine": (
        [(LAB, "core/engine", "a.c"), ("", "core/engine", "a.c"), ("", "", "core/engine/a.c")],
        [(HUB, "core/engine", "a.c"), (LAB, "core/engines", "a.c"), (LAB, "ann/tool", "core/engine/a.c")],
    ),
    "git@lab.acme.org:core/engine.git": (
        [("LAB.acme.org", "core/engine", "a.c"), ("", "core/engine", "a.c")],
        [(HUB, "core/engine", "a.c")],
    ),
    "https://github.com/ann/tool/blob/main/src/a.py": (
        [("ssh.github.com", "ann/tool", "src/a.py"), ("", "ann/tool", "src/a.py")],
        [(LAB, "ann/tool", "src/a.py"), (HUB, "ann/tool", "src/b.py")],
    ),
    "lab.acme.org/core/engine": (
        [(LAB, "core/engine", "a.c"), ("", "core/engine", "a.c"), ("", "", "lab.acme.org/core/engine/a")],
        [(HUB, "core/engine", "a.c"), (LAB, "core/other", "a.c")],
    ),
    "github.com/ann": (
        [(HUB, "ann/tool", "a.c"), ("", "ann/tool", "a.c"), ("hub-of-work", "ann/tool", "a.c")],
        [(LAB, "ann/tool", "a.c"), ("", "", "ann/a.c")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("line", ROWS)
def test_each_kind_of_line_names_what_the_table_says(line):
    left_out = OptOut.parse(line, "list.txt")
    fits, others = ROWS[line]
    for host, repository, path in fits:
        assert left_out.fitting(repository, path, host=host) == [line], (host, repository, path)
    for host, repository, path in others:
        assert left_out.fitting(repository, path, host=host) == [], (host, repository, path)


def test_the_table_of_the_documentation_has_these_rows():
    text = (Path(__file__).parents[3] / "docs" / "corpus.md").read_text()
    table = text.partition("| line | what it names |")[2].partition("\n\n")[0]
    cells = [row.split(" | ") for row in table.splitlines()[2:]]
    assert [line for cell in cells for line in re.findall("`([^`]+)`", cell[0])] == list(ROWS)
    for first, _, example in cells:
        for line in re.findall("`([^`]+)`", first):
            fits = {f"{repository}: {path}" if repository else path for _, repository, path in ROWS[line][0]}
            assert fits & set(re.findall("`([^`]+)`", example)) or line == "ann", line


@pytest.mark.parametrize(
    "line",
    [
        "https://github.com/ann/tool.git/",
        "http://www.github.com/ann/tool/",
        "https://ann:word@github.com/ann/tool?tab=readme#usage",
        "ssh://git@github.com:22/ann/tool.git",
        "git://github.com/ann/tool",
        "https://github.com/ann",
        "https://git.sr.ht/~ann/tool",
        "https://github.com/ann/*",
        "https://github.com/an?/tool/src/branch/main/src",
        "https://gitlab.com/ann/tool/-/raw/v1/src/a.py",
        "www.github.com/ann/tool",
    ],
)
def test_addresses_are_understood_in_all_spellings(line):
    left_out = OptOut.parse(line, "list.txt")
    assert left_out.fitting("ann/tool", "src/a.py") == [line]
    assert left_out.fitting("ann/tool", "src/a.py", host="lab.acme.org") == []


SPELLINGS = [
    "ann/tool",
    " Ann/Tool ",
    "ann/tool/",
    "ann/tool.git",
    "ann/tool@v1.2",
    "ann/tool#readme",
    "ann\\tool",
    "github.com/ann/tool",
    "www.github.com/ann/tool.git",
    "//github.com/ann/tool",
    "https://github.com/ann/tool",
    "https://ann:word@github.com/ann/tool.git/",
    "https://api.github.com/repos/ann/tool",
    "git+https://github.com/ann/tool.git#main",
    "git@github.com:ann/tool.git",
    "github:ann/tool",
    "ssh://git@github.com:22/ann/tool",
    "bo/other, ann/tool",
]


@pytest.mark.parametrize("repository", SPELLINGS)
def test_repositories_of_rows_are_understood_in_all_spellings(repository):
    lines = ["ann", "ann/tool", "https://github.com/ann/tool", "git@github.com:ann/tool.git", "ann/tool/src/"]
    left_out = OptOut.parse("\n".join(lines), "list.txt")
    assert left_out.fitting(repository, "./src//a.py") == lines
    assert left_out.fitting(repository.replace("l", "l-"), "src/a.py") in ([], ["ann"])
    other = OptOut.parse("https://lab.acme.org/ann/tool", "list.txt")  # a host that is said is a host
    assert bool(other.fitting(repository, "src/a.py")) == ("github.com" not in repository)


@pytest.mark.parametrize(
    "path",
    [
        "acme/api/x",
        "./acme/api/x",
        "/acme/api/x",
        "ACME//api/./x",
        "acme/web/../api/x",
        "acme\\api\\x",
        "github.com/acme/api/x",
        "https://github.com/acme/api/blob/main/x",
        "https://raw.githubusercontent.com/acme/api/main/x",
    ],
)
def test_paths_of_rows_are_understood_in_all_spellings(path):
    assert OptOut.parse("acme/api\nacme/web", "list.txt").fitting("", path) == ["acme/api"]


def test_letters_with_marks_are_the_same_however_they_are_made_up():
    assert OptOut.parse("caf\u00e9/*.py", "list.txt").fitting("", "cafe\u0301/a.py") == ["caf\u00e9/*.py"]


def test_rows_of_a_list_are_left_out_whatever_the_column_holds(tmp_path):
    repositories = [*SPELLINGS, ["ann/tool"], ["bo/other", ["ann/tool"]], "bo/other"]
    rows = [{"text": f"x = {i}", "repo": one, "license": "mit"} for i, one in enumerate(repositories)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "list.txt").write_text("ann/tool\n")
    step = LicenceStep(LicencesConfig(opt_out=str(tmp_path / "list.txt")))
    documents = read_source(SourceFilesConfig("code", (str(tmp_path / "a.jsonl"),)), 1_000)
    found = [step(document, lambda kind, row: None) for document in documents]
    assert len(found) == len(rows)
    assert [item.text for item in found if isinstance(item, Document)] == [rows[-1]["text"]]


@pytest.mark.parametrize(("host", "is_kept"), [("lab.acme.org", True), ("github.com", False)])
def test_the_host_of_a_checkout_is_that_of_its_remote(tmp_path, host, is_kept):
    for name in ("objects", "refs"):
        (tmp_path / "engine/.git" / name).mkdir(parents=True)
    (tmp_path / "engine/.git/HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / "engine/.git/config").write_text(f'[remote "origin"]\n\turl = git@{host}:core/engine.git\n')
    (tmp_path / "engine/a.py").write_text("x = 1\n")
    (tmp_path / "list.txt").write_text("https://github.com/core/engine\n")
    step = LicenceStep(LicencesConfig(unknown="keep", opt_out=str(tmp_path / "list.txt")))
    items = read_source(SourceFilesConfig("code", (str(tmp_path / "engine"),)), 1_000)
    (document,) = [item for item in items if isinstance(item, Document)]
    assert (document.repository, document.host) == ("core/engine", host)
    assert isinstance(step(document, lambda kind, row: None), Document) == is_kept


def test_a_path_fits_with_and_without_the_name_of_the_source_folder(listed):
    left_out = OptOut.load(listed)
    assert left_out.fitting("", "api/src/a.py") == []
    assert left_out.fitting("", "api/src/a.py", "api/") == ["src/*.py"]
    assert OptOut.parse("API/src/*.py", "").fitting("", "api/src/a.py", "api/") == ["API/src/*.py"]


@pytest.mark.parametrize("line", ["two words", "own er/name", "-x", "name@host", "/", "//", "./"])
def test_a_line_that_cannot_be_understood_is_an_error_with_its_number(line):
    with pytest.raises(InputError, match=r"list\.txt, line 3, is '" + line.strip()):
        OptOut.parse(f"fine\n\n{line}\n", "list.txt")


def test_a_list_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"licences.opt_out names .*none.txt, which cannot be read"):
        LicenceStep(LicencesConfig(opt_out=str(tmp_path / "none.txt")))
    (tmp_path / "bad.txt").write_bytes(b"ok\n\xff\n")
    with pytest.raises(InputError, match=r"no UTF-8: byte 3"):
        OptOut.load(str(tmp_path / "bad.txt"))


def test_a_long_list_is_looked_up_and_not_gone_through():
    left_out = OptOut.parse("\n".join(f"owner{i}/name{i}" for i in range(20_000)), "list.txt")
    assert left_out.patterns == () and len(left_out.names) == 2 * len(left_out.entries) == 40_000
    assert left_out.fitting("Owner7/name7", "a.py") == ["owner7/name7"]


def test_counts_are_kept_and_lines_that_fit_nothing_are_named(tmp_path):
    (tmp_path / "audit").mkdir()
    counts = [OptOutCount("a.txt", f"line\u2028{i}", i % 2) for i in range(20)] + [
        OptOutCount("b.txt", "x", 3)
    ]
    write_counts(tmp_path, counts)
    assert read_counts(tmp_path) == counts
    (words,) = unmatched_words(counts)
    assert words.startswith("10 of 20 lines of the opt-out list a.txt fit no document: line")
    assert words.endswith("and 5 more, see audit/opt_out.jsonl")
    counts_path(tmp_path).write_text("{")
    with pytest.raises(InputError, match=r"opt_out\.jsonl, line 1 is not JSON"):
        read_counts(tmp_path)


def test_lists_are_named_without_the_folders_they_lay_in(tmp_path):
    sources = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "list.txt").write_text("ann\n")
        licences = LicencesConfig(opt_out=str(tmp_path / folder / "list.txt"))
        sources.append(SourceFilesConfig(folder, ("x",), licences=licences))
    assert [one.path for one in count_opt_outs(sources[:1], [[]])] == ["list.txt"]
    assert [one.path for one in count_opt_outs(sources, [[], []])] == ["a/list.txt", "b/list.txt"]


def test_a_corpus_without_a_list_has_no_counts(tmp_path):
    write_counts(tmp_path, [])
    assert not counts_path(tmp_path).exists() and read_counts(tmp_path) == []


@pytest.mark.timeout(20)
def test_a_line_of_many_wildcards_takes_as_long_as_the_path_is():
    left_out = OptOut.parse("*a" * 12 + "b\n" + "*/" + "*a" * 40 + "*.py\n", "list.txt")
    assert left_out.fitting("", "a" * 5000 + ".c") == []
    assert len(left_out.fitting("", "x/" + "a" * 5000 + ".py")) == 1
