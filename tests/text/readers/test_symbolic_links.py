"""What a source did not name is not read because a link leads there: links are left out, unless asked for."""

import os
import subprocess

import pytest

from spanmix.config import SourceFilesConfig
from spanmix.text.dropped import Dropped
from spanmix.text.readers.hub import is_link_into_cache
from spanmix.text.readers.source import read_source
from spanmix.types import Document


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def read(*paths, **kwargs):
    """Return the texts that were read, and the reasons of what was dropped by its path."""
    items = list(read_source(SourceFilesConfig("code", tuple(map(str, paths)), **kwargs), 1000))
    dropped = {item.path: item.reason for item in items if isinstance(item, Dropped)}
    return [item.text for item in items if isinstance(item, Document)], dropped


@pytest.fixture
def source(tmp_path):
    """A folder beside one that was not named, with links to all that a link can lead to."""
    write(tmp_path, {"secret/passwd": "root", "secret/other.py": "theirs", "s/a.py": "a", "s/b/c.py": "c"})
    folder = tmp_path / "s"
    links = {
        "users.txt": tmp_path / "secret" / "passwd",
        "beside": tmp_path / "secret",
        "again.py": "a.py",
        "b/loop": "..",
        "b/up": "../..",
        "gone.py": "nowhere",
        "self": "self",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    return folder


LINKS = ("users.txt", "beside/", "again.py", "b/loop/", "b/up/", "gone.py", "self")


def test_links_in_a_folder_are_left_out_one_by_one(source):
    texts, dropped = read(source)
    assert texts == ["a", "c"]
    assert dropped == {f"s/{name}": "symbolic link" for name in LINKS}
    # What `include` does not name is no document; a folder is told of whatever it holds.
    texts, dropped = read(source, include=("*.py",))
    assert texts == ["a", "c"]
    assert dropped == {f"s/{name}": "symbolic link" for name in LINKS if name.endswith(("/", ".py"))}


def test_links_in_a_checkout_are_left_out_as_git_stores_no_more_than_them(source):
    write(source, {".git/HEAD": "ref: refs/heads/main\n", ".gitignore": "again.py\nb/loop/\nb/up\n"})
    texts, dropped = read(source)
    assert texts == ["a", "c"]
    ignored = {"again.py": "ignored by git", "b/up/": "ignored by git"}  # `b/loop/` is a pattern for folders
    assert dropped == dict.fromkeys(LINKS, "symbolic link") | ignored | {".gitignore": "hidden"}


def test_rules_of_git_that_are_links_do_not_hold_as_for_git(tmp_path):
    files = {".git/HEAD": "ref: refs/heads/main\n", ".git/objects/x": "", ".git/refs/x": "", "a.py": "a"}
    files |= {"sub/b.py": "b", "lib/c.py": "c"}
    write(tmp_path / "s", files)
    rules = {".gitignore": "*.py\n", ".gitattributes": "*.py linguist-generated\n"}
    rules |= {".gitmodules": '[submodule "lib"]\n\tpath = lib\n', "exclude": "sub/\n"}
    write(tmp_path / "elsewhere", rules)
    for name in (".gitignore", ".gitattributes", ".gitmodules"):
        (tmp_path / "s" / name).symlink_to(tmp_path / "elsewhere" / name)
    texts, dropped = read(tmp_path / "s")
    assert texts == ["a", "c", "b"]
    assert dropped == dict.fromkeys((".gitignore", ".gitattributes", ".gitmodules"), "hidden")
    listed = subprocess.run(
        ["git", "-C", str(tmp_path / "s"), "ls-files", "--others", "--exclude-standard", "*.py"],
        check=True,
        capture_output=True,
        env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "HOME": os.devnull},
    )
    assert listed.stdout.decode().split() == ["a.py", "lib/c.py", "sub/b.py"]
    (tmp_path / "s" / ".git" / "info").mkdir()  # what lies in .git is the user's own
    (tmp_path / "s" / ".git" / "info" / "exclude").symlink_to(tmp_path / "elsewhere" / "exclude")
    assert read(tmp_path / "s")[0] == ["a", "c"]


def test_follow_links_reads_what_they_lead_to_and_no_folder_twice(source):
    texts, dropped = read(source, follow_links=True)
    assert sorted(texts) == ["a", "a", "c", "root", "root", "theirs"]
    assert dropped == {"s/gone.py": "unreadable", "s/self": "unreadable"}


def test_a_link_that_is_named_is_followed(source, tmp_path):
    (tmp_path / "named").symlink_to(source / "b")
    assert read(tmp_path / "named", include=("*.py",))[0] == ["c"]
    assert read(source / "users.txt") == (["root"], {})
    assert read(source / "beside")[0] == ["theirs", "root"]


def test_data_of_a_checkout_that_ignores_it_is_no_part_of_it_though_it_is_links(tmp_path):
    files = {".git/HEAD": "ref: refs/heads/main\n", ".gitignore": "data/*\n", "data/a.py": "a"}
    write(tmp_path / "p", files)
    (tmp_path / "p" / "data" / "link").symlink_to(tmp_path)
    texts, dropped = read(tmp_path / "p" / "data")
    assert texts == ["a"] and dropped == {"data/link/": "symbolic link"}


def cached(folder):
    """What huggingface_hub keeps of a data set: contents by hash, and links of a revision to them."""
    write(folder, {"blobs/0a": '{"text": "one"}\n', "blobs/0b": '{"text": "two"}\n', "refs/main": "f00"})
    snapshot = folder / "snapshots" / "f00"
    (snapshot / "data").mkdir(parents=True)
    (snapshot / "a.jsonl").symlink_to("../../blobs/0a")
    (snapshot / "data" / "b.jsonl").symlink_to("../../../blobs/0b")
    return snapshot


def test_files_of_the_hubs_cache_are_read_though_they_are_links(tmp_path):
    snapshot = cached(tmp_path / "hub" / "datasets--us--some")
    for named in (snapshot, snapshot.parent):
        assert read(named, format="jsonl") == (["one", "two"], {})
    (snapshot / "evil.jsonl").symlink_to(tmp_path / "hub" / "elsewhere.jsonl")
    (snapshot / "up").symlink_to("../..")
    _, dropped = read(snapshot, format="jsonl")
    assert dropped == {"f00/evil.jsonl": "symbolic link", "f00/up/": "symbolic link"}


def test_a_folder_that_looks_like_the_hubs_cache_does_not_lead_out_of_itself(tmp_path):
    write(tmp_path, {"etc/passwd": "root", "blobs/x": "beside"})
    fake = tmp_path / "repo" / "datasets--a--b"
    (fake / "snapshots" / "r").mkdir(parents=True)
    (fake / "blobs").symlink_to(tmp_path / "etc")
    (fake / "snapshots" / "r" / "f").symlink_to("../../blobs/passwd")
    (tmp_path / "snapshots" / "r").mkdir(parents=True)
    (tmp_path / "snapshots" / "r" / "f").symlink_to("../../blobs/x")
    texts, dropped = read(tmp_path / "repo")
    assert texts == [] and set(dropped.values()) == {"symbolic link"} and len(dropped) == 2
    assert read(tmp_path / "snapshots")[0] == []
    (link,) = (tmp_path / "snapshots" / "r").iterdir()
    assert link.read_text() == "beside" and not is_link_into_cache(str(link))
