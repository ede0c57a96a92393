"""Figures are what counting by hand gives."""

import numpy as np
import pytest

from spanmix.evaluate.understanding.examples import LabeledSet, LabeledText
from spanmix.evaluate.understanding.figures import _by_surface, difference, figures_of


def examples_of(labels, part, texts=None, kinds=None):
    return tuple(
        LabeledText(
            f"{part}-{n}", (texts[n] if texts else "x",), label, f"{part}-{n // 2}", kinds[n] if kinds else ""
        )
        for n, label in enumerate(labels)
    )


def a_set(train, test, **more):
    parts = examples_of(train, "train"), examples_of([0, 1], "valid"), examples_of(test, "test", **more)
    return LabeledSet("toy", "x", *parts, {})


def test_accuracy_f1_and_majority():
    labels = [0, 1, 1, 1, 0, 0, 1, 0, 1, 1]
    said = np.array([0, 1, 0, 1, 1, 0, 1, 0, 0, 1])
    kinds = ["", "a", "a", "b", "", "", "a", "", "b", "b"]
    found = figures_of(a_set([1, 1, 0], labels, kinds=kinds), said, seed=0)
    assert (found.num_examples, found.num_groups) == (10, 5)
    assert found.accuracy.value == pytest.approx(0.7)
    assert found.f1.value == pytest.approx(2 * 4 / (5 + 6))
    assert found.majority.value == pytest.approx(0.6)
    assert found.gain.value == pytest.approx(0.1)
    assert found.accuracy.low < 0.7 < found.accuracy.high
    counted = {kind: (k.num_examples, k.accuracy.value) for kind, k in found.by_kind.items()}
    assert counted == {"a": (3, pytest.approx(2 / 3)), "b": (3, pytest.approx(2 / 3))}
    # The label that most of the train part has, whatever the test part has.
    assert figures_of(a_set([0, 0, 1], labels), said, seed=0).majority.value == pytest.approx(0.4)


def test_nothing_found_is_an_f1_of_zero():
    found = figures_of(a_set([0, 1], [0, 1, 1, 0]), np.zeros(4, dtype=np.int64), seed=0)
    assert found.f1.value == 0.0 and found.accuracy.value == 0.5


def test_a_difference_is_of_the_same_examples():
    labels = [0, 1] * 20
    examples = examples_of(labels, "test")
    right, wrong = np.array(labels), 1 - np.array(labels)
    assert difference(examples, right, right, seed=0).value == 0.0
    assert difference(examples, right, wrong, seed=0).low == 1.0
    half = np.where(np.arange(40) < 20, right, wrong)
    found = difference(examples, half, right, seed=0)
    assert found.value == -0.5 and found.low < -0.5 < found.high < 0


def test_the_surface_rule_is_the_best_threshold():
    generator = np.random.default_rng(3)
    rising = falling = 0
    for _ in range(60):
        lengths = generator.integers(1, 12, 30)
        labels = (lengths + generator.normal(0, 3, 30) > 6).astype(int) ^ int(generator.integers(2))
        labels[:2] = [0, 1]
        texts = ["x" * int(n) for n in lengths]
        train = examples_of(labels.tolist(), "train", texts)
        examples = LabeledSet("toy", "x", train, examples_of([0, 1], "valid"), train, {})
        rights = {}
        for cut in range(14):
            rights[cut, 1] = np.mean((lengths >= cut) == labels)
            rights[cut, 0] = np.mean((lengths < cut) == labels)
        said = _by_surface(examples)
        assert np.mean(said == labels) == pytest.approx(max(rights.values()))
        rising += max(rights, key=rights.get)[1]
        falling += 1 - max(rights, key=rights.get)[1]
    assert rising > 15 and falling > 15
