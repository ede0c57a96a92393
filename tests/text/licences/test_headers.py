"""Headers of files under 39 licences with known answers, in the comments of five languages; and what is no
licence."""

import pytest
from identify.vendor.licenses import LICENSES

from spanmix.text.licences.headers import copyright_lines, header_licence, text_expression
from spanmix.text.licences.phrases import licences_in, words_of

MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and "
    "associated "
    'documentation files (the "Software"), to deal in the Software without restriction, subject to the '
    "following "
    "conditions: The above copyright notice and this permission notice shall be included in all copies or "
    "substantial "
    "portions of the Software."
)
BSD = (
    "Redistribution and use in source and binary forms, with or without modification, are permitted "
    "provided that:"
)
BSD_1 = "1. Redistributions of source code must retain the above copyright notice, this list of conditions."
BSD_2 = "2. Redistributions in binary form must reproduce the above copyright notice in the documentation."
BSD_3 = (
    "3. The names of its contributors may not be used to endorse or promote products derived from "
    "this software."
)
BSD_4 = (
    "3. All advertising materials mentioning features or use of this software must display an "
    "acknowledgement."
)
GPL = "it under the terms of the GNU General Public License as published by the Free Software Foundation"
ISC = (
    "Permission to use, copy, modify, and/or distribute this software for any purpose with or without "
    "fee is hereby granted"
)

