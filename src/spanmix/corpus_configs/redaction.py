"""The recipe's ``redaction``: which secrets and personal data are replaced, and by what."""

from __future__ import annotations

from dataclasses import dataclass

from spanmix.amounts import count
from spanmix.bounds import require
from spanmix.errors import InputError

STYLES = ("parsable", "bigcode")
LEAST_SALT = 8
"""Characters: what is shorter can be found by trying."""


@dataclass(frozen=True)
class RedactionConfig:
    """What is found and replaced in the text of each document.

    Args:
        keys: tokens of services, private keys and generic keys.
        passwords: passwords in assignments and in addresses such as ``https://user:password@host``.
        emails: e-mail addresses.
        ip_addresses: public IPv4 and IPv6 addresses.
        style: ``parsable`` keeps the length and the alphabet of a secret, so that code stays code;
            ``bigcode`` writes the published ``<KEY>``, ``<PASSWORD>`` and ``<EMAIL>``, which need not parse.
        salt: goes into the audit file's hash of each value, which tells equal values apart from others. Keep
            it to yourself: who knows it can try out short values. 8 characters or more; empty writes no
            hash.
    """

    keys: bool = True
    passwords: bool = True
    emails: bool = True
    ip_addresses: bool = True
    style: str = "parsable"
    salt: str = ""

    def __post_init__(self) -> None:
        require(self.style in STYLES, "redaction.style", self.style, f"use {' or '.join(STYLES)}")
        if 0 < len(self.salt) < LEAST_SALT:  # which is not shown
            raise InputError(
                f"redaction.salt has {count(len(self.salt), 'character')}; use {LEAST_SALT} or more, or "
                "leave it out"
            )
