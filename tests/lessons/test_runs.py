"""Runs are made once, and measure the same whatever interrupts them."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from spanmix.errors import InputError, SpanmixError, StoppedEarlyError
from spanmix.lessons import pool
from spanmix.lessons.collected import collect
from spanmix.lessons.make_run import do_job
from spanmix.lessons.parts import Understanding
from spanmix.lessons.plan import Folders, main_jobs, sweep_jobs
from spanmix.lessons.pool import places, run_jobs
from spanmix.lessons.records import read_runs, read_tasks
from spanmix.lessons.report import write_reports
from spanmix.lessons.runner import Asked, one_suite, plan_of, run_suite
from spanmix.lessons.suite import load_suite
from spanmix.text.corpus import read_tokenizer
from spanmix.train.machines import machine_named

NOBODY = nullcontext(lambda: False)


def quiet(*_):
    """Report nothing."""


def no_corpus(*_):
    raise AssertionError("it makes a corpus")


def small_suite(folder):
    """One seed, no sweep, two arms."""
    suite = load_suite(folder)
    scale = replace(suite.scale("toy"), sweep=None, seeds=(1,), arms=("mixture", "twice"))
    return replace(suite, scales={"toy": scale}), scale


def jobs_of(suite, scale, corpus, out, metrics):
    fingerprint = read_tokenizer(corpus)[0].fingerprint
    folders = Folders(out, metrics, corpus)
    rate = scale.recipe["optimizer"]["learning_rate"]
    return sweep_jobs(suite, scale, fingerprint, folders) + main_jobs(
        suite, scale, (), rate, fingerprint, folders
    )


def measured(metrics):
    """All that the records say but for what clocks said."""
    return {record.file_name: replace(record, seconds={}) for record in read_runs(metrics)}


@pytest.fixture(scope="module")
def uninterrupted(suite_folder, corpus_folder, tmp_path_factory):
    """The records of the small suite, each run made in one go, in this process."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    suite, scale = small_suite(suite_folder)
    for job in jobs_of(suite, scale, corpus_folder, folder / "out", folder / "metrics"):
        do_job(job, NOBODY, quiet, quiet)
    return measured(folder / "metrics")


def test_a_record_holds_what_was_asked_for(uninterrupted, suite_folder):
    _, scale = small_suite(suite_folder)
    assert sorted(record.arm for record in uninterrupted.values()) == ["mixture", "twice"]
    for record in uninterrupted.values():
        assert record.steps == 6 and record.positions == 6 * 2 * 64
        assert 0 < record.tokens <= record.positions and record.flops > 1e8
        assert set(record.held_out) == {"code", "prose"} and set(record.middles) == {
            "single_line",
            "multi_line",
        }
        assert all(0.1 < files.bits_per_byte < 9 for files in record.held_out.values())
        assert len(record.middles["single_line"].shown) == scale.measuring.single_line_spans
        assert record.middles["single_line"].shown != record.middles["single_line"].left_to_right
        assert [point["step"] for point in record.curve] == [3, 6]
    mixture, twice = (next(r for r in uninterrupted.values() if r.arm == arm) for arm in ("mixture", "twice"))
    assert mixture.held_out["code"].documents == twice.held_out["code"].documents
    assert mixture.held_out["code"].bits != twice.held_out["code"].bits
    assert twice.epochs["prose"] > mixture.epochs["prose"]


def test_a_run_that_is_stopped_at_random_measures_the_same(
    uninterrupted, suite_folder, corpus_folder, tmp_path
):
    suite, scale = small_suite(suite_folder)
    for job in jobs_of(suite, scale, corpus_folder, tmp_path / "out", tmp_path / "metrics")[1:]:
        assert job.arm == "twice", "the one on a corpus of its own"
        for stop in sorted(random.SystemRandom().sample(range(1, 6), 2)):
            done = [0]

            @contextmanager
            def after(stop=stop, done=done):
                yield lambda: done[-1] >= stop

            with pytest.raises(StoppedEarlyError, match=f"after step {stop} of 6"):
                do_job(job, after(), lambda step, total, metrics, done=done: done.append(step), quiet)
            assert job.missing()
        do_job(job, NOBODY, quiet, quiet)
        assert not job.missing()
        assert not (Path(job.out) / "checkpoints").exists()
        (found,) = measured(tmp_path / "metrics").items()
        assert found in uninterrupted.items()


