"""A program that is graded from outside does what it would do in one process with its check."""

import pytest

from spanmix.errors import InputError
from spanmix.evaluate.code.problem import AssertCheck, CallCheck, ExitCheck, ReferenceCheck
from spanmix.evaluate.grade.checks import equal
from spanmix.evaluate.grade.grade import grade
from spanmix.evaluate.grade.isolation import Namespaces
from spanmix.evaluate.grade.limits import Limits

LIBRARY = """
import math, collections, enum
FACTOR = 7

class OwnError(ValueError):
    pass

class StrangeError(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)

class Node:
    def __init__(self, value, left=None):
        self.value, self.left, self.right = value, left, None
    def total(self):
        left = self.left.total() if self.left else 0
        return self.value + left + (self.right.total() if self.right else 0)
    def __eq__(self, other):
        return True

def same(x, **named): return named or x
def sort_it(x): x.sort()
def grow(x): x.append(len(x)); return x
def deep(x): x["a"][0].add(3); x["b"] = [x["a"]]
def named_too(*, x): x.clear()
def drain(pair): pair[0].pop()
def then_raise(x): x.append("seen"); raise ValueError("after", x)
def fail(kind): raise ERRORS[kind]
ERRORS = {
    "own": OwnError("mine"),
    "strange": StrangeError(1, 2),
    "key": KeyError("k"),
    "unicode": UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
    "stop": StopIteration(3),
    "exit": SystemExit(0),
    "os": FileNotFoundError(2, "No such file", "x"),
}
def total(node): return node.total()
def chain(n): return Node(1, Node(2)) if n else None
def count(n):
    for i in range(n): yield i
def keys(d): return d.keys()
def nothing(): pass
def points(n): return [collections.namedtuple("P", "x y")(i, i) for i in range(n)]
def calls(function, x): return function(x)
def add(a, b): return a + b
def huge(n): return 1 << n
def level(): return enum.IntEnum("Level", "LOW HIGH").HIGH
def global_state(x, seen=[]): seen.append(x); return seen
def sum(a, b): return a * 10 + b
def max(a): return "mine"
"""

RIGHT = [
    "assert same([1, (2.5, 'ä'), {3: {4}}, None, b'x', 1j]) == [1, (2.5, 'ä'), {3: {4}}, None, b'x', 1j]",
    "assert same(0, a=1, b=[2]) == {'a': 1, 'b': [2]}",
    "assert same('\\ud83d\\ude00') == '\\ud83d\\ude00' and same('\\ud800') == '\\ud800'",
    "assert same(True) is True and type(same(1)) is int and same(float('nan')) != 0",
    "assert str(same(-0.0)) == '-0.0' and same(10**5000) == 10**5000 and huge(99999) == 1 << 99999",
    "x = [3, 1, 2]; r = sort_it(x); assert x == [1, 2, 3] and r is None",
    "x = []; y = x; grow(x); grow(x); assert y == [0, 1] and y is x",
    "s = {1}; d = {'a': [s]}; deep(d); assert s == {1, 3} and d['b'] == [[{1, 3}]] and list(d) == ['a', 'b']",
    "x = {1: 2}; named_too(x=x); assert x == {}",
    "x = [1, 2]; drain((x, 5)); assert x == [1]",
    "x = []\ntry:\n    then_raise(x)\nexcept ValueError as e:\n    assert e.args[1] == x == ['seen']",
    "x = (1, 2); assert same(x) == x and type(same(x)) is tuple",
    "try:\n    fail('own')\nexcept ValueError as e:\n    assert str(e) == 'mine'",
    "try:\n    fail('strange')\nexcept Exception as e:\n    assert e.args == (1, 2)",
    "try:\n    fail('key')\nexcept LookupError as e:\n    assert str(e) == \"'k'\"",
    "try:\n    fail('unicode')\nexcept UnicodeDecodeError as e:\n    assert e.reason == 'bad'",
    "try:\n    fail('os')\nexcept OSError as e:\n    assert type(e) is FileNotFoundError and e.errno == 2",
    "n = Node(1); n.left = Node(2); n.left.right = Node(4)\nassert total(n) == n.total() == 7",
    "assert chain(1).left.value == 2 and chain(0) is None",
    "assert not chain(1) == chain(1) and chain(1) != 5 and [chain(1)] != [chain(1)]",
    "assert list(count(3)) == [0, 1, 2] and sorted(keys({'b': 1, 'a': 2})) == ['a', 'b']",
    "assert len(keys({1: 2})) == 1 and points(3)[2] == (2, 2)",
    "assert points(2) == [(0, 0), (1, 1)] and level() == 2 and type(level()) is int",
    "assert FACTOR == 7 and add(FACTOR, 1) == 8",
    "assert calls(same, 5) == 5 and calls(same, [same])[0](3) == 3",
    "assert global_state(1) == [1] and global_state(2) == [1, 2]",
    "assert math.isclose(add(0.1, 0.2), 0.3) and max([1, 2]) == 2",
    "assert [add(i, i) for i in range(3)] == [0, 2, 4] and (lambda z: add(z, FACTOR))(1) == 8",
    "assert sum(1, 2) == 12",
    "assert bool(chain(1)) is True and not keys({})",
    "assert nothing() is None",
]

