"""Watch how many problems a model in training solves: it answers, and its programs are run in a sandbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from spanmix import seeding
from spanmix.config import Recipe
from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.code.answers import Answer, read_answers
from spanmix.evaluate.code.grading import grade_answers
from spanmix.evaluate.code.samples import open_samples
from spanmix.evaluate.code.sampling import PAPER_TEMPERATURES, SampleSettings, make_samples
from spanmix.evaluate.code.sets import ProblemSet, problem_set
from spanmix.evaluate.first_process import FirstProcess
from spanmix.evaluate.grade.choose import best_isolation
from spanmix.evaluate.grade.isolation import Isolation
from spanmix.evaluate.grade.limits import Limits
from spanmix.evaluate.grade.verdict import TIMED_OUT
from spanmix.evaluate_config import ExecutedConfig
from spanmix.generate.asked import Asked
from spanmix.generate.engine import Engine
from spanmix.model.decoder import Decoder
from spanmix.text.tokenizer import Tokenizer
from spanmix.train.ranks import is_first_process


@dataclass(frozen=True)
class Execution:
    """What programs need, tried before the run begins; see `prepare_execution`.

    Args:
        config: the recipe's.
        problems: those that are answered.
        settings: how they are answered.
        limits: of a program.
        isolation: how it is kept apart; None in processes that run none.
    """

    config: ExecutedConfig
    problems: ProblemSet
    settings: SampleSettings
    limits: Limits
    isolation: Isolation | None


def prepare_execution(recipe: Recipe, can_infill: bool) -> Execution:
    """Read the problems of a recipe's ``evaluate.executed``, and run one's own solution in a sandbox.

    Args:
        recipe: the recipe; it need not be resolved.
        can_infill: whether the run's model is asked to infill.

    Raises:
        InputError: there are no such problems, they cannot be answered by this run's model, no sandbox works
            here, or the first problem's own solution fails in it.
    """
    config = recipe.evaluate.executed
    assert config is not None
    if config.max_tokens >= recipe.data.row_tokens:
        raise InputError(
            f"evaluate.executed.max_tokens is {config.max_tokens}, and data.row_tokens "
            f"{recipe.data.row_tokens}: a prompt would have no room in front of such an answer; use fewer"
        )
    problems = _chosen(problem_set(config.problems), config.num_problems, recipe.run.seed)
    with_suffix = [problem.task_id for problem in problems.problems if problem.suffix is not None]
    if with_suffix and not can_infill:
        raise InputError(
            f"evaluate.executed.problems is {config.problems!r}, of which {with_suffix[0]} asks for what "
            "stands in front of a suffix, and no objective of this recipe teaches that; use problems that "
            "are continued, such as humaneval, or mix infill in"
        )
    limits = Limits(seconds=config.seconds, memory_bytes=config.memory_mb << 20)
    isolation = None
    if is_first_process():
        try:
            isolation = best_isolation()
        except InputError as error:
            raise InputError(
                f"evaluate.executed is set, and {error} by hand, with `spanmix evaluate`; or leave "
                "evaluate.executed out"
            ) from None
        _require_solvable(problems, limits, isolation)
    return Execution(config, problems, _settings(config, recipe.run.seed), limits, isolation)


class Executed:
    """pass@k of programs that the model writes, each run in a sandbox.

    Answers are a function of the model, the recipe and the problem, so a resumed run measures the same; only
    a program that is near its time limit may pass at one time and not at another. It costs a copy of the
    model (see `spanmix.evaluate.first_process`), `num_samples` answers to each problem, and the programs'
    own time.

    Args:
        recipe: a resolved recipe.
        tokenizer: the corpus's.
        asked: how the model is asked.
        execution: what `prepare_execution` returned for the recipe.
        first: asks the model.
        warn: is told why programs could not be run; then there is no figure, and training goes on.
    """

    kind = "executed"

    def __init__(
        self,
        recipe: Recipe,
        tokenizer: Tokenizer,
        asked: Asked,
        execution: Execution,
        first: FirstProcess,
        warn: Callable[[str], None],
    ) -> None:
        self.every_steps = execution.config.every_steps or recipe.evaluate.every_steps
        self._num_workers = execution.config.num_workers or max(1, recipe.run.num_threads)
        self._tokenizer = tokenizer
        self._asked = asked
        self._execution = execution
        self._first = first
        self._warn = warn

    def run(self, model: Decoder, step: int) -> dict[str, float]:
        """Return ``set/pass@k`` for each k; nothing but in the first process."""

        def measure(engine: Engine) -> dict[str, float]:
            try:
                with TemporaryDirectory() as folder:
                    return self._figures(engine, Path(folder) / "samples.jsonl")
            except SpanmixError as error:
                self._warn(f"no program was run after step {step:,}, and training goes on: {error}")
                return {}

        return self._first.figures(model, measure)

    def _figures(self, engine: Engine, path: Path) -> dict[str, float]:
        execution = self._execution
        problems, settings = execution.problems, execution.settings
        assert execution.isolation is not None
        with open_samples(path, settings.facts()) as file:
            make_samples(engine, self._tokenizer, self._asked, problems.problems, settings, file)
        answers = read_answers(path, problems.problems)
        graded = grade_answers(
            problems,
            answers,
            execution.config.k,
            self._num_workers,
            execution.limits,
            execution.isolation,
        )
        return {f"{problems.name}/pass@{k}": figure.value for k, figure in graded.figures.figures.items()}


def _chosen(problems: ProblemSet, number: int, seed: int) -> ProblemSet:
    """Draw some of the problems, kept in their order; 0 takes all."""
    every = problems.problems
    name = problems.name.partition(".")[0]
    if not 0 < number < len(every):
        return replace(problems, name=name)
    words = seeding.draw(seed, "executed problems", seeding.name_key(name), 0, np.arange(len(every)), 1)[:, 0]
    places = sorted(np.argsort(words, kind="stable")[:number].tolist())
    return replace(problems, name=name, problems=tuple(every[place] for place in places))


def _settings(config: ExecutedConfig, seed: int) -> SampleSettings:
    temperature = config.temperature
    if temperature is None:
        reached = max(k for k in PAPER_TEMPERATURES if k <= max(config.k))
        temperature = 0.0 if config.num_samples == 1 else PAPER_TEMPERATURES[reached]
    return SampleSettings(config.num_samples, temperature, config.top_p, config.max_tokens, seed)


def _require_solvable(problems: ProblemSet, limits: Limits, isolation: Isolation) -> None:
    """Run the solution of the first problem that has one, so that what cannot be run shows now."""
    first = next((problem for problem in problems.problems if problem.canonical), problems.problems[0])
    alone = replace(problems, problems=(first,))
    answer = Answer(first.task_id, 0, first.program(first.canonical), {})
    [verdict] = grade_answers(alone, [answer], (1,), 1, limits, isolation).verdicts
    if first.canonical and not verdict.passed and verdict.result != TIMED_OUT:
        raise InputError(
            f"evaluate.executed: the set's own solution of {first.task_id} does not pass in the sandbox "
            f"({verdict.result}), so no answer could be trusted; see to evaluate.executed.problems and "
            "memory_mb, or leave evaluate.executed out"
        )
