"""A fault changes what a function does, at one place, and nothing else of its text."""

import ast
from collections import Counter

import pytest

from spanmix.evaluate.understanding.fault_sites import FINDERS
from spanmix.evaluate.understanding.faults import sites_of, with_fault
from spanmix.evaluate.understanding.functions import Function, normal_form
from spanmix.evaluate.understanding.source_text import edited, parse

# A function of one argument or two, a call of it, and what each kind may make of its last lines.
KINDS = {
    "comparison": (
        "    return [x for x in a if x  <  3]  # few\n",
        "f([2, 3, 4])",
        [("  <  ", "  <=  "), ("  <  ", "  >  ")],
    ),
    "off_by_one": ("    return a[ 1 : ]\n", "f([1, 2, 3])", [("1", "0"), ("1", "2")]),
    "operator": ("    return (a)+(2)\n", "f(5)", [("+", "-")]),
    "name": ("    return abs(a)\n", "f(1)", [("(a)", "(b)")]),
    "condition": ("    if  a :\n        return 1\n    return 3\n", "f(0)", [("  a ", "  not a ")]),
    "dropped": (
        "    a.append(1)  # one more\n\n    return len(a)\n",
        "f([])",
        [("    a.append(1)  # one more\n", ""), ("    return len(a)\n", "")],
    ),
    "arguments": ("    return pow(a,  b)\n", "f(3)", [("a,  b", "b,  a")]),
    "constant": ("    return  True\n", "f(0)", [("True", "False")]),
}


def outcome(text, call):
    names = {}
    try:
        exec(text, names)
        return repr(eval(call, names))
    except Exception as error:
        return repr(error)


@pytest.mark.parametrize("kind", FINDERS)
def test_each_kind_does_what_it_says_and_changes_the_outcome(kind):
    body, call, expected = KINDS[kind]
    text = f"def f(a, b=2):\n{body}"
    made = {edited(text, site) for site in sites_of(text)[kind]}
    assert made == {f"def f(a, b=2):\n{body.replace(*change)}" for change in expected}
    for other in made:
        assert outcome(other, call) != outcome(text, call)


def test_the_opposite_of_a_condition_loses_its_not():
    [site] = sites_of("def f(a):\n    while not a.done:\n        a.step()\n")["condition"]
    assert edited("def f(a):\n    while not a.done:\n        a.step()\n", site) == (
        "def f(a):\n    while a.done:\n        a.step()\n"
    )


LEFT_ALONE = [
    ("name", "def f(self, a):\n    return a\n"),  # nobody confuses these two
    ("name", "def f(a):\n    b = a\n    return b\n"),  # one is the other
    ("name", "def f(a):\n    return a\n    b = 1\n"),  # has no value yet
    ("name", "def f(a):\n    global b\n    b = 1\n    return a\n"),
    ("operator", "def f(a):\n    return 'x: ' + a\n"),
    ("operator", "def f(a):\n    return 'x: %s' % a\n"),
    ("operator", "def f(a: int | None, *, b=1 + 1):\n    c: int | None = a\n    return c\n"),
    ("off_by_one", "def f(a):\n    return g(a, 80)\n"),
    ("off_by_one", "def f(a):\n    return a[0x10]\n"),
    ("dropped", "def f(a):\n    '''Doc.'''\n    return a\n"),
    ("dropped", "def f(a):\n    g(a)\n    return\n"),
    ("dropped", "def f(a):\n    x = 1; g(a)\n"),
    ("arguments", "def f(a):\n    return g(a, a), max(a, 1), g(*a, 1), g(a, b=1)\n"),
    ("condition", "def f(a):\n    if a == 1:\n        g()\n"),
    ("comparison", "def f(a):\n    return f'{a < 1}'\n"),
]


@pytest.mark.parametrize(("kind", "text"), LEFT_ALONE)
def test_what_would_be_no_fault_or_an_obvious_one_is_left_alone(kind, text):
    found = sites_of(text).get(kind, [])
    if (kind, text) == ("dropped", "def f(a):\n    g(a)\n    return\n"):
        assert [edited(text, site) for site in found] == ["def f(a):\n    return\n"]
    else:
        assert found == []


def test_a_fault_is_at_one_place_and_python_understands_it(library_functions):
    kinds = Counter()
    for function in library_functions:
        faulty = with_fault(function, seed=5)
        if faulty is None:
            kinds[None] += 1
            continue
        assert faulty == with_fault(function, seed=5)
        kinds[faulty.kind] += 1
        tree = parse(faulty.text)
        assert tree is not None and len(tree.body) == 1
        assert ast.dump(tree) != ast.dump(parse(function.text))
        assert normal_form(faulty.text) != function.form
        was, now = function.text.split("\n"), faulty.text.split("\n")
        if faulty.kind == "dropped":
            gone = len(was) - len(now)
            assert gone > 0 and was[: faulty.line - 1] + was[faulty.line - 1 + gone :] == now
            continue
        if faulty.kind == "arguments":
            assert sorted(function.text) == sorted(faulty.text)
            continue
        [line] = [n for n, (one, other) in enumerate(zip(was, now, strict=True), 1) if one != other]
        assert line == faulty.line
        if faulty.kind != "name":
            assert abs(len(was[line - 1]) - len(now[line - 1])) <= len("not ")
    assert all(kinds[kind] >= 3 for kind in FINDERS), kinds
    assert kinds[None] < len(library_functions) / 4


def test_every_place_of_a_function_is_found_in_time():
    seen = Counter()
    text = "def f(a, b):\n    if a < b:\n        g(a, b)\n    return a + 1\n"
    for seed in range(300):
        seen[with_fault(Function("x.py", 1, text), seed).text] += 1
    everything = [edited(text, site) for sites in sites_of(text).values() for site in sites]
    assert set(seen) == set(everything) and len(seen) > 8
    # Kinds are equally likely, so a kind with one place has it often.
    assert seen["def f(a, b):\n    if a < b:\n        g(b, a)\n    return a + 1\n"] > 30
