"""Local sets are balanced, and no part knows anything of another."""

import json
from collections import Counter

import pytest

from spanmix.errors import InputError
from spanmix.evaluate.understanding import local_clones
from spanmix.evaluate.understanding.examples import PARTS
from spanmix.evaluate.understanding.functions import Function, functions_of, normal_form
from spanmix.evaluate.understanding.local_sets import make_local_set
from spanmix.evaluate.understanding.python_files import (
    FOLDER_SHARES,
    HELD_OUT_SHARES,
    MAX_FUNCTIONS_PER_FILE,
    PythonFile,
    PythonFiles,
    corpus_files,
    distinct_functions,
    folder_files,
    part_of,
)
from spanmix.evaluate.understanding.rewriting import Rewritten
from spanmix.text.corpus import Corpus

SEEDS = range(2)


def made(task, folder, place, seed=0, most=0):
    return make_local_set(task, folder_files(folder, seed), place, "the folder", seed, most)


def files_of(examples):
    return {example.group for example in examples}


@pytest.mark.parametrize("task", ["defects", "clones"])
def test_parts_share_no_file_and_no_function(task, made_up_folder, tmp_path):
    compared = 0
    for seed in SEEDS:
        examples = made(task, made_up_folder, tmp_path / f"{seed}", seed)
        for part in PARTS:
            for other in PARTS[: PARTS.index(part)]:
                one_side, other_side = examples.part(part), examples.part(other)
                assert not files_of(one_side) & files_of(other_side)
                forms = [
                    {normal_form(text) for example in side for text in example.texts}
                    for side in (one_side, other_side)
                ]
                assert not forms[0] & forms[1]
                compared += len(forms[0]) * len(forms[1])
    assert compared > 5_000


@pytest.mark.parametrize("task", ["defects", "clones"])
def test_half_of_each_part_is_of_each_label(task, made_up_folder, tmp_path):
    for seed in SEEDS:
        for most in (0, 20):
            examples = made(task, made_up_folder, tmp_path / f"{seed}-{most}", seed, most)
            for part in PARTS:
                labels = Counter(example.label for example in examples.part(part))
                assert labels[0] == labels[1] > 0
                assert not most or labels[0] + labels[1] <= most
            assert len(examples.train) >= (20 if most else 60)


@pytest.mark.parametrize("task", ["defects", "clones"])
def test_the_same_seed_makes_the_same_files(task, made_up_folder, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        made(task, made_up_folder, tmp_path / name, seed)
    first, again, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "abc"
    )
    assert first == again and first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


def test_a_functions_place_depends_on_no_other_file(made_up_folder):
    [group] = folder_files(made_up_folder, 7)
    whole = {file.path: file.part for file in group.files}
    assert set(whole.values()) == set(PARTS)
    for kept in (whole.keys(), sorted(whole)[::3], sorted(whole)[5:9]):
        files = [file for file in group.files if file.path in kept]
        found = distinct_functions([PythonFiles(PARTS, files)], 1, 2000, 0)
        for part in PARTS:
            assert {function.path for function in found[part]} == {p for p in kept if whole[p] == part}


def test_parts_have_their_shares():
    for shares in (FOLDER_SHARES, HELD_OUT_SHARES):
        counts = Counter(part_of(f"x = {n}", shares, seed=3) for n in range(4000))
        for part, share in shares.items():
            assert abs(counts[part] / 4000 - share) < 0.03


def test_a_defect_is_a_fault_of_the_function_that_stands_in_the_file(made_up_folder, tmp_path):
    made("defects", made_up_folder, tmp_path / "set")
    kinds = Counter()
    for part in PARTS:
        rows = [json.loads(line) for line in (tmp_path / "set" / f"{part}.jsonl").read_text().splitlines()]
        for row in rows:
            path = next(made_up_folder.rglob(row["path"].rpartition("/")[2]))
            [original] = [f for f in functions_of(path.read_text(), "") if f.line == row["line"]]
            assert (row["func"] != original.text) == bool(row["target"])
            assert (row["fault"] is not None) == bool(row["target"])
            kinds[row["fault"]] += 1
    assert len(kinds) > 5 and kinds[None] > 40
    told = json.loads((tmp_path / "set" / "made.json").read_text())
    assert sum(told["functions"].values()) == sum(kinds.values())
    assert sum(told["faults"]["train"].values()) * 2 == told["functions"]["train"]