WRONG = [
    ("assert add(1, 1) == 3", "failed: "),
    ("assert add(1, 1) == 3, 'it is not 3'", "failed: it is not 3"),
    ("missing(1)", "failed: name 'missing' is not defined"),
    ("assert chain(1) == chain(1)", "failed: "),
    ("assert chain(1) == 5, chain(1)", "failed: <object of the program>"),
    ("add(1)", "failed: add() missing 1 required positional argument: 'b'"),
    ("fail('stop')", "failed: 3"),
    ("assert all(map(lambda x: fail('stop'), range(3)))", "failed: 3"),
    ("try:\n    fail('exit')\nexcept Exception:\n    pass", "failed: 0"),
    ("add(1, (i for i in []))", "failed: a generator, which cannot be given to another process by value"),
    ("sum([1, 2]) and add(1, 1)", None),
]


def test_statements_pass_as_in_one_process(verdicts):
    otherwise_there = ["not chain(1) == chain(1)", "type(level())", "max("]
    compared = 0
    for statement in RIGHT:
        if not any(part in statement for part in otherwise_there):
            names = {}
            exec(LIBRARY, names)
            exec(statement, names)
            compared += 1
    assert compared > 15
    found = verdicts([(LIBRARY, AssertCheck("", (statement,))) for statement in RIGHT])
    wrong = [(s, v.result) for s, v in zip(RIGHT, found, strict=True) if not v.passed]
    assert wrong == []
    assert {verdict.result for verdict in found} == {"passed"}


def test_wrong_statements_fail_in_human_evals_words(verdicts):
    found = verdicts([(LIBRARY, AssertCheck("", (statement,))) for statement, _ in WRONG])
    for (statement, result), verdict in zip(WRONG, found, strict=True):
        if result is None:
            assert verdict.passed, verdict
        else:
            assert (verdict.passed, verdict.result) == (False, result), statement


def test_builtins_and_modules_of_a_check_are_its_own(verdicts):
    fakes = """
class Any:
    def __eq__(self, other): return True
    def __getattr__(self, name): return lambda *a: True
def f(x): return 0
set = sorted = list = tuple = str = lambda *a: Any()
abs = len = lambda *a: 0
math = Any()
isinstance = all = any = lambda *a: True
"""
    statements = [
        "assert set(f(1)) == set([1])",
        "assert sorted(f([2, 1])) == [1, 2]",
        "assert abs(f(1) - 5.0) < 1e-6",
        "assert math.isclose(f(1), 5.0)",
        "assert isinstance(f(1), str)",
        "assert all([f(1)])",
        "assert len([f(1)]) == 0",
        "import math\nassert math.isclose(f(1), 5.0)",
    ]
    found = verdicts([(fakes, AssertCheck("", (statement,))) for statement in statements])
    assert [verdict.passed for verdict in found] == [False] * len(statements)
    setup = verdicts([(fakes, AssertCheck("import math", ("assert math.isclose(f(1), 0.0)",)))])
    assert setup[0].passed


