"""A repository is read as it was committed, whatever it names, and nothing of it is run or changed."""

import hashlib
import os
import subprocess

import pytest

from spanmix.errors import InputError
from spanmix.evaluate.replay.git import Commit, Repository

ODD_NAMES = [
    b"a\nb.py",
    b'quo"te.py',
    b"tab\there.py",
    b"\xff\xfe.py",
    "größe ☃.py".encode(),
    b"-flag.py",
    b" .py",
]
ODD_NAMES += [b":(glob)x.py", b"back\\slash.py", b"deep/er/still.py", b"\x01.py"]


def test_every_name_is_read_back_and_changes_are_between_the_right_blobs(make_history):
    history = make_history()
    history.commit({name: b"one %d\n" % place for place, name in enumerate(ODD_NAMES)}, day=1)
    history.commit({name: b"two %d\n" % place for place, name in enumerate(ODD_NAMES)}, day=2)
    history.commit(dict.fromkeys(ODD_NAMES[:3]), day=3)
    with Repository(history.write()) as repository:
        newest, second, first = repository.line_of(repository.resolve("main"))
        files = repository.files(second.id)
        assert [file.name for file in files] == sorted(ODD_NAMES)
        for file in files:
            assert repository.read(file.object_id) == b"two %d\n" % ODD_NAMES.index(file.name)
            assert repository.size(file.object_id) == len(repository.read(file.object_id))
            file.path.encode("utf-8")  # no surrogate is left
        for change in repository.changes(second):
            place = ODD_NAMES.index(change.new.name)
            assert change.old.name == change.new.name
            assert repository.read(change.old.object_id) == b"one %d\n" % place
            assert repository.read(change.new.object_id) == b"two %d\n" % place
        assert [change.old for change in repository.changes(first)] == [None] * len(ODD_NAMES)
        assert sorted(change.old.name for change in repository.changes(newest)) == sorted(ODD_NAMES[:3])
        assert all(change.new is None for change in repository.changes(newest))


def test_renames_links_submodules_and_modes(make_history):
    history = make_history()
    body = "".join(f"line {n}\n" for n in range(30))
    history.commit({"a.py": body, "b.py": "x\n", "c": "c\n"}, day=1)
    history.commit(
        {
            "a.py": None,
            "moved/z.py": body + "more\n",
            "b.py": ("120000", "a.py"),
            "sub": ("160000", "1" * 40),
            "run.sh": ("100755", "#!/bin/sh\n"),
        },
        day=2,
    )
    history.commit({}, day=3)
    with Repository(history.write()) as repository:
        empty, commit, _ = repository.line_of(repository.resolve())
        assert repository.changes(empty) == []
        found = {change.new.path: change for change in repository.changes(commit)}
        assert found["moved/z.py"].old.path == "a.py"
        assert (found["b.py"].old.mode, found["b.py"].new.mode) == ("100644", "120000")
        assert found["sub"].new.mode == "160000" and repository.read(found["sub"].new.object_id) is None
        assert found["run.sh"].old is None and found["run.sh"].new.mode == "100755"
        assert len(found) == 4


def test_a_line_of_first_parents_has_its_merges_and_dates(make_history):
    history = make_history()
    one = history.commit({"a.py": "1\n"}, day=1)
    side = history.commit({"b.py": "1\n"}, day=9, authored=2, parents=[one])
    main = history.commit({"a.py": "2\n"}, day=3, parents=[one])
    history.commit({"b.py": "1\n"}, day=10, parents=[main, side])
    with Repository(history.write()) as repository:
        line = repository.line_of(repository.resolve("HEAD"))
        ids = history.ids
        day = 86_400
        assert line == [
            Commit(ids[3], (ids[2], ids[1]), 10 * day, 10 * day),
            Commit(ids[2], (ids[0],), 3 * day, 3 * day),
            Commit(ids[0], (), day, day),
        ]
        assert repository.line_of(ids[1])[0] == Commit(ids[1], (ids[0],), 9 * day, 2 * day)
        assert not any(map(repository.is_cut_off, line))
        with pytest.raises(InputError, match="no commit 'nowhere'"):
            repository.resolve("nowhere")
        with pytest.raises(InputError, match="no commit '--all'"):
            repository.resolve("--all")


