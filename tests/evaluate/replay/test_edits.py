"""Edits in order make the new text of the old one, and nobody is said to have typed what stood there."""

import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import LCSseq

from spanmix.evaluate.replay import lines as lines_module
from spanmix.evaluate.replay.edits import BLANKS, DELETED, TYPED, find_edits, squeezed
from spanmix.evaluate.replay.lines import changed_lines, common, is_telling, split_lines

PIECES = [
    "", "    ", "\t", "}", "    }", "def value_one(x):", "    return x + 1", "    return value_one(x)",
    "if total > 0:", "import os", "größe = 'ä☃'", "@property", "    print(name, index)", "x", "\x0c",
    "# \u2028 end",
]  # fmt: skip
ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n"])


@st.composite
def texts(draw):
    lines = draw(st.lists(st.tuples(st.sampled_from(PIECES), ENDS), max_size=14))
    text = "".join(line + end for line, end in lines)
    return text.removesuffix("\n") if draw(st.booleans()) else text


@st.composite
def histories(draw):
    """An old text, and what some edits of a person or a tool made of it."""
    old = draw(texts())
    lines = split_lines(old)
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, len(lines)))
        count = draw(st.integers(0, 3))
        action = draw(st.sampled_from(["insert", "delete", "indent", "word", "ends", "move", "copy", "bare"]))
        chosen = lines[place : place + count]
        if action == "insert":
            lines[place:place] = split_lines(draw(texts()))
        elif action == "delete":
            del lines[place : place + count]
        elif action == "indent":
            lines[place : place + count] = ["    " + line for line in chosen]
        elif action == "word":
            changed = [re.sub(r"\w+$|x", draw(st.sampled_from(["y", "name", ""])), line) for line in chosen]
            lines[place : place + count] = [line for line in changed if line]
        elif action == "ends":
            lines = [line.removesuffix("\n").removesuffix("\r") + "\r\n" for line in lines]
        elif action == "move":
            del lines[place : place + count]
            at = draw(st.integers(0, len(lines)))
            lines[at:at] = chosen
        elif action == "copy":
            lines[place:place] = chosen
        elif lines:
            lines[-1] = lines[-1].removesuffix("\n")
    # A line without its end in the middle is no line.
    return old, "".join(line if line.endswith("\n") else line + "\n" for line in lines[:-1]) + "".join(
        lines[-1:]
    )


def check_edits(old, new):
    """Apply the edits one by one as an editor would, and look at the state before and after each."""
    edits = find_edits(old, new)
    text, shift = old, 0
    for edit in edits:
        removed, added = old[edit.old_start : edit.old_stop], new[edit.new_start : edit.new_stop]
        start = edit.old_start + shift
        assert start == edit.new_start, "an edit begins where the earlier ones have moved it to"
        assert text[start : start + len(removed)] == removed and removed != added
        text = text[:start] + added + text[start + len(removed) :]
        shift += len(added) - len(removed)
        assert text[: edit.new_stop] == new[: edit.new_stop] and text[edit.new_stop :] == old[edit.old_stop :]
        if edit.kind == BLANKS:
            assert squeezed(removed) == squeezed(added)
        elif edit.kind == DELETED:
            assert not added.strip() and removed.strip()
        else:
            assert edit.kind == TYPED and added.strip() and squeezed(removed) != squeezed(added)
    assert text == new
    return edits


def test_all_edits_in_order_make_the_new_text():
    met = Counter()

    @given(st.one_of(histories(), st.tuples(texts(), texts())))
    def check(pair):
        old, new = pair
        edits = check_edits(old, new)
        assert (edits == []) == (old == new)
        met.update(edit.kind for edit in edits)
        met["several"] += len(edits) > 2
        met["adjacent"] += any(one.old_stop == two.old_start for one, two in pairwise(edits))
        met["inside a line"] += any(new[: edit.new_start][-1:] not in ("", "\n") for edit in edits)
        met["line ends differ"] += "\r\n" in old + new and "\n" in (old + new).replace("\r\n", "")
        met["no end at the end"] += old[-1:] not in ("", "\n") or new[-1:] not in ("", "\n")
        met["from nothing"] += not old and bool(new)
        met["to nothing"] += bool(old) and not new
        met["none"] += not edits

    check()
    assert len(met) == 11 and min(met.values()) >= 5, met


@given(st.text("ab_ (\r\n", max_size=30), st.text("ab_ (\r\n", max_size=30))
def test_any_two_texts(old, new):
    for edit in check_edits(old, new):
        for text, start, stop in ((old, edit.old_start, edit.old_stop), (new, edit.new_start, edit.new_stop)):
            for place in (start, stop):
                around = text[max(0, place - 1) : place + 1]
                assert around != "\r\n" and not re.fullmatch(r"\w\w", around), (old, new, edit)


def typed(old, new):
    return [new[edit.new_start : edit.new_stop] for edit in check_edits(old, new) if edit.kind == TYPED]


