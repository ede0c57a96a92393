"""Find e-mail addresses in text and code, and leave those alone that are nobody's.

An address is a local part, ``@`` and a domain that ends in a top-level domain of the list below (that of
IANA holds 1,400; these are the ones that have nearly all addresses). So the decorators, matrix products
(``q@k.transpose``), versions (``react@18.2.0``) and image names (``icon@2x.png``) of code are none. Left
alone are the reserved domains of RFC 2606 and 6761, addresses that take no mail, ``git@`` and what logs in
to a host in an URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from spanmix.text.redaction.found import EMAIL, Found

_COUNTRIES = """
    ac ad ae af ag ai al am ao ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca
    cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm
    fo fr ga gd ge gf gg gh gi gl gm gn gp gq gr gt gu gw gy hk hn hr ht hu id ie il im in io iq ir is it je
    jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn
    mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr
    ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg
    th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw
"""
_GENERIC = """
    com org net edu gov mil int info biz name pro aero coop museum mobi asia cat jobs tel travel post arpa
    app dev tech online site store xyz cloud email blog page live life world today agency company solutions
    systems software engineering digital network group team studio design media works zone space website
    science academy institute university school foundation berlin wien london paris nyc tokyo click link guru
    ninja rocks expert consulting services support social news health bank finance global international
"""
_TOP_LEVEL = frozenset((_COUNTRIES + _GENERIC).split())
_RESERVED = frozenset({"example", "test", "invalid", "localhost", "local", "internal", "lan", "onion"})
_NOBODYS = frozenset(["example.com", "example.org", "example.net", "example.edu", "example.de",
    "example.co.uk", "domain.com", "domain.tld", "email.com", "test.com", "foo.com", "bar.com", "foo.org",
    "bar.org", "baz.com", "company.com", "yourdomain.com", "yourcompany.com", "mydomain.com",
    "somewhere.com", "users.noreply.github.com", "noreply.github.com", "acme.com", "localhost.localdomain",
    "site.com", "host.com"])  # fmt: skip
_NO_MAIL = re.compile(r"(?:no|donot|do-not|dont|not)[-_.]?reply.*|git|hg|svn|nobody", re.IGNORECASE)
_LOCAL_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-"
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,15}(?![A-Za-z0-9-])"
)
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|.)")
_MOST_LOCAL = 64


def find_emails(text: str) -> Iterator[Found]:
    """Yield the e-mail addresses that may be somebody's."""
    at = text.find("@")
    while at >= 0:
        if at and text[at - 1] in _LOCAL_CHARACTERS:
            domain = _DOMAIN.match(text, at + 1)
            if domain is not None:
                start = _start_of_local(text, at)
                local, host = text[start:at], domain[0].lower()
                if local and _is_somebodys(local, host) and not _is_code(text, start, domain.end()):
                    yield Found(start, domain.end(), EMAIL, "E-mail Address")
        at = text.find("@", at + 1)


def _start_of_local(text: str, at: int) -> int:
    chunk = text[max(0, at - _MOST_LOCAL) : at]
    start = at - (len(chunk) - len(chunk.rstrip(_LOCAL_CHARACTERS)))
    if text[start - 1 : start] == "\\":  # "\nann@…": the n is no part of the address
        escape = _ESCAPE.match(text, start - 1)
        start = min(at, escape.end()) if escape is not None else start
    while start < at and not text[start].isalnum():
        start += 1
    return start


def _is_somebodys(local: str, host: str) -> bool:
    names = host.split(".")
    if (
        names[-1] not in _TOP_LEVEL
        or names[-1] in _RESERVED
        or (len(names) > 1 and names[-2] in ("example", "noreply"))
    ):
        return False
    if host in _NOBODYS or ".".join(names[-2:]) in _NOBODYS:
        return False
    return _NO_MAIL.fullmatch(local) is None and ".." not in local and not local.endswith(".")


def _is_code(text: str, start: int, end: int) -> bool:
    """Say whether the address is a matrix product with a call behind it, or logs in to a host in an URL."""
    if text[end : end + 1] in ("(", "[") or text[start - 1 : start] in (")", "]"):
        return True
    before = text[max(0, start - 80) : start]
    scheme = before.rfind("://")
    return scheme >= 0 and not any(character in " \t\n\"'<>,;?" for character in before[scheme:])
