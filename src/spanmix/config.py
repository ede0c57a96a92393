"""The recipe: every field that decides what a run is, with its unit and its bounds.

Required fields have no default. A value out of bounds raises `InputError` naming the field.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from spanmix.errors import InputError

CORPUS_FORMAT_VERSION = 1
RUN_FORMAT_VERSION = 1
MODEL_FOLDER_VERSION = 1

_MANY = 1_000_000_000_000
"""Far above any real run, and below where integers stop fitting into floats and tables."""
_MAX_ENTRIES = 1_048_576
_MAX_BATCH_POSITIONS = 1 << 28


def _require_above_zero(field_name: str, value: float) -> None:
    _require(0 < value < math.inf, field_name, value, "use a number above 0")


def _require_from_to(field_name: str, value: int, least: int, most: int, zero: str = "") -> None:
    """Check a whole number; `zero` says what 0 means where it is more than a number."""
    rule = f"use {least:,}{f' ({zero})' if zero else ''} to {most:,}"
    _require(least <= value <= most, field_name, value, rule)


def _require_seed(field_name: str, value: int) -> None:
    # Random draws keep 64 bits of it: beyond them two seeds would be one.
    _require(-(2**63) <= value < 2**63, field_name, value, "use -2**63 to 2**63 - 1")


def _require_weight(field_name: str, value: float) -> None:
    _require(1e-6 <= value <= 1e6, field_name, value, "use a number from 0.000001 to 1,000,000")


def _require(holds: bool, field_name: str, value: object, rule: str) -> None:
    if not holds:
        raise InputError(f"{field_name} is {value!r}; {rule}")


@dataclass(frozen=True)
class SourceFilesConfig:
    """Where the documents of one source come from.

    Args:
        name: the source's name; its hash keys every random decision about it.
        paths: folders, files or ``.jsonl`` files.
        include: glob patterns of file names to take from folders.
        text_field: the field of a ``.jsonl`` line that holds the text.
    """

    name: str
    paths: tuple[str, ...]
    include: tuple[str, ...] = ("*",)
    text_field: str = "text"


@dataclass(frozen=True)
class CorpusConfig:
    """The prepared corpus and, for ``spanmix prepare``, what it is made of.

    Args:
        path: the corpus folder.
        sources: what `prepare` reads; a training run does not need it.
        held_out_share: share of documents (by near-copy group) kept out of training.
        seed: decides which documents are held out.
        max_document_bytes: longer files are dropped and counted.
    """

    path: str
    sources: tuple[SourceFilesConfig, ...] = ()
    held_out_share: float = 0.02
    seed: int = 0
    max_document_bytes: int = 16_000_000

    def __post_init__(self) -> None:
        share = self.held_out_share
        _require(0 <= share < 1, "corpus.held_out_share", share, "use a share from 0 to below 1")
        _require_seed("corpus.seed", self.seed)
        _require_from_to("corpus.max_document_bytes", self.max_document_bytes, 1, _MANY)


@dataclass(frozen=True)
class TokenizerConfig:
    """The tokenizer that `prepare` trains, or the folder of one to use.

    Args:
        vocab_size: entries with all special and filler tokens; a multiple of 64.
        num_sentinels: how many ``<mask_n>`` there are.
        path: a tokenizer folder to use instead of training one.
    """

    vocab_size: int = 4096
    num_sentinels: int = 99
    path: str | None = None

    def __post_init__(self) -> None:
        size = self.vocab_size
        rule = f"use a multiple of 64, up to {_MAX_ENTRIES:,}"
        _require(0 < size <= _MAX_ENTRIES and size % 64 == 0, "tokenizer.vocab_size", size, rule)
        _require_from_to("tokenizer.num_sentinels", self.num_sentinels, 1, _MAX_ENTRIES)


@dataclass(frozen=True)
class ModelConfig:
    """The decoder: a preset of `spanmix.model.architecture`. The vocabulary is the tokenizer's."""

    preset: str


@dataclass(frozen=True)
class ObjectiveConfig:
    """One objective of the mixture.

    Args:
        name: ``causal`` or ``infill``.
        weight: relative probability that a document gets this objective in an epoch.
        min_ratio, max_ratio: the share of a piece that infill hides is uniform between them.
        one_span_probability: probability of a single span; else uniform 2..`max_spans`.
        max_spans: largest number of spans in one piece.
        loss_on_sentinels: false takes ``<mask_n>`` and ``<sep>`` out of the loss.
    """

    name: str
    weight: float
    min_ratio: float = 0.05
    max_ratio: float = 0.5
    one_span_probability: float = 0.5
    max_spans: int = 8
    loss_on_sentinels: bool = True

    def __post_init__(self) -> None:
        names = ("causal", "infill")
        _require(self.name in names, "objectives.name", self.name, f"use one of {', '.join(names)}")
        _require_weight("objectives.weight", self.weight)
        ratios = (self.min_ratio, self.max_ratio)
        rule = "they are shares of the file, so use 0 <= min_ratio <= max_ratio <= 1"
        _require(0 <= ratios[0] <= ratios[1] <= 1, "objectives.(min_ratio, max_ratio)", ratios, rule)
        one = self.one_span_probability
        _require(0 <= one <= 1, "objectives.one_span_probability", one, "use 0 to 1")
        _require_from_to("objectives.max_spans", self.max_spans, 2, _MAX_ENTRIES)


@dataclass(frozen=True)
class SourceConfig:
    """One source in the mixture; weights count packed tokens."""

    name: str
    weight: float

    def __post_init__(self) -> None:
        _require_weight("data.sources.weight", self.weight)


