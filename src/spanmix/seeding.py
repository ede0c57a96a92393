"""Make every random decision of Spanmix, as a pure function of what it decides.

There is no generator state anywhere: a decision is keyed by the run seed, a fixed word for its
purpose, the source, the epoch and the document, so it is the same for any number of workers and
ranks, in any order, and after any resume. The function is SplitMix64 (Steele, Lea and Flood, 2014;
the constants are those of Vigna's public-domain ``splitmix64.c``): integers only, so its values are
part of the format and are fixed by test vectors. NumPy and PyTorch promise no such stability.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

UInt64Array = NDArray[np.uint64]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_FEW = 16


def mix(word: int) -> int:
    """Scramble one 64-bit word: the output function of SplitMix64, a bijection on 64 bits."""
    word &= _MASK
    word = ((word ^ (word >> 30)) * _MIX_1) & _MASK
    word = ((word ^ (word >> 27)) * _MIX_2) & _MASK
    return word ^ (word >> 31)


def name_key(name: str) -> int:
    """Hash a name to 64 bits, independent of the order in which names are listed.

    A source is known by the hash of its name, so adding another source does not reseed it.
    """
    return int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "little")


@lru_cache(maxsize=4096)
def stream_key(seed: int, purpose: str, source_key: int = 0, epoch: int = 0) -> int:
    """Fold what a decision depends on, except the document, into one 64-bit key."""
    key = mix(seed + _GOLDEN)
    for word in (name_key(purpose), source_key, epoch):
        key = mix(key ^ mix(word + _GOLDEN))
    return key


def draw(
    seed: int,
    purpose: str,
    source_key: int,
    epoch: int,
    document_ids: Sequence[int] | NDArray[np.integer],
    n: int,
    first: int = 0,
) -> UInt64Array:
    """Draw `n` 64-bit words for each document.

    Args:
        seed: the run's seed.
        purpose: the fixed word that names the decision, for example ``"spans"``.
        source_key: `name_key` of the source's name.
        epoch: the source's epoch, from 0.
        document_ids: ids of the documents, shape [D].
        n: words per document.
        first: how many words of each sequence to pass over.

    Returns:
        uint64 array [D, n]; row d is the SplitMix64 sequence started at the document's key.

    >>> [hex(word) for word in draw(17, "spans", name_key("code"), 0, [5], 2)[0].tolist()]
    ['0xd42c7d017977111e', '0xf3a4f61557db41e4']
    """
    key = np.uint64(stream_key(seed, purpose, source_key, epoch))
    golden = np.uint64(_GOLDEN)
    with np.errstate(over="ignore"):
        ids_D = np.asarray(document_ids, dtype=np.int64).astype(np.uint64)
        states_D = _mix_array(key ^ _mix_array(ids_D + golden))
        steps_N = np.arange(first + 1, first + n + 1, dtype=np.uint64) * golden
        return _mix_array(states_D[:, None] + steps_N[None, :])


def draw_one(
    seed: int, purpose: str, source_key: int, epoch: int, document: int, n: int, first: int = 0
) -> list[int]:
    """Return the row that `draw` gives for one document, as integers, without its cost for a few words."""
    state = mix(stream_key(seed, purpose, source_key, epoch) ^ mix(document + _GOLDEN))
    if n <= _FEW:
        return [mix(state + step * _GOLDEN) for step in range(first + 1, first + n + 1)]
    steps_N = np.arange(first + 1, first + n + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    words: list[int] = _mix_array(steps_N + np.uint64(state)).tolist()
    return words


def _mix_array(words: UInt64Array) -> UInt64Array:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(_MIX_1)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(_MIX_2)
    return words ^ (words >> np.uint64(31))


def below(word: int, bound: int) -> int:
    """Map a 64-bit word to 0..bound-1 (multiply and shift; the bias is below bound / 2**64).

    >>> below(0, 6), below(2**63, 6), below(2**64 - 1, 6)
    (0, 3, 5)
    """
    if bound < 1:
        raise ValueError(f"bound is {bound}; it must be at least 1")
    return (word * bound) >> 64


def torch_generator(seed: int, purpose: str, device: str = "cpu") -> torch.Generator:
    """Return a PyTorch generator for weights and the like, seeded from (seed, purpose)."""
    import torch

    generator = torch.Generator(device=device)
    generator.manual_seed(stream_key(seed, purpose) & (2**63 - 1))
    return generator
