"""Reductions: sums, means, products, extrema and what is made of them."""

from __future__ import annotations

import math
from typing import Any

from backends import DType, as_dtype, promote
from backends.dtypes import HALF_DTYPES, float32, int64
from dlcore.core import Array, Primitive, Unary, V, broadcast_to, cast, cast_like, dtype_of
from dlcore.dispatch import wants_tensors
from dlcore.ops.arithmetic import equal, isfinite, logical_not, maximum, not_equal, where, zeros_like
from dlcore.ops.indexing import getitem
from dlcore.ops.shapes import reshape
from dlcore.ops.transcendental import exp, ratio
from dlcore.samples import DISTINCT, REAL, Sample, operation, sample
from dlcore.shaping import Axis, Shape, normalized_axes, normalized_axis, reduced_shape


def reducing(domain: Any = REAL, **params: Any) -> list[Sample]:
    """The ways to call a reduction: all axes, one, several, kept or not."""
    return [sample("a b c", domain, axis=(0, 2), keepdims=False, **params),
            sample("a b", domain, axis=-1, keepdims=True, **params),
            sample("a b", domain, axis=None, keepdims=False, **params),
            sample("a b", domain, axis=0, keepdims=False, **params),
            sample("", domain, axis=None, keepdims=False, **params)]


def kept(x: V, like: Shape, axis: Axis) -> V:
    """A reduction's result, reshaped so that it broadcasts against what was reduced."""
    return (
        x
        if axis is None or len(x.shape) == len(like)
        else reshape(x, reduced_shape(like, axis=axis, keepdims=True))
    )


def count(shape: Shape, axis: Axis) -> int:
    """How many elements of ``shape`` a reduction over ``axis`` puts into one."""
    return (
        math.prod(shape) if axis is None else math.prod(shape[a] for a in normalized_axes(axis, len(shape)))
    )


def wide(dtypes: list[DType], **params: Any) -> DType:
    """A sum of booleans or integers is int64."""
    return int64 if dtypes[0].kind in ("bool", "int") else dtypes[0]


# --- sums and means -------------------------------------------------------------------------------


def _mean(xp: Any, x: Array, *, axis: Axis, keepdims: bool) -> Array:
    if not x.size and count(x.shape, axis) == 0:  # NumPy would warn
        return xp.full(reduced_shape(x.shape, axis=axis, keepdims=keepdims), math.nan, x.dtype)
    return xp.mean(x, axis, keepdims)


def _shared(g: V, n: int) -> V:
    """``g / n``, or ``g`` where ``n`` is 0; in two steps where the number ``n`` is infinite as a float16."""
    return g / (n or 1) if n <= 65504 else g / 1024.0 / (n / 1024.0)


_ALL = {"axis": None, "keepdims": False}
# Both are linear; nearly every loss ends in one, so they are written out to spare the family's wrapper.
sum_p: Unary = Unary(
    "sum",
    lambda xp, x, *, axis, keepdims: xp.sum(x, axis, keepdims),
    reduced_shape,
    (
        lambda g, out, x, *, axis, keepdims: broadcast_to(
            g if axis is None else kept(g, x.shape, axis), x.shape
        ),
    ),
    (lambda t, out, x, *, axis, keepdims: sum_p(t, axis=axis, keepdims=keepdims),),
    samples=reducing(),
    result=wide,
    reads="",
    of_complex=True,
)
mean_p: Unary = Unary(
    "mean",
    _mean,
    reduced_shape,
    (
        lambda g, out, x, *, axis, keepdims: broadcast_to(
            kept(_shared(g, count(x.shape, axis)), x.shape, axis), x.shape
        ),
    ),
    (lambda t, out, x, *, axis, keepdims: mean_p(t, axis=axis, keepdims=keepdims),),
    samples=reducing(),
    result="float",
    reads="",
    of_complex=True,
)


def sum(x: V, axis: Axis = None, keepdims: bool = False, *, dtype: Any = None) -> V:
    """The sum of ``x`` over ``axis``: an axis, several, or None for all of them.

    Sums of booleans and integers are int64; 16-bit floats are summed in float32.  With ``dtype`` the
    elements are converted before they are added.

        >>> import dlcore as dl
        >>> dl.sum(dl.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
        tensor([4., 6.], float32)
    """
    if dtype is not None:
        x = cast(x, as_dtype(dtype))
    return sum_p.call(x, _ALL if axis is None and not keepdims else {"axis": axis, "keepdims": keepdims})


