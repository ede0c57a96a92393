"""The recipe: every field that decides what a run is, with its unit and its bounds.

Required fields have no default. A value out of bounds raises `InputError` naming the field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from spanmix.bounds import MANY, MAX_ENTRIES, require, require_from_to, require_seed
from spanmix.corpus_configs.contact import check_contact
from spanmix.corpus_configs.decontamination import DecontaminationConfig
from spanmix.corpus_configs.duplicates import DuplicatesConfig
from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.corpus_configs.redaction import RedactionConfig
from spanmix.corpus_configs.sources import SourceFilesConfig as SourceFilesConfig
from spanmix.data_configs import DataConfig
from spanmix.evaluate_config import EvaluateConfig
from spanmix.objective_configs import ObjectiveConfig
from spanmix.train_configs import (
    ModelConfig,
    OptimizerConfig,
    ParallelConfig,
    RunConfig,
    ScheduleConfig,
)
from spanmix.watch_config import WatchConfig

CORPUS_FORMAT_VERSION = 1
RUN_FORMAT_VERSION = 2
MODEL_FOLDER_VERSION = 1

_EXTRA_TOKEN = re.compile(r"<(?!\|endoftext\||pad>|sep>|eom>|mask_|unused_)[^\s<>]{1,62}>")


@dataclass(frozen=True)
class CorpusConfig:
    """The prepared corpus and, for ``spanmix prepare``, what it is made of.

    Args:
        path: the corpus folder.
        sources: what `prepare` reads; a training run does not need it.
        held_out_share: share of documents (by near-copy group) kept out of training.
        seed: decides which documents are held out.
        max_document_bytes: longer files are dropped and counted.
        duplicates: what counts as a near-copy, and what becomes of it.
        redaction: which secrets and personal data are replaced; none by default.
        decontamination: which benchmarks are kept out; none by default.
        layout: what is written around the text of a file.
        opt_out_contact: e-mail address or page at which authors ask that their work be left out, for the
            data card; without it the card has a placeholder.
        partition_bytes: text that `prepare` works on as one task, from 1 kB to 4 GB; what is in memory grows
            with it.
    """

    path: str
    sources: tuple[SourceFilesConfig, ...] = ()
    held_out_share: float = 0.02
    seed: int = 0
    max_document_bytes: int = 16_000_000
    duplicates: DuplicatesConfig = field(default_factory=DuplicatesConfig)
    redaction: RedactionConfig | None = None
    decontamination: DecontaminationConfig | None = None
    layout: LayoutConfig = field(default_factory=LayoutConfig)
    opt_out_contact: str | None = None
    partition_bytes: int = 32_000_000

    def __post_init__(self) -> None:
        share = self.held_out_share
        require(0 <= share < 1, "corpus.held_out_share", share, "use a share from 0 to below 1")
        require_seed("corpus.seed", self.seed)
        require_from_to("corpus.max_document_bytes", self.max_document_bytes, 1, MANY)
        check_contact("corpus.opt_out_contact", self.opt_out_contact)
        # Below, a task takes longer to begin than to do; above, it needs more memory than machines have.
        require_from_to("corpus.partition_bytes", self.partition_bytes, 1000, 4_000_000_000)


@dataclass(frozen=True)
class TokenizerConfig:
    """The tokenizer that `prepare` trains, or the folder of one to use.

    Args:
        vocab_size: entries with all special and filler tokens; a multiple of 64.
        num_sentinels: how many ``<mask_n>`` there are.
        extra_tokens: more special tokens, such as ``<fim_prefix>`` or an objective's `mode_token`.
        path: a tokenizer folder to use instead of training one.
    """

    vocab_size: int = 4096
    num_sentinels: int = 99
    extra_tokens: tuple[str, ...] = ()
    path: str | None = None

    def __post_init__(self) -> None:
        size = self.vocab_size
        rule = f"use a multiple of 64, up to {MAX_ENTRIES:,}"
        require(0 < size <= MAX_ENTRIES and size % 64 == 0, "tokenizer.vocab_size", size, rule)
        require_from_to("tokenizer.num_sentinels", self.num_sentinels, 1, MAX_ENTRIES)
        require(self.path != "", "tokenizer.path", self.path, "name a tokenizer's folder, or leave it out")
        extra = self.extra_tokens
        rule = "name each once, in the form <name>, other than those for files, spans and fillers"
        right = len(set(extra)) == len(extra) and all(_EXTRA_TOKEN.fullmatch(token) for token in extra)
        require(right, "tokenizer.extra_tokens", extra, rule)


@dataclass(frozen=True)
class CorpusRecipe:
    """A recipe of only what ``spanmix prepare`` reads."""

    corpus: CorpusConfig
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)


@dataclass(frozen=True)
class SeedConfig:
    """The part of `RunConfig` that decides the rows: `seed` keys the order, the objectives and the spans."""

    seed: int

    def __post_init__(self) -> None:
        require_seed("run.seed", self.seed)


@dataclass(frozen=True)
class DataRecipe:
    """A recipe of only what decides the rows of a run: what ``spanmix data`` and other trainers read."""

    corpus: CorpusConfig
    objectives: tuple[ObjectiveConfig, ...]
    data: DataConfig
    run: SeedConfig
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)

    def __post_init__(self) -> None:
        _check_masks(self.objectives, self.data)


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
    watch: WatchConfig = field(default_factory=WatchConfig)

    def __post_init__(self) -> None:
        _check_masks(self.objectives, self.data)
        kind = self.optimizer.name
        rule = "use adamw with model.lora: Muon would orthogonalize each factor of an addition alone"
        require(kind == "adamw" or self.model.lora is None, "optimizer.name", kind, rule)


def _check_masks(objectives: tuple[ObjectiveConfig, ...], data: DataConfig) -> None:
    require(len(objectives) >= 1, "objectives", objectives, "name at least one")
    both_ways = [objective.name for objective in objectives if getattr(objective, "bidirectional", False)]
    if both_ways and not data.document_mask:
        # Their prefixes would let earlier documents of a row see later ones.
        rule = f"keep it true with the bidirectional objective {both_ways[0]}"
        require(False, "data.document_mask", False, rule)
