"""Every objective trains over a corpus of code, prose and prompts, resumes bit for bit, and is watched."""

import json
from dataclasses import replace

import numpy as np
import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.data.build import build_loader
from spanmix.errors import InputError
from spanmix.evaluate.held_out import make_hooks
from spanmix.objectives.fim import FIM_TOKENS
from spanmix.recipes import load_recipe, recipe_from_fields
from spanmix.text.corpus import Corpus
from spanmix.text.pipeline import prepare
from spanmix.train.metrics import read_metrics
from spanmix.train.run import train

pytestmark = pytest.mark.usefixtures("peak_measured_once")
EXTRA = (*FIM_TOKENS, "<r>", "<s>", "<x>")
UNITS = {"random": 1.0, "lines": 1.0, "blocks": 1.0, "nodes": 1.0}


FILE = """
def area_{n}(r):
    if r > {n}:
        return r * {n}
    return 3 * r

print(area_{n}(2))
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("every")
    (folder / "code").mkdir()
    for n in range(20):
        (folder / "code" / f"{n}.py").write_text(3 * FILE.format(n=n))
    records = [{"question": f"What is {n} and {n}?\n", "text": f"It is {2 * n}.\n"} for n in range(40)]
    (folder / "asked.jsonl").write_text("\n".join(map(json.dumps, records)))
    sources = (
        SourceFilesConfig("code", (str(folder / "code"),)),
        SourceFilesConfig("asked", (str(folder / "asked.jsonl"),), prompt_field="question"),
    )
    tokenizer = TokenizerConfig(vocab_size=512, num_sentinels=32, extra_tokens=EXTRA)
    prepare(CorpusConfig("", sources, held_out_share=0.2), tokenizer, folder / "corpus")
    return folder / "corpus"


def make_recipe(corpus, **data):
    return recipe_from_fields(
        {
            "corpus": {"path": str(corpus)},
            "model": {"preset": "tiny"},
            "objectives": [
                {"name": "causal", "weight": 1, "mode_token": "<s>"},
                {"name": "infill", "weight": 1, "span_units": UNITS, "cut": "character", "sources": ["code"]},
                {
                    "name": "infill",
                    "weight": 1,
                    "span_lengths": "geometric",
                    "mean_span_tokens": 3,
                    "bidirectional": True,
                },
                {"name": "fim", "weight": 1, "sources": ["code"]},
                {"name": "prefix_lm", "weight": 1},
                {"name": "ul2", "weight": 1, "mode_tokens": ["<r>", "<s>", "<x>"], "max_spans": 20},
                {"name": "prompt_response", "weight": 2, "sources": ["asked"]},
            ],
            "data": {
                "row_tokens": 160,
                "global_batch_rows": 4,
                "sources": [
                    {"name": "code", "weight": 0.7},
                    {"name": "asked", "weight": 0.3, "max_epochs": 90},
                ],
                "window_documents": 16,
                "stages": [{"from_step": 4, "weights": {"asked": 0.5, "code": 0.5}}],
                **data,
            },
            "optimizer": {"learning_rate": 1e-3, "z_loss": 1e-4},
            "schedule": {"warmup_steps": 2},
            "run": {"seed": 1, "num_steps": 8, "save_every_steps": 3, "log_every_steps": 1, "num_threads": 1},
            "evaluate": {"every_steps": 4, "held_out_rows": 2},
        },
        "every",
    )


def test_prompts_keep_their_place(corpus):
    opened = Corpus.open(corpus)
    asked, code = opened.train["asked"], opened.train["code"]
    assert {code.num_prompt_tokens(i) for i in range(code.num_documents)} == {0}
    for i in range(asked.num_documents):
        ids, cut = asked.tokens(i).tolist(), asked.num_prompt_tokens(i)
        prompt, response = opened.tokenizer.decode(ids[:cut]), opened.tokenizer.decode(ids[cut:])
        assert prompt.startswith("What is") and prompt.endswith("?\n") and response.startswith("It is")
        assert ids == opened.tokenizer.encode(prompt) + opened.tokenizer.encode(response)
    assert all(text in opened.tokenizer.special_ids for text in EXTRA)
    assert not np.isin(
        list(opened.tokenizer.special_ids.values()), opened.tokenizer.encode("<r><fim_prefix>")
    ).any()


def test_every_objective_trains_and_resumes_bit_for_bit(corpus, tmp_path):
    recipe = make_recipe(corpus)
    train(recipe, tmp_path / "whole", make_hooks)
    loader = build_loader(recipe, Corpus.open(corpus))
    batches = loader.batches(loader.start(), 4)
    seen = {loader.objectives.names[s.objective] for _ in range(12) for s in next(batches)[0].segments}
    assert seen == {"causal", "infill", "infill_2", "fim", "prefix_lm", "ul2", "prompt_response"}
    started = run_until(recipe, tmp_path / "parts", step=5)
    assert started == 5
    train(recipe, tmp_path / "parts", make_hooks)
    whole, parts = (figures(tmp_path / name) for name in ("whole", "parts"))
    assert whole == parts and len(whole) > 60
    watched = {
        m["name"] for m in read_metrics(tmp_path / "whole" / "metrics.jsonl") if m["kind"] == "held_out"
    }
    assert {"code/fim", "code/ul2", "asked/prompt_response", "asked/prefix_lm"} <= watched
    assert not {"asked/fim", "code/prompt_response"} & watched


def figures(run):
    """Every figure that is no speed; none twice."""
    lines = [m for m in read_metrics(run / "metrics.jsonl") if m["kind"] != "speed"]
    keys = [(m["step"], m["kind"], m["name"], m.get("objective"), m.get("source")) for m in lines]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, (m["value"] for m in lines), strict=True))


def run_until(recipe, out, step):
    """Train until a step is done, and stop there as Ctrl-C would."""

    def report(done, total, metrics):
        if done == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, out, make_hooks, report)
    return max(m["step"] for m in read_metrics(out / "metrics.jsonl"))


def test_what_does_not_fit_the_tokenizer_is_refused(corpus, corpus_folder):
    fields = make_recipe(corpus)
    other = replace(fields, corpus=CorpusConfig(str(corpus_folder)))
    with pytest.raises(InputError, match=r"the tokenizer lacks <s>.*extra_tokens: \[<s>\]"):
        build_loader(other, Corpus.open(corpus_folder))


def test_the_papers_recipe_trains(corpus_folder, tmp_path):
    small = ["model.preset=demo", "tokenizer.vocab_size=4096", "tokenizer.num_sentinels=99"]
    short = [
        "data.row_tokens=128",
        "data.global_batch_rows=4",
        "data.window_documents=8",
        "run.num_threads=1",
    ]
    steps = ["run.num_steps=3", "run.log_every_steps=1", "evaluate.every_steps=0"]
    recipe = load_recipe("paper", [f"corpus.path={corpus_folder}", *small, *short, *steps])
    assert (recipe.data.unit, recipe.data.positions, recipe.optimizer.z_loss) == (
        "sequence",
        "continue",
        1e-4,
    )
    train(recipe, tmp_path / "run")
    losses = [m for m in read_metrics(tmp_path / "run" / "metrics.jsonl") if m["name"] == "loss"]
    assert {m.get("objective") for m in losses} == {None, "causal", "infill"}
    padding = [
        m["value"] for m in read_metrics(tmp_path / "run" / "metrics.jsonl") if m["name"] == "padding_share"
    ]
    assert max(padding) < 0.05


@pytest.mark.parametrize("line", ['{"text": "a", "question": 7}', '{"text": "a"}'])
def test_a_line_without_its_prompt_is_refused(tmp_path, line):
    (tmp_path / "x.jsonl").write_text(line)
    source = SourceFilesConfig("asked", (str(tmp_path / "x.jsonl"),), prompt_field="question")
    with pytest.raises(InputError, match=r"x\.jsonl:1 has no text in the field 'question'"):
        prepare(
            CorpusConfig("", (source,)), TokenizerConfig(vocab_size=512, num_sentinels=9), tmp_path / "out"
        )


def test_prompts_come_from_jsonl_alone(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("a = 1\n")
    source = SourceFilesConfig("asked", (str(tmp_path / "code"),), prompt_field="question")
    with pytest.raises(InputError, match=r"a\.py is no \.jsonl file"):
        prepare(
            CorpusConfig("", (source,)), TokenizerConfig(vocab_size=512, num_sentinels=9), tmp_path / "out"
        )