def test_context_and_name_of_a_call_check(verdicts):
    context = "def helper(x):\n    return x * 2\n\ndef f(x):\n    return x + 1\n"
    check = CallCheck(
        context, "def check(candidate):\n    assert candidate(helper(2)) == 5\n    assert f(1) == 2\n", "f"
    )
    right, wrong = (
        "def f(x):\n    return x + 1\n",
        "def helper(x):\n    return 0\n\ndef f(x):\n    return 5\n",
    )
    found = verdicts([(right, check), (wrong, check), ("", check), ("def f(:", check), ("f = 5", check)])
    results = [verdict.result for verdict in found]
    assert results == [
        "passed",
        "failed: ",
        "failed: name 'f' is not defined",
        "failed: invalid syntax (<string>, line 1)",
        "failed: 'int' object is not callable",
    ]


def test_a_program_is_not_the_main_module(verdicts):
    program = "def f(): return 1\nif __name__ == '__main__':\n    raise ValueError\n"
    annotated = "def f(x: undefined = 1): return x\n"
    check = AssertCheck("", ("assert f() == 1",))
    found = verdicts([(program, check), (annotated, check)])
    assert [v.result for v in found] == ["passed", "failed: name 'undefined' is not defined"]


def test_reference_check(verdicts):
    reference = "def f(xs, scale):\n    xs.sort()\n    return [x * scale for x in xs]\n"
    inputs = (([3, 1], 0.1), ([], 2.0), ([10**30, 2], 1), ([float("nan")], 1.0))
    exact = ReferenceCheck(reference, "f", inputs[:3], 0.0)
    near = ReferenceCheck(reference, "f", inputs, 1e-6)
    other_way = "def f(xs, scale):\n    return [scale * x + 1e-9 * (x == 3) for x in sorted(xs)]\n"
    wrong_last = (
        "def f(xs, scale):\n    return [x * scale for x in sorted(xs)] if xs != [10**30, 2] else [1]\n"
    )
    tasks = [(reference, exact), (reference, near), (other_way, exact), (other_way, near), (wrong_last, near)]
    found = verdicts(tasks)
    assert [verdict.passed for verdict in found] == [True, True, False, True, False]
    assert found[4].result == "failed: call 2 gives another value"
    assert found[2].result == "failed: call 0 gives another value"


EQUAL = [
    (1.0, 1.0 + 1e-7, True),
    (1e9, 1e9 + 100, True),
    (1e9, 1e9 + 10_000, False),
    (2, 2.0000001, True),
    (2.0000001, 2, True),
    (True, 1.0, True),  # as Python has it
    (True, 1.0000001, False),
    (float("nan"), float("nan"), True),
    (float("nan"), 1.0, False),
    (float("inf"), float("inf"), True),
    (10**400, 1.0, False),
    ([1.0], (1.0,), False),
    ([1.0, 2.0], [1.0], False),
    ({"a": [1.0]}, {"a": [1.0000001]}, True),
    ({"a": 1.0}, {"b": 1.0}, False),
    ("1.0", 1.0, False),
    (None, 0.0, False),
    ({1, 2}, {2, 1}, True),
    (3, 3, True),
    (3, 4, False),
]


def test_equal_within_a_tolerance():
    wrong = [
        (answer, expected)
        for answer, expected, is_equal in EQUAL
        if equal(answer, expected, 1e-6) is not is_equal
    ]
    assert wrong == []


