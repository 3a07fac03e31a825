"""Running sums, products and maxima along an axis, and the product of all elements.

The derivative of a product by one of its factors is the product of the others.  Dividing the whole
by the factor fails at 0, so the others are multiplied up: those before, and those after.  Where each
result depends on the one before, ``y[i] = a[i] * y[i - 1] + b[i]``, a recurrence of n steps is done in
log2(n) passes over the whole array.  All of it is made of primitives, hence derivatives of any order.
"""

from __future__ import annotations

import math
from typing import Any

from backends import as_dtype
from dlcore.core import Array, Primitive, Unary, V, cast, linear
from dlcore.dispatch import wants_tensors
from dlcore.ops.indexing import getitem_p, take_along_axis_p
from dlcore.ops.joining import pad_p
from dlcore.ops.reductions import kept, reducing, sum_p, wide
from dlcore.ops.shapes import flip, permute_dims, reshape
from dlcore.ops.transcendental import logaddexp
from dlcore.samples import DISTINCT, REAL, Domain, Sample, operation, sample
from dlcore.shaping import Axis, normalized_axes, normalized_axis, reduced_shape


def _along(domain: Domain = REAL) -> list[Sample]:
    return [sample("4 b", domain, axis=0), sample("a 5", domain, axis=1), sample("a", domain, axis=0)]


def shifted(x: V, axis: int, places: int, fill: float) -> V:
    """``x`` moved by ``places`` along ``axis``, away from its start, with ``fill`` moving in."""
    size = x.shape[axis]
    places = min(places, size)
    stays = getitem_p(x, index=(slice(None),) * axis + (slice(0, size - places),))
    return pad_p(stays, widths=tuple((places * (i == axis), 0) for i in range(len(x.shape))), value=fill)


def recurrence(a: V, b: V, axis: int) -> V:
    """The ``y`` with ``y[i] = a[i] * y[i - 1] + b[i]`` along ``axis``, starting from 0.

    Two steps of such a kind make one of the same kind, so each pass doubles how far every step reaches.

    Source: Hillis & Steele (1986), "Data parallel algorithms".
    """
    reach = 1
    while reach < b.shape[axis]:
        b = b + a * shifted(b, axis, reach, 0.0)
        a = a * shifted(a, axis, reach, 1.0)
        reach *= 2
    return b


def _flattened(name: str, x: V, axis: int | None) -> tuple[V, int]:
    if axis is None:
        return reshape(x, (-1,)), 0
    if not isinstance(axis, int):
        raise TypeError(f"{name}: runs along one axis, got axis={axis!r}")
    return x, normalized_axis(axis, len(x.shape))


# --- sums -----------------------------------------------------------------------------------------


cumsum_p: Primitive = linear(
    "cumsum", lambda xp, x, *, axis: xp.cumulative_sum(x, axis=axis), lambda s, *, axis: s,
    lambda g, x, *, axis: flip(cumsum_p(flip(g, axis), axis=axis), axis), samples=_along(), result=wide)


@wants_tensors
def cumsum(x: V, axis: int | None = None, *, dtype: Any = None) -> V:
    """Each element of ``x`` plus all before it along ``axis``; of the flattened ``x`` without ``axis``.

        >>> import dlcore as dl
        >>> dl.cumsum(dl.tensor([1, 2, 3])).tolist()
        [1, 3, 6]
    """
    x, axis = _flattened("cumsum", x if dtype is None else cast(x, as_dtype(dtype)), axis)
    return cumsum_p(x, axis=axis)


# --- products -------------------------------------------------------------------------------------


def _before(x: V, axis: int) -> V:
    """The product of all elements before each one."""
    return cumprod_p(shifted(x, axis, 1, 1.0), axis=axis)


def _cumprod_vjp(g: V, out: V, x: V, *, axis: int) -> V:
    """Reaching backwards, s[i] = g[i] + x[i + 1] * s[i + 1]; then each has the product before it times s."""
    following = flip(shifted(flip(x, axis), axis, 1, 1.0), axis)
    return _before(x, axis) * flip(recurrence(flip(following, axis), flip(g, axis), axis), axis)


