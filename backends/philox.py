"""Random words on the host: Philox4x64-10, a generator whose state is a place in its stream.

The stream of a key is that of ``numpy.random.Philox(key=key)``, counted in words of 64 bits: word
``4 * n + i`` is output ``i`` of the cipher (Salmon, Moraes, Dror & Shaw 2011, "Parallel random
numbers: as easy as 1, 2, 3") for the counter ``n + 1``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_WORDS_PER_BLOCK = 4


def random_words(key: int, position: int, count: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Words ``position`` to ``position + count`` of the stream of ``key``.

    Args:
        key: 0 to 2**128 - 1.
        position: 0 to 2**258 - 5, in words; past the end the stream begins anew.
        count: how many words, at least 0.
    """
    if not 0 <= key < 2**128:
        raise ValueError(f"random_words: the key must lie in 0..2**128 - 1, got {key}")
    if position < 0 or count < 0:
        raise ValueError(
            f"random_words: position and count must not be negative, got {position} and {count}")
    block, skipped = divmod(position, _WORDS_PER_BLOCK)
    words = np.random.Philox(key=key, counter=block % 2**256).random_raw(skipped + count)
    return words[skipped:]
