"""Conversion: every published layout becomes a model that computes what the publisher's own code computes."""

import filecmp
import json
import weakref

import pytest
import torch
from transformers import AutoModelForCausalLM, CodeGenForCausalLM, GPTJForCausalLM

from spanmix.errors import InputError, SpanmixError
from spanmix.generate.asked import read_asked
from spanmix.generate.batch import generate
from spanmix.generate.engine import GenerateRequest
from spanmix.generate.torch_engine import TorchEngine
from spanmix.interchange import codegen
from spanmix.interchange.checkpoint import TYPES
from spanmix.interchange.convert import convert
from spanmix.interchange.tensors import TensorFolder
from spanmix.model.folder import load_model_folder, save_model_folder
from spanmix.model.masks import AttentionMask

NAMES = ["built_in", "codegen1", "codegen2", "gptj"]
SHAPE = (3, 64, 8, 4, 100)


def ids_of(seed, *size):
    return torch.randint(0, 290, size, generator=torch.Generator().manual_seed(seed))


def our_logits(folder, ids):
    decoder, _ = load_model_folder(folder)
    positions = torch.arange(ids.shape[1]).expand_as(ids)
    mask = AttentionMask.causal(*ids.shape)
    decoder.float()
    return decoder.head(decoder(ids, positions, mask))


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_every_layout_becomes_a_native_model_that_computes_the_same(name, published, tmp_path):
    source = published(name)
    report = convert(str(source.folder), tmp_path / "m", "native")
    ids = ids_of(3, 3, 50)
    expected = source.model(ids).logits
    assert expected.std() > 0.5  # the comparison is not one of zeros
    assert (our_logits(tmp_path / "m", ids) - expected).abs().max() < 1e-5
    theirs = GPTJForCausalLM.from_pretrained(tmp_path / "m", dtype=torch.float32)
    assert (theirs(ids).logits - expected).abs().max() < 1e-5
    assert report.parity.failures == () and report.parity.conversion.max_abs_difference < 1e-5
    assert report.parity.conversion.greedy == {"causal": 1.0, "infill": 1.0}


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_what_transformers_opens_as_codegen_computes_the_same(name, published, tmp_path):
    source = published(name)
    convert(str(source.folder), tmp_path / "m", "codegen")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "m", dtype=torch.float32)
    assert type(theirs) is CodeGenForCausalLM
    ids = ids_of(4, 3, 50)
    assert (theirs(ids).logits - source.model(ids).logits).abs().max() < 1e-5


