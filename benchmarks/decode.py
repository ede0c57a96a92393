"""How fast are tokens generated? Our engines beside transformers' `generate`, taken in turn.

    python benchmarks/decode.py [--full] [--presets 125m] [--batches 1 8]

A random model of each preset is written as a model folder; every side opens that folder, reads prompts of
512 random tokens and continues each by 128 tokens, the most likely one each time, none of which ends it.
Reading the prompt is part of the time. All sides run in this process, with the same number of threads:

- transformers' ``GPTJForCausalLM`` with its cache, in float32 and in bfloat16;
- `TorchEngine` in float32 and in bfloat16;
- `CTranslate2Engine` on an int8 and a float32 export of the same folder, if `ctranslate2` is installed.

A ratio is of medians; the engine and transformers in the same type, and int8 beside transformers' float32.
The default takes some five minutes on two cores; ``--full`` adds ``350m`` and ``codegen2-1b``, some 13 GB of
memory at once. The last line is one JSON object; `torch_vs_transformers` and
`ctranslate2_int8_vs_transformers_fp32` are the least over presets and batches.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from spanmix.generate.batch import generate
from spanmix.generate.engine import Engine, GenerateRequest
from spanmix.generate.torch_engine import TorchEngine
from spanmix.interchange.tokenizers import codegen2_tokenizer
from spanmix.model.architecture import preset
from spanmix.model.decoder import Decoder
from spanmix.model.folder import load_model_folder, save_model_folder
from spanmix.train import machine

Prompts = list[list[int]]
Side = Callable[[Prompts], None]
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
CTRANSLATE2 = {"int8": "int8", "fp32": "float32"}


def transformers_side(folder: Path, dtype: str, new_tokens: int) -> Side:
    """`generate` as it comes, told only what to generate."""
    from transformers import GenerationConfig, GPTJForCausalLM

    model = GPTJForCausalLM.from_pretrained(folder, dtype=TYPES[dtype])
    model.generation_config = GenerationConfig(
        do_sample=False, min_new_tokens=new_tokens, max_new_tokens=new_tokens, pad_token_id=0
    )

    def run(prompts: Prompts) -> None:
        ids = torch.tensor(prompts)
        found = model.generate(ids, attention_mask=torch.ones_like(ids))
        assert found.shape[1] == ids.shape[1] + new_tokens

    return run


def engine_side(engine: Engine, new_tokens: int) -> Side:
    """One of ours."""

    def run(prompts: Prompts) -> None:
        found = generate(engine, [GenerateRequest(ids, new_tokens) for ids in prompts])
        assert all(len(answer.token_ids) == new_tokens for answer in found)

    return run


def open_sides(folder: Path, work: Path, new_tokens: int) -> dict[str, Side]:
    """Open the model on every side."""
    sides = {}
    for name, dtype in TYPES.items():
        sides[f"transformers {name}"] = transformers_side(folder, name, new_tokens)
        engine = TorchEngine(load_model_folder(folder)[0], dtype, pack=True)
        sides[f"torch {name}"] = engine_side(engine, new_tokens)
    if find_spec("ctranslate2"):
        from spanmix.generate.ctranslate2_engine import CTranslate2Engine
        from spanmix.interchange.convert import convert

        for name, quantization in CTRANSLATE2.items():
            convert(str(folder), work / name, "ctranslate2", quantization)
            sides[f"ctranslate2 {name}"] = engine_side(CTranslate2Engine(work / name), new_tokens)
    return sides


def seconds_in_turn(sides: dict[str, Side], prompts: Prompts, rounds: int) -> dict[str, list[float]]:
    """Let all sides generate in turn, after a warm-up of each."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, run in sides.items():
            start = time.perf_counter()
            run(prompts)
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def report(title: str, seconds: dict[str, list[float]], num_tokens: int) -> dict[str, float]:
    """Print a line a side; return the ratios."""
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    print(f"{title}: tokens/s, seconds (least to most)")
    for name, found in seconds.items():
        line = (
            f"{num_tokens / medians[name]:8.1f}   {medians[name]:7.2f} ({min(found):.2f} to {max(found):.2f})"
        )
        print(f"  {name:20}{line}", flush=True)
    ratios = {f"torch {t}": medians[f"transformers {t}"] / medians[f"torch {t}"] for t in TYPES}
    for t in CTRANSLATE2:
        if f"ctranslate2 {t}" in medians:
            ratios[f"ctranslate2 {t}"] = medians["transformers fp32"] / medians[f"ctranslate2 {t}"]
    print("  ratios: " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()), flush=True)
    return ratios


def least(figures: dict[str, dict[str, float]], kind: str) -> float | None:
    """The least ratio of a kind over all that was measured."""
    found = [value for ratios in figures.values() for name, value in ratios.items() if name.startswith(kind)]
    return min(found, default=None)


def main() -> None:
    """Measure each preset with each number of prompts at once."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="350m and codegen2-1b, too")
    parser.add_argument("--presets", nargs="+", default=["125m"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="prompts at once")
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    presets = ["125m", "350m", "codegen2-1b"] if args.full else args.presets
    machine.prepare_process(torch.get_num_threads())
    figures: dict[str, dict[str, float]] = {}
    raw: dict[str, dict[str, list[float]]] = {}
    for name in presets:
        with tempfile.TemporaryDirectory() as work:
            shape = preset(name)
            folder = save_model_folder(Path(work) / "model", Decoder(shape, seed=0), codegen2_tokenizer(), {})
            sides = open_sides(folder, Path(work), args.new_tokens)
            for batch in args.batches:
                random = np.random.default_rng(batch)
                prompts = random.integers(0, 50_000, size=(batch, args.prompt_tokens)).tolist()
                title = f"{name}, {batch} prompts"
                raw[title] = seconds_in_turn(sides, prompts, args.rounds)
                figures[title] = report(title, raw[title], batch * args.new_tokens)
    packages = ("torch", "transformers", *(["ctranslate2"] if find_spec("ctranslate2") else []))
    print(
        json.dumps(
            {
                "torch_vs_transformers": least(figures, "torch"),
                "ctranslate2_int8_vs_transformers_fp32": least(figures, "ctranslate2 int8"),
                "ratios": figures,
                "seconds": raw,
                "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
            }
        )
    )


if __name__ == "__main__":
    main()
