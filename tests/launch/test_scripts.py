"""The launch scripts start real runs; under Slurm one whose time is over is saved, queued again, and ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from spanmix.recipes import to_yaml
from spanmix.train.metrics import read_metrics

ROOT = Path(__file__).parents[2]

# Passes a signal on to every process of the step, the ranks among them, as Slurm does.
SRUN = """#!/usr/bin/env bash
set -m
echo "srun $*" >>"$CALLS"
"$@" &
step=$!
trap 'kill -USR1 -- "-$step"' USR1
trap 'kill -TERM -- "-$step"' TERM
while kill -0 "$step" 2>/dev/null; do wait "$step"; done
wait "$step"
"""
SCONTROL = """#!/usr/bin/env bash
echo "scontrol $*" >>"$CALLS"
if [[ $1 == show ]]; then printf '127.0.0.1\\n'; fi
"""


@pytest.fixture
def cluster(recipe, tmp_path):
    """A machine that looks like a node of Slurm: its programs write down how they are called."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    (tmp_path / "calls").touch()
    return {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "PYTHON": sys.executable,
        "OMP_NUM_THREADS": "1",
        "NPROC_PER_NODE": "2",
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NODELIST": "node-1",
        "SLURM_SUBMIT_DIR": str(ROOT),
    }


def calls(folder):
    return (folder / "calls").read_text().splitlines()


def steps_done(folder):
    path = folder / "run" / "metrics.jsonl"
    # A line that is being written ends in the middle.
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return max((json.loads(line)["step"] for line in lines if line.endswith("\n")), default=0)


def sbatch(folder, *overrides):
    # As in Slurm, a copy of the script runs, from another folder.
    script = folder / "slurm_script"
    script.write_text((ROOT / "launch" / "slurm.sbatch").read_text())
    return ["bash", str(script), str(folder / "recipe.yaml"), str(folder / "run"), *overrides]


def wait_for(condition, process):
    while not condition():
        if process.poll() is not None:
            pytest.fail(f"it ended with {process.returncode}: {process.stderr.read()[-3000:]}")
        time.sleep(0.02)


def finish(process):
    _, said = process.communicate(timeout=200)
    return process.returncode, said


def start(command, environment):
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def test_a_job_whose_time_is_over_is_saved_queued_again_and_ends(cluster, recipe, tmp_path):
    endless = replace(recipe, run=replace(recipe.run, num_steps=100_000, save_every_steps=100_000))
    (tmp_path / "recipe.yaml").write_text(to_yaml(endless))
    job = start(sbatch(tmp_path), cluster)
    wait_for(lambda: steps_done(tmp_path) >= 2, job)
    job.send_signal(signal.SIGUSR1)
    code, said = finish(job)
    assert code == 0, said[-3000:]
    srun, *_ = [call for call in calls(tmp_path) if call.startswith("srun")]
    assert f"bash {ROOT}/launch/torchrun.sh {tmp_path}/recipe.yaml --out {tmp_path}/run" in srun
    assert calls(tmp_path)[-1] == "scontrol requeue 4711"
    (saved,) = (tmp_path / "run" / "checkpoints").glob("step-*")
    stopped_at = int(saved.name.removeprefix("step-"))
    assert stopped_at >= 2

    # The same line again; the recipe now ends soon, as an endless run would not let the test end.
    ends = replace(recipe, run=replace(endless.run, num_steps=stopped_at + 2))
    (tmp_path / "recipe.yaml").write_text(to_yaml(ends))
    before = len(calls(tmp_path))
    code, said = finish(start(sbatch(tmp_path), cluster))
    assert code == 0, said[-3000:]
    assert not [call for call in calls(tmp_path)[before:] if "requeue" in call]
    assert steps_done(tmp_path) == stopped_at + 2
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
    losses = [m["step"] for m in read_metrics(tmp_path / "run" / "metrics.jsonl") if m["name"] == "grad_norm"]
    assert losses == list(range(1, stopped_at + 3))


# Stands for the run: says that it is told to stop, and how it ends then.
RUN = """#!/usr/bin/env bash
trap 'stopped=1' USR1 TERM
mkdir -p "$STAND_IN/run"
touch "$STAND_IN/up"
while [[ -z ${stopped:-} ]]; do sleep 0.05; done
if [[ -n ${SAVES:-} ]]; then
    echo '{"step": 3, "kind": "stopped", "text": "after step 3"}' >>"$STAND_IN/run/events.jsonl"
fi
exit "$CODE"
"""


