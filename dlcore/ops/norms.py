"""Norms of vectors and matrices; at 0, and wherever a norm has a kink, the derivative in it is 0."""

from __future__ import annotations

import math
from typing import Any

from dlcore.core import Array, Unary, V, cast_like, operation
from dlcore.dispatch import wants_tensors
from dlcore.ops.arithmetic import absolute, equal, greater, less, not_equal, pow, where
from dlcore.ops.indexing import getitem_p
from dlcore.ops.matrices import as_float, as_matrix, epsilon
from dlcore.ops.reductions import in_half, in_single, kept, max_p, min_p, narrowed, reducing, sum_p, widened
from dlcore.ops.shapes import moveaxis, reshape
from dlcore.ops.spectra import svdvals
from dlcore.ops.transcendental import ratio
from dlcore.samples import NONZERO, Domain, sample
from dlcore.shaping import Axis, normalized_axes, reduced_shape


def _euclidean(xp: Any, x: Array, *, axis: Axis, keepdims: bool) -> Array:
    wide = widened(xp, x)
    return narrowed(xp, xp.asarray(xp.sqrt(xp.sum(wide * wide, axis=axis, keepdims=keepdims))), x)


euclidean_p: Unary = Unary(
    "euclidean_norm", _euclidean, reduced_shape,
    (lambda g, out, x, *, axis, keepdims: kept(g, x.shape, axis) * ratio(x, kept(out, x.shape, axis)),),
    (lambda t, out, x, *, axis, keepdims: sum_p(
        t * ratio(x, kept(out, x.shape, axis)), axis=axis, keepdims=keepdims),),
    samples=reducing(NONZERO), result="float",
)


MATRIX_ORDERS = ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)
_TAME = Domain(low=0.9, high=1.1, matrix=True)  # positive, sums and singular values apart


@operation([sample("a b", NONZERO), sample("a b", NONZERO, axis=1, ord=3), sample("a b", NONZERO, ord=1),
            sample("2 2", _TAME, axis=1, keepdims=True, ord=math.inf),
            sample("2 2", _TAME, axis=0, ord=-math.inf), sample("a", NONZERO, ord=-1.5),
            sample("a b", NONZERO, axis=(0, 1), ord=0.5)])
