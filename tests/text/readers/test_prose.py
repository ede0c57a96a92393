"""Markup becomes prose: the words stay, in their order, and the marks go; no page takes long."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.config import SourceFilesConfig
from spanmix.text.readers.markdown import markdown_to_text
from spanmix.text.readers.prose import to_prose
from spanmix.text.readers.restructured_text import restructured_text_to_text
from spanmix.text.readers.source import read_source
from spanmix.text.readers.web_page import web_page_to_text

MARKDOWN = """---
title: no
---
# One *two* `a*b*c` #

Three [four](http://x.y/(z) "t") ![five](a.png) and [six][ref], <http://seven.org>.
<!-- gone
# gone -->
Eight <!-- gone -->
-----

> nine **ten** __eleven__ snake_case_name 2*3*4
>> twelve \\*thirteen\\*

- fourteen
* fifteen
1. sixteen

***

```python
x = **kept**  # as it is <!-- kept -->
```

    also `kept`

| a | **b** |
|:--|------:|
| c | d\\_e |

[ref]: http://gone.org
<b>seventeen</b> ~~eighteen~~
"""
MARKDOWN_PROSE = """One two a*b*c

Three four five and six, http://seven.org.

Eight

nine ten eleven snake_case_name 2*3*4
twelve *thirteen*

- fourteen
* fifteen
1. sixteen

x = **kept**  # as it is <!-- kept -->

    also `kept`

a  b
c  d_e

seventeen eighteen
"""
RST = """
=====
Title
=====

.. _gone: http://gone.org
.. comment
   gone too

One *two* **three** ``a*b`` :func:`~four.five` :ref:`six <gone>` `seven <http://x.y>`_ eight_ [9]_ |ten|.

.. note:: Eleven
   :class: gone

   twelve

.. code-block:: python
   :linenos:

   def f():
       return `kept`

.. image:: gone.png
   :alt: gone

Example::

    kept *as* it is

:param x: thirteen

====== ======
a      b
====== ======
fourteen fifteen
====== ======

.. [9] sixteen
"""
RST_PROSE = """Title

One two three a*b four.five six seven eight [9] ten.

Eleven
twelve

def f():
    return `kept`

Example:

    kept *as* it is

param x: thirteen

a      b
fourteen fifteen

[9] sixteen
"""
HTML = """<!doctype html><head><title>gone</title><style>gone {}</style></head><body>
<nav>gone</nav><h1>One <em>two</em></h1><p>three&amp;four&nbsp;five<br>six
  seven<script>gone()</script></p><ul><li>eight<li>nine</ul><pre>def f():
    return 1
</pre><table><tr><th>a</th><td>b</td></tr><tr><td>c</td></tr></table><p>ten\ue000eleven</p>"""
HTML_PROSE = """One two

three&four five
six seven

eight
nine

def f():
    return 1

a  b
c

teneleven
"""


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        (MARKDOWN, "markdown", MARKDOWN_PROSE),
        (RST, "restructuredtext", RST_PROSE),
        (HTML, "html", HTML_PROSE),
    ],
)
def test_marks_go_and_words_stay(text, language, expected):
    assert to_prose(text, language) == (expected, "text")
    assert to_prose(text.replace("\n", "\r\n"), language)[0] == expected


CONVERTERS = [markdown_to_text, restructured_text_to_text, web_page_to_text]


@pytest.mark.parametrize("convert", CONVERTERS)
@given(st.lists(st.text("abcdefgäß漢 ", min_size=1, max_size=20), max_size=8))
def test_words_without_marks_stay_as_they_are(convert, paragraphs):
    words = [" ".join(paragraph.split()) for paragraph in paragraphs if paragraph.strip()]
    text = "".join(f"<p>{word}</p>" for word in words) if convert is web_page_to_text else "\n\n".join(words)
    assert convert(text) == "\n\n".join(words) + "\n" * bool(words)


PIECES = [
    "*",
    "_",
    "`",
    "``",
    "[",
    "]",
    "(",
    ")",
    "<",
    ">",
    "|",
    "\\",
    "#",
    "=",
    "-",
    ":",
    "..",
    "::",
    "\n",
    "\n\n",
    "    ",
]
PIECES += [
    "a",
    "b c",
    "<p>",
    "</p>",
    "<div>",
    "<pre>",
    "</pre>",
    "<!--",
    "-->",
    "```",
    "é",
    "&amp;",
    "\ue000",
    "\ue001",
    "0",
]


@pytest.mark.parametrize("convert", CONVERTERS)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_any_text_becomes_some_text(convert, text):
    made = convert(text)
    assert made == "" or made.endswith("\n")
    letters = set(re.sub("<[^>]*", "", text))
    assert set(made) - {" ", "\n", "&"} <= letters | set(text)


HOSTILE = {
    "brackets": "[" * 100_000,
    "links": "[a](" * 30_000,
    "stars": "*a " * 50_000,
    "under": "_a" * 50_000,
    "ticks": "`" + "a`b``" * 20_000,
    "quotes": "> " * 50_000,
    "pipes": "|" * 100_000,
    "roles": ":a:`" * 30_000,
    "directives": ".. a::\n\n   " * 3_000,
    "nested directives": "\n".join("   " * i + ".. note::" for i in range(120)),
    "front": "---\n" + "a\n" * 100_000,
    "comments": "<!-- " * 30_000,
    "nested": "<div>" * 50_000,
    "bold": "<b><p>" * 20_000,
    "closed": "<b></i>" * 50_000,
    "attributes": "<p " + " ".join(f"a{i}" for i in range(50_000)) + ">x",
    "options": "<select>" + "<option>" * 50_000,
    "entities": "&amp" * 50_000,
    "tags": "<a " * 50_000,
    "paragraphs": "<p>a" * 30_000,
    "pre": "<pre>" * 900 + "x",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_markup_is_done_with(name):
    """What takes time that grows with the square of these would run into the limit of a test."""
    for convert in CONVERTERS:
        made = convert(HOSTILE[name])
        assert made == "" or made.endswith("\n")


def test_prose_is_an_option_of_a_source(tmp_path):
    for name, text in {
        "a.md": "# a *b*",
        "b.rst": "a\n=\n",
        "c.html": "<p>c</p>",
        "d.py": "x *= 1",
        "e.md": "[a]: b",
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "f.jsonl").write_text('{"text": "*f*", "path": "f.md"}\n')
    paths = (str(tmp_path), str(tmp_path / "f.jsonl"))
    plain = list(read_source(SourceFilesConfig("s", paths, include=("*.[mrhp]*",))))
    assert [item.text for item in plain] == ["# a *b*", "a\n=\n", "<p>c</p>", "x *= 1", "[a]: b", "*f*"]
    found = list(read_source(SourceFilesConfig("s", paths, include=("*.[mrhp]*",), prose=True)))
    assert [getattr(item, "text", "") for item in found] == ["a b\n", "a\n", "c\n", "x *= 1", "", "f\n"]
    assert [getattr(item, "language", item) for item in found[:4]] == ["text", "text", "text", "python"]
    assert found[4].reason == "empty"
