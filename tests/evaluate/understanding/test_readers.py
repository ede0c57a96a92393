"""Published files become labeled texts, and bad ones an error with its place."""

import json

import pytest

from spanmix.errors import InputError
from spanmix.evaluate.understanding.examples import PARTS, LabeledText, limited
from spanmix.evaluate.understanding.readers import READERS, has_set, read_boolq, read_clones, read_defects

DEVIGN = {
    "project": "qemu",
    "commit_id": "aa1530dec499f7525d2ccaa0e3a876dc8089ed1e",
    "target": 1,
    "func": "static void filter(int n)\n{\n    run(n);\n}\n",
}
BOOLQ = {"question": "is it wet", "title": "Water", "answer": True, "passage": "Water is a fluid."}


def write_lines(path, *rows):
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), "utf-8")


def defect(n, target, **more):
    return {**DEVIGN, "func": f"int f{n}(void);", "target": target, "idx": n, "commit_id": f"c{n}", **more}


def write_defects(folder):
    for part in PARTS:
        write_lines(folder / f"{part}.jsonl", defect(0, 0), defect(1, 1))


def write_clones(folder):
    write_lines(folder / "data.jsonl", *({"func": f"void f{n}();", "idx": str(n + 7)} for n in range(3)))
    for part in PARTS:
        write_lines(folder / f"{part}.txt", "7\t8\t0", "8\t9\t1")


def write_boolq(folder):
    rows = [{**BOOLQ, "answer": n % 2 == 0, "passage": f"Passage {n // 2}."} for n in range(200)]
    write_lines(folder / "train.jsonl", *rows)
    write_lines(folder / "dev.jsonl", BOOLQ, {**BOOLQ, "answer": False})


def test_devign_in_three_files(tmp_path):
    write_defects(tmp_path)
    write_lines(
        tmp_path / "test.jsonl", DEVIGN, defect(1, 0, commit_id=""), defect(2, True, path="a.py", fault="x")
    )
    found = read_defects(tmp_path)
    assert found.test == (
        LabeledText("test-0", (DEVIGN["func"],), 1, DEVIGN["commit_id"]),
        LabeledText("test-1", ("int f1(void);",), 0, "test-1"),
        LabeledText("test-2", ("int f2(void);",), 1, "a.py", "x"),
    )
    assert found.num_read == {"train": 2, "valid": 2, "test": 3}
    assert has_set(tmp_path)


def test_devign_in_one_array_with_numbers_beside(tmp_path):
    (tmp_path / "function.json").write_text(json.dumps([defect(n, n % 2) for n in range(7)]))
    write_lines(tmp_path / "train.txt", "3", "0", "6")
    write_lines(tmp_path / "valid.txt", "1", "2")
    write_lines(tmp_path / "test.txt", "5", "4")
    found = read_defects(tmp_path)
    assert [example.texts[0] for example in found.train] == [f"int f{n}(void);" for n in (3, 0, 6)]
    assert [example.label for example in found.test] == [1, 0]


def test_bigclonebench(tmp_path):
    write_clones(tmp_path)
    found = read_clones(tmp_path)
    assert found.test == (
        LabeledText("7-8", ("void f0();", "void f1();"), 0, "7"),
        LabeledText("8-9", ("void f1();", "void f2();"), 1, "8"),
    )


def test_boolq_keeps_a_passage_in_one_part(tmp_path):
    write_boolq(tmp_path)
    found = read_boolq(tmp_path)
    assert found.test[0].texts == ("Water -- Water is a fluid.", "is it wet?")
    assert [example.label for example in found.test] == [1, 0]
    learned, chosen_by = ({example.group for example in part} for part in (found.train, found.valid))
    assert not learned & chosen_by
    assert len(found.train) + len(found.valid) == 200 and 4 < len(found.valid) < 50
    (tmp_path / "dev.jsonl").rename(tmp_path / "val.jsonl")
    assert read_boolq(tmp_path).test == tuple(
        LabeledText(e.name.replace("dev", "val"), e.texts, e.label, e.group) for e in found.test
    )


