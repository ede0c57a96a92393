"""Decay acts on matrices only; the schedule is the one of the predecessors' trainer."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spanmix.model.architecture import preset
from spanmix.model.decoder import Decoder
from spanmix.train.optimizer import build_optimizers, learning_rate
from spanmix.train_configs import OptimizerConfig, ScheduleConfig


def test_biases_and_norms_do_not_decay():
    model = Decoder(preset("demo", vocab_size=128), seed=0)
    (optimizer,) = build_optimizers(model, OptimizerConfig(1e-3, weight_decay=0.3))
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    names = dict(model.named_parameters())
    assert len(decay) == len(names)
    for name, parameter in names.items():
        expected = 0.0 if name.endswith("bias") or "ln_" in name else 0.3
        assert decay[id(parameter)] == expected, name


@given(st.integers(0, 20), st.integers(2, 300), st.floats(0, 1))
def test_the_schedule_warms_up_and_ends_at_its_final_ratio(warmup_steps, decay_steps, final_ratio):
    num_steps = warmup_steps + decay_steps
    schedule = ScheduleConfig(warmup_steps, final_ratio)
    rates = [learning_rate(step, num_steps, 2.0, schedule) for step in range(num_steps)]
    assert np.all(np.diff(rates[:warmup_steps]) > 0) and np.all(np.diff(rates[warmup_steps:]) <= 1e-12)
    assert math.isclose(max(rates), 2.0)
    assert math.isclose(rates[-1], 2.0 * final_ratio, abs_tol=1e-12)


@given(st.integers(0, 20), st.integers(1, 60), st.integers(0, 200), st.floats(0, 1), st.booleans())
def test_wsd_stays_at_the_peak_and_then_decays_linearly(warmup, decay, stable, final_ratio, explicit):
    num_steps = warmup + stable + decay
    schedule = ScheduleConfig(warmup, final_ratio, shape="wsd", decay_steps=decay if explicit else None)
    length = decay if explicit else max(1, num_steps // 10)
    rates = [learning_rate(step, num_steps, 2.0, schedule) for step in range(num_steps)]
    if num_steps > warmup:
        assert math.isclose(rates[-1], 2.0 * final_ratio, abs_tol=1e-12)
    for step in range(warmup, num_steps):
        left = num_steps - 1 - step
        expected = 2.0 * (final_ratio + (1 - final_ratio) * min(1.0, left / length))
        assert math.isclose(rates[step], expected, abs_tol=1e-12)


@given(st.integers(0, 20), st.integers(1, 60), st.integers(1, 60), st.floats(0, 1))
def test_a_shorter_cosine_stays_where_it_ends(warmup, decay, after, final_ratio):
    num_steps = warmup + decay + after
    schedule = ScheduleConfig(warmup, final_ratio, decay_steps=decay)
    rates = [learning_rate(step, num_steps, 2.0, schedule) for step in range(num_steps)]
    alone = ScheduleConfig(warmup, final_ratio)
    assert rates[: warmup + decay + 1] == [
        learning_rate(step, warmup + decay + 1, 2.0, alone) for step in range(warmup + decay + 1)
    ]
    assert all(math.isclose(rate, 2.0 * final_ratio, abs_tol=1e-12) for rate in rates[warmup + decay :])
