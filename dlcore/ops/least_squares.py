"""Pseudo-inverses and least squares: equations that have no solution, or many."""

from __future__ import annotations

from typing import Any, NamedTuple

from dlcore.core import Array, Primitive, Unary, V, operation
from dlcore.dispatch import wants_tensors
from dlcore.ops.arithmetic import greater, less
from dlcore.ops.indexing import getitem_p
from dlcore.ops.matrices import as_matrix, demanded_p, epsilon, matrix_shape
from dlcore.ops.products import matmul
from dlcore.ops.reductions import sum_p
from dlcore.ops.shapes import matrix_transpose, squeeze
from dlcore.ops.solving import with_columns
from dlcore.ops.spectra import svdvals
from dlcore.samples import MATRIX, REAL, sample
from dlcore.shaping import Shape


def _transposed(s: Shape, *, rtol: float) -> Shape:
    *stack, m, n = matrix_shape(s)
    return (*stack, n, m)


def _between(x: V, y: V) -> V:
    """-``x`` ``y`` ``x``."""
    return -matmul(matmul(x, y), x)


def _pinv(xp: Any, x: Array, *, rtol: float) -> Array:
    *stack, m, n = x.shape
    if not x.size:
        return xp.zeros((*stack, n, m), x.dtype)
    u, s, v = xp.linalg.svd(x, full_matrices=False)
    kept = s > s[..., :1] * rtol
    inverses = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), xp.zeros_like(s))
    return xp.matmul(v.mT * inverses[..., None, :], u.mT)


def _of_full_rank(g: V, p: V, x: V) -> V:
    """``g``; but an error unless x has full rank, which is the trace of p x."""
    rank = sum_p(matrix_transpose(p) * x, axis=(-2, -1), keepdims=False)
    return demanded_p(g, less(rank, min(x.shape[-2:]) - 0.5), complaint=(
        "pinv: no derivative at a matrix without full rank: the smallest change can raise its rank, "
        "and then the pseudo-inverse jumps"))


def _pinv_vjp(g: V, out: V, x: V, *, rtol: float) -> V:
    """-Pᵀ g Pᵀ + (1 - x P) gᵀ P Pᵀ, or of a wide matrix + Pᵀ P gᵀ (1 - P x).

    Source: Golub & Pereyra (1973), "The differentiation of pseudo-inverses and nonlinear least squares
    problems whose variables separate", for constant rank.
    """
    back, p = matrix_transpose(_of_full_rank(g, out, x)), matrix_transpose(out)
    first = _between(p, matrix_transpose(back))
    if x.shape[-2] >= x.shape[-1]:
        return first + matmul(back - matmul(x, matmul(out, back)), matmul(out, p))
    return first + matmul(matmul(p, out), back - matmul(matmul(back, out), x))


def _pinv_jvp(t: V, out: V, x: V, *, rtol: float) -> V:
    """-P t P + P Pᵀ tᵀ (1 - x P), or of a wide matrix - P t P + (1 - P x) tᵀ Pᵀ P."""
    back, p = matrix_transpose(_of_full_rank(t, out, x)), matrix_transpose(out)
    first = _between(out, matrix_transpose(back))
    if x.shape[-2] >= x.shape[-1]:
        return first + matmul(matmul(out, p), back - matmul(matmul(back, x), out))
    return first + matmul(back - matmul(out, matmul(x, back)), matmul(p, out))


pinv_p: Primitive = Unary(
    "pinv", _pinv, _transposed, (_pinv_vjp,), (_pinv_jvp,),
    samples=[sample("3 n", MATRIX, rtol=1e-9), sample("b n 3", MATRIX, rtol=1e-6),
             sample("n n", MATRIX, rtol=1e-9)],
    result="float",
)


def _cutoff(x: V, rtol: float | None) -> float:
    return max(x.shape[-2:]) * epsilon(x) if rtol is None else rtol


@wants_tensors
def pinv(x: V, /, *, rtol: float | None = None) -> V:
    """The pseudo-inverse of ``x``: it takes y to the smallest z that brings x z closest to y.

    Singular values up to ``rtol`` times the largest count as 0; by default the larger size times epsilon.

    Raises:
        ValueError: when a derivative is asked for, at a matrix without full rank, where there is none.

        >>> import dlcore as dl
        >>> dl.linalg.pinv(dl.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0]])).tolist()
        [[0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    x = as_matrix("pinv", x)
    return pinv_p(x, rtol=_cutoff(x, rtol))


class LeastSquares(NamedTuple):
    """What :func:`lstsq` finds."""

    solution: V
    residuals: V
    rank: V
    singular_values: V


@operation([sample("3 n, 3", (MATRIX, REAL)), sample("b 3 n, 3 k", (MATRIX, REAL), rcond=1e-9)])
@wants_tensors
def lstsq(x1: V, x2: V, /, rcond: float | None = None) -> LeastSquares:
    """The z that brings ``x1`` z closest to ``x2``, the smallest of them if there are several.

    Shapes as for :func:`solve`, but ``x1`` may be (..., m, n).  ``residuals`` are the squared distances that
    are left, one for each column; ``rank`` counts singular values above ``rcond`` times the largest.

    Raises:
        ValueError: as :func:`pinv`, when a derivative in ``x1`` is asked for.

        >>> import dlcore as dl
        >>> x = dl.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
        >>> [round(v, 4) for v in dl.linalg.lstsq(x, dl.tensor([1.0, 3.0, 5.0])).solution.tolist()]
        [1.0, 2.0]
    """
    x, y, vector = with_columns("lstsq", x1, x2)
    if x.shape[-2] != y.shape[-2]:
        raise ValueError(f"linalg.lstsq: shapes {x1.shape} and {x2.shape} do not fit: "
                         f"{x.shape[-2]} equations, and {y.shape[-2]} rows on the right")
    solution = matmul(pinv(x, rtol=rcond), y)
    rest = matmul(x, solution) - y
    residuals = sum_p(rest * rest, axis=-2, keepdims=False)
    s = svdvals(x)
    large = greater(s, getitem_p(s, index=(Ellipsis, slice(0, 1))) * _cutoff(x, rcond))
    rank = sum_p(large, axis=-1, keepdims=False)
    if vector:
        solution, residuals = squeeze(solution, -1), squeeze(residuals, -1)
    return LeastSquares(solution, residuals, rank, s)
