"""The recipe's ``evaluate``: what is measured of a model while it trains."""

from __future__ import annotations

from dataclasses import dataclass

from spanmix.bounds import MANY, require, require_from_to


@dataclass(frozen=True)
class ExecutedConfig:
    """Programs that the model writes and that are run, in a sandbox; see `spanmix.evaluate.executed`.

    Args:
        every_steps: steps between these evaluations; 0 is ``evaluate.every_steps``.
        problems: ``humaneval``, ``single-line``, ``multi-line``, or a file of problems.
        num_problems: how many of them, drawn by the run's seed; 0 takes all.
        num_samples: answers to each problem.
        k: which pass@k.
        temperature: 0 is greedy. None: 0 for one answer; else the paper's for the largest k.
        top_p: the smallest set of tokens whose probability reaches this is kept.
        max_tokens: most tokens of an answer; fewer than a row has.
        seconds: wall time of one program.
        memory_mb: memory of one program, in MiB.
        num_workers: programs that run at once; 0 is ``run.num_threads``.
    """

    every_steps: int = 0
    problems: str = "humaneval"
    num_problems: int = 0
    num_samples: int = 1
    k: tuple[int, ...] = (1,)
    temperature: float | None = None
    top_p: float = 0.95
    max_tokens: int = 256
    seconds: float = 3.0
    memory_mb: int = 1024
    num_workers: int = 0

    def __post_init__(self) -> None:
        here = "evaluate.executed"
        require_from_to(f"{here}.every_steps", self.every_steps, 0, MANY, zero="evaluate.every_steps")
        require_from_to(f"{here}.num_problems", self.num_problems, 0, 1_000_000, zero="all")
        samples = self.num_samples
        require_from_to(f"{here}.num_samples", samples, 1, 10_000)
        rule = f"use one or more numbers from 1 to {here}.num_samples, {samples}, each once"
        right = 0 < len(self.k) == len(set(self.k)) and all(1 <= k <= samples for k in self.k)
        require(right, f"{here}.k", self.k, rule)
        warm = self.temperature
        if warm is not None:
            rule = "use 0 (greedy), or a number from 0.000001 to 1,000,000"
            require(warm == 0 or 1e-6 <= warm <= 1e6, f"{here}.temperature", warm, rule)
            rule = f"use more, or {here}.num_samples 1: greedy answers are all the same"
            require(warm > 0 or samples == 1, f"{here}.temperature", warm, rule)
        require(0 < self.top_p <= 1, f"{here}.top_p", self.top_p, "use a share above 0 and up to 1")
        require_from_to(f"{here}.max_tokens", self.max_tokens, 1, MANY)
        require(0 < self.seconds <= 3600, f"{here}.seconds", self.seconds, "use a number above 0, up to 3600")
        require_from_to(f"{here}.memory_mb", self.memory_mb, 128, 1_048_576)
        require_from_to(f"{here}.num_workers", self.num_workers, 0, 4096, zero="run.num_threads")


@dataclass(frozen=True)
class EvaluateConfig:
    """What is measured during training.

    Args:
        every_steps: steps between evaluations; 0 turns all of them off.
        held_out_rows: rows of each source to take the held-out loss of.
        solutions: problems whose canonical solutions are scored in bits per byte: ``humaneval``, or a file
            of problems; None scores none.
        infill_spans: held-out lines of each source that a model which is trained to infill fills in; 0 is
            none.
        memorization_prompts: documents of each source and side whose continuation by the model is looked up
            in the corpus's trace index; 0 is none.
        executed: programs that are run, if any.
    """

    every_steps: int = 0
    held_out_rows: int = 32
    solutions: str | None = "humaneval"
    infill_spans: int = 16
    memorization_prompts: int = 0
    executed: ExecutedConfig | None = None

    def __post_init__(self) -> None:
        require_from_to("evaluate.every_steps", self.every_steps, 0, MANY, zero="off")
        require_from_to("evaluate.held_out_rows", self.held_out_rows, 1, 65_536)
        require_from_to("evaluate.infill_spans", self.infill_spans, 0, 65_536, zero="off")
        require_from_to("evaluate.memorization_prompts", self.memorization_prompts, 0, 65_536, zero="off")
        rule = "use 1 or more with evaluate.executed: with 0 nothing is evaluated"
        require(self.executed is None or self.every_steps > 0, "evaluate.every_steps", self.every_steps, rule)
