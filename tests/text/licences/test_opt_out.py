"""An opt-out list leaves out what its lines name, wherever it lies on this machine, and counts each line."""

import pytest

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


def test_a_path_fits_with_and_without_the_name_of_the_source_folder(listed):
    left_out = OptOut.load(listed)
    assert left_out.fitting("", "api/src/a.py") == []
    assert left_out.fitting("", "api/src/a.py", "api/") == ["src/*.py"]
    assert OptOut.parse("API/src/*.py", "").fitting("", "api/src/a.py", "api/") == ["API/src/*.py"]


@pytest.mark.parametrize("line", ["two words", "own er/name", "a//b", "-x", "name@host", "/"])
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
    assert left_out.patterns == () and len(left_out.names) == len(left_out.entries) == 20_000
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


def test_a_corpus_without_a_list_has_no_counts(tmp_path):
    write_counts(tmp_path, [])
    assert not counts_path(tmp_path).exists() and read_counts(tmp_path) == []