def test_grafts_and_replaced_objects_are_not_followed(make_history, run_git):
    history = make_history()
    for day in range(1, 5):
        history.commit({"a.py": f"{day}\n"}, day=day)
    folder = history.write()
    run_git("-C", folder, "replace", history.ids[3], history.ids[1])
    (folder / "info").mkdir(exist_ok=True)
    (folder / "info" / "grafts").write_text(f"{history.ids[2]}\n")
    assert len(run_git("-C", folder, "rev-list", "main").split()) == 2  # git itself follows both
    with Repository(folder) as repository:
        assert [commit.id for commit in repository.line_of(history.ids[3])] == history.ids[::-1]
        assert repository.read(repository.files(history.ids[3])[0].object_id) == b"4\n"


def test_a_shallow_clone_says_where_it_is_cut_off(make_history, run_git, tmp_path):
    history = make_history()
    for day in range(1, 6):
        history.commit({"a.py": f"{day}\n"}, day=day)
    folder = history.write()
    run_git("clone", "--quiet", "--depth=2", f"file://{folder}", tmp_path / "shallow")
    with Repository(tmp_path / "shallow") as repository:
        line = repository.line_of(repository.resolve())
        assert [commit.id for commit in line] == [history.ids[4], history.ids[3]]
        assert [repository.is_cut_off(commit) for commit in line] == [False, True]


def test_a_partial_clone_fetches_nothing(make_history, run_git, tmp_path):
    history = make_history()
    history.commit({"a.py": "1\n", "b.py": "2\n"}, day=1)
    folder = history.write()
    run_git("-C", folder, "config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    run_git("clone", "--quiet", "--bare", "--filter=blob:none", f"file://{folder}", partial)
    helper = tmp_path / "helper"
    helper.write_text(f'#!/bin/sh\ntouch {tmp_path}/called\nexec git upload-pack "$@"\n')
    helper.chmod(0o755)
    run_git("-C", partial, "config", "remote.origin.uploadpack", helper)
    run_git("-C", partial, "config", "protocol.file.allow", "always")
    with Repository(partial) as repository:
        files = repository.files(repository.resolve())
        assert len(files) == 2
        assert [repository.size(file.object_id) for file in files] == [None, None]
        assert [repository.read(file.object_id) for file in files] == [None, None]
    assert not (tmp_path / "called").exists()
    # The trap works: git by itself does fetch.
    assert run_git("-C", partial, "cat-file", "blob", files[0].object_id) == b"1\n"
    assert (tmp_path / "called").exists()


TRAPS = """
[core]
    fsmonitor = {trap}
    hooksPath = {hooks}
    pager = {trap}
    editor = {trap}
    sshCommand = {trap}
    attributesFile = {attributes}
    alternateRefsCommand = {trap}
[pager]
    rev-list = {trap}
    cat-file = {trap}
    ls-tree = {trap}
    diff-tree = {trap}
    rev-parse = {trap}
[diff]
    external = {trap}
[diff "trap"]
    textconv = {trap}
    command = {trap}
[filter "trap"]
    smudge = {trap}
    clean = {trap}
    required = true
[log]
    showSignature = true
[gpg]
    program = {trap}
[credential]
    helper = !{trap}
[alias]
    rev-list = !{trap}
    cat-file = !{trap}
[remote "origin"]
    url = ext::{trap}
    vcs = trap
    promisor = true
[protocol]
    allow = always
[extensions]
    partialClone = origin
"""


def all_files(folder):
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_nothing_that_a_repository_names_is_run_and_nothing_is_written(make_history, run_git, tmp_path):
    history = make_history()
    history.commit({"a.py": "1\n", ".gitattributes": "* diff=trap filter=trap\n"}, day=1)
    long = "".join(f"line {n}\n" for n in range(20))
    history.commit({"a.py": "2\n", "gone.py": "3\n", "old.py": long}, day=2)
    history.commit({"old.py": None, "new.py": long + "more\n"}, day=3)
    folder = history.write(bare=False)
    run_git("-C", folder, "reset", "--quiet", "--hard", "main")
    trap = tmp_path / "trap"
    trap.write_text(f'#!/bin/sh\necho "$0 $@" >> {tmp_path}/called\nexit 1\n')
    trap.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in (
        "post-index-change",
        "fsmonitor-watchman",
        "reference-transaction",
        "pre-auto-gc",
        "post-checkout",
    ):
        (hooks / name).symlink_to(trap)
    attributes = tmp_path / "attributes"
    attributes.write_text("* diff=trap filter=trap\n")
    config = folder / ".git" / "config"
    traps = TRAPS.format(trap=trap, hooks=hooks, attributes=attributes)
    config.write_text(
        config.read_text().replace("repositoryformatversion = 0", "repositoryformatversion = 1") + traps
    )
    missing = run_git("-C", folder, "rev-parse", "main:gone.py").decode().strip()
    before = all_files(folder)
    with Repository(folder) as repository:
        line = repository.line_of(repository.resolve())
        assert [len(repository.changes(commit)) for commit in line] == [1, 3, 2]
        for commit in line:
            for file in repository.files(commit.id):
                assert repository.read(file.object_id)
            repository.is_cut_off(commit)
        assert repository.read(missing) == b"3\n"
        assert repository.read("2" * 40) is None and repository.size("2" * 40) is None
        assert repository.read(missing) == b"3\n"
    assert all_files(folder) == before
    assert not (tmp_path / "called").exists(), (tmp_path / "called").read_text()
    # The traps work: git by itself runs some of them.
    subprocess.run(["git", "-C", folder, "diff", "HEAD~1"], capture_output=True, check=False)
    assert (tmp_path / "called").exists()


def test_damaged_objects_are_not_here(make_history):
    history = make_history()
    history.commit({f"{n}.py": os.urandom(50).hex() + "\n" for n in range(4)}, day=1)
    folder = history.write()
    with Repository(folder) as repository:
        files = repository.files(repository.resolve())
        whole = {file.path: repository.read(file.object_id) for file in files}
        broken = files[1].object_id
        path = folder / "objects" / broken[:2] / broken[2:]  # so few are not packed
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-9] + b"\0" * 9)
    with Repository(folder) as repository:
        read = {file.path: repository.read(file.object_id) for file in files}
    assert read[files[1].path] is None
    assert {**read, files[1].path: whole[files[1].path]} == whole


