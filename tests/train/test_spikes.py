"""A loss far above those before it is reported, the same after any resume, and nothing else."""

import json
import random
from dataclasses import asdict, replace

import pytest

from spanmix.train import spikes
from spanmix.train.events import EventLog, read_events
from spanmix.train.run import train
from spanmix.train.spikes import DEVIATIONS, LEAST_STEPS, LossTrend


def found(losses, trend=None):
    """The steps that are spikes, and the trend behind them."""
    trend = trend or LossTrend()
    steps = []
    for step, loss in enumerate(losses):
        if trend.is_spike(loss):
            steps.append(step)
        trend = trend.after(loss)
    return steps, trend


def falling(draw, num_steps):
    """Losses as a run has them: they fall fast, then slowly, with noise."""
    return [2.0 + 6.0 / (1 + step / 40) + draw.gauss(0, 0.1) for step in range(num_steps)]


def test_a_spike_is_found_and_noise_is_not():
    spiked = 0
    for seed in range(200):
        draw = random.Random(seed)
        losses = falling(draw, 600)
        assert found(losses)[0] == []
        place = draw.randrange(300, 600)
        losses[place] += 3.0
        assert found(losses)[0] == [place]
        spiked += 1
    assert spiked == 200


def test_one_spike_does_not_hide_the_next_and_a_new_level_is_soon_the_usual_one():
    draw = random.Random(1)
    losses = falling(draw, 600)
    for place in (400, 410, 420):
        losses[place] = 1e30
    assert found(losses)[0] == [400, 410, 420]
    steps, _ = found(losses[:400] + [loss + 3 for loss in losses[430:]] * 3)
    assert 1 <= len(steps) < 40 and steps[0] == 400


def test_too_few_losses_judge_none():
    losses = [1.0, 1.1] * (LEAST_STEPS // 2)
    assert found([*losses[:-1], 1e9])[0] == []
    assert found([*losses, 1e9])[0] == [LEAST_STEPS]


def test_the_trend_goes_through_json_bit_for_bit():
    cut_at = 0
    for seed in range(50):
        draw = random.Random(seed)
        losses = falling(draw, 300)
        losses[200] += 2 * DEVIATIONS
        cut = draw.randrange(300)
        first, trend = found(losses[:cut])
        again = LossTrend(**json.loads(json.dumps(asdict(trend))))
        second, end = found(losses[cut:], again)
        assert (first + [cut + step for step in second], end) == found(losses)
        cut_at += 0 < cut < 299
    assert cut_at > 40


def test_a_run_reports_its_spikes_once_after_any_resume(recipe, tmp_path, monkeypatch, assert_same_run):
    """With a bound so low that ordinary losses break it."""
    monkeypatch.setattr(spikes, "DEVIATIONS", 0.2)
    monkeypatch.setattr(spikes, "LEAST_STEPS", 2)
    hot = replace(recipe, optimizer=replace(recipe.optimizer, learning_rate=0.3))
    warned = []
    train(hot, tmp_path / "whole", warn=warned.append)
    events = read_events(tmp_path / "whole" / "events.jsonl")
    assert len(events) > 2 and [event.text for event in events] == warned
    assert {event.kind for event in events} == {"loss_spike"}
    first = events[0]
    assert f"the loss of step {first.step} is " in first.text and "Training goes on" in first.text
    assert f"Its rows begin with {4 * (first.step - 1)}" in first.text and ".py" in first.text
    for stop in sorted(random.SystemRandom().sample(range(4, 12), 2)):

        def report(done, total, metrics, stop=stop):
            if done == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(hot, tmp_path / "parts", report=report)
    train(hot, tmp_path / "parts")
    assert read_events(tmp_path / "parts" / "events.jsonl") == events
    assert_same_run(tmp_path / "whole", tmp_path / "parts", hot)


def test_what_befell_a_process_stays_in_the_record(tmp_path):
    log = EventLog(tmp_path, 0, lambda text: None)
    for step in (1, 2, 3):
        for kind in ("loss_spike", "skipped_batch", "stopped", "damaged_checkpoint", "tracker_failed"):
            log.record(step, kind, f"ä {step}")
    log.path.write_text(log.path.read_text() + '{"step": 3, "ki')
    EventLog(tmp_path, 2, lambda text: None)
    kept = [(event.step, event.kind) for event in read_events(log.path)]
    assert len(kept) == 13 and {kind for step, kind in kept if step == 3} == {
        "stopped",
        "damaged_checkpoint",
        "tracker_failed",
    }