@pytest.mark.parametrize(
    ("number", "saves", "code", "requeued"),
    [
        (signal.SIGUSR1, "1", 1, True),  # as torchrun ends
        (signal.SIGUSR1, "1", 3, True),  # as one process ends
        (signal.SIGUSR1, "", 1, False),  # it failed just then
        (signal.SIGUSR1, "", 0, False),  # it was done just then
        (signal.SIGTERM, "1", 1, False),  # cancelled: Slurm tells the run, not the script
    ],
)
def test_only_a_run_that_is_saved_because_its_time_is_over_is_queued_again(
    cluster, tmp_path, number, saves, code, requeued
):
    stand_in = tmp_path / "launch"
    stand_in.mkdir()
    (stand_in / "torchrun.sh").write_text(RUN)
    # An earlier start was stopped too.
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "events.jsonl").write_text('{"step": 1, "kind": "stopped", "text": "after step 1"}\n')
    environment = cluster | {"SLURM_SUBMIT_DIR": str(tmp_path), "STAND_IN": str(tmp_path)}
    job = start(sbatch(tmp_path), environment | {"SAVES": saves, "CODE": str(code)})
    wait_for((tmp_path / "up").exists, job)
    if number == signal.SIGUSR1:
        job.send_signal(number)
    else:
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(job.pid)], capture_output=True, text=True)
        os.kill(int(listed.stdout.split()[0]), number)
    ended, said = finish(job)
    assert ended == (0 if requeued else code), said
    assert ("scontrol requeue 4711" in calls(tmp_path)) == requeued


def test_the_first_of_many_nodes_is_where_all_meet(cluster, tmp_path):
    """More names than a pipe holds: who reads only the first must not end who writes them."""
    stand_in = tmp_path / "launch"
    stand_in.mkdir()
    (stand_in / "torchrun.sh").write_text('echo "$NNODES $MASTER_ADDR $RUN_ID $*" >"$STAND_IN/up"\n')
    (tmp_path / "bin" / "scontrol").write_text("#!/usr/bin/env bash\nseq -f node-%g 1 20000\n")
    environment = cluster | {"SLURM_SUBMIT_DIR": str(tmp_path), "STAND_IN": str(tmp_path)}
    code, said = finish(start(sbatch(tmp_path, "run.seed=2"), environment))
    assert code == 0, said
    given = f"{tmp_path}/recipe.yaml --out {tmp_path}/run run.seed=2"
    assert (tmp_path / "up").read_text() == f"20000 node-1 4711 {given}\n"


def test_a_run_that_fails_is_not_queued_again(cluster, tmp_path):
    code, said = finish(start(sbatch(tmp_path, "run.num_steps=zero"), cluster | {"NPROC_PER_NODE": "1"}))
    assert code == 1 and "run.num_steps" in said
    assert not [call for call in calls(tmp_path) if "requeue" in call]


def test_two_machines_train_together(cluster, recipe, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    environment = cluster | {"NNODES": "2", "NPROC_PER_NODE": "1", "MASTER_ADDR": "127.0.0.1"}
    environment |= {"MASTER_PORT": str(port), "MAX_RESTARTS": "0"}
    command = ["bash", str(ROOT / "launch" / "torchrun.sh"), str(tmp_path / "recipe.yaml")]
    command += ["--out", str(tmp_path / "run"), "run.num_steps=3", "parallel.shard_size=0"]
    nodes = [start(command, environment) for _ in range(2)]
    ended = [finish(node) for node in nodes]
    assert [code for code, _ in ended] == [0, 0], ended[0][1][-2000:] + ended[1][1][-2000:]
    assert steps_done(tmp_path) == 3 and (tmp_path / "run" / "model").is_dir()


@pytest.mark.parametrize(
    ("script", "arguments", "environment", "said"),
    [
        ("torchrun.sh", ["recipe.yaml"], {}, "usage: torchrun.sh RECIPE --out RUN"),
        ("torchrun.sh", ["r.yaml", "--out", "run"], {"NNODES": "2"}, "NNODES is 2; set MASTER_ADDR"),
        ("slurm.sbatch", ["recipe.yaml"], {}, "usage: sbatch launch/slurm.sbatch RECIPE RUN"),
    ],
)
def test_wrong_use_is_told_with_exit_code_2(script, arguments, environment, said):
    bare = {name: value for name, value in os.environ.items() if not re.match("MASTER_|NNODES", name)}
    command = ["bash", str(ROOT / "launch" / script), *arguments]
    found = subprocess.run(command, env=bare | environment, capture_output=True, text=True)
    assert found.returncode == 2 and said in found.stderr
