"""Readers take text exactly as it is and drop the rest with a reason; only broken JSONL stops them."""

import json
import os

import pytest

from spanmix.config import SourceFilesConfig
from spanmix.errors import InputError
from spanmix.text.dropped import Dropped
from spanmix.text.readers.source import read_source
from spanmix.types import Document


def read(*paths, **kwargs):
    limit = kwargs.pop("max_document_bytes", 1000)
    return list(read_source(SourceFilesConfig("code", tuple(map(str, paths)), **kwargs), limit))


def test_bad_content_is_dropped_with_a_reason(tmp_path):
    contents = {
        "a_utf16.py": "x = 1".encode("utf-16"),
        "b_latin1.py": b"# caf\xe9",
        "c_nul.py": b"x\0y",
        "d_empty.py": b"",
        "e_blank.py": b" \n\t\n",
        "f_long.py": b"x" * 1001,
        "g_surrogate.py": b"\xed\xa0\x80",
        "h_good.py": b"\xef\xbb\xbfx = '\xc3\xa9'\r\n",
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "i_gone.py").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "j_pipe.py")
    *dropped, last, gone, pipe = read(tmp_path, follow_links=True)
    reasons = [
        "binary (NUL byte)",
        "not UTF-8",
        "binary (NUL byte)",
        "empty",
        "empty",
        "longer than 1,000 bytes",
        "not UTF-8",
    ]
    expected = [
        Dropped(f"{tmp_path.name}/{name}", reason) for name, reason in zip(contents, reasons, strict=False)
    ]
    assert dropped == expected
    path = f"{tmp_path.name}/h_good.py"
    assert last == Document("\ufeffx = 'é'\r\n", "code", path, "python", "")
    assert (last.file, last.root) == (str(tmp_path / "h_good.py"), f"{tmp_path.name}/")
    assert [gone.reason, pipe.reason] == ["unreadable", "unreadable"]


def test_walk_is_sorted_counts_hidden_files_and_skips_loops(tmp_path):
    names = (
        "b/z.py",
        "b/a.rs",
        "a.py",
        ".git/x.py",
        "b/.hidden.py",
        "c/d/e.txt",
        "b.py",
        ".e/f/g.py",
        ".env",
    )
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "c" / "loop").symlink_to(tmp_path)
    (tmp_path / "c" / "again").symlink_to(tmp_path / "b")
    items = read(tmp_path, follow_links=True)
    kept = [item for item in items if isinstance(item, Document)]
    found = [item.path.removeprefix(f"{tmp_path.name}/") for item in kept]
    assert found == ["a.py", "b/a.rs", "b/z.py", "b.py", "c/d/e.txt"]
    assert [item.language for item in kept] == ["python", "rust", "python", "python", "text"]
    dropped = [item for item in items if isinstance(item, Dropped)]
    assert [(item.path.removeprefix(f"{tmp_path.name}/"), item.reason) for item in dropped] == [
        (".e/", "hidden"),
        (".env", "hidden"),
        ("b/.hidden.py", "hidden"),
    ]
    # What `include` does not name is no file of the source, hidden or not.
    items = read(tmp_path, include=("*.py",), follow_links=True)
    hidden = [item.path for item in items if isinstance(item, Dropped)]
    assert hidden == [f"{tmp_path.name}/.e/", f"{tmp_path.name}/b/.hidden.py"]


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        (("*.py",), ["a.py", "b/c/z.py"]),
        (("**/*.py",), ["a.py", "b/c/z.py"]),
        (("b/*",), ["b/c/x.rs", "b/c/z.py"]),
        (("*.rs", "a.*"), ["a.py", "b/c/x.rs"]),
        (("*.go",), []),
    ],
)
def test_include(tmp_path, include, expected):
    for name in ("a.py", "b/c/z.py", "b/c/x.rs"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert [item.text for item in read(tmp_path, include=include)] == expected


def test_single_files_and_missing_paths(tmp_path):
    path = tmp_path / "notes"
    path.write_text("hello")
    assert read(path, include=("*.py",))[0].text == "hello"
    with pytest.raises(InputError, match=r"source code: .*nowhere does not exist"):
        read(tmp_path / "nowhere")


def test_a_file_name_that_is_not_utf8(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.py")).write_text("x")
    (document,) = read(tmp_path)
    document.path.encode()
    assert document.path.endswith("/\\udcff.py")


def test_jsonl(tmp_path):
    path = tmp_path / "data.jsonl"
    records = [
        {"code": "x = 1", "path": "p.py", "language": "python", "license": "MIT"},
        {"code": "y\u2028z"},
        {"code": ""},
        {"code": "a\0"},
        {"code": "\ud800"},
        {"code": "x" * 1001},
    ]
    path.write_text(
        "\n".join(map(json.dumps, records[:3])) + "\n\n" + "\n".join(map(json.dumps, records[3:]))
    )
    found = read(path, text_field="code")
    assert found[0] == Document("x = 1", "code", "p.py", "python", "MIT")
    assert found[1] == Document("y\u2028z", "code", "data.jsonl:2")
    reasons = [
        ("data.jsonl:3", "empty"),
        ("data.jsonl:5", "binary (NUL byte)"),
        ("data.jsonl:6", "not UTF-8"),
    ]
    assert found[2:] == [Dropped(*item) for item in [*reasons, ("data.jsonl:7", "longer than 1,000 bytes")]]
    # Inside a folder it is a file like any other.
    assert read(tmp_path, max_document_bytes=10_000)[0].text == path.read_text()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "a"', r":2 is not valid JSON"),
        (b"\xff", r":2 is not valid JSON"),
        (b"[" * 100_000, r":2 is not valid JSON"),
        (b'["a"]', r":2 has no text in the field 'text'; it holds list"),
        (b'{"content": "a", "n": 1}', r":2 has no text in the field 'text'; it holds the fields content, n"),
        (b'{"text": 3}', r"'text'; it holds a number there\. Correct it, or set on_error: drop to pass"),
        (b'{"text": null}', r":2 has no text in the field 'text'; it holds null there"),
        (b'{"text": [true]}', r":2 has no text in the field 'text'; it holds a list there"),
    ],
)
def test_broken_jsonl_names_the_line(tmp_path, line, message):
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"text": "a"}\n' + line + b"\n")
    with pytest.raises(InputError, match=message):
        read(path)