HEADERS = {
    "MIT": MIT,
    "MIT-0": MIT.partition(", subject")[0] + ", and to permit persons to whom the Software is furnished "
        "to do so.",
    "X11": MIT + " Except as contained in this notice, the name of the X Consortium shall not be used in "
        "advertising.",
    "ISC": ISC + " provided that the above copyright notice and this permission notice appear in all copies",
    "0BSD": ISC + ".",
    "BSD-2-Clause": f"{BSD} {BSD_1} {BSD_2}",
    "BSD-3-Clause": f"{BSD} {BSD_1} {BSD_2} {BSD_3}",
    "BSD-4-Clause": f"{BSD} {BSD_1} {BSD_2} {BSD_4} {BSD_3}",
    "Apache-2.0": (
        'Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except '
        'in compliance '
        "with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0"
    ),
    "Apache-2.0 WITH LLVM-exception": "Part of the LLVM Project, under the Apache License v2.0 with LLVM "
        "Exceptions.",
    "GPL-2.0-only": f"This program is free software; you can redistribute {GPL}; version 2 of the License.",
    "GPL-2.0-or-later": (
        f"This program is free software; you can redistribute it and/or modify {GPL}; either version 2 of "
        f"the License, "
        "or (at your option) any later version."
    ),
    "GPL-3.0-only": f"You can redistribute it and/or modify {GPL}, version 3.",
    "GPL-3.0-or-later": (
        f"This is free software: you can redistribute it and/or modify {GPL}, either version 3 of the "
        f"License, or (at "
        "your option) any later version. You should have received a copy of the GNU General Public "
        "License along."
    ),
    "LGPL-2.1-or-later": (
        "This library is free software; you can redistribute it and/or modify it under the terms of the "
        "GNU Lesser "
        "General Public License as published by the FSF; either version 2.1 of the License, or (at your "
        "option) any "
        "later version."
    ),
    "LGPL-3.0-only": "This file is distributed under the terms of the GNU Lesser General Public License "
        "version 3.",
    "AGPL-3.0-or-later": (
        "you can redistribute it and/or modify it under the terms of the GNU Affero General Public "
        "License as published "
        "by the Free Software Foundation, either version 3 of the License, or (at your option) any later "
        "version."
    ),
    "GFDL-1.3-or-later": (
        "Permission is granted to copy, distribute and/or modify this document under the terms of the GNU "
        "Free "
        "Documentation License, Version 1.3 or any later version published by the Free Software Foundation"
    ),
    "GPL-2.0-only WITH Classpath-exception-2.0": (
        f"you can redistribute {GPL}; version 2 only. Oracle designates this file as subject to the "
        f"\"Classpath\" "
        "exception as provided in the LICENSE file."
    ),
    "MPL-2.0": (
        "This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. If a copy "
        "of the MPL was "
        "not distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/."
    ),
    "MPL-1.1": "The contents of this file are subject to the Mozilla Public License Version 1.1 (the "
        "\"License\")",
    "EPL-1.0": "made available under the terms of the Eclipse Public License v1.0 which accompanies this "
        "distribution",
    "EPL-2.0": "available under the terms of the Eclipse Public License 2.0 which is available at https://eclipse.org",
    "CDDL-1.0": "subject to the terms of the Common Development and Distribution License (the \"License\").",
    "BSL-1.0": "Distributed under the Boost Software License, Version 1.0. (See accompanying file "
        "LICENSE_1_0.txt)",
    "Zlib": (
        "1. The origin of this software must not be misrepresented. 2. Altered source versions must be "
        "plainly marked "
        "as such, and must not be misrepresented as being the original software."
    ),
    "Unlicense": "This is free and unencumbered software released into the public domain.",
    "CC0-1.0": "To the extent possible under law, the author has waived all copyright and related or "
        "neighboring rights.",
    "CC-BY-4.0": "This work is licensed under the Creative Commons Attribution 4.0 International License.",
    "CC-BY-SA-4.0": "licensed under a Creative Commons Attribution-ShareAlike 4.0 International License",
    "WTFPL": "DO WHAT THE FUCK YOU WANT TO PUBLIC LICENSE",
    "Artistic-1.0-Perl OR GPL-1.0-or-later": (
        "This library is free software; you can redistribute it and/or modify it under either the terms "
        "of the GNU "
        "General Public License; the Artistic License; you can redistribute it and/or modify it under the "
        "same terms as "
        "Perl itself."
    ),
    "PSF-2.0": "Licensed to PSF under a Contributor Agreement.",
    "OFL-1.1": "This Font Software is licensed under the SIL Open Font License, Version 1.1.",
    "PostgreSQL": (
        "Permission to use, copy, modify, and distribute this software and its documentation for any "
        "purpose, without "
        "fee, and without a written agreement is hereby granted"
    ),
    "UPL-1.0": "Licensed under the Universal Permissive License v 1.0 as shown at https://oss.oracle.com/licenses/upl.",
    "EUPL-1.2": "Licensed under the EUPL, Version 1.2 or – as soon they will be approved - subsequent "
        "versions",
    "BUSL-1.1": "Use of this software is governed by the Business Source License 1.1.",
    "GPL-2.0-or-later OR LGPL-2.1-or-later OR MPL-1.1": (
        "The contents of this file are subject to the Mozilla Public License Version 1.1. Alternatively, "
        "the contents of "
        "this file may be used under the terms of either the GNU General Public License Version 2 or "
        "later (the "
        '"GPL"), or the GNU Lesser General Public License Version 2.1 or later (the "LGPL").'
    ),
    "Apache-2.0 OR MIT": (
        "Licensed under either of Apache License, Version 2.0 "
        "(http://www.apache.org/licenses/LICENSE-2.0) or under the "
        "MIT license, at your option; you may use it under the Apache License 2.0."
    ),
}  # fmt: skip
COMMENTS = {"py": "# ", "c": " * ", "js": "// ", "sql": "-- ", "tex": "%% "}


def wrapped(text, prefix, width):
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) > width:
            lines.append(line)
            line = ""
        line += word + " "
    return "".join(f"{prefix}{line.rstrip()}\n" for line in [*lines, line])


def test_headers_are_known_however_they_are_wrapped_and_commented():
    wrong, met = [], set()
    for expected, text in HEADERS.items():
        for number, (language, prefix) in enumerate(COMMENTS.items()):
            body = wrapped(text, prefix, 40 + 15 * number)
            head = f"{prefix}Copyright (c) 2019-2021 Ann Author\n{prefix}\n{body}"
            found = header_licence(f"{head}\nint main = 1;\n").expression
            wrong += [] if found == expected else [(expected, language, found)]
            met.add(expected)
    assert wrong == [] and len(met) >= 20


