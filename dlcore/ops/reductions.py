"""Reductions: sums, means, products, extrema and what is made of them."""

from __future__ import annotations

import math
from typing import Any

from backends import DType
from backends.dtypes import int64
from dlcore.core import Array, Primitive, Unary, V, broadcast_to, linear
from dlcore.ops.arithmetic import equal, greater, less, safe_divide, square, where, zeros_like
from dlcore.ops.shapes import reshape
from dlcore.ops.transcendental import exp, sqrt
from dlcore.samples import DISTINCT, NONZERO, REAL, Sample, sample
from dlcore.shaping import Axis, Shape, normalized_axes, reduced_shape


def reducing(domain: Any = REAL, **params: Any) -> list[Sample]:
    """The ways to call a reduction: all axes, one, several, kept or not."""
    return [sample("a b c", domain, axis=(0, 2), keepdims=False, **params),
            sample("a b", domain, axis=-1, keepdims=True, **params),
            sample("a b", domain, axis=None, keepdims=False, **params),
            sample("", domain, axis=None, keepdims=False, **params)]


def kept(x: V, like: Shape, axis: Axis) -> V:
    """A reduction's result, reshaped so that it broadcasts against what was reduced."""
    return x if axis is None or len(x.shape) == len(like) else reshape(x, reduced_shape(like, axis=axis, keepdims=True))


def count(shape: Shape, axis: Axis) -> int:
    """How many elements of ``shape`` a reduction over ``axis`` puts into one."""
    return math.prod(shape) if axis is None else math.prod(shape[a] for a in normalized_axes(axis, len(shape)))


def _wide(dtypes: list[DType], **params: Any) -> DType:
    """A sum of booleans or integers is int64."""
    return int64 if dtypes[0].kind in ("bool", "int") else dtypes[0]


# --- linear ----------------------------------------------------------------------------------------------

sum_p: Primitive = linear(
    "sum", lambda xp, x, *, axis, keepdims: xp.sum(x, axis=axis, keepdims=keepdims), reduced_shape,
    lambda g, x, *, axis, keepdims: broadcast_to(kept(g, x.shape, axis), x.shape),
    samples=reducing(), result=_wide,
)
mean_p: Primitive = linear(
    "mean", lambda xp, x, *, axis, keepdims: xp.mean(x, axis=axis, keepdims=keepdims), reduced_shape,
    lambda g, x, *, axis, keepdims: broadcast_to(kept(g * (1.0 / max(1, count(x.shape, axis))), x.shape, axis), x.shape),
    samples=reducing(), result="float",
)


def sum(x: V, axis: Axis = None, keepdims: bool = False) -> V:
    """The sum of ``x`` over ``axis``: an axis, several, or None for all of them.

    Sums of booleans and integers are int64; 16-bit floats are summed in float32.

        >>> import dlcore as dl
        >>> dl.sum(dl.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
        tensor([4., 6.], float32)
    """
    return sum_p(x, axis=axis, keepdims=keepdims)


def mean(x: V, axis: Axis = None, keepdims: bool = False) -> V:
    """The mean of ``x`` over ``axis``; of integers in the default float."""
    return mean_p(x, axis=axis, keepdims=keepdims)
