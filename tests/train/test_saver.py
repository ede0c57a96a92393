"""What a thread writes is what was there when it was told to, and no run ends or saves again without it."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

from spanmix.data.loader import LoaderState
from spanmix.errors import SpanmixError
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.train import saver as saver_module
from spanmix.train.checkpoint import Checkpoints, read_model, training_state
from spanmix.train.progress import Progress
from spanmix.train.run import train
from spanmix.train.saver import Saver


def progress(step):
    return Progress(step, 100 * step, LoaderState("f" * 64, 4 * step, 1, 2, 0, ()))


def update(model, optimizers):
    """A step of the optimizers that changes every weight."""
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    for optimizer in optimizers:
        optimizer.step()


@pytest.fixture
def parts(make_decoder):
    """A tiny model and an optimizer that has made a step."""
    model = make_decoder(1, 32, 1, 32, 96)
    optimizers = [torch.optim.AdamW(model.parameters(), fused=True)]
    update(model, optimizers)
    return model, optimizers


@pytest.fixture
def loaded(make_decoder):
    """Reads all tensors of a checkpoint: (progress, tensors by name)."""

    def load(checkpoints, step):
        model = make_decoder(1, 32, 1, 32, 96, seed=2)
        optimizers = [torch.optim.AdamW(model.parameters(), fused=True)]
        found = checkpoints.load(checkpoints.folder / f"step-{step}", model, optimizers)
        return found, copied(model, optimizers)

    return load


def copied(model, optimizers):
    state = training_state(model, optimizers)
    tensors = state["model"] | {f"optimizer.{name}": value for name, value in state["optimizer"].items()}
    return {name: value.clone() for name, value in tensors.items() if isinstance(value, torch.Tensor)}


class HeldWriter:
    """Stands in for the writing of tensors, which begins, and goes on when it is let."""

    def __init__(self, monkeypatch):
        self.begun, self.let = threading.Event(), threading.Event()
        write = FileSystemWriter.write_data

        def held(writer, plan, planner):
            self.begun.set()
            self.let.wait()
            return write(writer, plan, planner)

        monkeypatch.setattr(FileSystemWriter, "write_data", held)


@pytest.fixture
def writer(monkeypatch):
    held = HeldWriter(monkeypatch)
    yield held
    held.let.set()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_equal(one, other):
    assert one.keys() == other.keys() and len(one) > 50, len(one)
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_updates_while_a_save_is_in_flight_do_not_reach_it(tmp_path, parts, loaded, writer):
    at_once, meanwhile = Checkpoints(tmp_path / "at-once", 2), Checkpoints(tmp_path / "meanwhile", 2)
    writer.let.set()
    with Saver(at_once, in_background=False) as saver:
        saver.save(progress(3), *parts)
    writer.let.clear()
    writer.begun.clear()
    before = copied(*parts)
    with Saver(meanwhile, in_background=True) as saver:
        saver.save(progress(3), *parts)
        writer.begun.wait()
        for _ in range(3):
            update(*parts)
        assert meanwhile.newest() is None and not saver.failed
        writer.let.set()
    after = copied(*parts)
    assert [name for name in before if torch.equal(before[name], after[name])] == []
    assert loaded(meanwhile, 3)[0] == loaded(at_once, 3)[0] == progress(3)
    assert_equal(loaded(meanwhile, 3)[1], loaded(at_once, 3)[1])
    assert_equal(loaded(meanwhile, 3)[1], before)
    assert names(meanwhile.folder / "step-3") == names(at_once.folder / "step-3")


def test_the_next_save_waits_and_is_the_only_one(tmp_path, parts, writer, monkeypatch):
    copying = threading.Event()
    state_of = saver_module.training_state
    checkpoints = Checkpoints(tmp_path, 5)
    with Saver(checkpoints, in_background=True) as saver:
        saver.save(progress(3), *parts)
        writer.begun.wait()
        monkeypatch.setattr(saver_module, "training_state", lambda *p: (copying.set(), state_of(*p))[1])
        second = threading.Thread(target=saver.save, args=(progress(6), *parts))
        second.start()
        assert not copying.wait(0.2) and checkpoints.newest() is None
        writer.let.set()
        second.join()
        assert copying.is_set() and (tmp_path / "step-3").is_dir()
    assert names(tmp_path) == ["step-3", "step-6"]


@pytest.mark.parametrize("ending", [None, ValueError, KeyboardInterrupt])
def test_however_a_run_ends_what_is_in_flight_is_written(tmp_path, parts, writer, ending, loaded):
    checkpoints = Checkpoints(tmp_path, 2)

    class Waiting(Saver):
        def wait(self):
            if self._in_flight is not None:
                assert not self._in_flight.done()
                writer.let.set()
            super().wait()

    def run():
        with Waiting(checkpoints, in_background=True) as saver:
            saver.save(progress(3), *parts)
            writer.begun.wait()
            if ending is not None:
                raise ending

    if ending is None:
        run()
    else:
        with pytest.raises(ending):
            run()
    assert names(tmp_path) == ["step-3"]
    assert_equal(loaded(checkpoints, 3)[1], copied(*parts))
    assert [thread for thread in threading.enumerate() if thread.name.startswith("checkpoint")] == []


def fill_the_disk(monkeypatch):
    def full(writer, plan, planner):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(FileSystemWriter, "write_data", full)


FULL = r"step-6 could not be written: No space .*\([\d,]+ bytes are free"


def test_a_failure_is_raised_by_the_next_save_and_the_one_after_is_free(tmp_path, parts, monkeypatch):
    checkpoints = Checkpoints(tmp_path, 5)
    with Saver(checkpoints, in_background=True) as saver:
        saver.save(progress(3), *parts)
        saver.wait()
        assert not saver.failed
        with monkeypatch.context() as patch:
            fill_the_disk(patch)
            saver.save(progress(6), *parts)
            wait([saver._in_flight])
        assert saver.failed
        with pytest.raises(SpanmixError, match=FULL):
            saver.save(progress(9), *parts)
        assert not saver.failed and names(tmp_path) == ["step-3"]
        saver.save(progress(9), *parts)
    assert names(tmp_path) == ["step-3", "step-9"]


def test_of_two_errors_that_of_the_run_goes_on_and_carries_the_other(tmp_path, parts, monkeypatch):
    fill_the_disk(monkeypatch)
    saving = Saver(Checkpoints(tmp_path, 5), in_background=True)
    with pytest.raises(ValueError, match="of the run") as error, saving as saver:
        saver.save(progress(6), *parts)
        raise ValueError("of the run")
    (note,) = error.value.__notes__
    assert note.startswith("Beside that, ") and "No space left on device" in note
    assert names(tmp_path) == []


def test_a_run_with_a_full_disk_ends_at_the_next_step(recipe, tmp_path, monkeypatch):
    savers, steps = [], []
    save = Saver.save

    def watched(saver, progress, *parts):
        savers.append(saver)
        if progress.step == 6:
            fill_the_disk(monkeypatch)
        save(saver, progress, *parts)

    def report(done, total, metrics):
        steps.append(done)
        if done == 7:
            wait([savers[-1]._in_flight])

    monkeypatch.setattr(Saver, "save", watched)
    with pytest.raises(SpanmixError, match=FULL):
        train(recipe, tmp_path / "run", report=report)
    assert steps == [1, 2, 3, 4, 5, 6, 7]
    assert names(tmp_path / "run" / "checkpoints") == ["step-3"]
    assert not (tmp_path / "run" / "events.jsonl").exists()


def test_with_and_without_a_thread_a_run_is_the_same(recipe, tmp_path, assert_same_run):
    """The choice may also change on the way."""
    at_once = replace(recipe, run=replace(recipe.run, async_checkpoints=False))
    train(recipe, tmp_path / "background")
    shutil.copytree(tmp_path / "background", tmp_path / "mixed")
    shutil.rmtree(tmp_path / "mixed" / "checkpoints" / "step-12")
    train(at_once, tmp_path / "mixed")
    train(at_once, tmp_path / "at-once")
    assert_same_run(tmp_path / "background", tmp_path / "at-once", recipe)
    assert_same_run(tmp_path / "background", tmp_path / "mixed", recipe)


WORKER = Path(__file__).with_name("saver_worker.py")


@pytest.mark.parametrize(("shard", "tensor"), [(0, 1), (1, 2)])
def test_in_several_processes_it_is_the_same_and_all_hear_of_a_failure(tmp_path, shard, tensor):
    """FSDP and tensor parallelism; what they wrote is compared in one process."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    ended = subprocess.run(
        [*command, str(WORKER), str(tmp_path), str(shard), str(tensor)],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    said = [json.loads((tmp_path / f"said-{rank}.json").read_text()) for rank in (0, 1)]
    assert "step-6 could not be written" in said[0]
    assert all("No space left on device" in text for text in said), said
    assert names(tmp_path / "meanwhile") == ["step-3"]
    with torch.device("meta"):
        expected = Decoder(Architecture(2, 64, 4, 8, 64, 512)).state_dict()
    at_once, meanwhile = (read_all(tmp_path / folder / "step-3") for folder in ("at-once", "meanwhile"))
    assert at_once.keys() == meanwhile.keys() and len(at_once) > 3 * len(expected)
    assert [name for name in at_once if not torch.equal(at_once[name], meanwhile[name])] == []
    weights = read_model(tmp_path / "meanwhile" / "step-3")
    assert weights.keys() == expected.keys()
    for name, tensor in weights.items():
        assert tensor.shape == expected[name].shape and torch.equal(tensor, at_once[name]), name


def read_all(path):
    """All tensors of a checkpoint, as PyTorch's own converter reads them."""
    converted = path.with_name("converted.pt")
    dcp_to_torch_save(path, converted)
    state = torch.load(converted)
    converted.unlink()
    tensors = state["model"] | {f"optimizer.{name}": value for name, value in state["optimizer"].items()}
    return {name: value for name, value in tensors.items() if isinstance(value, torch.Tensor)}
