"""The table of documents tells which files some bytes of a document are of, or is refused."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import pyarrow.parquet
import pytest

from spanmix.errors import InputError
from spanmix.text.document_files import DocumentFile
from spanmix.text.document_table import DocumentTable, join_tables, table_path, write_table

# A file alone, as it was read; one of two files and an empty one in between; one behind a header.
FILES = [
    (),
    (
        DocumentFile("b.py", "python", "MIT", 5, 10, "me/mine"),
        DocumentFile("empty.py", "", "", 20, 0, "me/mine"),
        DocumentFile("c.md", "markdown", "", 25, 4, "me/mine"),
    ),
    (DocumentFile("d.py", "python", "ISC", 3, 7),),
]
SIZES = [12, 30, 10]
PATHS = ["a.py", "me/mine", "d.py"]


def columns(files=FILES):
    return {
        "path": PATHS,
        "repository": ["a/b", "me/mine", ""],
        "language": ["python"] * 3,
        "licence": ["MIT", "", "ISC"],
        "num_bytes": SIZES,
        "files": files,
    }


@pytest.fixture
def table(tmp_path):
    write_table(tmp_path / "code", columns())
    return DocumentTable(tmp_path / "code", 3, sum(SIZES))


@pytest.mark.parametrize(
    ("document", "start", "end", "paths"),
    [
        (0, 0, 12, ["a.py"]),
        (0, 11, 12, ["a.py"]),
        (1, 0, 5, ["b.py"]),  # its header alone
        (1, 4, 6, ["b.py"]),
        (1, 14, 16, ["b.py"]),
        (1, 15, 20, ["empty.py"]),
        (1, 15, 25, ["empty.py"]),  # two headers: of the first
        (1, 20, 25, ["c.md"]),
        (1, 15, 26, ["c.md"]),
        (1, 14, 26, ["b.py", "c.md"]),
        (1, 0, 30, ["b.py", "c.md"]),
        (1, 29, 30, ["c.md"]),  # the line end that the layout wrote behind it
        (2, 0, 1, ["d.py"]),
        (2, 0, 10, ["d.py"]),
    ],
)
def test_bytes_are_of_the_files_whose_text_holds_them(table, document, start, end, paths):
    assert [file.path for file in table.files_between(document, start, end)] == paths


def test_a_file_is_told_as_it_was_written(table):
    assert table.files_between(0, 3, 4) == [DocumentFile("a.py", "python", "MIT", 0, 12, "a/b")]
    assert table.files_between(1, 0, 30) == [FILES[1][0], FILES[1][2]]
    assert (table.path(1), table.num_bytes(1), table.language(1)) == ("me/mine", 30, "python")
    assert [table.repository(i) for i in range(3)] == ["a/b", "me/mine", ""]
    assert table.lists_files


def test_documents_are_found_in_all_row_groups_by_many_threads(tmp_path):
    parts = [tmp_path / f"part{number}" for number in range(30)]
    for number, part in enumerate(parts):
        paths = {"path": [f"{number}/{path}" for path in PATHS]}
        write_table(part, columns() | paths | {"files": [(), *FILES[1:]]})
    join_tables(parts, tmp_path / "code")
    table = DocumentTable(tmp_path / "code", 90, 30 * sum(SIZES))
    assert pyarrow.parquet.read_metadata(table_path(tmp_path / "code")).num_row_groups == 30
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: table.files_between(i, 6, 7)[0].path, range(90)))
    assert found == [path for number in range(30) for path in (f"{number}/a.py", "b.py", "d.py")]


def test_it_can_be_sent_to_other_processes(table):
    assert pickle.loads(pickle.dumps(table)).files_between(2, 5, 6)[0].path == "d.py"


def test_an_older_table_has_one_file_a_document(table, tmp_path):
    path = table_path(tmp_path / "code")
    for missing, lists_files in ((["repository"], True), (["files"], False)):
        pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).drop_columns(missing), path)
        old = DocumentTable(tmp_path / "code", 3, sum(SIZES))
        assert old.lists_files == lists_files
        whole = DocumentFile("me/mine", "python", "", 0, 30)
        held = DocumentFile("empty.py", "", "", 20, 0) if lists_files else whole
        assert old.files_between(1, 15, 25) == [held]
        assert (old.path(2), old.language(2), old.repository(0)) == ("d.py", "python", "")


@pytest.mark.parametrize(
    "files",
    [
        [DocumentFile("x", "", "", 5, 26)],  # beyond the document
        [DocumentFile("x", "", "", -1, 3)],
        [DocumentFile("x", "", "", 5, -1)],
        [DocumentFile("x", "", "", 5, 9), DocumentFile("y", "", "", 13, 2)],  # one begins in another
        [DocumentFile("x", "", "", None, 9)],
    ],
)
def test_files_that_cannot_be_so_are_refused(tmp_path, files):
    write_table(tmp_path / "code", columns([(), files, FILES[2]]))
    table = DocumentTable(tmp_path / "code", 3, sum(SIZES))
    with pytest.raises(InputError, match=r"code\.documents\.parquet cannot be read: .*prepare it again"):
        table.files_between(0, 0, 1)


def test_a_table_without_documents_is_one(tmp_path):
    write_table(tmp_path / "none", {name: [] for name in columns()})
    assert DocumentTable(tmp_path / "none", 0, 0).lists_files
