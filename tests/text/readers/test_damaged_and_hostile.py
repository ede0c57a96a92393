"""No file brings the reading down or takes too much memory: it is counted, or named if that is asked."""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile

import pyarrow as pa
import pytest

from spanmix.config import SourceFilesConfig
from spanmix.errors import InputError
from spanmix.text.dropped import Dropped
from spanmix.text.readers.json_values import MAX_VALUES, parse_value
from spanmix.text.readers.source import read_source
from spanmix.types import Document

LIMIT = 1000


def read(*paths, limit=LIMIT, **kwargs):
    return list(read_source(SourceFilesConfig("code", tuple(map(str, paths)), **kwargs), limit))


def lines(*texts):
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def zstd(data):
    return pa.compress(data, "zstd", asbytes=True)


SKIPPABLE_FRAME = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", lines("a", "b", "c")),
        ("a.jsonl.gz", gzip.compress(lines("a")) + gzip.compress(lines("b", "c"))),
        (
            "a.json.gz",
            gzip.compress(lines("a", "b")[:20]) + gzip.compress((lines("a", "b") + lines("c"))[20:]),
        ),
        ("a.jsonl.zst", zstd(lines("a")) + SKIPPABLE_FRAME + zstd(b"") + zstd(lines("b", "c"))),
        ("a.jsonl.zst", zstd(lines("a", "b")[:20]) + zstd((lines("a", "b") + lines("c"))[20:])),
    ],
    ids=["plain", "gzip members", "a line over two members", "zstd frames", "a line over two frames"],
)
def test_all_members_and_frames_are_read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    found = read(tmp_path / name)
    assert [item.text for item in found] == ["a", "b", "c"]
    assert [item.path for item in found] == [f"{name}:{number}" for number in (1, 2, 3)]
    if name != "a.jsonl":  # a folder of such files alone is known for what it is
        (tmp_path / "README.md").write_text("x")
        assert [item.text for item in read(tmp_path)] == ["a", "b", "c"]


def noise(count):
    """Lines that cannot be compressed, so that a file that is cut has lost only its end."""
    return lines(*(os.urandom(300).hex() for _ in range(count)))


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("a.jsonl.gz", lambda data: gzip.compress(data)[:-1000], "damaged file"),
        ("a.jsonl.gz", lambda data: gzip.compress(data) + b"trailing", "damaged file"),
        ("a.jsonl.gz", lambda data: data, "damaged file"),
        ("a.jsonl.zst", lambda data: zstd(data)[:-1000], "damaged file"),
        ("a.jsonl.zst", lambda data: zstd(data) + b"trailing", "damaged file"),
        ("a.parquet", lambda data: b"PAR1" + data + b"PAR1", "damaged file"),
        ("a.parquet", lambda data: b"", "damaged file"),
        ("a.arrow", lambda data: data, "damaged file"),
        ("a.tar", lambda data: data, "damaged file"),
        ("a.tar.gz", lambda data: gzip.compress(tar({"a.py": data}))[:-1000], "damaged file"),
        ("a.tar", lambda data: tar({"a.py": b"x" * 900})[:1000], "damaged file"),
    ],
)
def test_a_damaged_file_is_named_or_counted(tmp_path, name, damage, reason):
    bad, good = tmp_path / name, tmp_path / "good.jsonl"
    bad.write_bytes(damage(noise(2000)))
    good.write_bytes(lines("good"))
    with pytest.raises(InputError, match=rf"source code: {bad} cannot be read: .*on_error"):
        read(bad, good)
    *before, last = read(bad, good, on_error="drop")
    assert last.text == "good"
    assert [item.reason for item in before if isinstance(item, Dropped)][-1] == reason
    if "trailing" in str(damage.__code__.co_consts):  # what stands in front of the damage is not lost
        assert sum(isinstance(item, Document) for item in before) > 1000
    assert (before[-1].path, before[-1].file) == (name, str(bad))
    assert before[-1].value.startswith(f"{name} cannot be read")  # and does not say where it lies


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.tar.gz"])
def test_what_stands_in_front_of_the_damage_is_kept(tmp_path, name):
    texts = [os.urandom(20).hex() for _ in range(3000)]
    data = tar({f"{i}": text.encode() for i, text in enumerate(texts)}) if "tar" in name else lines(*texts)
    packed = zstd(data) if name.endswith("zst") else gzip.compress(data)
    (tmp_path / name).write_bytes(packed[:-2000])
    *before, last = read(tmp_path / name, on_error="drop")
    assert [item.text for item in before] == texts[: len(before)] and len(before) > 2000
    assert (last.path, last.reason) == (name, "damaged file")


