"""Say who may see whom in a packed row: the one definition, for arrays and tensors alike."""

from __future__ import annotations

from typing import Any


def allowed(segment_q: Any, segment_k: Any, index_q: Any, index_k: Any, in_prefix_k: Any) -> Any:
    """The definition: a query sees the keys of its own segment, up to itself or in the segment's prefix.

    The arguments are arrays or tensors and broadcast; ``index`` is the place in the row. PAD is a segment
    like any other, so every query sees at least itself and no softmax runs over nothing.

    >>> import numpy as np
    >>> segments, index = np.array([1, 1, 2, 0]), np.arange(4)
    >>> prefix = np.array([True, True, False, False])
    >>> allowed(segments[:, None], segments, index[:, None], index, prefix).astype(int).tolist()
    [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    """
    return (segment_q == segment_k) & ((index_k <= index_q) | in_prefix_k)
