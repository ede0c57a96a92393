"""Places are whole lines, and a body of a function is what makes it work."""

import ast
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import spanmix
from spanmix.evaluate.replay import places as places_module
from spanmix.evaluate.replay.places import KINDS, block_places, function_places, line_places, parses
from spanmix.objectives import nodes

SOURCES = sorted(Path(spanmix.__file__).parent.rglob("*.py"))[:60]


def cut(text, place):
    return text[: place.start], text[place.start : place.stop], text[place.stop :]


@given(st.text("a \t\n\r{}é☃:", max_size=80), st.sampled_from(["python", "c", "go", "prose"]))
def test_every_place_is_whole_lines_of_any_text(text, language):
    for kind, find in KINDS.items():
        places = find(text, language)
        assert len(set(places)) == len(places), kind
        for place in places:
            before, middle, _ = cut(text, place)
            assert middle.strip() and (before == "" or before.endswith("\n"))
            assert middle.endswith("\n") or place.stop == len(text)
            assert before.count("\n") == place.line - 1


def test_places_of_real_files():
    met = Counter()
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        bodies = function_places(text, "python")
        wanted = [
            node
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        assert len(bodies) <= len(wanted)
        for place in bodies:
            before, middle, after = cut(text, place)
            indent = middle[: len(middle) - len(middle.lstrip())]
            assert parses(before + indent + "pass\n" + after), (path, place.line)
            assert not middle.lstrip().startswith('"""')
        met["bodies"] += len(bodies)
        met["lines"] += len(line_places(text, "python"))
        for place in block_places(text, "python"):
            lines = cut(text, place)[1].splitlines()
            above = cut(text, place)[0].splitlines()[-1]
            depth = len(above) - len(above.lstrip())
            assert len(lines) > 1 and all(
                len(line) - len(line.lstrip()) > depth for line in lines if line.strip()
            )
            met["blocks"] += 1
    assert met["bodies"] > 100 and met["blocks"] > 200 and met["lines"] > 2000


FUNCTIONS = '''
def one(): return 1
def two(x): x = 1; return x
def three():
    """Alone."""
def four():
    """Doc."""; return 4
def five(
    a,
):
    # A comment stays with the signature.
    return a
async def six(x):

    "Doc."

    # In front of it.
    @decorator(
        x)
    def inner():
        return 1
    return inner  # behind
class A:
    def seven(self): \\
        return 7
    def eight(self):
\tif x:
\t\tpass
'''


def test_bodies_of_python():
    text = FUNCTIONS.replace("\n\tif x:\n\t\tpass", "\n        if x:\n            pass")
    assert parses(text)
    bodies = [textwrap.dedent(cut(text, place)[1]) for place in function_places(text, "python")]
    assert bodies == [
        "return a\n",
        "@decorator(\n    x)\ndef inner():\n    return 1\nreturn inner  # behind\n",
        "return 1\n",
        "return 7\n",
        "if x:\n    pass\n",
    ]
    assert function_places("\ufeff" + text, "python")[0].start == function_places(text, "python")[0].start + 1
    crlf = text.replace("\n", "\r\n")
    assert len(function_places(crlf, "python")) == 5
    assert all(cut(crlf, place)[1].endswith("\r\n") for place in function_places(crlf, "python"))
    for broken in (text + "def (", text + "\0", "def f():\r    return 1\n", "(" * 5000, "-" * 100_000):
        assert function_places(broken, "python") == []


BRACES = {
    "c": "int f(int a)\n{\n  int b = a;\n  return b;\n}\nint g(void) { return 1; }\nint h(void)\n{\n}\n",
    "javascript": "function f(a) {\n  return a;\n}\nclass A {\n  m() {\n    return 1;\n  }\n}\ng = () => 1\n",
    "typescript": "function f(a: number): number {\n  return a;\n}\n",
    "java": "class A {\n  A() {\n    x = 1;\n  }\n  int f(int a) {\n    return a;\n  }\n}\n",
    "go": "package p\n\nfunc f(a int) int {\n\treturn a\n}\n\nfunc (t T) g() {\n\tt.h()\n}\n",
    "rust": "fn f(a: i32) -> i32 {\n    // ö\n    a + 1\n}\nimpl T {\n    fn g() {\n        h();\n    }\n}\n",
}
BODIES = {
    "c": ["  int b = a;\n  return b;\n"],
    "javascript": ["  return a;\n", "    return 1;\n"],
    "typescript": ["  return a;\n"],
    "java": ["    x = 1;\n", "    return a;\n"],
    "go": ["\treturn a\n", "\tt.h()\n"],
    "rust": ["    // ö\n    a + 1\n", "        h();\n"],
}


@pytest.mark.parametrize("language", BRACES)
def test_bodies_between_braces(language):
    text = "// ä\n" + BRACES[language] if language != "go" else BRACES[language]
    assert [cut(text, place)[1] for place in function_places(text, language)] == BODIES[language]
    for place in function_places(text, language):
        before, _, after = cut(text, place)
        assert before.endswith("{\n") and after.lstrip().startswith("}")


def test_languages_without_a_grammar_have_lines_and_blocks(monkeypatch):
    text = "def f\n  a\n  b\nend\n"
    assert function_places(text, "ruby") == []
    assert [cut(text, place)[1] for place in block_places(text, "ruby")] == ["  a\n  b\n"]
    assert len(line_places(text, "ruby")) == 2

    def missing(language):
        raise places_module.InputError("the grammar is not installed")

    monkeypatch.setattr(nodes, "parser_of", missing)
    assert function_places(BRACES["go"], "go") == []
