"""The units of a source, read in any order and cut anywhere, are the source."""

import dataclasses
import itertools
import json
import os
import random
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.config import SourceFilesConfig
from spanmix.errors import InputError
from spanmix.files import parse_json
from spanmix.text.dropped import Dropped
from spanmix.text.readers.jsonl import read_jsonl
from spanmix.text.readers.origin import Origin
from spanmix.text.readers.source import read_source
from spanmix.text.readers.units import Unit, changed, list_units, read_unit
from spanmix.types import Document

LIMIT = 1000
ORIGIN = Origin("/home/anna/a.jsonl", "a.jsonl")


def source(*paths, **kwargs):
    return SourceFilesConfig("code", tuple(map(str, paths)), **kwargs)


def units_of(config, unit_bytes=32_000_000):
    return [item for item in list_units(config, unit_bytes=unit_bytes) if isinstance(item, Unit)]


LINES = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(
            lambda text: json.dumps({"text": text})
        ),
        st.text("aé😀", max_size=20).map(lambda text: json.dumps({"text": text}, ensure_ascii=False)),
        st.sampled_from(["", "  ", "not JSON", "[1]", '{"other": 1}', '{"text": "' + "x" * 1100 + '"}']),
    ),
    min_size=1,
    max_size=30,
)


def test_lines_of_json_cut_anywhere_are_the_whole_file(tmp_path):
    met = Counter()
    path = tmp_path / "a.jsonl"
    config = source(path, on_error="drop")

    @given(LINES, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.data())
    def check(lines, end, is_ended, data):
        content = (end.join(lines) + end * is_ended).encode()
        path.write_bytes(content)
        ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")] or [0]
        cut = st.integers(0, len(content)) | st.sampled_from(ends)
        cuts = data.draw(st.lists(cut, max_size=6).map(sorted))
        bounds = [0, *cuts, len(content)]
        whole = list(read_jsonl(path, ORIGIN, config, LIMIT, 0, len(content), numbered=False))
        parts = [
            item
            for first, last in itertools.pairwise(bounds)
            for item in read_jsonl(path, ORIGIN, config, LIMIT, first, last, numbered=False)
        ]
        assert parts == whole
        numbered = list(read_jsonl(path, ORIGIN, config, LIMIT))
        assert [dataclasses.replace(item, path="", **plain(item)) for item in numbered] == [
            dataclasses.replace(item, path="", **plain(item)) for item in whole
        ]
        # What is expected, by reading the file in the simplest way.
        texts = [text for line in lines if (text := text_of(line)) is not None]
        assert [item.text for item in whole if isinstance(item, Document)] == texts
        met["documents"] += any(isinstance(item, Document) for item in whole)
        met["dropped"] += any(isinstance(item, Dropped) for item in whole)
        met["cut inside a line"] += any(
            0 < cut < len(content) and content[cut - 1 : cut] != b"\n" for cut in cuts
        )
        met["cut at a line's end"] += any(content[cut - 1 : cut] == b"\n" for cut in cuts if cut)
        met["empty part"] += len(set(bounds)) < len(bounds)

    check()
    assert len(met) == 5 and min(met.values()) >= 15, met


def name_of(item):
    return item.origin.path if isinstance(item, Unit) else item.path


def plain(item):
    """An error's text names its line; so it differs between the two ways to number them."""
    return {"value": None} if isinstance(item, Dropped) else {}


def text_of(line):
    try:
        record = json.loads(line)
    except ValueError:
        return None
    text = record.get("text") if isinstance(record, dict) else None
    if text is None or not text.strip() or "\0" in text or len(text.encode()) > LIMIT:
        return None
    return text


@pytest.mark.parametrize("unit_bytes", [1, 100, 5000, 10**9])
def test_a_table_in_units_is_the_whole_table(tmp_path, unit_bytes):
    rng = random.Random(0)
    table = pa.table(
        {"content": [f"x = {i}\n" * rng.randrange(1, 30) for i in range(100)], "other": range(100)}
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=7)
    config = source(tmp_path / "a.parquet")
    units = units_of(config, unit_bytes)
    assert [unit.start for unit in units][1:] == [unit.end for unit in units][:-1]
    assert len(units) == {1: 15, 100: 15, 5000: len(units), 10**9: 1}[unit_bytes]
    found = [item for unit in units for item in read_unit(unit, config, LIMIT)]
    assert [item.text for item in found] == table["content"].to_pylist()
    assert [item.path for item in found] == [f"a.parquet:{row}" for row in range(1, 101)]
    assert found == list(read_source(config, LIMIT))


