"""A value out of bounds stops the run at the start and names the field and the value."""

import copy
import dataclasses
import math
from typing import Any

import pytest

from spanmix import config
from spanmix.config import Recipe
from spanmix.errors import InputError
from spanmix.recipes import recipe_from_fields

VALID: dict[str, Any] = {
    "corpus": {"path": "corpus"},
    "model": {"preset": "demo"},
    "objectives": [{"name": "causal", "weight": 1}, {"name": "infill", "weight": 1}],
    "data": {"row_tokens": 512, "global_batch_rows": 8, "sources": [{"name": "code", "weight": 0.8}]},
    "optimizer": {"learning_rate": 1e-3},
    "schedule": {"warmup_steps": 10},
    "run": {"seed": 1, "num_steps": 100, "save_every_steps": 50},
}

# Where, the bad value, and the name that the message must hold.
BAD: list[tuple[str, Any, str]] = [
    ("corpus.held_out_share", 1.0, "corpus.held_out_share"),
    ("corpus.held_out_share", -0.1, "corpus.held_out_share"),
    ("tokenizer.vocab_size", 4095, "tokenizer.vocab_size"),
    ("tokenizer.vocab_size", 0, "tokenizer.vocab_size"),
    ("corpus.max_document_bytes", 0, "corpus.max_document_bytes"),
    ("optimizer.learning_rate", float("inf"), "optimizer.learning_rate"),
    ("objectives.0.weight", float("nan"), "objectives.weight"),
    ("tokenizer.num_sentinels", 0, "tokenizer.num_sentinels"),
    ("objectives", [], "objectives"),
    ("objectives.0.name", "denoise", "objectives.name"),
    ("objectives.0.weight", 0, "objectives.weight"),
    ("objectives.1.weight", -1.5, "objectives.weight"),
    ("objectives.1.max_ratio", 1.4, "max_ratio"),
    ("objectives.1.min_ratio", -0.1, "min_ratio"),
    ("objectives.1.min_ratio", 0.6, "min_ratio"),
    ("objectives.1.one_span_probability", 1.01, "objectives.one_span_probability"),
    ("objectives.1.max_spans", 1, "objectives.max_spans"),
    ("data.row_tokens", 31, "data.row_tokens"),
    ("data.global_batch_rows", 0, "data.global_batch_rows"),
    ("data.sources", [], "data.sources"),
    ("data.sources", [{"name": "code", "weight": 1}] * 2, "data.sources"),
    ("data.sources.0.weight", 0, "data.sources.weight"),
    ("data.window_documents", 0, "data.window_documents"),
    ("optimizer.learning_rate", 0, "optimizer.learning_rate"),
    ("optimizer.beta1", 1, "optimizer.beta1"),
    ("optimizer.beta2", -0.1, "optimizer.beta2"),
    ("optimizer.epsilon", 0, "optimizer.epsilon"),
    ("optimizer.weight_decay", -1, "optimizer.weight_decay"),
    ("optimizer.max_grad_norm", 0, "optimizer.max_grad_norm"),
    ("schedule.warmup_steps", -1, "schedule.warmup_steps"),
    ("schedule.final_ratio", 1.5, "schedule.final_ratio"),
    ("run.num_steps", 0, "run.num_steps"),
    ("run.save_every_steps", 0, "run.save_every_steps"),
    ("run.keep_checkpoints", 0, "run.keep_checkpoints"),
    ("run.log_every_steps", 0, "run.log_every_steps"),
    ("run.device", "tpu", "run.device"),
    ("run.precision", "fp16", "run.precision"),
    ("run.num_threads", -1, "run.num_threads"),
    ("parallel.micro_batch_rows", -1, "parallel.micro_batch_rows"),
    ("evaluate.every_steps", -1, "evaluate.every_steps"),
    ("evaluate.held_out_rows", 0, "evaluate.held_out_rows"),
]


def fields_with(where: str, value: Any) -> dict[str, Any]:
    """The valid recipe with one value replaced."""
    fields = copy.deepcopy(VALID)
    *parts, last = where.split(".")
    node: Any = fields
    for part in parts:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    node[int(last) if isinstance(node, list) else last] = value
    return fields


def test_the_valid_recipe_is_valid():
    recipe = recipe_from_fields(VALID, "test")
    assert isinstance(recipe, Recipe)
    assert recipe.objectives[1].max_spans == 8


@pytest.mark.parametrize(
    ("where", "value", "named"), BAD, ids=[f"{where}={value}" for where, value, _ in BAD]
)
def test_a_bad_value_names_its_field(where, value, named):
    with pytest.raises(InputError) as caught:
        recipe_from_fields(fields_with(where, value), "test")
    message = str(caught.value)
    assert named in message
    assert "\n" not in message
    if not isinstance(value, list):
        assert str(value) in message


def test_not_a_number_is_never_in_bounds():
    floats = [where for where, value, _ in BAD if isinstance(value, float)]
    assert len(set(floats)) >= 6
    for where in set(floats):
        with pytest.raises(InputError):
            recipe_from_fields(fields_with(where, math.nan), "test")


def test_every_number_with_a_bound_is_tried():
    """A new number in the recipe needs a bad value here, or a place in the list of those that have none."""
    without_bounds = {"corpus.seed", "run.seed", "corpus.max_document_bytes"}
    tried = {".".join(part for part in where.split(".") if not part.isdigit()) for where, _, _ in BAD}
    sections = {
        "corpus": config.CorpusConfig,
        "tokenizer": config.TokenizerConfig,
        "objectives": config.ObjectiveConfig,
        "data": config.DataConfig,
        "data.sources": config.SourceConfig,
        "optimizer": config.OptimizerConfig,
        "schedule": config.ScheduleConfig,
        "run": config.RunConfig,
        "parallel": config.ParallelConfig,
        "evaluate": config.EvaluateConfig,
    }
    numbers = {
        f"{section}.{field.name}"
        for section, kind in sections.items()
        for field in dataclasses.fields(kind)
        if field.type in ("int", "float")
    }
    assert len(numbers) > 25
    assert numbers - tried - without_bounds == set()
