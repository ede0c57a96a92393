"""Building goes on where it was ended, mends what is damaged, and belongs to one corpus."""

import json
import shutil

import pytest

from spanmix.errors import InputError
from spanmix.text.trace import build, plan
from spanmix.text.trace.build import build_index
from spanmix.text.trace.index import TraceIndex
from spanmix.text.trace.layout import (
    ENDINGS,
    INDEX_FILE,
    IndexSettings,
    index_damages,
    index_folder,
    shard_file,
)

DOCUMENTS = [f"def function_{i}(value):\n    return value * {i}  # {'x' * i}\n" for i in range(30)]


class _EndedError(Exception):
    pass


@pytest.fixture
def corpus(traced, tokenizer, tmp_path, monkeypatch):
    """Two sources, in shards of a few hundred bytes."""
    monkeypatch.setattr(plan, "BYTES_A_MB", 300)
    sources = {"code": DOCUMENTS, "prose": ["once upon a time there was a shard"], "empty": []}
    return traced.write_corpus(tmp_path / "corpus", tokenizer, sources)


def _bytes_of(folder):
    return {path.name: path.read_bytes() for path in index_folder(folder).iterdir()}


def test_an_ended_build_goes_on_and_makes_the_same_index(corpus, tmp_path, monkeypatch):
    other = shutil.copytree(corpus, tmp_path / "other")
    index = build_index(other, IndexSettings(8, 1))
    assert len(index.shards) > 5
    assert [shard.source for shard in index.shards][-1] == "prose"
    made = []
    write = build._write_array

    def ended(path, content):
        if len(made) == 10:
            raise _EndedError  # in the middle of the third shard
        made.append(path.name)
        write(path, content)

    monkeypatch.setattr(build, "_write_array", ended)
    with pytest.raises(_EndedError):
        build_index(corpus, IndexSettings(8, 1))
    with pytest.raises(InputError, match="has no trace index"):
        TraceIndex.open(corpus)
    monkeypatch.setattr(
        build, "_write_array", lambda path, content: (made.append(path.name), write(path, content))
    )
    (index_folder(corpus) / ".00002.keys.partial").write_bytes(b"left behind")
    del made[:]
    build_index(corpus, IndexSettings(8, 1))
    assert made[0] == "00002.text"  # the first two were finished
    assert _bytes_of(corpus) == _bytes_of(other)


@pytest.mark.parametrize("ending", [*ENDINGS, "json"])
def test_a_damaged_shard_alone_is_built_again(corpus, ending, monkeypatch):
    build_index(corpus, IndexSettings(8, 1))
    before = _bytes_of(corpus)
    damaged = shard_file(index_folder(corpus), 1, ending)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(bytes(content))
    made = []
    write = build._write_array
    monkeypatch.setattr(
        build, "_write_array", lambda path, array: (made.append(path.name), write(path, array))
    )
    build_index(corpus)  # with the settings that it has
    assert {name[:5] for name in made} == {"00001"}
    assert _bytes_of(corpus) == before


def test_a_file_cut_short_is_refused(corpus):
    build_index(corpus, IndexSettings(8, 1))
    for number, ending in enumerate(ENDINGS):
        path = shard_file(index_folder(corpus), number, ending)
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        with pytest.raises(
            InputError, match=rf"{number}.{ending} has [\d,]+ bytes, and [\d,]+ were written.*--build"
        ):
            TraceIndex.open(corpus)
        path.unlink()
        with pytest.raises(InputError, match=f"{number}.{ending} is missing; mend"):
            TraceIndex.open(corpus)
        path.write_bytes(content)


def test_an_index_of_another_corpus_is_refused_and_made_anew(corpus, traced, tokenizer, tmp_path):
    build_index(corpus, IndexSettings(8, 1))
    other = traced.write_corpus(
        tmp_path / "other", tokenizer, {"code": ["another document, with other words"]}
    )
    shutil.copytree(index_folder(corpus), index_folder(other))
    with pytest.raises(InputError, match=r"is of another corpus: it was built for [0-9a-f]{12}"):
        TraceIndex.open(other)
    index = build_index(other)
    assert index.settings == IndexSettings(8, 1)
    assert len(TraceIndex.open(other).longest_matches("another document", 16)) == 1
    assert len(list(index_folder(other).iterdir())) == len(ENDINGS) + 2  # nothing of the other's is left


