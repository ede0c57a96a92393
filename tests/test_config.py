"""A value out of bounds stops the run at the start and names the field and the value."""

import copy
import dataclasses
import math
from typing import Any

import pytest

from spanmix import objective_configs
from spanmix.config import Recipe
from spanmix.corpus_configs.sources import ColumnsConfig
from spanmix.errors import InputError
from spanmix.recipes import recipe_from_fields

VALID: dict[str, Any] = {
    "corpus": {"path": "corpus", "sources": [{"name": "code", "paths": ["src"]}]},
    "model": {"init_from": "runs/base", "lora": {"rank": 8, "alpha": 16}},
    "objectives": [
        {"name": "causal", "weight": 1},
        {"name": "infill", "weight": 1},
        {"name": "fim", "weight": 1},
        {"name": "prefix_lm", "weight": 1},
        {"name": "ul2", "weight": 1},
    ],
    "data": {"row_tokens": 512, "global_batch_rows": 8, "sources": [{"name": "code", "weight": 0.8}]},
    "optimizer": {"learning_rate": 1e-3},
    "schedule": {"warmup_steps": 10},
    "run": {"seed": 1, "num_steps": 100, "save_every_steps": 50},
    "evaluate": {"every_steps": 10, "executed": {"num_samples": 20, "k": [1, 10]}},
}

COLUMNS = [field.name for field in dataclasses.fields(ColumnsConfig)]

