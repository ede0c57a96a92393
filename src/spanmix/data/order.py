"""Visit every document of a source once an epoch, in an order that is computed, not stored.

The permutation is a Feistel network on the smallest even number of bits that holds the source, walked
until it lands inside (cycle walking; Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002).
It costs no memory per document, and any place of any epoch can be asked for directly.
"""

from __future__ import annotations

from dataclasses import dataclass

from spanmix.seeding import mix, stream_key

_ROUNDS = 6


@dataclass(frozen=True)
class Permutation:
    """The order of one source in one epoch.

    Args:
        seed: the run's seed.
        source_key: `seeding.name_key` of the source's name.
        epoch: how many times the source has been read before.
        num_documents: documents in the source.

    >>> sorted(Permutation(1, 2, 3, 10)[place] for place in range(10)) == list(range(10))
    True
    """

    seed: int
    source_key: int
    epoch: int
    num_documents: int

    def __getitem__(self, place: int) -> int:
        """Return the document at a place, 0 <= place < num_documents."""
        assert 0 <= place < self.num_documents
        half_bits = max(1, ((self.num_documents - 1).bit_length() + 1) // 2)
        key = stream_key(self.seed, "order", self.source_key, self.epoch)
        value = _feistel(place, half_bits, key)
        while value >= self.num_documents:
            value = _feistel(value, half_bits, key)
        return value


def _feistel(value: int, half_bits: int, key: int) -> int:
    """Permute the numbers of 2 * half_bits bits."""
    mask = (1 << half_bits) - 1
    left, right = value >> half_bits, value & mask
    for round_number in range(_ROUNDS):
        left, right = right, left ^ (mix(key ^ mix((right << 8) | round_number)) & mask)
    return (left << half_bits) | right
