"""Cut sequences into batches of like length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence


def by_length(indices: Sequence[int], lengths: Sequence[int], most_tokens: int) -> list[list[int]]:
    """Cut indices, longest first, into parts whose padded size stays within `most_tokens`.

    A sequence that is longer than that has a part of its own. In a part none is half as long as another.

    >>> by_length([0, 1, 2], [1000, 10, 900], most_tokens=2048)
    [[0, 2], [1]]
    """
    parts: list[list[int]] = []
    for index in sorted(indices, key=lambda i: -lengths[i]):
        longest = lengths[parts[-1][0]] if parts else 0
        fits = parts and longest * (len(parts[-1]) + 1) <= most_tokens
        if fits and 2 * lengths[index] > longest:
            parts[-1].append(index)
        else:
            parts.append([index])
    return parts


def neighbors_alike(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Cut neighboring rows into groups of which padding is less than a third.

    >>> neighbors_alike([10, 10, 9, 100, 2])
    [(0, 3), (3, 4), (4, 5)]
    """
    groups: list[tuple[int, int]] = []
    for end in range(1, len(lengths) + 1):
        start = groups[-1][0] if groups else 0
        group = lengths[start:end]
        if groups and len(group) * max(group) <= 1.5 * sum(group):
            groups[-1] = (start, end)
        else:
            groups.append((end - 1, end))
    return groups
