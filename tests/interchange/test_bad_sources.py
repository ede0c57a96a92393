"""Checkpoints that cannot be used: one paragraph that says why, and nothing is written."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file

from spanmix.errors import InputError, SpanmixError
from spanmix.interchange import convert as module
from spanmix.interchange.convert import convert
from spanmix.interchange.verify.verify import verify
from spanmix.text.tokenizer import Tokenizer

FIRST, SECOND = "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"


class Code:
    def __reduce__(self):
        return os.system, ("touch HACKED",)


def cut(folder, name, share):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(len(data) * share)])


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v != "gone"}))


def edit_shard(folder, change):
    shard = torch.load(folder / FIRST, weights_only=True)
    change(shard)
    torch.save(shard, folder / FIRST)


def rename(folder, old, new):
    edit_shard(folder, lambda shard: shard.__setitem__(new, shard.pop(old)))


def with_code(folder):
    with (folder / SECOND).open("wb") as file:
        pickle.dump({"lm_head.bias": Code()}, file)


def zipped_code(folder):
    torch.save({"lm_head.bias": Code()}, folder / SECOND)


def compressed(folder):
    """Packed again, as archivers do it."""
    data = (folder / FIRST).rename(folder / "plain")
    with (
        zipfile.ZipFile(data) as plain,
        zipfile.ZipFile(folder / FIRST, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))


WTE = "transformer.wte.weight"
QKV = "transformer.h.0.attn.qkv_proj.weight"
INDEX = "pytorch_model.bin.index.json"
BROKEN = {
    "shard missing": (lambda f: (f / SECOND).unlink(), f"{SECOND} is missing; {INDEX} names it"),
    "shard cut short": (lambda f: cut(f, SECOND, 0.7), f"{SECOND} was cut short, or is a plain"),
    "shard empty": (lambda f: cut(f, SECOND, 0), f"{SECOND} was cut short"),
    "code": (with_code, f"{SECOND} was cut short, or is a plain pickle"),
    "code in a zip": (zipped_code, f"{SECOND} holds more than tensors, such as code"),
    "no pickle": (lambda f: (f / SECOND).write_bytes(b"hello" * 99), f"{SECOND} was cut short"),
    "a tensor twice": (
        lambda f: edit_shard(f, lambda shard: shard.update({"lm_head.bias": torch.ones(384)})),
        f"{FIRST} and {SECOND} both hold the tensor lm_head.bias, so which is meant is not known",
    ),
    "names that are numbers": (
        lambda f: edit_shard(f, lambda shard: shard.update({1: torch.ones(2)})),
        "no dictionary of tensors by their names",
    ),
    "compressed": (compressed, f"{FIRST} was compressed by another program than PyTorch"),
    "sparse": (
        lambda f: edit_shard(f, lambda shard: shard.update({QKV: shard[QKV].to_sparse()})),
        "stored in a type that cannot be converted",
    ),
    "without numbers": (
        lambda f: edit_shard(f, lambda shard: shard.update({QKV: shard[QKV].to("meta")})),
        "stored in a type that cannot be converted",
    ),
    "format of another Spanmix": (
        lambda f: edit_config(f, spanmix={"format_version": 99}),
        "model folder version 99; this Spanmix reads version 1",
    ),
    "asked with a token that is not there": (
        lambda f: edit_config(f, spanmix={"start": ["<nope>"], "infill": None}),
        "asked with '<nope>', and its tokenizer has no such special token",
    ),
    "not tensors": (lambda f: torch.save({"a": 1}, f / SECOND), "no dictionary of tensors"),
    "a tensor": (lambda f: torch.save(torch.ones(2), f / SECOND), "no dictionary of tensors"),
    "no weights": (lambda f: (f / INDEX).unlink(), "has no weights: neither model.safetensors nor"),
    "index broken": (lambda f: (f / INDEX).write_text("{"), "is not JSON"),
    "index leads out": (
        lambda f: (f / INDEX).write_text(json.dumps({"weight_map": {"a": "../x.bin"}})),
        "not in the folder",
    ),
    "config missing": (lambda f: (f / "config.json").unlink(), "neither a model folder"),
    "config broken": (lambda f: (f / "config.json").write_text("{"), "is not JSON"),
    "layout unknown": (
        lambda f: edit_config(f, architectures=["GPT2LMHeadModel"]),
        "GPT2LMHeadModel; convert reads CodeGenForCausalLM, GPTJForCausalLM, LlamaForCausalLM",
    ),
    "no architecture": (lambda f: edit_config(f, architectures=None), "the architecture none"),
    "other activation": (lambda f: edit_config(f, activation_function="relu"), "activation_function 'relu'"),
    "other head_dim": (lambda f: edit_config(f, head_dim=16), "head_dim 16, but n_embd / n_head is 8"),
    "heads": (lambda f: edit_config(f, n_head=7), "multiple of num_heads"),
    "a million layers": (lambda f: edit_config(f, n_layer=10**6), r"asks for [\d,]{14,} parameters"),
    "another size": (
        lambda f: edit_config(f, n_embd=48, head_dim=6),
        r"shape \[384, 64\].*asks for \[384, 48",
    ),
    "tied": (lambda f: edit_config(f, tie_word_embeddings=True), "tie_word_embeddings True"),
    "vocabulary": (lambda f: edit_config(f, vocab_size=383), r"shape \[384, 64\].* asks for \[383, 64\]"),
    "tensor missing": (
        lambda f: edit_shard(f, lambda shard: shard.pop(WTE)),
        r"but the weights beside it hold [\d,]+ numbers",
    ),
    "tensor renamed": (lambda f: rename(f, WTE, "transformer.wpe.weight"), f"1 tensors are missing.*{WTE}"),
    "tensor too many": (
        lambda f: edit_shard(f, lambda shard: shard.update({f"{QKV}.lora_A": torch.ones(2)})),
        "for which the decoder has no use",
    ),
    "NaN": (
        lambda f: edit_shard(f, lambda shard: shard[QKV].fill_(torch.nan)),
        f"{QKV} holds NaN or infinite numbers",
    ),
    "int8": (
        lambda f: edit_shard(f, lambda shard: shard.update({QKV: shard[QKV].char()})),
        "stored in a type that cannot be converted",
    ),
    "two types": (
        lambda f: edit_shard(f, lambda shard: shard.update({QKV: shard[QKV].half()})),
        "stored as float16 and float32; name the type to write",
    ),
    "tokenizer broken": (lambda f: (f / "tokenizer.json").write_text("{"), "tokenizer.json cannot be read"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_checkpoint_is_refused_with_its_reason(kind, published, tmp_path, monkeypatch):
    break_it, message = BROKEN[kind]
    source = tmp_path / "source"
    shutil.copytree(published("codegen2").folder, source)
    break_it(source)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        convert(str(source), tmp_path / "m", "native")
    assert str(source) in str(caught.value) and "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("share", [0.5, 0.999, 0.001])
def test_safetensors_cut_short_are_refused(share, published, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(published("built_in").folder, source)
    cut(source, "model.safetensors", share)
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read as safetensors"):
        convert(str(source), tmp_path / "m", "native")
    assert not (tmp_path / "m").exists()


def test_a_tokenizer_of_another_size_is_refused(published, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(published("built_in").folder, source)
    Tokenizer.train(["def f(): pass\n"] * 9, vocab_size=320, num_sentinels=9).save(source)
    with pytest.raises(InputError, match=r"tokenizer has 320 entries and the model's embedding 384 rows"):
        convert(str(source), tmp_path / "m", "native")


@pytest.fixture
def with_tokenizer(published, tmp_path):
    """Writes a model whose tokenizer was changed."""

    def write(change):
        source = tmp_path / "source"
        shutil.copytree(published("built_in").folder, source)
        inner = tokenizers.Tokenizer.from_file(str(source / "tokenizer.json"))
        change(inner)
        inner.save(str(source / "tokenizer.json"))
        return source

    return write


@pytest.mark.parametrize("name", ["Lowercase", "NFKC", "NFC", "StripAccents", "Strip"])
def test_a_tokenizer_that_changes_its_texts_is_refused(name, with_tokenizer, tmp_path):
    normalizer = getattr(tokenizers.normalizers, name)()
    source = with_tokenizer(lambda inner: setattr(inner, "normalizer", normalizer))
    with pytest.raises(SpanmixError, match=r"the tokenizer does not give .* back"):
        convert(str(source), tmp_path / "m", "native")
    assert not (tmp_path / "m").exists()
    checks = {check.name: check.result for check in verify(str(source), 60).checks}
    assert checks["tokenizer"] == "wrong"


def test_a_tokenizer_that_was_saved_while_it_cut_and_filled_texts_does_neither(with_tokenizer, tmp_path):
    def change(inner):
        inner.enable_truncation(3)
        inner.enable_padding(length=7)

    report = convert(str(with_tokenizer(change)), tmp_path / "m", "native")
    assert any("cut texts at 3 tokens" in sentence for sentence in report.corrections)
    assert any("filled up short texts" in sentence for sentence in report.corrections)
    inner = tokenizers.Tokenizer.from_file(str(tmp_path / "m" / "tokenizer.json"))
    assert (inner.truncation, inner.padding) == (None, None)


@pytest.mark.parametrize("to", ["native", "ctranslate2"])
@pytest.mark.parametrize("context_tokens", [1, 2, 7, 8])
def test_a_model_of_a_tiny_context_is_compared_within_it(context_tokens, to, published, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(published("built_in").folder, source)
    edit_config(source, n_positions=context_tokens)
    parity = convert(str(source), tmp_path / "m", to, "fp32" if to == "native" else "float32").parity
    assert parity.failures == ()
    assert set(parity.conversion.greedy) == {"causal", *(["infill"] if context_tokens >= 8 else [])}


def test_weights_whose_logits_are_no_numbers_are_refused(published, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(published("built_in").folder, source)
    state = load_file(source / "model.safetensors")
    state["lm_head.weight"].fill_(3e38)
    save_file(state, source / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SpanmixError, match="own logits are not numbers"):
        convert(str(source), tmp_path / "m", "native")


def test_a_file_is_no_model_folder(published, tmp_path):
    source = published("built_in").folder
    with pytest.raises(InputError, match="is a file, and a model is a folder; name the folder of it"):
        convert(str(source / "model.safetensors"), tmp_path / "m", "native")
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(InputError, match=r"is a file, .*; name the model that it was made from"):
        convert(str(tmp_path / "m.gguf"), tmp_path / "m", "native")


def test_weights_that_are_closed_to_us_are_not_called_missing(published, tmp_path, monkeypatch):
    def closed(path, *args, **kwargs):
        if path.name == "model.safetensors":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    opened = Path.open
    monkeypatch.setattr(Path, "open", closed)
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read: Permission denied"):
        convert(str(published("built_in").folder), tmp_path / "m", "native")


def test_mixed_types_are_converted_when_it_is_said_how(published, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(published("built_in").folder, source)
    state = load_file(source / "model.safetensors")
    state["lm_head.bias"] = state["lm_head.bias"].half()
    save_file(state, source / "model.safetensors", metadata={"format": "pt"})
    report = convert(str(source), tmp_path / "m", "native", stored_as="fp32")
    assert report.stored_as == "float32" and report.parity.rounding is None


def test_the_place_is_asked_for_before_any_work(published, tmp_path, monkeypatch):
    source = published("built_in").folder
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("one")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(module, "open_source", None)
    for name, message in (("thesis", "not a model folder"), ("file", "is a file")):
        with pytest.raises(InputError, match=message):
            convert(str(source), tmp_path / name, "native")


@pytest.mark.parametrize("place", ["", "inner", ".."])
def test_the_source_is_not_written_over(place, published, tmp_path):
    source = tmp_path / "outer" / "source"
    shutil.copytree(published("built_in").folder, source)
    (tmp_path / "outer" / "config.json").write_text("{}")
    (tmp_path / "outer" / "model.safetensors").write_text("")
    dest = source.parent if place == ".." else source / place
    message = "folder source in it be lost" if place == ".." else "are one folder, or one lies in the other"
    with pytest.raises(InputError, match=message):
        convert(str(source), dest, "native")
    assert (source / "model.safetensors").is_file()


def test_a_full_disk_shows_before_the_work_and_leaves_what_was_there(published, tmp_path, monkeypatch):
    convert(str(published("gptj").folder), tmp_path / "m", "native")
    before = (tmp_path / "m" / "model.safetensors").read_bytes()

    def full(handle, start, length):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SpanmixError, match=r"model\.safetensors could not be written: No space left"):
        convert(str(published("codegen2").folder), tmp_path / "m", "native")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == before


KILLED = """
import os, pathlib, signal, sys
from spanmix.interchange.convert import convert
def progress(stage, done, total):
    if stage.startswith(sys.argv[3]) and done * 2 > total:
        os.kill(os.getpid(), signal.SIGKILL)
convert(sys.argv[1], pathlib.Path(sys.argv[2]), "native", progress=progress)
"""


@pytest.mark.parametrize("stage", ["write the weights", "compare the models"])
def test_killed_in_the_middle_leaves_no_folder_and_the_next_run_cleans_up(stage, published, tmp_path):
    source, dest = published("codegen2").folder, tmp_path / "m"
    command = [sys.executable, "-c", KILLED, source, dest, stage]
    ran = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True)
    assert ran.returncode == -9, ran.stderr
    assert not dest.exists() and list(tmp_path.iterdir())
    convert(str(source), dest, "native")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
