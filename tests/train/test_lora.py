"""LoRA changes what it is asked to, by what it may; it goes on bit for bit, and peft opens what it leaves."""

import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from spanmix.data.build import build_loader
from spanmix.errors import InputError, SpanmixError, StoppedEarlyError
from spanmix.model.folder import load_model_folder
from spanmix.model.masks import AttentionMask
from spanmix.model.native import read_config
from spanmix.recipes import to_yaml
from spanmix.text.corpus import Corpus
from spanmix.train.lora import add_adapters, targets_of
from spanmix.train.lora_dropout import RowDropout, RowKeys
from spanmix.train.run import train
from spanmix.train_configs import LORA_TARGETS, LoraConfig, ParallelConfig

RANK = 3
MATRICES = ("attn.qkv_proj", "attn.out_proj", "mlp.fc_in", "mlp.fc_out")


def with_lora(recipe, base, **changes):
    lora = replace(LoraConfig(rank=RANK, alpha=12.0), **changes)
    model = replace(recipe.model, preset=None, init_from=str(base), lora=lora)
    run = replace(recipe.run, num_steps=6, precision="fp32")
    optimizer = replace(recipe.optimizer, learning_rate=1e-2)
    return replace(recipe, model=model, run=run, optimizer=optimizer)


def first_batch(recipe):
    loader = build_loader(recipe, Corpus.open(recipe.corpus.path))
    return next(loader.batches(loader.start(), recipe.data.global_batch_rows))[0]


def hidden(decoder, batch, dtype):
    mask = AttentionMask.from_segments(torch.from_numpy(batch.segment_ids), torch.from_numpy(batch.in_prefix))
    with torch.no_grad():
        return decoder(
            torch.from_numpy(batch.token_ids), torch.from_numpy(batch.positions), mask, dtype=dtype
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_at_first_it_adds_nothing_and_computes_in_the_type_it_is_asked_for(dtype, recipe, base_folder):
    decoder, _ = load_model_folder(base_folder)
    batch = first_batch(recipe)
    before = hidden(decoder, batch, dtype)
    add_adapters(decoder, LoraConfig(RANK, 8, dropout=0.5), seed=1)
    types = set()
    for name, module in decoder.named_modules():
        if name.endswith(("lora_A.default", "lora_B.default")):
            module.register_forward_hook(lambda module, given, out: types.add(out.dtype))
    assert torch.equal(hidden(decoder, batch, dtype), before)
    assert types == {dtype}
    trained = [name for name, parameter in decoder.named_parameters() if parameter.requires_grad]
    assert len(trained) == 2 * len(MATRICES) * 2 and all(".lora_" in name for name in trained)


@pytest.mark.parametrize(
    ("form", "targets", "changing"),
    [
        ("codegen", None, MATRICES),
        ("codegen", ("attn.qkv_proj",), ("attn.qkv_proj",)),
        ("codegen", ("attn.out_proj", "mlp.fc_in"), ("attn.out_proj", "mlp.fc_in")),
        ("llama", None, LORA_TARGETS),
        ("llama", ("mlp.fc_gate",), ("mlp.fc_gate",)),
    ],
)
def test_only_the_targets_change_and_by_matrices_of_that_rank(
    form, targets, changing, recipe, base_folders, tmp_path
):
    train(with_lora(recipe, base_folders[form], targets=targets), tmp_path / "run")
    before, _ = load_model_folder(base_folders[form])
    after, _ = load_model_folder(tmp_path / "run" / "model")
    changed = 0
    for name, tensor in after.state_dict().items():
        change = (tensor - before.state_dict()[name]).double()
        if any(name.endswith(f"{target}.weight") for target in changing):
            sizes = torch.linalg.svdvals(change)
            assert sizes[RANK - 1] > 1e-4 and sizes[RANK] < 1e-5 * sizes[0]
            changed += 1
        else:
            assert not change.any(), name
    assert changed == 2 * len(changing)
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert f"LoRA, rank {RANK} on {', '.join(changing)}" in card


@pytest.mark.parametrize("form", ["codegen", "llama"])
def test_peft_opens_the_adapter_on_the_base_model(form, recipe, base_folders, tmp_path):
    """transformers' GPT-J or Llama with peft's own adapter layers computes what our merged folder does."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base_folder = base_folders[form]
    batch = first_batch(recipe)
    train(with_lora(recipe, base_folder), tmp_path / "run")
    ids = torch.from_numpy(batch.token_ids).long()
    base = AutoModelForCausalLM.from_pretrained(base_folder)
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model")
    with torch.no_grad():
        before, after = base(ids).logits, whole(ids).logits
        adapted = PeftModel.from_pretrained(base, tmp_path / "run" / "adapter")
        found = adapted(ids).logits
    assert (after - before).abs().max() > 0.1
    assert (found - after).abs().max() < 1e-4 * after.abs().max()
    merged_by_peft = adapted.merge_and_unload().state_dict()
    ours = whole.state_dict()
    assert merged_by_peft.keys() == ours.keys() and len(ours) > 20
    for name, tensor in ours.items():
        assert torch.allclose(merged_by_peft[name], tensor, rtol=0, atol=1e-6), name


def saved_tensors(checkpoint, aside):
    """Everything that a checkpoint holds, by name, read without our code."""
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    dcp_to_torch_save(checkpoint, aside)
    found = torch.load(aside)
    return {f"{part}.{name}": value for part in found for name, value in found[part].items()}


def same(one, other):
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def test_a_run_that_was_stopped_goes_on_bit_for_bit_without_the_base(recipe, base_folder, tmp_path, measured):
    """With dropout, too: which inputs are dropped out is a matter of the rows, not of a generator's state."""
    base = shutil.copytree(base_folder, tmp_path / "base")
    recipe = with_lora(recipe, base, dropout=0.3)
    train(recipe, tmp_path / "whole")
    done = [0]
    with pytest.raises(StoppedEarlyError):
        train(
            recipe,
            tmp_path / "run",
            report=lambda d, t, m: done.append(d),
            stop=nullcontext(lambda: done[-1] >= 4),
        )
    shutil.rmtree(base)
    train(recipe, tmp_path / "run")
    one, other = (
        saved_tensors(tmp_path / name / "checkpoints" / "step-6", tmp_path / f"{name}.pt")
        for name in ("whole", "run")
    )
    assert one.keys() == other.keys()
    assert [name for name in one if not same(one[name], other[name])] == []
    moments = [name for name in one if name.endswith(("exp_avg", "exp_avg_sq"))]
    assert len(moments) == 2 * 2 * len(MATRICES) * 2 and all(".lora_" in name for name in moments)
    assert sum(name.endswith("base_layer.weight") for name in one) == 2 * len(MATRICES)
    assert measured(tmp_path / "whole") == measured(tmp_path / "run") and len(measured(tmp_path / "run")) > 10
    for file in (
        "model/model.safetensors",
        "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json",
    ):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "run" / file).read_bytes(), file


