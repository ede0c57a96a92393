"""Saved tokenizers give the same ids in transformers 4 and 5 and tokenizers; CTranslate2 takes them whole."""

import json
import os
import runpy
import subprocess
import venv
from pathlib import Path

import pytest

from spanmix.interchange.tokenizers import codegen1_tokenizer, codegen2_tokenizer, codegen25_tokenizer
from spanmix.text.tokenizer import Tokenizer

WORKER = Path(__file__).with_name("tokenizer_ids.py")
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "codegen2_tokens.json").read_text("utf-8"))
TEXTS = [text for text, _ in GOLDEN["plain"] + GOLDEN["with_controls"]]
TEXTS += ["<fim_prefix>a<fim_suffix>\tb  <fim_middle>", "<pad>x<unused_0>  <reponame>"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tokenizer):
    """Every kind of tokenizer, beside the config of the model folder that it lies in."""
    root = tmp_path_factory.mktemp("kinds")
    kinds = {
        "ours": (tokenizer, "gptj"),
        "codegen2": (codegen2_tokenizer(), "gptj"),
        "codegen25": (codegen25_tokenizer(), "llama"),
        "nl": (codegen1_tokenizer("nl"), "gptj"),
    }
    for name, (kind, model_type) in kinds.items():
        kind.save(root / name)
        (root / name / "config.json").write_text(json.dumps({"model_type": model_type}))
    return [root / name for name in kinds]


def assert_agrees(found: dict[str, object], ours: Tokenizer) -> None:
    assert found["plain"] == ours.encode_batch(TEXTS)
    assert found["with_controls"] == found["tokenizers"] != found["plain"]
    assert found["ids"] and len(found["vocabulary"]) == ours.vocab_size
    assert found["controls"] == [ours.control.eot, ours.control.eot, ours.control.pad]
    assert [found["vocabulary"][i] for i in ours.control.masks[:2]] == ["<mask_1>", "<mask_2>"]


def test_transformers_here(folders):
    ids_of = runpy.run_path(str(WORKER))["ids_of"]
    for folder in folders:
        assert_agrees(ids_of(str(folder), TEXTS), Tokenizer.load(folder))


@pytest.mark.nightly
@pytest.mark.parametrize("version", ["4.57.6", "5.0.0"])
def test_transformers_in_an_environment_of_its_own(folders, tmp_path, version):
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", f"transformers=={version}"]
    subprocess.run(install, check=True, timeout=900)
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS), encoding="utf-8")
    command = [python, str(WORKER), str(tmp_path / "texts.json"), *map(str, folders)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, env=environment)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["transformers"] == version
    for folder in folders:
        assert_agrees(report["found"][str(folder)], Tokenizer.load(folder))


def test_ctranslate2_has_the_same_entries_in_the_same_order(folders, tmp_path):
    import ctranslate2
    from transformers import AutoTokenizer, GPTJConfig, GPTJForCausalLM

    folder = folders[1]
    theirs = AutoTokenizer.from_pretrained(folder)
    sizes = {
        "n_layer": 1,
        "n_embd": 8,
        "n_head": 1,
        "rotary_dim": 4,
        "n_positions": 16,
        "vocab_size": len(theirs),
    }
    config = GPTJConfig(**sizes, tie_word_embeddings=False, bos_token_id=50256, eos_token_id=50256)
    GPTJForCausalLM(config).save_pretrained(tmp_path / "model")
    Tokenizer.load(folder).save(tmp_path / "model")
    ctranslate2.converters.TransformersConverter(str(tmp_path / "model")).convert(str(tmp_path / "out"))
    entries = json.loads((tmp_path / "out" / "vocabulary.json").read_text("utf-8"))
    assert entries == [theirs.convert_ids_to_tokens(i) for i in range(len(theirs))]
    generator = ctranslate2.Generator(str(tmp_path / "out"))
    prompt = theirs.convert_ids_to_tokens(theirs.encode("a  <mask_1><sep>"))
    made = generator.generate_batch([prompt], max_length=3, end_token=[], include_prompt_in_result=True)[0]
    assert made.sequences_ids[0][: len(prompt)] == theirs.encode("a  <mask_1><sep>")
