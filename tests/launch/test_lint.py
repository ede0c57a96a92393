"""The launch files are what the programs take that read them; those that come as packages check them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "launch"
SCRIPTS = ["torchrun.sh", "slurm.sbatch"]


def program(name):
    """A program that a package of the development environment brought."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found is not None, f"{name} is not beside {sys.executable}; run make install"
    return found


def shellcheck(text):
    """What shellcheck finds in a bash script."""
    command = [program("shellcheck"), "--shell=bash", "--format=json", "-"]
    found = subprocess.run(command, input=text, capture_output=True, text=True)
    assert found.returncode in (0, 1), found.stderr
    return [f"line {note['line']}: {note['message']}" for note in json.loads(found.stdout)]


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_sound(name):
    text = (LAUNCH / name).read_text()
    assert subprocess.run(["bash", "-n", str(LAUNCH / name)], capture_output=True).returncode == 0
    assert shellcheck(text) == []
    assert shellcheck(text.replace('"$@"', "$@")) != []  # it does look
    assert "set -euo pipefail" in text and (LAUNCH / name).stat().st_mode & 0o111


def test_slurm_is_asked_for_a_signal_in_time_and_to_let_the_job_come_back():
    text = (LAUNCH / "slurm.sbatch").read_text()
    directives = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", text, re.M))
    assert len(directives) == len(re.findall("^#SBATCH", text, re.M)) > 8
    assert directives["signal"] == "B:USR1@180" and directives["requeue"] == ""
    assert directives["open-mode"] == "append"  # the log of the first start stays
    assert directives["ntasks-per-node"] == "1"  # torchrun starts the others
    first_command = re.search(r"^[^#\n]", text, re.M)
    assert text.rindex("#SBATCH") < first_command.start()  # Slurm reads no further
    wait = re.search(r"SAVE_SECONDS:-(\d+)", (LAUNCH / "torchrun.sh").read_text())
    assert int(wait[1]) < 180


def test_the_dockerfile_is_sound_and_takes_nothing_but_what_it_needs():
    text = (LAUNCH / "Dockerfile").read_text()
    lint = [program("hadolint"), "--failure-threshold=warning", "--format=json", "-"]
    found = subprocess.run(lint, input=text, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    worse = text.replace("USER 1000", "USER root")
    worse = subprocess.run(lint, input=worse, capture_output=True, text=True)
    assert worse.returncode == 1  # it does look

    instructions = re.sub(r"\\\n", " ", re.sub("^#.*\n", "", text, flags=re.M)).splitlines()
    users = [line.split()[1] for line in instructions if line.startswith("USER")]
    assert users == ["1000"] and instructions.index("USER 1000") < instructions.index(
        'ENTRYPOINT ["spanmix"]'
    )
    copied = {name for line in instructions if line.startswith("COPY") for name in line.split()[1:-1]}
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in ignore if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied) and len(copied) == 6
    assert not re.search(r"(?i)(token|secret|password|api_key)\s*=", text)


def test_the_train_job_is_one_for_kubeflow():
    from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob as TrainJob

    fields = yaml.safe_load((LAUNCH / "trainjob.yaml").read_text())
    # The model passes over keys that it does not know, so a wrong one is lost on the way back.
    assert TrainJob.from_dict(fields).to_dict() == fields
    fields["spec"]["trainer"]["numNode"] = fields["spec"]["trainer"].pop("numNodes")
    assert TrainJob.from_dict(fields).to_dict() != fields
    del fields["spec"]["runtimeRef"]["name"]
    with pytest.raises(ValidationError):
        TrainJob.from_dict(fields)


def test_the_train_job_trains_and_gives_time_to_save():
    from spanmix.cli.parser import parse

    spec = yaml.safe_load((LAUNCH / "trainjob.yaml").read_text())["spec"]
    trainer = spec["trainer"]
    assert trainer["command"] == ["torchrun"] and trainer["args"][:2] == ["-m", "spanmix"]
    args = parse(trainer["args"][2:])
    assert str(args.out).startswith("/data/")
    (patch,) = spec["runtimePatches"]
    (job,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = job["template"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    seconds = {variable["name"]: int(variable["value"]) for variable in trainer["env"]}
    assert seconds["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] < pod["terminationGracePeriodSeconds"]
    assert pod["securityContext"]["runAsNonRoot"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SkyRecovery(Strict):
    strategy: str | None = None
    max_restarts_on_errors: int = Field(0, ge=0)
    recover_on_exit_codes: list[int] = []


class SkyResources(Strict):
    accelerators: str = Field(pattern=r"^[A-Z][A-Z0-9-]*:[1-9]\d*$")
    infra: str | None = None
    disk_size: int = Field(256, ge=1)
    use_spot: bool = False
    job_recovery: SkyRecovery = SkyRecovery()


class SkyStorage(Strict):
    name: str
    source: str | list[str] | None = None
    store: Literal["s3", "gcs", "azure", "r2", "ibm", "oci", "nebius"] | None = None
    mode: Literal["MOUNT", "COPY", "MOUNT_CACHED"] = "MOUNT"


class SkyTask(Strict):
    """The fields of a SkyPilot task that are used here, from its documentation (YAML spec, version 0.14)."""

    name: str
    num_nodes: int = Field(ge=1)
    resources: SkyResources
    envs: dict[str, str | None]
    workdir: str
    file_mounts: dict[str, SkyStorage | str]
    setup: str
    run: str


def test_the_task_is_one_for_skypilot():
    fields = yaml.safe_load((LAUNCH / "skypilot.yaml").read_text())
    task = SkyTask.model_validate(fields)
    for script in (task.setup, task.run):
        assert shellcheck(script) == []
    given = {"SKYPILOT_NUM_NODES", "SKYPILOT_NUM_GPUS_PER_NODE", "SKYPILOT_NODE_IPS"}
    used = set(re.findall(r"\$\{?([A-Z_]+)", task.run))
    assert given <= used <= given | set(task.envs) | {"MASTER_ADDR"}
    assert task.resources.use_spot and task.resources.job_recovery.max_restarts_on_errors > 0
    with pytest.raises(ValidationError, match="use_spots"):
        SkyTask.model_validate(fields | {"resources": {"accelerators": "H100:8", "use_spots": True}})
