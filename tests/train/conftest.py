"""What the tests of training share: a short finished run."""

from dataclasses import replace

import pytest


@pytest.fixture
def finished(recipe, tmp_path):
    """A run of three steps: its recipe and its folder."""
    from spanmix.train.run import train

    short = replace(recipe, run=replace(recipe.run, num_steps=3))
    train(short, tmp_path / "run")
    return short, tmp_path / "run"
