"""Tests decide about an answer only where they notice, and a checkout stays inside its folder."""

import json
import os
import sys
from pathlib import Path

import pytest

from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.grade.choose import best_isolation
from spanmix.evaluate.grade.limits import Limits
from spanmix.evaluate.grade.repository_tests import Interpreter, Outcome, RepositoryTests
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
        return Outcome("passed" if scope["double"](2) == 4 else "failed: no double", 1, 0.1)
    except Exception as error:
        return Outcome(f"failed: {error}", 0, 0.1)


def answered(bench, written):
    return [BenchAnswer(item.task_id, written[item.path], True, 1.0, 1) for item in bench.items]


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
    answers = answered(bench, written)
    assert len(answers) == 4
    seen = []

    def watched(checkout):
        seen.append({name: (checkout / name).read_text() for name in FILES})
        return run_tests(checkout)

    kept = tmp_path / "verdicts.jsonl"
    found = execute(folder, bench, answers, watched, tmp_path / "work", kept, facts={})
    assert found.passes == {"function/used.py:5": True} and found.num_tests == 1
    assert found.undecided == {UNDECIDED: 1, NOT_PYTHON: 1, IN_TESTS: 1}
    assert seen[0] == FILES and len(seen) == 4
    changed = [{name for name in FILES if one[name] != FILES[name]} for one in seen[1:]]
    assert sorted(map(sorted, changed)) == [["unused.py"], ["used.py"], ["used.py"]]
    assert {name: (tmp_path / "work" / name).read_text() for name in FILES} == FILES
    wrong = [BenchAnswer("function/used.py:5", "    return x + 3\n", True, 1.0, 1)]
    again = execute(folder, bench, [*answers, *wrong], watched, tmp_path / "other", kept, facts={})
    assert len(seen) == 7  # as it is, and the new answer: the others are known
    assert again.verdicts[:4] == found.verdicts
    assert again.passes == {"function/used.py:5": False} and again.verdicts[4].why == "failed: no double"
    with pytest.raises(InputError, match=r"made with other settings: more \(not given\) there, 1 now"):
        execute(folder, bench, wrong, run_tests, tmp_path / "third", kept, facts={"more": 1})
    with pytest.raises(SpanmixError, match=r"do not pass as they are \(timed out\)"):
        late = lambda checkout: Outcome("timed out", 0, 3.0)  # noqa: E731
        execute(folder, bench, wrong, late, tmp_path / "fourth", kept, facts={})


REAL = {
    "shop/__init__.py": "",
    "shop/price.py": "RATES = {'low': 7, 'high': 19}\n\n\ndef gross(net, rate):\n"
    "    tax = net * RATES[rate]\n    return net + tax // 100\n",
    "shop/unused.py": "import os\n\n\ndef never(x):\n    y = 3 * x\n    return y\n",
    "tests/test_price.py": "import unittest\n\nfrom shop.price import gross\n\n\n"
    "class Price(unittest.TestCase):\n"
    "    def test_low(self):\n        self.assertEqual(gross(100, 'low'), 107)\n\n"
    "    def test_high(self):\n        self.assertEqual(gross(200, 'high'), 238)\n",
}
ANSWERS = {
    "    return net + net * RATES[rate] // 100\n": "passed",
    "    tax = net * RATES[rate]\n    return net + tax // 100\n": "passed",
    "    return net\n": "failed: exit code 1",
    "    return net +\n": "failed: exit code 1",
    "    import os\n    os._exit(0)\n": "failed: they ended before their end",
    "    import sys\n    sys.exit(0)\n": "failed: exit code 1",
    "    import unittest\n    if rate == 'high':\n        raise unittest.SkipTest()\n"
    "    return net + net * RATES[rate] // 100\n": "failed: 1 tests passed, and 2 did before",
    "    open('@OUT@/mark', 'w').close()\n    return net + net * RATES[rate] // 100\n": "failed: exit code 1",
    "    import os\n    while True:\n        os.fork()\n": "failed: ",
    "    while True:\n        pass\n": "failed: ",
}


def test_a_real_repository_decides_in_a_sandbox(make_history, tmp_path):
    history = make_history()
    history.commit(REAL, day=1)
    folder = history.write()
    (tmp_path / "out").mkdir(mode=0o777)
    (tmp_path / "out").chmod(0o777)
    tmp_path.chmod(0o755)
    bench = build_bench(folder, BenchSettings(kinds=("function",)))
    price = next(item for item in bench.items if item.path == "shop/price.py")
    answers = answered(bench, dict.fromkeys(REAL, "    return 0\n"))
    texts = [text.replace("@OUT@", str(tmp_path / "out")) for text in ANSWERS]
    answers = [one for one in answers if one.task_id != price.task_id]
    answers += [BenchAnswer(price.task_id, text, True, 1.0, 1) for text in texts]
    python = Interpreter.ask(sys.executable, folder)
    # Enough for a few tests, and no more to wait for what never ends: it fails by its processor time.
    limits = Limits(250.0, cpu_seconds=2, num_processes=24, memory_bytes=256 << 20, file_bytes=16 << 20)
    run = RepositoryTests(python, "python -m unittest -q tests/test_price.py", best_isolation(), limits)
    done = execute(folder, bench, answers, run, tmp_path / "work", tmp_path / "verdicts.jsonl", facts={})
    assert done.num_tests == 2
    results = [one.why for one in done.verdicts if one.task_id == price.task_id]
    assert len(results) == len(ANSWERS)
    for result, expected in zip(results, ANSWERS.values(), strict=True):
        assert result.startswith(expected), (result, expected)
    assert done.undecided == {UNDECIDED: 1, IN_TESTS: 2}
    assert list((tmp_path / "out").iterdir()) == []
    lines = (tmp_path / "verdicts.jsonl").read_text().splitlines()
    assert [json.loads(line)["why"] for line in lines] == [one.why for one in done.verdicts]


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


def test_a_checkout_may_be_named_from_the_current_folder(make_history, tmp_path, monkeypatch):
    """Sandboxes start in a folder of their own."""
    history = make_history()
    history.commit(FILES, day=1)
    folder = history.write()
    bench = build_bench(folder, BenchSettings(kinds=("function",)))
    monkeypatch.chdir(tmp_path)
    seen = []

    def watched(checkout):
        seen.append(checkout)
        return run_tests(checkout)

    written = dict.fromkeys(FILES, "    return x + x\n")
    answers = answered(bench, written)
    assert execute(folder, bench, answers, watched, Path("work"), tmp_path / "v.jsonl", facts={}).passes
    assert set(seen) == {tmp_path / "work"} and len(seen) == 4


def test_a_checkout_without_all_of_its_files_is_none(make_history, tmp_path):
    """Tests that run without a file say something about the clone, and nothing about an answer."""
    history = make_history()
    history.commit(FILES, day=1)
    folder = history.write()
    with Repository(folder) as repository:
        (lost,) = [file for file in repository.files(history.ids[0]) if file.path == "unused.py"]
        whole = tmp_path / "whole"
        check_out(repository, history.ids[0], whole)
        assert {path.name for path in whole.iterdir()} == set(FILES)
        git_dir = folder if (folder / "objects").is_dir() else folder / ".git"
        (git_dir / "objects" / lost.object_id[:2] / lost.object_id[2:]).unlink()
        with pytest.raises(InputError, match=r"unused\.py of .* is not in this clone"):
            check_out(repository, history.ids[0], tmp_path / "torn")
