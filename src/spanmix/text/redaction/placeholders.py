"""Write what stands in a secret's place: something that is none, keeps the code a program, and is not found
again.

``parsable`` replaces letters and digits and keeps every other character, so quotes, escapes, dots and dashes
stay where the language wants them. What is written depends on the value's length, its other characters and
its alphabet alone:

=============================  ================  ===================================
a value of                     becomes           so that
=============================  ================  ===================================
digits                         ``1111``          it stays a number
hexadecimal digits             ``a1a1a1``        ``bytes.fromhex`` still takes it
letters and digits             ``xxxxxxxx``      it stays a name or a string
upper case letters and digits  ``XXXXXXXX``      it stays in its case
=============================  ================  ===================================

Escapes (``\\n``, ``\\u00e4``) and templates (``${NAME}``) inside of a value are kept as they are. A
percent-escape stays one: that of a letter or digit becomes that of a stand-in with as many bytes, all others
are kept, so an address is taken apart as before.

E-mail addresses become ``user1@example.com``, ``user2@example.com``, … in the order in which they first
stand in the file (RFC 2606 keeps ``example.com`` for this). Addresses of machines become private ones,
10.0.0.0/8 and fd00::/8, again by their order and not by their value, which could be had back from a hash of
it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import cycle
from urllib.parse import unquote_to_bytes

from spanmix.text.redaction.emails import AT_SIGNS
from spanmix.text.redaction.found import EMAIL, IP_ADDRESS, KEY, PASSWORD

_KEPT = re.compile(
    r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]+\}|U[0-9a-fA-F]{8}|N\{[^}]*\}|[0-7]{1,3}|.)|\$?\{[^{}]*\}",
    re.DOTALL,
)
_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_UNIT = re.compile(rf"(?P<kept>{_KEPT.pattern})|(?P<percent>{_PERCENT.pattern})|.", re.DOTALL)
_LETTERS = {2: "ö", 3: "字", 4: "𝔸"}
"""Letters of so many bytes."""
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_BIGCODE = {KEY: "<KEY>", PASSWORD: "<PASSWORD>", EMAIL: "<EMAIL>"}
_BIGCODE_IPV4 = ("172.16.31.10", "172.16.58.3", "172.16.17.32", "192.168.127.12", "192.168.3.11")
_BIGCODE_IPV6 = (
    "fd00:c2b6:b24b:be67:2827:688d:e6a1:6a3b", "fd00:a516:7c1b:17cd:6d81:2137:bd2a:2c5b",
    "fc00:e968:6179::de52:7100", "fc00:db20:35b:7399::5", "fdf8:f53e:61e4::18",
)  # fmt: skip


def parsable(value: str) -> str:
    """Return the stand-in of a key or password.

    >>> parsable("ghp_16C7e42F"), parsable("8f14e45f"), parsable("p4ss-w0rd\\n"), parsable("AKIA12")
    ('xxx_xxxxxxxx', 'a1a1a1a1', 'xxxx-xxxx\\n', 'XXXXXX')
    >>> parsable("s3cr%2Ft%40%70w"), parsable("gr%C3%BC%C3%9Fe")
    ('xxxx%2Fx%40%78x', 'xx%C3%B6%C3%B6x')
    """
    letters = "".join(filter(str.isalnum, _PERCENT.sub(_decoded, _KEPT.sub("", value))))
    if letters.isdecimal():
        masks = cycle("1")
    elif _HEX.fullmatch(letters) and len(letters) >= 8 and any(map(str.isdigit, letters)):
        masks = cycle("a1" if letters == letters.lower() else "A1")
    else:
        masks = cycle("X" if letters == letters.upper() else "x")
    return _UNIT.sub(lambda match: _masked(match, masks), value)


def _masked(match: re.Match[str], masks: Iterator[str]) -> str:
    """Return what stands for a part of a value that is replaced as a whole: an escape, or a character."""
    part = match[0]
    if match["kept"] is not None:
        return part
    if match["percent"] is None:
        return next(masks) if part.isalnum() else part
    written, place = [], 0
    for character in _decoded(match):
        end = place + 3 * len(character.encode("utf-8", "surrogateescape"))
        written.append(_escape(character, masks) or part[place:end])
        place = end
    return "".join(written)


def _escape(character: str, masks: Iterator[str]) -> str:
    """Return the percent-escape of what stands for a character, or ``""`` if it stays."""
    if "\udc80" <= character <= "\udcff":  # a byte that is no UTF-8
        return _quoted(next(masks))
    if not character.isalnum():
        return ""
    num_bytes = len(character.encode())
    return _quoted(next(masks) if num_bytes == 1 else _LETTERS[num_bytes])


def _quoted(character: str) -> str:
    """Return the percent-escapes of a character's bytes."""
    return "".join(f"%{byte:02X}" for byte in character.encode())


def _decoded(match: re.Match[str]) -> str:
    """Return what percent-escapes stand for; bytes that are no UTF-8 as lone surrogates."""
    return unquote_to_bytes(match[0]).decode("utf-8", "surrogateescape")


class Placeholders:
    """The stand-ins of one file, the same for the same value.

    Args:
        style: one of `spanmix.corpus_configs.redaction.STYLES`.
        file_key: what tells the file from others, such as its path.
    """

    def __init__(self, style: str, file_key: str) -> None:
        self._is_bigcode = style == "bigcode"
        self._numbers: dict[str, dict[str, int]] = {}
        self._key = hashlib.sha256(file_key.encode("utf-8", "backslashreplace")).digest()

    def of(self, kind: str, value: str) -> str:
        """Return what is written for a value of a kind."""
        if kind == IP_ADDRESS:
            family = "IPv6" if ":" in value else "IPv4"
            number = self._number(family, value)
            return self._ipv6(number) if family == "IPv6" else self._ipv4(number)
        if self._is_bigcode:
            return _BIGCODE[kind]
        return self._email(value) if kind == EMAIL else parsable(value)

    def _email(self, value: str) -> str:
        """Return another address, with the ``@`` written as it is in this one."""
        at = next(sign for sign in AT_SIGNS if sign in value)
        return f"user{self._number(EMAIL, value.replace(at, '@').lower()) + 1}{at}example.com"

    def _number(self, family: str, value: str) -> int:
        numbers = self._numbers.setdefault(family, {})
        return numbers.setdefault(value, len(numbers))

    def _ipv4(self, number: int) -> str:
        if self._is_bigcode:
            return _BIGCODE_IPV4[(self._key[0] + number) % len(_BIGCODE_IPV4)]
        last = number % 254 + 1
        return f"10.{self._key[0]}.{(self._key[1] + number // 254) % 256}.{last}"

    def _ipv6(self, number: int) -> str:
        if self._is_bigcode:
            return _BIGCODE_IPV6[(self._key[0] + number) % len(_BIGCODE_IPV6)]
        return f"fd00:{self._key[2]:x}:{self._key[3]:x}::{number + 1:x}"
