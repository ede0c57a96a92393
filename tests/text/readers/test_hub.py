"""Data sets of the Hub are found by their name in the caches, or fetched by the libraries that there are."""

import json
import sys
from types import SimpleNamespace

import pyarrow as pa
import pytest

from spanmix.config import SourceFilesConfig
from spanmix.errors import InputError
from spanmix.text.readers.source import read_source


def write_arrow(path, *texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"text": list(texts)})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


def read(*paths, **kwargs):
    return [item.text for item in read_source(SourceFilesConfig("s", tuple(map(str, paths)), **kwargs), 1000)]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Caches of this test alone, and no way into the network."""
    for name in ("HF_DATASETS_CACHE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    return tmp_path / "home"


def test_what_the_library_has_made_is_read_where_it_lies(home):
    made = home / "datasets" / "us___some" / "default" / "0.0.0" / "abc"
    write_arrow(made / "some-train-00000-of-00002.arrow", "a")
    write_arrow(made / "some-train-00001-of-00002.arrow", "b")
    write_arrow(made / "some-test.arrow", "c")
    write_arrow(made / "cache-train.arrow", "not this")
    (made / "dataset_info.json").write_text("{}")
    assert read("hf:us/some") == ["a", "b"]
    assert read("hf:us/some:default:test") == ["c"]
    assert read("hf:us/some::test") == ["c"]
    other = made.parents[1].with_name("other") / "0.0.0" / "x"
    write_arrow(other / "some-train.arrow", "d")
    (other / "dataset_info.json").write_text("{}")
    assert read("hf:us/some:other") == ["d"]
    made.parents[1].rename(made.parents[1].with_name("one"))
    with pytest.raises(InputError, match="holds the configs one, other; name one, as in hf:us/some:one"):
        read("hf:us/some")


def test_a_folder_that_the_library_saved(tmp_path):
    saved = tmp_path / "saved"
    write_arrow(saved / "train" / "data-00000-of-00001.arrow", "a", "b")
    write_arrow(saved / "train" / "cache-12.arrow", "not this")
    write_arrow(saved / "test" / "data-00000-of-00001.arrow", "c")
    (saved / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    for split in ("train", "test"):
        (saved / split / "state.json").write_text("{}")
        (saved / split / "dataset_info.json").write_text("{}")
    assert read(saved / "train") == ["a", "b"]
    assert read(saved) == ["c", "a", "b"]


def test_the_library_fetches_what_is_in_no_cache(tmp_path, monkeypatch):
    asked = []

    def load_dataset(*arguments, **kwargs):
        asked.append((arguments, kwargs))
        if arguments[0] == "us/gone":
            raise FileNotFoundError("no such\ndata set")
        return SimpleNamespace(cache_files=[{"filename": str(tmp_path / "x.arrow")}])

    write_arrow(tmp_path / "x.arrow", "fetched")
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert read("hf:us/some:big:validation") == ["fetched"]
    assert asked == [(("us/some", "big"), {"split": "validation"})]
    with pytest.raises(InputError, match=r"hf:us/gone could not be loaded: no such data set; check its name"):
        read("hf:us/gone")


def test_files_as_they_are_on_the_hub(tmp_path, monkeypatch):
    folder = tmp_path / "snapshot"
    for name, text in {
        "data/python/train-0.jsonl": "a",
        "data/python/test-0.jsonl": "b",
        "data/go/train-0.jsonl": "c",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps({"text": text}))
    (folder / "README.md").write_text("x")
    asked = []

    def snapshot_download(name, *, repo_type, local_files_only, cache_dir):
        asked.append(local_files_only)
        if name == "us/gone":
            raise OSError("offline")
        if local_files_only:
            raise FileNotFoundError("not in the cache")
        return str(folder)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    assert read("hf:us/some") == ["c", "a"]
    assert asked == [True, False]
    assert read("hf:us/some:python:test") == ["b"]
    with pytest.raises(InputError, match="hf:us/gone is in no cache and could not be fetched: offline"):
        read("hf:us/gone")


@pytest.mark.parametrize("name", ["hf:", "hf:a/b/c", "hf:a b", "hf:a:b:c:d"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(InputError, match="is no data set; write hf:owner/name"):
        read(name)


def test_without_the_libraries_it_says_what_to_do():
    with pytest.raises(InputError, match="hf:us/some is in no cache; install huggingface_hub or datasets"):
        read("hf:us/some")
