"""A rewritten function does what the original does, under other names and in another order."""

import ast
import re
import symtable
from collections import Counter

import pytest

from spanmix.evaluate.understanding.functions import Function, functions_of, normal_form, without_remarks
from spanmix.evaluate.understanding.reordering import mirrored, reordered
from spanmix.evaluate.understanding.rewriting import rewritten
from spanmix.evaluate.understanding.source_text import parse

PROGRAMS = [
    (
        """
def f(n):
    one, other = 0, 1
    while one < n:
        one, other = other, one + other
    return one
""",
        ["(0,)", "(10,)", "(100,)"],
    ),
    (
        """
def f(items, limit=3):
    count = 0
    kept = []
    most = limit
    for item in items:
        if count < most:
            kept.append(item)
            count += 1
    return kept, count
""",
        ["([],)", "([1, 2, 3, 4],)", "('abcde', 2)"],
    ),
    (
        """
def f(n):
    base = n
    half = n / 2
    def up(x):
        return x + base
    def down(x):
        return x - half
    return [up(k) * down(k) for k in range(n)]
""",
        ["(3,)", "(6,)"],
    ),
    (
        """
def f(text):
    words = {}
    last = None
    for word in text.split():
        words[word] = words.get(word, 0) + 1
        last = word if last is None or word > last else last
    return sorted(words.items()), last
""",
        ["('b a b',)", "('',)"],
    ),
    (
        """
def f(a, b):
    try:
        result = a / b
    except ZeroDivisionError as error:
        result = str(error)
    finally:
        done = True
    return result, done
""",
        ["(1, 2)", "(1, 0)"],
    ),
    (
        """
def f(n):
    if n == 0:
        return []
    rest = f(n - 1)
    size = len(rest)
    return [*rest, (n, size)]
""",
        ["(0,)", "(4,)"],
    ),
    (
        """
def f(*parts, **named):
    total = sum(parts)
    width = len(named)
    height = len(parts)
    return total, width < height, f'{total}:{width}', dict(total=total), sorted(named)
""",
        ["(1, 2)", "(3,)"],
    ),
    (
        """
def f(rows):
    class Box:
        size = 1
        def grow(self, by):
            self.size = by
            self.kind = 2
            return self
    first = Box()
    count = first.size
    return first.grow(len(rows)).size, count
""",
        ["([1, 2, 3],)"],
    ),
    (
        """
def f(n):
    make = lambda scale, shift=1: n * scale + shift
    total = 0
    def add(amount):
        nonlocal total
        total += amount
    add(make(2))
    add(amount=make(3, shift=0))
    return total
""",
        ["(2,)", "(5,)"],
    ),
    (
        """
def f(value):
    match value:
        case [first, *rest]:
            size = len(rest)
            return first, size
        case _:
            kind = type(value)
            return kind.__name__
""",
        ["([1, 2],)", "(3,)"],
    ),
]


def run(text, name, arguments):
    names = {}
    exec(text, names)
    return repr(eval(f"{name}{arguments}", names))


PROGRAMS = [(text.lstrip("\n"), calls) for text, calls in PROGRAMS]


@pytest.mark.parametrize(("text", "calls"), PROGRAMS)
def test_a_rewritten_function_gives_the_same(text, calls):
    seen = Counter()
    for seed in range(25):
        other = rewritten(Function("x.py", 1, text), seed)
        assert other == rewritten(Function("x.py", 1, text), seed)
        seen[other.text] += 1
        name = other.new_names.get("f", "f")
        for arguments in calls:
            assert run(other.text, name, arguments) == run(text, "f", arguments), other.text
        assert not set(other.new_names) & set(other.new_names.values())
        for old, new in other.new_names.items():
            word = re.compile(rf"\b{new}\b")
            assert not word.search(text) and word.search(other.text), (old, new)
    assert len(seen) > 20


def test_orders_really_change():
    moved = mirrored_too = 0
    for text, _ in PROGRAMS:
        for seed in range(25):
            other = rewritten(Function("x.py", 1, text), seed)
            moved += other.num_moved > 0
            mirrored_too += other.num_mirrored > 0
    assert moved > 40 and mirrored_too > 30


LIBRARY_CALLS = [
    ("colorsys.py", "rgb_to_hls", [(0.2, 0.4, 0.4), (0.9, 0.1, 0.3)]),
    ("colorsys.py", "hls_to_rgb", [(0.5, 0.3, 0.3), (0.1, 0.7, 0.9)]),
    ("colorsys.py", "rgb_to_hsv", [(0.2, 0.4, 0.4), (0.9, 0.1, 0.3)]),
    ("colorsys.py", "hsv_to_rgb", [(0.5, 0.5, 0.4), (0.0, 0.2, 0.3)]),
    ("bisect.py", "bisect_left", [([1, 3, 3, 5], 3), ([], 1)]),
    ("bisect.py", "bisect_right", [([1, 3, 3, 5], 3), ([2], 1)]),
    ("textwrap.py", "dedent", [("  a\n   b\n",), ("\ta\n",)]),
    ("textwrap.py", "shorten", [("Hello  world of words", 12)]),
    ("fnmatch.py", "translate", [("a*b?[!c-e].py",), ("[",)]),
    ("shlex.py", "quote", [("a b",), ("ab",)]),
    ("heapq.py", "nsmallest", [(2, [5, 1, 4, 2]), (1, [3, 2])]),
    ("statistics.py", "median", [([1, 5, 2],), ([1, 2, 3, 4],)]),
]


