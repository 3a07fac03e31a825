"""Elements that share an index: added up where they belong, summed or maximized by group, told apart."""

from __future__ import annotations

import math
from typing import Any

from backends import get_default_dtype, promote
from backends.dtypes import as_dtype, float32, int64
from dlcore.core import Array, Primitive, Unary, V, cast, cast_like, dtype_of
from dlcore.dispatch import wants_tensors
from dlcore.ops.arithmetic import add, equal, maximum, where
from dlcore.ops.indexing import add_along_p, along_shape, checked_range, integral, scatter_p, take_p
from dlcore.samples import DISTINCT, REAL, operation, sample
from dlcore.shaping import ARRAY, normalized_axis


@wants_tensors
def scatter_add(x: V, axis: int, indices: Any, values: V) -> V:
    """``x`` with each of ``values`` added in its line along ``axis``, at its place in ``indices``.

    ``indices`` and ``values`` have one shape, and that is the shape of ``x`` but for ``axis``.

        >>> import dlcore as dl
        >>> dl.scatter_add(dl.zeros((1, 3)), 1, [[2, 0, 2]], dl.tensor([[1.0, 2.0, 3.0]]))
        tensor([[2., 0., 4.]], float32)
    """
    axis = normalized_axis(axis, len(x.shape))
    indices = integral("scatter_add", x, indices)
    if values.shape != indices.shape:
        raise ValueError(f"scatter_add: {indices.shape} indices cannot place values of shape {values.shape}")
    along_shape(x.shape, values.shape, axis=axis)
    return add(x, add_along_p(values, indices, size=x.shape[axis], axis=axis))


@wants_tensors
def segment_sum(x: V, segments: Any, count: int) -> V:
    """The sums of those slices of ``x`` along its first axis that belong to one segment.

    Args:
        x: ``n`` slices of any shape.
        segments: (n,); the segment of every slice, from 0 to ``count - 1``.
        count: how many segments there are; one without slices sums to 0.

        >>> import dlcore as dl
        >>> dl.segment_sum(dl.tensor([1.0, 2.0, 4.0]), [0, 2, 0], 3)
        tensor([5., 0., 2.], float32)
    """
    segments = checked_segments("segment_sum", x, segments, count)
    return scatter_p(x, segments, shape=(count, *x.shape[1:]), index=(ARRAY,))


def checked_segments(name: str, x: V, segments: Any, count: int) -> V:
    """``segments`` as indices, if there is one of 0 to ``count - 1`` for each slice of ``x``."""
    segments = integral(name, x, segments)
    if len(x.shape) == 0 or segments.shape != x.shape[:1]:
        raise ValueError(
            f"{name}: segments of shape {segments.shape} must be one number for each of the first "
            f"axis of shape {x.shape}"
        )
    checked_range(name, "segment", segments, count)
    return segments


# --- the largest of each group --------------------------------------------------------------------


def _segment_max(xp: Any, x: Array, segments: Array, *, count: int) -> Array:
    """Sorted by segment and, within one, by value, the last of each segment is its maximum."""
    lowest = -math.inf if dtype_of(x).kind == "float" else xp.iinfo(x.dtype).min
    shape = (count, *x.shape[1:])
    if 0 in x.shape:
        return xp.full(shape, lowest, x.dtype)
    by_value = xp.argsort(x, axis=0, stable=True)
    by_segment = xp.argsort(xp.take(segments, by_value, 0), axis=0, stable=True)
    ordered = xp.take_along_axis(x, xp.take_along_axis(by_value, by_segment, 0), 0)
    sizes = xp.index_add((count,), (segments,), xp.ones(x.shape[:1], int64))
    last = xp.cumulative_sum(sizes, 0) - 1
    found = xp.take(ordered, xp.where(last < 0, xp.zeros_like(last), last), 0)
    empty = xp.broadcast_to(xp.reshape(sizes == 0, (count,) + (1,) * (x.ndim - 1)), shape)
    return xp.where(empty, xp.full(shape, lowest, x.dtype), found)


def _shares(x: V, out: V, segments: V) -> tuple[V, V]:
    """Which elements are the largest of their segment, and how many of them each segment has, at least 1."""
    extreme = equal(x, take_p(out, segments, axis=0))
    wide = cast(extreme, promote(dtype_of(x), float32))
    return extreme, maximum(scatter_p(wide, segments, shape=out.shape, index=(ARRAY,)), 1.0)


def _segment_max_vjp(g: V, out: V, x: V, segments: V, *, count: int) -> V:
    extreme, ties = _shares(x, out, segments)
    each = cast_like(cast_like(g, ties) / ties, x)
    return where(extreme, take_p(each, segments, axis=0), 0.0)


def _segment_max_jvp(t: V, out: V, x: V, segments: V, *, count: int) -> V:
    extreme, ties = _shares(x, out, segments)
    total = scatter_p(cast_like(where(extreme, t, 0.0), ties), segments, shape=out.shape, index=(ARRAY,))
    return cast_like(total / ties, x)


segment_max_p: Primitive = Primitive(
    "segment_max",
    _segment_max,
    lambda s, t, *, count: (count, *s[1:]),
    (_segment_max_vjp, None),
    (_segment_max_jvp, None),
    samples=[sample("4 b, #1 4", (DISTINCT, REAL), count=1), sample("a, #1 a", (DISTINCT, REAL), count=1)],
    promotes=(0,),
)  # of more segments one might be drawn empty, and from -inf nothing can be subtracted: the function has some


@operation([sample("4 b", DISTINCT, segments=(1, 0, 1, 2), count=3),
            sample("3", DISTINCT, segments=(1, 0, 1), count=2)])
@wants_tensors
def segment_max(x: V, segments: Any, count: int) -> V:
    """The largest of those slices of ``x`` along its first axis that belong to one segment.

    Arguments as :func:`segment_sum` has them.  A segment without slices gives -inf, of integers the
    lowest; equal maxima share the gradient evenly.

        >>> import dlcore as dl
        >>> dl.segment_max(dl.tensor([1.0, 2.0, 4.0]), [0, 2, 0], 3)
        tensor([  4., -inf,   2.], float32)
    """
    return segment_max_p(x, checked_segments("segment_max", x, segments, count), count=count)


# --- a place for each index -----------------------------------------------------------------------


one_hot_p: Primitive = Unary(
    "one_hot",
    lambda xp, x, *, classes, dtype: xp.astype(
        xp.expand_dims(x, axis=-1) == xp.arange(0, classes, 1, x.dtype), dtype
    ),
    lambda s, *, classes, dtype: (*s, classes),
    result=lambda given, *, classes, dtype: as_dtype(dtype),
    samples=[sample("#3 a b", classes=3, dtype="float32"), sample("#4", classes=5, dtype="int64")],
)


@wants_tensors
def one_hot(indices: V, classes: int, dtype: Any = None) -> V:
    """For each index a line of ``classes`` numbers along a new last axis: 1 at the index, else 0.

    The numbers are of the default float dtype unless another is given.

    Raises:
        IndexError: an index is not in 0 to ``classes - 1``.

        >>> import dlcore as dl
        >>> dl.one_hot(dl.tensor([2, 0]), 3).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    if dtype_of(indices).kind != "int":
        raise TypeError(f"one_hot: {dtype_of(indices)} cannot index; convert it to integers with astype")
    checked_range("one_hot", "index", indices, classes)
    return one_hot_p(
        indices, classes=classes, dtype=get_default_dtype() if dtype is None else as_dtype(dtype)
    )
