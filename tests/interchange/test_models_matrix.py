"""What is exported computes the same in environments that have nothing of ours, old transformers and new."""

import json
import os
import subprocess
import venv
from pathlib import Path

import pytest
import torch

from spanmix.generate.batch import generate
from spanmix.generate.engine import GenerateRequest
from spanmix.generate.torch_engine import TorchEngine
from spanmix.interchange.convert import convert
from spanmix.model.folder import load_model_folder, save_model_folder
from spanmix.model.masks import AttentionMask

WORKER = Path(__file__).with_name("model_outputs.py")
CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
NUM_NEW = 20
FORMS = {
    "codegen": ((2, 64, 8, 4, 96), {"layer_norm_epsilon": 3e-5}),
    "llama": ((2, 64, 4, 16, 96), {"layer_norm_epsilon": 1e-6, "form": "llama", "hidden_dim": 96}),
}
ENVIRONMENTS = {
    "transformers 4.57": ["torch", "transformers==4.57.6"],
    "transformers 5.0": ["torch", "transformers==5.0.0"],
    "ctranslate2": ["ctranslate2==4.8.5"],
}

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def folders(make_decoder, tokenizer, tmp_path_factory):
    """Of each form the native folder, and all that is made of it: by the library that opens it."""
    root = tmp_path_factory.mktemp("exports")
    made = {"transformers": [], "ctranslate2": []}
    for form, (sizes, more) in FORMS.items():
        native = save_model_folder(root / form, make_decoder(*sizes, **more), tokenizer, {})
        made["transformers"].append((native, native))
        convert(str(native), root / f"{form}-ct2", "ctranslate2", "float32")
        made["ctranslate2"].append((root / f"{form}-ct2", native))
    convert(str(root / "codegen"), root / "grouped", "codegen")
    made["transformers"].append((root / "grouped", root / "codegen"))
    return made


@torch.inference_mode()
def expected(native, prompts):
    """Log-probabilities and greedy tokens by our own decoder and engine."""
    decoder, tokenizer = load_model_folder(native)
    rows = []
    for ids in prompts:
        mask = AttentionMask.causal(1, len(ids))
        hidden = decoder(torch.tensor([ids]), torch.arange(len(ids))[None], mask)
        rows.append(decoder.head(hidden)[0].log_softmax(-1))
    requests = [GenerateRequest(ids, NUM_NEW, suppress_ids=tokenizer.suppressed_ids) for ids in prompts]
    return rows, [list(done.token_ids) for done in generate(TorchEngine(decoder), requests)]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_of_its_own_computes_the_same(folders, tmp_path, environment):
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "-c", str(CONSTRAINTS)]
    for package in ENVIRONMENTS[environment]:
        command = install if package == "torch" else install[:5]
        subprocess.run([*command, package], check=True, timeout=1800)
    library = environment.split()[0]
    random = torch.Generator().manual_seed(5)
    prompts = [torch.randint(0, 300, (size,), generator=random).tolist() for size in (40, 7, 23)]
    opened = {str(folder): library for folder, _ in folders[library]}
    job = {"prompts": prompts, "num_new": NUM_NEW, "folders": opened}
    (tmp_path / "job.json").write_text(json.dumps(job))
    done = subprocess.run(
        [python, str(WORKER), str(tmp_path / "job.json")],
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    found = json.loads(done.stdout.splitlines()[-1])
    for folder, native in folders[library]:
        theirs = found[str(folder)]
        assert ENVIRONMENTS[environment][-1].partition("==")[2] == theirs["version"]
        rows, greedy = expected(native, prompts)
        worst = max(
            float((ours - torch.tensor(row)).abs().max())
            for ours, row in zip(rows, theirs["logprobs"], strict=True)
        )
        print(f"{environment}, {folder.name}: log-probabilities differ by up to {worst:.2g}")
        assert worst < (1e-4 if library == "ctranslate2" else 1e-5)
        assert theirs["greedy"] == greedy