def test_functions_of_the_library_give_the_same(library):
    renamed = Counter()
    for path, name, calls in LIBRARY_CALLS:
        [function] = [
            f
            for f in functions_of(library[path], path)
            if f.text.startswith(f"def {name}(") and f.text in library[path]
        ]
        names = {"__name__": path.removesuffix(".py")}
        exec(library[path], names)
        for seed in range(5):
            other = rewritten(function, seed)
            exec(other.text, names)
            for arguments in calls:
                expected = repr(names[name](*arguments))
                assert repr(names[other.new_names.get(name, name)](*arguments)) == expected, other.text
            renamed[name] += len(other.new_names)
    assert len(renamed) == len(LIBRARY_CALLS) and sum(renamed.values()) > 200


def free_names(text):
    found = set()
    waiting = [symtable.symtable(text, "x", "exec")]
    while waiting:
        scope = waiting.pop()
        waiting += scope.get_children()
        found |= {s.get_name() for s in scope.get_symbols() if s.is_global() and s.is_referenced()}
    return found


def test_names_from_outside_stay_and_all_else_is_as_before(library_functions):
    tried = 0
    for function in library_functions[::2]:
        other = rewritten(function, seed=1)
        if other is None:
            continue
        tried += 1
        own = {
            name
            for name in other.new_names
            if function.text.startswith((f"def {name}(", f"async def {name}("))
        }
        was, now = free_names(function.text) - own, free_names(other.text)
        assert was == now - {other.new_names[name] for name in own}
        # But for names, it is the function without remarks, in another order.
        text = without_remarks(function.text)
        if not other.num_moved and not other.num_mirrored:
            assert normal_form(other.text) == normal_form(text)
        assert other.text.count("\n") == text.count("\n")
    assert tried > 100


def test_remarks_go_and_strings_stay():
    text = (
        'def f(a):  # why\n    """Doc.\n\n    More.\n    """\n\n    # here\n    b = """x\n\n  # kept\n"""\n'
        "    class C:\n        'Only this.'\n    return a + b  # there\n"
    )
    assert without_remarks(text) == (
        'def f(a):\n    b = """x\n\n  # kept\n"""\n    class C:\n        pass\n    return a + b\n'
    )


def test_remarks_of_the_library_go(library_functions):
    with_remarks = 0
    for function in library_functions:
        bare = without_remarks(function.text)
        assert normal_form(bare) == function.form or '"""' in bare or "class " in bare or "pass" in bare
        assert ast.get_docstring(parse(bare).body[0]) is None
        with_remarks += bare != function.text
        assert without_remarks(bare) == bare
    assert with_remarks > 100


DEPENDENT = [
    "def f(a):\n    b = a\n    a = 2\n    return a, b\n",
    "def f(s):\n    s.x = 1\n    y = s.x\n    return y\n",
    "def f(s, t):\n    s.x = 1\n    t.x = 2\n    return s.x\n",
    "def f(n):\n    a = next(n)\n    b = next(n)\n    return a, b\n",
    "def f(n):\n    a = list(n)\n    b = list(n)\n    return a, b\n",
    "def f(n):\n    a = [x for x in n]\n    b = [x for x in n]\n    return a, b\n",
    "def f(n):\n    a = (b := n)\n    c = 1\n    return a, b, c\n",
    "def f(n):\n    n += [1]\n    m = n[0]\n    return m\n",
]


@pytest.mark.parametrize("text", DEPENDENT)
def test_what_depends_on_each_other_stays_in_order(text):
    for seed in range(8):
        words = iter([seed << 60 | 5 << 61] * 100)
        assert reordered(text, words) == (text, 0)


def test_what_is_independent_is_moved_with_all_its_lines():
    text = "def f(a):\n    b = [\n        1,\n    ]\n    def g():\n        return 2\n    return b, g\n"
    assert reordered(text, iter([2**63] * 9)) == (
        "def f(a):\n    def g():\n        return 2\n    b = [\n        1,\n    ]\n    return b, g\n",
        2,
    )
    assert mirrored("def f(a, b):\n    return a.x <= len(b)\n", iter([2**63])) == (
        "def f(a, b):\n    return len(b) >= a.x\n",
        1,
    )


SEEN_BY_NAME = [
    "def f(a, b):\n    c = a + b\n    return locals()\n",
    "def f(a, b):\n    import os\n    return os.sep\n",
    "def f(self, cls):\n    return self, cls\n",
]


@pytest.mark.parametrize("text", SEEN_BY_NAME)
def test_a_function_with_too_few_names_of_its_own_has_no_copy(text):
    found = rewritten(Function("x.py", 1, text), 0)
    assert found is None or set(found.new_names) <= {"f", "a", "b", "c"}
    if "locals" in text or "self" in text:
        assert found is None
