"""Claims and lessons are judged by the rules of the protocol, on records whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from spanmix.errors import InputError
from spanmix.lessons.collected import collect
from spanmix.lessons.parts import Claim
from spanmix.lessons.statistics import Effect
from spanmix.lessons.verdicts import (
    AGREES,
    CANNOT_TELL,
    DISAGREES,
    NOT_RUN,
    Judged,
    claim_verdict,
    judge,
    lesson_verdict,
)

BYTES = 1000


def arms_that_differ(by, spread=0.0):
    """Bits of 20 files: 2 bits per byte, what an arm adds, and a spread of each file."""
    random = np.random.default_rng(5)

    def bits(arm, seed, endpoint):
        return BYTES * (2 + by.get((arm, endpoint), 0.0) + random.normal(0, spread, 20))

    return bits


@pytest.mark.parametrize(
    ("low", "high", "side", "bound", "verdict"),
    [
        (-2, -1, "less", 0, AGREES),
        (-2, -1, "greater", 0, DISAGREES),
        (1, 2, "greater", 0, AGREES),
        (1, 2, "less", 0, DISAGREES),
        (-1, 1, "less", 0, CANNOT_TELL),
        (-1, 1, "less", 1.5, AGREES),
        (-1, 1, "greater", -1.5, AGREES),
        (-1, 1, "less", -1.5, DISAGREES),
        (-1, 1, "less", 1, CANNOT_TELL),
        (None, None, "less", 9, CANNOT_TELL),
    ],
)
def test_a_claim_goes_by_where_the_whole_interval_lies(low, high, side, bound, verdict):
    assert claim_verdict(Effect(0.0, low, high, None, (0.0,), 9), side, bound) == verdict


@pytest.mark.parametrize(
    ("verdicts", "lesson"),
    [
        ([(AGREES, AGREES), (AGREES, CANNOT_TELL)], AGREES),
        ([(AGREES, AGREES), (DISAGREES, DISAGREES)], DISAGREES),
        ([(AGREES, AGREES), (DISAGREES, CANNOT_TELL)], CANNOT_TELL),
        ([(AGREES, AGREES), (CANNOT_TELL, CANNOT_TELL)], CANNOT_TELL),
        ([(AGREES, AGREES), (NOT_RUN, NOT_RUN)], CANNOT_TELL),
        ([(NOT_RUN, NOT_RUN)], NOT_RUN),
        ([], NOT_RUN),
    ],
)
def test_a_lesson_goes_by_all_claims_of_the_paper(verdicts, lesson):
    claim = Claim("a", "A.", {"x": 1, "y": -1}, "code", "less")
    judged = [Judged(claim, 0.0, None, plain, strict, (), ()) for plain, strict in verdicts]
    assert lesson_verdict(judged) == lesson


def test_made_up_runs_have_the_verdicts_that_they_were_made_for(suite, made_up, tmp_path):
    scale = suite.scale("toy")
    cases = {
        # What mixture adds on code, what `twice` adds there: verdicts of both lessons.
        (0.2, 0.0): (AGREES, AGREES),
        (-0.2, 0.0): (DISAGREES, DISAGREES),
        (0.0, 0.0): (CANNOT_TELL, AGREES),
        (0.2, 0.24): (AGREES, CANNOT_TELL),
        (0.2, 0.5): (AGREES, DISAGREES),
    }
    for number, ((mixture, twice), expected) in enumerate(cases.items()):
        folder = tmp_path / str(number)
        by = {("mixture", "code"): mixture, ("twice", "code"): twice}
        made_up(suite, scale, folder, arms_that_differ(by, spread=0.003))
        collected = collect(suite, scale, folder)
        verdicts = [judge(lesson, collected) for lesson in suite.lessons]
        assert tuple(one.verdict for one in verdicts) == expected, (mixture, twice)
        effect = verdicts[0].leading.effect
        assert effect.value == pytest.approx(mixture, abs=0.01)
        assert effect.num_files == 20 and len(effect.by_seed) == 2


def test_a_claim_of_our_own_does_not_decide_the_lesson(suite, made_up, tmp_path):
    by = {("mixture", "code"): 0.2, ("mixture", "middle"): 0.3}
    made_up(suite, suite.scale("toy"), tmp_path, arms_that_differ(by, spread=0.003))
    verdict = judge(suite.lessons[0], collect(suite, suite.scale("toy"), tmp_path))
    assert [one.verdict for one in verdict.claims] == [AGREES, DISAGREES]
    assert verdict.verdict == AGREES


def test_a_contrast_of_four_arms_is_their_weighted_sum(suite, made_up, tmp_path):
    lesson = suite.lessons[0]
    claim = Claim("both", "Both.", {"mixture": 1, "causal": -0.5, "twice": -0.5}, "code", "less")
    by = {("mixture", "code"): 0.1, ("causal", "code"): 0.4, ("twice", "code"): 0.2}
    made_up(suite, suite.scale("toy"), tmp_path, arms_that_differ(by, spread=0.001))
    judged = judge(replace(lesson, claims=(claim,)), collect(suite, suite.scale("toy"), tmp_path))
    assert judged.leading.effect.value == pytest.approx(0.1 - 0.3, abs=0.005)


def test_only_seeds_that_all_arms_have_are_compared(suite, made_up, tmp_path):
    scale = suite.scale("toy")
    made_up(suite, scale, tmp_path, arms_that_differ({}), arms=["causal"])
    made_up(suite, scale, tmp_path, arms_that_differ({}), arms=["mixture"], seeds=[2])
    first, second = (judge(lesson, collect(suite, scale, tmp_path)) for lesson in suite.lessons)
    assert first.leading.seeds == (2,) and first.verdict == CANNOT_TELL
    assert second.leading.effect is None and second.verdict == NOT_RUN


def test_runs_of_other_files_are_not_compared(suite, made_up, tmp_path):
    scale = suite.scale("toy")
    made_up(suite, scale, tmp_path, lambda *_: np.full(20, 2000.0), arms=["causal"])
    made_up(suite, scale, tmp_path, lambda *_: np.full(19, 2000.0), arms=["mixture"], num_files=19)
    with pytest.raises(InputError, match="measured on different files"):
        judge(suite.lessons[0], collect(suite, scale, tmp_path))


def test_records_of_two_corpora_are_not_mixed(suite, made_up, tmp_path):
    scale = suite.scale("toy")
    for corpus in ("a" * 64, "b" * 64):
        made_up(suite, scale, tmp_path, arms_that_differ({}), corpus=corpus)
    with pytest.raises(InputError, match=r"several corpora: 8 of aaaaaaaaaaaa, 8 of bbbbbbbbbbbb"):
        collect(suite, scale, tmp_path)
    assert len(collect(suite, scale, tmp_path, "b" * 64).runs) == 6
