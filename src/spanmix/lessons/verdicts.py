"""Judge claims by rules that were fixed before any run, as ``docs/lessons/protocol.md`` has them.

A claim is that an effect lies on one side of a bound. It *agrees* if the whole interval does, *disagrees* if
the whole interval lies on the other side, and otherwise one *cannot tell*. A lesson goes by the claims that
the paper found: it agrees if all of them do, and disagrees if one of them does even with the interval at the
level 1 - 0.05 / m, m being the number of these claims.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spanmix.errors import InputError
from spanmix.lessons.collected import Collected
from spanmix.lessons.measure import FileBits
from spanmix.lessons.parts import TASK_ENDPOINTS, Claim, Lesson
from spanmix.lessons.statistics import LEVEL, Effect, effect_of

AGREES, DISAGREES, CANNOT_TELL, NOT_RUN = "agrees", "disagrees", "cannot tell", "not run"
Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """A claim with what was found.

    Args:
        claim: the sentence.
        bound: in the endpoint's unit.
        effect: None where no seed has all of its arms.
        verdict: ``agrees``, ``disagrees``, ``cannot tell`` or ``not run``.
        strict_verdict: the same at the level that several claims of a lesson ask for.
        seeds: which were compared.
        runs: the files that it rests on.
    """

    claim: Claim
    bound: float
    effect: Effect | None
    verdict: str
    strict_verdict: str
    seeds: tuple[int, ...]
    runs: tuple[str, ...]


@dataclass(frozen=True)
class LessonVerdict:
    """A lesson's verdict with its claims, those of which the scale has all arms."""

    lesson: Lesson
    verdict: str
    claims: tuple[Judged, ...]

    @property
    def leading(self) -> Judged | None:
        """The claim that stands for the lesson."""
        return self.claims[0] if self.claims else None


def judge(lesson: Lesson, collected: Collected) -> LessonVerdict:
    """Judge a lesson by the records there are."""
    claims = [claim for claim in lesson.claims if _is_asked(claim, collected)]
    num_found = sum(claim.basis == "found" for claim in claims)
    judged = tuple(_judge(claim, collected, max(1, num_found)) for claim in claims)
    deciding = [one for one in judged if one.claim.basis == "found"]
    return LessonVerdict(lesson, lesson_verdict(deciding), judged)


def lesson_verdict(deciding: Sequence[Judged]) -> str:
    """Return the verdict of a lesson from those of the paper's claims."""
    if not deciding or all(one.verdict == NOT_RUN for one in deciding):
        return NOT_RUN
    if all(one.verdict == AGREES for one in deciding):
        return AGREES
    if any(one.strict_verdict == DISAGREES for one in deciding):
        return DISAGREES
    return CANNOT_TELL


def claim_verdict(effect: Effect, side: str, bound: float) -> str:
    """Return the verdict of a claim that an effect lies on a side of a bound.

    >>> claim_verdict(Effect(-2.0, -3.0, -1.0, 1.4, (-2.0, -2.0), 9), "less", 0.0)
    'agrees'
    """
    if effect.low is None or effect.high is None:
        return CANNOT_TELL
    below, above = effect.high < bound, effect.low > bound
    if side == "greater":
        below, above = above, below
    return AGREES if below else DISAGREES if above else CANNOT_TELL


def endpoint_effect(
    collected: Collected,
    contrast: dict[str, float],
    endpoint: str,
    seeds: Sequence[int],
    level: float = LEVEL,
) -> Effect:
    """Return the effect of a contrast of arms on an endpoint, over some seeds.

    Raises:
        InputError: the runs were not measured on the same files.
    """
    rows = [[columns(collected, arm, seed, endpoint) for arm in contrast] for seed in seeds]
    first_files, size_C, _ = rows[0][0]
    for parts in rows:
        for files, size, _ in parts:
            if files != first_files or not np.array_equal(size, size_C):
                raise InputError(
                    f"the runs of {', '.join(contrast)} were measured on different files ({endpoint}); they "
                    "do not belong together. Move the odd ones to another --metrics"
                )
    weights = list(contrast.values())
    contrast_SC = np.array(
        [sum(weight * part[2] for weight, part in zip(weights, parts, strict=True)) for parts in rows]
    )
    return effect_of(contrast_SC, size_C, level)


