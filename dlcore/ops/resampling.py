"""Weighted sums of neighbours along one axis: the map behind averages over windows and interpolation.

A :class:`Taps` says for each result which elements it is made of and with which weights; the transposed
map is one of the same kind, with the taps read the other way.  So there is one primitive, and it reads
only what a result depends on: an infinite element stays where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from backends import promote
from backends.dtypes import float32, int64
from dlcore.core import Array, Primitive, V, dtype_of, linear
from dlcore.ops.indexing import constant
from dlcore.samples import sample
from dlcore.shaping import Shape


class Taps(NamedTuple):
    """How results are made of elements: ``places[j][i]`` is the j-th element that result i is made of."""

    size: int  # of the axis that is read
    places: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...]

    def __len__(self) -> int:
        """How many results there are."""
        return len(self.places[0])


def taps_of(size: int, rows: Sequence[Sequence[tuple[int, float]]]) -> Taps:
    """Taps from the elements and weights of each result.

    Where a result has fewer than others, its last one is split into equal parts: a weight of 0 would
    turn an infinity into nan.
    """
    count = max(map(len, rows), default=1)
    full = []
    for row in rows:
        *head, (place, weight) = row or [(0, 0.0)]
        parts = count - len(head)
        full.append([*head, *[(place, weight / parts)] * parts])
    return Taps(size, *(tuple(tuple(pair[part] for pair in column) for column in zip(*full, strict=True))
                        if full else ((),) for part in (0, 1)))


@lru_cache(maxsize=1024)
def transposed(taps: Taps) -> Taps:
    """The taps of the adjoint map."""
    rows: list[list[tuple[int, float]]] = [[] for _ in range(taps.size)]
    for places, weights in zip(taps.places, taps.weights, strict=True):
        for i, (place, weight) in enumerate(zip(places, weights, strict=True)):
            if weight:
                rows[place].append((i, weight))
    return taps_of(len(taps), rows)


@lru_cache(maxsize=1024)
def _steps(places: tuple[int, ...]) -> slice | None:
    """``places`` as a slice, if they are evenly spaced: then a view will do."""
    if not places:
        return slice(0, 0)
    step = places[1] - places[0] if len(places) > 1 else 1
    stop = places[0] + step * len(places)
    even = step > 0 and places == tuple(range(places[0], stop, step))
    return slice(places[0], places[-1] + 1, step) if even else None


def _resample(xp: Any, x: Array, *, axis: int, taps: Taps) -> Array:
    wide = xp.astype(x, promote(dtype_of(x), float32)) if dtype_of(x).kind == "float" else x
    before, after = (slice(None),) * axis, (1,) * (x.ndim - axis - 1)
    common = {w for weights in taps.weights for w in weights}
    total: Any = None
    for places, weights in zip(taps.places, taps.weights, strict=True):
        steps = _steps(places)
        if steps is None:
            part = xp.take(wide, constant(xp, places, int64), axis)
        else:
            part = wide[(*before, steps, ...)]
        if len(common) > 1:
            part = part * xp.reshape(constant(xp, weights, wide.dtype), (-1, *after))
        total = part if total is None else total + part
    if len(common) == 1 and common != {1.0}:
        total = total * common.pop()
    return xp.astype(total, x.dtype)


def _shape(s: Shape, *, axis: int, taps: Taps) -> Shape:
    return (*s[:axis], len(taps), *s[axis + 1:])


resample_p: Primitive = linear(
    "resample", _resample, _shape,
    lambda g, x, *, axis, taps: resample_p(g, axis=axis, taps=transposed(taps)),
    samples=[
        sample("3 b", axis=0, taps=taps_of(3, [[(0, 0.5), (1, 0.5)], [(2, 1.0)], [(1, -2.0), (0, 1.5)]])),
        sample("a 4", axis=1, taps=taps_of(4, [[(0, 0.5), (1, 0.5)], [(2, 0.5), (3, 0.5)]])),
        sample("a 3 b", axis=1, taps=taps_of(3, [[(1, 1.0)], [(1, 1.0)], [(0, 1.0)]])),
    ],
)


def resample(x: V, axis: int, taps: Taps) -> V:
    """``x`` with every result along ``axis``, not negative, made of the elements that ``taps`` names."""
    return resample_p(x, axis=axis, taps=taps)
