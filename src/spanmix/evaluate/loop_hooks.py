"""Choose what is measured while a recipe's model trains.

What is asked for and cannot be had stops the run before it begins. What is measured without being asked for
is left out with a word where it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spanmix.config import Recipe
from spanmix.errors import InputError
from spanmix.evaluate.code.problem import CodeProblem
from spanmix.evaluate.code.sets import problem_set
from spanmix.evaluate.executed import Executed, Execution, prepare_execution
from spanmix.evaluate.first_process import FirstProcess
from spanmix.evaluate.held_out import HeldOutLoss
from spanmix.evaluate.infill_watch import InfillWatch
from spanmix.evaluate.memorization_watch import MemorizationWatch, require_memorization
from spanmix.evaluate.solution_bits import SolutionBits
from spanmix.evaluate_config import EvaluateConfig
from spanmix.generate.asked import in_ids
from spanmix.text.corpus import Corpus
from spanmix.text.trace.index import TraceIndex
from spanmix.train.hooks import Hook
from spanmix.train.ranks import is_first_process
from spanmix.train.run import HookMaker
from spanmix.train.trained_prompting import trained_prompting

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Solutions:
    """Problems whose canonical solutions are scored."""

    name: str
    problems: Sequence[CodeProblem]


def prepare_hooks(recipe: Recipe, tell: Say, warn: Say) -> HookMaker:
    """Return what builds the hooks of a recipe, once all that they need outside of the run is there.

    Args:
        recipe: the recipe, as it was asked for.
        tell: is told, in the first process, what is left out, and why.
        warn: is told of what goes wrong while the run is under way.

    Raises:
        InputError: problems that the recipe names cannot be read or used, programs cannot be run here, or
            memorization is asked for and the corpus has no trace index.
    """
    evaluate = recipe.evaluate
    if not evaluate.every_steps:
        return lambda resolved, corpus: ()
    say = tell if is_first_process() else lambda text: None
    if evaluate.memorization_prompts:
        require_memorization(recipe)
    solutions = None if evaluate.solutions is None else _solutions(evaluate.solutions, say)
    execution = None
    if evaluate.executed is not None:
        execution = prepare_execution(recipe, trained_prompting(recipe.objectives, None).infill is not None)

    def make(resolved: Recipe, corpus: Corpus) -> Sequence[Hook]:
        return _hooks(resolved, corpus, solutions, execution, say, warn)

    return make


def _hooks(
    recipe: Recipe,
    corpus: Corpus,
    solutions: _Solutions | None,
    execution: Execution | None,
    tell: Say,
    warn: Say,
) -> list[Hook]:
    hooks: list[Hook] = [HeldOutLoss(recipe, corpus)]
    if solutions is not None:
        hooks.append(SolutionBits(recipe, corpus.tokenizer, solutions.name, solutions.problems))
    asked = in_ids(trained_prompting(recipe.objectives, None), corpus.tokenizer)
    watches_infill = asked.infill is not None and recipe.evaluate.infill_spans > 0
    watches_memory = recipe.evaluate.memorization_prompts > 0
    if not watches_infill and not watches_memory and execution is None:
        return hooks
    first = FirstProcess(recipe)
    if asked.infill is not None and watches_infill:
        hooks.append(InfillWatch(recipe, corpus, asked.infill, first, tell))
    if watches_memory:
        index = TraceIndex.open(recipe.corpus.path)
        hooks.append(MemorizationWatch(recipe, corpus, index, first, tell))
    if execution is not None:
        hooks.append(Executed(recipe, corpus.tokenizer, asked, execution, first, warn))
    return hooks


def _solutions(name: str, tell: Say) -> _Solutions | None:
    """Read the problems of ``evaluate.solutions``; None if HumanEval's package is not as it should be.

    Raises:
        InputError: a file cannot be read, or has no solution of a problem that is continued.
    """
    try:
        problems = problem_set(name)
    except InputError as error:
        if name != EvaluateConfig.solutions:  # nobody has to have asked for the default
            raise
        tell(
            f"bits per byte of {name}'s solutions are not watched: {error}; evaluate.solutions=null turns "
            "this off"
        )
        return None
    usable = [one for one in problems.problems if one.canonical and one.suffix is None]
    if not usable:
        raise InputError(
            f"evaluate.solutions is {name!r}, and none of its {len(problems.problems):,} problems is one "
            "that is continued and has a canonical solution; use humaneval, a file of its shape, or null"
        )
    return _Solutions(problems.name.partition(".")[0], usable)
