"""Statements of licences as SPDX expressions, and which of them are permitted."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.corpus_configs.licences import LicencesConfig
from spanmix.errors import InputError
from spanmix.text.licences.expressions import (
    Permitted,
    all_of,
    any_of,
    column_expression,
    licence_ids,
    spdx_expression,
)
from spanmix.text.licences.permitted_lists import NAMED, PERMISSIVE, STACK


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("mit", "MIT"),
        ("Apache-2.0", "Apache-2.0"),
        ("apache license 2.0", "Apache-2.0"),
        ("License :: OSI Approved :: MIT License", "MIT"),
        ("License :: OSI Approved :: GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later"),
        ("gpl-3.0", "GPL-3.0-only"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("Expat", "MIT"),
        ("GPL-2+ or Artistic", "GPL-2.0-or-later OR Artistic-1.0-Perl"),
        ("BSD-3-clause and Expat", "BSD-3-Clause AND MIT"),
        ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
        ("MIT, Zlib", "MIT AND Zlib"),
        ("(MIT OR GPL-2.0+) AND Zlib", "(MIT OR GPL-2.0-or-later) AND Zlib"),
        ("Apache-2.0 WITH LLVM-exception", "Apache-2.0 WITH LLVM-exception"),
        ("Apache-2.0+", "Apache-2.0"),
        ("UNLICENSED", "LicenseRef-proprietary"),
        ("LicenseRef-Own", "LicenseRef-Own"),
        ("NOASSERTION", None),
        ("other", None),
        ("", None),
        ("BSD", None),
        ("MIT AND Something", None),
        ("MIT AND", None),
        ("(MIT", None),
        ("MIT WITH GPL-3.0-only", None),
        ("see LICENSE", None),
        ("x" * 5_000, None),
    ],
)
def test_statements(statement, expected):
    assert spdx_expression(statement) == expected


@given(st.text(st.sampled_from("MITGPL-2.0+()/|, ANDORWITH\n\t:;ß"), max_size=60))
def test_any_text_gives_an_expression_or_nothing(text):
    expression = spdx_expression(text)
    assert expression is None or spdx_expression(expression) == expression


def test_columns_as_datasets_have_them():
    assert column_expression(["mit"]) == column_expression("MIT") == "MIT"
    assert column_expression(["mit", "gpl-3.0"]) == "GPL-3.0-only AND MIT"
    assert column_expression([]) is column_expression(None) is column_expression(["mit", "???"]) is None


def test_what_follows_from_the_rest_is_left_out():
    assert all_of(["MIT OR Apache-2.0", "MIT"]) == "MIT"
    assert all_of([]) is any_of([]) is None
    assert any_of(["MIT", "Zlib", "MIT"]) == "MIT OR Zlib"


def test_permitted_follows_the_truth_table_of_and_and_or():
    permitted = Permitted(("permissive",))
    met = 0
    for a, b, c in itertools.product(("MIT", "GPL-3.0-only", "Zlib"), repeat=3):
        holds = {one: one in PERMISSIVE for one in (a, b, c)}
        for first, second in itertools.product((" AND ", " OR "), repeat=2):
            expression = f"({a}{first}{b}){second}{c}"
            left = (holds[a] and holds[b]) if first == " AND " else (holds[a] or holds[b])
            expected = (left and holds[c]) if second == " AND " else (left or holds[c])
            assert permitted(expression) is expected, expression
            met += expected
    assert 40 < met < 108


def test_exceptions_permit_more_and_can_be_named_with_their_licence():
    permitted = Permitted(("permissive", "GPL-2.0-only WITH Classpath-exception-2.0"))
    assert permitted("Apache-2.0 WITH LLVM-exception")
    assert permitted("GPL-2.0-only WITH Classpath-exception-2.0")
    assert not permitted("GPL-2.0-only") and not permitted("GPL-2.0-only WITH Linux-syscall-note")


def test_ids_that_are_no_longer_current_can_be_named():
    assert Permitted(("gpl-3.0",))("GPL-3.0-only") and not Permitted(("gpl-3.0",))("MIT")


def test_the_named_lists_hold_spdx_ids_alone():
    for name, ids in NAMED.items():
        unknown = [one for one in sorted(ids) if spdx_expression(one) is None]
        assert unknown == [], name
        copyleft = ("GPL-", "LGPL-", "AGPL-", "MPL-", "EPL-", "CC-BY-SA", "CC-BY-NC", "SSPL", "BUSL")
        assert not [one for one in ids if one.startswith(copyleft)], name
    assert {"MIT", "Apache-2.0", "BSD-3-Clause", "ISC", "Python-2.0"} <= PERMISSIVE < STACK
    assert (len(PERMISSIVE), len(STACK)) == (224, 447)


def test_ids_of_an_expression():
    assert licence_ids("(MIT OR Apache-2.0 WITH LLVM-exception) AND MIT") == {
        "MIT",
        "Apache-2.0 WITH LLVM-exception",
    }


def test_configurations_that_cannot_be_right_are_refused():
    for names in ((), ("MIT", "MIT"), ("",), ("MIT OR Zlib",)):
        with pytest.raises(InputError, match=r"licences.permitted is"):
            LicencesConfig(permitted=names)
    with pytest.raises(InputError, match=r"licences.unknown is 'maybe'; use drop or keep"):
        LicencesConfig(unknown="maybe")
    with pytest.raises(InputError, match=r"holds 'MTI', which is no SPDX id"):
        Permitted(LicencesConfig(permitted=("permissive", "MTI")).permitted)
