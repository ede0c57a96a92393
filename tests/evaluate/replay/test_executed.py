"""Tests decide about an answer only where they notice, and a checkout stays inside its folder."""

import os

import pytest

from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.grade.verdict import Verdict
from spanmix.evaluate.replay.bench import BenchSettings, build_bench
from spanmix.evaluate.replay.bench_match import BenchAnswer
from spanmix.evaluate.replay.executed import IN_TESTS, NOT_PYTHON, UNDECIDED, check_out, execute, has_tests
from spanmix.evaluate.replay.git import Repository

FILES = {
    "used.py": "import os\n\n\ndef double(x):\n    y = 2 * x\n    return y\n",
    "unused.py": "import os\n\n\ndef other(x):\n    y = 3 * x\n    return y\n",
    "a.js": "function f() {\n  g();\n}\n",
    "test_used.py": "from used import double\n\n\ndef test_double():\n    assert double(2) == 4\n",
}


def run_tests(folder):
    """Stand in for a sandbox, for files that are known: `double` has to double."""
    text = (folder / "used.py").read_text()
    scope = {}
    try:
        exec(compile(text, "used.py", "exec"), scope)
        return Verdict(scope["double"](2) == 4, "passed", 0.1)
    except Exception as error:
        return Verdict(False, f"failed: {error}", 0.1)


def test_answers_pass_where_the_tests_notice(make_history, tmp_path):
    history = make_history()
    history.commit(FILES, day=1)
    folder = history.write()
    with Repository(folder) as repository:
        assert has_tests(repository, history.ids[0])
    bench = build_bench(folder, BenchSettings(kinds=("function",)))
    written = {
        "used.py": "    return x + x\n",
        "unused.py": "    return x + x\n",
        "a.js": "  g();\n",
        "test_used.py": "    pass\n",
    }
    answers = [BenchAnswer(item.task_id, written[item.path], True, 1.0, 1) for item in bench.items]
    assert len(answers) == 4
    seen = []

    def watched(checkout):
        seen.append({name: (checkout / name).read_text() for name in FILES})
        return run_tests(checkout)

    found = execute(folder, bench, answers, watched, tmp_path / "work")
    assert found.passes == {"function/used.py:5": True}
    assert found.undecided == {UNDECIDED: 1, NOT_PYTHON: 1, IN_TESTS: 1}
    assert seen[0] == FILES and len(seen) == 4
    changed = [{name for name in FILES if one[name] != FILES[name]} for one in seen[1:]]
    assert sorted(map(sorted, changed)) == [["unused.py"], ["used.py"], ["used.py"]]
    assert {name: (tmp_path / "work" / name).read_text() for name in FILES} == FILES
    wrong = [BenchAnswer("function/used.py:5", "    return x + 3\n", True, 1.0, 1)]
    assert execute(folder, bench, wrong, run_tests, tmp_path / "other").passes == {
        "function/used.py:5": False
    }
    with pytest.raises(SpanmixError, match=r"do not pass as they are \(timed out\)"):
        execute(folder, bench, wrong, lambda checkout: Verdict(False, "timed out", 3.0), tmp_path / "third")


def test_a_checkout_stays_inside_its_folder(make_history, tmp_path):
    history = make_history()
    files = {
        "bin/run": ("100755", "#!/bin/sh\n"),
        "deep/er/a.py": "a\n",
        "inside": ("120000", "deep/er"),
        "deep/up": ("120000", "../bin/run"),
        "outside": ("120000", "../../secret"),
        "deep/outside": ("120000", "er/../../../secret"),
        "absolute": ("120000", "/etc/passwd"),
        "sub": ("160000", "1" * 40),
        b"\xff.py".decode("utf-8", "surrogateescape"): "odd\n",
    }
    history.commit(files, day=1)
    work = tmp_path / "work"
    with Repository(history.write()) as repository:
        assert not has_tests(repository, history.ids[0])
        check_out(repository, history.ids[0], work)
        found = sorted(
            os.fsencode(path.relative_to(work))
            for path in work.rglob("*")
            if not path.is_dir() or path.is_symlink()
        )
        assert found == [b"bin/run", b"deep/er/a.py", b"deep/up", b"inside", b"\xff.py"]
        assert os.access(work / "bin/run", os.X_OK) and (work / "inside" / "a.py").read_text() == "a\n"
        with pytest.raises(InputError, match="is not empty"):
            check_out(repository, history.ids[0], work)


@pytest.mark.parametrize("name", [b"../evil.py", b".git/hooks/x", b"a/.GIT/config", b"a/./b"])
def test_names_that_lead_out_are_refused(name, make_history, run_git, tmp_path):
    """Git itself does not commit such names, so the trees are written by hand."""
    history = make_history()
    history.commit({"a.py": "1\n"}, day=1)
    folder = history.write()
    blob = run_git("-C", folder, "rev-parse", "main:a.py").decode().strip()

    def tree(parts):
        if len(parts) == 1:
            entry = b"100644 " + parts[0] + b"\0" + bytes.fromhex(blob)
        else:
            entry = b"40000 " + parts[0] + b"\0" + bytes.fromhex(tree(parts[1:]))
        return (
            run_git("-C", folder, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", data=entry)
            .decode()
            .strip()
        )

    commit = run_git("-C", folder, "commit-tree", tree(name.split(b"/")), "-m", "m").decode().strip()
    with Repository(folder) as repository, pytest.raises(InputError, match="cannot be checked out safely"):
        check_out(repository, commit, tmp_path / "work")
    assert not (tmp_path / "evil.py").exists()