@pytest.fixture
def mixed(tmp_path):
    """A source of each kind of file, with what cannot be read."""
    folder = tmp_path / "folder"
    (folder / "b").mkdir(parents=True)
    for number in range(5):
        (folder / "b" / f"{number}.py").write_text(f"x = {number}\r\ny = {number}\n")
    (folder / os.fsdecode(b"\xff\xfe.py")).write_text("odd = 1")
    (folder / "new\nline.py").write_text("odd = 2")
    (folder / "z.bin").write_bytes(b"\0")
    (folder / "loop").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    (tmp_path / "lines.jsonl").write_text(
        "".join(json.dumps({"text": f"line {i}"}) + "\n" for i in range(300))
    )
    pq.write_table(
        pa.table({"text": [f"row {i}" for i in range(20)]}), tmp_path / "t.parquet", row_group_size=6
    )
    return source(folder, tmp_path / "lines.jsonl", tmp_path / "t.parquet", follow_links=True)


def test_units_in_any_order_and_as_json_are_the_source(mixed):
    expected = list(read_source(mixed, LIMIT))
    assert Counter(type(item) for item in expected) == {Document: 327, Dropped: 2}
    items = list(list_units(mixed))
    order = [number for number, item in enumerate(items) if isinstance(item, Unit)]
    random.Random(1).shuffle(order)
    read = {}
    for number in order:
        stored = json.dumps(dataclasses.asdict(items[number]))
        unit = parse_json(stored, Unit, "a unit")
        assert unit == items[number]
        read[number] = list(read_unit(unit, mixed, LIMIT))
    assert [item for number, unit in enumerate(items) for item in read.get(number, [unit])] == expected
    names = [unit for unit in items if name_of(unit).endswith(("\\udcff\\udcfe.py", "new\nline.py"))]
    assert len(names) == 2


def test_a_large_file_of_lines_has_parts_that_are_placed_by_bytes(mixed):
    units = units_of(mixed, unit_bytes=1000)
    parts = [unit for unit in units if unit.kind == "jsonl part"]
    assert len(parts) > 3 and sum(unit.num_bytes for unit in parts) == parts[0].size
    found = [item for unit in parts for item in read_unit(unit, mixed, LIMIT)]
    assert [item.text for item in found] == [f"line {i}" for i in range(300)]
    assert found[1].path.endswith("lines.jsonl:@19")
    assert len({item.path for item in found}) == 300


def test_a_file_that_changed_is_known(mixed, tmp_path):
    unit = next(unit for unit in units_of(mixed) if unit.origin.path == "folder/b/3.py")
    assert not changed(unit)
    unit.file.write_text("other")
    assert changed(unit)
    unit.file.unlink()
    assert changed(unit)


def test_files_beside_are_part_of_a_unit(foreign, tmp_path):
    path = foreign.write_megatron(tmp_path / "x.bin", [[[1, 2]], [[3]]])
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text("{}")
    (unit,) = units_of(source(path, tokenizer=str(tokenizer)))
    assert [stamp.path for stamp in unit.beside] == [str(tmp_path / "x.idx")]
    assert not changed(unit)
    os.utime(tmp_path / "x.idx", ns=(1, 1))
    assert changed(unit)


def test_a_named_file_is_what_format_says(tmp_path):
    path = tmp_path / "part-0"
    path.write_text('{"text": "a"}\n{"text": "b"}\n')
    assert [item.text for item in read_source(source(path, format="jsonl"))] == ["a", "b"]
    assert [item.text for item in read_source(source(path))] == [path.read_text()]
    path = path.rename(tmp_path / "a.jsonl")
    assert [item.text for item in read_source(source(path, format="files"))] == [path.read_text()]
    # In a folder too, where files with other endings are passed over.
    (tmp_path / "README").write_text("x")
    assert [item.text for item in read_source(source(tmp_path, format="jsonl"))] == ["a", "b"]
    assert len(list(read_source(source(tmp_path)))) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("format", "parqet"), ("on_error", "ignore"), ("columns", {"text": "a"})],
)
def test_a_source_that_contradicts_itself_is_refused(field, value):
    from spanmix.corpus_configs.sources import ColumnsConfig

    value = ColumnsConfig(**value) if isinstance(value, dict) else value
    with pytest.raises(InputError, match=rf"corpus\.sources\.{field}"):
        source("a", text_field="b", **{field: value})
