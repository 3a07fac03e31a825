"""Numbers made of random words, the same on every backend.

Each function takes uint64 words that are uniform over all their values, on any backend, and spends
them in order, so that a longer draw begins with a shorter one.  All but ``normal`` are exact in
integers or powers of two and therefore equal bit for bit wherever they run.
"""

from __future__ import annotations

import math
from typing import Any

from backends.base import Backend
from backends.dtypes import DType, as_dtype, float64, int64
from backends.library import Array

_PRECISION = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}  # bits of a significand
_LOW_HALF = 0xFFFF_FFFF


def uniform(xp: Backend, words: Array, dtype: Any = float64) -> Array:
    """One number in [0, 1) per word, on a grid as fine as ``dtype`` allows at 1."""
    dtype = as_dtype(dtype)
    bits = _bits_of(dtype, "uniform")
    return xp.astype(words >> (64 - bits), dtype) * 2.0**-bits


def integers(xp: Backend, words: Array, low: int, high: int) -> Array:
    """One int64 in [low, high) per word: ``low + floor(word * (high - low) / 2**64)``.

    The probabilities of any two numbers differ by at most 2**-64.
    """
    if not -(2**63) <= low < high <= 2**63:
        raise ValueError(
            f"integers: low must be less than high, both within int64; got {low} and {high}")
    scaled = words if high - low == 2**64 else _high_word_of_product(words, high - low)
    return xp.astype(scaled + low % 2**64 if low else scaled, int64)  # modulo 2**64, as int64 is


def _high_word_of_product(words: Array, factor: int) -> Array:
    """The upper 64 of the 128 bits of ``words * factor``, by halves of 32 bits."""
    w_high, w_low = words >> 32, words & _LOW_HALF
    f_high, f_low = factor >> 32, factor & _LOW_HALF
    middle = w_high * f_low + ((w_low * f_low) >> 32)  # at most 2**64 - 2**32: no carry is lost
    other = w_low * f_high + (middle & _LOW_HALF)
    return w_high * f_high + (middle >> 32) + (other >> 32)


def normal(xp: Backend, words: Array, dtype: Any = float64) -> Array:
    """One standard normal number per word, two from each pair of words; computed in the widest float.

    Source: Box & Muller (1958), "A note on the generation of random normal deviates".
    """
    dtype = as_dtype(dtype)
    _bits_of(dtype, "normal")
    if words.shape[0] % 2:
        raise ValueError(f"normal: words are used in pairs, got {words.shape[0]} of them")
    pairs = xp.reshape(words, (-1, 2))
    u = 1.0 - uniform(xp, pairs[:, 0], xp.widest_float)  # in (0, 1]: its logarithm is finite
    angle = uniform(xp, pairs[:, 1], xp.widest_float) * (2 * math.pi)
    radius = xp.sqrt(-2.0 * xp.log(u))
    both = xp.stack([radius * xp.cos(angle), radius * xp.sin(angle)], axis=1)
    return xp.astype(xp.reshape(both, (-1,)), dtype)


def bernoulli(xp: Backend, words: Array, p: float) -> Array:
    """One boolean per word, True with probability ``p``: whether a float64 of :func:`uniform` is below it."""
    bits = _PRECISION["float64"]
    return words >> (64 - bits) < math.ceil(p * 2.0**bits)  # in integers, as not every device has float64


def permutation(xp: Backend, words: Array) -> Array:
    """The numbers 0 to ``len(words) - 1`` in random order: the order that sorts the words."""
    return xp.astype(xp.argsort(words, axis=0, stable=True), int64)


def _bits_of(dtype: DType, function: str) -> int:
    if dtype not in _PRECISION:
        raise ValueError(f"{function}: dtype must be a float dtype, got {dtype}")
    return _PRECISION[dtype]
