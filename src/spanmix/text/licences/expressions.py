"""Read what people write as a licence as an SPDX expression, and decide whether it is permitted.

Parsing, aliases and deprecated ids are the work of ``license-expression``; this module knows the names that
are not SPDX's: Debian's, PyPI's classifiers, Cargo's slash and the long names of the common licences.

>>> spdx_expression("mit"), spdx_expression("GPL-2+ or Artistic-2.0"), spdx_expression("MIT/Apache-2.0")
('MIT', 'GPL-2.0-or-later OR Artistic-2.0', 'MIT OR Apache-2.0')
>>> spdx_expression("The MIT License (MIT)"), spdx_expression("see the file")
('MIT', None)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from license_expression import (  # type: ignore[import-untyped]
    ExpressionError,
    LicenseSymbol,
    LicenseWithExceptionSymbol,
    Licensing,
    get_spdx_licensing,
)

from spanmix.errors import InputError, nearest
from spanmix.text.licences.permitted_lists import NAMED

_NAMES = {
    "0BSD": "zero-clause bsd",
    "AGPL-3.0-only": "agplv3|agpl-3|gnu affero general public license v3|gnu agplv3",
    "AGPL-3.0-or-later": "agplv3+|agpl-3+|gnu affero general public license v3 or later (agplv3+)",
    "Apache-1.1": "apache software license 1.1|apache license 1.1",
    "Apache-2.0": (
        "apache|apache 2|apache 2.0|apache-2|apache2|apache2.0|apache license|apache license 2.0|apachev2|"
        "apache license v2.0|apache license, version 2.0|apache license version 2.0|apache software license|"
        "apache software license 2.0|asl 2.0|apache license, 2.0|apache-2.0 license|apache license 2|"
        "apache v2"
    ),
    "Artistic-1.0-Perl": "artistic|artistic-1.0-perl",
    "Artistic-2.0": "artistic-2|artistic license 2.0|artistic license",
    "BSD-2-Clause": (
        "2-clause bsd|bsd 2-clause|bsd-2|bsd 2-clause license|simplified bsd|bsd-2-clauses|simplified bsd "
        "license|"
        "bsd 2 clause|freebsd"
    ),
    "BSD-3-Clause": (
        "3-clause bsd|bsd 3-clause|bsd-3|bsd 3-clause license|new bsd|modified bsd|new bsd license|"
        "bsd-3-clauses|"
        "modified bsd license|revised bsd|bsd 3 clause|3-clause bsd license|the bsd 3-clause license|"
        'bsd 3-clause "new" or "revised" license'
    ),
    "BSL-1.0": "boost|boost-1.0|boost software license|boost software license 1.0|boost software license "
    "1.0 (bsl-1.0)",
    "CC0-1.0": "cc0|cc0 1.0|cc0 1.0 universal|cc0 1.0 universal (cc0 1.0) public domain dedication|cc-0",
    "CC-BY-4.0": "cc by 4.0",
    "CC-BY-SA-4.0": "cc by-sa 4.0",
    "EPL-2.0": "eclipse public license 2.0 (epl-2.0)|eclipse public license v2.0|epl 2.0",
    "EPL-1.0": "eclipse public license 1.0 (epl-1.0)|eclipse public license v1.0|epl 1.0",
    "GPL-1.0-or-later": "gpl|gnu general public license (gpl)|gpl-1+|gnu gpl|gnu general public license",
    "GPL-2.0-only": "gplv2|gpl-2|gpl 2|gpl v2|gnu general public license v2 (gplv2)|gnu gpl v2|gnu gplv2",
    "GPL-2.0-or-later": "gplv2+|gpl-2+|gpl 2+|gnu general public license v2 or later (gplv2+)|gpl v2+",
    "GPL-3.0-only": "gplv3|gpl-3|gpl 3|gpl v3|gnu general public license v3 (gplv3)|gnu gpl v3|gnu gplv3",
    "GPL-3.0-or-later": "gplv3+|gpl-3+|gpl 3+|gnu general public license v3 or later (gplv3+)|gpl v3+",
    "ISC": "isc license|isc license (iscl)|iscl",
    "LGPL-2.0-only": "lgpl-2|gnu lesser general public license v2 (lgplv2)|lgplv2",
    "LGPL-2.0-or-later": (
        "lgpl-2+|lgplv2+|gnu lesser general public license v2 or later (lgplv2+)|lgpl|gnu lgpl|"
        "gnu library or lesser general public license (lgpl)"
    ),
    "LGPL-2.1-only": "lgplv2.1",
    "LGPL-2.1-or-later": "lgplv2.1+",
    "LGPL-3.0-only": "lgplv3|lgpl-3|gnu lesser general public license v3 (lgplv3)",
    "LGPL-3.0-or-later": "lgplv3+|lgpl-3+|gnu lesser general public license v3 or later (lgplv3+)",
    "LicenseRef-public-domain": "public domain|public-domain",
    "LicenseRef-proprietary": "unlicensed|proprietary|other/proprietary license|all rights reserved",
    "MIT": "expat|mit license|the mit license|mit/expat|the mit license (mit)|mit license (mit)|mit licence",
    "MIT-0": "mit no attribution license (mit-0)|mit no attribution",
    "MPL-1.1": "mozilla public license 1.1 (mpl 1.1)|mplv1.1",
    "MPL-2.0": "mozilla public license 2.0 (mpl 2.0)|mplv2|mpl-2|mpl 2.0|mplv2.0|mozilla public license 2.0",
    "PSF-2.0": "psf|psf license|python software foundation license|psfl|psf-2",
    "Unlicense": "the unlicense|the unlicense (unlicense)|unlicence",
    "WTFPL": "do what the f*ck you want to public license|wtfpl-2",
    "Zlib": "zlib/libpng license|zlib license|zlib/libpng",
    "ZPL-2.1": "zope public license|zpl 2.1",
}
_ID_OF = {name: spdx for spdx, names in _NAMES.items() for name in names.split("|")}
_NOTHING = {"", "none", "noassertion", "other", "unknown", "no license", "no_license", "null", "dual license"}
_WORD = re.compile(r"\s+(?:(and/or)|(or)|(and))\s+", re.IGNORECASE)
_LONGEST = 2_000
LIKE_AN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")


@lru_cache(maxsize=1)
def _licensing() -> Licensing:
    return get_spdx_licensing()


@lru_cache(maxsize=20_000)
def spdx_expression(text: str) -> str | None:
    """Return the SPDX expression that a statement stands for, with current ids, or None if it cannot be told.

    Operators are read as SPDX has them, ``/`` and ``|`` between ids as OR, as in Cargo's and npm's older
    files, and a comma as AND, which is the stricter reading. A statement with a part that is not known is
    not known.
    """
    text = " ".join(text.replace("License :: OSI Approved ::", "").replace("License ::", "").split())
    text = text.strip(" .;\"'*#")
    if len(text) > _LONGEST or text.lower() in _NOTHING:
        return None
    whole = _ID_OF.get(text.lower()) or _parsed(text)
    return whole or _parsed(_with_known_names(text))


def column_expression(value: str | Sequence[str] | None) -> str | None:
    """Return the expression of a dataset's column: one statement, or a list of them that all count.

    >>> column_expression(["mit", "gpl-3.0"]), column_expression("apache-2.0"), column_expression([])
    ('GPL-3.0-only AND MIT', 'Apache-2.0', None)
    """
    if value is None:
        return None
    found = [spdx_expression(one) for one in ([value] if isinstance(value, str) else value)]
    known = [one for one in found if one is not None]
    return all_of(known) if known and len(known) == len(found) else None


def all_of(expressions: Iterable[str]) -> str | None:
    """Join expressions that all count, each once and without what follows from the others; None for none."""
    return _joined(tuple(dict.fromkeys(expressions)), " AND ")


def any_of(expressions: Iterable[str]) -> str | None:
    """Join expressions of which one may be chosen; None for none."""
    return _joined(tuple(dict.fromkeys(expressions)), " OR ")


@lru_cache(maxsize=20_000)
def _joined(distinct: tuple[str, ...], operator: str) -> str | None:
    if len(distinct) < 2:
        return distinct[0] if distinct else None
    whole = operator.join(f"({one})" for one in distinct)
    # Simplifying takes time that grows quickly; what is this long was not written by hand.
    return str(_parse(whole).simplify()) if len(whole) < _LONGEST else whole


@lru_cache(maxsize=20_000)
def licence_ids(expression: str) -> frozenset[str]:
    """Return the ids in an expression, each with its exception if it has one."""
    return frozenset(str(symbol) for symbol in _parse(expression).symbols)


class Permitted:
    """Which licences may be trained on.

    Args:
        names: lists of `NAMED` and SPDX ids, which may be of licences that are no longer current.

    Raises:
        InputError: a name is neither.

    >>> allowed = Permitted(("permissive",))
    >>> allowed("MIT OR GPL-3.0-only"), allowed("MIT AND GPL-3.0-only")
    (True, False)
    >>> allowed("Apache-2.0 WITH LLVM-exception")
    True
    """

    def __init__(self, names: Iterable[str]) -> None:
        ids: set[str] = set()
        for name in names:
            if name in NAMED:
                ids.update(NAMED[name])
                continue
            expression = _parsed(name)
            if expression is None or len(licence_ids(expression)) != 1:
                close = nearest(name, {*NAMED, *_licensing().known_symbols})
                raise InputError(
                    f"licences.permitted holds {name!r}, which is no SPDX id (list 3.27){close}; use one of "
                    "https://spdx.org/licenses, or any of " + ", ".join(NAMED)
                )
            ids.add(expression)
        self._ids = frozenset(ids)
        self._answers: dict[str, bool] = {}

    def __call__(self, expression: str) -> bool:
        """Say whether the expression leaves a choice that is permitted. An exception only ever permits
        more."""
        answer = self._answers.get(expression)
        if answer is None:
            answer = self._answers[expression] = self._holds(_parse(expression))
        return answer

    def _holds(self, node: Any) -> bool:
        if isinstance(node, LicenseWithExceptionSymbol):
            return str(node) in self._ids or node.license_symbol.key in self._ids
        if isinstance(node, LicenseSymbol):
            return node.key in self._ids
        choose = any if node.operator.strip() == "OR" else all
        return choose(self._holds(part) for part in node.args)


def _parse(expression: str) -> Any:
    return _licensing().parse(expression, simple=False)


def _parsed(text: str) -> str | None:
    licensing = _licensing()
    try:
        tree = licensing.parse(text, strict=True)
    except (
        ExpressionError,
        AssertionError,
        AttributeError,
        TypeError,
        ValueError,
        IndexError,
        RecursionError,
    ):
        return None
    if tree is None:
        return None
    for symbol in licensing.license_symbols(tree, unique=True, decompose=True):
        if symbol.key not in licensing.known_symbols and not symbol.key.startswith("LicenseRef-"):
            return None
    return str(tree)


def _with_known_names(text: str) -> str:
    """Put ids for the names that are not SPDX's, keeping operators and parentheses."""
    text = re.sub(r"(?<=[\w.+)])\s*(?:/|\|\|?)\s*(?=[\w(])", " OR ", text)
    text = re.sub(r"\s*[,;&]\s*(?=\w)", " AND ", text)
    text = _WORD.sub(lambda match: " OR " if match[2] else " AND ", text)
    parts = re.split(r"( AND | OR | WITH |[()])", text)
    return "".join(part if part.isspace() else _name(part) for part in parts)


def _name(part: str) -> str:
    bare = part.strip()
    known = _ID_OF.get(bare.lower())
    if known is None and bare.endswith("+") and _parsed(bare[:-1]) is not None:
        known = bare[:-1]  # a later version may be chosen, not must
    return part if known is None else part.replace(bare, known)
