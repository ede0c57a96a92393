"""What a file clearly restricts is not permitted, whatever else is said; what only sounds so is harmless."""

import pytest
from identify.vendor.licenses import LICENSES

from spanmix.corpus_configs.licences import LicencesConfig
from spanmix.text.dropped import Dropped
from spanmix.text.licences.creative_commons import creative_commons
from spanmix.text.licences.headers import header_licence, text_expression
from spanmix.text.licences.joined import join
from spanmix.text.licences.phrases import words_of
from spanmix.text.licences.restrictions import NON_COMMERCIAL, PROPRIETARY, restrictions
from spanmix.text.licences.step import LicenceStep
from spanmix.types import Document

BSD = (
    "Redistribution and use in source and binary forms, with or without modification, are permitted provided "
    "that: Redistributions of source code must retain the above. Redistributions in binary form must "
    "reproduce the above copyright notice."
)
RESTRICTED = {
    "# CONFIDENTIAL - Acme internal use only": PROPRIETARY,
    "/*\n * ACME CONFIDENTIAL\n */": PROPRIETARY,
    "// Copyright Acme. All rights reserved. Do not distribute.": PROPRIETARY,
    "# DO NOT REDISTRIBUTE": PROPRIETARY,
    "# Not for distribution\nimport os": PROPRIETARY,
    "# This file is proprietary to Acme.": PROPRIETARY,
    "# Proprietary and confidential.": PROPRIETARY,
    "# License: Proprietary": PROPRIETARY,
    "// Unauthorized copying of this file, via any medium,\n// is strictly prohibited": PROPRIETARY,
    "# This file may not be used to train AI models.": PROPRIETARY,
    "# For academic, non-commercial use only": NON_COMMERCIAL,
    "# Free for academic\n# and research use only.": NON_COMMERCIAL,
    "# Licensed for non-commercial\n#   research purposes.": NON_COMMERCIAL,
    "# Commercial use is prohibited.": NON_COMMERCIAL,
    "# Not for commercial use": NON_COMMERCIAL,
}
HARMLESS = [
    "# Copyright 2020 Ann Author. All rights reserved.",
    "# Copyright (c) Acme. All rights reserved.\n# " + BSD,
    "# For internal use only: the interface of this module may change.",
    "# Free for any purpose, commercial or non-commercial, and by any means.",
    "# free for commercial and non-commercial use as long as the conditions are met",
    "class Client:\n    CONFIDENTIAL = 'confidential'\n    PROPRIETARY = 2",
    "# A confidential client keeps its secret; see RFC 6749.",
    "# We do not distribute wheels for this platform, nor gradients.",
    "# Commercial use is permitted.",
    "# This works with proprietary drivers, too.",
    "# Research shows that only this is of use.",
]


@pytest.mark.parametrize("text", RESTRICTED)
def test_a_restriction_holds_beside_any_permission(text):
    tag = "# SPDX-License-Identifier: MIT\n"
    assert header_licence(text + "\n").expression == RESTRICTED[text]
    assert set(header_licence(tag + text + "\n").expression.split(" AND ")) == {"MIT", RESTRICTED[text]}
    assert RESTRICTED[text] in join(["MIT"], [text]).expression
    document = Document(text + "\n", "code", "a.py", licence="mit")
    assert isinstance(LicenceStep(LicencesConfig(unknown="keep"))(document, lambda *_: None), Dropped)


def test_no_choice_takes_a_restriction_back():
    text = "Dual licensed under the MIT license. Alternatively, for non-commercial use only."
    assert text_expression(text) == f"{NON_COMMERCIAL} AND MIT"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_sounds_like_a_restriction_is_harmless(text):
    assert restrictions(text) == ()


def test_no_text_of_an_open_licence_has_a_restriction():
    assert [spdx for spdx, text in LICENSES if restrictions(text)] == [] and len(LICENSES) >= 30


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("# not licensed under the MIT License", True),
        ("# This is no longer distributed under the terms of the Apache License, Version 2.0.", True),
        ("# This file is not covered by the GNU GPL.", False),
    ],
)
def test_that_a_licence_does_not_hold_permits_nothing(text, unknown):
    found = header_licence(text)
    assert found.expression is None and bool(found.unknown) == unknown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"""SPDX-License-Identifier: GPL-3.0-only"""', "GPL-3.0-only"),
        ("# spdx-license-identifier: GPL-3.0-only", "GPL-3.0-only"),
        ("// Copyright X | SPDX-License-Identifier: GPL-3.0-only", "GPL-3.0-only"),
        ("# Copyright 2020 Ann Author SPDX-License-Identifier: GPL-3.0-only", "GPL-3.0-only"),
        ("# Released under the GNU AGPL v3.", "AGPL-3.0-only"),
        ("# Licence: CC BY-NC-SA 4.0", "CC-BY-NC-SA-4.0"),
        ("# Creative Commons Attribution-NonCommercial-NoDerivatives 4.0", "CC-BY-NC-ND-4.0"),
        ("# see the SPDX-License-Identifier: that each file has", None),
        ('x = ["# a", "SPDX-License-Identifier: GPL-3.0-only"]', None),
    ],
)
def test_statements_are_seen_where_they_stand(text, expected):
    assert header_licence(text + "\n").expression == expected


def test_the_licences_of_creative_commons():
    names = {
        "licensed under CC-BY 3.0": ["CC-BY-3.0"],
        "https://creativecommons.org/licenses/by-nc-nd/2.5/": ["CC-BY-NC-ND-2.5"],
        "Creative Commons Attribution Share Alike (https://creativecommons.org/licenses/by-sa/3.0/)": [
            "CC-BY-SA-3.0"
        ],
        "under the Creative Commons Attribution License": ["CC-BY-1.0"],
        "a copy (cc by mail)": [],
    }
    assert {text: list(creative_commons(words_of(text))) for text in names} == names


@pytest.mark.timeout(60)
def test_hostile_text_takes_no_long_time():
    blanks = "commercial use of this " + " " * 8_000
    for text in (
        blanks,
        "for " + "a, " * 3_000,
        "no deriv" * 3_000,
        "# (c) " * 1_300,
        "unauthorized use " * 500,
    ):
        text_expression(text * 4)
        header_licence(text + "\n# spdx-license-identifier: mit")
