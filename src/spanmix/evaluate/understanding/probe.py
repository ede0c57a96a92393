"""Fit a linear map to the representations of a model that stays as it is.

Each text goes through the decoder once; what is fitted is logistic regression on its pooled hidden states,
standardized by the train part's mean and deviation. How much the weights are held down is chosen on the valid
part. The problem is convex and solved in float64 from zero, so nothing about it is random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from spanmix.evaluate.understanding.encoding import EncodedText, in_order
from spanmix.evaluate.understanding.examples import PARTS
from spanmix.evaluate.understanding.representation import NUM_LABELS, Classifier
from spanmix.evaluate.understanding.settings import TuningSettings
from spanmix.evaluate.understanding.tuning import Progress, Trial, Tuned, best_of, processor, trial_of
from spanmix.model.decoder import Decoder

PENALTIES = (1.0, 0.1, 0.01, 0.001, 0.0001)
"""Tried in this order; each times half the squared norm of the weights is added to the mean loss."""
_MAX_ITERATIONS = 500


def fit_head(
    decoder: Decoder,
    encoded: Mapping[str, Sequence[EncodedText]],
    representation: str,
    pad_id: int,
    settings: TuningSettings,
    progress: Progress | None = None,
) -> Tuned:
    """Fit the head alone; arguments as for `spanmix.evaluate.understanding.tuning.tune`."""
    device, dtype = processor(settings)
    classifier = Classifier(decoder.float().to(device), representation, dtype)
    total = sum(len(encoded[part]) for part in PARTS)
    pooled: dict[str, Tensor] = {}
    done = 0
    with torch.no_grad():
        for part in PARTS:
            found_ND = torch.zeros(len(encoded[part]), decoder.architecture.dim, dtype=torch.float64)
            for batch in in_order(encoded[part], settings.batch_size, pad_id):
                found_ND[batch.numbers] = classifier.pooled(batch).double().cpu()
                done += len(batch.numbers)
                if progress is not None:
                    progress("represent", done, total)
            pooled[part] = found_ND
    deviation, mean = torch.std_mean(pooled["train"], dim=0, correction=0)
    scaled = {part: (found_ND - mean) / deviation.clamp(min=1e-6) for part, found_ND in pooled.items()}
    labels_N = torch.tensor([row.label for row in encoded["train"]])
    trials: list[Trial] = []
    tested = []
    for penalty in PENALTIES:
        weights_DK, bias_K, loss = _logistic(scaled["train"], labels_N, penalty)
        valid_NK, test_NK = (scaled[part] @ weights_DK + bias_K for part in ("valid", "test"))
        trials.append(trial_of(f"penalty {penalty:g}", loss, valid_NK.numpy(), encoded["valid"]))
        tested.append(test_NK.numpy().astype(np.float64))
    chosen = best_of(trials)
    return Tuned(tuple(trials), chosen, tested[chosen])


def _logistic(x_ND: Tensor, labels_N: Tensor, penalty: float) -> tuple[Tensor, Tensor, float]:
    """Return weights [D, 2], biases [2] and the mean loss of regularized logistic regression."""
    weights_DK = torch.zeros(x_ND.shape[1], NUM_LABELS, dtype=torch.float64, requires_grad=True)
    bias_K = torch.zeros(NUM_LABELS, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights_DK, bias_K], max_iter=_MAX_ITERATIONS, line_search_fn="strong_wolfe", tolerance_change=1e-12
    )

    def loss_of() -> Tensor:
        return F.cross_entropy(x_ND @ weights_DK + bias_K, labels_N)

    def closure() -> Tensor:
        optimizer.zero_grad()
        objective = loss_of() + penalty / 2 * weights_DK.square().sum()
        objective.backward()  # type: ignore[no-untyped-call]
        return objective

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return weights_DK.detach(), bias_K.detach(), float(loss_of())