def test_a_run_that_was_trained_and_not_measured_is_only_measured(
    uninterrupted, suite_folder, corpus_folder, tmp_path, monkeypatch
):
    suite, scale = small_suite(suite_folder)
    job = jobs_of(suite, scale, corpus_folder, tmp_path / "out", tmp_path / "metrics")[0]

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("spanmix.lessons.make_run.middle_bits", killed)
    with pytest.raises(KeyboardInterrupt):
        do_job(job, NOBODY, quiet, quiet)
    monkeypatch.undo()
    steps = []
    do_job(job, NOBODY, lambda step, total, metrics: steps.append(step), quiet)
    assert steps == []
    assert measured(tmp_path / "metrics").items() <= uninterrupted.items()


def test_no_run_is_made_twice(uninterrupted, suite_folder, corpus_folder, tmp_path, monkeypatch):
    from spanmix.lessons.records import write_record

    suite, scale = small_suite(suite_folder)
    for record in uninterrupted.values():
        write_record(tmp_path / "metrics", record)

    def train(*_, **__):
        raise AssertionError("it trains")

    monkeypatch.setattr("spanmix.lessons.make_run.train", train)
    for job in jobs_of(suite, scale, corpus_folder, tmp_path / "out", tmp_path / "metrics"):
        assert not job.missing()
        do_job(job, NOBODY, quiet, quiet)
    assert not (tmp_path / "out").exists()


def test_a_rate_that_diverges_is_written_down_and_never_tried_again(
    suite_folder, corpus_folder, tmp_path, monkeypatch
):
    suite = load_suite(suite_folder)
    job = jobs_of(suite, suite.scale("toy"), corpus_folder, tmp_path / "out", tmp_path / "metrics")[0]
    for text, kept in (("the disk is full", False), ("the loss is not finite at step 3", True)):

        def train(*_, text=text, **__):
            raise SpanmixError(text)

        monkeypatch.setattr("spanmix.lessons.make_run.train", train)
        if kept:
            do_job(job, NOBODY, quiet, quiet)
        else:
            with pytest.raises(SpanmixError, match=text):
                do_job(job, NOBODY, quiet, quiet)
        assert bool(job.missing()) != kept
    (record,) = read_runs(tmp_path / "metrics")
    assert record.failed == "the loss is not finite at step 3"
    collected = collect(suite, suite.scale("toy"), tmp_path / "metrics")
    assert [trial.code for trial in collected.trials] == [float("inf")]
    assert collected.learning_rate is None, "the other rate is still to be tried"


@pytest.fixture
def command(suite_folder, corpus_folder, tmp_path):
    """Writes a suite of the two arms, and returns what runs it in a process of its own."""
    shutil.copytree(suite_folder, tmp_path / "suite")
    path = tmp_path / "suite" / "scales" / "toy.yaml"
    text = (
        path.read_text()
        .replace("seeds: [1, 2]", "seeds: [1]")
        .replace("[causal, mixture, twice]", "[mixture, twice]")
    )
    path.write_text("\n".join(line for line in text.splitlines() if not line.startswith("sweep")))
    code = (
        "import sys\n"
        "from spanmix.cli import lessons, main, parser\n"
        "if lessons not in parser.VERBS: parser.VERBS = (*parser.VERBS, lessons)\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    place = [
        "--out",
        str(tmp_path / "out"),
        "--metrics",
        str(tmp_path / "docs"),
        "--corpus",
        str(corpus_folder),
    ]
    suite = ["--scale", "toy", "--suite", str(tmp_path / "suite")]
    return [sys.executable, "-c", code, "lessons", *suite, *place, "--workers", "1"]


def wait_until(holds, seconds=200.0):
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.02)


