"""A source may be a part of a checkout, or one file of it, or data that merely lies there."""

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmix.config import SourceFilesConfig
from spanmix.text.dropped import Dropped
from spanmix.text.readers.source import read_source
from spanmix.types import Document

NO_GIT_OF_THE_USER = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "HOME": os.devnull}
REMOTE = '[remote "origin"]\n\turl = https://example.org/us/project.git\n'


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def checkout(folder, files):
    """The least that git takes for a repository: quicker than to ask it for one."""
    write(folder, {".git/HEAD": "ref: refs/heads/main\n", ".git/config": REMOTE, **files})
    for name in ("objects", "refs"):
        (folder / ".git" / name).mkdir()
    return folder


def read(*paths, **kwargs):
    """Return what was kept and what was dropped, by the paths that are shown."""
    items = list(read_source(SourceFilesConfig("code", tuple(map(str, paths)), **kwargs), 1000))
    kept = {item.path: item for item in items if isinstance(item, Document)}
    return kept, {item.path: item.reason for item in items if isinstance(item, Dropped)}


PROJECT = {
    ".gitignore": "*.log\n/src/made/\n/data/\n/cache/*\n!/cache/.gitkeep\n",
    ".gitattributes": "src/gen/** linguist-generated\nparser.c linguist-vendored\n",
    ".git/info/exclude": "*.tmp\n",
    ".gitmodules": '[submodule "lib"]\n\tpath = src/lib\n\turl = x\n',
    "src/.gitignore": "!kept.log\n",
    "src/a.py": "x",
    "src/kept.log": "x",
    "src/b.log": "x",
    "src/c.tmp": "x",
    "src/made/a.py": "x",
    "src/gen/a.py": "x",
    "src/deep/parser.c": "x",
    "src/lib/a.py": "x",
    "src/.hidden/a.py": "x",
    "data/a.txt": "x",
    "data/b.log": "x",
    "data/deep/c.txt": "x",
    "cache/.gitkeep": "",
    "cache/a.txt": "x",
    "other.py": "x",
}


def test_a_folder_below_the_root_is_read_with_the_rules_and_the_name_of_its_repository(tmp_path):
    project = checkout(tmp_path / "project", PROJECT)
    kept, dropped = read(project / "src")
    assert {path: item.repository for path, item in kept.items()} == {
        "src/a.py": "us/project",
        "src/kept.log": "us/project",
    }
    assert dropped == {
        "src/.gitignore": "hidden",
        "src/.hidden/": "hidden",
        "src/b.log": "ignored by git",
        "src/c.tmp": "ignored by git",
        "src/deep/parser.c": "linguist-vendored",
        "src/gen/a.py": "linguist-generated",
        "src/lib/": "git submodule",
        "src/made/": "ignored by git",
    }
    # Whichever way it is named, and from wherever.
    link = tmp_path / "link"
    link.symlink_to(project / "src")
    for other in (link, project / "src" / ".." / "src", Path(os.path.relpath(project / "src"))):
        assert (set(read(other)[0]), read(other)[1]) == (set(kept), dropped)
    assert set(read(project / "src" / "deep")[1]) == {"src/deep/parser.c"}
    kept, dropped = read(project / "src", git_rules=False)
    assert {item.repository for item in kept.values()} == {""} and "src/b.log" in kept
    assert set(dropped.values()) == {"hidden"}


@pytest.mark.parametrize("folder", ["data", "data/deep", "cache"])
def test_data_that_its_project_ignores_as_a_whole_is_no_part_of_it(tmp_path, folder):
    project = checkout(tmp_path / "project", PROJECT)
    kept, dropped = read(project / folder)
    expected = {path for path in PROJECT if path.startswith(f"{folder}/") and "/." not in path}
    name = folder.rpartition("/")[2]
    assert set(kept) == {path.replace(folder, name, 1) for path in expected}
    assert {item.repository for item in kept.values()} == {""}
    assert set(dropped.values()) <= {"hidden"}
    # A part of it alone is left out if that is all that is named.
    write(project, {".gitignore": "*.log\n"})
    assert set(read(project / "data")[0]) == {"data/a.txt", "data/deep/c.txt"}


