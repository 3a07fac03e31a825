"""Products of arrays: matmul and einsum."""

from __future__ import annotations

from dlcore.core import Primitive, V, bilinear, sum_to
from dlcore.ops.shapes import expand_dims, matrix_transpose, squeeze
from dlcore.samples import sample
from dlcore.shaping import Shape, broadcast_shapes


def _matmul_shape(s: Shape, t: Shape) -> Shape:
    if not s or not t:
        raise ValueError(f"shapes {s} and {t}: a 0-d operand has no matrix product; use * for scaling")
    rows, columns = s[-1], t[-2] if len(t) > 1 else t[0]
    if rows != columns:
        which = "second to last" if len(t) > 1 else "only"
        raise ValueError(f"shapes {s} and {t} do not fit: the last axis of the first has size {rows}, "
                         f"the {which} axis of the second {columns}")
    stack = broadcast_shapes(s[:-2], t[:-2])
    return (*stack, *s[-2:-1], *(t[-1:] if len(t) > 1 else ()))


def _left(g: V, x: V, y: V) -> V:
    """``g`` yᵀ, where 1-d operands count as a row on the left and as a column on the right."""
    if y.ndim == 1:  # (..., m, k) @ (k,) -> (..., m)
        return expand_dims(g, -1) * y
    if x.ndim == 1:  # (k,) @ (..., k, n) -> (..., n)
        return sum_to(squeeze(matmul(y, expand_dims(g, -1)), -1), x.shape)
    return sum_to(matmul(g, matrix_transpose(y)), x.shape)


def _right(g: V, x: V, y: V) -> V:
    """xᵀ g, likewise."""
    if x.ndim == 1:  # (k,) @ (..., k, n) -> (..., n), or a number where y is 1-d too
        return expand_dims(x, -1) * expand_dims(g, -2) if y.ndim > 1 else x * g
    if y.ndim == 1:  # (..., m, k) @ (k,) -> (..., m)
        return sum_to(squeeze(matmul(expand_dims(g, -2), x), -2), y.shape)
    return sum_to(matmul(matrix_transpose(x), g), y.shape)


matmul: Primitive = bilinear(
    "matmul", lambda xp, x, y: xp.matmul(x, y), _matmul_shape, _left, _right,
    samples=[sample("m k, k n"), sample("b m k, b k n"), sample("b m k, k n"), sample("m k, b k n"),
             sample("1 m k, b k n"), sample("k, k"), sample("m k, k"), sample("k, k n"), sample("b m k, k"),
             sample("k, b k n")],
)