def test_what_is_no_repository_is_said(tmp_path, make_history, monkeypatch, run_git):
    history = make_history()
    history.commit({"a/b.py": "1\n"}, day=1)
    folder = history.write(bare=False)
    run_git("-C", folder, "reset", "--quiet", "--hard", "main")
    (tmp_path / "file").write_text("")
    (tmp_path / "plain").mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "/nowhere")  # none of its own variables is heard
    monkeypatch.setenv("GIT_DIR", str(folder / ".git"))
    with pytest.raises(InputError, match="plain is not a git repository"):
        Repository(tmp_path / "plain")
    with pytest.raises(InputError, match="file is a file"):
        Repository(tmp_path / "file")
    with pytest.raises(InputError, match="missing does not exist"):
        Repository(tmp_path / "missing")
    with pytest.raises(InputError, match=f"inside a git checkout; name its top, {folder}$"):
        Repository(folder / "a")
    run_git("init", "--quiet", tmp_path / "new")
    with Repository(tmp_path / "new") as repository, pytest.raises(InputError, match="no commit yet"):
        repository.resolve()
    (tmp_path / "new" / ".git" / "config").write_text("[core\n")
    with pytest.raises(InputError, match="bad config line 1"):
        Repository(tmp_path / "new")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="git is not installed"):
        Repository(folder)


def test_a_checkout_of_another_user_is_refused(make_history, monkeypatch, tmp_path):
    history = make_history()
    history.commit({"a.py": "1\n"}, day=1)
    folder = history.write()
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    script.write_text(
        "#!/bin/sh\necho \"fatal: detected dubious ownership in repository at '$2'\" >&2\nexit 128\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    with pytest.raises(InputError, match=r"belongs to another user; .*safe.directory"):
        Repository(folder)


def test_a_checkout_a_worktree_and_a_bare_repository_are_the_same(make_history, run_git, tmp_path):
    history = make_history()
    history.commit({"a.py": "1\n"}, day=1)
    history.commit({"a.py": "2\n"}, day=2)
    bare = history.write()
    run_git("clone", "--quiet", bare, tmp_path / "clone")
    run_git("-C", tmp_path / "clone", "worktree", "add", "--quiet", tmp_path / "tree", "HEAD~1")
    found = []
    for folder in (bare, tmp_path / "clone", tmp_path / "clone" / ".git", tmp_path / "tree"):
        with Repository(folder) as repository:
            found.append([commit.id for commit in repository.line_of(repository.resolve())])
    assert found[0] == found[1] == found[2] == history.ids[::-1]
    assert found[3] == history.ids[:1]