def test_other_settings_build_another_index(corpus):
    build_index(corpus, IndexSettings(8, 1))
    small = build_index(corpus, IndexSettings(24, 1))
    large = build_index(corpus, IndexSettings(1, 1))
    assert small.size < large.size
    assert TraceIndex.open(corpus).shortest_bytes == 1
    num_bytes = sum(len(text.encode()) for text in DOCUMENTS) + 34
    assert large.num_bytes == small.num_bytes == num_bytes
    assert sum(shard.num_positions for shard in large.shards) == num_bytes  # every position of every document


def test_an_unfinished_or_foreign_index_says_what_to_do(corpus):
    with pytest.raises(InputError) as caught:
        TraceIndex.open(corpus)
    assert "`spanmix trace --corpus" in str(caught.value)
    assert "MB beside the corpus" in str(caught.value)
    build_index(corpus, IndexSettings(8, 1))
    path = index_folder(corpus) / INDEX_FILE
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"format_version": 2}))
    with pytest.raises(InputError, match="format version 2"):
        TraceIndex.open(corpus)
    build_index(corpus, IndexSettings(8, 1))
    TraceIndex.open(corpus)


def test_without_the_sorter_building_names_the_package(corpus, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pydivsufsort", None)
    with pytest.raises(InputError, match=r"pip install 'spanmix\[trace\]'"):
        build_index(corpus)


def test_a_document_larger_than_a_shard_is_one_by_itself(corpus, traced, tokenizer, tmp_path):
    sources = {"code": ["short", "long " * 200, "", "short again"]}
    folder = traced.write_corpus(tmp_path / "long", tokenizer, sources)
    index = build_index(folder, IndexSettings(4, 1))
    assert [(shard.first_document, shard.num_documents) for shard in index.shards] == [(0, 1), (1, 1), (2, 2)]
    matches = TraceIndex.open(folder).longest_matches("long " * 300, 5)
    found = [(match.start, match.end, match.num_repeats, match.last_end) for match in matches]
    assert found == [(0, 1000, 101, 1500)]


@pytest.mark.parametrize(
    ("field", "value"), [("shortest_bytes", 0), ("shortest_bytes", 257), ("shard_mb", 0)]
)
def test_settings_out_of_range_name_the_field(field, value):
    with pytest.raises(InputError, match=rf"trace\.{field} is {value}; use"):
        IndexSettings(**{field: value})


def test_a_document_too_large_for_any_shard_is_refused(corpus, monkeypatch):
    monkeypatch.setattr(plan, "LARGEST_SHARD", 50)
    with pytest.raises(InputError, match=r"document \d+ of code has \d+ bytes"):
        build_index(corpus)


def test_all_that_is_lost_or_changed_of_an_index_is_named(corpus):
    folder = index_folder(corpus)
    assert index_damages(folder) == []  # there is none
    build_index(corpus, IndexSettings(8, 1))
    assert index_damages(folder) == []
    whole = {path: path.read_bytes() for path in folder.iterdir()}
    assert len(whole) > 10
    for path, data in whole.items():
        path.unlink()
        assert index_damages(folder) == [f"trace/{path.name} is missing"]
        path.write_bytes(data)
    for path in [path for path in whole if path.suffix == ".text"]:
        path.write_bytes(bytes([whole[path][0] ^ 1]) + whole[path][1:])
    expected = [f"trace/{path.name} has other" for path in sorted(whole) if path.suffix == ".text"]
    assert [said[: len(expected[0])] for said in index_damages(folder)] == expected and len(expected) > 1
    (folder / "index.json").write_text("{")
    assert index_damages(folder) == ["trace/index.json cannot be read"]