def test_answers_that_cannot_come_are_told(verdicts):
    program = """
def deep(n):
    value = []
    for _ in range(n):
        value = [value]
    return value
def circle():
    value = {}
    value["me"] = value
    return value
def long(n): return "x" * n
def text(): return "\\ud800" * 3
def failing():
    class Bad(Exception):
        def __str__(self): raise ValueError
    raise Bad(object())
"""
    tasks = [
        "deep(500)",
        "circle()",
        "long(5000)",
        "assert text() == 'x', text()",
        "failing()",
        "assert deep(150)[0]",
    ]
    found = verdicts([(program, AssertCheck("", (task,))) for task in tasks], output_bytes=4000)
    results = [verdict.result for verdict in found]
    assert results[0] == results[1] == "failed: a value that is nested more than 200 deep"
    assert results[2].startswith("failed: the program sent what is no answer: an answer of 5,0")
    assert results[3] == "failed: \\ud800\\ud800\\ud800"
    assert results[4].startswith("failed: ")
    assert results[5] == "passed"


SH_TEST = """
candidate() { f "$@"; }
set -e
run_test() { [[ $(candidate "3") = "4" ]]; [[ $(candidate "9") = "10" ]]; }
run_test
"""


def test_exit_check_of_a_shell(verdicts):
    right = "f() { echo $(($1 + 1)); }"
    answers = {
        right: "passed",
        "f() { echo 4; }": "failed: exit code 1",
        "": "failed: exit code 1",
        "exit 0": "failed: it ended before the end of the test, having printed ''",
        f"{right}\nexit 0": "failed: it ended before the end of the test, having printed ''",
        "echo SPANMIX_NONCE; exit 0": (
            "failed: it ended before the end of the test, having printed 'SPANMIX_NONCE'"
        ),
        "f() { echo $(($1 + 1)); }\ncat": "passed",  # nothing is left to read of the program
        "text=$(cat); echo $text; exit 0": "failed: it ended before the end of the test, having printed ''",
        "kill -9 $$": "failed: exit code 137",
        "f() { exec true; }": "failed: exit code 1",
    }
    found = verdicts([(answer, ExitCheck("sh", SH_TEST)) for answer in answers])
    assert {a: v.result for a, v in zip(answers, found, strict=True)} == answers
    endless = verdicts([("while :; do :; done", ExitCheck("sh", ""))], seconds=0.5)
    assert endless[0].result == "timed out"
    loud = verdicts([("yes", ExitCheck("sh", ""))], output_bytes=100_000)
    assert loud[0].result == "failed: more than 100,000 bytes of output"


def test_exit_check_of_python(verdicts):
    check = ExitCheck("py", "assert f(1) == 2\n")
    found = verdicts([("def f(x): return x + 1", check), ("def f(x): return x", check), ("exit(0)", check)])
    assert [verdict.passed for verdict in found] == [True, False, False]


def test_languages_that_are_not_here_are_named(monkeypatch):
    monkeypatch.setattr("spanmix.evaluate.grade.languages.PATH", "/nowhere")
    for language, message in (
        ("sh", "'sh' need bash, which is not in /nowhere; install it"),
        ("cobol", "'cobol' cannot be run here"),
    ):
        with pytest.raises(InputError, match=message):
            list(grade([("", ExitCheck(language, ""))], 1, Limits(), Namespaces()))


def test_inputs_of_other_types_are_refused():
    check = ReferenceCheck("def f(x): return x", "f", ((object(),),), 0.0)
    with pytest.raises(InputError, match="the inputs of the check of f hold a object, which is no builtin"):
        list(grade([("", check)], 1, Limits(), Namespaces()))


@pytest.mark.parametrize(
    ("field", "value"), [("seconds", 0), ("memory_bytes", 1), ("num_files", 0), ("output_bytes", 0)]
)
def test_limits_without_sense_are_refused(field, value):
    with pytest.raises(InputError, match=f"{field} is {value}"):
        Limits(**{field: value})
    with pytest.raises(InputError, match="num_workers is 0"):
        grade([], 0, Limits(), Namespaces())
