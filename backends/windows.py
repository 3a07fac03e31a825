"""Where the windows lie that slide over an array: all its axes but the first and the last.

In front stand channels, or whatever is stacked; last stand images, or an axis of size 1.  What the
windows hold is laid out as (first, *window, *positions, last).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

Array = Any
Shape = tuple[int, ...]
Place = tuple[Any, ...]


def positions_of(sizes: Sequence[int], window: Shape, stride: Shape, dilation: Shape) -> Shape:
    """At how many positions along each axis a window lies."""
    return tuple((n - d * (k - 1) - 1) // s + 1
                 for n, k, s, d in zip(sizes, window, stride, dilation, strict=True))


def reach_of(positions: Sequence[int], window: Shape, stride: Shape, dilation: Shape) -> Shape:
    """How far all positions of a window reach along each axis."""
    return tuple((p - 1) * s + d * (k - 1) + 1
                 for p, k, s, d in zip(positions, window, stride, dilation, strict=True))


def window_places(sizes: Sequence[int], window: Shape, stride: Shape, dilation: Shape,
                  row: int = 0) -> list[Place]:
    """For each element of a window, in row-major order, where it lies at all positions.

    ``row`` is where the first window begins along the first of the axes.
    """
    starts = (row, *(0,) * (len(window) - 1))
    axes = [[slice(start + d * i, start + n - d * (k - 1 - i), s) for i in range(k)]
            for start, n, k, s, d in zip(starts, sizes, window, stride, dilation, strict=True)]
    return [(slice(None), *slices, slice(None)) for slices in product(*axes)]


def places_of_columns(shape: Shape, stride: Shape, dilation: Shape, row: int) -> list[tuple[Place, Place]]:
    """Which part of what all windows hold belongs where, for each element of a window."""
    axes = len(shape) // 2
    window, positions = shape[1:axes], shape[axes:-1]
    offsets = [(slice(None), *offset, ...) for offset in product(*map(range, window))]
    sizes = reach_of(positions, window, stride, dilation)
    return list(zip(offsets, window_places(sizes, window, stride, dilation, row), strict=True))


def strided_windows(as_strided: Callable[..., Array], x: Array, window: Shape, stride: Shape,
                    dilation: Shape) -> Array:
    """What all windows hold, as a view: for libraries whose arrays have strides."""
    inner = x.strides[1:-1]
    positions = positions_of(x.shape[1:-1], window, stride, dilation)
    strides = (x.strides[0], *(b * d for b, d in zip(inner, dilation, strict=True)),
               *(b * s for b, s in zip(inner, stride, strict=True)), x.strides[-1])
    return as_strided(x, (x.shape[0], *window, *positions, x.shape[-1]), strides)
