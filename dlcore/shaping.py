"""Arithmetic on shapes: tuples of sizes in, tuples of sizes out, and errors that name them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any

Shape = tuple[int, ...]
Axis = int | Sequence[int] | None


def checked_sizes(name: str, shape: Any) -> Shape:
    """``shape``, a number or several, as a tuple of sizes.

    Raises:
        ValueError: a size is negative, or no whole number.
    """
    try:
        sizes = (index(shape),) if hasattr(shape, "__index__") else tuple(map(index, shape))
    except TypeError:
        sizes = (-1,)
    if any(n < 0 for n in sizes):
        raise ValueError(f"{name}: a shape holds whole numbers that are not negative, got {shape!r}")
    return sizes


def broadcast_shapes(*shapes: Shape, **params: Any) -> Shape:
    """The common shape of several, aligned at the right; sizes must agree or be 1.

        >>> broadcast_shapes((4, 1), (3,))
        (4, 3)
    """
    rank = max(map(len, shapes), default=0)
    out = []
    for axis, sizes in enumerate(zip(*((1,) * (rank - len(s)) + s for s in shapes), strict=True), -rank):
        wide = [n for n in sizes if n != 1]
        if len(set(wide)) > 1:
            raise ValueError(f"shapes {' and '.join(map(str, shapes))} do not broadcast: in axis {axis} "
                             f"sizes {' and '.join(map(str, dict.fromkeys(wide)))} differ and none is 1")
        out.append(wide[0] if wide else 1)
    return tuple(out)


def checked_broadcast(s: Shape, *, shape: Shape) -> Shape:
    """``shape``, if ``s`` broadcasts to it."""
    if len(s) > len(shape) or any(n not in (1, m) for n, m in zip(s[::-1], shape[::-1], strict=False)):
        raise ValueError(f"shape {s} does not broadcast to {shape}")
    return shape


def repeated_axes(s: Shape, shape: Shape) -> int | tuple[int, ...]:
    """The axis or axes of ``s`` along which broadcasting has repeated ``shape``."""
    extra = len(s) - len(shape)
    if extra == 1 and s[1:] == shape:
        return 0  # a bias beside a batch
    return (*range(extra), *[i + extra for i, n in enumerate(shape) if n == 1 and s[i + extra] != 1])


def normalized_axis(axis: int, ndim: int) -> int:
    """``axis`` counted from the front."""
    if not isinstance(axis, int) or not -ndim <= axis < ndim:
        raise ValueError(f"axis {axis!r} is out of range for a {ndim}-d tensor")
    return axis % ndim


def normalized_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """``axis`` as sorted positions counted from the front; None means every axis."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(sorted(normalized_axis(a, ndim) for a in ((axis,) if isinstance(axis, int) else axis)))
    if len(set(axes)) != len(axes):
        raise ValueError(f"axis {axis!r} names an axis twice")
    return axes


def reduced_shape(shape: Shape, *, axis: Axis = None, keepdims: bool = False) -> Shape:
    """``shape`` after reducing ``axis``: kept with size 1, or dropped.

        >>> reduced_shape((2, 3, 4), axis=(0, -1))
        (3,)
    """
    axes = normalized_axes(axis, len(shape))
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def reshaped(s: Shape, *, shape: Shape) -> Shape:
    """``shape`` with a single -1 filled in, if it has as many elements as ``s``."""
    size, rest = math.prod(s), math.prod(n for n in shape if n != -1)
    if shape.count(-1) == 1 and rest and size % rest == 0:
        return tuple(size // rest if n == -1 else n for n in shape)
    if -1 in shape or size != rest:
        raise ValueError(f"cannot reshape {s}, {size} elements, to {shape}")
    return shape


# --- indexing ------------------------------------------------------------------------------------

ARRAY = "array"
"""Stands in an index for an integer array that is passed beside it."""


def indexed_shape(shape: Shape, *arrays: Shape, index: tuple[Any, ...]) -> Shape:
    """The shape of ``x[index]``, by NumPy's rules.

    Integer arrays, of the shapes ``arrays``, broadcast together, and so do ints beside them.  Their
    joint axes stand where the first of them stood; in front if anything stood between them.

        >>> indexed_shape((5, 6, 7), (2,), index=(slice(1, 3), "array", None))
        (2, 2, 1, 7)
    """
    entries = index if Ellipsis in index else (*index, Ellipsis)
    if entries.count(Ellipsis) > 1:
        raise IndexError(f"an index may hold one Ellipsis, not {entries.count(Ellipsis)}")
    free = len(shape) + 1 + entries.count(None) - len(entries)
    if free < 0:
        raise IndexError(f"{len(shape) - free} indices for shape {shape}, which has {len(shape)} axes")
    sizes: list[int] = []
    joint: list[int] = []  # positions of the entries that broadcast together
    axis = first = 0
    for position, entry in enumerate(entries):
        if entry is None:
            sizes.append(1)
        elif entry is Ellipsis:
            sizes += shape[axis:axis + free]
            axis += free
        elif isinstance(entry, slice):
            sizes.append(len(range(*entry.indices(shape[axis]))))
            axis += 1
        else:
            if entry != ARRAY and not -shape[axis] <= entry < shape[axis]:
                raise IndexError(f"index {entry} is out of range for axis {axis} of size {shape[axis]}, "
                                 f"in shape {shape}")
            first = first if joint else len(sizes)
            joint.append(position)
            axis += 1
    if ARRAY in index:
        apart = joint[-1] - joint[0] >= len(joint)
        place = 0 if apart else first
        sizes[place:place] = broadcast_shapes(*arrays)
    return tuple(sizes)
