"""Muon updates the blocks' matrices as its authors say, AdamW the rest, and a run goes on bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.train.optimizer import build_optimizers
from spanmix.train.run import train
from spanmix.train_configs import LORA_TARGETS, OptimizerConfig

SHAPE = Architecture(2, 64, 4, 8, 32, 128)


def newton_schulz(matrix):
    """Jordan's quintic iteration, in float64."""
    if matrix.shape[0] > matrix.shape[1]:
        return newton_schulz(matrix.T).T
    x = matrix / np.linalg.norm(matrix)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x


def updates(config, seed, num_steps):
    """Update a decoder with drawn gradients; return name -> (first weights, gradients, last weights)."""
    model = Decoder(SHAPE, seed=1)
    optimizers = build_optimizers(model, config)
    generator = torch.Generator().manual_seed(seed)
    first = {name: p.detach().double().numpy().copy() for name, p in model.named_parameters()}
    gradients = {name: [] for name in first}
    for _ in range(num_steps):
        for name, p in model.named_parameters():
            p.grad = torch.randn(p.shape, generator=generator)
            gradients[name].append(p.grad.double().numpy().copy())
        for optimizer in optimizers:
            optimizer.step()
    return {
        name: (first[name], gradients[name], p.detach().double().numpy())
        for name, p in model.named_parameters()
    }


@settings(max_examples=10)
@given(
    st.integers(0, 2**31),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.5, 0.95]),
    st.sampled_from([0.0, 0.3]),
)
def test_a_matrix_is_updated_as_an_independent_computation_says(seed, num_steps, momentum, decay):
    """To 2 % of the update: PyTorch iterates in bf16."""
    rate = 1e-2
    config = OptimizerConfig(rate, "muon", momentum, weight_decay=decay)
    checked = 0
    for name, (weights, gradients, found) in updates(config, seed, num_steps).items():
        if name.removesuffix(".weight").split(".", 2)[-1] not in LORA_TARGETS:
            continue
        moment, expected = np.zeros_like(weights), weights
        for gradient in gradients:
            moment = momentum * moment + (1 - momentum) * gradient
            nesterov = momentum * moment + (1 - momentum) * gradient
            size = 0.2 * max(weights.shape) ** 0.5
            expected = (1 - rate * decay) * expected - rate * size * newton_schulz(nesterov)
        assert np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(found - weights), name
        checked += 1
    assert checked == 8


def test_an_update_has_the_size_of_one_of_adamw():
    """A root mean square near 0.2 of the learning rate, whatever the matrix's shape (arXiv 2502.16982)."""
    changed = updates(OptimizerConfig(1e-3, "muon", weight_decay=0), 7, 1)
    sizes = {
        name: np.sqrt(np.mean((after - before) ** 2)) / 1e-3
        for name, (before, _, after) in changed.items()
        if name.startswith("h.") and before.ndim == 2
    }
    assert len(sizes) == 8 and all(0.14 < size < 0.24 for size in sizes.values()), sizes


def test_the_rest_is_updated_as_without_muon():
    with_muon = updates(OptimizerConfig(1e-2, "muon"), 3, 2)
    without = updates(OptimizerConfig(1e-2), 3, 2)
    same = {name for name in without if np.array_equal(with_muon[name][2], without[name][2])}
    matrices = {
        f"h.{layer}.{target}.weight"
        for layer in range(2)
        for target in LORA_TARGETS
        if target != "mlp.fc_gate"
    }
    assert same == without.keys() - matrices and len(matrices) == 8


def test_a_run_of_muon_goes_on_bit_for_bit(recipe, tmp_path, assert_same_run):
    muon = replace(
        recipe,
        optimizer=replace(recipe.optimizer, name="muon"),
        run=replace(recipe.run, num_steps=6),
    )
    train(muon, tmp_path / "whole")

    def killed(done, total, metrics):
        if done == 5:  # behind the checkpoint of step 3
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(muon, tmp_path / "parts", report=killed)
    train(muon, tmp_path / "parts")
    assert_same_run(tmp_path / "whole", tmp_path / "parts", muon)
