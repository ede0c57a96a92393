"""Random tiny decoders whose logits are far apart, and a tiny tokenizer."""

import pytest
import torch

from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.text.tokenizer import Tokenizer

CORPUS = ["def add(a, b):\n    return a + b\n\n\nclass Näme:\n\tpass\n" * 3, "print('hello, wörld')\n" * 3]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer():
    return Tokenizer.train(CORPUS, vocab_size=384, num_sentinels=9)


@pytest.fixture(scope="session")
def make_decoder():
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
