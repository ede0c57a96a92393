"""A key changes when something changes that a figure hangs on, and only then."""

from dataclasses import replace

import pytest

from spanmix.lessons.configurations import (
    main_configuration,
    sweep_configurations,
    understanding_key,
)
from spanmix.lessons.parts import Understanding

FINGERPRINT = "f" * 64

DECIDING = {
    "objective": lambda r: replace(r, objectives=r.objectives[:1]),
    "weight": lambda r: replace(r, objectives=(replace(r.objectives[0], weight=2.0), *r.objectives[1:])),
    "rows": lambda r: replace(r, data=replace(r.data, row_tokens=96)),
    "batch": lambda r: replace(r, data=replace(r.data, global_batch_rows=3)),
    "sources": lambda r: replace(r, data=replace(r.data, sources=r.data.sources[:1])),
    "unit": lambda r: replace(r, data=replace(r.data, unit="sequence")),
    "corruption": lambda r: replace(r, data=replace(r.data, corruption="fixed")),
    "rate": lambda r: replace(r, optimizer=replace(r.optimizer, learning_rate=0.5)),
    "z-loss": lambda r: replace(r, optimizer=replace(r.optimizer, z_loss=1e-4)),
    "schedule": lambda r: replace(r, schedule=replace(r.schedule, decay_steps=3)),
    "steps": lambda r: replace(r, run=replace(r.run, num_steps=7)),
    "precision": lambda r: replace(r, run=replace(r.run, precision="fp32")),
    "model": lambda r: replace(r, model=replace(r.model, preset="125m")),
}
NOT_DECIDING = {
    "seed": lambda r: replace(r, run=replace(r.run, seed=9)),
    "saves": lambda r: replace(r, run=replace(r.run, save_every_steps=1, keep_checkpoints=3)),
    "logs": lambda r: replace(r, run=replace(r.run, log_every_steps=5)),
    "threads": lambda r: replace(r, run=replace(r.run, num_threads=2)),
    "place of the corpus": lambda r: replace(r, corpus=replace(r.corpus, path="elsewhere")),
    "micro-batch": lambda r: replace(r, parallel=replace(r.parallel, micro_batch_rows=1)),
    "evaluation": lambda r: replace(r, evaluate=replace(r.evaluate, held_out_rows=1)),
    "trackers": lambda r: replace(r, watch=replace(r.watch, project="mine")),
}


@pytest.fixture
def mixture(suite):
    return main_configuration(suite, suite.scale("toy"), "mixture", 1e-3)


@pytest.mark.parametrize("change", DECIDING)
def test_a_key_changes_with_what_decides(suite, mixture, change):
    measuring = suite.scale("toy").measuring
    other = replace(mixture, recipe=DECIDING[change](mixture.recipe))
    assert other.key(FINGERPRINT, measuring) != mixture.key(FINGERPRINT, measuring)


@pytest.mark.parametrize("change", NOT_DECIDING)
def test_a_key_stays_with_what_does_not(suite, mixture, change):
    measuring = suite.scale("toy").measuring
    other = replace(mixture, recipe=NOT_DECIDING[change](mixture.recipe))
    assert other.recipe != mixture.recipe
    assert other.key(FINGERPRINT, measuring) == mixture.key(FINGERPRINT, measuring)


def test_a_key_changes_with_the_corpus_and_what_is_measured(suite, mixture):
    measuring = suite.scale("toy").measuring
    keys = {
        mixture.key(FINGERPRINT, measuring),
        mixture.key("0" * 64, measuring),
        mixture.key(FINGERPRINT, replace(measuring, file_tokens=97)),
        mixture.key(FINGERPRINT, replace(measuring, single_line_spans=7)),
        replace(mixture, unique_tokens=5).key(FINGERPRINT, measuring),
        replace(mixture, kind="sweep").key(FINGERPRINT, measuring),
    }
    assert len(keys) == 6


def test_every_run_of_a_suite_has_a_key_of_its_own(suite):
    from spanmix.lessons.suite import load_suite

    builtin = load_suite()
    for any_suite, name in ((suite, "toy"), *((builtin, name) for name in ("tiny", "small", "paper"))):
        scale = any_suite.scale(name)
        configurations = sweep_configurations(any_suite, scale)
        configurations += [main_configuration(any_suite, scale, arm, 1e-3) for arm in scale.arms]
        keys = [one.key(FINGERPRINT, scale.measuring) for one in configurations]
        assert len(set(keys)) == len(keys) > 4


def test_a_fine_tuning_has_a_key_of_its_own():
    asked = Understanding(("a",), ("defects", "clones"), ("causal",), 9, 1, 1e-4, 4, 64)
    keys = [
        understanding_key("k", asked, "defects", "causal"),
        understanding_key("k", asked, "clones", "causal"),
    ]
    keys += [understanding_key("j", asked, "defects", "causal")]
    keys += [understanding_key("k", replace(asked, epochs=2), "defects", "causal")]
    assert len(set(keys)) == 4
    more = replace(asked, arms=("a", "b"), representations=("causal", "bidirectional"))
    assert understanding_key("k", more, "defects", "causal") == keys[0]
