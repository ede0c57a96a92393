"""Grade the samples of a set of problems, and count what passed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spanmix.evaluate.code.answers import Answer, tally
from spanmix.evaluate.code.pass_at_k import PassAtK, pass_at_k
from spanmix.evaluate.code.problem import Check
from spanmix.evaluate.code.sets import ProblemSet
from spanmix.evaluate.grade.grade import grade
from spanmix.evaluate.grade.isolation import Isolation
from spanmix.evaluate.grade.limits import Limits
from spanmix.evaluate.grade.verdict import TIMED_OUT, Verdict

Progress = Callable[[str, int, int], None]
_Task = tuple[str, Check]


@dataclass(frozen=True)
class Graded:
    """What became of samples.

    Args:
        verdicts: one for each answer.
        figures: pass@k.
        rerun: answers, by their place, that timed out beside others and were run once more alone; the second
            verdict counts.
    """

    verdicts: tuple[Verdict, ...]
    figures: PassAtK
    rerun: tuple[int, ...]


def grade_answers(
    problems: ProblemSet,
    answers: Sequence[Answer],
    ks: Sequence[int],
    num_workers: int,
    limits: Limits,
    isolation: Isolation,
    progress: Progress = lambda stage, done, total: None,
) -> Graded:
    """Run every answer against its check; equal programs of a problem are run once.

    Args:
        problems: the set.
        answers: see `spanmix.evaluate.code.answers.read_answers`.
        ks: which pass@k.
        num_workers: programs that run at once.
        limits: what each may use.
        isolation: see `spanmix.evaluate.grade.choose.best_isolation`.
        progress: is told of programs that are graded.

    Raises:
        InputError: a check cannot be run, or a k is below 1.
        SpanmixError: a sandbox could not be started.
    """
    checks = {problem.task_id: problem.check for problem in problems.problems}
    places: dict[tuple[str, str], list[int]] = {}
    for place, answer in enumerate(answers):
        places.setdefault((answer.task_id, answer.program), []).append(place)
    tasks: list[_Task] = [(program, checks[task_id]) for task_id, program in places]
    found = _run(tasks, num_workers, limits, isolation, "grade the programs", progress)
    late = [number for number, verdict in enumerate(found) if verdict.result == TIMED_OUT]
    if num_workers > 1 and late:
        again = _run([tasks[i] for i in late], 1, limits, isolation, "rerun what timed out", progress)
        for number, verdict in zip(late, again, strict=True):
            found[number] = verdict
    verdicts = [found[0]] * len(answers)
    for verdict, same in zip(found, places.values(), strict=True):
        for place in same:
            verdicts[place] = verdict
    changed = {i for i in late if found[i].result != TIMED_OUT}
    rerun = [place for i, same in enumerate(places.values()) if i in changed for place in same]
    tallies = tally(problems.problems, answers, [verdict.passed for verdict in verdicts])
    return Graded(tuple(verdicts), pass_at_k(tallies, ks), tuple(sorted(rerun)))


def _run(
    tasks: Sequence[_Task],
    num_workers: int,
    limits: Limits,
    isolation: Isolation,
    stage: str,
    progress: Progress,
) -> list[Verdict]:
    verdicts: dict[int, Verdict] = {}
    for number, verdict in grade(tasks, num_workers, limits, isolation):
        verdicts[number] = verdict
        progress(stage, len(verdicts), len(tasks))
    return [verdicts[number] for number in range(len(tasks))]