def test_no_side_of_a_pair_tells_its_label(made_up_folder, tmp_path):
    examples = made("clones", made_up_folder, tmp_path / "set")
    for part in PARTS:
        for side in (0, 1):
            labels = {}
            for example in examples.part(part):
                labels.setdefault(example.texts[side], []).append(example.label)
            assert all(sorted(found) == [0, 1] for found in labels.values())
    pairs = {example.texts for example in examples.train if example.label}
    assert all(one != other for one, other in pairs)


def test_partners_are_of_like_length_and_preferably_of_the_same_file():
    copies = []
    for n in range(200):
        function = Function(f"{n // 8 % 9}.py", n, f"def f():\n    return {n}\n")
        copies.append((function, Rewritten("x" * (100 + 3 * n % 700), {}, 0, 0)))
    found = local_clones._neighbors(copies, 0)
    assert sorted(other for _, _, other in found) == list(range(200))
    lengths = [len(copy.text) for _, copy, _ in found]
    ratios = [lengths[n] / lengths[other] for n, (_, _, other) in enumerate(found)]
    assert all(n != other for n, (_, _, other) in enumerate(found))
    assert min(ratios) > 0.6 and max(ratios) < 1.7
    assert sum(0.9 < ratio < 1.1 for ratio in ratios) > 130
    same = sum(found[n][0].path == found[other][0].path for n, (_, _, other) in enumerate(found))
    assert same > 10


def test_of_a_corpus_what_is_held_out_is_tested(corpus_folder):
    corpus = Corpus.open(corpus_folder)
    held_out, learned = corpus_files(corpus, seed=1)
    assert held_out.parts == ("valid", "test") and learned.parts == ("train",)
    tested = {file.path: file for file in held_out.files}
    trained = {file.path: file for file in learned.files}
    assert len(tested) >= 4 and len(trained) >= 20 and not tested.keys() & trained.keys()
    assert {file.part for file in trained.values()} == {"train"}
    expected = {f"{s.name}/{s.path(n)}" for s in corpus.held_out.values() for n in range(len(s))}
    assert tested.keys() == expected


def test_a_long_file_gives_no_more_than_others():
    text = "".join(f"def f{n}(a, b):\n    return a * {n} + b\n\n\n" for n in range(100))
    group = PythonFiles(("train",), [PythonFile("a.py", text, "train")] * 3)
    assert len(distinct_functions([group], 1, 99, 0)["train"]) == MAX_FUNCTIONS_PER_FILE
    assert len(distinct_functions([group], 1, 30, 0)["train"]) < 12
    assert len(distinct_functions([group, group], 1, 99, 5)["train"]) == MAX_FUNCTIONS_PER_FILE


def test_functions_are_taken_out_of_files_as_they_stand():
    text = (
        "@cache\ndef f(a):\n    def g():\n        pass\n    return g\n\nif 1:\n    async def h(): return 1\n"
        "class A:\n\tclass B:\n\t\tdef m(self):\n\t\t\treturn '''\n\t\tx'''\n\ndef k(): pass; x = 1\n"
    )
    found = [(function.line, function.text) for function in functions_of(text.replace("\n", "\r\n"), "a.py")]
    assert found == [
        (2, "def f(a):\n    def g():\n        pass\n    return g\n"),
        (8, "async def h(): return 1\n"),
        (11, "def m(self):\n\treturn '''\nx'''\n"),
        (15, "def k(): pass; x = 1\n"),
    ]
    assert list(functions_of("def f(:\n", "a.py")) == list(functions_of("x\0", "a.py")) == []


def test_too_little_code_is_told(tmp_path, corpus_folder):
    (tmp_path / "code").mkdir()
    with pytest.raises(InputError, match="has no Python files"):
        folder_files(tmp_path / "code", 0)
    (tmp_path / "code" / "a.py").write_text("def f(a, b):\n    return a < b\n")
    with pytest.raises(InputError, match=r"the folder has too few Python functions for clones: .*0 examples"):
        made("clones", tmp_path / "code", tmp_path / "set")
    with pytest.raises(InputError, match="too few Python functions for defects"):
        make_local_set("defects", corpus_files(Corpus.open(corpus_folder), 0), tmp_path / "set", "x")
