"""A run that begins from a model folder begins with exactly that model, and says which one it was."""

import hashlib
import json
import shutil
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.data.build import build_loader
from spanmix.data_configs import SourceConfig
from spanmix.errors import InputError, StoppedEarlyError
from spanmix.model.architecture import PRESETS, Architecture
from spanmix.model.folder import load_model_folder, save_model_folder
from spanmix.model.masks import AttentionMask
from spanmix.objective_configs import PromptResponseConfig
from spanmix.text.corpus import Corpus
from spanmix.text.pipeline import prepare
from spanmix.text.tokenizer import Tokenizer
from spanmix.train.run import train
from spanmix.train_configs import ModelConfig


def from_base(recipe, base, **changes):
    run = replace(recipe.run, num_steps=2, precision="fp32", **changes)
    return replace(recipe, model=ModelConfig(init_from=str(base)), run=run)


def step_losses(measured, out):
    return [
        m["value"] for m in measured(out) if m["name"] == "loss" and not m.keys() & {"source", "objective"}
    ]


def evaluated(recipe, folder):
    """Cross-entropy of a model folder on a recipe's first batch, by PyTorch's own function in float64."""
    loader = build_loader(recipe, Corpus.open(recipe.corpus.path))
    batch = next(loader.batches(loader.start(), recipe.data.global_batch_rows))[0]
    decoder = load_model_folder(folder)[0].double()
    mask = AttentionMask.from_segments(torch.from_numpy(batch.segment_ids), torch.from_numpy(batch.in_prefix))
    with torch.no_grad():
        hidden = decoder(torch.from_numpy(batch.token_ids), torch.from_numpy(batch.positions), mask)
        losses = F.cross_entropy(
            decoder.head(hidden).flatten(0, 1),
            torch.from_numpy(batch.targets).long().flatten(),
            reduction="none",
        )
    weights = torch.from_numpy(batch.loss_weights).double().flatten()
    return float((losses * weights).sum() / weights.sum())


@pytest.mark.parametrize(("form", "row_tokens"), [("codegen", 64), ("codegen", 128), ("llama", 128)])
def test_the_first_loss_is_that_of_the_model(form, row_tokens, recipe, base_folders, tmp_path, measured):
    """Also when the rows are longer than those that it was trained on (64)."""
    base_folder = base_folders[form]
    recipe = replace(recipe, data=replace(recipe.data, row_tokens=row_tokens))
    first = from_base(recipe, base_folder)
    train(first, tmp_path / "first")
    second = from_base(recipe, tmp_path / "first")  # a run is as good as its model folder
    train(second, tmp_path / "second")
    for continued, folder in ((first, base_folder), (second, tmp_path / "first" / "model")):
        out = tmp_path / ("first" if continued is first else "second")
        assert step_losses(measured, out)[0] == pytest.approx(evaluated(continued, folder), rel=1e-5)
    shape = load_model_folder(tmp_path / "second" / "model")[0].architecture
    assert (shape.form, shape.num_layers, shape.dim, shape.context_tokens) == (form, 2, 64, row_tokens)


def test_weights_of_fewer_bits_are_trained_in_float32(recipe, base_folder, tmp_path, measured):
    base = shutil.copytree(base_folder, tmp_path / "base")
    state = {name: tensor.bfloat16() for name, tensor in load_file(base / "model.safetensors").items()}
    save_file(state, base / "model.safetensors", metadata={"format": "pt"})
    recipe = from_base(recipe, base)
    train(recipe, tmp_path / "run")
    assert step_losses(measured, tmp_path / "run")[0] == pytest.approx(evaluated(recipe, base), rel=1e-5)
    found = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}


