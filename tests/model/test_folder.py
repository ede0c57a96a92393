"""The model folder: what transformers makes of it is what we make of it."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, GPTJForCausalLM

from spanmix.errors import InputError, SpanmixError
from spanmix.generate.batch import generate
from spanmix.generate.engine import GenerateRequest
from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.architecture import PRESETS
from spanmix.model.decoder import Decoder
from spanmix.model.folder import load_model_folder, resolve_model, save_model_folder
from spanmix.model.masks import AttentionMask

SHAPES = [(1, 32, 1, 32, 96), (2, 48, 3, 8, 128), (3, 64, 4, 4, 100)]
FACTS = {"objectives": "causal 0.5, infill 0.5", "training data": "fingerprint 123abc"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_decoder, tokenizer):
    return save_model_folder(
        tmp_path_factory.mktemp("f") / "model", make_decoder(*SHAPES[1]), tokenizer, FACTS
    )


def ids_of(seed, *size):
    return torch.randint(0, 384, size, generator=torch.Generator().manual_seed(seed))


def logits_of(decoder, ids_BT):
    positions_BT = torch.arange(ids_BT.shape[1]).expand_as(ids_BT)
    return decoder.head(decoder(ids_BT, positions_BT, AttentionMask.causal(*ids_BT.shape)))


@pytest.mark.parametrize("shape", SHAPES)
@torch.inference_mode()
def test_transformers_gives_the_same_logits_and_the_same_64_tokens(shape, tmp_path, make_decoder, tokenizer):
    decoder = make_decoder(*shape)
    save_model_folder(tmp_path / "m", decoder, tokenizer, FACTS)
    theirs = GPTJForCausalLM.from_pretrained(tmp_path / "m", dtype=torch.float32)
    ids = ids_of(3, 4, shape[4])
    ours_BTV, theirs_BTV = logits_of(decoder, ids), theirs(ids).logits
    assert (ours_BTV - theirs_BTV).abs().max() < 1e-4
    assert ours_BTV.std() > 0.5  # the comparison is not one of zeros
    theirs.generation_config.eos_token_id = None  # random weights would soon end
    suppress = tokenizer.suppressed_ids
    distinct = set()
    for row in range(4):
        prompt = ids[row, :20]
        kept = {"max_new_tokens": 64, "do_sample": False, "attention_mask": torch.ones(1, 20)}
        theirs_ids = theirs.generate(prompt[None], **kept)[0, 20:].tolist()
        request = GenerateRequest(prompt.tolist(), 64, suppress_ids=suppress)
        assert generate(TorchEngine(decoder), [request])[0].token_ids == theirs_ids
        distinct |= set(theirs_ids)
    assert len(distinct) > 8


def test_the_tokenizer_is_the_same_in_transformers(folder, tokenizer):
    theirs = AutoTokenizer.from_pretrained(folder)
    texts = ["def f(x):\n    return x", "naïve ☃ wörld\r\n\t\tx", "        deep", ""]
    for text in texts:
        assert theirs.encode(text, add_special_tokens=False) == tokenizer.encode(text)
    assert len(theirs) == tokenizer.vocab_size
    assert theirs.convert_tokens_to_ids("<mask_1>") == tokenizer.control.masks[0]


@pytest.mark.parametrize(
    ("name", "num_parameters"),
    [
        ("codegen2-1b", 1_015_306_240),
        ("codegen2-3.7b", 3_641_174_016),
        ("codegen2-7b", 6_862_858_240),
        ("codegen2-16b", 16_032_155_648),
    ],
)
def test_presets_have_exactly_codegen2s_parameters(name, num_parameters):
    with torch.device("meta"):
        decoder = Decoder(PRESETS[name])
    assert sum(parameter.numel() for parameter in decoder.parameters()) == num_parameters
    assert PRESETS[name].num_parameters == num_parameters


@pytest.mark.parametrize("max_shard_bytes", [10**9, 60_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_save_and_load_is_bit_equal(max_shard_bytes, dtype, tmp_path, make_decoder, tokenizer):
    decoder = make_decoder(*SHAPES[1]).to(dtype)
    path = save_model_folder(tmp_path / "m", decoder, tokenizer, FACTS, max_shard_bytes)
    shards = list(path.glob("*.safetensors"))
    assert len(shards) == 1 if max_shard_bytes == 10**9 else len(shards) > 3
    assert all(shard.stat().st_size < max_shard_bytes + 20_000 for shard in shards)
    loaded, loaded_tokenizer = load_model_folder(path)
    before, after = decoder.state_dict(), loaded.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert after["head.weight"].dtype == dtype
    assert loaded.architecture == decoder.architecture
    assert loaded_tokenizer.fingerprint == tokenizer.fingerprint
    ids = ids_of(5, 2, 30)
    theirs = GPTJForCausalLM.from_pretrained(path, dtype=torch.float32)
    if dtype == torch.float32:
        assert (theirs(ids).logits - logits_of(loaded, ids)).abs().max() < 1e-4


def test_generation_config_ends_where_the_model_ends(folder, tokenizer):
    config = json.loads((folder / "generation_config.json").read_text())
    assert config["eos_token_id"] == [tokenizer.control.eot, tokenizer.control.eom]
    assert set(config["suppress_tokens"]) == tokenizer.suppressed_ids
    card = (folder / "README.md").read_text()
    assert "fingerprint 123abc" in card and "<mask_1>" in card


def test_saving_replaces_a_model_folder_and_nothing_else(tmp_path, make_decoder, tokenizer):
    save_model_folder(tmp_path / "m", make_decoder(*SHAPES[0]), tokenizer, {})
    save_model_folder(tmp_path / "m", make_decoder(*SHAPES[1]), tokenizer, {})
    assert load_model_folder(tmp_path / "m")[0].architecture.num_layers == 2
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("one")
    with pytest.raises(InputError, match="not a model folder"):
        save_model_folder(tmp_path / "thesis", make_decoder(*SHAPES[0]), tokenizer, {})
    assert (tmp_path / "thesis" / "chapter").read_text() == "one"


def test_weights_that_are_not_finite_are_not_saved(tmp_path, make_decoder, tokenizer):
    decoder = make_decoder(*SHAPES[0])
    with torch.no_grad():
        decoder.h[0].mlp.fc_out.bias[3] = torch.inf
    with pytest.raises(SpanmixError, match=r"the tensor transformer\.h\.0\.mlp\.fc_out\.bias"):
        save_model_folder(tmp_path / "m", decoder, tokenizer, {})
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_model(folder, tmp_path, make_decoder, tokenizer, monkeypatch):
    def full(tensors, file, metadata):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    target = save_model_folder(tmp_path / "m", *load_model_folder(folder), {})
    monkeypatch.setattr("spanmix.model.weights.save_file", full)
    said = r"model\.safetensors could not be written: No space left on device \([\d,]+ bytes are free"
    with pytest.raises(SpanmixError, match=said):
        save_model_folder(target, make_decoder(*SHAPES[0]), tokenizer, {})
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert load_model_folder(target)[0].architecture.num_layers == SHAPES[1][0]


KILLED = """
import os, signal, sys
from spanmix.model.folder import load_model_folder, save_model_folder
from spanmix.text.tokenizer import Tokenizer
decoder, tokenizer = load_model_folder(sys.argv[1])
Tokenizer.save = lambda self, folder: os.kill(os.getpid(), signal.SIGKILL)
save_model_folder(sys.argv[2], decoder, tokenizer, {})
"""


def test_killed_while_saving_leaves_no_folder_and_the_next_save_cleans_up(folder, tmp_path):
    target = tmp_path / "new"
    ran = subprocess.run([sys.executable, "-c", KILLED, folder, target], env=dict(os.environ))
    assert ran.returncode == -9
    assert not target.exists() and list(tmp_path.iterdir())
    save_model_folder(target, *load_model_folder(folder), {})
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def edit_weights(folder, change):
    """Change one tensor in the file."""
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.bias"] = change(tensors["lm_head.bias"])
    save_file(tensors, folder / "model.safetensors")


def index(folder, *nothing, **fields):
    """Put an index in the place of the weights."""
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(fields))


BROKEN = [
    (lambda f: (f / "config.json").unlink(), "config.json is missing"),
    (lambda f: (f / "config.json").write_text("{"), "is not JSON"),
    (lambda f: (f / "model.safetensors").unlink(), "neither model.safetensors nor"),
    (lambda f: (f / "model.safetensors").write_bytes(b"x" * 10**6), "cannot be read as safetensors"),
    (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json"),
    (lambda f: edit_config(f, architectures=["LlamaForCausalLM"]), "has no num_hidden_layers"),
    (lambda f: edit_config(f, architectures=["SpanmixPrefixLM"]), "architecture SpanmixPrefixLM"),
    (lambda f: edit_config(f, vocab_size=448), "384 entries and the model 448"),
    (lambda f: edit_config(f, n_head=5), "multiple of num_heads"),
    (lambda f: edit_config(f, n_layer="2"), "n_layer '2'"),
    (lambda f: edit_config(f, n_layer=3), "tensors are missing"),
    (lambda f: edit_config(f, activation_function="relu"), "activation_function 'relu'"),
    (lambda f: edit_config(f, spanmix={"format_version": 99}), "version 99"),
    (lambda f: edit_config(f, n_embd=96), "asks for 296,832 parameters.* 375,624 bytes"),
    (lambda f: edit_config(f, n_embd=54), r"has shape \[\d+.* asks for \[\d+"),
    (lambda f: (f / "config.json").write_text("null"), "config.json has the content None"),
    (lambda f: (f / "config.json").write_text("[]"), r"config.json has the content \[\]"),
    (lambda f: edit_config(f, spanmix=None), "spanmix None"),
    (lambda f: edit_config(f, spanmix={"format_version": "1"}), "spanmix.format_version '1'"),
    (lambda f: edit_config(f, architectures="GPTJForCausalLM"), "architectures 'GPTJ"),
    (lambda f: edit_config(f, architectures=[]), "architecture none"),
    (lambda f: edit_config(f, n_inner=7), r"fc_in.bias has shape \[192\], but config.json asks for \[7\]"),
    (lambda f: edit_config(f, n_inner=-7), "n_inner -7"),
    (lambda f: edit_config(f, n_head=True), "n_head True"),
    (lambda f: edit_config(f, n_layer=10**7), r"asks for [\d,]{15,} parameters"),
    (lambda f: edit_config(f, n_embd=10**30), "n_embd 1000"),
    (lambda f: edit_config(f, layer_norm_epsilon=float("nan")), "layer_norm_epsilon nan"),
    (lambda f: edit_config(f, layer_norm_epsilon=-1.0), "layer_norm_epsilon -1.0"),
    (lambda f: edit_config(f, layer_norm_epsilon=[]), r"layer_norm_epsilon \[\]"),
    (lambda f: edit_weights(f, torch.Tensor.double), "lm_head.bias is stored as float64"),
    (lambda f: edit_weights(f, torch.Tensor.char), "lm_head.bias is stored as int8"),
    (lambda f: edit_weights(f, torch.Tensor.half), "stored as float16 and float32; use one type"),
    (lambda f: edit_weights(f, lambda t: t * torch.nan), "lm_head.bias holds NaN or infinite numbers"),
    (lambda f: edit_weights(f, lambda t: t / 0), "lm_head.bias holds NaN or infinite numbers"),
    (lambda f: index(f, None), "has no weight_map"),
    (lambda f: index(f, weight_map=[]), r"weight_map \[\]"),
    (lambda f: index(f, weight_map={"lm_head.bias": [1]}), r"weight_map.lm_head.bias \[1\]"),
]


@pytest.mark.parametrize(("break_it", "message"), BROKEN)
def test_a_broken_folder_is_refused_with_its_reason(break_it, message, tmp_path, make_decoder, tokenizer):
    path = save_model_folder(tmp_path / "m", make_decoder(*SHAPES[1]), tokenizer, {})
    break_it(path)
    with pytest.raises(InputError, match=message) as caught:
        load_model_folder(path)
    assert str(tmp_path) in str(caught.value)


def test_an_index_cannot_lead_out_of_the_folder(tmp_path, make_decoder, tokenizer):
    path = save_model_folder(tmp_path / "m", make_decoder(*SHAPES[0]), tokenizer, {})
    (path / "model.safetensors").rename(tmp_path / "outside.safetensors")
    index = {"weight_map": {"lm_head.bias": "../outside.safetensors"}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="not in the folder"):
        load_model_folder(path)


def test_a_tokenizer_of_another_size_is_not_saved(tmp_path, make_decoder, tokenizer):
    with pytest.raises(InputError, match="384 entries and the model 320"):
        save_model_folder(tmp_path / "m", make_decoder(*SHAPES[0], vocab_size=320), tokenizer, {})
    assert not (tmp_path / "m").exists()


def test_model_is_resolved_in_one_place(folder, tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints" / "step-10").mkdir(parents=True)
    (run / "recipe.yaml").write_text("")
    assert resolve_model(folder) == folder
    with pytest.raises(InputError, match="no model yet"):
        resolve_model(run)
    with pytest.raises(InputError, match=r"training checkpoint.*run"):
        resolve_model(run / "checkpoints" / "step-10")
    save_model_folder(run / "model", *load_model_folder(folder), {})
    assert resolve_model(run) == run / "model"
    with pytest.raises(InputError, match="neither a model folder"):
        resolve_model(tmp_path)
    with pytest.raises(InputError, match="there is no model at"):
        resolve_model(tmp_path / "nothing")


def test_a_hub_name_without_network_is_an_error_in_one_paragraph(monkeypatch):
    import huggingface_hub

    def no_network(name, **kwargs):
        raise OSError("We couldn't connect\nsecond line")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", no_network)
    with pytest.raises(InputError, match="the hub did not give it: We couldn't connect") as caught:
        resolve_model("nobody/nothing")
    assert "\n" not in str(caught.value)


def test_only_a_model_and_nothing_else_is_replaced(make_decoder, tokenizer, tmp_path):
    """Other programs have a config.json too, and other things may lie beside a model."""
    decoder = make_decoder(1, 32, 2, 4, 16)
    project = tmp_path / "project"
    project.mkdir()
    (project / "config.json").write_text("{}")
    (project / "thesis.txt").write_text("all of it")
    with pytest.raises(InputError, match="no weights, so it is not a model"):
        save_model_folder(project, decoder, tokenizer, {})
    folder = save_model_folder(tmp_path / "m", decoder, tokenizer, {})
    (folder / ".git").mkdir()
    with pytest.raises(InputError, match=r"the folder \.git in it be lost"):
        save_model_folder(folder, decoder, tokenizer, {})
    (folder / ".git").rmdir()
    save_model_folder(folder, decoder, tokenizer, {})
    assert (project / "thesis.txt").read_text() == "all of it"
    with pytest.raises(
        InputError, match=r"is a file, and a model is a folder; a GGUF file is for llama\.cpp"
    ):
        (tmp_path / "m.gguf").write_bytes(b"GGUF")
        resolve_model(str(tmp_path / "m.gguf"))
