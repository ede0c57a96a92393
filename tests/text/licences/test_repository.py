"""The licence of the repository that a file lies in: which file says it, which folder's counts, and where it
ends."""

import pytest

from spanmix.text.licences.dep5 import is_dep5, read_dep5, stated_for
from spanmix.text.licences.headers import Stated
from spanmix.text.licences.metadata import read_metadata
from spanmix.text.licences.repository import RepositoryLicences

MIT = """Copyright (c) 2020 Ann Author

Permission is hereby granted, free of charge, to any person obtaining a copy of this software.
The above copyright notice and this permission notice shall be included in all copies or substantial portions.
"""
GPL = "GNU GENERAL PUBLIC LICENSE\nVersion 2, June 1991\n"
APACHE = "Apache License\nVersion 2.0, January 2004\nhttp://www.apache.org/licenses/\n"
DEP5 = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2001 Ann Author
 2002 Bo Author
License: Expat

Files: vendor/* *.sh
Copyright: 2003 Cy Coder
License: GPL-2+ or Artistic-2.0

License: Expat
 Permission is hereby granted …
"""


@pytest.fixture
def tree(tmp_path):
    """Writes files below a checkout and gives what holds for one of them."""
    (tmp_path / ".git").mkdir()

    def look_up(path, files):
        for name, text in {path: "x = 1\n", **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        return RepositoryLicences().of(str(tmp_path / path))

    return look_up


@pytest.mark.parametrize(
    "name", ["LICENSE", "LICENCE.txt", "license.md", "COPYING", "MIT-LICENSE.txt", "COPYING.LIB"]
)
def test_licence_files(tree, name):
    found = tree("src/a/b.py", {name: MIT})
    assert found.stated == Stated("MIT", "", ("Copyright (c) 2020 Ann Author",))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("pyproject.toml", '[project]\nlicense = "MIT OR Apache-2.0"\n', "MIT OR Apache-2.0"),
        ("pyproject.toml", '[project]\nlicense = {text = "BSD-3-Clause"}\n', "BSD-3-Clause"),
        ("pyproject.toml", '[project]\nclassifiers = ["License :: OSI Approved :: MIT License"]\n', "MIT"),
        ("pyproject.toml", '[tool.poetry]\nlicense = "ISC"\n', "ISC"),
        ("PKG-INFO", "Metadata-Version: 2.1\nLicense: Apache 2.0\n\nLicense: MIT\n", "Apache-2.0"),
        ("setup.cfg", "[metadata]\nlicense = Apache-2.0\n", "Apache-2.0"),
        ("package.json", '{"license": "(MIT OR GPL-3.0)"}', "MIT OR GPL-3.0-only"),
        ("package.json", '{"license": {"type": "ISC"}}', "ISC"),
        ("package.json", '{"licenses": [{"type": "MIT"}, {"type": "GPL-2.0"}]}', "GPL-2.0-only OR MIT"),
        ("package.json", '{"license": "UNLICENSED"}', "LicenseRef-proprietary"),
        ("package.json", '{"license": "SEE LICENSE IN x.txt"}', None),
        ("package.json", "{broken", None),
        ("package.json", "[1]", None),
        ("Cargo.toml", '[package]\nlicense = "MIT/Apache-2.0"\n', "MIT OR Apache-2.0"),
        ("Cargo.toml", "[package\n", None),
    ],
)
def test_metadata(tree, name, text, expected):
    assert read_metadata(name, text).expression == expected
    assert tree("lib/x.js", {name: text}).stated.expression == expected


def test_metadata_speaks_for_the_files_that_it_names(tree):
    declared = '{"license": "MIT OR Apache-2.0"}'
    assert tree(
        "a.js", {"package.json": declared, "LICENSE-MIT": MIT, "LICENSE-APACHE": APACHE}
    ).stated.expression == ("MIT OR Apache-2.0")


def test_metadata_and_files_that_contradict_each_other_both_hold(tree):
    assert (
        tree("a.js", {"package.json": '{"license": "MIT"}', "LICENSE": GPL}).stated.expression
        == "GPL-2.0-only AND MIT"
    )


def test_licence_files_without_metadata_all_hold(tree):
    assert tree("a.js", {"LICENSE": MIT, "COPYING": GPL}).stated.expression == "GPL-2.0-only AND MIT"


def test_a_file_that_offers_either_licence_offers_a_choice(tree):
    text = (
        "This software is made available under the terms of either of the licenses found in LICENSE.A "
        "or LICENSE.B."
    )
    files = {"LICENSE": text, "LICENSE.APACHE": APACHE, "LICENSE.MIT": MIT}
    assert tree("a.js", files).stated.expression == "Apache-2.0 OR MIT"


def test_the_nearest_folder_holds(tree):
    files = {"LICENSE": GPL, "lib/copied/LICENSE": MIT}
    assert tree("lib/copied/deep/a.py", files).stated.expression == "MIT"
    assert tree("lib/other/a.py", {}).stated.expression == "GPL-2.0-only"


def test_the_search_ends_at_the_checkout_and_at_installed_packages(tmp_path):
    (tmp_path / "LICENSE").write_text(MIT)
    for folder in ("checkout/.git", "node_modules/pkg/lib", "vendor/one"):
        (tmp_path / folder).mkdir(parents=True)
    for path in ("checkout/a.py", "node_modules/pkg/lib/a.js", "vendor/one/a.go", "plain/a.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("x")
    licences = RepositoryLicences()
    found = {path: licences.of(str(tmp_path / path)).stated.expression for path in (
        "checkout/a.py", "node_modules/pkg/lib/a.js", "vendor/one/a.go", "plain/a.py",
        "not/there.py")}  # fmt: skip
    assert found == {
        "checkout/a.py": None, "node_modules/pkg/lib/a.js": None, "vendor/one/a.go": None,
        "plain/a.py": "MIT",
        "not/there.py": None,
    }  # fmt: skip


def test_installed_python_packages_are_found_by_what_they_installed(tmp_path):
    site = tmp_path / "site-packages"
    rows = {"one": ("one/__init__.py", "ns/one.py", "MIT"), "two": ("two.py", "ns/two.py", "GPL-2.0-only")}
    for name, (first, second, licence) in rows.items():
        info = site / f"{name}-1.0.dist-info"
        (info / "licenses").mkdir(parents=True)
        (info / "METADATA").write_text(f"Name: {name}\nLicense-Expression: {licence}\n\ntext\n")
        (info / "RECORD").write_text(f'{first},,\n{second},,\n"{name}/data,x.py",,\n../../bin/{name},,\n')
        (info / "licenses" / "LICENSE").write_text(MIT if name == "one" else GPL)
        for path in (first, second):
            (site / path).parent.mkdir(exist_ok=True)
            (site / path).write_text("x")
    (site / "stray.py").write_text("x")
    licences = RepositoryLicences()
    found = {path: licences.of(str(site / path)).stated for path in (
        "one/__init__.py", "ns/one.py", "ns/two.py", "two.py", "stray.py")}  # fmt: skip
    expressions = {path: stated.expression for path, stated in found.items()}
    assert expressions == {
        "one/__init__.py": "MIT", "ns/one.py": "MIT", "ns/two.py": "GPL-2.0-only", "two.py": "GPL-2.0-only",
        "stray.py": None,
    }  # fmt: skip
    assert found["one/__init__.py"].copyrights == ("Copyright (c) 2020 Ann Author",)


def test_debian_copyright_files_hold_by_path(tree):
    assert is_dep5(DEP5) and not is_dep5(MIT)
    paragraphs = read_dep5(DEP5)
    assert stated_for(paragraphs, "src/a.py").expression == "MIT"
    assert stated_for(paragraphs, "src/a.py").copyrights == (
        "Copyright 2001 Ann Author",
        "Copyright 2002 Bo Author",
    )
    assert stated_for(paragraphs, "run.sh").expression == "GPL-2.0-or-later OR Artistic-2.0"
    assert stated_for(paragraphs, None).expression == "MIT AND (Artistic-2.0 OR GPL-2.0-or-later)"
    assert tree("vendor_of/x.py", {"debian/copyright": DEP5}).stated.expression == "MIT"
    assert tree("src/x.sh", {}).stated.expression == "GPL-2.0-or-later OR Artistic-2.0"


def test_reuse_annotations_hold_by_path(tree):
    reuse = (
        'version = 1\n[[annotations]]\npath = "src/**"\nSPDX-License-Identifier = "MIT"\n'
        '[[annotations]]\npath = ["docs/*.md"]\nSPDX-License-Identifier = "CC-BY-4.0"\n'
    )
    files = {"REUSE.toml": reuse, "LICENSES/MIT.txt": MIT, "LICENSES/Apache-2.0.txt": APACHE}
    assert tree("src/deep/a.py", files).stated.expression == "MIT"
    assert tree("docs/a.md", {}).stated.expression == "CC-BY-4.0"


def test_licence_files_that_are_links_are_not_opened(tmp_path):
    outside = {"GPL": GPL, "project.toml": '[project]\nlicense = "GPL-2.0-only"\n'}
    for name, text in outside.items():
        (tmp_path / name).write_text(text)
    top = tmp_path / "checkout"
    links = {
        "up/LICENSE": "../LICENSE",
        "vendor_of/lib/LICENSE": "../../LICENSE",  # not that of the folder between
        "metadata/pyproject.toml": "../../project.toml",
        "away/LICENSE": "../../GPL",  # not taken for MIT
        "folder/LICENSES": "../../texts",
        "declared/LICENSE": "../../GPL",
        "beside/COPYING": "LICENSE.txt",
    }
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "GPL.txt").write_text(GPL)
    for path, target in links.items():
        (top / path).parent.mkdir(parents=True)
        (top / path).symlink_to(target)
        (top / path).with_name("a.py").write_text("x")
    (top / "vendor_of" / "LICENSE").write_text(GPL)
    (top / ".git").mkdir()
    (top / "LICENSE").write_text(MIT)
    (top / "declared" / "package.json").write_text('{"license": "Apache-2.0"}')
    (top / "beside" / "LICENSE.txt").write_text(APACHE)
    folders = [path.rpartition("/")[0] for path in links]

    def stated(follow_links):
        licences = RepositoryLicences(follow_links)
        return {folder: licences.of(str(top / folder / "a.py")).stated for folder in folders}

    expected = {"up": "MIT", "vendor_of/lib": "MIT", "metadata": "MIT", "away": None, "folder": None}
    expected |= {"declared": "Apache-2.0", "beside": "Apache-2.0"}
    found = stated(follow_links=False)
    assert {folder: one.expression for folder, one in found.items()} == expected
    assert [found[folder].unknown for folder in ("away", "folder", "up")] == [
        "LICENSE is a symbolic link",
        "LICENSES is a symbolic link",
        "",
    ]
    followed = {folder: one.expression for folder, one in stated(follow_links=True).items()}
    gpl = dict.fromkeys(("metadata", "away", "folder"), "GPL-2.0-only")
    both = {"declared": "Apache-2.0 AND GPL-2.0-only"}
    assert followed == expected | gpl | both


def test_a_line_with_many_dots_is_read_and_a_key_of_many_parts_is_not(tree):
    needs = ", ".join(f'"package-{i}>=1.{i}.0,<{i}.0"' for i in range(300))
    project = f'[project]\nlicense = "MIT"\ndescription = "{"And so on … " * 200}{"Two words. " * 500}"\n'
    files = {"pyproject.toml": project + f"dependencies = [{needs}]\n"}
    assert tree("a.py", files).stated.expression == "MIT"
    for key in (".".join("a" * 400), " . ".join(['"a b"'] * 400), '"\'".' + ".".join("a" * 400)):
        assert read_metadata("pyproject.toml", f"{project}[tool]\n{key} = 1\n") == Stated()
        assert read_metadata("pyproject.toml", f"{project}x = {{y = '\"', {key} = 1}}\n") == Stated()


def test_each_folder_is_read_once_and_answers_stay_the_same(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "LICENSE").write_text(MIT)
    (tmp_path / "a.py").write_text("x")
    licences = RepositoryLicences()
    assert licences.of(str(tmp_path / "a.py")).stated.expression == "MIT"
    (tmp_path / "LICENSE").write_text(GPL)
    assert licences.of(str(tmp_path / "a.py")).stated.expression == "MIT"
