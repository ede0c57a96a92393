"""llama.cpp itself, in an environment of its own, computes what the source computes, from the same tokens."""

import json
import os
import subprocess
import venv
from pathlib import Path

import numpy as np
import pytest
import torch

from spanmix.interchange.convert import convert
from spanmix.interchange.tokenizers import codegen2_tokenizer, codegen25_tokenizer
from spanmix.model import native
from spanmix.model.folder import save_model_folder
from spanmix.model.masks import AttentionMask
from spanmix.model.prompting import CODEGEN2_CARD, OURS

WORKER = Path(__file__).with_name("llama_cpp_worker.py")
NUM_NEW = 24
TEXTS = [
    "def add(a, b):\n    return a + b\n\n\nclass A:\n\tdef f(self):\n\t\t\tx = 1\r\n",
    " " * 45 + "deep" + "\t" * 12 + ".  \n   \n x   y = 'naïve ☃ 日本語 🙂'",
    "<mask_1> and <|endoftext|><sep>  in a user's <eom> file <mask_2",
]
MODELS = {
    "codegen": (lambda tiny: tiny, OURS, (2, 64, 4, 8, 256), {}),
    "llama": (lambda tiny: tiny, OURS, (2, 64, 4, 16, 256), {"form": "llama", "hidden_dim": 96}),
    "codegen2": (lambda tiny: codegen2_tokenizer(), CODEGEN2_CARD, (1, 32, 2, 4, 256), {}),
    "codegen25": (lambda tiny: codegen25_tokenizer(), CODEGEN2_CARD, (1, 32, 2, 4, 256), {}),
}

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an environment with llama.cpp, which is compiled there."""
    place = tmp_path_factory.mktemp("llama_cpp") / "venv"
    venv.create(place, with_pip=True)
    command = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "llama-cpp-python==0.3.36"]
    flags = "-DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF -DMTMD_BUILD=OFF"
    subprocess.run(command, check=True, timeout=3000, env=os.environ | {"CMAKE_ARGS": flags})
    return command[0]


@pytest.fixture(scope="module", params=MODELS)
def made(request, python, make_decoder, tokenizer, tmp_path_factory):
    """Decoder, tokenizer, prompting, prompts in ids, and what llama.cpp says, for each kind of number."""
    make, prompting, sizes, form = MODELS[request.param]
    kind, path = make(tokenizer), tmp_path_factory.mktemp("model")
    decoder = make_decoder(*sizes, vocab_size=kind.vocab_size, **form)
    save_model_folder(path / "m", decoder, kind, {})
    config = native.config_json(decoder.architecture, kind, "float32", prompting)
    (path / "m" / "config.json").write_text(json.dumps(config))
    control = kind.control
    middle = [control.masks[0], *kind.encode("\nx = 1\n"), control.eot, control.sep, control.masks[0]]
    prompts = [kind.encode(TEXTS[0]), [*kind.encode("def f(x):\n    "), *middle]]
    found = {}
    for numbers in ("f32", "q8_0"):
        file = path / f"{numbers}.gguf"
        convert(str(path / "m"), file, "gguf", numbers)
        job = {"file": str(file), "texts": TEXTS, "prompts": prompts, "num_new": NUM_NEW}
        (path / "job.json").write_text(json.dumps(job))
        done = subprocess.run(
            [python, str(WORKER), str(path / "job.json")], check=True, capture_output=True, timeout=600
        )
        found[numbers] = json.loads(done.stdout.splitlines()[-1])
    return decoder, kind, prompting, prompts, found


@torch.inference_mode()
def logits_of(decoder, ids):
    mask = AttentionMask.causal(1, len(ids))
    hidden = decoder(torch.tensor([ids]), torch.arange(len(ids))[None], mask)
    return decoder.head(hidden)[0]


def test_the_same_log_probabilities(made):
    decoder, _, _, prompts, found = made
    for prompt, theirs in zip(prompts, found["f32"]["logits"], strict=True):
        ours = logits_of(decoder, prompt).log_softmax(-1)
        difference = (ours - torch.tensor(theirs).log_softmax(-1)).abs()
        print("largest difference of a log-probability, f32:", float(difference.max()))
        assert difference.max() < 0.01
    for prompt, theirs in zip(prompts, found["q8_0"]["logits"], strict=True):
        ours = logits_of(decoder, prompt).log_softmax(-1)
        difference = (ours - torch.tensor(theirs).log_softmax(-1)).abs()
        print("mean difference of a log-probability, q8_0:", float(difference.mean()))
        assert difference.mean() < 0.2


def test_the_same_greedy_tokens(made):
    decoder, _, _, prompts, found = made
    for prompt, theirs in zip(prompts, found["f32"]["greedy"], strict=True):
        ids = list(prompt)
        for token in theirs:
            row = logits_of(decoder, ids)[-1]
            assert row[token] > row.max() - 0.01  # a tie may fall either way
            ids.append(token)
        assert len(ids) == len(prompt) + NUM_NEW


def test_the_same_tokens(made):
    _, kind, prompting, _, found = made
    start = [kind.special_ids[text] for text in prompting.start]
    for of in found.values():
        assert of["plain"] == [kind.encode(text) for text in TEXTS]
        assert of["started"] == [[*start, *ids] for ids in of["plain"]]
        assert of["back"] == TEXTS
        assert not np.isin(of["plain"][-1], np.flatnonzero(kind.is_control)).any()
        control = kind.control
        parsed = {control.masks[0], control.eot, control.sep, control.eom}
        assert parsed <= set(of["controls"][-1])


def test_both_ends_end(made):
    _, kind, _, _, found = made
    assert {kind.control.eot, kind.control.eom} <= set(found["f32"]["ends"])
    assert found["f32"]["metadata"]["spanmix.infill.order"] == "psm"