def losses(measured, out):
    return np.array(
        [m["value"] for m in measured(out) if m["name"] in ("loss", "grad_norm") and "source" not in m]
    )


def test_dropout_does_not_depend_on_micro_batches_or_recomputation(recipe, base_folder, tmp_path, measured):
    plain = with_lora(recipe, base_folder)
    dropped = with_lora(recipe, base_folder, dropout=0.3)
    spreads = {
        "none": (plain, ParallelConfig()),
        "whole": (dropped, ParallelConfig()),
        "cut": (dropped, ParallelConfig(micro_batch_rows=3, checkpointing="full")),
    }
    for name, (recipe, parallel) in spreads.items():
        train(replace(recipe, parallel=parallel, run=replace(recipe.run, num_steps=3)), tmp_path / name)
    none, whole, cut = (losses(measured, tmp_path / name) for name in spreads)
    assert len(whole) > 6 and np.abs(cut / whole - 1).max() < 1e-4
    assert np.abs(whole / none - 1).max() > 1e-3


def test_dropout_keeps_the_mean_and_belongs_to_row_and_layer():
    model = torch.nn.Identity()
    keys = RowKeys(model)
    a, b = (RowDropout(0.25, 1, name, keys) for name in ("a", "b"))
    ones = torch.ones(3, 100, 400)
    model(torch.tensor([[1, 2], [3, 4], [1, 2]]))
    out, other = a(ones), b(ones)
    assert abs(float((out == 0).float().mean()) - 0.25) < 0.01 and abs(float(out.mean()) - 1) < 0.01
    assert torch.equal(out[0], out[2]) and torch.equal(a(ones), out)
    for different in (out[1], other[0]):
        share = float(((out[0] == 0) & (different == 0)).float().mean())
        assert abs(share - 0.25**2) < 0.01  # as often together as two that have nothing to do with each other
    model(torch.tensor([[3, 4]]))
    assert torch.equal(a(ones[:1])[0], out[1])
    with torch.no_grad():
        assert torch.equal(a(ones), ones)


