"""Write figures as lm-eval 0.4.13 does (its ``EvalResults``), for what reads its ``results_*.json``.

Its metrics are named ``METRIC,FILTER`` and ``METRIC_stderr,FILTER``. What was not measured by lm-eval itself
has no configuration of a task in it, and says who made it: ``"source": "spanmix"``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from spanmix import __version__

_TASKS = {
    "piqa": ("piqa", 1.0),
    "hellaswag": ("hellaswag", 1.0),
    "boolq": ("boolq", 2.0),
    "lambada": ("lambada_openai", 1.0),
}
"""lm-eval's task and its version, by ours."""

_MODEL_FACTS = ("model", "weights_sha256", "engine", "seed")


def choice_results(found: Mapping[str, Any], model: str, seed: int) -> dict[str, Any]:
    """Return the figures of multiple-choice tasks.

    Args:
        found: by task, a `spanmix.evaluate.choice.score.ChoiceResult` as a dictionary; others, such as
            ``xsum``, for which lm-eval has no task that is asked in this way, are left out.
        model: its name.
        seed: of the measurement.
    """
    tasks = {}
    for name, result in found.items():
        if name in _TASKS:
            task, version = _TASKS[name]
            metrics = {}
            for metric, figure in result["figures"].items():
                stderr = figure["stderr"]
                metrics[f"{metric},none"] = figure["interval"]["value"]
                metrics[f"{metric}_stderr,none"] = "N/A" if stderr is None else stderr
            tasks[task] = (metrics, result["num_items"], version)
    return _results(tasks, {"model": model, "seed": seed})


def code_results(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return pass@k of a report of `spanmix.evaluate.code.report`, with HumanEval under lm-eval's name."""
    metrics = {f"pass@{k},create_test": figure["value"] for k, figure in report["pass_at_k"].items()}
    problems = report["problems"]
    settings = report["settings"] or {}
    facts = {name: settings[name] for name in _MODEL_FACTS if name in settings}
    return _results({problems["name"]: (metrics, problems["number"], 1.0)}, facts)


def _results(
    tasks: Mapping[str, tuple[dict[str, Any], int, float]], facts: Mapping[str, Any]
) -> dict[str, Any]:
    better = {
        task: {name: name != "perplexity" for name in _names(metrics)}
        for task, (metrics, _, _) in tasks.items()
    }
    return {
        "results": {
            task: {"name": task, "alias": task, "sample_len": number, **metrics}
            for task, (metrics, number, _) in tasks.items()
        },
        "group_subtasks": {},
        "configs": {},
        "versions": {task: version for task, (_, _, version) in tasks.items()},
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": better,
        "n-samples": {
            task: {"original": number, "effective": number} for task, (_, number, _) in tasks.items()
        },
        "config": {"source": "spanmix", "spanmix": __version__, **facts},
        "date": time.time(),
        "model_source": "spanmix",
        "model_name": facts.get("model", "unknown"),
    }


def _names(metrics: Mapping[str, Any]) -> list[str]:
    """Return the names of the metrics, without filters and standard errors."""
    plain = (name.partition(",")[0] for name in metrics)
    return [name for name in plain if not name.endswith("_stderr")]