@pytest.mark.parametrize(
    "text",
    [
        "import os\n\ndef license(self):\n    return self.licenses[0]\n",
        "# Use of this source code is governed by a BSD-style license that can be found in the LICENSE "
        "file.\n",
        "# Copyright 2020 Ann Author. All rights reserved.\n",
        "# See the file LICENSE for copying permission.\n",
        "# This is compatible with the GNU General Public License, but not a part of it.\n",
        "print('SPDX-License-Identifier: GPL-2.0-only')\n",
        'TAG = "SPDX-License-Identifier: MIT"\n',
        "# We do not use GPL code here. MIT is in Cambridge.\n",
        "int apache = 2;\n",
        "",
    ],
)
def test_what_states_no_licence_is_read_as_none(text):
    assert header_licence(text).expression is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# SPDX-License-Identifier: MIT\n", "MIT"),
        ("/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */\n", "GPL-2.0-only OR BSD-2-Clause"),
        ("<!-- SPDX-License-Identifier: apache-2.0 -->\n", "Apache-2.0"),
        ("dnl SPDX-License-Identifier: GPL-3.0+\n", "GPL-3.0-or-later"),
        ('"""\nSPDX-License-Identifier: ISC\n"""\n', "ISC"),
        ("REM SPDX-License-Identifier: 0BSD\r\n", "0BSD"),
        (
            "// SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note\n",
            "GPL-2.0-only WITH Linux-syscall-note",
        ),
        ("x = 1\n" * 5_000 + "# SPDX-License-Identifier: Zlib\n", "Zlib"),
        ("# SPDX-License-Identifier: MIT\n# SPDX-License-Identifier: Zlib\n", "MIT AND Zlib"),
    ],
)
def test_spdx_tags(text, expected):
    assert header_licence(text).expression == expected


def test_a_tag_speaks_for_the_texts_of_its_licences_and_for_no_other():
    tag = "# SPDX-License-Identifier: MIT OR GPL-2.0-or-later\n"
    assert header_licence(tag + wrapped(HEADERS["MIT"], "# ", 70)).expression == "MIT OR GPL-2.0-or-later"
    mixed = header_licence("# SPDX-License-Identifier: MIT\n" + wrapped(HEADERS["GPL-3.0-only"], "# ", 70))
    assert mixed.expression == "GPL-3.0-only AND MIT"


def test_a_tag_that_cannot_be_read_is_reported():
    found = header_licence("# SPDX-License-Identifier: Our-Own-Terms 2\n")
    assert (found.expression, found.unknown) == (None, "Our-Own-Terms 2")


def test_two_texts_in_one_header_both_hold():
    text = wrapped(HEADERS["MIT"], "# ", 70) + "#\n" + wrapped(HEADERS["BSD-3-Clause"], "# ", 70)
    assert header_licence(text).expression == "BSD-3-Clause AND MIT"


def test_whole_texts_of_licences_agree_with_those_of_identify():
    found = {spdx: licences_in(words_of(text)) for spdx, text in LICENSES}
    wrong = {spdx: ids for spdx, ids in found.items() if [one.removesuffix("-only") for one in ids] != [spdx]}
    assert wrong == {} and len(LICENSES) >= 30


def test_terms_that_are_added_to_a_permissive_text_make_another_licence():
    bsd = HEADERS["BSD-2-Clause"]
    assert text_expression(bsd + " Redistributions must include complete source code.") is None
    assert (
        text_expression("Functional Source License. " + HEADERS["Apache-2.0"])
        == "LicenseRef-functional-source"
    )
    assert text_expression('"Commons Clause" ' + HEADERS["MIT"]) == "LicenseRef-commons-clause"