# Where, the bad value, and the name that the message must hold.
BAD: list[tuple[str, Any, str]] = [
    ("corpus.held_out_share", 1.0, "corpus.held_out_share"),
    ("corpus.held_out_share", -0.1, "corpus.held_out_share"),
    ("tokenizer.vocab_size", 4095, "tokenizer.vocab_size"),
    ("tokenizer.vocab_size", 0, "tokenizer.vocab_size"),
    ("corpus.max_document_bytes", 0, "corpus.max_document_bytes"),
    ("corpus.partition_bytes", 0, "corpus.partition_bytes"),
    ("corpus.partition_bytes", -32_000_000, "use 1,000 to 4,000,000,000"),
    ("corpus.partition_bytes", 4_000_000_001, "use 1,000 to 4,000,000,000"),
    *((f"corpus.sources.0.columns.{name}", "", f"columns.{name} is ''") for name in COLUMNS),
    ("corpus.sources.0.columns.text", " ", "columns.text is ' '; give it a name"),
    ("corpus.sources.0.text_field", "", "corpus.sources.text_field is ''"),
    ("corpus.sources.0.prompt_field", "", "corpus.sources.prompt_field is ''"),
    ("corpus.sources.0.tokenizer", "", "corpus.sources.tokenizer is ''"),
    ("corpus.sources.0.include", [], "corpus.sources.include is []"),
    ("corpus.sources.0.paths", [""], "corpus.sources.paths is ''"),
    ("corpus.duplicates.against", [""], "corpus.duplicates.against is ''"),
    ("corpus.duplicates.threshold", 0.29, "use a share from 0.3 to below 1"),
    ("corpus.duplicates.threshold", 1.5, "use a share from 0.3 to below 1"),
    ("corpus.decontamination.benchmarks", [], "name at least one benchmark"),
    ("corpus.decontamination.benchmarks", [""], "name at least one benchmark"),
    ("corpus.decontamination.min_share", 0.0, "use a share above 0 and up to 1"),
    ("tokenizer.path", "", "tokenizer.path is ''"),
    ("corpus.duplicates.threshold", 1.0, "corpus.duplicates.threshold"),
    ("corpus.duplicates.window_words", 0, "corpus.duplicates.window_words"),
    ("corpus.duplicates.num_hashes", 8, "corpus.duplicates.num_hashes"),
    ("corpus.decontamination.ngram_words", 0, "decontamination.ngram_words"),
    ("corpus.decontamination.min_share", 1.5, "decontamination.min_share"),
    ("corpus.decontamination.min_exact_words", 0, "decontamination.min_exact_words"),
    ("corpus.layout.repository_share", -0.1, "corpus.layout.repository_share"),
    ("corpus.layout.path_share", 1.1, "corpus.layout.path_share"),
    ("corpus.layout.stars_share", 1.1, "corpus.layout.stars_share"),
    ("corpus.layout.max_repository_bytes", 10, "corpus.layout.max_repository_bytes"),
    ("corpus.layout.max_repository_bytes", 10**12 + 1, "corpus.layout.max_repository_bytes"),
    ("optimizer.learning_rate", float("inf"), "optimizer.learning_rate"),
    ("objectives.0.weight", float("nan"), "objectives.weight"),
    ("tokenizer.num_sentinels", 0, "tokenizer.num_sentinels"),
    ("objectives", [], "objectives"),
    ("objectives.0.name", "denoise", "objectives.0.name"),
    ("objectives.1.span_lengths", "normal", "objectives.span_lengths"),
    ("objectives.1.mean_span_tokens", 0.5, "objectives.mean_span_tokens"),
    ("objectives.1.mean_span_tokens", 10_001.0, "objectives.mean_span_tokens"),
    ("objectives.1", {"name": "infill", "weight": 1, "span_lengths": "poisson"}, "poisson needs 1 to 10,000"),
    ("objectives.1.cut", "byte", "objectives.cut"),
    ("objectives.1.span_units.random", 1e7, "objectives.span_units.random"),
    ("objectives.1.span_units.lines", -1.0, "objectives.span_units.lines"),
    ("objectives.1.span_units.blocks", 1e-7, "objectives.span_units.blocks"),
    ("objectives.1.span_units.nodes", -0.5, "objectives.span_units.nodes"),
    ("objectives.1.span_units", {"random": 0}, "objectives.span_units"),
    ("objectives.2.spm_share", 1.5, "objectives.spm_share"),
    ("objectives.2.cut", "line", "objectives.cut"),
    ("objectives.3.min_share", -0.1, "min_share"),
    ("objectives.3.max_share", 1.2, "max_share"),
    ("objectives.4.max_spans", 1, "objectives.max_spans"),
    ("objectives.4.mode_tokens", ["<r>", "<s>"], "objectives.mode_tokens"),
    ("objectives.4.mode_token", "<x>", "objectives.mode_token"),
    ("tokenizer.extra_tokens", ["<sep>"], "tokenizer.extra_tokens"),
    ("tokenizer.extra_tokens", ["<a>", "<a>"], "tokenizer.extra_tokens"),
    ("tokenizer.extra_tokens", ["two words"], "tokenizer.extra_tokens"),
    ("data.sources.0.max_epochs", 0, "data.sources.max_epochs"),
    ("data.stages", [{"from_step": 0, "weights": {"code": 1}}], "data.stages.from_step"),
    ("data.stages", [{"from_step": 5, "weights": {}}], "data.stages.weights"),
    ("data.stages", [{"from_step": 5, "weights": {"code": 0}}], "data.stages.weights.code"),
    ("data.stages", [{"from_step": 5, "weights": {"cod": 1}}], "use the names in data.sources: code"),
    ("data.stages", [{"from_step": n, "weights": {"code": 1}} for n in (9, 5)], "list the stages in order"),
    ("data.corruption", "none", "data.corruption"),
    ("data.unit", "file", "data.unit"),
    ("data.positions", "reset", "data.positions"),
    ("data.document_mask", False, "bidirectional objective prefix_lm"),
    ("model", {}, "model.preset and model.init_from are both empty; name a preset"),
    (
        "model",
        {"preset": "demo", "lora": {"rank": 8, "alpha": 16}},
        "model it is added to as model.init_from",
    ),
    ("model.lora.rank", 0, "model.lora.rank"),
    ("model.lora.rank", 4097, "model.lora.rank"),
    ("model.lora.alpha", 0.0, "model.lora.alpha"),
    ("model.lora.dropout", 1.0, "model.lora.dropout"),
    ("model.lora.targets", [], "model.lora.targets"),
    ("model.lora.targets", ["qkv_proj"], "model.lora.targets"),
    ("optimizer.z_loss", -1e-4, "optimizer.z_loss"),
    ("optimizer.name", "sgd", "use one of adamw, muon"),
    ("optimizer.name", "muon", "use adamw with model.lora"),
    ("optimizer.momentum", 1, "optimizer.momentum"),
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
    ("parallel.shard_size", -1, "parallel.shard_size"),
    ("parallel.tensor_size", 0, "parallel.tensor_size"),
    ("parallel.checkpointing", "some", "parallel.checkpointing"),
    ("schedule.shape", "linear", "schedule.shape"),
    ("schedule.decay_steps", 0, "schedule.decay_steps"),
    ("run.num_steps", 0, "run.num_steps"),
    ("run.save_every_steps", 0, "run.save_every_steps"),
    ("run.keep_checkpoints", 0, "run.keep_checkpoints"),
    ("run.keep_every_steps", -50, "run.keep_every_steps"),
    ("run.keep_every_steps", 75, "use a multiple of run.save_every_steps, 50"),
    ("run.skip_bad_batches", -1, "run.skip_bad_batches"),
    ("run.log_every_steps", 0, "run.log_every_steps"),
    ("run.device", "tpu", "run.device"),
    ("run.precision", "fp16", "run.precision"),
    ("run.compile", "all", "run.compile"),
    ("run.num_threads", -1, "run.num_threads"),
    ("parallel.micro_batch_rows", -1, "parallel.micro_batch_rows"),
    ("evaluate.every_steps", -1, "evaluate.every_steps"),
    ("evaluate.every_steps", 0, "use 1 or more with evaluate.executed"),
    ("evaluate.held_out_rows", 0, "evaluate.held_out_rows"),
    ("evaluate.infill_spans", -1, "evaluate.infill_spans"),
    ("evaluate.executed.every_steps", -1, "evaluate.executed.every_steps"),
    ("evaluate.executed.num_problems", -1, "evaluate.executed.num_problems"),
    ("evaluate.executed.num_samples", 0, "evaluate.executed.num_samples"),
    ("evaluate.executed.num_samples", 9, "numbers from 1 to evaluate.executed.num_samples, 9"),
    ("evaluate.executed.k", [], "evaluate.executed.k"),
    ("evaluate.executed.k", [1, 1], "evaluate.executed.k"),
    ("evaluate.executed.k", [0], "evaluate.executed.k"),
    ("evaluate.executed.temperature", -0.5, "evaluate.executed.temperature"),
    ("evaluate.executed.temperature", 0.0, "greedy answers are all the same"),
    ("evaluate.executed.temperature", 1e-7, "evaluate.executed.temperature"),
    ("evaluate.executed.top_p", 0.0, "evaluate.executed.top_p"),
    ("evaluate.executed.max_tokens", 0, "evaluate.executed.max_tokens"),
    ("evaluate.executed.seconds", 0.0, "evaluate.executed.seconds"),
    ("evaluate.executed.memory_mb", 127, "evaluate.executed.memory_mb"),
    ("evaluate.executed.num_workers", -1, "evaluate.executed.num_workers"),
    ("watch.trackers", ["mlflow"], "watch.trackers"),
    ("watch.trackers", ["wandb", "wandb"], "watch.trackers"),
    ("watch.project", "a/b", "watch.project"),
    ("watch.project", "", "watch.project"),
    ("watch.profile_steps", [3], "watch.profile_steps"),
    ("watch.profile_steps", [0, 3], "watch.profile_steps"),
    ("watch.profile_steps", [4, 3], "watch.profile_steps"),
    ("watch.profile_steps", [1, 101], "at most 100 of them"),
    # Absurd sizes, each one step behind the largest that is taken.
    ("corpus.seed", 2**63, "corpus.seed"),
    ("corpus.max_document_bytes", 10**12 + 1, "corpus.max_document_bytes"),
    ("tokenizer.vocab_size", 1_048_640, "tokenizer.vocab_size"),
    ("tokenizer.num_sentinels", 1_048_577, "tokenizer.num_sentinels"),
    ("objectives.0.weight", 1e308, "objectives.weight"),
    ("objectives.0.weight", 1e-320, "objectives.weight"),
    ("objectives.1.max_spans", 1_048_577, "objectives.max_spans"),
    ("data.row_tokens", 1_048_577, "data.row_tokens"),
    ("data.global_batch_rows", 65_537, "data.global_batch_rows"),
    ("data", {**VALID["data"], "row_tokens": 2**20, "global_batch_rows": 257}, "[1048576, 257]"),
    ("data.sources.0.weight", 1e6 + 1, "data.sources.weight"),
    ("data.sources.0.weight", 9e-7, "data.sources.weight"),
    ("data.window_documents", 1_000_001, "data.window_documents"),
    ("schedule.warmup_steps", 10**12 + 1, "schedule.warmup_steps"),
    ("run.seed", -(2**63) - 1, "run.seed"),
    ("run.num_steps", 10**12 + 1, "run.num_steps"),
    ("run.save_every_steps", 10**12 + 1, "run.save_every_steps"),
    ("run.keep_checkpoints", 10**12 + 1, "run.keep_checkpoints"),
    ("run.keep_every_steps", 10**12 + 50, "run.keep_every_steps"),
    ("run.skip_bad_batches", 10**12 + 1, "run.skip_bad_batches"),
    ("run.log_every_steps", 10**12 + 1, "run.log_every_steps"),
    ("run.num_threads", 4097, "run.num_threads"),
    ("parallel.micro_batch_rows", 65_537, "parallel.micro_batch_rows"),
    ("evaluate.every_steps", 10**12 + 1, "evaluate.every_steps"),
    ("evaluate.held_out_rows", 65_537, "evaluate.held_out_rows"),
    ("evaluate.infill_spans", 65_537, "evaluate.infill_spans"),
    ("evaluate.memorization_prompts", -1, "evaluate.memorization_prompts"),
    ("evaluate.memorization_prompts", 65_537, "evaluate.memorization_prompts"),
    ("evaluate.executed.num_samples", 10_001, "evaluate.executed.num_samples"),
    ("evaluate.executed.temperature", 1e7, "evaluate.executed.temperature"),
    ("evaluate.executed.seconds", 3601.0, "evaluate.executed.seconds"),
    ("evaluate.executed.memory_mb", 1_048_577, "evaluate.executed.memory_mb"),
]

