"""Lines of JSON in a folder are opened if some are packed, and other encodings than UTF-8 are named."""

import gzip
import itertools

import pyarrow
import pytest

from spanmix.config import SourceFilesConfig
from spanmix.errors import InputError
from spanmix.text.dropped import Dropped
from spanmix.text.readers.source import read_source

PACKED = {"": bytes, ".gz": gzip.compress, ".zst": lambda data: pyarrow.compress(data, "zstd").to_pybytes()}


def read(path, **fields):
    return list(read_source(SourceFilesConfig("code", (str(path),), **fields)))


def test_a_mixture_of_plain_and_packed_lines_is_opened(tmp_path):
    opened = 0
    for endings in itertools.product(PACKED, repeat=2):
        folder = tmp_path / f"in{'-'.join(endings)}"
        folder.mkdir()
        for name, ending in zip("ab", endings, strict=True):
            line = f'{{"text": "{name}"}}\n'.encode()
            (folder / f"{name}.jsonl{ending}").write_bytes(PACKED[ending](line))
        (folder / "README.md").write_text("# Data\n")
        texts = [item.text for item in read(folder) if not isinstance(item, Dropped)]
        if any(endings):
            assert texts == ["a", "b"]
            opened += 1
        else:
            assert texts == ["# Data\n", '{"text": "a"}\n', '{"text": "b"}\n']
        (folder / "x.py").write_text("x = 1\n")
        texts = [item.text for item in read(folder) if not isinstance(item, Dropped)]
        assert "x = 1\n" in texts and "a" not in texts
    assert opened == 8


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_is_named(tmp_path, encoding):
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"text": "a"}\n{"text": "b"}\n'.encode(encoding))
    with pytest.raises(InputError, match=rf"its text is {encoding[:6].upper()}; save the file as UTF-8"):
        read(path)
    items = read(path, on_error="drop")
    assert items and {item.reason for item in items} == {"invalid JSON"}


def test_bytes_that_are_not_utf_8_are_placed(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "caf\xe9"}\n')
    with pytest.raises(InputError, match=r"a\.jsonl:1 is not valid JSON: byte 13 is not UTF-8; save"):
        read(path)
    path.write_bytes(b'\xef\xbb\xbf{"text": "caf\xc3\xa9"}\n')
    assert [item.text for item in read(path)] == ["café"]
