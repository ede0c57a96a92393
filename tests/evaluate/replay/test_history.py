"""What was typed in a commit is found at the cursors of that moment, and everything else is counted."""

import random
from collections import Counter

import pytest

from spanmix.errors import InputError
from spanmix.evaluate.replay.edits import find_edits
from spanmix.evaluate.replay.git import Repository
from spanmix.evaluate.replay.history import (
    HistorySettings,
    LeftOut,
    commits_to_replay,
    hunks_of,
    parse_date,
    planned,
)
from spanmix.evaluate.replay.left_out import FileLimits

WORDS = ["alpha", "beta", "größe", "value", "index", "total"]


def new_lines(draw, count):
    indent = draw.choice(["", "    ", "\t"])
    return [
        f"{indent}{draw.choice(WORDS)} = {draw.choice(WORDS)}({draw.randrange(99)})" for _ in range(count)
    ]


def changed(draw, lines):
    """Change lines in one of the ways in which people do."""
    lines = list(lines)
    for _ in range(draw.randint(1, 4)):
        at, count = draw.randint(0, len(lines)), draw.randint(1, 4)
        action = draw.randrange(5)
        if action <= 1:
            lines[at:at] = new_lines(draw, count)
        elif action == 2:
            del lines[at : at + count]
        elif action == 3:
            lines[at : at + count] = ["    " + line for line in lines[at : at + count]]
        else:
            lines[at : at + 1] = [line.replace("(", "(x, ") for line in lines[at : at + 1]]
    return lines


def test_every_commit_of_a_random_history_is_rebuilt_from_its_edits(make_history):
    draw = random.Random(7)
    history, files = make_history(), {}
    names = ["a.py", "deep/b.py", "größe.js", b"\xff.c".decode("utf-8", "surrogateescape"), "new\nline.go"]
    texts = []
    for day in range(1, 61):
        step = {}
        for name in draw.sample(names, draw.randint(0, 3)):
            lines = changed(draw, files.get(name, []))
            files[name] = lines
            end = draw.choice(["\n", "\n", "\r\n"])
            step[name] = end.join(lines) + draw.choice(["\n", ""]) if lines else None
            if not lines:
                del files[name]
        texts.append({**(texts[-1] if texts else {}), **step})
        history.commit(step, day=day)
    met = Counter()
    with Repository(history.write()) as repository:
        line = repository.line_of(repository.resolve())
        for commit, after in zip(line[::-1], texts, strict=True):
            left_out = LeftOut()
            hunks = hunks_of(repository, commit, HistorySettings(max_events_per_hunk=1000), left_out)
            assert not left_out.files and not left_out.commits
            changes = repository.changes(commit)
            num_edits = 0
            for index, change in enumerate(changes):
                old, new = (
                    "" if side is None else repository.read(side.object_id).decode()
                    for side in (change.old, change.new)
                )
                if change.new is not None:
                    name = change.new.name.decode("utf-8", "surrogateescape")
                    assert new == after[name]
                edits = find_edits(old, new)
                num_edits += len(edits)
                here = [hunk for hunk in hunks if hunk.file_index == index]
                cursors = {edit.new_start: edit for edit in edits}
                for hunk in here:
                    edit = cursors[len(hunk.prefix)]
                    assert hunk.prefix == new[: edit.new_start] and hunk.suffix == old[edit.old_stop :]
                    assert hunk.typed == new[edit.new_start : edit.new_stop]
                    assert "".join(line.text for line in hunk.lines) == hunk.typed
                    assert hunk.line == new[: edit.new_start].count("\n") + 1
                    met["hunk"] += 1
                    met["from nothing"] += old == ""
                    met["CRLF"] += "\r\n" in hunk.typed
                    met["inside a line"] += hunk.prefix[-1:] not in ("", "\n")
                    met["no end at the end"] += hunk.prefix + hunk.typed == new and new[-1:] != "\n"
                met["later edits are not there yet"] += len(here) > 1
                met["renamed"] += (
                    change.old is not None and change.new is not None and change.old.name != change.new.name
                )
            assert len(hunks) + left_out.hunks.total() == num_edits
            met.update(left_out.hunks)
            met["nothing"] += not hunks
    assert {"deletion", "blanks alone", "hunk", "from nothing", "CRLF", "inside a line", "nothing"} <= set(
        met
    )
    assert met["no end at the end"] and met["later edits are not there yet"] >= 10, met


