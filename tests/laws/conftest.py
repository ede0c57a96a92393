"""What the laws of rows share: made-up sources, and loaders of several kinds over them."""

from types import SimpleNamespace

import numpy as np
import pytest

from spanmix.data.loader import Loader
from spanmix.data.sources import Mixture
from spanmix.data_configs import DataConfig, SourceConfig, StageConfig
from spanmix.objective_configs import CausalConfig, InfillConfig, PrefixLMConfig
from spanmix.objectives.choose import ObjectiveMixture
from spanmix.objectives.objective import Alphabet
from spanmix.types import ControlIds

CONTROL = ControlIds(eot=0, sep=1, eom=2, pad=3, masks=tuple(range(63, 47, -1)))
ALPHABET = Alphabet(CONTROL, np.arange(64) == 10)
ROW_TOKENS = 96


class Store:
    """Made-up documents; every token id is in 4..47, and no two documents are alike."""

    def __init__(self, seed: int, num_documents: int) -> None:
        generator = np.random.default_rng(seed)
        lengths = np.maximum(1, generator.lognormal(4, 1.2, size=num_documents).astype(int))
        self.documents = [generator.integers(4, 48, size=n).astype(np.int32) for n in lengths]
        self.documents[0] = self.documents[0][:1]

    @property
    def num_documents(self) -> int:
        return len(self.documents)

    def tokens(self, document: int) -> np.ndarray:
        return self.documents[document]

    def num_prompt_tokens(self, document: int) -> int:
        return 0

    def language(self, document: int) -> str:
        raise AssertionError("no objective here wants to know")


STORES = {"code": Store(1, 120), "prose": Store(2, 30)}


SOURCES = (("code", 0.7), ("prose", 0.3))


HALF_INFILL = (CausalConfig(weight=0.5), InfillConfig(weight=0.5))


def make_loader(
    seed: int = 5, sources=SOURCES, stores=STORES, window_documents: int = 16, objectives=HALF_INFILL, **data
) -> Loader:
    chosen = tuple(SourceConfig(*source) for source in sources)
    config = DataConfig(ROW_TOKENS, 4, chosen, window_documents, **data)
    names = [source.name for source in chosen]
    written = ObjectiveMixture(objectives, ALPHABET, ROW_TOKENS, names)
    return Loader(config, Mixture(config, stores, seed), written, CONTROL.pad, "corpus-a")


VARIANTS = {
    "default": {},
    "sequence": {"unit": "sequence", "positions": "continue", "document_mask": False},
    "stages": {
        "sources": (("code", 0.7), ("prose", 0.3, 9)),
        "stages": (StageConfig(31, {"code": 0.2, "prose": 0.8}), StageConfig(77, {"code": 1.0})),
        "corruption": "fixed",
    },
    "prefix": {"objectives": (PrefixLMConfig(weight=1), InfillConfig(weight=1, bidirectional=True))},
}


@pytest.fixture(scope="session")
def made():
    """Made-up sources, and what makes loaders over them."""
    return SimpleNamespace(
        loader=make_loader,
        variants=VARIANTS,
        stores=STORES,
        Store=Store,
        control=CONTROL,
        row_tokens=ROW_TOKENS,
    )