@dataclass(frozen=True)
class DataConfig:
    """How documents become rows.

    Args:
        row_tokens: positions in a row.
        global_batch_rows: rows in an optimizer step.
        sources: the mixture.
        window_documents: documents that are packed together.
    """

    row_tokens: int
    global_batch_rows: int
    sources: tuple[SourceConfig, ...]
    window_documents: int = 512

    def __post_init__(self) -> None:
        size = (self.row_tokens, self.global_batch_rows)
        _require_from_to("data.row_tokens", size[0], 32, 1_048_576)
        _require_from_to("data.global_batch_rows", size[1], 1, 65_536)
        rule = f"their product is the positions of a batch, so keep it to {_MAX_BATCH_POSITIONS:,}"
        fits = size[0] * size[1] <= _MAX_BATCH_POSITIONS
        _require(fits, "data.(row_tokens, global_batch_rows)", size, rule)
        _require(len(self.sources) >= 1, "data.sources", self.sources, "name at least one source")
        names = [source.name for source in self.sources]
        _require(len(set(names)) == len(names), "data.sources", names, "name each source once")
        _require_from_to("data.window_documents", self.window_documents, 1, 1_000_000)


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW; weight decay acts on matrices only, never on biases and norms."""

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        _require_above_zero("optimizer.learning_rate", self.learning_rate)
        _require(0 <= self.beta1 < 1, "optimizer.beta1", self.beta1, "use 0 to below 1")
        _require(0 <= self.beta2 < 1, "optimizer.beta2", self.beta2, "use 0 to below 1")
        _require_above_zero("optimizer.epsilon", self.epsilon)
        decay = self.weight_decay
        _require(0 <= decay < math.inf, "optimizer.weight_decay", decay, "use 0 or more")
        _require_above_zero("optimizer.max_grad_norm", self.max_grad_norm)


@dataclass(frozen=True)
class ScheduleConfig:
    """Linear warm-up, then a cosine from the learning rate to `final_ratio` of it at the last step."""

    warmup_steps: int
    final_ratio: float = 0.1

    def __post_init__(self) -> None:
        _require_from_to("schedule.warmup_steps", self.warmup_steps, 0, _MANY)
        ratio = self.final_ratio
        _require(0 <= ratio <= 1, "schedule.final_ratio", ratio, "use 0 to 1")


@dataclass(frozen=True)
class RunConfig:
    """How long a run is, and how it is computed.

    Args:
        seed: keys the order, the objectives, the spans and the first weights.
        num_steps: optimizer steps.
        save_every_steps: steps between checkpoints; the last step is always saved.
        keep_checkpoints: how many of the newest checkpoints stay on disk.
        log_every_steps: steps between metric lines.
        device: ``cpu``, ``cuda`` or ``auto`` (a GPU if there is one).
        precision: ``bf16``, ``fp32`` or ``auto`` (bf16 where the processor computes with it).
        num_threads: CPU threads; 0 takes all cores. Resolved before the first step.
    """

    seed: int
    num_steps: int
    save_every_steps: int
    keep_checkpoints: int = 2
    log_every_steps: int = 10
    device: str = "auto"
    precision: str = "auto"
    num_threads: int = 0

    def __post_init__(self) -> None:
        _require_seed("run.seed", self.seed)
        _require_from_to("run.num_steps", self.num_steps, 1, _MANY)
        _require_from_to("run.save_every_steps", self.save_every_steps, 1, _MANY)
        _require_from_to("run.keep_checkpoints", self.keep_checkpoints, 1, _MANY)
        _require_from_to("run.log_every_steps", self.log_every_steps, 1, _MANY)
        devices = ("auto", "cpu", "cuda")
        _require(self.device in devices, "run.device", self.device, f"use one of {', '.join(devices)}")
        kinds = ("auto", "bf16", "fp32")
        _require(self.precision in kinds, "run.precision", self.precision, f"use one of {', '.join(kinds)}")
        _require_from_to("run.num_threads", self.num_threads, 0, 4096, zero="all cores")


@dataclass(frozen=True)
class ParallelConfig:
    """How a step is cut up: `micro_batch_rows` rows go through the decoder at once; 0 means all."""

    micro_batch_rows: int = 0

    def __post_init__(self) -> None:
        rows = self.micro_batch_rows
        _require_from_to("parallel.micro_batch_rows", rows, 0, 65_536, zero="the whole batch")


@dataclass(frozen=True)
class EvaluateConfig:
    """Held-out loss during training.

    Args:
        every_steps: steps between evaluations; 0 turns it off.
        held_out_rows: rows of each source to evaluate on.
    """

    every_steps: int = 0
    held_out_rows: int = 32

    def __post_init__(self) -> None:
        _require_from_to("evaluate.every_steps", self.every_steps, 0, _MANY, zero="off")
        _require_from_to("evaluate.held_out_rows", self.held_out_rows, 1, 65_536)


@dataclass(frozen=True)
class CorpusRecipe:
    """A recipe of only what ``spanmix prepare`` reads."""

    corpus: CorpusConfig
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)


@dataclass(frozen=True)
class Recipe:
    """A whole run."""

    corpus: CorpusConfig
    model: ModelConfig
    objectives: tuple[ObjectiveConfig, ...]
    data: DataConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    run: RunConfig
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    def __post_init__(self) -> None:
        _require(len(self.objectives) >= 1, "objectives", self.objectives, "name at least one")
