"""A git checkout is read as git itself would list it; what is left out is counted."""

import os
import subprocess
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from spanmix.config import SourceFilesConfig
from spanmix.text.dropped import Dropped
from spanmix.text.readers.git_checkout import host_of, open_checkout, repository_of
from spanmix.text.readers.git_patterns import compile_pattern
from spanmix.text.readers.source import read_source
from spanmix.types import Document

NO_GIT_OF_THE_USER = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "HOME": os.devnull}


def git(folder, *arguments, **kwargs):
    command = ["git", "-C", str(folder), *arguments]
    environment = os.environ | NO_GIT_OF_THE_USER
    return subprocess.run(command, check=True, capture_output=True, env=environment, **kwargs).stdout.decode()


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def read(folder, *more, **kwargs):
    """Return documents by their paths below the folder, and the reasons of what was dropped, not hidden."""
    paths = tuple(map(str, (folder, *more)))
    items = list(read_source(SourceFilesConfig("code", paths, **kwargs), 1000))
    kept = {below(folder, item): item for item in items if isinstance(item, Document)}
    return kept, {
        below(folder, item): item.reason
        for item in items
        if isinstance(item, Dropped) and item.reason != "hidden"
    }


def below(folder, item):
    return item.file.removeprefix(f"{folder}/") + "/" * (item.path.endswith("/") and item.file != str(folder))


def empty_checkout(folder):
    """The least that git takes for a repository: quicker than to ask it for one."""
    write(folder, {".git/HEAD": "ref: refs/heads/main\n"})
    for name in ("objects", "refs"):
        (folder / ".git" / name).mkdir()
    return folder


NAMES = ["a", "b", "ab", "a.py", "b.txt", "build", "x y", "#c", "!d", "[e]", "é"]
NAME = st.sampled_from(NAMES)
TREE = st.lists(st.lists(NAME, min_size=1, max_size=4).map("/".join), min_size=3, max_size=14)
GLOB = st.sampled_from(
    [
        "*",
        "a*",
        "*.py",
        "?",
        "a?",
        "[ab]",
        "[!a]",
        "a",
        "b",
        "build",
        "*b*",
        "x y",
        r"\#c",
        r"\!d",
        "**",
        "*a*b*",
    ]
)
LINE = st.builds(
    lambda negated, start, globs, end: negated + start + "/".join(globs) + end,
    st.sampled_from(["", "", "", "!"]),
    st.sampled_from(["", "", "/", "**/"]),
    st.lists(GLOB, min_size=1, max_size=3),
    st.sampled_from(["", "", "/", "/**", " ", "/*"]),
)
RULES = st.lists(LINE, max_size=6).map("\n".join)


def unclashed(paths):
    """Leave out files that would lie where a folder has to be."""
    folders = {path[:i] for path in paths for i, c in enumerate(path) if c == "/"}
    return sorted(set(paths) - folders)


