"""ask.py URL MODEL FOLDER: the tasks are written into FOLDER, and each is evaluated with both backends."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from own_python import tell
from report import CheckFailedError, expect
from transformers import AutoTokenizer

URL, MODEL, FOLDER = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
PLAIN = FOLDER.with_name("plain")
TOLERANCE = 1e-4
"""Of a log-probability, between two sums of float32 in another order."""
NUM_CONTEXTS = 12
ADDRESS = f"{URL}/v1/completions"
SETTINGS: dict[str, dict[str, Any]] = {
    "local-completions": {
        "model": MODEL.name,
        "base_url": ADDRESS,
        "tokenizer": str(MODEL),
        "tokenized_requests": True,
        "num_concurrent": 4,
    },
    "hf": {"pretrained": str(PLAIN), "dtype": "float32", "device": "cpu"},
}
TASKS: dict[str, dict[str, Any]] = {
    "choose": {
        "output_type": "multiple_choice",
        "doc_to_choice": "choices",
        "doc_to_target": 0,
        "metric_list": [{"metric": "acc"}],
    },
    "roll": {
        "output_type": "loglikelihood_rolling",
        "doc_to_target": "{{text}}",
        "metric_list": [{"metric": "bits_per_byte"}],
    },
    "write": {
        "output_type": "generate_until",
        "doc_to_target": "{{text}}",
        "metric_list": [{"metric": "exact_match"}],
        "generation_kwargs": {
            "until": ["\n\n", "ret"],
            "max_gen_toks": 24,
            "do_sample": False,
            "temperature": 0,
        },
    },
}


def write_tasks() -> None:
    """Write the tasks, and the data of all of them: made-up code, and the token that is to follow it."""
    FOLDER.mkdir(exist_ok=True)
    data = FOLDER / "data.jsonl"
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    with data.open("w", encoding="utf-8") as file:
        for number in range(NUM_CONTEXTS):
            context = f"def add_{number}(a, b):\n    return a + {number * 37}"
            fields = {"prompt": tokenizer(context)["input_ids"], "max_tokens": 1, "temperature": 0}
            likeliest = requests.post(ADDRESS, json=fields, timeout=60).json()["choices"][0]["text"]
            choices = [likeliest or "x", "\n\nprint(a)", " - b", "ö"]
            text = context + "\n\n" * (number % 3) + "class Näme: pass\n" * (number % 5)
            file.write(json.dumps({"context": context, "choices": choices, "text": text}) + "\n")
    shared = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
    }
    for name, task in TASKS.items():
        text = "" if name == "roll" else "{{context}}"
        whole = {"task": name, "doc_to_text": text, "target_delimiter": ""} | shared | task
        (FOLDER / f"{name}.yaml").write_text(json.dumps(whole), encoding="utf-8")


def write_plain_model() -> None:
    """Copy the model so that transformers never ends a gap: the server does so only where there is one."""
    shutil.copytree(MODEL, PLAIN, dirs_exist_ok=True)
    file = PLAIN / "generation_config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    end, *ends_of_gaps = settings["eos_token_id"]
    suppressed = [*settings["suppress_tokens"], *ends_of_gaps]
    file.write_text(json.dumps(settings | {"eos_token_id": end, "suppress_tokens": suppressed}))


def answers(backend: str) -> dict[str, list[Any]]:
    """Return what a backend answers each request of each task."""
    manager = TaskManager(include_path=str(FOLDER), include_defaults=False)
    made = simple_evaluate(
        model=backend,
        model_args=SETTINGS[backend],
        tasks=list(TASKS),
        task_manager=manager,
        log_samples=True,
        bootstrap_iters=0,
    )
    assert made is not None
    found: dict[str, list[Any]] = {}
    for name in TASKS:
        samples = sorted(made["samples"][name], key=lambda sample: sample["doc_id"])
        found[name] = [answer for sample in samples for answers in sample["resps"] for answer in answers]
    return found


def main() -> None:
    """Compare the two, and tell what was compared."""
    write_tasks()
    write_plain_model()
    ours, theirs = answers("local-completions"), answers("hf")
    greedy = [is_greedy for _, is_greedy in theirs["choose"]]
    expect("greedy flags of the choices", greedy, [is_greedy for _, is_greedy in ours["choose"]])
    if not 0 < sum(greedy) < len(greedy):
        raise CheckFailedError("the choices", "some that are greedy and some that are not", sum(greedy))
    apart = max(abs(a - b) for (a, _), (b, _) in zip(ours["choose"], theirs["choose"], strict=True))
    rolled = [abs(float(a) - float(b)) for a, b in zip(ours["roll"], theirs["roll"], strict=True)]
    for name, difference in (("a choice", apart), ("a text", max(rolled))):
        if not difference < TOLERANCE:
            raise CheckFailedError(f"log-probability of {name}", f"{TOLERANCE} apart at most", difference)
    for number, (wanted, came) in enumerate(zip(theirs["write"], ours["write"], strict=True)):
        expect(f"what is written behind context {number}", wanted, came)
    if len(set(ours["write"])) < NUM_CONTEXTS // 2:
        raise CheckFailedError("what is written", "texts that differ", ours["write"])
    checks = [
        f"loglikelihood of {len(greedy)} choices: {sum(greedy)} greedy with both, {apart:.1e} apart at most",
        f"loglikelihood_rolling of {len(rolled)} texts: {max(rolled):.1e} apart at most",
        f"generate_until of {len(ours['write'])} prompts: the same texts",
    ]
    tell("lm-eval", version("lm_eval"), checks)


main()
