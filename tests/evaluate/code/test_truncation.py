"""A rule cuts as the tool does that it is named after, and says when no more text can change the cut."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.codegen.tokenization_codegen import CodeGenTokenizer

from spanmix.errors import InputError
from spanmix.evaluate.code.problem import AssertCheck, ExitCheck
from spanmix.evaluate.code.truncation import RULES, Mark, own_stop, rule_for, rule_named

CARD = [r"\n\n^#", "^'''", "\n\n\n"]
"""``truncate_before_pattern`` of the model cards of CodeGen and CodeGen2."""

PIECES = ["\n", "\n\n", "#", "'''", "''", '"""', "print", "prin", "def", "de", "class", "if", "@", "assert"]
PIECES += ["```", " ", "    ", "return 1", "x", "(", "import", "from", "_", "<", "|", "/", "main", "}", "ü"]
LINES = ["    return 1\n", "print(1)\n", "def f():\n", "\n", "# c\n", "''", "'''\n", "prin", "x = 1\n"]
texts = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=8, max_size=24).map("".join),
    st.lists(st.sampled_from(LINES), min_size=3, max_size=9).map("".join),
)


def test_codegen_cuts_as_transformers_does():
    met = Counter()

    @given(texts)
    def check(text):
        # It looks at nothing of the tokenizer, so it needs none.
        theirs = CodeGenTokenizer.truncate(None, text, CARD)
        assert rule_named("codegen").cut(text) == theirs
        lines = [line for line in text.split("\n") if line.startswith(("print", "def"))]
        met["cut"] += theirs != text
        met["second print or def"] += theirs != text and len(lines) > 1
        met["not cut"] += theirs == text
        met["at the very beginning"] += theirs == "" != text

    check()
    assert min(met.values()) >= 15, met


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("    return 1\n\n\n\ndef", "    return 1"),
        ("    a\n\n# next\n", "    a"),
        ("    a\n# near\n", "    a\n# near\n"),
        ("    a\n'''doc'''", "    a\n"),
        ("    a\n\ndef g():\n    b\n\ndef h():\n    c", "    a\n\ndef g():\n    b\n\n"),
        ("    a\nprint(1)\nprint(2)\n", "    a\nprint(1)\n"),
        ("    print(1)\n    print(2)\n", "    print(1)\n    print(2)\n"),
    ],
)
def test_codegen_spelled_out(text, cut):
    assert rule_named("codegen").cut(text) == cut


def first_stop(text, stop):
    """bigcode-evaluation-harness's way: everything ahead of the first stop word."""
    return min((text.split(word, 1)[0] for word in stop), key=len)


EVALPLUS = ["<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint("]
STOP = {
    "human-eval": ["\nclass", "\ndef", "\n#", "\nif", "\nprint"],
    "bigcode-humaneval": ["\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\n```", "<file_sep>"],
    "bigcode-mbpp": ["\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n<|/", "\n```"],
    "evalplus": [*EVALPLUS, "\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "],
    "evalplus-mbpp": [*EVALPLUS, '\n"""', "\nassert"],
}


def test_no_rule_of_stop_strings_is_forgotten():
    assert set(STOP) == set(RULES) - {"none", "codegen"}


@pytest.mark.parametrize("name", STOP)
def test_stop_strings_cut_ahead_of_the_first_one(name):
    met = Counter()

    @given(texts, st.data())
    def check(text, data):
        for _ in range(data.draw(st.integers(0, 2))):
            place = data.draw(st.integers(0, len(text)))
            text = text[:place] + data.draw(st.sampled_from(STOP[name])) + text[place:]
        expected = first_stop(text, STOP[name])
        assert rule_named(name).cut(text) == expected
        met["cut"] += expected != text
        met["not cut"] += expected == text
        met["several"] += sum(text.count(word) for word in STOP[name]) > 1

    check()
    assert min(met.values()) >= 15, met


def test_a_cut_that_is_final_stays_whatever_follows():
    """Also with marks that overlap: a longer one may begin earlier, and end later, than one that is there."""
    met = Counter()
    nested = own_stop(["\n}\n\nif", "}\n", "x(x", "("])
    near = st.text("\n}x(if", min_size=1, max_size=9)

    @given(st.one_of(texts, near), st.one_of(texts, near), st.sampled_from([*RULES, *["multipl-e"] * 7]))
    def check(text, more, name):
        rule = nested if name == "multipl-e" else rule_named(name)
        if rule.is_final(text):
            assert rule.cut(text) != text and rule.cut(text + more) == rule.cut(text)
            met["final"] += 1
        elif rule.cut(text) != text:
            # It waits for a mark that may have begun earlier, and for no longer than that mark is.
            met["waits"] += 1
            longest = max(len(mark.text) for mark in rule.marks)
            assert rule.is_final(text + "~" * longest)
        else:
            met["not cut"] += 1

    check()
    assert min(met.values()) >= 5 and met["final"] >= 40, met
    assert not nested.is_final("a\n}\n\ni") and nested.cut("a\n}\n\nif") == "a"
    earlier = own_stop(["abcd", "bc"])
    assert not earlier.is_final("xabc") and earlier.cut("xabc") == "xa" and earlier.cut("xabcd") == "x"
    assert earlier.is_final("xabcx") and earlier.cut("xabcx") == "xa"


def test_a_server_may_end_at_the_stop_strings_and_the_answer_is_the_same():
    met = Counter()

    @given(texts, st.sampled_from(sorted(RULES)))
    def check(text, name):
        rule = rule_named(name)
        stop = rule.stop_strings
        at_server = first_stop(text, stop) if stop else text
        assert rule.cut(at_server) == rule.cut(text)
        met["ended"] += at_server != text

    check()
    assert met["ended"] >= 15 and rule_named("codegen").stop_strings == ("\n\n#", "\n\n\n")


def test_nothing_is_cut_by_none():
    text = "\n\n\n# x\n\ndef f():\nprint()\nprint()\n<|endoftext|>"
    assert rule_named("none").cut(text) == text and not rule_named("none").is_final(text)


def test_a_mark_counts_its_places():
    assert [Mark("a", nth=nth).find("xaaxa") for nth in (1, 2, 3, 4)] == [1, 2, 4, -1]
    assert Mark("a", line_start=True).find("xa\na") == 3 and Mark("a", line_start=True).find("ax") == 0


def test_auto_is_what_suits_the_problem(make_problem):
    assert rule_for(make_problem("T/0")).name == "codegen"
    assert rule_for(make_problem("T/0", suffix="")).name == "none"
    assert rule_for(make_problem("T/0", check=AssertCheck("", ("assert True",)))).name == "bigcode-mbpp"
    assert rule_for(make_problem("Mbpp/2")).name == "bigcode-mbpp"
    multiple = make_problem("T/0", check=ExitCheck("sh", ""), stop=("\n}", "\nend"))
    assert rule_for(multiple).name == "multipl-e"
    assert rule_for(multiple).cut("a\nend\n}") == "a"
    assert rule_for(make_problem("T/0", suffix=""), "human-eval").name == "human-eval"
    with pytest.raises(InputError, match=r"no truncation rule 'codgen' \(did you mean 'codegen'"):
        rule_for(make_problem("T/0"), "codgen")
