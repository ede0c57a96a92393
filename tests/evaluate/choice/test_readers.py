"""Published files become lm-eval's prompts, letter by letter, and bad ones an error with its place."""

import gzip
import json

import pytest

from spanmix.errors import InputError
from spanmix.evaluate.choice.readers import ChoiceItem, read_boolq, read_items, read_piqa
from spanmix.evaluate.choice.summaries import read_xsum

PIQA = {
    "id": "1",
    "goal": "How do I ready a guinea pig cage?",
    "sol1": "Shred paper.",
    "sol2": "Shred jeans.",
}
HELLASWAG = {
    "ind": 24,
    "activity_label": "Roof shingle removal",
    "ctx_a": "A man is sitting on a roof.",
    "ctx_b": "he",
    "ctx": "A man is sitting on a roof. he",
    "endings": [
        "is using wrap.",
        "is ripping tiles [substeps] off  .",
        " holds a cube.",
        "starts. [title] Go",
    ],
    "label": 3,
}
WIKIHOW = {
    "activity_label": "Home and Garden",
    "ctx_a": "[header] How to clean [title] Rinse it. [step] Use  a hose.",
    "ctx_b": "",
    "endings": ["[substeps] A", "B"],
    "label": "0",
}
BOOLQ = {"question": "is it wet", "title": "Water", "answer": True, "passage": "Water is a fluid."}
SUPERGLUE = {"question": "is it wet", "passage": "Water -- Water is a fluid.", "idx": 0, "label": False}
LAMBADA = {"text": "“I know,” he said, and then\nhe  took the\thand of Ann"}


def lines(path, *rows):
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), "utf-8")
    return path


def test_piqa(tmp_path):
    path = lines(tmp_path / "valid.jsonl", PIQA, {**PIQA, "goal": "Go?"})
    lines(tmp_path / "valid-labels.lst", "1", "0")
    context = "Question: How do I ready a guinea pig cage?\nAnswer:"
    first = ChoiceItem("line 1", context, ("Shred paper.", "Shred jeans."), " ", 1)
    assert read_items("piqa", path) == [
        first,
        ChoiceItem("line 2", "Question: Go?\nAnswer:", *first_of(first), 0),
    ]
    other = lines(tmp_path / "mine", "0", "0")
    assert [item.gold for item in read_piqa(path, other)] == [0, 0]


def first_of(item):
    return item.answers, item.delimiter


def test_hellaswag(tmp_path):
    first, second = read_items("hellaswag", lines(tmp_path / "val.jsonl", HELLASWAG, "", WIKIHOW))
    assert first.context == "Roof shingle removal: A man is sitting on a roof. He"
    assert first.answers == ("is using wrap.", "is ripping tiles off .", "holds a cube.", "starts.. Go")
    assert (first.delimiter, first.gold, second.gold) == (" ", 3, 0)
    assert second.context == "Home and Garden: How to clean. Rinse it. Use a hose."
    assert second.answers == (" A", "B")
    assert second.name == "line 3"


def test_boolq_of_its_authors_and_of_superglue_are_the_same_question(tmp_path):
    path = lines(tmp_path / "dev.jsonl", BOOLQ, SUPERGLUE, {**SUPERGLUE, "label": 1})
    items = read_boolq(path)
    assert {item.context for item in items} == {"Water -- Water is a fluid.\nQuestion: is it wet?\nAnswer:"}
    assert [item.gold for item in items] == [1, 0, 1]
    assert {item.answers for item in items} == {("no", "yes")}


def test_lambada_asks_for_what_is_behind_the_last_space(tmp_path):
    path = tmp_path / "test.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(LAMBADA).encode() + b"\n" + b'{"text": "One"}'))
    first, second = read_items("lambada", path)
    assert first == ChoiceItem("line 1", LAMBADA["text"].removesuffix(" Ann"), ("Ann",), " ", 0)
    assert (second.context, second.answers) == ("", ("One",))


def test_xsum(tmp_path):
    path = lines(tmp_path / "test.jsonl", {"document": "Long.", "summary": "Short.", "id": "7"})
    assert read_xsum(path)[0].summary == "Short."


BAD = [
    ("piqa", [{**PIQA, "goal": None}], r"valid.jsonl, line 1 has goal None"),
    ("piqa", [PIQA, {"goal": "x", "sol1": "y"}], r"valid.jsonl, line 2 has no sol2"),
    ("piqa", [{**PIQA, "sol2": ""}], r"line 1: answer 1 is empty"),
    ("hellaswag", [{**HELLASWAG, "label": ""}], r"line 1 has label ''; .*val"),
    ("hellaswag", [{**HELLASWAG, "label": "9" * 5000}], r"line 1 has label '9{20}'; .*val"),
    ("hellaswag", [{**HELLASWAG, "label": 4}], r"line 1: the right answer is 4, of 4"),
    ("hellaswag", [{**HELLASWAG, "endings": ["x"]}], r"line 1 has endings"),
    ("hellaswag", [{**HELLASWAG, "endings": ["x", "[title]"], "label": 0}], r"line 1: answer 1 is empty"),
    ("hellaswag", [{"ctx": "x", "endings": ["a", "b"], "label": 0}], r"line 1 has no activity_label"),
    ("boolq", [BOOLQ, {"question": "q", "passage": "p"}], r"line 2 has neither answer nor label"),
    ("boolq", [{**SUPERGLUE, "label": -1}], r"line 1 has neither"),
    ("lambada", [LAMBADA, LAMBADA, {"text": "ends in a space "}], r"line 3: answer 0 is empty"),
    ("lambada", ["{"], r"valid.jsonl, line 1 is not JSON"),
    ("lambada", ["[]"], r"is empty"),
    ("lambada", [""], r"is empty"),
    ("xsum", [{"document": "x"}], r"line 1 has no summary"),
    ("xsum", [""], r"is empty"),
]


@pytest.mark.parametrize(("task", "rows", "told"), BAD)
def test_what_is_wrong_is_told_with_file_line_and_field(tmp_path, task, rows, told):
    path = lines(tmp_path / "valid.jsonl", *rows)
    lines(tmp_path / "valid-labels.lst", *["0"] * len(rows))
    with pytest.raises(InputError, match=told):
        read_xsum(path) if task == "xsum" else read_items(task, path)


def test_labels_that_do_not_belong_to_the_questions_are_refused(tmp_path):
    path = lines(tmp_path / "valid.jsonl", PIQA)
    with pytest.raises(InputError, match=r"absent\.jsonl is missing"):
        read_items("piqa", tmp_path / "absent.jsonl")
    with pytest.raises(InputError, match=r"valid-labels\.lst is missing"):
        read_piqa(path)
    with pytest.raises(InputError, match=r"1 questions and .* has 2 labels"):
        read_piqa(path, lines(tmp_path / "two", "0", "1"))
    with pytest.raises(InputError, match="two, line 1 is 'yes'; a label is 0 or 1"):
        read_piqa(path, lines(tmp_path / "two", "yes"))
    with pytest.raises(InputError, match=r"no task 'pica' \(did you mean 'piqa'\?\)"):
        read_items("pica", path)
    with pytest.raises(InputError, match=r"gone\.jsonl is missing"):
        read_items("boolq", tmp_path / "gone.jsonl")