def tar(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "a"', "invalid JSON"),
        (b"\xff", "invalid JSON"),
        (b"[" * 100_000, "invalid JSON"),
        (b'{"text": ' + b"1" * 5000 + b"}", "invalid JSON"),
        (b'["a"]', "no text in its field"),
        (b'{"content": "a"}', "no text in its field"),
        (b'{"text": 3}', "no text in its field"),
        (b'{"text": "' + b"x" * 1_100_000 + b'"}', "JSON line too long for any document"),
    ],
)
def test_a_broken_line_is_counted_if_it_is_not_to_stop_the_work(tmp_path, line, reason):
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines("first") + line + b"\n" + lines("last"))
    first, broken, last = read(path, on_error="drop")
    assert (first.text, last.text, last.path) == ("first", "last", "a.jsonl:3")
    assert (broken.path, broken.reason) == ("a.jsonl:2", reason)


def test_a_short_text_does_not_become_many_values(tmp_path):
    many = b"[" + b"1," * (MAX_VALUES + 1) + b"1]"
    with pytest.raises(ValueError, match=r"4,000,00\d values"):
        parse_value(many)
    text = ",[{" * (MAX_VALUES // 2)  # inside of a string they are only characters
    assert parse_value(json.dumps([text, '\\"']).encode()) == [text, '\\"']


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.tar.gz", "a.tar.zst"])
def test_a_bomb_is_counted_with_what_it_did(tmp_path, name):
    block = b"\0" * (1 << 20)
    start = lines("a") if "jsonl" in name else tar({"a.py": b"x = 1\n"})[:1024] + tar_header(1 << 40)
    if name.endswith("gz"):
        data = gzip.compress(start) + gzip.compress(block) * 100
    else:
        data = zstd(start) + zstd(block) * 100
    (tmp_path / name).write_bytes(data)
    *_, bomb = found = read(tmp_path / name)
    assert isinstance(found[0], Document)
    assert (bomb.path, bomb.reason) == (name, "decompresses to far too much")
    assert "more than 250 times" in bomb.value


def tar_header(size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo("big")
    info.size = size
    info.type = kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_an_archive_cannot_ask_for_all_memory(tmp_path, kind):
    (tmp_path / "a.tar").write_bytes(tar_header(1 << 34, kind) + b"x" * 4096)
    (found,) = read(tmp_path / "a.tar")
    assert found.reason == "decompresses to far too much"


def test_an_archive_that_leads_back_ends(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar({"a.py": b"x"})[:1024] + tar_header(-2048) + b"\0" * 1024)
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "a.tar")
    assert isinstance(read(tmp_path / "a.tar", on_error="drop")[0], Document)


MEASURE = """
import resource, sys
from spanmix.config import SourceFilesConfig
from spanmix.text.readers.source import read_source
config = SourceFilesConfig("code", tuple(sys.argv[1:]), on_error="drop")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
items = [(type(item).__name__, getattr(item, "reason", "")) for item in read_source(config, 100_000)]
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
print(*items, sep="\\n")
"""


def test_huge_files_take_little_memory(tmp_path):
    """Files of 100 MB (holes, so that they take no room): of one line, as text, as JSON and compressed."""
    for name in ("one_line.py", "one_line.jsonl", "many.jsonl"):
        with (tmp_path / name).open("wb") as file:
            file.write(lines("a") if name != "one_line.py" else b"x")
            file.truncate(100_000_000)
            if name == "many.jsonl":
                file.seek(0, os.SEEK_END)
                file.write(b"\n" + lines("b"))
    block = zstd(b"ab" * 500_000)
    (tmp_path / "long.jsonl.zst").write_bytes(zstd(lines("a")) + block * 40)
    paths = [
        str(tmp_path / name) for name in ("one_line.py", "one_line.jsonl", "many.jsonl", "long.jsonl.zst")
    ]
    answer = subprocess.run(
        [sys.executable, "-c", MEASURE, *paths], capture_output=True, text=True, check=True
    )
    megabytes, *items = answer.stdout.splitlines()
    expected = ["('Dropped', 'longer than 100,000 bytes')"]
    expected += ["('Document', '')", "('Dropped', 'JSON line too long for any document')"]
    expected += ["('Document', '')", "('Dropped', 'JSON line too long for any document')", "('Document', '')"]
    expected += ["('Document', '')", "('Dropped', 'JSON line too long for any document')"]
    assert items == expected
    assert int(megabytes) < 40


def test_line_ends_and_marks_are_kept(tmp_path):
    content = b"\xef\xbb\xbfa = 1\r\nb = 2\rc = 3\n\x0b\x0c"
    (tmp_path / "a.py").write_bytes(content)
    (tmp_path / "b.py").write_bytes("漢字".encode("utf-16"))
    (tmp_path / "c.py").write_bytes("x = 1".encode("utf-16"))
    kept, *dropped = read(tmp_path)
    assert kept.text.encode() == content
    assert [item.reason for item in dropped] == ["not UTF-8", "binary (NUL byte)"]


def test_files_that_cannot_be_opened(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_bytes(lines("a"))

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(InputError, match=r"a\.jsonl cannot be read: Permission denied"):
        read(tmp_path / "a.jsonl")
    (dropped,) = read(tmp_path / "a.jsonl", on_error="drop")
    assert dropped.reason == "unreadable"
    (dropped,) = read(tmp_path)
    assert dropped.reason == "unreadable"
