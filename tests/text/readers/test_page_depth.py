"""How deep a page nests is never told too small: what hides end tags from a parser hides them here, too."""

import random

import pytest
from selectolax.lexbor import LexborHTMLParser

from spanmix.text.readers.page_depth import is_deeper
from spanmix.text.readers.web_page import web_page_to_text

NESTING = [
    "<div>",
    "<div><!--</div>-->",
    "<div><!--></div--><!--</div>--!>",
    '<div a="</div>">',
    "<div><p x='</div>'>",
    "<div><script></div></script>",
    "<div><script><!--<script></script></div></script>-->",
    "<div><style></div></style>",
    "<div><!doctype </div><? </div></! </div>",
    "<div></body></html>",
    "<form><div></form>",
    "<span><div></span>",
    "<div><table></div>",
    "<svg><td>",
    "<svg><source>",
    "<svg><![CDATA[</svg>]]>",
    "<div><svg></p></div><svg><title></div>",
]
BALANCED = [
    "<div><p>a<p>b<br></div>",
    "<ul><li>a<li>b</ul>",
    "<table><tr><td>a<td>b<tr><td>c</table>",
    "<svg><g><path><path></g><title>t</title><style>a>b{}</style></svg>",
    "<svg><g></svg><svg><p>text</p>",
    "<div><!-- <div> --></div>",
    "<script>if (a<b) x = '<div>'</script>",
    "<p a='<div>'>",
    "<a <b>x</a>",
    "<img><hr><input>",
    "<select><option>a<option>b</select>",
    "<math><mi>x</mi><annotation-xml><b>y</b></annotation-xml></math>",
]


@pytest.mark.parametrize("unit", NESTING)
def test_what_only_seems_to_end_an_element_does_not(unit):
    assert is_deeper(unit * 1100, 1000)
    web_page_to_text(unit * 1100)


@pytest.mark.parametrize("unit", BALANCED)
def test_pages_that_people_write_are_not_deep(unit):
    assert not is_deeper(unit * 1100, 20)
    assert depth(unit * 30) < 20


def depth(page):
    """How deep a parser's tree is."""
    deepest, waiting = 0, [(LexborHTMLParser(page).root, 0)]
    while waiting:
        node, level = waiting.pop()
        deepest = max(deepest, level)
        child = node.child
        while child is not None:
            waiting.append((child, level + 1))
            child = child.next
    return deepest


NAMES = """
    div span p li ul td tr table svg math mi foreignObject desc title style script select option button form
    h1 object template textarea body br annotation-xml g path x-y section dd caption iframe frameset
"""
BETWEEN = ["<!--", "-->", "--!>", "<!-->", "<![CDATA[", "]]>", "<!x>", "</>", '"', "'", ">", "text"]
ATTRIBUTES = ["", "", "", "/", ' a="</div>"', ' ="x"', ' "', ' encoding="text/html"']


def piece(draw):
    kind, name = draw.random(), draw.choice(NAMES.split())
    if kind < 0.45:
        return f"<{name}{draw.choice(ATTRIBUTES)}>"
    return f"</{name}>" if kind < 0.85 else draw.choice(BETWEEN)


def test_no_page_is_deeper_in_the_parser_by_more_than_what_ends_by_itself():
    """Cells, rows and items are not counted, as the next ends them: up to four in one that is."""
    draw = random.Random(4)
    deep = 0
    for _ in range(1500):
        page = "".join(piece(draw) for _ in range(draw.randint(2, 7))) * 60
        found = depth(page)
        if found > 60:
            deep += 1
            assert is_deeper(page, found // 5), page[:200]
    assert deep > 50
