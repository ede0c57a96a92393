"""Files that only stand for content which lies elsewhere are no documents, and are counted."""

import io
import subprocess
import tarfile

import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.errors import InputError
from spanmix.text.dropped import Dropped
from spanmix.text.pipeline import prepare
from spanmix.text.readers.source import read_source
from spanmix.types import Document

HEAD = b"version https://git-lfs.github.com/spec/v1\n"
REST = (
    b"oid sha256:" + b"4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393" + b"\nsize 12345\n"
)
POINTERS = (
    HEAD + REST,
    (HEAD + REST).replace(b"\n", b"\r\n"),
    (HEAD + REST).replace(b"git-lfs", b"hawser"),
    HEAD + b"ext-0-foo sha256:" + b"0" * 64 + b"\n" + REST,
    (HEAD + REST).rstrip(),
)
TEXTS = (
    HEAD,
    REST,
    HEAD + b"# what a pointer begins with\n" + REST,
    b"A pointer:\n\n" + HEAD + REST,
    HEAD + REST + b"and more\n",
    HEAD + REST + b"x" * 1000,
    HEAD + REST.replace(b"oid sha256:4d", b"oid sha256:zz"),
)


def read(*paths, **kwargs):
    items = list(read_source(SourceFilesConfig("code", tuple(map(str, paths)), **kwargs), 10_000))
    kept = {item.path.rpartition("/")[2] for item in items if isinstance(item, Document)}
    return kept, [(item.path, item.reason) for item in items if isinstance(item, Dropped)]


def test_a_pointer_of_git_lfs_is_no_text(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    for number, data in enumerate(POINTERS):
        (folder / f"pointer{number}.bin").write_bytes(data)
    for number, data in enumerate(TEXTS):
        (folder / f"text{number}.md").write_bytes(data)
    kept, dropped = read(folder)
    assert kept == {f"text{number}.md" for number in range(len(TEXTS))}
    assert dropped == [(f"work/pointer{number}.bin", "Git LFS pointer") for number in range(len(POINTERS))]


def test_a_pointer_in_an_archive_is_no_text(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, data in (("a.bin", POINTERS[0]), ("b.md", TEXTS[3])):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    assert read(tmp_path / "a.tar") == ({"b.md"}, [("a.tar/a.bin", "Git LFS pointer")])


@pytest.mark.parametrize("is_packed", [False, True])
def test_what_a_bare_repository_keeps_of_its_own_is_no_text(tmp_path, is_packed):
    work, mirrors = tmp_path / "work", tmp_path / "mirrors"
    mirrors.mkdir()
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", "init", "-q", str(work)], check=True)
    (work / "a.py").write_text("x = 1\n")
    subprocess.run(["git", "-C", str(work), "add", "."], check=True)
    subprocess.run(["git", "-C", str(work), *who, "commit", "-q", "-m", "one"], check=True)
    bare = mirrors / "tool.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True)
    if is_packed:
        subprocess.run(["git", "-C", str(bare), "gc", "-q"], check=True)
    (mirrors / "b.py").write_text("y = 1\n")
    assert read(bare) == (set(), [("tool.git/", "bare git repository")])
    assert read(mirrors) == ({"b.py"}, [("mirrors/tool.git/", "bare git repository")])
    assert "HEAD" in read(bare, git_rules=False)[0]  # then git is asked about nothing


def test_a_folder_that_has_some_of_the_names_is_read(tmp_path):
    for names in (
        ("HEAD", "objects/a", "refs"),
        ("HEAD/a", "objects/a", "refs/a", "config"),
        ("HEAD", "config"),
    ):
        folder = tmp_path / str(len(names)) / names[0].replace("/", "-")
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("text\n")
        assert read(folder)[0] == {name.rpartition("/")[2] for name in names}


@pytest.mark.parametrize(
    ("files", "named", "way"),
    [
        (
            {"a.git/HEAD": b"x", "a.git/config": b"", "a.git/objects/a": b"", "a.git/refs/a": b""},
            "a.git",
            "clone",
        ),
        ({"a/big.bin": POINTERS[0]}, "a", "git lfs pull$"),
        ({"a.zip": b"PK\x03\x04\0\0"}, "a.zip", "unpack the archive and name the folder, or pack it as .tar"),
    ],
)
def test_a_source_of_nothing_else_says_what_to_do(tmp_path, files, named, way):
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    source = SourceFilesConfig("code", (str(tmp_path / named),))
    with pytest.raises(InputError, match=f"has no text: dropped 1 .*; .*{way}"):
        prepare(CorpusConfig("", (source,)), TokenizerConfig(512), tmp_path / "out")
    assert not (tmp_path / "out").exists()