@wants_tensors
def vector_norm(x: V, /, *, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> V:
    """The norm of ``x`` along ``axis``, of all elements without one: (Σ |x|^ord)^(1/ord).

    ``inf`` and ``-inf`` are the largest and the smallest absolute value, 0 counts what is not 0.

        >>> import dlcore as dl
        >>> x = dl.tensor([3.0, -4.0])
        >>> [dl.linalg.vector_norm(x, ord=p).item() for p in (2, 1, 0)]
        [5.0, 7.0, 2.0]
        >>> dl.grad(dl.linalg.vector_norm)(dl.zeros(2)).tolist()
        [0.0, 0.0]
    """
    x = as_float("vector_norm", x)
    how: dict[str, Any] = {"axis": axis, "keepdims": keepdims}
    if ord == 2:
        return euclidean_p(x, **how)
    size = absolute(x)
    if ord in (math.inf, -math.inf):
        return (max_p if ord > 0 else min_p)(size, **how)
    if ord == 1:
        return sum_p(size, **how)
    if ord == 0:
        return cast_like(sum_p(not_equal(x, 0.0), **how), x)
    if isinstance(ord, str) or math.isnan(ord):
        raise ValueError(f"linalg.vector_norm: ord must be a number, got {ord!r}")
    return in_half(_power_mean(in_single(size), float(ord), how), x)


def _power_mean(size: V, p: float, how: dict[str, Any]) -> V:
    """(Σ size^p)^(1/p), in units of the largest size, so that no power overflows; zeros have no slope."""
    axis = how["axis"]
    if not math.prod(size.shape):
        return sum_p(size, **how)
    zero = equal(size, 0.0)
    unit = max_p(size, axis=axis, keepdims=True)
    unit = where(equal(unit, 0.0), 1.0, unit)
    powers = where(zero, 0.0 if p > 0 else math.inf, pow(where(zero, unit, size) / unit, p))
    total = sum_p(powers, axis=axis, keepdims=True)
    proper = greater(total, 0.0) if p > 0 else less(total, math.inf)
    out = where(proper, pow(where(proper, total, 1.0), 1.0 / p) * unit, 0.0)
    return reshape(out, reduced_shape(size.shape, axis=axis, keepdims=how["keepdims"]))




@operation([sample("a b", NONZERO),
            *[sample("2 3 3", _TAME, ord=o, keepdims=o == 2) for o in MATRIX_ORDERS[1:]],
            sample("3 a 2", _TAME, ord="nuc", axis=(0, -1))])
@wants_tensors
def matrix_norm(x: V, /, *, keepdims: bool = False, ord: float | str = "fro",
                axis: tuple[int, int] = (-2, -1)) -> V:
    """The norm of the matrices in the two axes ``axis`` of ``x``.

    ``"fro"`` is the root of the sum of squares, ``"nuc"`` the sum of the singular values, 2 and -2 the
    largest and the smallest of those; 1 and -1 are the largest and the smallest sum of absolute values
    in a column, ``inf`` and ``-inf`` in a row.

        >>> import dlcore as dl
        >>> x = dl.tensor([[3.0, 0.0], [0.0, -4.0]])
        >>> [dl.linalg.matrix_norm(x, ord=o).item() for o in ("fro", "nuc", 2, -2, 1)]
        [5.0, 7.0, 4.0, 3.0, 4.0]
    """
    x = as_matrix("matrix_norm", x)
    if ord not in MATRIX_ORDERS:
        known = ", ".join(map(repr, MATRIX_ORDERS))
        raise ValueError(f"linalg.matrix_norm: ord must be one of {known}, got {ord!r}")
    if len(axis) != 2:
        raise ValueError(f"linalg.matrix_norm: axis must name two axes, got {axis!r}")
    axes = normalized_axes(tuple(axis), len(x.shape))
    if ord == "fro":
        return euclidean_p(x, axis=axes, keepdims=keepdims)
    out = _of_matrices(moveaxis(x, axis, (-2, -1)), ord)
    return reshape(out, reduced_shape(x.shape, axis=axes, keepdims=True)) if keepdims else out


def _of_matrices(x: V, order: float | str) -> V:
    if not isinstance(order, str) and abs(order) != 2:
        sums = sum_p(absolute(x), axis=-2 if abs(order) == 1 else -1, keepdims=False)
        return (max_p if order > 0 else min_p)(sums, axis=-1, keepdims=False)
    s = svdvals(x)
    largest = getitem_p(s, index=(Ellipsis, slice(0, 1)))
    s = where(greater(s, largest * (max(10, *x.shape[-2:]) * epsilon(s))), s, 0.0)  # a kink: the slope is 0
    if order == "nuc":
        return sum_p(s, axis=-1, keepdims=False)
    return _shared(s, -1 if order == -2 else 0)


def _shared(s: V, place: int) -> V:
    """The largest or the smallest of ordered values; those too close to tell apart share its slope."""
    extreme = getitem_p(s, index=(Ellipsis, slice(-1, None) if place else slice(0, 1)))
    largest = getitem_p(s, index=(Ellipsis, slice(0, 1)))
    equals = greater(largest * (10 * epsilon(s)) - absolute(s - extreme), 0.0)
    equals = where(equal(largest, 0.0), equal(s, 0.0), equals)
    count = sum_p(equals, axis=-1, keepdims=False)
    return sum_p(where(equals, s, 0.0), axis=-1, keepdims=False) / cast_like(count, s)


@operation([sample("a b", NONZERO), sample("a b", NONZERO, axis=0, ord=3, keepdims=True),
            sample("2 b", _TAME, ord="nuc")])
@wants_tensors
def norm(x: V, ord: float | str | None = None, axis: Axis = None, keepdims: bool = False) -> V:
    """The 2-norm of all elements of ``x``; or that of vectors or matrices, depending on ``ord`` and ``axis``.

    With one axis it is that of vectors, with two, or an ``ord`` and two axes in ``x``, that of matrices: see
    :func:`vector_norm` and :func:`matrix_norm`.  Without ``ord`` it is the root of the sum of squares.

        >>> import dlcore as dl
        >>> dl.linalg.norm(dl.tensor([[3.0, 0.0], [0.0, 4.0]])).item()
        5.0
    """
    if ord is None:
        return vector_norm(x, axis=axis, keepdims=keepdims)
    axes = axis if isinstance(axis, tuple) else tuple(range(len(x.shape))) if axis is None else (axis,)
    if len(axes) == 2:
        return matrix_norm(x, ord=ord, axis=axes, keepdims=keepdims)
    if len(axes) != 1 or isinstance(ord, str):
        wanted = "two axes" if isinstance(ord, str) else "one axis or two"
        raise ValueError(f"linalg.norm: ord={ord!r} needs {wanted}, got axis={axis!r} of shape {x.shape}; "
                         "vector_norm takes any number")
    return vector_norm(x, ord=ord, axis=axes, keepdims=keepdims)