def mean(x: V, axis: Axis = None, keepdims: bool = False) -> V:
    """The mean of ``x`` over ``axis``, nan if there is nothing; of integers in the default float."""
    return mean_p.call(x, _ALL if axis is None and not keepdims else {"axis": axis, "keepdims": keepdims})


# --- variance -------------------------------------------------------------------------------------


def _over(shape: Shape, axis: Axis, correction: float) -> float:
    """One over the number of elements less ``correction``: nan if none are left."""
    freedom = count(shape, axis) - correction
    return 1.0 / freedom if freedom > 0 else math.nan


def _centred(x: V, axis: Axis) -> V:
    return x - mean_p(x, axis=axis, keepdims=True)


def widened(xp: Any, x: Array) -> Array:
    """``x``, halves in float32: their squares overflow at 256, and 65520 of them add up to inf."""
    return xp.astype(x, float32) if x.dtype in xp.half_dtypes else x


def narrowed(xp: Any, out: Array, x: Array) -> Array:
    """What was made of ``x`` through :func:`widened`, in the dtype of ``x``."""
    return xp.astype(xp.asarray(out), x.dtype) if x.dtype in xp.half_dtypes else out


def _var(xp: Any, x: Array, *, axis: Axis, correction: float, keepdims: bool) -> Array:
    wide = widened(xp, x)
    centred = wide - _mean(xp, wide, axis=axis, keepdims=True)
    squares = xp.sum(centred * centred, axis=axis, keepdims=keepdims)
    return narrowed(xp, squares * _over(x.shape, axis, correction), x)


def _std(xp: Any, x: Array, **how: Any) -> Array:
    return narrowed(xp, xp.sqrt(_var(xp, widened(xp, x), **how)), x)


def _spread_shape(s: Shape, *, axis: Axis, correction: float, keepdims: bool) -> Shape:
    return reduced_shape(s, axis=axis, keepdims=keepdims)


def _spread(forward: Any, name: str, vjp: Any, jvp: Any) -> Primitive:
    samples = [*reducing(correction=0.0)[:3], sample("3 b", axis=0, keepdims=False, correction=1)]
    return Unary(name, forward, _spread_shape, (vjp,), (jvp,), samples=samples, result="float")


var_p: Primitive = _spread(
    _var, "var",
    lambda g, out, x, *, axis, correction, keepdims:
        kept(g * (2.0 * _over(x.shape, axis, correction)), x.shape, axis) * _centred(x, axis),
    lambda t, out, x, *, axis, correction, keepdims:
        sum_p(t * _centred(x, axis), axis=axis, keepdims=keepdims) * (2.0 * _over(x.shape, axis, correction)))
std_p: Primitive = _spread(
    _std, "std",
    lambda g, out, x, *, axis, correction, keepdims:
        kept(g * _over(x.shape, axis, correction), x.shape, axis) * _direction(x, out, axis),
    lambda t, out, x, *, axis, correction, keepdims:
        sum_p(t * _direction(x, out, axis), axis=axis, keepdims=keepdims) * _over(x.shape, axis, correction))


def _direction(x: V, out: V, axis: Axis) -> V:
    """How far ``x`` is from its mean, in units of its standard deviation; 0 where that is 0."""
    return ratio(_centred(x, axis), kept(out, x.shape, axis))


def in_single(x: V) -> V:
    """``x``, of halves in float32: for a composition that squares, because that overflows at 256."""
    return cast(x, float32) if dtype_of(x) in HALF_DTYPES else x


def in_half(out: V, *xs: V) -> V:
    """``out`` in the dtype that ``xs``, of which it was made through :func:`in_single`, have together."""
    dtype = promote(*map(dtype_of, xs))
    return cast(out, dtype) if dtype in HALF_DTYPES else out


