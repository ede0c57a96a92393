"""The fields of a recipe that say what is trained and how: model, optimizer, schedule, run, processes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spanmix.bounds import MANY, require, require_above_zero, require_from_to, require_seed
from spanmix.errors import InputError

LORA_TARGETS = ("attn.qkv_proj", "attn.out_proj", "mlp.fc_gate", "mlp.fc_in", "mlp.fc_out")


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank additions W + alpha / rank * B A to frozen matrices W (LoRA, arXiv 2106.09685).

    Args:
        rank: rows of A, and columns of B.
        alpha: divided by the rank, it scales the addition.
        dropout: share of the inputs of A that are set to 0 in training.
        targets: which of the decoder's matrices get one, in every block; None is all of them. Only the form
            ``llama`` has ``mlp.fc_gate``.
    """

    rank: int
    alpha: float
    dropout: float = 0.0
    targets: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require_from_to("model.lora.rank", self.rank, 1, 4096)
        require_above_zero("model.lora.alpha", self.alpha)
        require(0 <= self.dropout < 1, "model.lora.dropout", self.dropout, "use a share from 0 to below 1")
        names = LORA_TARGETS if self.targets is None else self.targets
        right = 0 < len(names) == len(set(names)) and set(names) <= set(LORA_TARGETS)
        rule = f"use one or more of {', '.join(LORA_TARGETS)}, each once"
        require(right, "model.lora.targets", names, rule)


