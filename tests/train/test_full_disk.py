"""A disk that fills up at any moment of a save leaves the last good checkpoint, and nothing half-written."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
from torch.distributed.checkpoint.filesystem import FileSystemWriter

from spanmix import files
from spanmix.errors import SpanmixError
from spanmix.train import checkpoint
from spanmix.train.checkpoint import Checkpoints
from spanmix.train.run import train


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def only(real, name):
    """Fails where it is about a file of this name, or one that ends so."""

    def act(path, *args, **kwargs):
        return full() if str(path).endswith(name) else real(path, *args, **kwargs)

    return act


POINTS = {
    "the folder": lambda patch: patch.setattr(Path, "mkdir", only(Path.mkdir, ".spanmix-partial")),
    "the first file": lambda patch: patch.setattr(FileSystemWriter, "write_data", full),
    "the index of the tensors": lambda patch: patch.setattr(FileSystemWriter, "finish", full),
    "state.json": lambda patch: patch.setattr(Path, "replace", only(Path.replace, f"partial-{os.getpid()}")),
    "the last file": lambda patch: patch.setattr(checkpoint, "write_checksums", full),
    "flushing a file": lambda patch: patch.setattr(files, "flush", only(files.flush, ".distcp")),
    "flushing the folder": lambda patch: patch.setattr(files, "flush", only(files.flush, "-partial")),
    "the rename": lambda patch: patch.setattr(Path, "rename", only(Path.rename, ".spanmix-partial")),
}


@pytest.mark.parametrize("point", POINTS)
def test_the_last_good_one_stays_and_the_message_names_file_and_room(recipe, tmp_path, point):
    recipe = replace(recipe, run=replace(recipe.run, num_steps=6))
    save = Checkpoints.save
    out = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:

        def second(self, progress, state):
            if progress.step == 6:
                POINTS[point](patch)
            return save(self, progress, state)

        patch.setattr(Checkpoints, "save", second)
        with pytest.raises(SpanmixError) as error:
            train(recipe, out)
    message = str(error.value)
    assert "step-6" in message and "No space left on device" in message, message
    assert "bytes are free" in message and error.value.exit_code == 1
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-3"]
    whole = Checkpoints(out / "checkpoints", 2).newest_whole()
    assert whole.progress.step == 3 and whole.set_aside == ()
    if point == "the rename":  # once there is room, the same command goes on
        assert train(recipe, out).is_dir()