def var(x: V, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> V:
    """The variance of ``x`` over ``axis``: squared distances from the mean, over n - ``correction``.

        >>> import dlcore as dl
        >>> dl.var(dl.tensor([1.0, 3.0])), dl.var(dl.tensor([1.0, 3.0]), correction=1)
        (tensor(1., float32), tensor(2., float32))
    """
    return var_p(x, axis=axis, correction=correction, keepdims=keepdims)


def std(x: V, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> V:
    """The standard deviation of ``x`` over ``axis``: the root of :func:`var`, with slope 0 at 0."""
    return std_p(x, axis=axis, correction=correction, keepdims=keepdims)


# --- extrema --------------------------------------------------------------------------------------


def _nonempty(s: Shape, *, axis: Axis, keepdims: bool) -> Shape:
    if count(s, axis) == 0:
        raise ValueError(
            f"shape {s} has nothing to reduce over axis {axis}: of no elements none is the extreme one"
        )
    return reduced_shape(s, axis=axis, keepdims=keepdims)


def _shares(x: V, out: V, axis: Axis) -> tuple[V, V]:
    """Which elements are the extreme ones, and how many they are, in float32 or wider; none equals a nan."""
    extreme = equal(x, kept(out, x.shape, axis))
    ties = cast(sum_p(extreme, axis=axis, keepdims=True), promote(dtype_of(x), float32))
    return extreme, maximum(ties, 1.0)


def _extreme_vjp(g: V, out: V, x: V, *, axis: Axis, keepdims: bool) -> V:
    extreme, ties = _shares(x, out, axis)
    each = cast(kept(g, x.shape, axis), dtype_of(ties)) / kept(ties, x.shape, axis)
    return where(extreme, cast_like(each, x), 0.0)


def _extreme_jvp(t: V, out: V, x: V, *, axis: Axis, keepdims: bool) -> V:
    extreme, ties = _shares(x, out, axis)
    total = sum_p(cast(where(extreme, t, 0.0), dtype_of(ties)), axis=axis, keepdims=True)
    return reshape(cast_like(total / ties, x), out.shape)


def _extreme(name: str, forward: Any) -> Primitive:
    return Unary(name, forward, _nonempty, (_extreme_vjp,), (_extreme_jvp,), samples=reducing(DISTINCT))


max_p = _extreme("max", lambda xp, x, *, axis, keepdims: xp.max(x, axis=axis, keepdims=keepdims))
min_p = _extreme("min", lambda xp, x, *, axis, keepdims: xp.min(x, axis=axis, keepdims=keepdims))


def max(x: V, axis: Axis = None, keepdims: bool = False) -> V:
    """The largest element of ``x`` over ``axis``; equal ones share the gradient evenly.

    Raises:
        ValueError: there are no elements.

        >>> import dlcore as dl
        >>> dl.grad(dl.max)(dl.tensor([1.0, 3.0, 3.0]))
        tensor([0. , 0.5, 0.5], float32)
    """
    return max_p(x, axis=axis, keepdims=keepdims)


def min(x: V, axis: Axis = None, keepdims: bool = False) -> V:
    """The smallest element of ``x`` over ``axis``; equal ones share the gradient evenly."""
    return min_p(x, axis=axis, keepdims=keepdims)


def _place_of_extreme(name: str, forward: Any) -> Primitive:
    samples = [
        sample("a b", DISTINCT, axis=1, keepdims=False),
        sample("a b", DISTINCT, axis=None, keepdims=False),
        sample("a", DISTINCT, axis=-1, keepdims=True),
    ]
    return Unary(name, forward, _nonempty, samples=samples, result="int64")


argmax_p = _place_of_extreme(
    "argmax", lambda xp, x, *, axis, keepdims: xp.argmax(x, axis=axis, keepdims=keepdims)
)
argmin_p = _place_of_extreme(
    "argmin", lambda xp, x, *, axis, keepdims: xp.argmin(x, axis=axis, keepdims=keepdims)
)


def argmax(x: V, axis: int | None = None, keepdims: bool = False) -> V:
    """The first place of the largest element along ``axis``; without ``axis``, in the flattened ``x``."""
    return argmax_p(x, axis=axis, keepdims=keepdims)


def argmin(x: V, axis: int | None = None, keepdims: bool = False) -> V:
    """The first place of the smallest element along ``axis``; without ``axis``, in the flattened ``x``."""
    return argmin_p(x, axis=axis, keepdims=keepdims)


# --- of booleans ----------------------------------------------------------------------------------


def _quantifier(name: str, forward: Any) -> Primitive:
    samples = [sample("? a b", axis=None, keepdims=False), sample("? a b", axis=(0,), keepdims=True)]
    return Unary(name, forward, reduced_shape, samples=samples, result="bool")


any_p = _quantifier("any", lambda xp, x, *, axis, keepdims: xp.any(x, axis=axis, keepdims=keepdims))
all_p = _quantifier("all", lambda xp, x, *, axis, keepdims: xp.all(x, axis=axis, keepdims=keepdims))


def any(x: V, axis: Axis = None, keepdims: bool = False) -> V:
    """Whether some element of ``x`` over ``axis`` is true, or not 0."""
    return any_p(x, axis=axis, keepdims=keepdims)


def all(x: V, axis: Axis = None, keepdims: bool = False) -> V:
    """Whether every element of ``x`` over ``axis`` is true, or not 0."""
    return all_p(x, axis=axis, keepdims=keepdims)


@wants_tensors
def count_nonzero(x: V, axis: Axis = None, keepdims: bool = False) -> V:
    """How many elements of ``x`` over ``axis`` are not 0; int64.

        >>> import dlcore as dl
        >>> dl.count_nonzero(dl.tensor([[1.0, 0.0], [2.0, 3.0]]), axis=0).tolist()
        [2, 1]
    """
    return sum(not_equal(x, zeros_like(x)), axis, keepdims)


@wants_tensors
def isin(x: V, values: V, *, invert: bool = False) -> V:
    """Whether each element of ``x`` is among ``values``, of any shape; with ``invert``, whether it is not.

        >>> import dlcore as dl
        >>> dl.isin(dl.tensor([0, 1, 2]), dl.tensor([2, 0])).tolist()
        [True, False, True]
    """
    found = any(equal(reshape(x, (*x.shape, 1)), reshape(values, (-1,))), -1)
    return logical_not(found) if invert else found


# --- the logarithm of a sum of exponentials -------------------------------------------------------


def _logsumexp(xp: Any, x: Array, *, axis: Axis, keepdims: bool) -> Array:
    wide = widened(xp, x)
    peak = xp.asarray(xp.max(wide, axis=axis, keepdims=True))
    with xp.quiet():
        # A row of -inf sums to exp(-inf) = 0, not nan.
        peak = xp.where(xp.isfinite(peak), peak, xp.zeros_like(peak))
        out = xp.asarray(xp.log(xp.sum(xp.exp(wide - peak), axis=axis, keepdims=True)) + peak)
    return narrowed(xp, xp.reshape(out, reduced_shape(x.shape, axis=axis, keepdims=keepdims)), x)


def _softmax(x: V, out: V, axis: Axis) -> V:
    """exp(x - out): how much each element has of the sum; 0 in a row of -inf, and all of it is inf's."""
    out = kept(out, x.shape, axis)
    finite = isfinite(out)
    weight = exp(where(finite, x, -math.inf) - where(finite, out, 0.0))
    return where(equal(x, math.inf), 1.0, weight)


logsumexp_p: Primitive = Unary(
    "logsumexp", _logsumexp, _nonempty,
    (lambda g, out, x, *, axis, keepdims: kept(g, x.shape, axis) * _softmax(x, out, axis),),
    (lambda t, out, x, *, axis, keepdims: sum_p(t * _softmax(x, out, axis), axis=axis, keepdims=keepdims),),
    samples=reducing(), result="float")


def logsumexp(x: V, axis: Axis = None, keepdims: bool = False) -> V:
    """The logarithm of the sum of exp(``x``) over ``axis``, without overflow.

    Where all elements are -inf the result is -inf and the gradient 0.

        >>> import dlcore as dl
        >>> dl.logsumexp(dl.tensor([1000.0, 1000.0])).item() - 1000.0
        0.69317626953125
    """
    return logsumexp_p(x, axis=axis, keepdims=keepdims)


# --- differences ----------------------------------------------------------------------------------


@operation([sample("4 b", axis=0), sample("a 4", axis=-1, n=2)])
@wants_tensors
def diff(x: V, axis: int = -1, n: int = 1) -> V:
    """Each element of ``x`` less the one before it along ``axis``, ``n`` times over.

        >>> import dlcore as dl
        >>> dl.diff(dl.tensor([1, 4, 9])).tolist()
        [3, 5]
    """
    axis = normalized_axis(axis, len(x.shape))
    for _ in range(n):
        before = (slice(None),) * axis
        x = getitem(x, (*before, slice(1, None))) - getitem(x, (*before, slice(None, -1)))
    return x
