"""A run that is measured on its way ends with the same bits, goes on with the same figures, on any mesh."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from spanmix.evaluate.loop_hooks import prepare_hooks
from spanmix.evaluate.report import write_report
from spanmix.evaluate_config import EvaluateConfig, ExecutedConfig
from spanmix.recipes import to_yaml
from spanmix.train.metrics import read_metrics
from spanmix.train.run import train

WATCHED = {"held_out", "solution_bits_per_byte", "infill", "executed"}
NAMES = {
    "made_up",
    "made_up/pass@1",
    *(f"{source}/{what}" for source in ("code", "prose") for what in ("exact", "edit_similarity")),
    *(f"{source}/{objective}" for source in ("code", "prose") for objective in ("causal", "infill")),
}


def problem(number):
    return {
        "task_id": f"T/{number}",
        "prompt": f"def value_{number}(name):\n",
        "entry_point": f"value_{number}",
        "canonical_solution": f"    return name + {number}\n",
        "test": f"def check(candidate):\n    assert candidate(1) == {number + 1}\n",
    }


@pytest.fixture
def measured_recipe(recipe, tmp_path):
    """Eight steps, with all that can be measured after every fourth."""
    path = tmp_path / "made_up.jsonl"
    path.write_text("".join(json.dumps(problem(n)) + "\n" for n in range(3)))
    executed = ExecutedConfig(problems=str(path), max_tokens=16, num_workers=1)
    evaluate = EvaluateConfig(4, held_out_rows=2, solutions=str(path), infill_spans=3, executed=executed)
    return replace(recipe, run=replace(recipe.run, num_steps=8), evaluate=evaluate)


def figures(folder, step):
    """What hooks measured after a step, by name."""
    lines = read_metrics(folder / "metrics.jsonl")
    return {m["name"]: m["value"] for m in lines if m["step"] == step and m["kind"] in WATCHED}


def test_measuring_changes_no_bit_and_a_resumed_run_measures_the_same(
    measured_recipe, tmp_path, assert_same_run
):
    make_hooks = prepare_hooks(measured_recipe, pytest.fail, pytest.fail)
    train(measured_recipe, tmp_path / "whole", make_hooks)
    assert figures(tmp_path / "whole", 4).keys() == figures(tmp_path / "whole", 8).keys() == NAMES
    assert figures(tmp_path / "whole", 4) != figures(tmp_path / "whole", 8)

    def report(done, total, metrics):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(measured_recipe, tmp_path / "parts", make_hooks, report)
    train(measured_recipe, tmp_path / "parts", make_hooks)
    assert_same_run(tmp_path / "whole", tmp_path / "parts", measured_recipe)
    off = replace(measured_recipe, evaluate=EvaluateConfig())
    train(off, tmp_path / "unmeasured")
    weights = [
        (tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "unmeasured")
    ]
    assert weights[0] == weights[1]

    results = {"title": "t", "sources": {}, "infill": [], "facts": {}, "seconds": {}}
    write_report(tmp_path / "report.html", results, read_metrics(tmp_path / "whole" / "metrics.jsonl"))
    page = (tmp_path / "report.html").read_text()
    assert all(title in page for title in ("Solution bits per byte", "Infill", "Executed", "made_up/pass@1"))


@pytest.mark.parametrize(
    "how", ["parallel.shard_size=0", pytest.param("parallel.tensor_size=2", marks=pytest.mark.nightly)]
)
def test_processes_measure_what_one_alone_does(measured_recipe, tmp_path, how):
    evaluate = replace(measured_recipe.evaluate, every_steps=1)
    recipe = replace(measured_recipe, evaluate=evaluate, run=replace(measured_recipe.run, precision="fp32"))
    recipe = replace(recipe, schedule=replace(recipe.schedule, final_ratio=1.0))
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    train(
        replace(recipe, run=replace(recipe.run, num_steps=1)),
        tmp_path / "alone",
        prepare_hooks(recipe, pytest.fail, pytest.fail),
    )

    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    command = ["spanmix", "train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "two")]
    finished = subprocess.run(
        [*start, *command, "run.num_steps=1", how],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    said = finished.stderr
    assert finished.returncode == 0, said[-3000:]
    assert "solution bits per byte made_up " in said and "executed made_up/pass@1 0.000" in said
    found, expected = (figures(tmp_path / name, 1) for name in ("two", "alone"))
    assert found.keys() == expected.keys() == NAMES
    assert found == pytest.approx(expected, rel=1e-3)
