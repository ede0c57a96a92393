"""The phrases by which licences are told apart: a table, in the wording of the licences themselves.

A BSD licence, for one, is its first sentence with the second condition, and without the third and the fourth.
"""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """A licence, the phrases that its text must hold, and those that it must not; all as `words_of` has
    them."""

    spdx: str
    phrases: tuple[str, ...]
    forbidden: tuple[str, ...] = ()


_MIT = "permission is hereby granted free of charge to any person obtaining a copy"
_MIT_NOTICE = (
    "the above copyright notice and this permission notice shall be included in all copies or substantial"
)
_MIT_NOTICES = (
    "copyright notice and this permission notice including the next paragraph shall be included in all"
)
_BSD = "redistribution and use in source and binary forms with or without modification are permitted"
_BSD_2 = "redistributions in binary form must reproduce the above"
_BSD_3 = "used to endorse or promote products derived from this software"
_BSD_4 = "all advertising materials mentioning features or use of this software must display"
_ISC = (
    "permission to use copy modify and or distribute this software for any purpose with or without fee "
    "is hereby"
)
_ISC_OLD = (
    "permission to use copy modify and distribute this software for any purpose with or without fee is hereby"
)
_ISC_NOTICE = "provided that the above copyright notice and this permission notice appear in all copies"
_APACHE_1 = "this product includes software developed by the apache software foundation"

_RESTRICTED = ("functional source license", "business source license", "commons clause")
_SOURCE_TOO = ("complete source code", "caldera", "sendmail", *_RESTRICTED)
"""Conditions and licensors that make another licence of what is otherwise a BSD licence's text."""