def plan(folder, **options):
    left_out = LeftOut()
    settings = HistorySettings(**options)
    with Repository(folder) as repository:
        commits = commits_to_replay(repository, repository.resolve(), settings, left_out)
        return list(planned(repository, commits, settings, left_out)), left_out


def test_merges_dates_and_side_branches(make_history):
    history = make_history()
    one = history.commit({"a.py": "first = 1\n"}, day=1)
    side = history.commit({"b.py": "second = 1\n"}, day=9, parents=[one])
    old = history.commit({"a.py": "first = 1\nold = 2\n"}, day=8, authored=3, parents=[one])
    main = history.commit({"a.py": "first = 1\nold = 2\nthird = 3\n"}, day=8, parents=[old])
    merge = history.commit({"b.py": "second = 1\n"}, day=10, parents=[main, side])
    history.commit({"a.py": "first = 1\nold = 2\nthird = 3\nfourth = 4\n"}, day=11, parents=[merge])
    folder = history.write()
    hunks, left_out = plan(folder)
    assert sorted(hunk.typed for hunk in hunks) == ["first = 1\n", "fourth = 4\n", "old = 2\n", "third = 3\n"]
    assert left_out.commits == {"merge": 1}
    hunks, left_out = plan(folder, since="1970-01-05")
    assert sorted(hunk.typed for hunk in hunks) == ["fourth = 4\n", "third = 3\n"]
    assert left_out.commits == {"merge": 1, "before the date": 2}
    hunks, _ = plan(folder, since="1970-01-12T01:00:00+01:00")  # the very second
    assert [hunk.typed for hunk in hunks] == ["fourth = 4\n"]
    with pytest.raises(
        InputError, match=r"of 5 on the line of .*, 5 before the date; the newest is of 1970-01-12"
    ):
        plan(folder, since="1970-01-12T00:00:01")
    for date in ("yesterday", "2024-13-01", "", "31.5.2024"):
        with pytest.raises(InputError, match=r"is none; write it as 2024-05-31"):
            HistorySettings(since=date)
    assert parse_date("2024-05-31") == 1_717_113_600


def test_a_shallow_boundary_brings_no_whole_files(make_history, run_git, tmp_path):
    history = make_history()
    for day in range(1, 5):
        history.commit({"a.py": "".join(f"number_{n} = {n}\n" for n in range(day))}, day=day)
    run_git("clone", "--quiet", "--depth=2", f"file://{history.write()}", tmp_path / "shallow")
    hunks, left_out = plan(tmp_path / "shallow")
    assert [hunk.typed for hunk in hunks] == ["number_3 = 3\n"]
    assert left_out.commits == {"its parent is not here (shallow clone)": 1}


def test_what_nobody_typed_is_left_out_and_counted(make_history):
    history = make_history()
    body = "def long_enough_to_be_known(x):\n    return [x, x, x]\n"
    history.commit(
        {
            "a.py": body + "def other():\n    if x:\n        y\n",
            "b.py": "b = 1\n",
            "link.py": "is a file\n",
            "latin.py": b"x = '\xff'\n",
            "mode.py": "mode = 1\n",
        },
        day=1,
    )
    history.commit(
        {
            "a.py": "def other():\n    if x:\n            y\n",
            "b.py": "b = 1\n" + body + "typed = 1\n",
            "vendor/c.py": "c = 1\n",
            "yarn.lock": "d\n",
            "x.min.js": "e\n",
            "gen_pb2.py": "f = 1\n",
            "g.py": "# Code generated by a tool. DO NOT EDIT.\ng = 1\n",
            "bytes.py": b"a\0b\n",
            "latin.py": b"x = 1\n",
            "large.py": "x = 1\n" * 50,
            "long.py": "x = '" + "y" * 90 + "'\n",
            "link.py": ("120000", "a.py"),
            "sub": ("160000", "1" * 40),
            "lfs.py": "version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
            "Makefile": "all:\n",
            "mode.py": ("100755", "mode = 1\n"),
        },
        day=2,
    )
    history.commit({f"{n}.py": "n\n" for n in range(21)}, day=3)
    files = FileLimits(max_file_bytes=200, max_line_characters=80)
    hunks, left_out = plan(history.write(), since="1970-01-03", files=files, max_files_per_commit=20)
    assert [(hunk.path, hunk.typed) for hunk in hunks] == [("b.py", body + "typed = 1\n")]
    assert left_out.commits == {"before the date": 1, "changes more than 20 files": 1}
    assert left_out.files == {
        "vendored": 1, "lock file": 1, "minified": 1, "generated": 2, "binary (NUL byte)": 1, "not UTF-8": 1,
        "longer than 200 bytes": 1, "a line longer than 80 characters": 1, "link": 1, "submodule": 1,
        "Git LFS pointer": 1, "unknown language": 1,
    }  # fmt: skip
    assert left_out.hunks == {"deletion": 1, "blanks alone": 1}