def test_what_is_kept_of_a_part_of_a_checkout_is_what_git_lists_of_it(tmp_path_factory):
    met = Counter()
    names = st.sampled_from(["a", "b", "a.py", "b.log", "data"])
    line = st.builds(
        lambda negated, start, parts, end: negated + start + "/".join(parts) + end,
        st.sampled_from(["", "", "", "!"]),
        st.sampled_from(["", "", "/"]),
        st.lists(st.sampled_from(["a", "b", "*", "*.log", "data", "**"]), min_size=1, max_size=3),
        st.sampled_from(["", "/", "/*"]),
    )
    rules = st.lists(line, max_size=4).map("\n".join)
    tree = st.lists(st.lists(names, min_size=2, max_size=4).map("/".join), min_size=4, max_size=12)

    @settings(max_examples=50)
    @given(tree, rules, rules, rules)
    def check(tree, top, nested, exclude):
        folders = {path[:i] for path in tree for i, c in enumerate(path) if c == "/"}
        paths = sorted(set(tree) - folders)
        project = checkout(tmp_path_factory.mktemp("project"), dict.fromkeys(paths, "x"))
        root = paths[0].partition("/")[0]
        write(project, {".gitignore": top, f"{root}/.gitignore": nested, ".git/info/exclude": exclude})
        command = ["git", "-C", str(project), "ls-files", "--others", "--exclude-standard", "-z", root]
        found = subprocess.run(command, check=True, capture_output=True, env=os.environ | NO_GIT_OF_THE_USER)
        listed = {name for name in found.stdout.decode().split("\0") if name and "/." not in name}
        kept, _ = read(project / root)
        mine = {path for path in paths if path.startswith(f"{root}/")}
        assert set(kept) == (listed or mine), (top, nested, exclude)
        repositories = {item.repository for item in kept.values()}
        assert repositories == ({"us/project"} if listed else {""})
        met["all"] += listed == mine
        met["some"] += bool(listed) and listed != mine
        met["data"] += not listed
        met["by the rules above"] += bool(top) and bool(listed) and listed != mine and not nested

    check()
    assert len(met) == 4 and min(met.values()) >= 3, met


def test_a_file_that_is_named_by_itself_has_its_repository(tmp_path):
    project = checkout(tmp_path / "project", PROJECT)
    kept, dropped = read(
        project / "src" / "a.py", project / "src" / "deep" / "parser.c", project / "data" / "a.txt"
    )
    assert {path: item.repository for path, item in kept.items()} == {
        "src/a.py": "us/project",
        "src/deep/parser.c": "us/project",  # it was asked for: no attribute drops it
        "a.txt": "",  # data that git ignores
    }
    assert dropped == {}


def test_a_checkout_inside_another_one_has_its_own_rules_alone(tmp_path):
    project = checkout(tmp_path / "project", PROJECT)
    write(project, {"src/own/.git/HEAD": "ref: x", "src/own/deep/b.log": "x"})
    kept, _ = read(project / "src" / "own" / "deep")
    assert {path: item.repository for path, item in kept.items()} == {"deep/b.log": "own"}


def test_installed_packages_below_a_project_are_not_of_the_project(tmp_path):
    """Its rules (``lib/``, ``build/``) were not written for them."""
    rules = {".gitignore": "lib/\nbuild/\n.venv/\n"}
    project = checkout(tmp_path / "project", {**rules, ".venv/x/site-packages/numpy/lib/a.py": "x"})
    kept, _ = read(project / ".venv" / "x" / "site-packages")
    assert {path: item.repository for path, item in kept.items()} == {"site-packages/numpy/lib/a.py": ""}