def _cumprod_jvp(t: V, out: V, x: V, *, axis: int) -> V:
    """By the product rule, y[i] = x[i] * y[i - 1] + t[i] * (the product before i)."""
    return recurrence(x, t * _before(x, axis), axis)


cumprod_p: Primitive = Unary(
    "cumprod", lambda xp, x, *, axis: xp.cumulative_prod(x, axis=axis), lambda s, *, axis: s,
    (_cumprod_vjp,), (_cumprod_jvp,), samples=_along(), result=wide, reads="x", of_complex=True)


@wants_tensors
def cumprod(x: V, axis: int | None = None, *, dtype: Any = None) -> V:
    """The product of every element of ``x`` with all before it along ``axis``; flattened without ``axis``."""
    x, axis = _flattened("cumprod", x if dtype is None else cast(x, as_dtype(dtype)), axis)
    return cumprod_p(x, axis=axis)


def others(x: V, axis: Axis) -> V:
    """For every element of ``x`` the product of the others with which a reduction over ``axis`` joins it."""
    shape = x.shape
    joined = normalized_axes(axis, len(shape))
    order = [*(i for i in range(len(shape)) if i not in joined), *joined]
    apart = len(shape) - len(joined)
    moved = permute_dims(x, order)
    rows = reshape(moved, (*moved.shape[:apart], math.prod(moved.shape[apart:])))
    around = _before(rows, apart) * flip(_before(flip(rows, apart), apart), apart)
    return permute_dims(reshape(around, moved.shape), sorted(range(len(order)), key=order.__getitem__))


prod_p: Primitive = Unary(
    "prod", lambda xp, x, *, axis, keepdims: xp.prod(x, axis=axis, keepdims=keepdims), reduced_shape,
    (lambda g, out, x, *, axis, keepdims: kept(g, x.shape, axis) * others(x, axis),),
    (lambda t, out, x, *, axis, keepdims: sum_p(t * others(x, axis), axis=axis, keepdims=keepdims),),
    samples=reducing(), result=wide, reads="x", of_complex=True)


def prod(x: V, axis: Axis = None, keepdims: bool = False, *, dtype: Any = None) -> V:
    """The product of ``x`` over ``axis``; its derivatives are right where elements are 0, too.

        >>> import dlcore as dl
        >>> dl.grad(dl.prod)(dl.tensor([2.0, 0.0, 3.0]))
        tensor([0., 6., 0.], float32)
    """
    return prod_p(x if dtype is None else cast(x, as_dtype(dtype)), axis=axis, keepdims=keepdims)


# --- maxima, and sums of exponentials -------------------------------------------------------------


def _places_of_maxima(xp: Any, x: Array, *, axis: int) -> Array:
    line = (1,) * axis + (-1,) + (1,) * (x.ndim - axis - 1)
    numbers = xp.reshape(xp.arange(0, x.shape[axis], 1, "int64"), line)
    numbers = xp.broadcast_to(numbers, x.shape)
    reached = x == xp.cumulative_max(x, axis)
    return xp.cumulative_max(xp.where(reached, numbers, xp.zeros_like(numbers)), axis)


cummax_places_p: Primitive = Unary("cummax_places", _places_of_maxima, lambda s, *, axis: s,
                                   samples=_along(DISTINCT), result="int64")


@operation(_along(DISTINCT))
@wants_tensors
def cummax(x: V, axis: int | None = None) -> V:
    """The largest element of ``x`` up to each along ``axis``; the last of equal ones gets the gradient."""
    x, axis = _flattened("cummax", x, axis)
    return take_along_axis_p(x, cummax_places_p(x, axis=axis), axis=axis)


@operation(_along())
@wants_tensors
def logcumsumexp(x: V, axis: int | None = None) -> V:
    """The logarithm of the running sum of exp(``x``) along ``axis``, without overflow."""
    x, axis = _flattened("logcumsumexp", x, axis)
    reach = 1
    while reach < x.shape[axis]:
        x = logaddexp(x, shifted(x, axis, reach, -math.inf))
        reach *= 2
    return x
