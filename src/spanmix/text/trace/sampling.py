"""Choose the positions of a text that an index holds, so that every long match holds a chosen one.

They are minimizers (Schleimer, Wilkerson and Aiken, "Winnowing", 2003; Roberts et al., 2004): each position
has a hash of the k bytes that begin there, and of any w positions in a row the one with the smallest hash
is chosen, the first of equals. That depends on w + k - 1 bytes alone: two texts that share so many bytes in
a row have chosen the same position in them. About 2 of w + 1 positions are chosen; all of them in a run of
one byte.

With k = 2 and w = 3 the text below has ten positions and eight windows. ``xabcd`` and ``yabcd`` share
``abcd``, which is as long as a window, so at least one position in it is chosen in both:

>>> text = np.frombuffer(b"xabcd-yabcd", np.uint8)
>>> chosen = sampled(text, 2, 3).tolist()
>>> {i - 1 for i in chosen if 1 <= i <= 3} & {i - 7 for i in chosen if 7 <= i <= 9} != set()
True
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ByteArray = NDArray[np.uint8]
WordArray = NDArray[np.uint64]

_BLOCK = 1 << 20
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: Knuth's multiplicative hashing
_LOW = np.uint64(0xFFFFFFFF)


def gram_hashes(text: ByteArray, gram_bytes: int) -> WordArray:
    """Return a 32-bit hash of the `gram_bytes` bytes, at most 8, from each position on, as uint64."""
    num = max(0, len(text) - gram_bytes + 1)
    grams = np.zeros(num, np.uint64)
    for i in range(gram_bytes):
        grams <<= np.uint64(8)
        grams |= text[i : i + num]
    grams *= _ODD
    grams ^= grams >> np.uint64(29)
    grams *= _ODD
    grams >>= np.uint64(32)
    return grams


def window_choices(hashes: WordArray, window: int) -> NDArray[np.int64]:
    """Return the chosen position of each window: int64 [len(hashes) - window + 1], at most 2^32 hashes.

    >>> window_choices(np.array([5, 3, 3, 9, 1], np.uint64), 3).tolist()
    [1, 1, 4]
    """
    keys = (hashes << np.uint64(32)) | np.arange(len(hashes), dtype=np.uint64)
    done = 1
    while done < window:
        step = min(done, window - done)
        keys = np.minimum(keys[: max(0, len(keys) - step)], keys[step:])
        done += step
    return (keys & _LOW).astype(np.int64)


def sampled(text: ByteArray, gram_bytes: int, window: int) -> NDArray[np.int64]:
    """Return the chosen positions of a text, rising: int64; none if it is shorter than a window."""
    found = [np.zeros(0, np.int64)]
    num_windows = len(text) - gram_bytes - window + 2
    for start in range(0, num_windows, _BLOCK):
        stop = min(start + _BLOCK, num_windows)
        hashes = gram_hashes(text[start : stop + window + gram_bytes - 2], gram_bytes)
        choices = start + window_choices(hashes, window)
        # The choices of windows in a row never go back.
        new = np.append(True, choices[1:] != choices[:-1])
        if len(found[-1]) and found[-1][-1] == choices[0]:
            new[0] = False
        found.append(choices[new])
    return np.concatenate(found)