def test_a_part_is_limited_the_same_way_each_time(tmp_path):
    write_boolq(tmp_path)
    whole = read_boolq(tmp_path)
    few = limited(whole, 40, seed=3)
    assert few == limited(whole, 40, seed=3) != limited(whole, 40, seed=4)
    assert len(few.train) == 40 and few.test == whole.test and few.num_read == whole.num_read
    places = [whole.train.index(example) for example in few.train]
    assert places == sorted(set(places)) and places != list(range(40))
    assert limited(whole, 0, seed=3) is whole


WRITERS = {"defects": write_defects, "clones": write_clones, "boolq-tuned": write_boolq}
BAD = [
    ("defects", "test.jsonl", None, r"test.jsonl is missing"),
    ("defects", "valid.jsonl", [{"target": 1}], r"valid.jsonl, line 1 has no func"),
    ("defects", "train.jsonl", [defect(0, 0), defect(1, 2)], r"line 2 has target 2; a target is 0 or 1"),
    ("defects", "train.jsonl", [defect(0, "1")], r"line 1 has target.* '1'"),
    ("defects", "train.jsonl", ["{"], r"line 1 is not JSON"),
    ("defects", "train.jsonl", [""], r"train of defects has 0 examples of label 0 and 0 of label 1"),
    ("defects", "test.jsonl", [defect(0, 1)], r"test of defects has 0 .* label 0 and 1 of label 1"),
    ("defects", "function.json", ["{}"], r"function.json, line 1 has no func"),
    ("clones", "data.jsonl", None, r"data.jsonl is missing"),
    ("clones", "test.txt", None, r"test.txt is missing"),
    ("clones", "test.txt", ["7\t8\t0", "7\t11\t1"], r"line 2 names the function '11'"),
    ("clones", "test.txt", ["7 8 0"], r"line 1 is '7 8 0'; a line is idx1, idx2 and 0 or 1, with tabs"),
    ("clones", "test.txt", ["7\t8\t-1"], r"a line is idx1, idx2 and 0 or 1"),
    ("clones", "data.jsonl", [{"func": "x", "idx": 7}] * 2, r"line 2 has idx 7, which an earlier line has"),
    ("clones", "data.jsonl", [{"func": "x"}], r"line 1 has no idx"),
    ("boolq-tuned", "dev.jsonl", None, r"neither dev.jsonl nor val.jsonl"),
    ("boolq-tuned", "train.jsonl", None, r"train.jsonl is missing"),
    ("boolq-tuned", "train.jsonl", [{"question": "q", "passage": "p"}], r"neither answer nor label"),
]


@pytest.mark.parametrize(("task", "name", "rows", "told"), BAD)
def test_what_is_wrong_is_told_with_file_line_and_field(tmp_path, task, name, rows, told):
    WRITERS[task](tmp_path)
    assert READERS[task](tmp_path).task == task
    if rows is None:
        (tmp_path / name).unlink()
    else:
        write_lines(tmp_path / name, *rows)
    with pytest.raises(InputError, match=told):
        READERS[task](tmp_path)


def test_a_number_behind_the_array_is_told(tmp_path):
    (tmp_path / "function.json").write_text(json.dumps([defect(n, n % 2) for n in range(2)]))
    for part in PARTS:
        write_lines(tmp_path / f"{part}.txt", "0", "1")
    assert read_defects(tmp_path).num_read["test"] == 2
    for number in ("2", "-1", "x"):
        write_lines(tmp_path / "test.txt", "0", number)
        with pytest.raises(InputError, match=rf"line 2 is '{number}'; name an item .* 0 to 1"):
            read_defects(tmp_path)


def test_labels_and_texts_are_checked():
    with pytest.raises(ValueError, match="3 texts"):
        LabeledText("a", ("x", "y", "z"), 0, "a")
    with pytest.raises(ValueError, match="label is 2"):
        LabeledText("a", ("x",), 2, "a")