def test_what_was_moved_was_not_typed(make_history):
    history = make_history()
    body = "def long_enough_to_be_known(x):\n    return [x, x, x]\n"
    history.commit({"a.py": body + "end = 1\n", "b.py": "b = 1\n", "c.py": "short()\nc = 1\n"}, day=1)
    history.commit(
        {
            "a.py": "end = 1\n",
            "b.py": "class B:\n"
            + "".join(f"    {line}\n" for line in body.splitlines())
            + "b = 1\nshort()\n",
            "c.py": "c = 1\n",
        },
        day=2,
    )
    history.commit({"a.py": "end = 1\n" + body}, day=3)  # copied from what is still there
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    history.commit({"a.py": "end = 1\n", "c.py": "c = 1\n\n" + indented}, day=4)
    history.commit({"c.py": None, "d.py": body + "d = 1\n", "e.py": "\n" + body}, day=5)
    hunks, left_out = plan(history.write(), since="1970-01-03")
    assert Counter((hunk.path, hunk.typed) for hunk in hunks) == {
        # Only what was moved as a whole is left out.
        ("b.py", "class B:\n    def long_enough_to_be_known(x):\n        return [x, x, x]\n"): 1,
        ("b.py", "short()\n"): 1,
        ("a.py", body): 1,
        ("d.py", body + "d = 1\n"): 1,
    }
    assert left_out.hunks == {"moved within the commit": 2, "deletion": 4}


def test_the_plan_depends_on_the_seed_alone_and_keeps_its_limits(make_history):
    history = make_history()
    for day in range(1, 31):
        lines = [f"value_{day}_{n} = {n}" + "\n" * (1 + n % 2) for n in range(day)]
        files = {f"{day}.py": "".join(lines)}
        files[f"{day}.c"] = "".join(f"int v{n};\n" for n in range(3))
        history.commit(files, day=day)
    folder = history.write()
    everything, _ = plan(folder, max_events=10_000, max_events_per_commit=1000, max_events_per_hunk=1000)
    assert sum(hunk.num_events for hunk in everything) == sum(range(1, 31)) + 3 * 30
    some = {"max_events": 60, "max_events_per_commit": 8, "max_events_per_hunk": 8}
    hunks, left_out = plan(folder, **some)
    assert sum(hunk.num_events for hunk in hunks) == 60
    per_commit = Counter()
    for hunk in hunks:
        per_commit[hunk.commit] += hunk.num_events
        assert not hunk.lines[-1].is_blank or hunk.num_events < 8
        assert hunk.typed.startswith("".join(line.text for line in hunk.lines))
    assert max(per_commit.values()) == max(hunk.num_events for hunk in hunks) == 8
    assert hunks == plan(folder, **some)[0]
    order = list(dict.fromkeys(hunk.commit for hunk in hunks))
    assert order != [commit for commit in history.ids if commit in order]
    assert [hunk.commit for hunk in plan(folder, **some, seed=1)[0]] != [hunk.commit for hunk in hunks]
    # More room changes nothing of what comes first.
    more, _ = plan(folder, **{**some, "max_events": 80})
    assert more[: len(hunks) - 1] == hunks[:-1]
    assert left_out.hunks["beyond the limits"] > 0
    # Another commit on top does not reorder the others.
    history.commit({"new.py": "new = 1\n"}, day=31)
    history.folder = history.folder.with_name("again")
    longer, _ = plan(history.write(), max_events=10_000, max_events_per_commit=1000, max_events_per_hunk=1000)
    assert [hunk for hunk in longer if hunk.path != "new.py"] == everything


@pytest.mark.parametrize(
    "name", ["max_events", "max_events_per_commit", "max_events_per_hunk", "max_files_per_commit"]
)
def test_limits_are_at_least_one(name):
    with pytest.raises(InputError, match=f"{name} is 0"):
        HistorySettings(**{name: 0})
    with pytest.raises(InputError, match="the most bytes of a file are 0"):
        FileLimits(max_file_bytes=0)
