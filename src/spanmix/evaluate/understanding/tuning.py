"""Fine-tune a decoder to tell two classes apart, and take the epoch that does best on the valid part.

All weights learn but those of the decoder's own head. The run is a function of the model, the examples and
the settings: on one machine the same seed gives the same predictions, bit for bit (on a GPU with
`spanmix.train.machine.prepare_process`, which makes it compute in a fixed order).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.understanding.encoding import EncodedText, in_order, shuffled
from spanmix.evaluate.understanding.representation import NUM_LABELS, Classifier
from spanmix.evaluate.understanding.settings import TuningSettings
from spanmix.model.decoder import Decoder
from spanmix.model.devices import computes_bf16
from spanmix.train.optimizer import build_optimizers, learning_rate
from spanmix.train_configs import OptimizerConfig, ScheduleConfig

Progress = Callable[[str, int, int], None]
"""Called with what is done, and how many units of it are done, of how many."""


@dataclass(frozen=True)
class Trial:
    """One of the classifiers that could be chosen.

    Args:
        name: such as ``epoch 1``.
        train_loss: cross-entropy in nats an example, while it learned.
        valid_accuracy: share of right answers on the valid part.
        valid_loss: cross-entropy in nats an example there.
    """

    name: str
    train_loss: float
    valid_accuracy: float
    valid_loss: float

    @property
    def rank(self) -> tuple[float, float]:
        """Larger for a better one: by accuracy, and by loss among equals."""
        return self.valid_accuracy, -self.valid_loss


@dataclass(frozen=True)
class Tuned:
    """What was learned.

    Args:
        trials: in the order in which they were made.
        chosen: number of the best one, the first of equals.
        logits_NK: of the test part, float64 [N, 2], by the best one.
    """

    trials: tuple[Trial, ...]
    chosen: int
    logits_NK: NDArray[np.float64]


def processor(settings: TuningSettings) -> tuple[str, torch.dtype]:
    """Return the device, and what the decoder computes in.

    Raises:
        InputError: the settings ask for a GPU and there is none.
    """
    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device is 'cuda', but PyTorch sees no GPU here; use 'cpu' or 'auto'")
    precision = settings.precision
    if precision == "auto":
        precision = "bf16" if computes_bf16(device) else "fp32"
    return device, torch.bfloat16 if precision == "bf16" else torch.float32


def tune(
    decoder: Decoder,
    encoded: Mapping[str, Sequence[EncodedText]],
    representation: str,
    pad_id: int,
    settings: TuningSettings,
    progress: Progress | None = None,
) -> Tuned:
    """Fine-tune a decoder.

    Args:
        decoder: its weights are changed.
        encoded: the examples of each part.
        representation: ``causal`` or ``bidirectional``.
        pad_id: stands behind the end of a row.
        settings: how.
        progress: called after every step.

    Raises:
        SpanmixError: a loss is no number any more.
    """
    device, dtype = processor(settings)
    decoder.float().to(device)
    decoder.requires_grad_(True)
    decoder.head.requires_grad_(False)
    classifier = Classifier(decoder, representation, dtype)
    learning = _Learning(classifier, len(encoded["train"]), settings)
    trials: list[Trial] = []
    best: dict[str, Tensor] = {}
    for epoch in range(settings.epochs):
        losses = []
        for batch in shuffled(encoded["train"], settings.batch_size, pad_id, settings.seed, epoch):
            losses.append(learning.step(classifier(batch), batch.labels_B.to(device)) * len(batch.numbers))
            if progress is not None:
                progress("fine-tune", learning.steps_done, learning.num_steps)
        logits_NK = predict(classifier, encoded["valid"], pad_id, settings.batch_size)
        train_loss = sum(losses) / len(encoded["train"])
        trials.append(trial_of(f"epoch {epoch + 1}", train_loss, logits_NK, encoded["valid"]))
        if trials[-1].rank > max((trial.rank for trial in trials[:-1]), default=(-1.0, 0.0)):
            best = {name: p.detach().to("cpu", copy=True) for name, p in classifier.state_dict().items()}
    classifier.load_state_dict(best)
    logits_NK = predict(classifier, encoded["test"], pad_id, settings.batch_size, progress)
    return Tuned(tuple(trials), best_of(trials), logits_NK)


def predict(
    classifier: Classifier,
    encoded: Sequence[EncodedText],
    pad_id: int,
    batch_size: int,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Return the logits of each example, float64 [N, 2]."""
    logits_NK = np.zeros((len(encoded), NUM_LABELS))
    done = 0
    with torch.no_grad():
        for batch in in_order(encoded, batch_size, pad_id):
            logits_NK[batch.numbers] = classifier(batch).double().cpu().numpy()
            done += len(batch.numbers)
            if progress is not None:
                progress("predict", done, len(encoded))
    return logits_NK


def trial_of(
    name: str, train_loss: float, logits_NK: NDArray[np.float64], encoded: Sequence[EncodedText]
) -> Trial:
    """Return how good a classifier is on the valid part."""
    labels_N = np.array([row.label for row in encoded])
    accuracy = float((logits_NK.argmax(axis=1) == labels_N).mean())
    loss = float(F.cross_entropy(torch.from_numpy(logits_NK), torch.from_numpy(labels_N)))
    return Trial(name, train_loss, accuracy, loss)


def best_of(trials: Sequence[Trial]) -> int:
    """Return the number of the best trial, the first of equals."""
    return max(range(len(trials)), key=lambda n: (trials[n].rank, -n))


class _Learning:
    """Optimizers and how far they are."""

    def __init__(self, classifier: Classifier, num_examples: int, settings: TuningSettings) -> None:
        self.num_steps = settings.epochs * -(-num_examples // settings.batch_size)
        self.steps_done = 0
        self._settings = settings
        self._schedule = ScheduleConfig(round(settings.warmup_share * self.num_steps), final_ratio=0.0)
        config = OptimizerConfig(settings.learning_rate, weight_decay=settings.weight_decay)
        self._parameters = [p for p in classifier.parameters() if p.requires_grad]
        self._optimizers = build_optimizers(classifier.decoder, config)
        self._optimizers.append(torch.optim.AdamW(classifier.head.parameters(), weight_decay=0.0))

    def step(self, logits_BK: Tensor, labels_B: Tensor) -> float:
        """Learn from a batch, and return its mean loss in nats."""
        loss = F.cross_entropy(logits_BK, labels_B)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, self._settings.max_grad_norm))
        nats = float(loss.detach())
        if not math.isfinite(norm) or not math.isfinite(nats):
            raise SpanmixError(
                f"the loss is {nats} and the gradient norm {norm} in step {self.steps_done + 1} of "
                f"{self.num_steps} of the fine-tuning; take a learning rate below "
                f"{self._settings.learning_rate}"
            )
        rate = learning_rate(self.steps_done, self.num_steps, self._settings.learning_rate, self._schedule)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.steps_done += 1
        return nats
