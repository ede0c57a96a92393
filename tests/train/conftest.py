"""A small corpus and a recipe that trains on it in seconds."""

import random

import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.recipes import load_recipe
from spanmix.text.pipeline import prepare

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
    folder = tmp_path_factory.mktemp("corpus")
    for name, count in (("code", 24), ("prose", 8)):
        (folder / name).mkdir()
        for i in range(count):
            (folder / name / f"{i}.py").write_text(made_up_code(1000 * count + i))
    sources = tuple(SourceFilesConfig(name, (str(folder / name),)) for name in ("code", "prose"))
    config = CorpusConfig("", sources, held_out_share=0.2)
    prepare(config, TokenizerConfig(vocab_size=512, num_sentinels=16), folder / "corpus")
    return folder / "corpus"


@pytest.fixture
def recipe(corpus_folder):
    """Twelve steps of the demo preset on short rows."""
    return load_recipe(
        "demo",
        [
            f"corpus.path={corpus_folder}",
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
