"""Turn a scale and an arm into a recipe, and give what decides a figure one short key."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from spanmix.config import Recipe
from spanmix.errors import InputError
from spanmix.lessons.parts import Arm, Measuring, Scale, Understanding
from spanmix.lessons.suite import Suite
from spanmix.recipes import recipe_from_fields, to_fields

MEASURING_VERSION = 1
"""Another one where the same settings measure something else."""
_KEY_DIGITS = 12
_SAVES = 4
_NOT_DECIDING = ("corpus", "tokenizer", "parallel", "evaluate", "watch")
"""Sections of a recipe that a key leaves out: the corpus is known by its fingerprint, and the others change
rounding at most."""
_DECIDING_OF_RUN = ("num_steps", "precision", "skip_bad_batches")
KINDS = ("main", "sweep")


@dataclass(frozen=True)
class Configuration:
    """What is trained, but for the seed.

    Args:
        arm: its name.
        kind: ``main``, or ``sweep`` for a trial of a learning rate.
        recipe: with the place of the corpus and the seed still to be set.
        unique_tokens: different tokens that it may see; None is no bound.
    """

    arm: str
    kind: str
    recipe: Recipe
    unique_tokens: int | None = None

    @property
    def learning_rate(self) -> float:
        """The peak."""
        return self.recipe.optimizer.learning_rate

    @property
    def num_positions(self) -> int:
        """Positions of all rows of the run."""
        data = self.recipe.data
        return self.recipe.run.num_steps * data.global_batch_rows * data.row_tokens

    def run_recipe(self, seed: int, corpus: str) -> Recipe:
        """Return the recipe of one run."""
        recipe = self.recipe
        return replace(
            recipe,
            corpus=replace(recipe.corpus, path=corpus),
            run=replace(recipe.run, seed=seed),
        )

    def key(self, fingerprint: str, measuring: Measuring) -> str:
        """Return digits over everything that decides what a run of this configuration measures, but its seed.

        Args:
            fingerprint: of the corpus.
            measuring: what is measured.
        """
        deciding = [self.kind, _deciding(self.recipe), self.unique_tokens, fingerprint]
        return _digits([*deciding, MEASURING_VERSION, dataclasses.asdict(measuring)])


def understanding_key(key: str, settings: Understanding, task: str, representation: str) -> str:
    """Return digits over what decides a fine-tuning of the models of a configuration, by its key."""
    fields = dataclasses.asdict(settings)
    for name in ("arms", "tasks", "representations"):
        del fields[name]
    return _digits([key, task, representation, fields])


def _digits(deciding: Any) -> str:
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:_KEY_DIGITS]


def _deciding(recipe: Recipe) -> dict[str, Any]:
    fields = to_fields(recipe)
    for section in _NOT_DECIDING:
        del fields[section]
    fields["run"] = {name: fields["run"][name] for name in _DECIDING_OF_RUN}
    return fields


def main_configuration(suite: Suite, scale: Scale, name: str, learning_rate: float) -> Configuration:
    """Return what an arm trains at a scale, at the learning rate that was chosen."""
    arm = suite.arms[name]
    recipe = _recipe(scale, arm, learning_rate, arm.steps_share)
    unique = None
    if arm.unique_share < 1:
        data = recipe.data
        step = data.global_batch_rows * data.row_tokens
        unique = round(arm.unique_share * scale_steps(scale) * step)
    return Configuration(name, "main", recipe, unique)


def sweep_configurations(suite: Suite, scale: Scale) -> list[Configuration]:
    """Return the trials of learning rates, those of the arm that decides first; none without a sweep."""
    sweep = scale.sweep
    if sweep is None:
        return []
    return [
        Configuration(name, "sweep", _recipe(scale, suite.arms[name], rate, sweep.steps_share))
        for name in sweep.arms
        for rate in sweep.rates
    ]


def scale_steps(scale: Scale) -> int:
    """Return the steps of a whole run at a scale."""
    return scale_recipe(scale).run.num_steps


def scale_recipe(scale: Scale) -> Recipe:
    """Return the scale's own recipe, with next-token prediction where it names no objective."""
    fields = {"objectives": [{"name": "causal", "weight": 1.0}], **scale.recipe}
    return recipe_from_fields(fields, f"of scale {scale.name}")


def _recipe(scale: Scale, arm: Arm, learning_rate: float, steps_share: float) -> Recipe:
    fields = merged({"objectives": [{"name": "causal", "weight": 1.0}], **scale.recipe}, arm.recipe)
    name = f"of arm {arm.name} at scale {scale.name}"
    try:
        recipe = recipe_from_fields(fields, name)
    except InputError as error:
        raise InputError(f"the suite is wrong: {error}") from None
    steps = max(1, round(recipe.run.num_steps * steps_share))
    schedule = recipe.schedule
    decay = schedule.decay_steps
    if arm.decay_share is not None:
        decay = max(1, round(steps * arm.decay_share))
    elif decay is not None:
        decay = max(1, round(decay * steps_share))
    every = min(recipe.run.save_every_steps, max(1, steps // _SAVES))
    return replace(
        recipe,
        optimizer=replace(recipe.optimizer, learning_rate=learning_rate),
        schedule=replace(schedule, warmup_steps=min(schedule.warmup_steps, steps // 3), decay_steps=decay),
        run=replace(recipe.run, num_steps=steps, save_every_steps=every, keep_checkpoints=1),
        evaluate=replace(recipe.evaluate, every_steps=0),
    )


def merged(fields: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields with those of another mapping in their place; mappings are merged, lists are not.

    >>> merged({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 3}, "d": [2, 3]})
    {'a': {'b': 3, 'c': 2}, 'd': [2, 3]}
    """
    result = dict(fields)
    for name, value in others.items():
        old = result.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            result[name] = merged(old, value)
        else:
            result[name] = value
    return result
