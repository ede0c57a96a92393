"""Count what was predicted right, with 95 % intervals over groups, beside what knows nothing of the texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spanmix.evaluate import intervals
from spanmix.evaluate.intervals import Interval
from spanmix.evaluate.understanding.examples import LabeledSet, LabeledText

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class KindFigures:
    """How many examples of a kind there are, and the share of them that was predicted right."""

    num_examples: int
    accuracy: Interval


@dataclass(frozen=True)
class UnderstandingFigures:
    """How good predictions of the test part are.

    Args:
        num_examples, num_groups: of the test part.
        accuracy: share of right predictions.
        f1: of label 1, as CodeXGLUE reports it for clones.
        majority: accuracy of always saying the label that most of the train part has.
        gain: accuracy minus `majority`, on the same draws.
        surface: accuracy of one threshold, set on the train part, on what can be counted without reading: of
            a pair the share of words that both have, of a text its length in characters.
        gain_over_surface: accuracy minus `surface`, on the same draws.
        by_kind: examples, and the share of right predictions, of each kind that examples have.
    """

    num_examples: int
    num_groups: int
    accuracy: Interval
    f1: Interval
    majority: Interval
    gain: Interval
    surface: Interval
    gain_over_surface: Interval
    by_kind: dict[str, KindFigures]


def figures_of(examples: LabeledSet, predicted_N: NDArray[np.int64], seed: int) -> UnderstandingFigures:
    """Return the figures of predictions.

    Args:
        examples: all parts; the predictions are those of the test part.
        predicted_N: int64 [N], the labels that were predicted.
        seed: for the draws of the intervals.
    """
    labels_N = np.array([example.label for example in examples.test])
    majority = int(np.mean([example.label for example in examples.train]) > 0.5)
    right_N = predicted_N == labels_N
    columns_N7 = np.column_stack(
        [
            np.ones(len(labels_N)),
            right_N,
            labels_N == majority,
            _by_surface(examples) == labels_N,
            predicted_N & labels_N,
            predicted_N,
            labels_N,
        ]
    ).astype(np.float64)
    sums_C7, num_groups = _by_group(examples.test, columns_N7)

    def share(numerator: NDArray[np.float64]) -> Interval:
        return intervals.ratio(sums_C7 @ numerator, sums_C7[:, 0], seed)

    unit = np.eye(columns_N7.shape[1])
    return UnderstandingFigures(
        num_examples=len(labels_N),
        num_groups=num_groups,
        accuracy=share(unit[1]),
        f1=intervals.bootstrap(sums_C7, lambda sums: 2 * sums[..., 4] / (sums[..., 5] + sums[..., 6]), seed),
        majority=share(unit[2]),
        gain=share(unit[1] - unit[2]),
        surface=share(unit[3]),
        gain_over_surface=share(unit[1] - unit[3]),
        by_kind=_by_kind(examples.test, right_N, seed),
    )


def difference(
    examples: Sequence[LabeledText],
    predicted_N: NDArray[np.int64],
    other_N: NDArray[np.int64],
    seed: int,
) -> Interval:
    """Return the accuracy of some predictions minus that of others, on the same draws of groups."""
    labels_N = np.array([example.label for example in examples])
    gained_N = (predicted_N == labels_N).astype(np.float64) - (other_N == labels_N)
    sums_C2, _ = _by_group(examples, np.column_stack([gained_N, np.ones(len(labels_N))]))
    return intervals.ratio(sums_C2[:, 0], sums_C2[:, 1], seed)


def surface_of(example: LabeledText) -> float:
    """Return what can be counted without reading; see `UnderstandingFigures`.

    >>> surface_of(LabeledText("1", ("a = b", "b = c"), 0, "1"))
    0.333...
    """
    if len(example.texts) == 1:
        return float(len(example.texts[0]))
    one, other = (set(_WORD.findall(text)) for text in example.texts)
    return len(one & other) / max(1, len(one | other))


def _by_surface(examples: LabeledSet) -> NDArray[np.int64]:
    """Return what the best threshold on the train part says of the test part: int64 [N]."""
    values_M = np.array([surface_of(example) for example in examples.train])
    labels_M = np.array([example.label for example in examples.train])
    order_M = np.argsort(values_M, kind="stable")
    signs_M = 2 * labels_M[order_M] - 1
    # Entry m: right answers, but for a constant, where the m least are called 0 and the others 1.
    rights = np.concatenate([[0], np.cumsum(-signs_M)])
    values = np.concatenate([[-np.inf], values_M[order_M], [np.inf]])
    between = values[:-1] < values[1:]
    above, below = np.where(between, rights, -len(rights)), np.where(between, rights, len(rights))
    is_rising = above.max() - rights[-1] / 2 >= rights[-1] / 2 - below.min()
    cut = int(above.argmax() if is_rising else below.argmin())
    is_above_N = np.array([surface_of(example) >= values[cut + 1] for example in examples.test])
    said_N: NDArray[np.int64] = (is_above_N == is_rising).astype(np.int64)
    return said_N


def _by_kind(
    examples: Sequence[LabeledText], right_N: NDArray[np.bool_], seed: int
) -> dict[str, KindFigures]:
    found = {}
    for kind in sorted({example.kind for example in examples} - {""}):
        chosen = [n for n, example in enumerate(examples) if example.kind == kind]
        columns = np.column_stack([right_N[chosen], np.ones(len(chosen))]).astype(np.float64)
        sums_C2, _ = _by_group([examples[n] for n in chosen], columns)
        found[kind] = KindFigures(len(chosen), intervals.share(sums_C2[:, 0], sums_C2[:, 1]))
    return found


def _by_group(
    examples: Sequence[LabeledText], columns_NK: NDArray[np.float64]
) -> tuple[NDArray[np.float64], int]:
    """Add up the rows of each group: [N, K] to [C, K], and return C with them."""
    _, group_of_N = np.unique([example.group for example in examples], return_inverse=True)
    sums_CK = np.zeros((int(group_of_N.max()) + 1, columns_NK.shape[1]))
    np.add.at(sums_CK, group_of_N, columns_NK)
    return sums_CK, len(sums_CK)