def columns(
    collected: Collected, arm: str, seed: int, endpoint: str
) -> tuple[tuple[int, ...], Float64Array, Float64Array]:
    """Return an endpoint of a run: its files, and of each its size [C] and what is added up [C]."""
    if endpoint in TASK_ENDPOINTS:
        task, _, representation = endpoint.partition("_")
        tuned = collected.tasks[arm, seed, task, representation]
        return tuned.groups, np.array(tuned.examples, dtype=float), np.array(tuned.right, dtype=float)
    run = collected.runs[arm, seed]
    if endpoint in run.held_out:
        return _of_files(run.held_out[endpoint])
    kinds = list(run.middles) if endpoint == "middle" else [endpoint.removeprefix("middle_")]
    documents = [one for kind in kinds for one in run.middles[kind].documents]
    num_bytes = [one for kind in kinds for one in run.middles[kind].num_bytes]
    bits = [one for kind in kinds for one in run.middles[kind].shown]
    files_C, file_of_N = np.unique(documents, return_inverse=True)
    sums_C2 = np.zeros((len(files_C), 2))
    np.add.at(sums_C2, file_of_N, np.column_stack([num_bytes, bits]))
    return tuple(files_C.tolist()), sums_C2[:, 0], sums_C2[:, 1]


def has_endpoint(collected: Collected, arm: str, seed: int, endpoint: str) -> bool:
    """Whether a run has figures of an endpoint."""
    if endpoint in TASK_ENDPOINTS:
        task, _, representation = endpoint.partition("_")
        return (arm, seed, task, representation) in collected.tasks
    return collected.run_of(arm, seed) is not None


def _of_files(found: FileBits) -> tuple[tuple[int, ...], Float64Array, Float64Array]:
    return tuple(found.documents), np.array(found.num_bytes, dtype=float), np.array(found.bits)


def _is_asked(claim: Claim, collected: Collected) -> bool:
    scale = collected.scale
    if claim.endpoint in TASK_ENDPOINTS:
        asked = scale.understanding
        task, _, representation = claim.endpoint.partition("_")
        if asked is None or not set(claim.effect) <= set(asked.arms):
            return False
        return task in asked.tasks and representation in asked.representations
    return set(claim.effect) <= set(scale.arms)


def _judge(claim: Claim, collected: Collected, num_found: int) -> Judged:
    scale = collected.scale
    margin = scale.margin_points if claim.endpoint in TASK_ENDPOINTS else scale.margin
    bound = claim.margins * margin
    seeds = tuple(
        seed
        for seed in scale.seeds
        if all(has_endpoint(collected, arm, seed, claim.endpoint) for arm in claim.effect)
    )
    if not seeds:
        return Judged(claim, bound, None, NOT_RUN, NOT_RUN, (), ())
    effect = endpoint_effect(collected, claim.effect, claim.endpoint, seeds)
    strict = endpoint_effect(collected, claim.effect, claim.endpoint, seeds, 1 - (1 - LEVEL) / num_found)
    verdict, strictly = (claim_verdict(one, claim.side, bound) for one in (effect, strict))
    return Judged(claim, bound, effect, verdict, strictly, seeds, _files(claim, collected, seeds))


def _files(claim: Claim, collected: Collected, seeds: Sequence[int]) -> tuple[str, ...]:
    if claim.endpoint in TASK_ENDPOINTS:
        task, _, representation = claim.endpoint.partition("_")
        return tuple(
            collected.tasks[arm, seed, task, representation].file_name
            for arm in claim.effect
            for seed in seeds
        )
    return tuple(collected.runs[arm, seed].file_name for arm in claim.effect for seed in seeds)
