"""What all tests share: one thread a process, and how many cases a property tries."""

import functools
import importlib.util
import os
import random
from pathlib import Path

# Before anything imports torch: two test processes with a thread pool each would fight over the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

NIGHTLY = os.environ.get("SPANMIX_NIGHTLY", "0") not in ("", "0")

SLOW = [HealthCheck.too_slow]  # the machine is shared; slowness is the timeout's business
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("nightly", max_examples=1000, deadline=None, suppress_health_check=SLOW)
settings.load_profile("nightly" if NIGHTLY else "ci")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is marked `nightly` unless SPANMIX_NIGHTLY=1; nothing is ever skipped."""
    if NIGHTLY:
        return
    long = [item for item in items if item.get_closest_marker("nightly")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if not item.get_closest_marker("nightly")]


CORPUS = ["def add(a, b):\n    return a + b\n\n\nclass Näme:\n\tpass\n" * 3, "print('hello, wörld')\n" * 3]


@pytest.fixture(scope="session")
def tokenizer():
    """A tiny tokenizer."""
    from spanmix.text.tokenizer import Tokenizer

    return Tokenizer.train(CORPUS, vocab_size=384, num_sentinels=9)


@pytest.fixture(scope="session")
def make_decoder():
    """Makes random tiny decoders whose logits are far apart."""
    import torch

    from spanmix.model.architecture import Architecture
    from spanmix.model.decoder import Decoder

    def make(*shape, seed=1, vocab_size=384, **form):
        layers, dim, heads, rotary, context = shape
        decoder = Decoder(Architecture(layers, dim, heads, rotary, context, vocab_size, **form), seed=seed)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in decoder.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(noise, alpha=0.15 if parameter.ndim == 2 else 0.1)
        return decoder

    return make


WORDS = ["alpha", "beta", "gamma", "delta", "value", "index", "name", "total", "count", "result", "items"]


def made_up_code(seed: int) -> str:
    """A Python-like file that differs for every seed."""
    choose = random.Random(seed).choice
    lines = []
    for _ in range(40):
        a, b, c = choose(WORDS), choose(WORDS), choose(WORDS)
        lines += [f"def {a}_{b}({c}):", f"    {a} = {c} + {seed}", f"    return {a} * {b}", ""]
    return "\n".join(lines)


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory):
    """A small corpus of two sources, with held-out files."""
    from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
    from spanmix.text.pipeline import prepare

    folder = tmp_path_factory.mktemp("corpus")
    for name, count in (("code", 24), ("prose", 8)):
        (folder / name).mkdir()
        for i in range(count):
            (folder / name / f"{i}.py").write_text(made_up_code(1000 * count + i))
    sources = tuple(SourceFilesConfig(name, (str(folder / name),)) for name in ("code", "prose"))
    config = CorpusConfig("", sources, held_out_share=0.2)
    prepare(config, TokenizerConfig(vocab_size=512, num_sentinels=16), folder / "corpus")
    return folder / "corpus"


@pytest.fixture(scope="session")
def peak_measured_once():
    """Let all runs of this process take the processor's speed from the first of them."""
    from spanmix.train import machine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "matmul_peak_flops", functools.cache(machine.matmul_peak_flops))
        yield


@pytest.fixture(scope="session")
def recipe(corpus_folder, peak_measured_once):
    """Twelve steps of the demo on short rows, with the smallest preset."""
    from spanmix.recipes import load_recipe

    return load_recipe(
        "demo",
        [
            f"corpus.path={corpus_folder}",
            "model.preset=tiny",
            "objectives.1.max_spans=4",
            "data.row_tokens=64",
            "data.global_batch_rows=4",
            "data.window_documents=8",
            "schedule.warmup_steps=2",
            "run.num_steps=12",
            "run.save_every_steps=3",
            "run.log_every_steps=1",
            "run.num_threads=1",
            "evaluate.every_steps=0",
        ],
    )


@pytest.fixture(scope="session")
def recipe_sections():
    """The dataclass of every section of a recipe, by its dotted name."""
    from spanmix import (
        config,
        data_configs,
        evaluate_config,
        objective_configs,
        train_configs,
        watch_config,
    )
    from spanmix.corpus_configs import (
        decontamination,
        duplicates,
        filters,
        layout,
        licences,
        redaction,
        sources,
    )

    return {
        "corpus": config.CorpusConfig,
        "corpus.sources": config.SourceFilesConfig,
        "corpus.sources.columns": sources.ColumnsConfig,
        "corpus.sources.filters": filters.FiltersConfig,
        "corpus.sources.licences": licences.LicencesConfig,
        "corpus.duplicates": duplicates.DuplicatesConfig,
        "corpus.redaction": redaction.RedactionConfig,
        "corpus.decontamination": decontamination.DecontaminationConfig,
        "corpus.layout": layout.LayoutConfig,
        "tokenizer": config.TokenizerConfig,
        "model": train_configs.ModelConfig,
        "model.lora": train_configs.LoraConfig,
        "objectives": objective_configs.CausalConfig,
        "objectives.infill": objective_configs.InfillConfig,
        "objectives.span_units": objective_configs.SpanUnitsConfig,
        "objectives.fim": objective_configs.FimConfig,
        "objectives.prefix_lm": objective_configs.PrefixLMConfig,
        "objectives.ul2": objective_configs.Ul2Config,
        "data": data_configs.DataConfig,
        "data.sources": data_configs.SourceConfig,
        "data.stages": data_configs.StageConfig,
        "optimizer": train_configs.OptimizerConfig,
        "schedule": train_configs.ScheduleConfig,
        "run": train_configs.RunConfig,
        "parallel": train_configs.ParallelConfig,
        "evaluate": evaluate_config.EvaluateConfig,
        "evaluate.executed": evaluate_config.ExecutedConfig,
        "watch": watch_config.WatchConfig,
    }


def beside(name: str):
    """Import a file beside this one, which holds no test."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def published():
    """Makes tiny folders in the form of published models; see ``published.py`` beside this file."""
    return beside("published")


@pytest.fixture(scope="session")
def run_forked(tmp_path_factory):
    """Runs programs in processes that need no import; see ``forked.py`` beside this file."""
    programs = beside("forked").ForkedPrograms(tmp_path_factory.mktemp("forked"))
    yield programs.run
    programs.stop()
