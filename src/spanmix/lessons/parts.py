"""The parts of an experiment suite: arms, scales, and lessons with their claims; each checks itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from spanmix.bounds import require, require_above_zero, require_from_to

ENDPOINTS = ("code", "prose", "middle", "middle_single_line", "middle_multi_line")
"""Bits per byte of held-out files, and of held-out middles with the suffix shown."""
TASKS = ("defects", "clones")
REPRESENTATIONS = ("causal", "bidirectional")
TASK_ENDPOINTS = tuple(f"{task}_{seen}" for task in TASKS for seen in REPRESENTATIONS)
"""Shares of right answers."""
BASES = ("found", "suspected", "own")
PLOTS = ("exchange", "curves", "epochs")
_NO_MORE = {"extra": "forbid"}
_MOST = 1_000_000_000


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Args:
        about: one sentence for people.
        recipe: fields of a recipe that take the place of the scale's; lists replace whole lists.
        name: what it is called.
        unique_share: share of the scale's tokens that are different; the rest are repeats of them.
        steps_share: share of the scale's steps that are made.
        decay_share: share of the arm's steps over which the learning rate decays; None is the scale's own.
    """

    about: str
    recipe: dict[str, Any]
    name: str = ""
    unique_share: float = 1.0
    steps_share: float = 1.0
    decay_share: float | None = None
    __pydantic_config__: ClassVar[dict[str, str]] = _NO_MORE

    def __post_init__(self) -> None:
        for share in ("unique_share", "steps_share", "decay_share"):
            value = getattr(self, share)
            if value is not None:
                require(0 < value <= 1, share, value, "use a share above 0 and up to 1")


@dataclass(frozen=True)
class Sweep:
    """How the learning rate is chosen, before all else and once for all arms.

    Args:
        rates: what is tried.
        steps_share: share of the scale's steps of a trial.
        arm: on which the rate is chosen, by its code bits per byte.
        checks: arms that are tried too, to see whether another rate would have been better for them.
    """

    rates: tuple[float, ...]
    steps_share: float
    arm: str
    checks: tuple[str, ...] = ()
    __pydantic_config__: ClassVar[dict[str, str]] = _NO_MORE

    def __post_init__(self) -> None:
        require(len(self.rates) > 0, "sweep.rates", self.rates, "name at least one")
        for rate in self.rates:
            require_above_zero("sweep.rates", rate)
        require(0 < self.steps_share <= 1, "sweep.steps_share", self.steps_share, "use a share up to 1")

    @property
    def arms(self) -> tuple[str, ...]:
        """All arms that are tried, that of the choice first."""
        return (self.arm, *(name for name in self.checks if name != self.arm))


@dataclass(frozen=True)
class Measuring:
    """What is measured of a finished run; the same of every run of a scale.

    Args:
        file_tokens: of each held-out file so many first tokens are scored.
        source_tokens: so many tokens of a source at most; files come in an order that hangs on nothing else.
        context_tokens: longest window and prompt.
        single_line_spans, multi_line_spans: middles of held-out code.
        curve_points: how often held-out bits are taken while a run trains.
        curve_file_tokens, curve_files: of how much of how many files, of each source.
    """

    file_tokens: int
    source_tokens: int
    context_tokens: int
    single_line_spans: int
    multi_line_spans: int
    curve_points: int = 6
    curve_file_tokens: int = 1024
    curve_files: int = 12
    __pydantic_config__: ClassVar[dict[str, str]] = _NO_MORE

    def __post_init__(self) -> None:
        for name in ("file_tokens", "source_tokens", "context_tokens", "curve_file_tokens"):
            require_from_to(f"measuring.{name}", getattr(self, name), 32, _MOST)
        for name in ("single_line_spans", "multi_line_spans", "curve_points", "curve_files"):
            require_from_to(f"measuring.{name}", getattr(self, name), 1, _MOST)


@dataclass(frozen=True)
class Understanding:
    """What is fine-tuned; see `spanmix.evaluate.understanding`.

    Args:
        arms: whose models are fine-tuned.
        tasks: ``defects`` and ``clones``, made of the corpus.
        representations: ``causal``, ``bidirectional``.
        most: examples of a part.
        epochs, learning_rate, batch_size, max_tokens: of `TuningSettings`.
    """

    arms: tuple[str, ...]
    tasks: tuple[str, ...]
    representations: tuple[str, ...]
    most: int
    epochs: int
    learning_rate: float
    batch_size: int
    max_tokens: int
    __pydantic_config__: ClassVar[dict[str, str]] = _NO_MORE

    def __post_init__(self) -> None:
        require(set(self.tasks) <= set(TASKS), "understanding.tasks", self.tasks, f"use any of {TASKS}")
        seen = self.representations
        rule = f"use any of {REPRESENTATIONS}"
        require(set(seen) <= set(REPRESENTATIONS), "understanding.representations", seen, rule)


