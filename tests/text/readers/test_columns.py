"""The columns of published data sets are found by themselves, in lines of JSON and in tables alike."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spanmix.corpus_configs.sources import ColumnsConfig, SourceFilesConfig
from spanmix.errors import InputError
from spanmix.text.dropped import Dropped
from spanmix.text.readers.source import read_source
from spanmix.types import Document

STACK_V1 = {
    "hexsha": "ab" * 20, "size": 6, "ext": "cpp", "lang": "C++", "max_stars_repo_path": "src/a.h",
    "max_stars_repo_name": "us/one", "max_stars_repo_head_hexsha": "cd", "max_stars_count": 12, "n": 6,
    "max_stars_repo_licenses": ["MIT", "ISC"], "max_issues_repo_path": "other.h",
    "max_issues_repo_licenses": ["GPL-3.0"], "content": "int x;", "avg_line_length": 6.0,
}  # fmt: skip
STACK_V2 = {
    "blob_id": "ab", "directory_id": "cd", "path": "/lib/a.rb", "content_id": "ef", "is_vendor": False,
    "detected_licenses": ["Apache-2.0"], "repo_name": "us/two", "star_events_count": 3,
    "license_type": "permissive", "fork_events_count": 9,
    "gha_license_id": "MIT", "src_encoding": "UTF-8", "language": "Ruby", "length_bytes": 5,
}  # fmt: skip
STARCODER = {
    "max_stars_repo_path": "a/B.java", "max_stars_repo_name": "us/three", "max_stars_count": 7.0, "id": "17",
    "content": "class B {}",
}  # fmt: skip
DATATROVE = {
    "text": "Once.",
    "id": "web/0/1",
    "metadata": {"language": "en", "url": "http://x.y", "license": "CC0-1.0"},
}
DOLMA = {"id": "d-1", "text": "def f(): pass", "source": "stack", "added": "2023", "created": "2020",
         "metadata": {"path": "f.py", "repo_name": "us/four", "max_stars_count": 2}}  # fmt: skip
PILE = {"text": "A paper.", "meta": {"pile_set_name": "ArXiv"}}

EXPECTED = {
    "the stack v1": (STACK_V1, Document("int x;", "s", "src/a.h", "cpp", "MIT AND ISC", 0, "us/one", 12)),
    "the stack v2": (
        STACK_V2 | {"content": "x = 1"},
        Document("x = 1", "s", "/lib/a.rb", "ruby", "Apache-2.0", 0, "us/two", 3),
    ),
    "starcoderdata": (STARCODER, Document("class B {}", "s", "a/B.java", "java", "", 0, "us/three", 7)),
    "datatrove": (DATATROVE, Document("Once.", "s", "web/0/1", "en", "CC0-1.0")),
    "dolma": (DOLMA, Document("def f(): pass", "s", "f.py", "python", "", 0, "us/four", 2)),
    "the pile": (PILE, Document("A paper.", "s", "ArXiv/FILE:1", "", "")),
}


def write(folder, kind, *records):
    path = folder / f"a.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path
    table = pa.Table.from_pylist(list(records))
    if kind == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    return path


def read(*paths, **kwargs):
    return list(read_source(SourceFilesConfig("s", tuple(map(str, paths)), **kwargs), 1000))


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "arrow"])
@pytest.mark.parametrize("name", EXPECTED)
def test_each_published_form(tmp_path, kind, name):
    record, expected = EXPECTED[name]
    path = write(tmp_path, kind, record, record)
    first, second = read(path)
    named = expected.path.replace("FILE", path.name)
    assert first == Document(**vars(expected) | {"path": named})
    assert second.text == expected.text
    assert [item.text for item in read(tmp_path)] == (
        [path.read_text()] if kind == "jsonl" else [expected.text] * 2
    )


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_the_stack_v2_without_contents_says_where_they_are(tmp_path, kind):
    grouped = {"repo_name": "us/two", "star_events_count": 3, "files": [STACK_V2], "num_files": 1}
    for record in (STACK_V2, grouped) if kind == "parquet" else (STACK_V2,):
        path = write(tmp_path, kind, record)
        with pytest.raises(InputError, match=r"Stack v2.*s3://softwareheritage/content/.*src_encoding"):
            read(path)
        (dropped,) = read(path, on_error="drop")
        assert (
            dropped.reason
            == {"jsonl": "no text in its field", "parquet": "no column that holds the text"}[kind]
        )


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "arrow"])
def test_a_row_that_is_a_repository_is_as_many_documents_as_it_has_files(tmp_path, kind):
    files = [
        {"path": f"{i}.py", "content": f"x = {i}", "detected_licenses": ["MIT"], "language": "Python"}
        for i in "12"
    ]
    path = write(tmp_path, kind, {"repo_name": "us/two", "star_events_count": 3, "files": files})
    assert read(path) == [Document(f"x = {i}", "s", f"{i}.py", "python", "MIT", 0, "us/two", 3) for i in "12"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "arrow"])
def test_columns_may_be_named(tmp_path, kind):
    record = {
        "a": {"b": "x = 1"},
        "where": "p/q.py",
        "tongue": "C#",
        "terms": "MIT",
        "who": "us/x",
        "n": 4,
        "path": "no",
    }
    path = write(tmp_path, kind, record)
    columns = ColumnsConfig("a.b", "where", "tongue", "terms", "who", "n")
    assert read(path, columns=columns) == [Document("x = 1", "s", "p/q.py", "csharp", "MIT", 0, "us/x", 4)]


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_table_with_a_missing_column_is_named_once_or_counted(tmp_path, kind):
    path = write(tmp_path, kind, {"content": "a", "n": 1}, {"content": "b", "n": 2})
    good = tmp_path / "good.jsonl"
    good.write_text('{"text": "good"}\n')
    cases = (
        ({"text_field": "body"}, r"has no column 'body'; it has content, n\. Set columns: \{text: NAME\}"),
        ({"columns": ColumnsConfig(path="where")}, r"has no column 'where'; it has content, n\."),
        ({"text_field": "content", "prompt_field": "q"}, r"has no column 'q'; it has content, n\."),
    )
    for settings, message in cases:
        with pytest.raises(InputError, match=rf"source s: {path} {message}.*on_error: drop"):
            read(path, **settings)
    dropped, kept = read(path, good, on_error="drop", columns=ColumnsConfig(text="text"))
    assert (dropped.path, dropped.reason) == (path.name, "no column that holds the text")
    assert kept.text == "good"


def test_prompts_and_odd_values_in_a_table(tmp_path):
    rows = [{"a": "yes", "q": "no?"}, {"a": None, "q": "x"}, {"a": "", "q": "x"}, {"a": "x" * 999, "q": "xx"}]
    path = write(tmp_path, "parquet", *rows)
    found = read(path, text_field="a", prompt_field="q", on_error="drop")
    assert found[0] == Document("no?yes", "s", f"{path.name}:1", "", "", 3)
    assert [item.reason for item in found[1:]] == ["no text in its field", "empty", "longer than 1,000 bytes"]
    with pytest.raises(InputError, match=r"a\.parquet:2 has no text in the field 'a'"):
        read(path, text_field="a", prompt_field="q")
    table = pa.table({"content": pa.array([b"ok", b"\xff"], pa.binary()), "stars": [float("nan"), -1.0]})
    pq.write_table(table, path)
    assert [getattr(item, "reason", item) for item in read(path)] == [
        Document("ok", "s", f"{path.name}:1"),
        "not UTF-8",
    ]


def test_the_text_of_a_file_of_lines_is_one_field(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"content": "a", "text": ""}\n{"content": "b"}\n')
    with pytest.raises(
        InputError, match=r"a\.jsonl:3 has no text in the field 'text'; it holds the fields content"
    ):
        read(path)
    path.write_text('\n{"content": "a", "n": 1}\n{"content": "b", "text": "c"}\n')
    assert [item.text for item in read(path)] == ["a", "b"]


def test_a_long_value_in_many_rows_is_held_once(tmp_path):
    """A dictionary of one text of 4 MB in 60 rows: 240 MB, if each row had its own."""
    path = tmp_path / "a.parquet"
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 60, pa.int32()), pa.array(["ab" * 2_000_000]))
    pq.write_table(pa.table({"content": column}), path, compression="none", dictionary_pagesize_limit=1 << 24)
    assert path.stat().st_size < 10_000_000
    before = pa.total_allocated_bytes()
    source = SourceFilesConfig("s", (str(path),))
    most = 0
    count = 0
    for item in read_source(source, 1000):
        assert item.reason == "longer than 1,000 bytes"
        count += 1
        most = max(most, pa.total_allocated_bytes() - before)
    assert count == 60
    assert most < 60_000_000


def test_a_row_group_that_is_a_bomb_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("spanmix.text.readers.tables.FREE_BYTES", 1 << 20)
    path = tmp_path / "a.parquet"
    table = pa.table({"content": ["x" * 3_000_000, "y"]})
    pq.write_table(table, path, compression="zstd", row_group_size=1, use_dictionary=False)
    bomb, good = read(path)
    assert (bomb.path, bomb.reason) == (f"{path.name}:1", "decompresses to far too much")
    assert (good.path, good.text) == (f"{path.name}:2", "y")


@pytest.mark.parametrize("value", [["a", "b"], {"inner": "a"}])
def test_a_column_of_lists_or_records_is_no_text(tmp_path, value):
    path = tmp_path / "nested.parquet"
    pq.write_table(pa.table({"content": [value, value]}), path)
    with pytest.raises(InputError, match=r"no text in the column 'content': it holds (list|struct)<"):
        list(read_source(SourceFilesConfig("s", (str(path),))))
    dropped = list(read_source(SourceFilesConfig("s", (str(path),), on_error="drop")))
    assert [type(item) for item in dropped] == [Dropped]
