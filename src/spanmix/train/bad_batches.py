"""Pass over batches whose loss or gradients are not finite, as many as the recipe allows.

A skipped batch makes no step: weights and optimizer are left as they were, and the next batch is taken in
its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spanmix.errors import SpanmixError
from spanmix.train.events import EventLog
from spanmix.train.step import WAY_OUT, NotFiniteError
from spanmix.train_configs import ModelConfig
from spanmix.types import Segment


class BadBatches:
    """Counts the skipped batches of a run, and stops it where they are too many.

    Args:
        limit: how many a run may skip (``run.skip_bad_batches``).
        skipped: how many it has skipped by now.
        describe: names the documents of examples.
        events: where a skip is recorded.
        model: the recipe's; says what a first step is made with.
    """

    def __init__(
        self,
        limit: int,
        skipped: int,
        describe: Callable[[Sequence[Segment]], str],
        events: EventLog,
        model: ModelConfig,
    ) -> None:
        self.limit = limit
        self.skipped = skipped
        self._describe = describe
        self._events = events
        self._model = model

    def skip(self, bad: NotFiniteError, step: int) -> None:
        """Pass over the batch that step number `step` (from 1) was to be made of.

        Raises:
            SpanmixError: the run has skipped as many as it may; it names step, rows and documents.
        """
        found = f"{bad.finding} at step {step}, in {bad.rows}"
        documents = self._describe(bad.segments)
        if self.skipped >= self.limit:
            raise SpanmixError(
                f"{found}; nothing was updated. Documents: {documents}. {self._way_out(step)}. To pass over "
                f"the batch instead, give the same --out with run.skip_bad_batches={self.skipped + 1} (it is "
                f"{self.limit}, and {self.skipped} batches of the run have been skipped)"
            )
        self.skipped += 1
        self._events.warn(
            step,
            "skipped_batch",
            f"{found}; the batch is skipped ({self.skipped} of at most {self.limit} in this run) and nothing "
            f"was updated. Documents: {documents}",
        )

    def _way_out(self, step: int) -> str:
        """Say what to change; before the first update the learning rate has had no part in it."""
        if step > 1:
            return WAY_OUT
        if self._model.init_from is None:
            return (
                "No step has been made yet, so the learning rate is not the cause: start a run with another "
                "--out, and run.precision=fp32 if it was bf16"
            )
        base = f"the weights of model.init_from {self._model.init_from}"
        if self._model.lora is not None:
            base += f", or model.lora.alpha, which is {self._model.lora.alpha:g}"
        return (
            f"No step has been made yet, so the likely cause is {base}, and not the learning rate: see what "
            "`spanmix evaluate` says of that model, and start a run with another --out"
        )