@dataclass(frozen=True)
class ModelConfig:
    """The decoder: a preset with weights of its own, or a model that was trained before.

    Args:
        preset: a name in `spanmix.model.architecture`. The vocabulary is the tokenizer's.
        init_from: a model folder, or a run that has one: the first weights, and the shape.
        lora: train low-rank additions to that model alone.
    """

    preset: str | None = None
    init_from: str | None = None
    lora: LoraConfig | None = None

    def __post_init__(self) -> None:
        if self.preset is None and self.init_from is None:
            raise InputError(
                "model.preset and model.init_from are both empty; name a preset, or a model folder as "
                "model.init_from"
            )
        rule = "name the model it is added to as model.init_from"
        require(self.lora is None or self.init_from is not None, "model.lora", self.lora, rule)


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights are updated. Weight decay acts on matrices only, never on biases and norms.

    Args:
        learning_rate: the peak; the same for both kinds of `name`.
        name: ``adamw``; or ``muon``, which updates the blocks' matrices, and leaves the rest to AdamW.
        momentum: Muon's decay of its one moment.
        beta1, beta2, epsilon: AdamW's.
        weight_decay: per step, times the learning rate.
        max_grad_norm: gradients are scaled down to this Euclidean norm.
        z_loss: that many times log(Z)^2 is added to each token's loss, Z being the normalizer of its
            softmax; the paper's code has 1e-4.
    """

    learning_rate: float
    name: str = "adamw"
    momentum: float = 0.95
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    max_grad_norm: float = 1.0
    z_loss: float = 0.0

    def __post_init__(self) -> None:
        require_above_zero("optimizer.learning_rate", self.learning_rate)
        kinds = ("adamw", "muon")
        require(self.name in kinds, "optimizer.name", self.name, f"use one of {', '.join(kinds)}")
        require(0 <= self.momentum < 1, "optimizer.momentum", self.momentum, "use 0 to below 1")
        require(0 <= self.beta1 < 1, "optimizer.beta1", self.beta1, "use 0 to below 1")
        require(0 <= self.beta2 < 1, "optimizer.beta2", self.beta2, "use 0 to below 1")
        require_above_zero("optimizer.epsilon", self.epsilon)
        decay = self.weight_decay
        require(0 <= decay < math.inf, "optimizer.weight_decay", decay, "use 0 or more")
        require_above_zero("optimizer.max_grad_norm", self.max_grad_norm)
        require(0 <= self.z_loss < math.inf, "optimizer.z_loss", self.z_loss, "use 0 (off) or more")


@dataclass(frozen=True)
class ScheduleConfig:
    """The learning rate of each step: linear warm-up, then a decay to `final_ratio` of the peak.

    Args:
        warmup_steps: steps from 0 to the peak.
        final_ratio: where the decay ends, as a share of the peak.
        shape: ``cosine`` decays from the end of the warm-up on, along half a cosine; ``wsd`` (warm-up,
            stable, decay) stays at the peak and decays at the end, linearly.
        decay_steps: steps that the decay takes. None: with ``cosine`` all behind the warm-up, so that it is
            stretched over as many epochs as the run has; with ``wsd`` the last tenth of the run.
    """

    warmup_steps: int
    final_ratio: float = 0.1
    shape: str = "cosine"
    decay_steps: int | None = None

    def __post_init__(self) -> None:
        require_from_to("schedule.warmup_steps", self.warmup_steps, 0, MANY)
        ratio = self.final_ratio
        require(0 <= ratio <= 1, "schedule.final_ratio", ratio, "use 0 to 1")
        shapes = ("cosine", "wsd")
        require(self.shape in shapes, "schedule.shape", self.shape, f"use one of {', '.join(shapes)}")
        if self.decay_steps is not None:
            require_from_to("schedule.decay_steps", self.decay_steps, 1, MANY)


@dataclass(frozen=True)
class RunConfig:
    """How long a run is, and how it is computed.

    Args:
        seed: keys the order, the objectives, the spans and the first weights.
        num_steps: optimizer steps.
        save_every_steps: steps between checkpoints; the last step is always saved.
        keep_checkpoints: how many of the newest checkpoints stay on disk.
        keep_every_steps: checkpoints whose step is a multiple of it stay for good; 0 keeps none.
        async_checkpoints: whether training goes on while a copy of the state is written.
        skip_bad_batches: how many batches of the run may be passed over because loss or gradient is not
            finite; 0 stops at the first.
        log_every_steps: steps between metric lines.
        device: ``cpu``, ``cuda`` or ``auto`` (a GPU if there is one).
        precision: ``bf16``, ``fp32`` or ``auto`` (bf16 where the processor computes with it); or ``float8``,
            which is bf16 with the blocks' matrix products in float8, on a GPU that has units for it.
        compile: ``blocks`` compiles the decoder's blocks with ``torch.compile``, ``none`` nothing; ``auto``
            compiles them on a GPU. Other operations may then give other bits.
        num_threads: CPU threads; 0 takes all cores. Resolved before the first step.
    """

    seed: int
    num_steps: int
    save_every_steps: int
    keep_checkpoints: int = 2
    keep_every_steps: int = 0
    async_checkpoints: bool = True
    skip_bad_batches: int = 0
    log_every_steps: int = 10
    device: str = "auto"
    precision: str = "auto"
    compile: str = "auto"
    num_threads: int = 0

    def __post_init__(self) -> None:
        require_seed("run.seed", self.seed)
        require_from_to("run.num_steps", self.num_steps, 1, MANY)
        require_from_to("run.save_every_steps", self.save_every_steps, 1, MANY)
        require_from_to("run.keep_checkpoints", self.keep_checkpoints, 1, MANY)
        every, saved = self.keep_every_steps, self.save_every_steps
        require_from_to("run.keep_every_steps", every, 0, MANY, zero="off")
        rule = f"use a multiple of run.save_every_steps, {saved}: what is not saved cannot be kept"
        require(every % saved == 0, "run.keep_every_steps", every, rule)
        require_from_to("run.skip_bad_batches", self.skip_bad_batches, 0, MANY, zero="stop at the first")
        require_from_to("run.log_every_steps", self.log_every_steps, 1, MANY)
        devices = ("auto", "cpu", "cuda")
        require(self.device in devices, "run.device", self.device, f"use one of {', '.join(devices)}")
        kinds = ("auto", "bf16", "fp32", "float8")
        require(self.precision in kinds, "run.precision", self.precision, f"use one of {', '.join(kinds)}")
        what = ("auto", "none", "blocks")
        require(self.compile in what, "run.compile", self.compile, f"use one of {', '.join(what)}")
        require_from_to("run.num_threads", self.num_threads, 0, 4096, zero="all cores")


@dataclass(frozen=True)
class ParallelConfig:
    """How a step is cut up; see `spanmix.train.parallel`.

    Args:
        micro_batch_rows: rows that go through the decoder at once; 0 means all that a process has.
        shard_size: processes over which weights, gradients and optimizer state are cut up (FSDP); 1 keeps
            them whole in each (DDP); 0 takes all processes that share the rows.
        tensor_size: processes that cut each block's matrices among themselves (tensor parallelism).
        checkpointing: what is computed again in the backward pass: ``none``, ``selective`` (all but matrix
            products and attention) or ``full`` (whole blocks).
    """

    micro_batch_rows: int = 0
    shard_size: int = 1
    tensor_size: int = 1
    checkpointing: str = "none"

    def __post_init__(self) -> None:
        rows = self.micro_batch_rows
        require_from_to("parallel.micro_batch_rows", rows, 0, 65_536, zero="the whole batch")
        require_from_to("parallel.shard_size", self.shard_size, 0, 65_536, zero="all processes")
        require_from_to("parallel.tensor_size", self.tensor_size, 1, 1024)
        kinds = ("none", "selective", "full")
        require(
            self.checkpointing in kinds, "parallel.checkpointing", self.checkpointing, f"use one of {kinds}"
        )
