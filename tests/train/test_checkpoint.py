"""A checkpoint is whole or absent, and a changed byte in any of its files is noticed."""

import errno
import json
import shutil

import pytest
import torch
from torch.distributed.checkpoint.filesystem import FileSystemWriter

from spanmix.data.loader import LoaderState
from spanmix.data.sources import SourcePosition
from spanmix.errors import InputError, SpanmixError
from spanmix.train.checkpoint import Checkpoints, training_state
from spanmix.train.checksums import write_checksums
from spanmix.train.meter import Unreported
from spanmix.train.progress import Progress
from spanmix.train.spikes import LossTrend


def progress(step: int) -> Progress:
    """Numbers that JSON has to give back to the last bit."""
    loader = LoaderState("f" * 64, 4 * step, 1, 2, 0, (SourcePosition(0, 3, 90),))
    trend = LossTrend(step, 0.1 + step / 3, 1 / 7)
    return Progress(step, 100 * step, loader, 2, trend, Unreported(((0, 1, step / 3, 5.0),), 64, 60))


@pytest.fixture
def parts(make_decoder):
    """A tiny model and an optimizer that has made a step."""
    model = make_decoder(1, 32, 1, 32, 96)
    optimizer = torch.optim.AdamW(model.parameters())
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    return model, [optimizer]


@pytest.fixture
def checkpoints(tmp_path, parts):
    """The checkpoints of steps 3 and 6."""
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    for step in (3, 6):
        checkpoints.save(progress(step), training_state(*parts))
    return checkpoints


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_flipped_bit_in_any_file_is_noticed(checkpoints, parts):
    newest = checkpoints.newest()
    files = [path for path in newest.iterdir() if path.is_file()]
    cases = 0
    for file in files:
        content = file.read_bytes()
        for place in {0, len(content) // 3, len(content) // 2, len(content) - 1}:
            for bit in (1, 32):
                damaged = bytearray(content)
                damaged[place] ^= bit
                file.write_bytes(damaged)
                with pytest.raises(InputError) as error:
                    checkpoints.load(newest, *parts)
                message = str(error.value)
                assert file.name in message or file.name == "SHA256SUMS", message
                cases += 1
        file.write_bytes(content)
    assert cases == 8 * len(files) == 32
    assert checkpoints.load(newest, *parts) == progress(6)


def test_a_missing_file_is_noticed(checkpoints, parts):
    newest = checkpoints.newest()
    for name in names(newest):
        shutil.copytree(newest, newest.with_name("step-9"))
        (newest.with_name("step-9") / name).unlink()
        with pytest.raises(InputError, match=name):
            checkpoints.load(newest.with_name("step-9"), *parts)
        shutil.rmtree(newest.with_name("step-9"))
    assert len(names(newest)) == 4


def with_state(checkpoint, content):
    """Give a checkpoint another ``state.json``, and the checksums that go with it."""
    (checkpoint / "state.json").write_text(content)
    (checkpoint / "SHA256SUMS").unlink()
    write_checksums(checkpoint)


def test_what_came_later_to_the_state_has_a_default(checkpoints, parts):
    newest = checkpoints.newest()
    state = json.loads((newest / "state.json").read_text())
    for later in ("skipped", "trend", "unreported"):
        del state[later]
    with_state(newest, json.dumps(state))
    assert checkpoints.load(newest, *parts) == Progress(6, 600, progress(6).loader)
    assert checkpoints.newest_whole().path == newest


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"step": "6"}, "step '6'"),
        ({"step": -1}, "step -1"),
        ({"tokens": None}, "tokens None"),
        ({"loader": []}, "a loader that cannot be used: the saved data state holds list"),
        ({"loader": {"fingerprint": "f"}}, "a loader .*the saved data state holds fingerprint"),
        ({"loader": progress(6).loader.to_json() | {"window": -1}}, "a loader .*whole and not negative"),
        ({"skipped": -1}, "skipped -1"),
        ({"trend": {"steps": 1, "mean": 0.5, "variance": -1.0}}, r"trend.variance -1\.0"),
        ({"unreported": {"sums": [[0, 1, 2.0]]}}, "no unreported.sums.0.3"),
        ({"format_version": 1}, "format version 1, this Spanmix reads 2"),
        ({"format_version": None}, "format_version None"),
    ],
)
def test_a_damaged_state_names_file_and_field(checkpoints, parts, changes, said):
    newest = checkpoints.newest()
    with_state(newest, json.dumps(json.loads((newest / "state.json").read_text()) | changes))
    with pytest.raises(InputError, match=f"state.json has {said}"):
        checkpoints.load(checkpoints.newest(), *parts)


@pytest.mark.parametrize("content", ["null", "[]", "7", "{", "", "\ufeff{}"])
def test_a_state_that_is_no_object(checkpoints, parts, content):
    with_state(checkpoints.newest(), content)
    with pytest.raises(InputError, match=r"state\.json"):
        checkpoints.progress(checkpoints.newest())


def test_a_full_disk_is_one_paragraph_and_the_older_checkpoints_stay(checkpoints, parts, monkeypatch):
    def full(self, plan, planner):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FileSystemWriter, "write_data", full)
    with pytest.raises(
        SpanmixError, match=r"step-9 could not be written: No space .*\([\d,]+ bytes are free"
    ) as error:
        checkpoints.save(progress(9), training_state(*parts))
    assert error.value.exit_code == 1
    assert names(checkpoints.folder) == ["step-3", "step-6"]
    assert checkpoints.load(checkpoints.newest(), *parts) == progress(6)


def test_the_newest_and_every_nth_stay(tmp_path, parts):
    checkpoints = Checkpoints(tmp_path, keep=2, keep_every_steps=4)
    for step in range(1, 12):
        checkpoints.save(progress(step), training_state(*parts))
    assert set(names(tmp_path)) == {"step-4", "step-8", "step-10", "step-11"}


def test_an_interruption_stays_one(checkpoints, parts, monkeypatch):
    def interrupted(self, plan, planner):
        raise KeyboardInterrupt

    monkeypatch.setattr(FileSystemWriter, "write_data", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(progress(9), training_state(*parts))
    assert names(checkpoints.folder) == ["step-3", "step-6"]


def test_a_checkpoint_of_another_model_is_refused(checkpoints, make_decoder):
    other = make_decoder(2, 32, 1, 32, 96)
    with pytest.raises(InputError, match="does not hold the tensors of this model"):
        checkpoints.load(checkpoints.newest(), other, torch.optim.AdamW(other.parameters()))
