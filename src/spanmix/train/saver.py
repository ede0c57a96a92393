"""Save a run while it trains: copy its state, and let a thread write the copy.

A step stands still for the copy, not for the disk. What is written is `Checkpoints.save`, whole or absent, as
without a thread. One save is in flight at most: the next waits for it, and so does the end of the run,
however it ends.

PyTorch has this as ``async_save``. Its thread writes the tensors alone; checksums, flushing and the renaming
that makes a folder whole would need a second thread behind it. The copying is PyTorch's here too.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from torch import nn
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

from spanmix.train.checkpoint import Checkpoints, Optimizers, State, training_state
from spanmix.train.progress import Progress


class Saver:
    """Saves the state of a run; as a context manager, nothing is in flight any more at its end.

    Args:
        checkpoints: of the run. In a run of several processes the thread speaks to the others', so they need
            a group of their own: `Ranks.apart`.
        in_background: whether a thread writes a copy, for which there has to be memory: 12 bytes for a
            weight that is trained. False writes the state itself, and the run waits.
        device: where the state is. That of a GPU is copied to pinned memory of its host.
    """

    def __init__(self, checkpoints: Checkpoints, in_background: bool, device: str = "cpu") -> None:
        self._checkpoints = checkpoints
        self._copier = _Copier(device == "cuda") if in_background else None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._in_flight: Future[Path] | None = None

    def save(self, progress: Progress, model: nn.Module, optimizers: Optimizers) -> None:
        """Save the state as it is now, after what is in flight.

        Raises:
            SpanmixError: what was in flight, or this one without a thread, could not be written, as when the
                disk is full; the older checkpoints stay.
        """
        self.wait()
        state = training_state(model, optimizers)
        if self._copier is None:
            self._checkpoints.save(progress, state)
        else:
            self._in_flight = self._thread.submit(self._checkpoints.save, progress, self._copier.copy(state))

    @property
    def failed(self) -> bool:
        """Whether what was in flight has ended with an error, which the next `save` or `wait` raises."""
        saving = self._in_flight
        return saving is not None and saving.done() and saving.exception() is not None

    def wait(self) -> None:
        """Wait for what is in flight; raises what `save` does if it could not be written."""
        saving, self._in_flight = self._in_flight, None
        if saving is not None:
            saving.result()

    def __enter__(self) -> Saver:
        """Do nothing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait; an error of the run goes on, with what the thread met as its note."""
        failed: Exception | None = None
        try:
            self.wait()
        except Exception as met:
            failed = met
        self._thread.shutdown()
        if failed is not None and error is None:
            raise failed
        if failed is not None and error is not None:
            error.add_note(f"Beside that, {failed}")


class _Copier:
    """Copies tensors to the memory of the host, with PyTorch's stager.

    To pin memory takes longer than to copy into it, so on a GPU it is kept from one save to the next. On a
    CPU, where it would be missing in training, it is given back as soon as it is written.
    """

    def __init__(self, from_gpu: bool) -> None:
        self._options = StagingOptions(
            use_pinned_memory=from_gpu,
            use_shared_memory=False,
            use_async_staging=False,
            use_non_blocking_copy=from_gpu,
        )
        self._kept = DefaultStager(self._options) if from_gpu else None

    def copy(self, state: State) -> State:
        """Return a copy that no later step changes."""
        stager = self._kept or DefaultStager(self._options)
        copied = stager.stage(state)
        assert isinstance(copied, dict), "the stager was to wait until it is done"
        if self._kept is None:
            stager.close()
        return copied