def children_of(process):
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=False
    )
    return [int(line) for line in found.stdout.split()]


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def started(command, tmp_path):
    """Start the suite, and wait until one of its runs has begun."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    before = {path.stat().st_ino for path in tmp_path.glob("out/runs/*/run.json")}
    wait_until(
        lambda: (
            process.poll() is not None
            or {path.stat().st_ino for path in tmp_path.glob("out/runs/*/run.json")} - before
        )
    )
    return process


def killed(command, tmp_path, seconds):
    """Kill the suite so long after it has begun a run; return whether it was still running."""
    process = started(command, tmp_path)
    time.sleep(seconds)
    workers, was_running = children_of(process), process.poll() is None
    process.kill()
    process.communicate()
    wait_until(lambda: not any(map(is_running, workers)))
    return was_running and bool(workers)


def finish_and_compare(tmp_path, corpus, uninterrupted):
    """Make what is left in this process; every record is that of runs that were made in one go."""
    suite = load_suite(tmp_path / "suite")
    for job in jobs_of(suite, suite.scale("toy"), corpus, tmp_path / "out", tmp_path / "docs" / "toy"):
        do_job(job, NOBODY, quiet, quiet)
    assert measured(tmp_path / "docs" / "toy") == uninterrupted


def test_a_suite_that_is_stopped_and_killed_measures_the_same(
    command, corpus_folder, tmp_path, uninterrupted
):
    process = started(command, tmp_path)
    workers = children_of(process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == 3, said
    last = said.splitlines()[-1]
    assert last.startswith("spanmix: stopped") and "spanmix lessons --scale toy --out" in last
    assert workers and not any(map(is_running, workers))
    assert "This report is not complete." in (tmp_path / "docs" / "toy.md").read_text()
    # Its workers end with a process that is killed.
    assert killed(command, tmp_path, random.SystemRandom().uniform(0, 1))
    finish_and_compare(tmp_path, corpus_folder, uninterrupted)


@pytest.mark.nightly
def test_a_suite_that_is_killed_five_times_measures_the_same(command, corpus_folder, tmp_path, uninterrupted):
    delays = [random.SystemRandom().uniform(0, 3) for _ in range(5)]
    assert sum(killed(command, tmp_path, delay) for delay in delays) >= 2
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert measured(tmp_path / "docs" / "toy") == uninterrupted
    docs = tmp_path / "docs"
    reports = {name: (docs / name).read_bytes() for name in ("toy.md", "toy.html", "verdicts.json")}
    (docs / "toy.md").unlink()
    write_reports(load_suite(tmp_path / "suite"), docs, {"toy": None})
    assert {name: (docs / name).read_bytes() for name in reports} == reports


def test_one_suite_works_in_a_folder_at_a_time(suite_folder, corpus_folder, tmp_path):
    suite, scale = small_suite(suite_folder)
    asked = Asked(suite, scale, (), tmp_path / "out", tmp_path / "docs", corpus_folder)
    with one_suite(tmp_path / "out"), pytest.raises(InputError, match="another process is running lessons"):
        run_suite(asked, no_corpus, places(0, 1, 1), NOBODY, quiet, quiet)


def test_a_plan_writes_nothing_and_knows_what_is_done(uninterrupted, suite_folder, corpus_folder, tmp_path):
    from spanmix.lessons.records import write_record

    suite, scale = small_suite(suite_folder)
    asked = Asked(suite, scale, (), tmp_path / "out", tmp_path / "docs", corpus_folder)
    plan = plan_of(asked, machine_named("cpu"), 2)
    assert (len(plan.runs), len(plan.left)) == (2, 2) and {run.basis for run in plan.runs} == {"estimated"}
    assert not list(tmp_path.iterdir())
    record = next(record for record in uninterrupted.values() if record.arm == "mixture")
    write_record(tmp_path / "docs" / "toy", replace(record, seconds={"train": 3600.0}))
    plan = plan_of(asked, machine_named("cpu"), 2)
    assert [run.configuration.arm for run in plan.left] == ["twice"]
    assert {run.basis for run in plan.runs} == {"measured"}
    assert plan.hours == pytest.approx(1.0) and plan.hours_left == pytest.approx(0.5)
    only = plan_of(replace(asked, only=(2,)), machine_named("cpu"), 2)
    assert {run.configuration.arm for run in only.runs} == {"mixture", "twice"}


def test_runs_are_made_seed_by_seed_after_the_sweep(suite_folder, corpus_folder, tmp_path):
    suite = load_suite(suite_folder)
    plan = plan_of(
        Asked(suite, suite.scale("toy"), (), tmp_path / "out", tmp_path / "docs", corpus_folder),
        machine_named("cpu"),
        1,
    )
    order = [(run.configuration.kind, run.configuration.arm, run.seed) for run in plan.runs]
    assert order[:2] == [("sweep", "mixture", 1)] * 2
    assert order[2:] == [("main", arm, seed) for seed in (1, 2) for arm in ("causal", "mixture", "twice")]


def test_what_a_worker_says_of_a_failure_is_told(suite_folder, corpus_folder, tmp_path):
    suite, scale = small_suite(suite_folder)
    job = jobs_of(suite, scale, corpus_folder, tmp_path / "out", tmp_path / "metrics")[0]
    wrong = replace(job, corpus=str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"the run mixture, seed 1 failed: corpus .*nowhere does not exist"):
        run_jobs([wrong], places(0, 1, 1), lambda: False, quiet, quiet)


def test_there_is_a_place_for_each_gpu_or_for_each_group_of_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [place.environment for place in places(0, 2)] == [{"OMP_NUM_THREADS": "2"}] * 4
    assert [place.environment for place in places(0, 0)] == [{"OMP_NUM_THREADS": "8"}]
    assert len(places(0, 1, 3)) == 3
    assert [place.environment["CUDA_VISIBLE_DEVICES"] for place in places(2, 1)] == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert [place.environment["CUDA_VISIBLE_DEVICES"] for place in places(2, 1)] == ["5", "7"]
    with pytest.raises(InputError, match="--workers is 3, and there are 2 GPUs"):
        pool.places(2, 1, 3)


def test_a_corpus_that_lacks_a_source_is_refused(suite_folder, corpus_folder, tmp_path):
    suite, scale = small_suite(suite_folder)
    sources = [{"name": "code", "weight": 0.5}, {"name": "poems", "weight": 0.5}]
    recipe = {**scale.recipe, "data": {**scale.recipe["data"], "sources": sources}}
    asked = Asked(
        suite, replace(scale, recipe=recipe), (), tmp_path / "out", tmp_path / "docs", corpus_folder
    )
    with pytest.raises(InputError, match="has the sources code, prose; the lessons need code, poems, prose"):
        run_suite(asked, no_corpus, places(0, 1, 1), NOBODY, quiet, quiet)
    nowhere = replace(asked, corpus=None)
    with pytest.raises(InputError, match="needs a corpus of yours"):
        run_suite(nowhere, no_corpus, places(0, 1, 1), NOBODY, quiet, quiet)
    assert len(plan_of(nowhere, machine_named("cpu"), 1).left) == 2, "a plan needs none"


@pytest.fixture
def verb(command, monkeypatch):
    """Runs the verb in this process, with what the command gives and more."""
    from spanmix.cli import lessons, main, parser

    if lessons not in parser.VERBS:
        monkeypatch.setattr(parser, "VERBS", (*parser.VERBS, lessons))
    return lambda *more: main([*command[3:], *more])


def test_the_command_line_plans_and_writes_nothing(verb, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    assert verb("--plan", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["runs"] == told["left"] == 2 and [one["arm"] for one in told["each"]] == ["mixture", "twice"]
    assert verb("--plan", "--only", "2", "--workers", "2") == 0
    assert "2 runs, 0 done, 2 left" in capsys.readouterr().out
    assert sorted(tmp_path.rglob("*")) == before


def test_the_command_line_reports_from_records_alone(verb, uninterrupted, tmp_path, capsys):
    from spanmix.lessons.records import write_record

    for record in uninterrupted.values():
        write_record(tmp_path / "docs" / "toy", record)
    assert verb("--report-only", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["verdict"] for one in told] == ["not run", "cannot tell"]
    assert verb("--report-only") == 0
    assert "1 Infill" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--scale", "huge"], "--scale: there is no 'huge'"),
        (["--only", "7"], "--only: there is no lesson 7"),
        (["--only", "one"], "is not a list of numbers"),
        (["--plan", "--report-only"], "give one of them"),
        (["--report-only"], "there are no records of scale toy"),
        (["--gpu", "abacus", "--plan"], "--gpu is 'abacus'"),
        (["--suite", "nowhere"], "is not a suite of lessons"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_one_paragraph(verb, tmp_path, capsys, more, said):
    before = sorted(tmp_path.rglob("*"))
    assert verb(*more) == 2
    assert said in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_model_is_fine_tuned_once_and_its_answers_are_kept_by_group(
    suite_folder, corpus_folder, tmp_path, monkeypatch
):
    suite, scale = small_suite(suite_folder)
    seen = ("causal", "bidirectional")
    asked = Understanding(("mixture",), ("defects",), seen, 8, 1, 1e-3, 4, 64)
    scale = replace(scale, understanding=asked)
    jobs = jobs_of(suite, scale, corpus_folder, tmp_path / "out", tmp_path / "metrics")
    assert [len(job.missing()) for job in jobs] == [3, 1]
    job = jobs[0]
    folder = Path(job.sets) / "defects"
    folder.mkdir(parents=True)
    for part in ("train", "valid", "test"):
        rows = [
            {
                "func": f"def f{n}(a):\n    return a {'+-'[n % 2]} {n}\n",
                "target": n % 2,
                "path": f"{n // 2}.py",
            }
            for n in range(8)
        ]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    do_job(job, NOBODY, quiet, quiet)
    records = read_tasks(tmp_path / "metrics")
    assert sorted(record.representation for record in records) == sorted(seen)
    for record in records:
        assert record.examples == (2, 2, 2, 2) and len(record.groups) == 4
        assert sum(record.right) / 8 == pytest.approx(record.accuracy)
        assert record.run_key == job.key and record.majority == 0.5

    def measure(*_, **__):
        raise AssertionError("it fine-tunes")

    monkeypatch.setattr("spanmix.evaluate.understanding.measure.measure", measure)
    do_job(job, NOBODY, quiet, quiet)
    collected = collect(suite, scale, tmp_path / "metrics")
    assert set(collected.tasks) == {("mixture", 1, "defects", one) for one in seen}
