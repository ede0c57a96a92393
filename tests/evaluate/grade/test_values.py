"""Values of builtin types come back as they were; nothing else comes through."""

import json
import math
import random
from collections import Counter, OrderedDict, defaultdict, namedtuple
from enum import Enum, IntEnum

import pytest

from spanmix.evaluate.grade import values
from spanmix.evaluate.grade.values import MAX_DEPTH, UnfitValueError, pack, unpack, write_back

NUM_CASES = 1500
FLOATS = [0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 0.1, -1 / 3]
TEXTS = [
    "",
    "a",
    "\x00\x1f\x7f",
    "ä→😀",
    "\ud83d",
    "\ud83d\ude00",
    "\udc00x\ud800",
    "\u2028\u2029",
    '"\\/',
    "NaN",
]
INTS = [0, -1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**5000, -(1 << 40_000)]


def drawn(random_source, depth, met):
    """Draw a value of builtin types, and count what is hard about it."""
    kinds = ["none", "bool", "int", "float", "text", "bytes", "complex"]
    if depth:
        kinds += ["list", "tuple", "dict", "set", "frozenset"] * 2
    kind = random_source.choice(kinds)
    met[kind] += 1
    if kind in ("list", "tuple", "dict", "set", "frozenset"):
        parts = [drawn(random_source, depth - 1, met) for _ in range(random_source.randint(0, 4))]
        if kind in ("list", "tuple"):
            return parts if kind == "list" else tuple(parts)
        keys = [part for part in parts if hashable(part)]
        met["key that is a container"] += any(isinstance(key, tuple | frozenset) for key in keys)
        return {key: drawn(random_source, 0, met) for key in keys} if kind == "dict" else eval(kind)(keys)
    value = {
        "none": lambda: None,
        "bool": lambda: random_source.random() < 0.5,
        "int": lambda: random_source.choice([*INTS, random_source.randint(-100, 100)]),
        "float": lambda: random_source.choice([*FLOATS, random_source.uniform(-1e9, 1e9)]),
        "text": lambda: "".join(random_source.choices(TEXTS, k=random_source.randint(0, 3))),
        "bytes": lambda: random_source.randbytes(random_source.randint(0, 9)),
        "complex": lambda: complex(*random_source.choices(FLOATS, k=2)),
    }[kind]()
    met["half character"] += kind == "text" and any(0xD800 <= ord(c) < 0xE000 for c in value)
    met["two half characters that make one"] += kind == "text" and "\ud83d\ude00" in value
    met["whole number beyond 64 bits"] += kind == "int" and abs(value) > 2**64
    met["minus zero"] += kind == "float" and str(value) == "-0.0"
    met["not a number"] += kind == "float" and value != value
    return value


def hashable(value):
    try:
        hash(value)
    except TypeError:
        return False
    return True