def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    recipe, base_folder, tmp_path, monkeypatch
):
    dropped = with_lora(recipe, base_folder, dropout=0.1)
    cut = replace(dropped, parallel=ParallelConfig(tensor_size=2))
    with pytest.raises(InputError, match=r"dropout is 0\.1 and parallel\.tensor_size 2"):
        train(cut, tmp_path / "run")
    gated = with_lora(recipe, base_folder, targets=("attn.qkv_proj", "mlp.fc_gate"))
    with pytest.raises(InputError, match=r"targets has mlp\.fc_gate, and the model is of the form codegen"):
        train(gated, tmp_path / "run")
    monkeypatch.setattr("spanmix.train.lora.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs the package peft; install it with .*spanmix\[lora\]"):
        train(dropped, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_in_the_adapters_place_is_refused_before_training(recipe, base_folder, tmp_path):
    recipe = with_lora(recipe, base_folder)
    recipe = replace(recipe, run=replace(recipe.run, num_steps=1))
    train(recipe, tmp_path / "run")
    (tmp_path / "run" / "adapter" / "adapter_config.json").unlink()
    longer = replace(recipe, run=replace(recipe.run, num_steps=2))
    with pytest.raises(InputError, match="adapter exists and is not an adapter"):
        train(longer, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-1"]


def test_a_run_of_two_processes_goes_on_in_one_and_leaves_the_same_adapter(
    recipe, base_folder, tmp_path, measured
):
    """Three steps under tensor parallelism, saved and merged, and three more alone."""
    recipe = with_lora(recipe, base_folder)
    recipe = replace(recipe, schedule=replace(recipe.schedule, final_ratio=1.0))
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "spanmix", "train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]
    command += ["run.num_steps=3", "parallel.tensor_size=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)
    assert finished.returncode == 0, finished.stderr[-3000:]
    three = replace(recipe, run=replace(recipe.run, num_steps=3))
    for steps in (three, recipe):
        train(steps, tmp_path / "alone")
        if steps is recipe:
            train(steps, tmp_path / "run")
        alone, run = (losses(measured, tmp_path / name) for name in ("alone", "run"))
        assert len(alone) == len(run) >= 6 and np.abs(run / alone - 1).max() < 1e-3
        file = "adapter/adapter_model.safetensors"
        weights = [load_file(tmp_path / name / file) for name in ("alone", "run")]
        assert weights[0].keys() == weights[1].keys() and len(weights[0]) == 2 * 2 * 6
        for name, tensor in weights[0].items():
            assert (tensor - weights[1][name]).norm() < 1e-2 * tensor.norm(), name


def test_a_rank_above_the_smaller_side_of_a_matrix_is_refused_with_the_numbers(recipe, base_folder, tmp_path):
    architecture = read_config(base_folder / "config.json")
    assert targets_of(LoraConfig(rank=64, alpha=1), architecture) == MATRICES
    said = r"rank is 65, and attn\.qkv_proj has 192 rows and 64 columns: .* at most 64"
    with pytest.raises(InputError, match=said):
        train(with_lora(recipe, base_folder, rank=65), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_an_alpha_without_measure_is_named_and_not_the_learning_rate(recipe, base_folder, tmp_path):
    with pytest.raises(SpanmixError, match="the loss is nan") as met:
        train(with_lora(recipe, base_folder, alpha=1e300), tmp_path / "run")
    assert "or model.lora.alpha, which is 1e+300, and not the learning rate" in str(met.value)
    assert f"model.init_from {base_folder}" in str(met.value) and "lower" not in str(met.value)


def test_an_adapter_is_for_whoever_may_read_the_users_files(recipe, base_folder, tmp_path):
    short = with_lora(recipe, base_folder)
    before = os.umask(0o027)
    try:
        train(replace(short, run=replace(short.run, num_steps=1)), tmp_path / "run")
    finally:
        os.umask(before)
    files = [*(tmp_path / "run" / "adapter").iterdir(), *(tmp_path / "run" / "model").iterdir()]
    assert {path.name for path in files} >= {"adapter_model.safetensors", "model.safetensors"}
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in files if path.is_file()} == {
        path.name: "0o640" for path in files if path.is_file()
    }