MISLEADING = {
    "GPL-2.0": """\
 Copyright (C) 1989, 1991 Free Software Foundation, Inc.,
 1 Some Street, Some Town
 Everyone is permitted to copy and distribute verbatim copies
 of this license document.
We protect your rights with two steps: (1)
copyright the software, and (2) offer you this license.
    Copyright (C) <year>  <name of author>
    Copyright (C) 19yy  <name of author>
  `Gnomovision', hereby disclaims all
copyright interest in the program
""",
    "GPL-3.0": """\
 Copyright (C) 2007 Free Software Foundation, Inc. <https://fsf.org/>
 Everyone is permitted to copy and distribute verbatim copies
 of this license document, but changing it is not allowed.
All rights are granted for the term of
copyright on the Program, and are irrevocable provided the stated
conditions are met, as is said in the
copyright law of 1976.
    Copyright (C) <year>  <name of author>
""",
    "LGPL-2.1": """\
 Copyright (C) 1991, 1999 Free Software Foundation, Inc.
 Everyone is permitted to copy and distribute verbatim copies
To protect each developer we
copyright the library, and (2) we offer this license.
    Copyright (C) <year>  <name of author>
""",
    "MPL-2.0": "of the same\ncopyright notices, and such\ncopyright or other rights as it has\n",
    "EPL-1.0": "has\ncopyright rights in its Contribution, if any, to grant the\ncopyright license\n",
    "Apache-2.0": """\
   2. Grant of
   Copyright License. Subject to the terms, each one grants a
   copyright license to reproduce, signed by the
   copyright owner or by an individual
   Copyright [yyyy] [name of copyright owner]
   Copyright {yyyy} {name of copyright owner}
""",
    "MIT": "Copyright (c) [year] [fullname]\nCopyright (c) <year> <copyright holders>\nThe above\n"
        "copyright notice shall be included. THE AUTHORS OR\nCOPYRIGHT HOLDERS ARE NOT LIABLE\n",
    "BSD-3-Clause": "Copyright (c) <year>, <owner>\nmust retain the above\ncopyright notice; BY THE\n"
        "COPYRIGHT HOLDERS AND CONTRIBUTORS, NOR THE\nCOPYRIGHT OWNER OR CONTRIBUTORS ARE LIABLE\n",
    "GFDL-1.3": "Copyright (c)  YEAR  YOUR NAME.\n",
    "CC": "COPYRIGHT AND/OR OTHER LAW. ANY USE OF THE WORK\nCopyright and Related Rights include\n",
}  # fmt: skip


@pytest.mark.parametrize("licence", MISLEADING)
@pytest.mark.parametrize("prefix", ["", " * ", "# "])
def test_the_texts_of_licences_claim_no_copyright_of_the_program(licence, prefix):
    text = "".join(prefix + line + "\n" for line in MISLEADING[licence].splitlines())
    assert "copyright" in text.lower() and copyright_lines(text) == ()
    above = f"{prefix}Copyright (C) 2020 Ann Author\n{prefix}\n{prefix}THE LICENSE\n{prefix}\n"
    assert copyright_lines(above + text) == ("Copyright (C) 2020 Ann Author",)


def test_whole_texts_of_licences_have_no_holder_of_programs():
    found = {spdx: copyright_lines(text) for spdx, text in LICENSES}
    # What the holder of the text writes of itself stands alone in these.
    rest = {spdx: lines for spdx, lines in found.items() if lines and spdx not in {"LPPL-1.3c", "WTFPL"}}
    assert rest == {} and len(found) >= 30


@pytest.mark.parametrize(
    "line",
    [
        "Copyright (C) 2001, 2007 Free Software Foundation, Inc.",
        "Copyright the Bo Project",
        "copyright 2020 ann author",
        "Copyright by The Regents",
        "Copyright ISO/IEC (International Organization for Standardization)",
        "Copyright Örjan Andersson",
        "Copyright aio-libs contributors",
        "Copyright: (c) Corporation",
        "Copyright (c) The Regents of the University of California.",
        "Copyright 2019 Name of Rose <rose@names.org>",
    ],
)
def test_claims_without_a_usual_form_are_claims(line):
    assert copyright_lines(f"# {line}\n# All rights reserved.\n") == (line,)


def test_copyright_lines():
    text = (
        "/*\n * Copyright (C) 2001, 2002 Ann Author <ann@bo.com>\n * Copyright: the Bo Project */\n"
        "// © 2020 Cy\n# SPDX-FileCopyrightText: 2021 Di Doe\n# (c) 1999 Ed\n"
        "# The above copyright notice shall appear.\n# copyright notice\nx = copyright\n"
    )
    assert copyright_lines(text) == (
        "Copyright (C) 2001, 2002 Ann Author <ann@bo.com>", "Copyright: the Bo Project", "© 2020 Cy",
        "2021 Di Doe", "(c) 1999 Ed",
    )  # fmt: skip
