"""A benchmark is the same for the same commit and seed, even over files, and read back as it was written."""

import json
from collections import Counter

import pytest

from spanmix.errors import InputError
from spanmix.evaluate.replay.bench import BenchSettings, build_bench, read_bench, write_bench
from spanmix.evaluate.replay.left_out import FileLimits


def code(name, num_functions):
    return "import os\n\n\n" + "\n\n".join(
        f"def {name}_{n}(x):\n    y = x + {n}\n    return {name}_{n}(y)\n" for n in range(num_functions)
    )


@pytest.fixture
def history(make_history):
    history = make_history()
    files = {f"src/m{n}.py": code(f"m{n}", 1 + n) for n in range(12)}
    files["src/huge.py"] = code("huge", 300)
    files["größe\n.go"] = "package p\n\nfunc f() int {\n\ta := 1\n\treturn a\n}\n"
    files[b"\xff.js".decode("utf-8", "surrogateescape")] = "function g() {\r\n  h();\r\n  i();\r\n}\r\n"
    files["README.md"] = "# A\n\ntext\nmore\n"
    history.commit(files, day=1)
    return history


def test_every_item_is_its_file_cut_at_a_place(history, tmp_path):
    folder = history.write()
    bench = build_bench(folder, BenchSettings(num_per_kind=1000, max_per_file=1000, max_middle_bytes=300))
    texts = {}
    met = Counter()
    for item in bench.items:
        text = item.prompt + item.canonical_solution + item.suffix
        assert texts.setdefault(item.path, text) == text
        assert item.task_id == f"{item.kind}/{item.path}:{item.line}"
        assert item.canonical_solution.strip() and len(item.canonical_solution.encode()) <= 300
        met[item.kind, item.language] += 1
    assert len({item.task_id for item in bench.items}) == len(bench.items)
    assert texts["src/m3.py"] == code("m3", 4) and "\\xff.js" in texts
    assert met["function", "python"] == sum(range(1, 13)) + 300
    assert met["function", "go"] == met["function", "javascript"] == met["block", "go"] == 1
    assert met["line", "markdown"] == 1
    assert bench.origin.num_items == dict(Counter(item.kind for item in bench.items))
    assert bench.origin.num_files_read == 16 and bench.origin.commit == history.ids[0]


def test_large_files_do_not_take_over(history):
    folder = history.write()
    bench = build_bench(folder, BenchSettings(num_per_kind=30, max_per_file=4))
    for kind in ("line", "block", "function"):
        per_file = Counter(item.path for item in bench.items if item.kind == kind)
        assert sum(per_file.values()) == 30 and max(per_file.values()) <= 4 and per_file["src/huge.py"] <= 3
        # Every file gives a first place before one gives a second.
        assert len(per_file) >= 13
    few = build_bench(folder, BenchSettings(num_per_kind=5))
    assert all(count == 1 for count in Counter((item.kind, item.path) for item in few.items).values())
    assert few.origin.num_files_read < 16


def test_the_same_seed_gives_the_same_items(history):
    folder = history.write()
    settings = BenchSettings(num_per_kind=8, max_per_file=2)
    bench = build_bench(folder, settings)
    assert bench == build_bench(folder, settings) == build_bench(folder, settings, "main")
    other = build_bench(folder, BenchSettings(seed=1, num_per_kind=8, max_per_file=2))
    assert {item.task_id for item in other.items} != {item.task_id for item in bench.items}
    # Another commit is another benchmark, but what it does not touch stays in its order.
    history.commit({"src/m0.py": None, "src/new.py": code("new", 3)}, day=2)
    history.folder = history.folder.with_name("again")
    everything = BenchSettings(num_per_kind=1000, max_per_file=2)
    before, after = build_bench(folder, everything), build_bench(history.write(), everything)
    kept = [item for item in before.items if item.path != "src/m0.py"]
    assert [item for item in after.items if item.path != "src/new.py"] == kept
    assert build_bench(history.folder, everything, history.ids[0]).items == before.items


def test_what_nobody_typed_is_left_out_and_counted(make_history):
    history = make_history()
    good = code("good", 2)
    files = {"a.py": good, "copy/a.py": good, "node_modules/b.js": "b\n", "uv.lock": "c\n", "d.min.js": "d\n"}
    files |= {
        "e_pb2.py": "e\n",
        "f.py": "# @generated\nf\n",
        "g.py": b"\0\n",
        "h.py": b"\xff\n",
        "i.py": " \n",
    }
    files |= {"j.py": code("j", 90), "k.py": "x" * 300 + "\n", "l.py": ("120000", "a.py"), "LICENSE": "m\n"}
    files |= {"n": ("160000", "2" * 40)}
    history.commit(files, day=1)
    limits = FileLimits(max_file_bytes=1000, max_line_characters=200)
    bench = build_bench(history.write(), BenchSettings(files=limits))
    assert {item.path for item in bench.items} == {"a.py"}
    assert bench.origin.left_out == {
        "copy of another file": 1, "vendored": 1, "lock file": 1, "minified": 1, "generated": 2, "empty": 1,
        "binary (NUL byte)": 1, "not UTF-8": 1, "longer than 1,000 bytes": 1, "link": 1, "submodule": 1,
        "a line longer than 200 characters": 1, "unknown language": 1,
    }  # fmt: skip


def test_it_is_read_back_as_it_was_written(history, tmp_path):
    bench = build_bench(history.write(), BenchSettings(num_per_kind=20))
    path = tmp_path / "new" / "bench.jsonl"
    write_bench(path, bench)
    assert read_bench(path) == bench
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {"task_id", "prompt", "suffix", "canonical_solution"} < set(lines[0])
    assert len(lines) == len(bench.items)
    settings = json.loads((tmp_path / "new" / "bench.jsonl.settings.json").read_text())
    assert settings["commit"] == history.ids[0] and settings["settings"]["num_per_kind"] == 20
    path.write_text(path.read_text().replace('"line": ', '"line": "x', 1))
    with pytest.raises(InputError, match=r"bench\.jsonl, line 1"):
        read_bench(path)
    with pytest.raises(InputError, match=r"none\.jsonl cannot be read"):
        read_bench(tmp_path / "none.jsonl")


def test_what_cannot_be_built_is_said(make_history):
    history = make_history()
    history.commit({"a.txt": "one line\n", "b": "c\n"}, day=1)
    with pytest.raises(
        InputError, match=r"no place to fill in at .*: 1 files were read, and left out were .*unknown"
    ):
        build_bench(history.write(), BenchSettings())
    with pytest.raises(InputError, match=r"no kind of place 'lines' .*did you mean 'line'"):
        BenchSettings(kinds=("lines",))
    with pytest.raises(InputError, match=r"no language 'pyton' .*did you mean 'python'"):
        FileLimits(languages=("pyton",))
    with pytest.raises(InputError, match="max_per_file is 0"):
        BenchSettings(max_per_file=0)