def same(one, other):
    """Equal, of the same types all the way down, with -0.0 and nan told apart, and in the same order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return repr(one) == repr(other)
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
    return one == other


def refuse(value):
    raise AssertionError(f"{value!r} has no handle")


def through(value):
    return unpack(json.loads(json.dumps(pack(value, refuse))), refuse)


def test_values_come_back_as_they_were():
    met = Counter()
    for seed in range(NUM_CASES):
        value = drawn(random.Random(seed), 4, met)
        assert same(through(value), value), f"seed {seed}"
    hard = {key: count for key, count in met.items() if " " in key}
    assert len(hard) == 6 and min(hard.values()) >= 30, hard
    assert min(met[kind] for kind in ("list", "tuple", "dict", "set", "frozenset", "complex")) > 200, met


def test_instances_of_made_types_come_as_the_builtin_value():
    class Liar(int):
        def __eq__(self, other):
            return True

        def __int__(self):
            return 99

        __hash__ = int.__hash__

    class Endless(list):
        def __iter__(self):
            while True:
                yield 1

    class Hollow(dict):
        def items(self):
            return []

    Point = namedtuple("Point", "x y")
    Color = IntEnum("Color", "RED BLUE")
    cases = [
        (Liar(5), 5),
        (Endless([1, 2]), [1, 2]),
        (Hollow(a=1), {"a": 1}),
        (Point(1, [2]), (1, [2])),
        (Color.BLUE, 2),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (type("Text", (str,), {"__str__": lambda self: "x"})("real"), "real"),
        (type("Float", (float,), {"__float__": lambda self: 9.0})(2.5), 2.5),
        (type("Bytes", (bytes,), {"hex": lambda self: "00"})(b"\x01"), b"\x01"),
        (type("Frozen", (frozenset,), {})([3]), frozenset([3])),
    ]
    for value, expected in cases:
        assert same(through(value), expected), value


def test_anything_else_is_a_handle():
    kept = []

    def keep(value):
        kept.append(value)
        return len(kept) - 1

    objects = [object(), int, len, range(3), iter([]), Enum("E", "A").A, NotImplemented, ..., bytearray(b"x")]
    packed = json.loads(json.dumps(pack([objects[0], {"k": objects[1]}, tuple(objects[2:])], keep)))
    assert kept == objects
    assert unpack(packed, kept.__getitem__) == [objects[0], {"k": objects[1]}, tuple(objects[2:])]


def nested(depth, kind=list):
    value = 0
    for _ in range(depth):
        value = {"a": value} if kind is dict else kind([value])
    return value


@pytest.mark.parametrize("kind", [list, tuple, dict, frozenset])
def test_depth_and_size_are_bounded(kind, monkeypatch):
    assert through(nested(MAX_DEPTH, kind)) == nested(MAX_DEPTH, kind)
    with pytest.raises(UnfitValueError, match="200 deep"):
        pack(nested(MAX_DEPTH + 1, kind), refuse)
    with pytest.raises(UnfitValueError, match="200 deep"):
        pack(nested(50_000, kind), refuse)
    circle = []
    circle.append(circle)
    with pytest.raises(UnfitValueError, match="200 deep"):
        pack(circle, refuse)
    monkeypatch.setattr(values, "MAX_ITEMS", 1000)
    doubled = []
    for _ in range(100):
        doubled = [doubled, doubled]
    with pytest.raises(UnfitValueError, match="more than 1,000 parts"):
        pack(doubled, refuse)


NO_VALUES = [
    {},
    {"tuple": [1], "list": [2]},
    {"tuple": 5},
    {"tuple": "ab"},
    {"tuple": {"a": 1}},
    {"set": [[1]]},
    {"set": [{"set": []}]},
    {"dict": [1]},
    {"dict": [[1, 2]]},
    {"dict": [{"dict": []}, 1]},
    {"dict": {"a": 1}},
    {"int": 5},
    {"int": "five"},
    {"int": None},
    {"bytes": "0"},
    {"bytes": [1]},
    {"text": "00d8"},
    {"text": "ffffffff"},
    {"text": 1},
    {"complex": [1, 2]},
    {"complex": [1.0]},
    {"complex": ["1", "2"]},
    {"complex": 1.0},
    {"handle": "0"},
    {"handle": 1.5},
    {"handle": True},
    {"handle": None},
    {"list": [1]},
    {"object": []},
    {"__class__": "int"},
    {"eval": "1"},
]


@pytest.mark.parametrize("packed", NO_VALUES)
def test_what_pack_does_not_write_is_refused(packed):
    for around in (packed, [1, packed], {"tuple": [packed]}):
        with pytest.raises(ValueError):
            unpack(around, lambda number: None)


def test_too_deep_a_message_is_refused():
    packed = 0
    for _ in range(MAX_DEPTH + 1):
        packed = [packed]
    with pytest.raises(ValueError, match="200 deep"):
        unpack(packed, refuse)
    assert unpack(packed[0], refuse) == packed[0]


def test_random_messages_give_builtin_values_or_an_error():
    tags = ["tuple", "dict", "set", "frozenset", "int", "text", "bytes", "complex", "handle", "list", "x"]
    met = Counter()

    def made(random_source, depth):
        leaf = random_source.choice([None, True, 3, 2.5, "", "61", "0x1f", "00", "d83d0000"])
        if not depth:
            return leaf
        parts = [made(random_source, depth - 1) for _ in range(random_source.randint(0, 3))]
        tagged = {random_source.choice(tags): random_source.choice([parts, leaf, 1])}
        return random_source.choice([parts, tagged, leaf, tagged])

    allowed = (type(None), bool, int, float, str, bytes, complex, list, tuple, dict, set, frozenset)

    def check(value):
        assert type(value) in allowed
        if isinstance(value, dict):
            list(map(check, [*value.keys(), *value.values()]))
        elif isinstance(value, list | tuple | set | frozenset):
            list(map(check, value))

    for seed in range(6000):
        try:
            value = unpack(made(random.Random(seed), 3), lambda number: "handle")
        except ValueError:
            met["refused"] += 1
        else:
            check(value)
            met[type(value).__name__] += 1
    assert met["refused"] > 500 and len(met) > 10, met


def test_write_back_changes_in_place():
    inner, leaf = [1, 2], {"x"}
    old = [inner, {"a": leaf, "b": 1}, (inner, 5), "end"]
    new = [[9], {"b": 2, "a": {"y"}, "c": 3}, ([9], 5)]
    outer_dict = old[1]
    write_back(old, new)
    assert old == [[9], {"b": 2, "a": {"y"}, "c": 3}, ([9], 5)]
    assert old[0] is inner and old[1] is outer_dict and old[1]["a"] is leaf and old[2][0] is inner
    assert list(old[1]) == ["b", "a", "c"]
    counted = defaultdict(list, a=[1])
    write_back([counted], [{"a": [2], "b": []}])
    assert counted == {"a": [2], "b": []} and counted["new"] == []


def test_write_back_leaves_what_cannot_change():
    old = [1, 2]
    for new in ((1, 2, 3), {"a": 1}, None, "ab", 5):
        write_back(old, new)
        assert old == [1, 2]
    pair = ([1], [2])
    write_back(pair, ([3],))
    assert pair == ([3], [2])