LARGEST: dict[str, Any] = {
    "corpus.max_document_bytes": 10**12,
    "corpus.partition_bytes": 4 * 10**9,
    "corpus.layout.max_repository_bytes": 10**12,
    "tokenizer.vocab_size": 2**20,
    "objectives.0.weight": 1e6,
    "data.row_tokens": 2**20,
    "data.global_batch_rows": 65_536,
    "data.sources.0.weight": 1e-6,
    "data.window_documents": 10**6,
    "run.seed": 2**63 - 1,
    "run.num_threads": 4096,
}


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
    if not isinstance(value, list | dict):
        assert str(value) in message


@pytest.mark.parametrize("where", LARGEST)
def test_the_largest_value_is_taken(where):
    recipe_from_fields(fields_with(where, LARGEST[where]), "test")


def test_not_a_number_is_never_in_bounds():
    floats = [where for where, value, _ in BAD if isinstance(value, float)]
    assert len(set(floats)) >= 6
    for where in set(floats):
        with pytest.raises(InputError):
            recipe_from_fields(fields_with(where, math.nan), "test")


def test_every_number_with_a_bound_is_tried(recipe_sections):
    """A new number in the recipe needs a bad value here."""
    tried = {".".join(part for part in where.split(".") if not part.isdigit()) for where, _, _ in BAD}
    numbers = {
        f"{section}.{field.name}"
        for section, kind in recipe_sections.items()
        for field in dataclasses.fields(kind)
        if field.type in ("int", "float", "int | None", "float | None")
    }
    tried |= {
        f"objectives.{VALID['objectives'][int(where.split('.')[1])]['name']}.{where.split('.')[-1]}"
        for where, _, _ in BAD
        if where.startswith("objectives.")
    }
    tried |= {
        f"objectives.span_units.{where.split('.')[-1]}" for where, _, _ in BAD if ".span_units." in where
    }
    shared = {field.name for field in dataclasses.fields(objective_configs.CausalConfig)}
    tried |= {"data.stages.from_step"}  # within lists, above
    inherited = {
        f"objectives.{kind}.{name}" for kind in ("infill", "fim", "prefix_lm", "ul2") for name in shared
    }
    assert len(numbers) > 40
    assert numbers - tried - inherited == set()