@dataclass(frozen=True)
class Scale:
    """How large the runs are.

    Args:
        about: for people.
        seeds: of the runs; runs of one seed are compared with each other.
        arms: their names, in the order in which they are run.
        margin: bits per byte that count as a difference, fixed before any run.
        margin_reason: why.
        margin_points: the same for accuracies, as a share of the answers.
        recipe: the fields of a whole recipe.
        measuring: what is measured.
        corpus: ``demo`` makes the demo's where none is given; ``given`` has to be given one.
        sweep: how the learning rate is chosen; None takes the recipe's.
        understanding: what is fine-tuned, if anything.
    """

    about: str
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    margin: float
    margin_reason: str
    recipe: dict[str, Any]
    measuring: Measuring
    margin_points: float = 0.02
    corpus: str = "given"
    sweep: Sweep | None = None
    understanding: Understanding | None = None
    name: str = ""
    __pydantic_config__: ClassVar[dict[str, str]] = _NO_MORE

    def __post_init__(self) -> None:
        require(len(self.seeds) == len(set(self.seeds)) > 0, "seeds", self.seeds, "name each once")
        require(len(self.arms) == len(set(self.arms)) > 0, "arms", self.arms, "name each once")
        require_above_zero("margin", self.margin)
        require_above_zero("margin_points", self.margin_points)
        require(self.corpus in ("demo", "given"), "corpus", self.corpus, "use demo or given")

    @property
    def needed_arms(self) -> tuple[str, ...]:
        """Every arm that is named."""
        tried = self.sweep.arms if self.sweep else ()
        tuned = self.understanding.arms if self.understanding else ()
        return tuple(dict.fromkeys([*self.arms, *tried, *tuned]))


@dataclass(frozen=True)
class Finding:
    """What the paper found.

    Args:
        text: in words.
        source: where that is known from.
        figure: its figure, or ``not known``.
    """

    text: str
    source: str
    figure: str = "not known"
    __pydantic_config__: ClassVar[dict[str, str]] = _NO_MORE


@dataclass(frozen=True)
class Claim:
    """A sentence that an effect decides.

    Args:
        name: short, unique in its lesson.
        text: the sentence.
        effect: a contrast of arms, such as ``{prefix-lm: 1, causal: -1}``.
        endpoint: what is compared: one of `ENDPOINTS` (bits per byte) or `TASK_ENDPOINTS` (accuracy).
        side: ``less`` or ``greater``: on which side of the bound the effect is, if the sentence is true.
        margins: the bound, in margins of the scale.
        basis: ``found`` by the paper, ``suspected`` by its authors, or our ``own``; the first kind decides
            the lesson.
    """

    name: str
    text: str
    effect: dict[str, float]
    endpoint: str
    side: str
    margins: float = 0.0
    basis: str = "found"
    __pydantic_config__: ClassVar[dict[str, str]] = _NO_MORE

    def __post_init__(self) -> None:
        endpoints = ENDPOINTS + TASK_ENDPOINTS
        require(self.endpoint in endpoints, "endpoint", self.endpoint, f"use one of {', '.join(endpoints)}")
        require(self.side in ("less", "greater"), "side", self.side, "use less or greater")
        require(self.basis in BASES, "basis", self.basis, f"use one of {', '.join(BASES)}")
        total = sum(self.effect.values())
        rule = "use numbers that add up to 0, or the effect is no difference"
        require(len(self.effect) > 1 and abs(total) < 1e-9, "effect", dict(self.effect), rule)


@dataclass(frozen=True)
class Lesson:
    """One lesson.

    Args:
        number: 1 is the first.
        title, question: for people.
        found: what the paper found.
        measured: what is measured here, and what stands beside it that the paper did not have.
        claims: the first stands for the lesson where one figure has to.
        plot: what is drawn beside the effects.
        plotted: the arms in that plot.
        folder: where it stands in the suite.
    """

    number: int
    title: str
    question: str
    found: tuple[Finding, ...]
    measured: str
    claims: tuple[Claim, ...]
    plot: str | None = None
    plotted: tuple[str, ...] = ()
    folder: str = ""
    __pydantic_config__: ClassVar[dict[str, str]] = _NO_MORE

    def __post_init__(self) -> None:
        names = [claim.name for claim in self.claims]
        require(len(names) == len(set(names)) > 0, "claims", names, "name at least one, and each once")
        known = (None, *PLOTS)
        require(self.plot in known, "plot", self.plot, f"use one of {', '.join(PLOTS)}, or leave it out")

    @property
    def arms(self) -> tuple[str, ...]:
        """Every arm that it needs, in the order of its claims."""
        named = [arm for claim in self.claims for arm in claim.effect]
        return tuple(dict.fromkeys([*named, *self.plotted]))
