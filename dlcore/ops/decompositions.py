"""Decompositions into triangles: Cholesky and QR."""

from __future__ import annotations

from typing import NamedTuple

from dlcore.core import Primitive, Unary, V
from dlcore.dispatch import wants_tensors
from dlcore.ops.arithmetic import absolute, less_equal
from dlcore.ops.indexing import getitem_p
from dlcore.ops.joining import concat
from dlcore.ops.matrices import (
    SQUARES,
    as_matrix,
    checked,
    epsilon,
    main_diagonal,
    matrix_shape,
    skew,
    square_shape,
    symmetric,
)
from dlcore.ops.products import matmul
from dlcore.ops.reductions import max_p, sum_p
from dlcore.ops.shapes import matrix_transpose, tril, triu
from dlcore.ops.solving import solve_triangular_p, triangular_inverse
from dlcore.samples import MATRIX, sample
from dlcore.shaping import Shape

# --- Cholesky ---------------------------------------------------------------------------------------


def _lower_half(x: V) -> V:
    """The lower triangle, with half of the diagonal: of a symmetric X, what makes X with its transpose."""
    return tril(x) - main_diagonal(x) * 0.5


def _cholesky_vjp(g: V, out: V, x: V) -> V:
    """L⁻ᵀ Φ(Lᵀ g) L⁻¹, made symmetric; Φ takes the lower half.

    Source: Murray (2016), "Differentiation of the Cholesky decomposition", section 3.
    """
    inner = _lower_half(matmul(matrix_transpose(out), tril(g)))
    left = triangular_inverse(out, inner, transposed=True)
    return symmetric(matrix_transpose(triangular_inverse(out, matrix_transpose(left), transposed=True)))


def _cholesky_jvp(t: V, out: V, x: V) -> V:
    """L Φ(L⁻¹ t L⁻ᵀ)."""
    left = triangular_inverse(out, symmetric(t))
    return matmul(out, _lower_half(triangular_inverse(out, matrix_transpose(left))))


cholesky_p: Primitive = Unary(
    "cholesky", lambda xp, x: xp.linalg.cholesky(x), square_shape, (_cholesky_vjp,),
    (_cholesky_jvp,), samples=SQUARES, result="float", reads="out",
)


@wants_tensors
def cholesky(x: V, /, *, upper: bool = False) -> V:
    """The lower triangular L with positive diagonal such that L Lᵀ = ``x``, or with ``upper`` Lᵀ.

    ``x`` stands for its symmetric part (x + xᵀ) / 2, and so does the gradient.

    Raises:
        ValueError: a matrix is not positive definite.

        >>> import dlcore as dl
        >>> dl.linalg.cholesky(dl.tensor([[4.0, 2.0], [2.0, 5.0]])).tolist()
        [[2.0, 0.0], [1.0, 2.0]]
    """
    out = cholesky_p(as_matrix("cholesky", x))
    return matrix_transpose(out) if upper else out


# --- QR ---------------------------------------------------------------------------------------------


class QR(NamedTuple):
    """Orthonormal columns and an upper triangle whose product is the matrix."""

    Q: V
    R: V


def _tall(s: Shape) -> tuple[Shape, Shape]:
    *stack, m, n = matrix_shape(s)
    if m < n:
        raise ValueError(f"the primitive takes at least as many rows as columns, got shape {s}")
    return s, (*stack, n, n)


def _full_rank(x: V, r: V) -> V:
    """``x``; but an error if the triangle ``r`` says that columns depend on each other."""
    diagonal = absolute(main_diagonal(r))
    rows = sum_p(diagonal, axis=-1, keepdims=True)
    if 0 in r.shape:
        return x
    low = less_equal(rows, max_p(diagonal, axis=(-2, -1), keepdims=True) * (10 * r.shape[-1] * epsilon(r)))
    return checked(x, low, "qr: no derivative where columns depend linearly on those before them: the matrix "
                           "must have full rank")


def _qr_vjp(g: tuple[V | None, V | None], out: QR, x: V) -> V:
    """(gQ + Q sym(R gRᵀ - gQᵀ Q)) R⁻ᵀ, where sym mirrors the lower triangle.

    Source: Walter & Lehmann (2013), "Algorithmic differentiation of linear algebra functions", theorem 1.
    """
    (gq, gr), (q, r) = g, out
    inner = None if gr is None else matmul(r, matrix_transpose(triu(gr)))
    if gq is not None:
        own = matmul(matrix_transpose(gq), q)
        inner = -own if inner is None else inner - own
    mirrored = matmul(q, tril(inner) + matrix_transpose(tril(inner, -1)))
    total = _full_rank(mirrored if gq is None else mirrored + gq, r)
    return matrix_transpose(solve_triangular_p(r, matrix_transpose(total), upper=True, unitriangular=False))


def _qr_jvp(t: V, out: QR, x: V) -> tuple[V, V]:
    """(t R⁻¹ - Q (C - Ω), (C - Ω) R), where C = Qᵀ t R⁻¹ and Ω is its lower triangle less the transpose."""
    q, r = out
    transposed = solve_triangular_p(matrix_transpose(r), matrix_transpose(_full_rank(t, r)), upper=False,
                                    unitriangular=False)
    change = matrix_transpose(transposed)
    inner = matmul(matrix_transpose(q), change)
    upper = inner - skew(tril(inner, -1))
    return change - matmul(q, upper), matmul(triu(upper), r)


qr_p: Primitive = Primitive(
    "qr", lambda xp, x: xp.linalg.qr(x), _tall, (_qr_vjp,), (_qr_jvp,),
    samples=[*SQUARES, sample("3 2", MATRIX), sample("b 3 1", MATRIX)], result="float", reads="out",
    outputs=QR._make,
)


@wants_tensors
def qr(x: V, /, *, mode: str = "reduced") -> QR:
    """Orthonormal columns ``Q`` and an upper triangular ``R`` with Q R = ``x``: (..., m, k) and (..., k, n).

    k is the smaller of m and n.  The signs are those of the library: R's diagonal may be negative.

    Raises:
        ValueError: ``mode`` is not ``"reduced"``; or, when a derivative is asked for, the first k columns
            depend on each other.

        >>> import dlcore as dl
        >>> x = dl.tensor([[3.0, 1.0], [4.0, 2.0]])
        >>> q, r = dl.linalg.qr(x)
        >>> bool(dl.linalg.norm(q @ r - x) < 1e-5), r[1, 0].item()
        (True, 0.0)
    """
    if mode != "reduced":
        raise ValueError(f"qr: mode must be 'reduced', got {mode!r}; further columns would be arbitrary")
    x = as_matrix("qr", x)
    m, n = x.shape[-2:]
    if m >= n:
        return qr_p(x)
    q, left = qr_p(getitem_p(x, index=(Ellipsis, slice(0, m))))  # which fixes q; the rest follows
    right = matmul(matrix_transpose(q), getitem_p(x, index=(Ellipsis, slice(m, None))))
    return QR(q, concat([left, right], -1))
