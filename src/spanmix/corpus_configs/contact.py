"""The recipe's ``opt_out_contact``: where authors ask that their work be left out."""

from __future__ import annotations

import re

from spanmix.bounds import require

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
_EMAIL = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_{{}}~-]{{1,64}}@{_HOST}")
_URL = re.compile(rf"https?://{_HOST}(?::\d{{1,5}})?(?:[/?#][A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*)?")


def check_contact(field: str, contact: str | None) -> None:
    """Refuse what is neither an e-mail address nor the address of a page; None is no contact."""
    right = contact is None or _EMAIL.fullmatch(contact) or _URL.fullmatch(contact)
    rule = "use an e-mail address, such as data@our-company.org, or an address that begins with https://"
    require(bool(right), field, contact, rule)
