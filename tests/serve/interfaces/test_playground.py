"""The page at ``/`` needs nothing but itself and this server."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import get_args

import httpx
import pytest

from spanmix.serve.interfaces.openai_schema import Choice


class Page(HTMLParser):
    """Collects tags, and the text of style and script."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.inside, self._open = [], {}, None
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open = tag if tag in ("style", "script") else None

    def handle_data(self, data):
        if self._open:
            self.inside[self._open] = self.inside.get(self._open, "") + data

    def handle_endtag(self, tag):
        self._open = None


@pytest.fixture(scope="module")
def response(http):
    return http.get("/")


def test_it_is_one_file_that_asks_nobody_else(response):
    assert response.headers["content-type"].startswith("text/html")
    page = Page(response.text)
    for tag, attributes in page.tags:
        for name in ("src", "href", "action"):
            assert attributes.get(name, "data:,") == "data:,", (tag, attributes)
    assert not re.search(r"https?://|@import", response.text)
    assert "{{" not in response.text
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy
    for tag in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.inside[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_every_field_has_a_label_and_headings_are_in_order(response):
    page = Page(response.text)
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings == [1, 2, 2]
    labelled = {attributes["for"] for tag, attributes in page.tags if tag == "label" and "for" in attributes}
    fields = [a for tag, a in page.tags if tag in ("input", "textarea")]
    inside = re.findall(r"<label[^>]*>(?:(?!</label>).)*<input[^>]*id=\"([^\"]+)\"", response.text, re.S)
    assert {field["id"] for field in fields} == labelled | set(inside) and len(fields) >= 9
    buttons = [a for tag, a in page.tags if tag == "button"]
    assert all(button["type"] in ("submit", "button") for button in buttons)


def test_a_name_is_shown_as_text_and_a_key_is_asked_for_where_there_are_some(serve, response):
    with serve(name="<b>&mine", api_keys=("k",), temperature=0.7) as url:
        page = httpx.get(url).text
    assert "<title>&lt;b&gt;&amp;mine" in page and "<b>" not in page
    assert 'id="key-label" hidden' in response.text and 'id="key-label" hidden' not in page
    assert 'value="0.7"' in page and 'value="0.2"' in response.text


def test_every_end_of_an_answer_has_its_words(response):
    either = get_args(Choice.model_fields["finish_reason"].annotation)
    reasons = [reason for literal in either for reason in get_args(literal)]
    assert len(reasons) >= 3
    ends = re.search(r"const ENDS = \{(.*?)\};", response.text, re.S)[1]
    assert re.findall(r"^  (\w+): \"", ends, re.M) == reasons