def test_what_is_ignored_is_what_git_ignores(tmp_path_factory):
    met = Counter()

    @settings(max_examples=60)
    @given(
        TREE, RULES, st.dictionaries(st.sampled_from(["a", "b", "build", "a/b"]), RULES, max_size=2), RULES
    )
    def check(tree, top, nested, exclude):
        folder = empty_checkout(tmp_path_factory.mktemp("checkout"))
        paths = unclashed([*tree, *(f"{name}/a" for name in nested)])
        write(folder, dict.fromkeys(paths, "x\n"))
        write(folder, {".gitignore": top, ".git/info/exclude": exclude})
        write(
            folder,
            {f"{name}/.gitignore": rules for name, rules in nested.items() if (folder / name).is_dir()},
        )
        listed = git(folder, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
        expected = {name for name in listed if name and not name.endswith(".gitignore")}
        kept, dropped = read(folder)
        assert set(kept) == expected, (top, nested, exclude)
        for path in set(paths) - expected:  # each is counted, or a folder above it is
            assert any(path == name or (name.endswith("/") and path.startswith(name)) for name in dropped)
        met["ignored"] += bool(dropped)
        met["kept"] += bool(kept)
        met["a folder"] += any(name.endswith("/") for name in dropped)
        met["taken back"] += "!" in top and bool(kept)
        met["nested"] += bool(nested)

    check()
    assert len(met) == 5 and min(met.values()) >= 10, met


def test_attributes_are_those_of_git(tmp_path_factory):
    met = Counter()
    settings_of_one = ["-linguist-{}", "linguist-{}", "linguist-{}", "linguist-{}=true", "linguist-{}=1"]
    settings_of_one += ["!linguist-{}", "linguist-{}=false", "other-{}"]
    kind = st.sampled_from(["generated", "vendored"])
    word = st.builds(lambda setting, name: setting.format(name), st.sampled_from(settings_of_one), kind)
    line = st.builds(
        lambda glob, words: " ".join([glob, *words]), LINE, st.lists(word, min_size=1, max_size=2)
    )
    lines = st.lists(line.filter(lambda text: "x y" not in text), min_size=1, max_size=5).map("\n".join)

    @settings(max_examples=60)
    @given(TREE, lines, lines)
    def check(tree, top, nested):
        folder = empty_checkout(tmp_path_factory.mktemp("checkout"))
        paths = unclashed([*tree, "a/b/a.py"])
        write(folder, dict.fromkeys(paths, "x\n") | {".gitattributes": top, "a/.gitattributes": nested})
        names = ("linguist-generated", "linguist-vendored")
        answers = git(folder, "check-attr", "-z", *names, "--", *paths).split("\0")[:-1]
        expected = {}
        for path, name, value in zip(answers[::3], answers[1::3], answers[2::3], strict=True):
            if value in ("set", "true", "1"):
                expected.setdefault(path, name)
        _, dropped = read(folder)
        assert dropped == expected, (top, nested)
        met["generated"] += "linguist-generated" in expected.values()
        met["vendored"] += "linguist-vendored" in expected.values()
        met["none"] += not expected

    check()
    assert len(met) == 3 and min(met.values()) >= 5, met


def test_a_submodule_is_left_out_unless_it_is_wanted(tmp_path):
    library = tmp_path / "library"
    checkout = tmp_path / "checkout"
    for folder in (library, checkout):
        folder.mkdir()
        git(folder, "init", "-q")
        write(folder, {"own.py": "x = 1\n"})
    git(library, "config", "remote.origin.url", "git@example.org:them/library.git")
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    git(library, "add", ".")
    git(library, *author, "commit", "-q", "-m", "one")
    git(checkout, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "deps/lib")
    git(checkout, "config", "remote.origin.url", "https://user:secret@example.org/us/project.git")
    kept, dropped = read(checkout)
    assert {path: item.repository for path, item in kept.items()} == {"own.py": "us/project"}
    assert dropped == {"deps/lib/": "git submodule"}
    kept, dropped = read(checkout, submodules=True)
    # Its remote is a folder here, which has no owner; so the name is its folder's.
    assert {path: item.repository for path, item in kept.items()} == {
        "own.py": "us/project",
        "deps/lib/own.py": "lib",
    }
    assert dropped == {}
    # One that .gitmodules names and that has a .git of its own, as in old clones.
    old = tmp_path / "old"
    write(
        old,
        {
            ".git/HEAD": "ref: x",
            ".gitmodules": '[submodule "s"]\n\tpath = s\n',
            "s/.git/HEAD": "",
            "s/a.py": "x",
        },
    )
    assert read(old) == ({}, {"s/": "git submodule"})


def test_each_checkout_below_a_folder_has_its_own_rules(tmp_path):
    write(
        tmp_path,
        {
            "one/.git/HEAD": "ref: refs/heads/main",
            "one/.git/config": '[core]\n\tbare = false\n[remote "up"]\n\turl = https://example.org/up/one\n'
            '[remote "origin"]\n\turl = "ssh://git@example.org:22/us/one.git" \n',
            "one/.gitignore": "*.log\n",
            "one/a.log": "x",
            "one/a.py": "x",
            "one/deep/.git": "gitdir: ../.git/modules/deep\n",
            "two/.git/HEAD": "ref: refs/heads/main",
            "two/a.log": "x",
            "plain/.gitignore": "*.log\n",
            "plain/a.log": "x",
        },
    )
    kept, dropped = read(tmp_path)
    assert {path: item.repository for path, item in kept.items()} == {
        "one/a.py": "us/one",
        "plain/a.log": "",
        "two/a.log": "two",
    }
    assert dropped == {"one/a.log": "ignored by git"}
    kept, dropped = read(tmp_path, git_rules=False)
    assert set(kept) == {"one/a.log", "one/a.py", "plain/a.log", "two/a.log"} and not dropped
    assert {item.repository for item in kept.values()} == {""}


def test_a_worktree_is_a_checkout_with_the_rules_of_its_repository(tmp_path):
    main = tmp_path / "main"
    main.mkdir()
    git(main, "init", "-q")
    write(main, {"a.py": "x", ".git/info/exclude": "*.tmp\n"})
    git(main, "config", "remote.origin.url", "https://example.org/us/main.git")
    git(main, "add", ".")
    git(main, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "-m", "one")
    git(main, "worktree", "add", "-q", str(tmp_path / "other"), "-b", "other")
    write(tmp_path / "other", {"b.tmp": "x"})
    kept, dropped = read(tmp_path / "other")
    assert {path: item.repository for path, item in kept.items()} == {"a.py": "us/main"}
    assert dropped == {"b.tmp": "ignored by git"}


def test_what_is_no_repository_is_a_plain_folder(tmp_path):
    for number, content in enumerate(("gitdir: nowhere", "", "\xff", "gitdir: \0")):
        folder = tmp_path / str(number)
        write(folder, {".git": content, ".gitignore": "*", "a": "x"})
        assert open_checkout(folder) is None
        assert set(read(folder)[0]) == {"a"}


def test_addresses_of_remotes():
    for url, expected in {
        "https://github.com/owner/name.git": "owner/name",
        "https://token@github.com/owner/name/": "owner/name",
        "git@github.com:owner/name.git": "owner/name",
        "ssh://git@host.example:2222/owner/name.git": "owner/name",
        "git://host/owner/name": "owner/name",
        "https://gitlab.com/group/sub/name.git": "group/sub/name",
        "../name.git": "",
        "/srv/name.git": "",
        "file:///srv/name.git": "",
        "": "",
    }.items():
        assert repository_of(url) == expected, url


def test_a_folder_of_another_machine_is_no_name():
    folders = """host:/home/bob/x bob@host:/home/bob/x.git host:/x git@host:/srv/git/x.git host:/c/Users/bob/x
    ssh://bob@nas/home/bob/x ssh://nas/export/home/bob/x ssh://nas/home/bob ssh://nas/volume1/bob/x
    ssh://nas/~/x ssh://nas/~bob/x nas:~bob/x nas:~/x nas:../bob/x nas:home/bob/x git://nas/srv/git/x
    ssh://gitlab.example.org/home/bob/x git@gitlab.example.org:/srv/bob/x https://nas/../../home/x"""
    for url in folders.split():
        assert repository_of(url) == "", url
    for url, expected in {
        "git@github.com:/owner/name.git": "owner/name",
        "ssh://git@ssh.github.com:443/owner/name.git": "owner/name",
        "git@gitlab.example.org:/group/name.git": "group/name",
        "github-at-work:/owner/name": "owner/name",
        "git@git.sr.ht:~owner/name": "owner/name",
        "https://git.example.org/data/name": "data/name",
        "https://github.com/owner/home": "owner/home",
        "https://github.com/home/assistant": "home/assistant",
        "host:name": "name",
    }.items():
        assert repository_of(url) == expected, url


def test_no_part_of_a_secret_becomes_a_name():
    """A password may hold any characters, and whoever wrote the address may not have escaped them."""
    met = Counter()
    secret = st.text(st.sampled_from("SECRET:@/;?#%&=+ "), max_size=5).map(lambda text: f"SECRET{text}")
    forms = ["https://user:{}@host/o/n", "https://{}@host/o/n", "https://host/oauth2:{}@/o/n"]
    forms += ["user:{}@host:o/n", "https://user:1/{}@host/o/n"]
    forms += [f"https://host/o/n{sign}password={{}}" for sign in ";?#&"]
    forms += ["https://host/o/n.git;a=1?b={}#c", "ssh://git:{}@host:22/o/n", "git@host:o/n?token={}"]

    @given(st.sampled_from(forms), secret)
    def check(form, secret):
        found = repository_of(form.format(secret))
        assert found in ("", "o/n"), (form, secret)
        assert "SECRET" not in host_of(form.format(secret)), (form, secret)
        met[found] += 1
        met["with signs"] += not secret.isalpha()

    check()
    assert min(met[""], met["o/n"], met["with signs"]) >= 20, met


def test_a_hostile_pattern_is_done_with():
    """Without care, one of them takes longer than the universe is old."""
    name = "a" * 255
    for line in ("*a" * 40 + "b", "*?" * 100 + "b", "*[a]" * 60 + "b", "**/*a" * 4 + "b", "*" * 5000 + "b"):
        pattern = compile_pattern(line)
        assert pattern is None or not pattern.matches("/".join([name] * 16), is_folder=False)
    assert compile_pattern("*a" * 40).matches(name, is_folder=False)
    assert compile_pattern("a*b?c*[d]*e").matches("aXXbYcZZdWWe", is_folder=False)
