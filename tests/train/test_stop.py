"""A run that is asked to stop finishes its step, saves, and goes on later as if nothing had happened."""

import os
import random
import signal
from contextlib import contextmanager
from dataclasses import replace

import pytest

from spanmix.cli.signals import SIGNALS, stop_signals
from spanmix.errors import StoppedEarlyError
from spanmix.recipes import to_yaml
from spanmix.train.events import read_events
from spanmix.train.run import train


def test_a_library_stops_at_any_step_and_goes_on_bit_for_bit(recipe, tmp_path, assert_same_run):
    """Also between two reports: what was measured so far is saved too."""
    recipe = replace(recipe, run=replace(recipe.run, log_every_steps=4, save_every_steps=12, num_steps=12))
    train(recipe, tmp_path / "whole")
    stops = sorted(random.SystemRandom().sample(range(1, 12), 3))
    entered = []

    @contextmanager
    def after(stop):
        entered.append(stop)
        yield lambda: done[-1] >= stop

    done = [0]
    for stop in stops:
        with pytest.raises(StoppedEarlyError, match=f"after step {stop} of 12.*same command goes on"):
            train(recipe, tmp_path / "run", report=lambda d, t, m: done.append(d), stop=after(stop))
        assert not (tmp_path / "run" / "model").exists()
    train(recipe, tmp_path / "run", stop=after(99))
    assert entered == [*stops, 99]
    assert_same_run(tmp_path / "whole", tmp_path / "run", recipe)
    events = read_events(tmp_path / "run" / "events.jsonl")
    assert [(event.step, event.kind) for event in events] == [(stop, "stopped") for stop in stops]


def test_a_stop_at_the_last_step_is_the_end(recipe, tmp_path):
    from contextlib import nullcontext

    one = replace(recipe, run=replace(recipe.run, num_steps=1))
    done = []
    stop = nullcontext(lambda: bool(done))
    assert train(one, tmp_path / "run", report=lambda d, t, m: done.append(d), stop=stop).is_dir()
    assert done == [1]
    assert not (tmp_path / "run" / "events.jsonl").exists()


def test_the_handlers_are_there_inside_and_as_before_outside():
    mine = [lambda number, frame: None for _ in SIGNALS]
    before = [signal.signal(number, handler) for number, handler in zip(SIGNALS, mine, strict=True)]
    try:
        for number in SIGNALS:
            with pytest.raises(ValueError), stop_signals() as should_stop:
                assert not should_stop()
                for _ in range(3):
                    os.kill(os.getpid(), number)
                assert should_stop()
                raise ValueError
        assert [signal.getsignal(number) for number in SIGNALS] == mine
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)
    assert signal.SIGINT not in SIGNALS


# Sends itself signals: `at` step 5, and `again` as often while the checkpoint of that step is written.
SIGNALLED = """
import os, signal, sys
from spanmix.cli import main
from spanmix.train import checkpoint, loop
number, again = int(sys.argv[1]), int(sys.argv[2])
write, log = checkpoint.write_progress, loop.MetricsLog.write
def report(self, metrics, step, rows, tokens):
    log(self, metrics, step, rows, tokens)
    if step == 5:
        os.kill(os.getpid(), number)
def slow(folder, progress):
    for _ in range(again if progress.step == 5 else 0):
        os.kill(os.getpid(), number)
    write(folder, progress)
loop.MetricsLog.write = report
checkpoint.write_progress = slow
sys.exit(main(sys.argv[3:]))
"""


# Sends itself a signal, at first when the run's lock has been taken, later where its loop would begin.
EARLY = """
import os, signal, sys
from spanmix.__main__ import start
from spanmix.train import run
name = sys.argv.pop(1)
given = getattr(run, name)
def signalled(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGTERM)
    return given(*args, **kwargs)
setattr(run, name, signalled)
start()
"""


def test_a_signal_before_the_first_step_exits_with_3_and_a_sentence(
    recipe, tmp_path, run_forked, whole_run, assert_same_run
):
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    command = ["train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]
    for place in ("_train_locked", "_spread_model", "watched"):
        ended = run_forked(EARLY, place, *command)
        assert ended.returncode == 3, ended.stderr
        assert ended.stderr.splitlines()[-1] == (
            "spanmix: stopped before the first step, as it was asked to; nothing was lost, the same command "
            "goes on"
        )
        assert not (tmp_path / "run" / "checkpoints").exists()
    events = read_events(tmp_path / "run" / "events.jsonl")
    assert [(event.step, event.kind) for event in events] == [(0, "stopped")] * 3
    train(recipe, tmp_path / "run")
    assert_same_run(whole_run, tmp_path / "run", recipe)


# Interrupts itself while step 3 is saved, by a thread, until it ends.
IMPATIENT = """
import os, signal, sys, time
from spanmix.__main__ import start
from spanmix.train import checkpoint
def endless(folder, progress):
    while True:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
checkpoint.write_progress = endless
start()
"""


def test_ctrl_c_again_and_again_during_a_save_ends_with_130_and_a_word(
    recipe, tmp_path, run_forked, whole_run, assert_same_run
):
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    command = ["train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]
    ended = run_forked(IMPATIENT, *command)
    assert ended.returncode == 130, ended.stderr
    assert ended.stderr.splitlines()[-1] == "spanmix: interrupted" and "Traceback" not in ended.stderr
    checkpoints = tmp_path / "run" / "checkpoints"
    assert [path.name for path in checkpoints.iterdir()] == [".step-3.spanmix-partial"]
    train(recipe, tmp_path / "run")
    assert not list(checkpoints.glob(".*"))
    assert_same_run(whole_run, tmp_path / "run", recipe)


@pytest.mark.parametrize(("number", "again"), [(signal.SIGTERM, 3), (signal.SIGUSR1, 0)])
def test_a_signal_saves_and_exits_with_3(
    recipe, tmp_path, number, again, run_forked, whole_run, assert_same_run
):
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    command = ["train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]
    ended = run_forked(SIGNALLED, int(number), again, *command)
    assert ended.returncode == 3, ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("spanmix: stopped after step 5 of 12")
    checkpoints = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert checkpoints == ["step-3", "step-5"]
    assert not (tmp_path / "run" / "model").exists()
    train(recipe, tmp_path / "run")
    assert_same_run(whole_run, tmp_path / "run", recipe)


def test_ctrl_c_interrupts_at_once_with_130(recipe, tmp_path, run_forked):
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    command = ["train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]
    ended = run_forked(SIGNALLED, int(signal.SIGINT), 0, *command)
    assert ended.returncode == 130, ended.stderr
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-3"]
    last = ended.stderr.splitlines()[-1]
    assert last == f"spanmix: interrupted. the same command goes on from {tmp_path}/run/checkpoints/step-3"


def test_the_exit_codes_are_told(capsys):
    from spanmix.cli import main

    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert "3 stopped early by\nSIGTERM or SIGUSR1 and saved: the same command goes on" in said
    assert "130 interrupted by Ctrl-C" in said
