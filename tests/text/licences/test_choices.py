"""What a notice offers a choice of, and of which work: a licence of other code takes nothing back."""

import pytest

from spanmix.text.licences.expressions import Permitted
from spanmix.text.licences.headers import header_licence
from spanmix.text.licences.repository import RepositoryLicences

MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software, subject "
    "to the following conditions: The above copyright notice and this permission notice shall be included in "
    "all copies or substantial portions of the Software. "
)
ISC = (
    "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee "
    "is hereby granted, provided that the above copyright notice and this permission notice appear in all "
    "copies. "
)
BSD = (
    "Redistribution and use in source and binary forms, with or without modification, are permitted provided "
    "that: 1. Redistributions of source code must retain this list. 2. Redistributions in binary form must "
    "reproduce the above copyright notice. "
)
GPL = "GNU General Public License"
OFFERED = {
    "Licensed under either of MIT or Apache-2.0 at your option.": "Apache-2.0 OR MIT",
    "Licensed under either MIT or Apache-2.0": "Apache-2.0 OR MIT",
    "This file is licensed under Apache-2.0 or MIT.": "Apache-2.0 OR MIT",
    "This crate is dual licensed under the terms of either the MIT license or the Apache License 2.0.": (
        "Apache-2.0 OR MIT"
    ),
    "Licensed under GPL-3.0-or-later or MIT at your option.": "GPL-3.0-or-later OR MIT",
    "Licensed under the MIT License or GPLv2+.": "GPL-2.0-or-later OR MIT",
    "Released under one of BSD-2-Clause or LGPL-2.1 or MPL-2.0": "BSD-2-Clause OR LGPL-2.1-only OR MPL-2.0",
    f"This is dual licensed under the ISC and MIT licenses. Use it under either of these. {ISC}{MIT}": (
        "ISC OR MIT"
    ),
    f"Licensed under the {GPL} version 2. Alternatively, this file may be distributed under the terms of the "
    "MIT license.": "GPL-2.0-only OR MIT",
    f"{BSD}Alternatively, this software may be distributed under the terms of the {GPL} version 2.": (
        "BSD-2-Clause OR GPL-2.0-only"
    ),
    f"This is licensed under either the terms of the {GPL} version 2 or the BSD 2-Clause License. {BSD}": (
        "BSD-2-Clause OR GPL-2.0-only"
    ),
}
OF_OTHER_WORKS = (
    f"This program is licensed under the {GPL} version 3. It contains code licensed under the MIT License. "
    "Alternatively, a commercial license is available.",
    f"Licensed under the {GPL} version 2. Alternatively, contact us. "
    "Portions are licensed under the MIT license.",
    f"Licensed under the {GPL} version 3. Documentation is dual licensed under the MIT license and CC0 1.0.",
    "Licensed under the GNU AGPL version 3. Uses x.js, released under the MIT license "
    "(or GPL at your choice).",
    f"x.js is dual licensed under the MIT license. You can redistribute this and/or modify it under the "
    f"{GPL} version 3.",
    "You can redistribute it and/or modify it under the terms of either the GNU Lesser General Public "
    f"License version 3 or the {GPL} version 2. Based on rhash. {MIT}",
    f"Licensed under the {GPL} version 3. The tests are licensed under either of MIT or Apache-2.0.",
)
NOT_SAID = (
    "Uses x.js, licensed under MIT or Apache-2.0.",
    "The tests are licensed under either of MIT or Apache-2.0 at your option.",
    "It is not licensed under either of MIT or Apache-2.0.",
    "It wraps libx. The library is licensed under MIT or Apache-2.0.",
    "The test code is licensed under MIT or Apache-2.0.",
    "Portions licensed under MIT or Apache-2.0.",
    "Licensed under MIT and Apache-2.0.",
    "Licensed under MIT or a commercial license.",
    "Licensed under MIT or Apache-2.0 or the Acme license.",
    "Licensed under MIT or Apache-2.0 with the Commons exception.",
    "Licensed under MIT or Apache-2.0 and the Acme terms.",
    "Licensed under MIT or Apache-2.0 licenses and the Acme terms.",
    "Licensed under MIT or BSD.",
    "Licensed under MIT or Apache-2.01.",
)


def stated(text):
    return header_licence("".join(f"// {line}\n" for line in ("Copyright 2020 Ann Author", text))).expression


@pytest.mark.parametrize(("text", "expected"), OFFERED.items())
def test_a_choice_of_this_work_is_one(text, expected):
    assert stated(text) == expected


@pytest.mark.parametrize("text", OF_OTHER_WORKS)
def test_a_choice_of_another_work_leaves_none_of_this_one(text):
    found = stated(text)
    assert found is not None
    assert not Permitted(("permissive",))(found)


@pytest.mark.parametrize("text", NOT_SAID)
def test_what_is_not_clear_is_not_stated(text):
    assert stated(text) is None


def of_folder(folder, files):
    (folder / ".git").mkdir(parents=True)
    for name, text in {"a.py": "x = 1\n", **files}.items():
        (folder / name).write_text(text)
    return RepositoryLicences().of(str(folder / "a.py"))


TEXTS = {"COPYING": f"{GPL}\nVersion 3, 29 June 2007\n", "LICENSE-MIT": MIT}
README = "# Tool\n\n## License\n\n{}\n"


@pytest.mark.parametrize(
    ("said", "files", "expected"),
    [
        ("Licensed under either of MIT or GPL-3.0-or-later, at your option.", {}, "GPL-3.0-or-later OR MIT"),
        ("Licensed under [MIT](LICENSE-MIT) or [GPLv3](COPYING).", {}, "GPL-3.0-only OR MIT"),
        ("Licensed under either of MIT or Apache-2.0.", {}, "GPL-3.0-only AND MIT"),
        ("It uses x.js, licensed under MIT or GPLv3.", {}, "GPL-3.0-only AND MIT"),
        ("Licensed under MIT or GPLv3.", {"LICENSE-ISC": ISC}, "GPL-3.0-only AND ISC AND MIT"),
        ("Licensed under MIT or GPLv3.", {"LICENSE-ACME": "Ask Acme."}, "GPL-3.0-only AND MIT"),
        (
            "Licensed under MIT or GPLv3.",
            {"package.json": '{"license": "GPL-3.0-only"}'},
            "GPL-3.0-only AND MIT",
        ),
    ],
)
def test_a_readme_offers_a_choice_of_the_licences_beside_it(tmp_path, said, files, expected):
    found = of_folder(tmp_path / "tool", {**TEXTS, **files, "README.md": README.format(said)})
    assert found.stated.expression == expected
    is_read = any(path.endswith("README.md") for path in found.looked_at)
    assert is_read == ("package.json" not in files)  # or what was made would not change with it


def test_a_readme_alone_states_nothing(tmp_path):
    said = README.format("Licensed under MIT or Apache-2.0.")
    assert of_folder(tmp_path / "tool", {"README.md": said}).stated.expression is None
