"""What the tests of training share: a short finished run, and what two runs are compared by."""

from dataclasses import replace

import pytest


@pytest.fixture
def finished(recipe, tmp_path):
    """A run of three steps: its recipe and its folder."""
    from spanmix.train.run import train

    short = replace(recipe, run=replace(recipe.run, num_steps=3))
    train(short, tmp_path / "run")
    return short, tmp_path / "run"


@pytest.fixture(scope="session")
def whole_run(recipe, tmp_path_factory):
    """The folder of the recipe's run that nothing disturbed."""
    from spanmix.train.run import train

    out = tmp_path_factory.mktemp("whole") / "run"
    train(recipe, out)
    return out


@pytest.fixture
def final_state():
    """Reads everything the newest checkpoint of a run holds: (progress, tensors by name)."""
    import torch

    from spanmix.model.decoder import Decoder
    from spanmix.text.corpus import Corpus
    from spanmix.train.base import build_architecture
    from spanmix.train.checkpoint import Checkpoints
    from spanmix.train.optimizer import build_optimizers

    def read(out, recipe):
        corpus = Corpus.open(recipe.corpus.path)
        model = Decoder(build_architecture(recipe, corpus.tokenizer), seed=99)
        optimizers = build_optimizers(model, recipe.optimizer)
        checkpoints = Checkpoints(out / "checkpoints", 2)
        progress = checkpoints.load(checkpoints.newest(), model, optimizers)
        state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        for kind, optimizer in enumerate(optimizers):
            for i, entry in optimizer.state_dict()["state"].items():
                named = {f"optimizer.{kind}.{i}.{name}": value for name, value in entry.items()}
                state |= {name: torch.as_tensor(value) for name, value in named.items()}
        return progress, state

    return read


@pytest.fixture
def measured():
    """Reads a run's metric lines but for the speed, which no two runs share."""
    from spanmix.train.metrics import read_metrics

    def read(out):
        return [line for line in read_metrics(out / "metrics.jsonl") if line["kind"] != "speed"]

    return read


@pytest.fixture
def assert_same_run(final_state, measured):
    """Asserts that two runs of a recipe ended with the same bits, and measured the same."""
    import torch

    def compare(one, other, recipe):
        first, second = final_state(one, recipe), final_state(other, recipe)
        assert first[0] == second[0]
        assert first[1].keys() == second[1].keys() and len(first[1]) > 80
        different = [name for name, tensor in first[1].items() if not torch.equal(tensor, second[1][name])]
        assert different == []
        assert measured(one) == measured(other) and len(measured(one)) > 10
        weights = [(out / "model" / "model.safetensors").read_bytes() for out in (one, other)]
        assert weights[0] == weights[1]

    return compare


@pytest.fixture(scope="session")
def base_folders(corpus_folder, make_decoder, tmp_path_factory):
    """A model folder of each form: a tiny decoder that was never trained, with the corpus's tokenizer."""
    from spanmix.model.folder import save_model_folder
    from spanmix.text.tokenizer import Tokenizer

    decoders = {
        "codegen": make_decoder(2, 64, 4, 8, 64, vocab_size=512),
        "llama": make_decoder(2, 64, 4, 16, 64, vocab_size=512, form="llama", hidden_dim=176),
    }
    folder, tokenizer = tmp_path_factory.mktemp("base"), Tokenizer.load(corpus_folder / "tokenizer")
    return {
        form: save_model_folder(folder / form, decoder, tokenizer, {}) for form, decoder in decoders.items()
    }


@pytest.fixture(scope="session")
def base_folder(base_folders):
    """The one of the form ``codegen``."""
    return base_folders["codegen"]