RULES = (
    Rule(
        "MIT",
        (_MIT, _MIT_NOTICE),
        ("except as contained in this notice", "advertising", "good not evil", *_RESTRICTED),
    ),
    Rule("MIT", (_MIT, _MIT_NOTICES), _RESTRICTED),
    Rule(
        "MIT-0",
        (_MIT, "to permit persons to whom the software is furnished to do so"),
        ("subject to the following",),
    ),
    Rule("X11", (_MIT, _MIT_NOTICE, "except as contained in this notice the name"), ("digitally signed",)),
    Rule(
        "MIT-feh",
        (_MIT, "shall be included in all copies of the software and its documentation"),
        ("advertising",),
    ),
    Rule("JSON", (_MIT, "the software shall be used for good not evil")),
    Rule("0BSD", (_ISC,), (_ISC_NOTICE, "provided that")),
    Rule("0BSD", ("zero clause bsd license for code",)),
    Rule("ISC", (_ISC, _ISC_NOTICE)),
    Rule("ISC", (_ISC_OLD, _ISC_NOTICE)),
    Rule(
        "BSD-1-Clause",
        (_BSD, "redistributions of source code must retain"),
        (_BSD_2, _BSD_3, _BSD_4, "in binary form"),
    ),
    Rule(
        "BSD-2-Clause",
        (_BSD, _BSD_2),
        (_BSD_3, _BSD_4, "endorse or promote", "patent license", "neither the name", *_SOURCE_TOO),
    ),
    Rule(
        "BSD-2-Clause-Patent",
        (_BSD, _BSD_2, "irrevocable except for failure to satisfy the conditions of this license patent"),
    ),
    Rule(
        "BSD-2-Clause-Patent",
        (_BSD, _BSD_2, "subject to the terms and conditions of this license each copyright holder"),
    ),
    Rule(
        "BSD-3-Clause",
        (_BSD, _BSD_2, _BSD_3),
        (
            _BSD_4,
            "no express or implied licenses to any party s patent",
            "apache",
            "openssl",
            "no nuclear",
            *_SOURCE_TOO,
        ),
    ),
    Rule(
        "BSD-3-Clause",
        (_BSD, _BSD_2, "to endorse or promote products derived from"),
        (_BSD_3, _BSD_4, "apache", "php", "openssl", *_SOURCE_TOO),
    ),
    Rule(
        "BSD-3-Clause-Clear", (_BSD, _BSD_2, _BSD_3, "no express or implied licenses to any party s patent")
    ),
    Rule(
        "BSD-4-Clause",
        (_BSD, _BSD_2, _BSD_4),
        ("apache", "openssl toolkit", "university of california", *_SOURCE_TOO),
    ),
    Rule(
        "BSD-4-Clause-UC", (_BSD, _BSD_2, _BSD_4, "university of california"), ("apache", "openssl toolkit")
    ),
    Rule("OpenSSL", (_BSD, "for use in the openssl toolkit")),
    Rule("Apache-1.0", (_BSD, _BSD_4, "for use in the apache http server project")),
    Rule("Apache-1.1", (_BSD, _APACHE_1, "end user documentation included with the redistribution")),
    Rule(
        "Sleepycat",
        (_BSD, "redistributions in any form must be accompanied by information on how to obtain complete"),
    ),
    Rule("LicenseRef-sendmail", (_BSD, "sendmail inc")),
    Rule("LicenseRef-functional-source", ("functional source license",)),
    Rule("LicenseRef-commons-clause", ("commons clause",)),
    Rule("PHP-3.01", ("the php license version 3.01",)),
    Rule("Apache-2.0", ("apache license version 2.0 january 2004",), _RESTRICTED),
    Rule("Apache-2.0", ("licensed under the apache license version 2.0",), _RESTRICTED),
    Rule(
        "Apache-2.0",
        (
            "licensed to the apache software foundation asf under one or more contributor license agreements",
            "apache org licenses license 2.0",
        ),
    ),
    Rule("Apache-2.0", ("under the terms of the apache license version 2.0",)),
    Rule("Apache-2.0", ("released under the apache 2.0 license",)),
    Rule("Apache-2.0", ("licensed under the apache 2.0 license",)),
    Rule("Apache-2.0", ("under the apache license 2.0",)),
    Rule("Apache-2.0", ("apache license v2.0",)),
    Rule("Apache-2.0 WITH LLVM-exception", ("llvm exceptions to the apache 2.0 license",)),
    Rule("Apache-2.0 WITH LLVM-exception", ("apache license v2.0 with llvm exceptions",)),
    Rule("ECL-2.0", ("educational community license version 2.0",)),
    Rule("MPL-2.0", ("subject to the terms of the mozilla public license v 2.0",)),
    Rule("MPL-2.0", ("subject to the terms of the mozilla public license version 2.0",)),
    Rule("MPL-2.0", ("mozilla public license version 2.0 1 definitions",)),
    Rule("MPL-2.0", ("licensed under the mozilla public license version 2.0",)),
    Rule("MPL-2.0", ("mozilla public license version 2.0 1.1 contributor",)),
    Rule("MPL-1.1", ("contents of this file are subject to the mozilla public license version 1.1",)),
    Rule("MPL-1.1", ("mozilla public license version 1.1 1 definitions",)),
    Rule("MPL-1.1", ("mozilla public license version 1.1 1.0.1",)),
    Rule("MPL-1.0", ("subject to the mozilla public license version 1.0",)),
    Rule("EPL-1.0", ("eclipse public license v1.0",), ("european union",)),
    Rule("EPL-1.0", ("eclipse public license v 1.0",), ("european union",)),
    Rule("EPL-2.0", ("eclipse public license 2.0 which is available at",)),
    Rule("EPL-2.0", ("eclipse public license v 2.0",)),
    Rule("EPL-2.0", ("eclipse public license v2.0",)),
    Rule("CPL-1.0", ("common public license version 1.0",)),
    Rule("CPL-1.0", ("common public license v1.0",)),
    Rule("CDDL-1.0", ("common development and distribution license version 1.0",)),
    Rule("CDDL-1.0", ("common development and distribution license cddl version 1.0",)),
    Rule("CDDL-1.0", ("terms of the common development and distribution license",), ("cddl version 1.1",)),
    Rule("BSL-1.0", ("boost software license version 1.0",)),
    Rule(
        "Zlib",
        (
            "the origin of this software must not be misrepresented",
            "altered source versions must be plainly marked",
        ),
    ),
    Rule("Unlicense", ("this is free and unencumbered software released into the public domain",)),
    Rule("CC0-1.0", ("cc0 1.0 universal",)),
    Rule(
        "CC0-1.0",
        (
            "to the extent possible under law the author",
            "waived all copyright and related or neighboring rights",
        ),
    ),
    Rule("CC0-1.0", ("creativecommons org publicdomain zero 1.0",)),
    Rule("WTFPL", ("do what the fuck you want to public license",)),
    Rule("Artistic-2.0", ("the artistic license 2.0",)),
    Rule("Artistic-2.0", ("artistic license version 2.0",)),
    Rule(
        "Artistic-1.0-Perl",
        (
            "the artistic license preamble the intent of this document",
            "aggregation of this package with a commercial distribution",
        ),
    ),
    Rule(
        "Artistic-1.0-Perl", ("you can redistribute it and or modify it under the same terms as perl itself",)
    ),
    Rule("PSF-2.0", ("python software foundation license version 2",), ("beopen",)),
    Rule("PSF-2.0", ("licensed to psf under a contributor agreement",), ("beopen",)),
    Rule(
        "Python-2.0",
        ("python software foundation license version 2", "beopen python open source license agreement"),
    ),
    Rule("OFL-1.1", ("sil open font license version 1.1",)),
    Rule("NCSA", (_MIT, _BSD_2.removeprefix("redistributions in binary form must "), "neither the names of")),
    Rule("NCSA", ("university of illinois open source license",)),
    Rule("NCSA", ("university of illinois ncsa open source license",)),
    Rule(
        "PostgreSQL",
        (
            "permission to use copy modify and distribute this software and its documentation for any "
            "purpose without fee and without a written agreement is hereby granted",
        ),
    ),
    Rule(
        "HPND",
        (
            "permission to use copy modify and distribute this software and its documentation for any "
            "purpose and without fee is hereby granted provided that the above copyright notice appear",
        ),
        ("stichting mathematisch centrum",),
    ),
    Rule("UPL-1.0", ("universal permissive license v 1.0",)),
    Rule("UPL-1.0", ("the universal permissive license upl version 1.0",)),
    Rule("MS-PL", ("microsoft public license ms pl",)),
    Rule("MS-RL", ("microsoft reciprocal license ms rl",)),
    Rule("OSL-3.0", ("licensed under the open software license version 3.0",)),
    Rule("AFL-3.0", ("licensed under the academic free license version 3.0",)),
    Rule("EUPL-1.1", ("european union public licence v 1.1",)),
    Rule("EUPL-1.1", ("licensed under the eupl v.1.1",)),
    Rule("EUPL-1.1", ("licensed under the eupl version 1.1",)),
    Rule("EUPL-1.1", ("licensed under the eupl v 1.1",)),
    Rule("EUPL-1.2", ("european union public licence v 1.2",)),
    Rule(
        "EUPL-1.2",
        ("licensed under the eupl",),
        ("licensed under the eupl v 1.1", "eupl version 1.1", "eupl v 1.0"),
    ),
    Rule("LPPL-1.3c", ("latex project public license", "lppl version 1.3c")),
    Rule("LPPL-1.3c", ("latex project public license either version 1.3",)),
    Rule(
        "LPPL-1.0",
        ("latex project public license",),
        ("lppl version 1.3", "either version 1.3", "version 1.2", "version 1.1"),
    ),
    Rule("BlueOak-1.0.0", ("blue oak model license version 1.0.0",)),
    Rule("Vim", ("vim license",)),
    Rule("Ruby", ("you can redistribute it and or modify it under either the terms of the 2 clause bsdl",)),
    Rule("ZPL-2.1", ("zope public license zpl version 2.1",)),
    Rule("ZPL-2.1", ("zope public license version 2.1",)),
    Rule("W3C", ("w3c software notice and license",)),
    Rule("Unicode-3.0", ("unicode license v3",)),
    Rule("MulanPSL-2.0", ("mulan psl v2",)),
    Rule("BUSL-1.1", ("business source license 1.1",)),
    Rule("SSPL-1.0", ("server side public license",)),
    Rule("Elastic-2.0", ("elastic license 2.0",)),
    Rule("LicenseRef-public-domain", ("released into the public domain",), ("free and unencumbered",)),
    Rule("LicenseRef-public-domain", ("placed in the public domain",)),
    Rule("LicenseRef-public-domain", ("this file is in the public domain",)),
    Rule("LicenseRef-public-domain", ("this code is in the public domain",)),
)
