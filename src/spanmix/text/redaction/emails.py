"""Find e-mail addresses in text and code, and leave those alone that are nobody's.

An address is a local part, ``@`` or an escape of it (``%40``, ``\\x40``, ``&#64;``), and a domain that ends
in a top-level domain. So the decorators, versions (``react@18.2.0``) and image names
(``icon@2x.png``) of code are none, and neither is what Python's own tokens call an operator: ``W@m.ai``. Left
alone are the reserved domains of RFC 2606 and 6761, addresses that take no mail, ``git@``, local parts that a
program fills in (``%d@``) and what logs in to a host in an URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from spanmix.text.redaction.found import EMAIL, Found
from spanmix.text.redaction.python_operators import matrix_products
from spanmix.text.redaction.top_level_domains import TOP_LEVEL_DOMAINS

_NOBODYS = frozenset(["example.com", "example.org", "example.net", "example.edu", "example.de",
    "example.co.uk", "domain.com", "domain.tld", "email.com", "test.com", "foo.com", "bar.com", "foo.org",
    "bar.org", "baz.com", "company.com", "yourdomain.com", "yourcompany.com", "mydomain.com",
    "somewhere.com", "users.noreply.github.com", "noreply.github.com", "acme.com", "localhost.localdomain",
    "site.com", "host.com"])  # fmt: skip
_NO_MAIL = re.compile(r"(?:no|donot|do-not|dont|not)[-_.]?reply.*|git|hg|svn|nobody", re.IGNORECASE)
AT_SIGNS = ("@", "＠", "%40", r"\x40", r"\u0040", "&#64;", "&#x40;", "&commat;")
_DOMAIN = re.compile(r"(?:[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?\.){1,8}[A-Za-z]{2,18}(?![\w-])")
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|.)")
_CONVERSION = re.compile(r"[-+ #0]*[0-9]*(?:\.[0-9]+)?(?:hh?|ll?|[Lzjt])?[diouxXeEfgGcrsap]")
_PERCENT = re.compile(r"[0-9A-F]{2}")
_ELIDED = re.compile(r"(?:^|[^\w])[ODLodl]['’]$")
"""In front of a name such as O'Brien; the letters in front of a string in Python are others."""
_MOST_LOCAL, _MOST_LINE = 64, 200


def find_emails(text: str, is_python: bool = False) -> Iterator[Found]:
    """Yield the e-mail addresses that may be somebody's.

    Args:
        text: the whole text.
        is_python: the text is a program in Python, whose ``@`` outside of strings and comments is none.
    """
    found = list(_addresses(text))
    products = (
        matrix_products(text)
        if is_python and any(_may_be_product(text, one) for one in found)
        else frozenset()
    )
    for one in found:
        if products.isdisjoint(range(one.start, one.end)) or not _may_be_product(text, one):
            yield one


def _addresses(text: str) -> Iterator[Found]:
    for at, behind in sorted(place for sign in AT_SIGNS for place in _places(text, sign)):
        domain = _DOMAIN.match(text, behind)
        if domain is None:
            continue
        start = _start_of_local(text, at)
        local, host = text[start:at], domain[0].lower()
        if local and _is_somebodys(local, host) and not _is_code(text, start, domain.end()):
            yield Found(start, domain.end(), EMAIL, "E-mail Address")


def _places(text: str, sign: str) -> Iterator[tuple[int, int]]:
    place = text.find(sign)
    while place >= 0:
        yield place, place + len(sign)
        place = text.find(sign, place + len(sign))


def _may_be_product(text: str, one: Found) -> bool:
    """Say whether an address in a program may be a product: it is not alone in its line, has no dash, and
    neither brackets of an address around it nor ``mailto:``, an URL, a quote or a comment's sign in front."""
    first = max(0, one.start - _MOST_LINE)
    before = text[max(first, text.rfind("\n", first, one.start) + 1) : one.start]
    is_bracketed = before.endswith("<") and text[one.end : one.end + 1] == ">"
    is_alone = not before.strip() and text[one.end : one.end + 1] in ("", "\r", "\n")
    is_shown = any(sign in before for sign in ("#", '"', "'", "mailto:", "://"))
    return not (is_bracketed or is_alone or is_shown or "-" in text[one.start : one.end])


def _start_of_local(text: str, at: int) -> int:
    start = first = max(0, at - _MOST_LOCAL)
    for place in range(at - 1, first - 1, -1):
        if not _is_local(text[place]):
            start = place + 1
            break
    if text[start - 1 : start] == "\\":  # "\nann@…": the n is no part of the address
        escape = _ESCAPE.match(text, start - 1)
        start = min(at, escape.end()) if escape is not None else start
    elif text[start - 1 : start] == "%":  # "%dann@…", "%20ann@…"
        sign = (
            _CONVERSION.fullmatch(text, start, at)
            or _PERCENT.match(text, start, at)
            or _CONVERSION.match(text, start, at)
        )
        start = sign.end() if sign is not None else start
    while start < at and not text[start].isalnum():
        start += 1
    elided = _ELIDED.search(text[max(0, start - 3) : start])
    return start - 2 if elided is not None and text[start : start + 1].isalpha() else start


def _is_local(character: str) -> bool:
    """Say whether a character may stand in a local part: of letters, those of the scripts around Europe, as
    others are written without blanks between an address and the words around it."""
    return character in "._+-" or (character.isalnum() and character < "\u0590")


def _is_somebodys(local: str, host: str) -> bool:
    names = host.split(".")
    if names[-1] not in TOP_LEVEL_DOMAINS or (len(names) > 1 and names[-2] in ("example", "noreply")):
        return False
    if host in _NOBODYS or ".".join(names[-2:]) in _NOBODYS:
        return False
    return _NO_MAIL.fullmatch(local) is None and ".." not in local and not local.endswith(".")


def _is_code(text: str, start: int, end: int) -> bool:
    """Say whether the address is a product or variable of a program, or logs in to a host in an URL."""
    if text[end : end + 1] in ("(", "[") or text[start - 1 : start] in (")", "]", "$"):
        return True
    before = text[max(0, start - 80) : start]
    scheme = before.rfind("://")
    return scheme >= 0 and not any(character in " \t\n\"'<>,;?/" for character in before[scheme + 3 :])
