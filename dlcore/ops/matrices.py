"""What the operations on matrices share: checks of arguments and of conditions, and diagonals."""

from __future__ import annotations

from typing import Any

from backends import get_default_dtype
from backends.dtypes import float64
from dlcore.core import Array, Primitive, V, cast, dtype_of, operation
from dlcore.dispatch import wants_tensors
from dlcore.ops.arithmetic import absolute, greater
from dlcore.ops.indexing import getitem_p
from dlcore.ops.reductions import any_p, max_p, sum_p
from dlcore.ops.shapes import matrix_transpose, reshape, tril, triu
from dlcore.samples import MATRIX, sample
from dlcore.shaping import Shape

SQUARES = [sample("n n", MATRIX), sample("b n n", MATRIX)]

# --- arguments ------------------------------------------------------------------------------------


def matrix_shape(s: Shape, argument: str = "x") -> Shape:
    """``s``, if it is that of a stack of matrices."""
    if len(s) < 2:
        raise ValueError(f"{argument} must be a matrix or a stack of them, got shape {s}")
    return s


def square_shape(s: Shape, argument: str = "x") -> Shape:
    """``s``, if it is that of a stack of square matrices."""
    if matrix_shape(s, argument)[-1] != s[-2]:
        raise ValueError(f"{argument} must be a square matrix or a stack of them, got shape {s}")
    return s


def as_float(name: str, x: V) -> V:
    """``x`` in a float dtype: integers become the default float."""
    kind = dtype_of(x).kind
    if kind == "complex":
        raise TypeError(f"linalg.{name}: takes real tensors, got {dtype_of(x)}; complex ones may come later")
    return x if kind == "float" else cast(x, get_default_dtype())


def as_matrix(name: str, x: V) -> V:
    """``x`` likewise, if it has at least two axes."""
    if len(x.shape) < 2:
        raise ValueError(f"linalg.{name}: takes a matrix or a stack of them, got shape {x.shape}")
    return as_float(name, x)


# --- parts of a matrix ------------------------------------------------------------------------------


@operation([sample("a b"), sample("2 3 b", offset=1), sample("3 b", offset=-1)])
@wants_tensors
def diagonal(x: V, /, *, offset: int = 0) -> V:
    """The ``offset``-th diagonals of the matrices in ``x``; above the main one if positive.

        >>> import dlcore as dl
        >>> dl.linalg.diagonal(dl.arange(6).reshape(2, 3), offset=1).tolist()
        [1, 5]
    """
    *stack, m, n = matrix_shape(x.shape, "diagonal: x")
    count = max(0, min(m, n - offset) if offset >= 0 else min(m + offset, n))
    start = offset if offset >= 0 else -offset * n
    places = slice(start, start + count * (n + 1), n + 1) if count else slice(0, 0)
    return getitem_p(reshape(x, (*stack, m * n)), index=(Ellipsis, places))


@operation([sample("a b"), sample("2 a 3", offset=-1)])
@wants_tensors
def trace(x: V, /, *, offset: int = 0) -> V:
    """The sum of the ``offset``-th diagonal of each matrix in ``x``.

        >>> import dlcore as dl
        >>> dl.linalg.trace(dl.ones((5, 3, 3))).tolist()
        [3.0, 3.0, 3.0, 3.0, 3.0]
    """
    return sum_p(diagonal(x, offset=offset), axis=-1, keepdims=False)


def symmetric(x: V) -> V:
    """The symmetric part of ``x``."""
    return (x + matrix_transpose(x)) * 0.5


def skew(x: V) -> V:
    """``x`` less its transpose."""
    return x - matrix_transpose(x)


def main_diagonal(x: V) -> V:
    """``x`` with zeros beside the diagonal."""
    return tril(triu(x))


# --- what must hold for there to be a derivative ------------------------------------------------------


def _demanded(xp: Any, x: Array, wrong: Array, *, complaint: str) -> Array:
    xp.linalg.demand(wrong, complaint)
    return x


demanded_p: Primitive = Primitive(  # without samples: on random conditions it raises, as it should
    "demanded", _demanded, lambda s, t, *, complaint: s,
    (lambda g, out, x, wrong, *, complaint: g,), (lambda t, out, x, wrong, *, complaint: t,),
    reads="", promotes=(0,),
)


def epsilon(x: V) -> float:
    """The spacing of floats at 1 in the dtype that linear algebra on ``x`` is computed in."""
    return 2.0**-52 if dtype_of(x) == float64 else 2.0**-23


def exceeds(x: V, like: V) -> V:
    """Where ``x`` is more than rounding, in a matrix whose entries are of the size of ``like``'s."""
    if 0 in like.shape:
        return greater(absolute(x), 0.0)
    size = max_p(absolute(like), axis=(-2, -1), keepdims=True)
    return greater(absolute(x), size * epsilon(x)**0.5)


def checked(x: V, wrong: V, complaint: str) -> V:
    """``x``; but an error if ``wrong`` holds anywhere in a matrix."""
    return demanded_p(x, any_p(wrong, axis=(-2, -1), keepdims=False), complaint=complaint)
