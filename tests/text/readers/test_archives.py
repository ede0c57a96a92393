"""Archives give a document a file, or WebDataset's samples with what is known of them."""

import io
import json
import os
import tarfile

import pyarrow as pa
import pytest

from spanmix.config import SourceFilesConfig
from spanmix.errors import InputError
from spanmix.text.readers.source import read_source
from spanmix.types import Document


def write_tar(path, files, links=()):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            data = content if isinstance(content, bytes) else content.encode()
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    data = buffer.getvalue()
    if path.suffix in (".gz", ".zst"):
        data = pa.compress(data, {".gz": "gzip", ".zst": "zstd"}[path.suffix], asbytes=True)
    path.write_bytes(data)
    return path


def read(*paths, **kwargs):
    return list(read_source(SourceFilesConfig("s", tuple(map(str, paths)), **kwargs), 1000))


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.zst"])
def test_an_archive_of_files(tmp_path, name):
    files = [
        ("./p/a.py", "x = 1\r\n"),
        ("p/.git/config", "hidden"),
        ("p/long.txt", "x" * 1001),
        ("p/.idea/a.xml", "hidden"),
        ("p/.idea/.b/c.xml", "hidden"),
        ("p/.env", "hidden"),
        ("p/bad.txt", b"\xff"),
        ("p/zero", b"\0"),
        ("p/" + "é" * 120 + ".rs", "fn main() {}"),
        ("p/empty.py", ""),
        ("p/odd.ipynb", "{"),
        ("p/package.json", '{"license": "MIT"}'),
        ("p/package.js", "let x;"),
    ]
    path = write_tar(tmp_path / name, files, links=[("p/link.py", "a.py"), ("p/out", "/etc/passwd")])
    found = read(path)
    names = [name.removeprefix("./") for name, _ in files if ".git" not in name]
    names[names.index("p/.idea/a.xml") : names.index("p/bad.txt")] = ["p/.idea/", "p/.env"]
    names += ["p/link.py", "p/out"]
    assert [item.path for item in found] == [f"{path.name}/{name}" for name in names]
    kept = [(item.text, item.language, item.licence) for item in found if isinstance(item, Document)]
    assert kept == [
        ("x = 1\r\n", "python", ""),
        ("fn main() {}", "rust", ""),
        ('{"license": "MIT"}', "json", ""),
        ("let x;", "javascript", ""),
    ]
    reasons = [item.reason for item in found if not isinstance(item, Document)]
    assert reasons == [
        "longer than 1,000 bytes",
        "hidden",
        "hidden",
        "not UTF-8",
        "binary (NUL byte)",
        "empty",
        "malformed notebook",
        "symbolic link",
        "symbolic link",
    ]
    # A folder of archives alone, whose name stands in front.
    assert [item.path for item in read(tmp_path)] == [f"{tmp_path.name}/{item.path}" for item in found]


def test_what_is_no_file_of_an_archive_is_counted(tmp_path):
    for folder in ("d", "d/.hidden"):
        (tmp_path / folder).mkdir()
    (tmp_path / "d/a.py").write_text("x = 1\n")
    for name in ("d/zz.py", "d/.hidden/b.py"):
        (tmp_path / name).hardlink_to(tmp_path / "d/a.py")
    os.mkfifo(tmp_path / "d/pipe")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("d/a.py", "d/zz.py", "d/pipe", "d/.hidden"):
            archive.add(tmp_path / name, name)
    found = read(tmp_path / "a.tar")
    assert [item.text for item in found if isinstance(item, Document)] == ["x = 1\n"]
    dropped = {item.path: item.reason for item in found if not isinstance(item, Document)}
    assert dropped == {
        "a.tar/d/zz.py": "hard link",
        "a.tar/d/pipe": "unreadable",
        "a.tar/d/.hidden/": "hidden",
    }


def test_samples_of_a_web_data_set(tmp_path):
    about = {"path": "lib/x.go", "repo_name": "us/x", "licenses": ["MIT"], "stars": 5}
    files = [
        ("000.txt", "package x"),
        ("000.json", json.dumps(about)),
        ("001.json", json.dumps({"text": "alone", "lang": "Rust"})),
        ("002.json", "{"),
        ("002.py", "y = 1"),
        ("003.a.txt", "one"),
        ("003.b.txt", "two"),
        ("003.jpg", b"\0\1"),
        ("d/003.txt", "z" * 1001),
        ("d/003.json", "{}"),
    ]
    path = write_tar(tmp_path / "a.tar", files)
    found = read(path, on_error="drop")
    expected = [
        Document("package x", "s", "lib/x.go", "go", "MIT", 0, "us/x", 5),
        Document("alone", "s", f"{path.name}/001.json", "rust"),
        "invalid JSON",
        Document("y = 1", "s", f"{path.name}/002.py", "python"),
        Document("one", "s", f"{path.name}/003.a.txt", "text"),
        Document("two", "s", f"{path.name}/003.b.txt", "text"),
        "binary (NUL byte)",
        "longer than 1,000 bytes",
    ]
    assert [item if isinstance(item, Document) else item.reason for item in found] == expected
    with pytest.raises(InputError, match=r"a\.tar/002\.json is not valid JSON"):
        read(path)


def test_archives_have_no_prompts(tmp_path):
    path = write_tar(tmp_path / "a.tar", [("a.py", "x")])
    with pytest.raises(InputError, match=r"a\.tar is no \.jsonl file"):
        read(path, prompt_field="q")
