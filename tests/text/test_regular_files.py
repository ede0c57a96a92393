"""Whatever lies beside the sources is opened only if it is a regular file: a named pipe stops nothing."""

import os
from pathlib import Path

import pyarrow.parquet
import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.licences import LicencesConfig
from spanmix.text.pipeline import prepare
from spanmix.text.readers.place import enclosing_checkout
from spanmix.text.regular_files import read_regular

OF_GIT = [".git/HEAD", ".git/config", ".git/commondir", ".git/info/exclude", ".git/info/attributes"]
BESIDE = [".gitignore", ".gitattributes", ".gitmodules", "LICENSE", "COPYING", "LICENSES/MIT.txt"]
BESIDE += ["PKG-INFO", "METADATA", "package.json", "pyproject.toml", "Cargo.toml", "setup.cfg", "REUSE.toml"]
BESIDE += ["copyright", "debian/copyright", ".reuse/dep5", "a.dist-info/RECORD", "a.dist-info/METADATA"]
BESIDE += ["a.dist-info/licenses/LICENSE", "a.egg-info/SOURCES.txt", "a.egg-info/installed-files.txt"]


def make_pipe(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def make_checkout(folder):
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / "src").mkdir()
    (folder / "src" / "a.py").write_text("def add(a, b):\n    return a + b\n" * 9)
    return folder


def test_no_more_is_read_than_asked_for(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    (tmp_path / "link").symlink_to(path)
    assert [read_regular(path, most) for most in (0, 3, 5, 9)] == [b"", b"123", b"12345", b"12345"]
    assert read_regular(str(tmp_path / "link"), 9) == b"12345"
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    Path(odd).write_bytes(b"x")
    assert read_regular(odd, 9) == b"x"


@pytest.mark.timeout(20)
def test_what_is_no_regular_file_is_refused(tmp_path):
    make_pipe(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "link", tmp_path, "/dev/zero", tmp_path / "missing"):
        with pytest.raises(OSError):
            read_regular(path, 9)
    writer = os.open(tmp_path / "pipe", os.O_RDWR)  # somebody writes to it
    os.write(writer, b"text")
    with pytest.raises(OSError, match="no regular file"):
        read_regular(tmp_path / "pipe", 9)
    os.close(writer)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", [".git", *OF_GIT])
def test_a_pipe_of_git_says_nothing(tmp_path, name):
    folder = make_checkout(tmp_path / "project")
    if name == ".git":
        (folder / ".git" / "HEAD").unlink()
        (folder / ".git").rmdir()
    make_pipe(folder / name)
    place = enclosing_checkout(folder / "src")
    if name in (".git", ".git/HEAD"):
        assert place is None
    else:
        assert place.checkout.repository == "project"


@pytest.mark.timeout(60)
def test_pipes_beside_the_sources_stop_no_corpus(tmp_path):
    folders = []
    for number, name in enumerate([*OF_GIT[1:], *BESIDE]):
        folders.append(make_checkout(tmp_path / f"in{number}"))
        make_pipe(folders[-1] / name)
        make_pipe(folders[-1] / "src" / name.rpartition("/")[2])
        (folders[-1] / "src" / f"b{number}.py").write_text(f"x = {number}\n" * 20)
    source = SourceFilesConfig("code", tuple(map(str, folders)), licences=LicencesConfig(unknown="keep"))
    report = prepare(
        CorpusConfig("", (source,), held_out_share=0.0), TokenizerConfig(384, 9), tmp_path / "out"
    )
    table = pyarrow.parquet.read_table(tmp_path / "out" / "code.documents.parquet")
    assert {f"src/b{number}.py" for number in range(len(folders))} <= set(table["path"].to_pylist())
    assert report.sources["code"].dropped.keys() == {"exact copy", "hidden", "unreadable"}