def test_a_model_in_several_files_is_known_by_what_sha256sum_prints(recipe, base_folder, tmp_path):
    decoder, tokenizer = load_model_folder(base_folder)
    base = save_model_folder(tmp_path / "base", decoder, tokenizer, {}, max_shard_bytes=100_000)
    files = sorted(base.glob("*.safetensors"))
    assert len(files) > 2
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    train(from_base(recipe, base), tmp_path / "run")
    origin = json.loads((tmp_path / "run" / "run.json").read_text())["init_from"]
    assert origin["weights_sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.fixture(scope="module")
def instruct_corpus(base_folder, tmp_path_factory):
    """Prompts and responses, prepared with the base model's tokenizer."""
    folder = tmp_path_factory.mktemp("instruct")
    lines = [{"q": f"Add {i} to x.\n", "a": f"x = x + {i}\nreturn x\n"} for i in range(200)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = SourceFilesConfig("pairs", (str(folder / "pairs.jsonl"),), text_field="a", prompt_field="q")
    prepare(CorpusConfig("", (source,)), TokenizerConfig(path=str(base_folder)), folder / "corpus")
    return folder / "corpus"


def test_multi_mono_instruct(recipe, base_folder, instruct_corpus, tmp_path, measured):
    """Three stages, each from the model of the one before, on another mixture."""
    hot = replace(recipe, optimizer=replace(recipe.optimizer, learning_rate=1e-2))
    hot = replace(hot, run=replace(hot.run, num_steps=30, save_every_steps=30, precision="fp32"))
    code, pairs = (SourceConfig(name, 1.0) for name in ("code", "pairs"))
    stages = {
        "multi": hot,
        "mono": replace(hot, data=replace(hot.data, sources=(code,))),
        "instruct": replace(
            hot,
            corpus=CorpusConfig(str(instruct_corpus)),
            objectives=(PromptResponseConfig(name="prompt_response", weight=1.0),),
            data=replace(hot.data, sources=(pairs,)),
        ),
    }
    before = base_folder
    for name, stage in stages.items():
        train(replace(stage, model=ModelConfig(init_from=str(before))), tmp_path / name)
        losses = step_losses(measured, tmp_path / name)
        assert len(losses) == 30 and np.mean(losses[-5:]) < 0.98 * np.mean(losses[:3]), (name, losses)
        weights = (
            before / "model.safetensors" if before is base_folder else before / "model" / "model.safetensors"
        )
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        origin = json.loads((tmp_path / name / "run.json").read_text())["init_from"]
        assert origin["weights_sha256"] == digest and origin["path"] == str(weights.parent.resolve())
        assert digest in (tmp_path / name / "model" / "README.md").read_text()
        before = tmp_path / name


def test_a_stopped_run_goes_on_bit_for_bit_without_the_base(recipe, base_folder, tmp_path, assert_same_run):
    base = shutil.copytree(base_folder, tmp_path / "base")
    recipe = from_base(recipe, base)
    recipe = replace(recipe, run=replace(recipe.run, num_steps=6))
    train(recipe, tmp_path / "whole")
    done = [0]
    with pytest.raises(StoppedEarlyError):
        stop = nullcontext(lambda: done[-1] >= 4)
        train(recipe, tmp_path / "run", report=lambda d, t, m: done.append(d), stop=stop)
    aside = base.rename(tmp_path / "aside")
    train(recipe, tmp_path / "run")
    aside.rename(base)  # the comparison builds the decoder from it
    assert_same_run(tmp_path / "whole", tmp_path / "run", recipe)
    facts = [(tmp_path / name / "run.json").read_text() for name in ("whole", "run")]
    assert facts[0] == facts[1]


def refused(recipe, out, said):
    with pytest.raises(InputError, match=said):
        train(recipe, out)
    assert not out.exists()


def test_a_model_of_another_tokenizer_is_refused_with_the_way_out(recipe, base_folder, tmp_path):
    base = shutil.copytree(base_folder, tmp_path / "base")
    Tokenizer.train(["something else entirely, " * 50], 512, 16).save(base)
    said = rf"512 entries.*vocabulary cannot be enlarged.*tokenizer\.path={base}"
    refused(from_base(recipe, base), tmp_path / "run", said)


def test_a_preset_of_another_shape_is_refused_with_both(recipe, base_folder, tmp_path):
    wrong = from_base(recipe, base_folder)
    wrong = replace(wrong, model=ModelConfig(preset="demo", init_from=str(base_folder)))
    said = r"demo has 6 layers of width 256, 4 heads and 32 rotary.* has 2 layers of width 64, 4 heads and 8"
    refused(wrong, tmp_path / "run", said)


def test_a_preset_of_the_other_form_is_refused_with_both(recipe, base_folders, tmp_path, monkeypatch):
    same_but_for_the_form = Architecture(2, 64, 4, 16, 64, 512)
    monkeypatch.setitem(PRESETS, "demo", same_but_for_the_form)
    wrong = from_base(recipe, base_folders["llama"])
    wrong = replace(wrong, model=ModelConfig(preset="demo", init_from=str(base_folders["llama"])))
    refused(wrong, tmp_path / "run", "form codegen 256 hidden .* in the form llama 176 hidden")


def test_a_llama_is_trained_from_its_first_weights_on_and_goes_on_bit_for_bit(
    recipe, tmp_path, monkeypatch, assert_same_run, measured
):
    """By its preset, here a tiny one in the place of the published."""
    tiny = Architecture(4, 64, 4, 16, 64, 512, 1e-6, "llama", 176)
    monkeypatch.setitem(PRESETS, "codegen2.5-7b", tiny)
    hot = replace(recipe, optimizer=replace(recipe.optimizer, learning_rate=1e-2))
    hot = replace(hot, model=ModelConfig(preset="codegen2.5-7b"))
    train(hot, tmp_path / "whole")
    losses = step_losses(measured, tmp_path / "whole")
    assert len(losses) == 12 and losses[-1] < 0.97 * losses[0]
    done = [0]
    with pytest.raises(StoppedEarlyError):
        stop = nullcontext(lambda: done[-1] >= 4)
        train(hot, tmp_path / "run", report=lambda d, t, m: done.append(d), stop=stop)
    train(hot, tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run", hot)
    config = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]


def test_a_preset_of_the_same_shape_is_taken(recipe, finished, tmp_path):
    _, run = finished
    same = replace(from_base(recipe, run), model=ModelConfig(preset="tiny", init_from=str(run)))
    assert train(same, tmp_path / "again").is_dir()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda base: shutil.rmtree(base), "there is no model at"),
        (lambda base: (base / "config.json").unlink(), "neither a model folder"),
        (lambda base: (base / "model.safetensors").unlink(), "neither model.safetensors nor"),
        (
            lambda base: (base / "model.safetensors").write_bytes(b"x" * 999_999),
            "cannot be read as safetensors",
        ),
        (lambda base: (base / "tokenizer.json").unlink(), "there is no tokenizer.json"),
    ],
)
def test_a_damaged_folder_is_refused_before_anything_is_written(damage, said, recipe, base_folder, tmp_path):
    base = shutil.copytree(base_folder, tmp_path / "base")
    damage(base)
    refused(from_base(recipe, base), tmp_path / "run", said)


def test_a_run_with_no_checkpoint_yet_needs_the_same_base(recipe, base_folder, tmp_path, measured):
    base = shutil.copytree(base_folder, tmp_path / "base")
    recipe = from_base(recipe, base)
    train(recipe, tmp_path / "run")
    before = step_losses(measured, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    (tmp_path / "run" / "checkpoints" / ".step-2.spanmix-partial").mkdir(
        parents=True
    )  # killed while it saved
    state = load_file(base / "model.safetensors")
    save_file(
        {name: 2 * tensor for name, tensor in state.items()}, base / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(InputError, match=r"began from weights \w{12} and has no checkpoint yet.* now holds"):
        train(recipe, tmp_path / "run")
    save_file(state, base / "model.safetensors", {"format": "pt"})
    assert train(recipe, tmp_path / "run").is_dir()
    assert step_losses(measured, tmp_path / "run") == before


def test_a_run_does_not_change_its_origin(recipe, base_folder, tmp_path):
    base = shutil.copytree(base_folder, tmp_path / "base")
    train(from_base(recipe, base), tmp_path / "run")
    with pytest.raises(InputError, match=r"model\.init_from: .*base' -> "):
        train(from_base(recipe, base_folder), tmp_path / "run")
