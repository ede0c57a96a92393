"""The published vocabularies and files: no tokenizer, CodeGen's short ones, CodeGen2.5's Llama."""

import json
import re

import pytest
import torch
from transformers import (
    AutoTokenizer,
    CodeGenConfig,
    CodeGenForCausalLM,
    GPTJConfig,
    GPTJForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from spanmix.cli import main
from spanmix.errors import InputError
from spanmix.generate.asked import read_asked
from spanmix.interchange.checkpoint import TYPES
from spanmix.interchange.convert import TARGETS, convert
from spanmix.interchange.hub import source_folder
from spanmix.interchange.layouts import LAYOUTS
from spanmix.interchange.tokenizers import codegen1_tokenizer
from spanmix.model.folder import load_model_folder
from spanmix.model.masks import AttentionMask

SMALL = {"n_layer": 1, "n_embd": 16, "n_head": 8, "rotary_dim": 2, "n_positions": 64, "vocab_size": 51200}
NO_DROPOUT = {"resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}


def spread(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model.eval()


def write_config(folder, model, **changes):
    config = json.loads(model.config.to_json_string(use_diff=False))
    config |= {"architectures": [type(model).__name__], "bos_token_id": 1, "eos_token_id": 2, **changes}
    (folder / "config.json").write_text(json.dumps(config))


@torch.inference_mode()
def same_logits(folder, model):
    decoder, _ = load_model_folder(folder)
    decoder.float()
    ids = torch.randint(0, 51200, (2, 30), generator=torch.Generator().manual_seed(1))
    positions = torch.arange(30).expand(2, 30)
    ours = decoder.head(decoder(ids, positions, AttentionMask.causal(2, 30)))
    theirs = model(ids).logits
    assert theirs.std() > 0.1
    assert (ours - theirs).abs().max() < 1e-5


@pytest.fixture(scope="module")
def gptj(tmp_path_factory):
    """A folder of michaelfeil's codegen2-*-gptj: fp16, one pickle, no tokenizer files, eos 2."""
    folder = tmp_path_factory.mktemp("gptj")
    model = spread(GPTJForCausalLM(GPTJConfig(**SMALL, **NO_DROPOUT, tie_word_embeddings=False)), 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half())
    write_config(folder, model, dtype="float16", tokenizer_class="CodeGenTokenizer")
    state = {name: tensor.half() for name, tensor in model.state_dict().items()}
    state["transformer.h.0.attn.bias"] = torch.ones(1, 1, 64, 64, dtype=torch.uint8).tril()
    state["transformer.h.0.attn.masked_bias"] = torch.tensor(-1e9)
    torch.save(state, folder / "pytorch_model.bin")
    return folder, model


def run_card(folder, capsys):
    """Run the code of the model card; it prints a continuation for each prompt."""
    card = (folder / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card, re.S)
    exec(code.replace("PATH", str(folder)).replace("max_new_tokens=64", "max_new_tokens=3"), {})
    assert capsys.readouterr().out.strip()
    return card


def test_gptj_without_tokenizer_files_gets_codegen2s_and_completes_and_infills(gptj, tmp_path, capsys):
    folder, model = gptj
    dest = tmp_path / "m"
    assert main(["convert", str(folder), str(dest), "--to", "native"]) == 0
    printed = capsys.readouterr()
    assert "no tokenizer files; it is given CodeGen2's" in printed.err
    assert "eos_token_id was 2 ('#'), now 50256 ('<|endoftext|>')" in printed.err
    assert "read as GPTJForCausalLM" in printed.out and "100.00%" in printed.out
    same_logits(dest, model)
    theirs = AutoTokenizer.from_pretrained(dest)
    assert theirs("<mask_1>").input_ids == [51199] and len(theirs) == 51200
    for name, *asked in (["complete", "--prompt", "f"], ["infill", "--prefix", "f", "--suffix", "return"]):
        assert main([name, str(dest), *asked, "--max-tokens", "3"]) == 0
        assert capsys.readouterr().out.strip()
    card = run_card(dest, capsys)
    assert "infill: `prefix<mask_1>suffix<|endoftext|><sep><mask_1>`" in card
    assert "every prompt starts" not in card


@pytest.mark.parametrize("kind", ["nl", "multi"])
def test_codegen1_keeps_its_rows_and_is_not_asked_to_infill(kind, tmp_path, capsys):
    source, dest = tmp_path / "source", tmp_path / "m"
    source.mkdir()
    model = spread(CodeGenForCausalLM(CodeGenConfig(**SMALL, **NO_DROPOUT)), 2)
    write_config(source, model)
    torch.save(dict(model.state_dict()), source / "pytorch_model.bin")
    write_codegen1_tokenizer(source, kind)
    report = convert(str(source), dest, "native")
    assert report.grouping.num_groups == 4
    assert any("never trained" in sentence for sentence in report.corrections)
    assert list(report.parity.conversion.greedy) == ["causal"]
    same_logits(dest, model)
    _, tokenizer = load_model_folder(dest)
    asked = read_asked(dest, tokenizer)
    assert (asked.start_ids, asked.infill) == ((), None)
    assert {51199, 50299, 50300} <= tokenizer.suppressed_ids
    card = run_card(dest, capsys)
    assert "- infill: not trained" in card and "spanmix infill" not in card


def write_codegen1_tokenizer(folder, kind):
    """Write vocab.json, merges.txt and added_tokens.json as Salesforce did, without the rows behind them."""
    codegen1_tokenizer(kind).save(folder)
    (folder / "tokenizer.json").unlink()
    vocabulary = json.loads((folder / "vocab.json").read_text())
    (folder / "vocab.json").write_text(json.dumps({**vocabulary, "<|endoftext|>": 50256}))
    runs = [" " * n for n in range(31, 1, -1)] + ["\t" * n for n in range(9, 1, -1)]
    added = {run: 50257 + i for i, run in enumerate(runs)} if kind == "multi" else {}
    (folder / "added_tokens.json").write_text(json.dumps(added))
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink()


@pytest.fixture(scope="module")
def codegen25(tmp_path_factory):
    """A folder of codegen25-7b: Llama, three pickles with rotary buffers, a tokenizer in Python only."""
    folder = tmp_path_factory.mktemp("codegen25")
    config = LlamaConfig(
        vocab_size=51200,
        hidden_size=16,
        intermediate_size=44,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        rms_norm_eps=1e-6,
        pad_token_id=0,
    )
    model = spread(LlamaForCausalLM(config), 3)
    write_config(folder, model, bos_token_id=50256, eos_token_id=50256)
    state = dict(model.state_dict())
    for layer in range(2):
        state[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    names = [f"pytorch_model-0000{i}-of-00003.bin" for i in (1, 2, 3)]
    keys = sorted(state)
    thirds = {name: keys[i::3] for i, name in enumerate(names)}
    for name, part in thirds.items():
        torch.save({key: state[key] for key in part}, folder / name)
    weight_map = {key: name for name, part in thirds.items() for key in part}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "tokenization_codegen25.py").write_text("raise SystemExit('this is not to be run')\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CodeGen25Tokenizer"}))
    return folder, model


def test_codegen25_becomes_a_native_llama(codegen25, tmp_path):
    folder, model = codegen25
    report = convert(str(folder), tmp_path / "m", "native")
    assert report.source_layout == "LlamaForCausalLM" and report.grouping is None
    said = "\n".join(report.corrections)
    assert "left out 2 buffers model.layers.*.self_attn.rotary_emb.inv_freq" in said
    assert "pad_token_id was 0 ('!'), now 50298 ('<fim_pad>')" in said
    assert "eos_token_id" not in said
    assert set(report.parity.conversion.greedy) == {"causal", "infill"}
    same_logits(tmp_path / "m", model)
    theirs = LlamaForCausalLM.from_pretrained(tmp_path / "m", dtype=torch.float32)
    ids = torch.arange(40)[None] * 1000
    with torch.inference_mode():
        assert (theirs(ids).logits - model(ids).logits).abs().max() < 1e-5
    convert(str(tmp_path / "m"), tmp_path / "again", "native")
    first = (tmp_path / "m" / "model.safetensors").read_bytes()
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == first


@pytest.mark.parametrize("to", ["codegen", "codegen2"])
def test_a_llama_has_no_place_in_codegens_layouts(to, codegen25, tmp_path):
    with pytest.raises(InputError, match=r"form llama, which CodeGen's own layout cannot.* use --to native"):
        convert(str(codegen25[0]), tmp_path / "m", to)
    assert not (tmp_path / "m").exists()


def test_what_the_hub_has_as_pickles_is_fetched_only_without_safetensors(tmp_path, monkeypatch):
    import huggingface_hub

    asked = []

    def download(name, allow_patterns):
        asked.append((name, *allow_patterns))
        return str(tmp_path / name.split("/")[1])

    for name in ("pickled", "safe"):
        (tmp_path / name).mkdir()
    (tmp_path / "safe" / "model-00001-of-00002.safetensors").write_text("")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    assert source_folder("someone/pickled") == tmp_path / "pickled"
    assert source_folder("someone/safe") == tmp_path / "safe"
    pickles = [name for name, *patterns in asked if any("pytorch_model" in p for p in patterns)]
    assert pickles == ["someone/pickled"] and len(asked) == 3


def test_the_verb_prints_one_json_object_and_refuses_in_one_paragraph(gptj, tmp_path, capsys):
    folder = str(gptj[0])
    dest = str(tmp_path / "m")
    assert main(["convert", folder, dest, "--to", "codegen2", "--dtype", "bf16", "--json"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert result == json.loads((tmp_path / "m" / "export_report.json").read_text())
    assert (result["to"], result["stored_as"]) == ("codegen2", "bfloat16")
    assert result["parity"]["rounding"]["max_abs_difference"] > 0
    assert "write the weights, bytes" in printed.err and "opens 8 groups as 4" in printed.err
    assert main(["convert", folder, dest, "--to", "native", "--mp-num", "4"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["convert", folder, dest, "--to", "native", "--quantization", "int8"]) == 2
    assert "--quantization is not for --to native; say with --dtype" in capsys.readouterr().err
    assert main(["convert", folder, dest, "--to", "ctranslate2", "--dtype", "bf16"]) == 2
    assert "say with --quantization" in capsys.readouterr().err


def test_the_verb_offers_what_there_is():
    assert [*TARGETS] == [*LAYOUTS]
    assert set(LAYOUTS["native"]) == set(TYPES)