@torch.inference_mode()
def test_prompts_of_different_lengths_side_by_side_go_on_as_theirs_padded_on_the_left(published, tmp_path):
    source = published("codegen2")
    convert(str(source.folder), tmp_path / "m", "native")
    decoder, tokenizer = load_model_folder(tmp_path / "m")
    prompts = [ids_of(seed, length).tolist() for seed, length in ((5, 7), (6, 19), (7, 12))]
    width = max(map(len, prompts))
    padded = torch.tensor([[tokenizer.control.pad] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    source.model.generation_config.eos_token_id = None
    theirs = source.model.generate(padded, attention_mask=mask, max_new_tokens=24, do_sample=False)[:, width:]
    ours = generate(TorchEngine(decoder), [GenerateRequest(p, 24) for p in prompts])
    assert [answer.token_ids for answer in ours] == theirs.tolist()
    assert len({i for answer in ours for i in answer.token_ids}) > 8


def test_opened_as_transformers_does_the_published_eight_groups_are_another_model(published):
    source = published("codegen2")
    wrong = CodeGenForCausalLM.from_pretrained(source.folder, dtype=torch.float32)
    ids = ids_of(8, 2, 40)
    with torch.inference_mode():
        assert (wrong(ids).logits - source.model(ids).logits).abs().max() > 1


@pytest.mark.parametrize("max_shard_bytes", [10**9, 100_000])
@pytest.mark.parametrize("through", ["codegen", "codegen2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_there_and_back_is_the_same_bytes(dtype, through, max_shard_bytes, tmp_path, make_decoder, tokenizer):
    first = save_model_folder(
        tmp_path / "first", make_decoder(*SHAPE).to(dtype), tokenizer, {}, max_shard_bytes
    )
    convert(str(first), tmp_path / "there", through, max_shard_bytes=max_shard_bytes)
    convert(str(tmp_path / "there"), tmp_path / "back", "native", max_shard_bytes=max_shard_bytes)
    weights = sorted(file.name for file in first.glob("model*"))
    assert len(weights) == (1 if max_shard_bytes == 10**9 else 10 if dtype == torch.float32 else 6)
    assert sorted(file.name for file in (tmp_path / "back").glob("model*")) == weights
    names = [*weights, "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]
    same, other, missing = filecmp.cmpfiles(first, tmp_path / "back", names, shallow=False)
    assert (same, other, missing) == (names, [], [])


def test_the_published_layout_comes_back_with_its_own_rows(published, tmp_path):
    source = published("codegen2").folder
    convert(str(source), tmp_path / "m", "codegen2")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["head_dim"] == 8 and config["architectures"] == ["CodeGenForCausalLM"]
    theirs = torch.load(source / "pytorch_model-00001-of-00002.bin", weights_only=True)
    ours = codegen_tensors(tmp_path / "m")
    qkv = [name for name in theirs if "qkv" in name]
    assert qkv and all(torch.equal(theirs[name], ours[name]) for name in theirs if "mask" not in name)
    text = (tmp_path / "m" / "README.md").read_text()
    assert "opens 8 groups as 4 without a word" in text


def codegen_tensors(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("name", TYPES)
@torch.inference_mode()
def test_weights_are_rounded_only_as_asked_and_the_report_says_how_far(name, published, tmp_path):
    source = published("codegen2")
    report = convert(str(source.folder), tmp_path / "m", "native", stored_as=name)
    stored = codegen_tensors(tmp_path / "m")
    assert {tensor.dtype for tensor in stored.values()} == {TYPES[name]}
    assert torch.equal(stored["lm_head.weight"], source.model.lm_head.weight.to(TYPES[name]))
    assert report.stored_as == {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}[name]
    assert report.parity.conversion.max_abs_difference < 1e-5
    rounding = report.parity.rounding
    assert (rounding is None) == (name == "fp32")
    if rounding:
        ids = ids_of(9, 2, 40)
        drift = (our_logits(tmp_path / "m", ids) - source.model(ids).logits).abs().max()
        assert 0.2 * drift < rounding.max_abs_difference < 5 * drift


def test_what_was_wrong_is_put_right_and_said(published, tmp_path, tokenizer):
    report = convert(str(published("codegen2").folder), tmp_path / "m", "native")
    said = "\n".join(report.corrections)
    eot = tokenizer.control.eot
    assert f"config.json: eos_token_id was 2 ('#'), now {eot} ('<|endoftext|>')" in said
    assert f"generation_config.json: bos_token_id was 1 ('\"'), now {eot}" in said
    assert "left out 2 buffers transformer.h.*.attn.causal_mask" in said
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert (config["bos_token_id"], config["eos_token_id"]) == (eot, eot)
    assert config["pad_token_id"] == tokenizer.control.pad
    generation = json.loads((tmp_path / "m" / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [eot, tokenizer.control.eom]
    kept = json.loads((tmp_path / "m" / "export_report.json").read_text())
    assert kept["corrections"] == list(report.corrections)
    assert kept["grouping"]["num_groups"] == 8 and kept["parity"]["failures"] == []


def test_nothing_is_put_right_in_a_folder_of_ours(tmp_path, make_decoder, tokenizer):
    folder = save_model_folder(tmp_path / "m", make_decoder(*SHAPE), tokenizer, {})
    report = convert(str(folder), tmp_path / "n", "native")
    assert report.corrections == () and report.warnings == ()


def test_the_prompts_of_the_source_are_kept(published, tmp_path, make_decoder, tokenizer):
    ours = save_model_folder(tmp_path / "ours", make_decoder(*SHAPE), tokenizer, {})
    asked = read_asked(ours, tokenizer)
    convert(str(ours), tmp_path / "a", "codegen2")
    convert(str(tmp_path / "a"), tmp_path / "b", "native")
    assert read_asked(tmp_path / "b", tokenizer) == asked
    convert(str(published("codegen2").folder), tmp_path / "c", "native")
    theirs = read_asked(tmp_path / "c", tokenizer)
    assert theirs.start_ids == () and theirs.infill.lead_tokens == 0


@pytest.mark.parametrize("to", ["native", "codegen", "codegen2"])
def test_a_conversion_that_mixes_rows_up_is_never_called_done(to, published, tmp_path, monkeypatch):
    convert(str(published("gptj").folder), tmp_path / "m", "native")
    before = (tmp_path / "m" / "model.safetensors").read_bytes()
    split = codegen.split_qkv

    def mixed_up(qkv, num_groups):
        q, k, v = split(qkv, num_groups)
        return q, v, k

    monkeypatch.setattr(codegen, "split_qkv", mixed_up)
    with pytest.raises(
        SpanmixError, match=r"is not written.*logits differ by up to .* next tokens"
    ) as caught:
        convert(str(published("codegen2").folder), tmp_path / "m", to)
    assert caught.value.exit_code == 1
    assert "qkv_proj in 8 groups, by config.json, which has head_dim" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == before


def test_one_misplaced_bias_is_found(published, tmp_path, monkeypatch):
    from spanmix.interchange.writer import ShardWriter

    write = ShardWriter.write

    def spoiled(self, name, tensor):
        write(self, name, tensor.roll(1) if name == "transformer.h.1.mlp.fc_in.bias" else tensor)

    monkeypatch.setattr(ShardWriter, "write", spoiled)
    with pytest.raises(SpanmixError, match="logits differ"):
        convert(str(published("gptj").folder), tmp_path / "m", "native")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", ["native", "codegen", "codegen2"])
def test_no_more_than_a_block_is_held_at_a_time(to, tmp_path, make_decoder, tokenizer, monkeypatch):
    folder = save_model_folder(tmp_path / "m", make_decoder(8, 64, 8, 4, 64), tokenizer, {})
    read = TensorFolder.read
    seen: list[weakref.ref] = []
    most = 0

    def watched(self, name):
        nonlocal most
        tensor = read(self, name)
        seen.append(weakref.ref(tensor))
        most = max(most, sum(held() is not None for held in seen))
        return tensor

    monkeypatch.setattr(TensorFolder, "read", watched)
    convert(str(folder), tmp_path / "n", to)
    assert len(seen) > 200  # the whole model three times
    assert most <= 10  # the tensors of one block


def test_heads_that_cannot_be_grouped_are_refused(tmp_path, make_decoder, tokenizer):
    folder = save_model_folder(tmp_path / "m", make_decoder(1, 48, 6, 4, 64), tokenizer, {})
    with pytest.raises(
        InputError, match="6 heads, which do not go into the 8 groups of this layout; use --to native"
    ):
        convert(str(folder), tmp_path / "n", "codegen2")
    assert not (tmp_path / "n").exists()


def test_float16_that_cannot_hold_the_weights_is_refused(tmp_path, make_decoder, tokenizer):
    decoder = make_decoder(*SHAPE)
    with torch.no_grad():
        decoder.h[1].mlp.fc_in.bias[3] = 1e5
    folder = save_model_folder(tmp_path / "m", decoder, tokenizer, {})
    said = r"h\.1\.mlp\.fc_in\.bias holds numbers that float16 cannot"
    with pytest.raises(InputError, match=said):
        convert(str(folder), tmp_path / "n", "native", stored_as="fp16")
    assert not (tmp_path / "n").exists()
