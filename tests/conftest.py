"""What all tests share: one thread a process, and how many cases a property tries."""

import os

# Before anything imports torch: two test processes with a thread pool each would fight over the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

NIGHTLY = os.environ.get("SPANMIX_NIGHTLY", "0") not in ("", "0")

SLOW = [HealthCheck.too_slow]  # the machine is shared; slowness is the timeout's business
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("nightly", max_examples=1000, deadline=None, suppress_health_check=SLOW)
settings.load_profile("nightly" if NIGHTLY else "ci")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is marked `nightly` unless SPANMIX_NIGHTLY=1; nothing is ever skipped."""
    if NIGHTLY:
        return
    long = [item for item in items if item.get_closest_marker("nightly")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if not item.get_closest_marker("nightly")]


CORPUS = ["def add(a, b):\n    return a + b\n\n\nclass Näme:\n\tpass\n" * 3, "print('hello, wörld')\n" * 3]


@pytest.fixture(scope="session")
def tokenizer():
    """A tiny tokenizer."""
    from spanmix.text.tokenizer import Tokenizer

    return Tokenizer.train(CORPUS, vocab_size=384, num_sentinels=9)


@pytest.fixture(scope="session")
def make_decoder():
    """Makes random tiny decoders whose logits are far apart."""
    import torch

    from spanmix.model.architecture import Architecture
    from spanmix.model.decoder import Decoder

    def make(*shape, seed=1, vocab_size=384):
        layers, dim, heads, rotary, context = shape
        decoder = Decoder(Architecture(layers, dim, heads, rotary, context, vocab_size), seed=seed)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in decoder.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(noise, alpha=0.15 if parameter.ndim == 2 else 0.1)
        return decoder

    return make
