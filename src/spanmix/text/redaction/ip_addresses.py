"""Find public IP addresses, and leave local, private and documented ones and the versions of software alone.

Public is what the IANA registries call globally reachable (`ipaddress`), without the documentation ranges of
RFC 5737 and 3849, multicast and the well-known open resolvers, which name a service and nobody.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from spanmix.text.redaction.found import IP_ADDRESS, Found
from spanmix.text.redaction.presearch import lines_with

_QUICK = r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[23][0-9a-fA-F]{3}:[0-9a-fA-F]{0,4}:"
_IPV4 = re.compile(r"(?<![\w.-])(?<!::)(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\w)")
_IPV6 = re.compile(r"(?<![\w:.])[23][0-9a-fA-F]{3}:[0-9a-fA-F:]{2,35}(?![\w:]|\.\w)")
_RESOLVERS = frozenset(["8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "149.112.112.112",
    "208.67.222.222", "208.67.220.220", "8.26.56.26", "8.20.247.20", "94.140.14.14", "94.140.15.15",
    "76.76.19.19", "76.223.122.150", "64.6.64.6", "64.6.65.6", "4.2.2.1", "4.2.2.2", "2001:4860:4860::8888",
    "2001:4860:4860::8844", "2606:4700:4700::1111", "2606:4700:4700::1001", "2620:fe::fe"])  # fmt: skip
_EXAMPLES = frozenset(["1.2.3.4", "1.2.3.5", "4.3.2.1", "5.6.7.8", "11.22.33.44", "12.34.56.78",
    "12.13.14.15", "123.45.67.89", "123.123.123.123", "111.222.333.444"])  # fmt: skip
"""Addresses that people make up."""
_OBJECT_IDS = ("1.2.840.", "1.3.6.", "2.5.4.", "2.5.29.", "2.16.840.", "1.3.14.", "1.3.132.", "0.9.")
_VERSION_BEFORE = re.compile(
    r"(?:versi[oó]n|\bver|release|revision|\brev|\bbuild|\boid|section|chapter|clause|\brfc|paragraph|\bsec|§|[=<>~^!]=|"
    r"\bv|since|upgrade|update[ds]?|require[ds]?|\bpatch|firmware|driver)[\w\s\"'=:(),.*`-]{0,24}$",
    re.IGNORECASE,
)
_NETWORK = re.compile(
    r"address|\bip|ip_|_ip|host|dns|server|gateway|subnet|netmask|ping|connect|bind|proxy|://", re.IGNORECASE
)
_PACKAGE = re.compile(r"[A-Za-z]/$|[=<>~^!]=[\s\"']*$|[A-Za-z]@$")
"""In front of the version of a browser, a requirement, a package: ``Chrome/1.2.3.4``, ``==1.2.3.4``,
``name@1.2.3.4``."""
_DRAWING_BEFORE = re.compile(r"(?:^|[\s,a-zA-Z-])\d*\.?\d+[ ,]$")
_DRAWING_BEHIND = re.compile(r"[ ,]?-?\d*\.\d+(?![\d.]*\.\d)|-?\.?\d")
"""Numbers beside the four: the outline of a drawing, where ``1.41.72.96`` is three of them."""
_AROUND, _MOST_ADDRESS = 60, 45


def find_ip_addresses(text: str) -> Iterator[Found]:
    """Yield the public addresses of a text."""
    done = 0
    for line in lines_with(text, _QUICK):
        end = line.start + len(line.text)
        # The end of a part of a long line is left to the next part, which begins before it.
        last = len(line.text) - (_AROUND if text[end : end + 1] not in ("", "\n") else 0)
        first = max(0, done - line.start)
        for pattern, name in ((_IPV4, "IPv4 Address"), (_IPV6, "IPv6 Address")):
            for match in pattern.finditer(line.text, first):
                if match.end() > last:
                    break
                done = max(done, line.start + match.end())
                value = match[0] if match[0].endswith("::") else match[0].rstrip(":")
                if is_public(value) and not (pattern is _IPV4 and _is_version(line.text, match)):
                    yield _found(line.start + match.start(), value, name)
        done = max(done, line.start + last - _MOST_ADDRESS)


def _found(start: int, value: str, detector: str) -> Found:
    return Found(start, start + len(value), IP_ADDRESS, detector)


def is_public(value: str) -> bool:
    """Say whether a text is a public address that may be somebody's.

    >>> [is_public(one) for one in ("93.184.216.34", "192.168.0.1", "203.0.113.9", "8.8.8.8", "1.2.3.400")]
    [True, False, False, False, False]
    """
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    is_made_up = value in _EXAMPLES or (address.version == 4 and len(set(value.split("."))) == 1)
    if is_made_up or value.lower() in _RESOLVERS or value.startswith(_OBJECT_IDS):
        return False
    is_special = address.is_private or address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not is_special


def _is_version(line: str, match: re.Match[str]) -> bool:
    """Say whether four numbers of a line are rather the version of something."""
    before = line[max(0, match.start() - _AROUND) : match.start()]
    behind = line[match.end() : match.end() + _AROUND]
    if _PACKAGE.search(before) or _DRAWING_BEFORE.search(before) or _DRAWING_BEHIND.match(behind):
        return True
    if _NETWORK.search(before) or _NETWORK.search(behind):
        return _VERSION_BEFORE.search(before) is not None and "://" not in before
    all_small = all(len(number) == 1 for number in match[0].split("."))
    return all_small or _VERSION_BEFORE.search(before) is not None