EXAMPLES = {
    "an argument": ("x = f(a)\n", "x = f(a, b)\n", [", b"]),
    "a word": ("return alpha + 1\n", "return beta + 1\n", ["beta"]),
    "the end of a word": ("import name\n", "import names\n", ["names"]),
    "a new if around lines": (
        "def f():\n    first(a)\n    second(b)\n",
        "def f():\n    if a:\n        first(a)\n        second(b)\n",
        ["    if a:\n"],
    ),
    "lines edited in place": (
        "A = (1, 'one')\nB = (2, 'two')\nC = (3, 'three')\n",
        "A = (1, 'one', 9)\nB = (2, 'two', 9)\nC = (3, 'three', 9)\n",
        [", 9", ", 9", ", 9"],
    ),
    "a line for several": (
        "def f(x):\n    return slow(x)\n",
        "def f(x):\n    y = fast(x)\n    check(y)\n    return y\n",
        ["    y = fast(x)\n    check(y)\n", "y"],
    ),
    "an argument and a line": ("x = f(a)\nend\n", "x = f(a, b)\nprint(x)\nend\n", [", b", "print(x)\n"]),
    "behind the last line": ("a = 1", "a = 1\nb = 2\n", ["b = 2\n"]),
    "line ends": ("a = 1\nb = 2\n", "a = 1\r\nb = 2\r\n", []),
    "a new file": ("", "a = 1\nb = 2\n", ["a = 1\nb = 2\n"]),
    "a function between two": (
        "def a():\n    return 1\n\n\ndef c():\n    return 1\n",
        "def a():\n    return 1\n\n\ndef b():\n    return 1\n\n\ndef c():\n    return 1\n",
        ["def b():\n    return 1\n\n\n"],
    ),
    "a method behind its decorator": (
        "class A:\n\n    @property\n    def a(self):\n        return 1\n",
        "class A:\n\n    @property\n    def z(self):\n        return 1\n\n"
        "    @property\n    def a(self):\n        return 1\n",
        ["    @property\n    def z(self):\n        return 1\n\n"],
    ),
    "a block with braces": (
        "if (a) {\n  one();\n}\nend();\n",
        "if (a) {\n  one();\n}\nif (b) {\n  two();\n}\nend();\n",
        ["if (b) {\n  two();\n}\n"],
    ),
    "a rewritten body is one place": (
        "def f():\n    alpha = 1\n\n    beta = 22\n",
        "def f():\n    while True:\n        gamma()\n\n    other.call(3, 4, 5, 6)\n",
        ["    while True:\n        gamma()\n\n    other.call(3, 4, 5, 6)\n"],
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_was_typed(name):
    old, new, wanted = EXAMPLES[name]
    assert typed(old, new) == wanted


def longest(one, other):
    rows = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            rows[i + 1][j + 1] = rows[i][j] + 1 if a == b else max(rows[i][j + 1], rows[i + 1][j])
    return rows[-1][-1]


@given(
    st.lists(st.sampled_from(["a", "b", "c", None]), max_size=12),
    st.lists(st.sampled_from(["a", "b", "c", None]), max_size=12),
)
def test_common_lines_are_a_longest_common_subsequence(old, new):
    pairs = common(old, new)
    assert all(old[i] == new[j] is not None for i, j in pairs)
    assert pairs == sorted(pairs) and len(set(dict(pairs))) == len({j for _, j in pairs}) == len(pairs)
    # A line of one side that is equal to nothing.
    assert len(pairs) == longest([i or 1 for i in old], [i or 2 for i in new])


@given(st.lists(st.sampled_from(PIECES), max_size=15), st.lists(st.sampled_from(PIECES), max_size=15))
def test_lines_outside_the_changes_are_equal(old, new):
    old, new = ([line + "\n" for line in lines] for lines in (old, new))
    old_at = new_at = 0
    for change in changed_lines(old, new):
        assert change.old_stop > change.old_start or change.new_stop > change.new_start
        assert old[old_at : change.old_start] == new[new_at : change.new_start]
        old_at, new_at = change.old_stop, change.new_stop
    assert old[old_at:] == new[new_at:]


def test_too_many_lines_to_compare_are_one_change(monkeypatch):
    old = "".join(f"old_line_{n}\nsame_{n}\n" for n in range(40))
    new = "".join(f"new_line_{n}\nsame_{n}\n" for n in range(40))
    assert len(check_edits(old, new)) == 40
    monkeypatch.setattr(lines_module, "_MAX_CELLS", 1000)
    assert len(changed_lines(split_lines(old), split_lines(new))) == 1
    check_edits(old, new)


def test_a_large_rewrite_is_compared_in_full():
    old = [f"line {n * n % 977}" for n in range(5000)]
    new = [f"line {n * n % 983}" for n in range(5000)]
    assert len(common(old, new)) == LCSseq.similarity(old, new) > 500


def test_what_says_nothing_by_itself():
    assert [is_telling(line) for line in ("line 1", "else:", "});", "", "  x =")] == [
        True,
        True,
        False,
        False,
        False,
    ]
