"""Spectra: eigenvalues and eigenvectors of symmetric matrices, singular values and vectors.

The bases of eigen- and singular vectors are fixed only up to signs, and up to rotations among vectors of
one value.  A function of the matrix that does not depend on this choice has a derivative; its cotangents
have a certain form then, and the rules insist on it: with C the places of one repeated value,

* the cotangents of the values are equal in C, because a function of values that prefers one of two equal
  ones has a kink;
* what the vectors' cotangents say of rotations in C is 0, because to rotate them changes nothing.

A function such as U f(Λ) Uᵀ keeps the second, and has a derivative that its cotangents do not tell: the
slope of f at a repeated value is not among them.  It breaks the first, because ``backends.linalg`` chooses
the basis so that the diagonal of no matrix is constant in C, unless it is a multiple of the identity there.
Whatever breaks either is an error that says so, and so is a tangent, in forward mode, that would split a
repeated value.
"""

from __future__ import annotations

from typing import NamedTuple

from dlcore.core import Primitive, V, broadcast_to, operation
from dlcore.dispatch import wants_tensors
from dlcore.ops.arithmetic import absolute, less_equal, logical_and, logical_or, where, zeros_like
from dlcore.ops.indexing import getitem_p
from dlcore.ops.matrices import (
    SQUARES,
    as_matrix,
    checked,
    epsilon,
    exceeds,
    main_diagonal,
    matrix_shape,
    skew,
    square_shape,
    symmetric,
)
from dlcore.ops.products import matmul
from dlcore.ops.reductions import any_p, sum_p
from dlcore.ops.shapes import expand_dims, matrix_transpose
from dlcore.samples import MATRIX, sample
from dlcore.shaping import Shape

FEW = "docs/linalg.md says what has a derivative there"

# --- what must hold for there to be a derivative -----------------------------------------------------


clusters_p: Primitive = Primitive(
    "clusters", lambda xp, x: xp.linalg.clusters(x), lambda s: (*s, s[-1]), result="bool",
)
"""Which of the ordered values are too close to tell apart."""


def diagonal_matrix(x: V) -> V:
    """Matrices with ``x`` on the diagonal."""
    return main_diagonal(broadcast_to(expand_dims(x, -2), (*x.shape, x.shape[-1])))


def indifferent(x: V, cluster: V, change: V, like: V, complaint: str) -> V:
    """``x``; but an error unless each cluster's block of ``change`` is a multiple of the identity."""
    diagonal = main_diagonal(change)
    levels = sum_p(diagonal, axis=-1, keepdims=True)
    unequal = logical_or(exceeds(change - diagonal, like), exceeds(levels - matrix_transpose(levels), like))
    return checked(x, logical_and(cluster, unequal), complaint)


def spread(values: V) -> V:
    """Row i, column j: value j less value i."""
    return expand_dims(values, -2) - expand_dims(values, -1)


def inverse(x: V, zero: V) -> V:
    """``1 / x``, and 0 where ``zero``."""
    return where(zero, 0.0, 1.0 / where(zero, 1.0, x))


# --- eigenvalues --------------------------------------------------------------------------------------


class Eigh(NamedTuple):
    """Eigenvalues in ascending order, and eigenvectors as columns."""

    eigenvalues: V
    eigenvectors: V


REPEATED = ("eigh: no derivative can be told at a repeated eigenvalue (a gap below 10 epsilon of the "
            "largest): the result depends on which of its eigenvectors are chosen, or by more than equal "
            "weights on equal eigenvalues; " + FEW)
SPLIT = ("eigh: forward mode cannot tell what becomes of a repeated eigenvalue (a gap below 10 epsilon of "
         "the largest) that the tangent splits; use reverse mode, such as dl.grad; " + FEW)


def _eigh_vjp(g: tuple[V | None, V | None], out: Eigh, x: V) -> V:
    """U (diag(gΛ) + (Uᵀ gU - gUᵀ U) / 2 / (λj - λi)) Uᵀ, with 0 for 0 / 0."""
    (gw, gu), (w, u) = g, out
    ut, cluster = matrix_transpose(u), clusters_p(w)
    middle = None
    if gu is not None:
        free = matmul(ut, gu)
        turn = skew(free) * 0.5
        turn = indifferent(turn, cluster, turn, free, REPEATED)
        middle = matmul(u, turn * inverse(spread(w), cluster))
    if gw is not None:
        levels = expand_dims(gw, -2)
        placed = diagonal_matrix(gw)
        scaled = indifferent(u * levels, cluster, placed, placed, REPEATED)
        middle = scaled if middle is None else middle + scaled
    return symmetric(matmul(middle, ut))


def _eigh_jvp(t: V, out: Eigh, x: V) -> tuple[V, V]:
    """With S = Uᵀ t U: dΛ is its diagonal, dU = U (S / (λj - λi))."""
    w, u = out
    cluster = clusters_p(w)
    inner = matmul(matmul(matrix_transpose(u), symmetric(t)), u)
    inner = indifferent(inner, cluster, inner, inner, SPLIT)
    return (sum_p(main_diagonal(inner), axis=-1, keepdims=False),
            matmul(u, inner * inverse(spread(w), cluster)))


eigh_p: Primitive = Primitive(
    "eigh", lambda xp, x: xp.linalg.eigh(x), lambda s: (square_shape(s)[:-1], s),
    (_eigh_vjp,), (_eigh_jvp,), samples=SQUARES, result="float", reads="out", outputs=Eigh._make,
)


@wants_tensors
def eigh(x: V, /) -> Eigh:
    """Eigenvalues, ascending, and orthonormal eigenvectors of the symmetric part of ``x``.

    Signs are fixed, the same on every backend.  To a repeated eigenvalue belong many bases; the one returned
    stands at an angle to the axes.

    Raises:
        ValueError: the result has no derivative there, when one is asked for: see docs/linalg.md.

        >>> import dlcore as dl
        >>> values, vectors = dl.linalg.eigh(dl.tensor([[2.0, 1.0], [1.0, 2.0]]))
        >>> [round(v, 5) for v in values.tolist()]
        [1.0, 3.0]
    """
    return eigh_p(as_matrix("eigh", x))


@operation([sample("n n", MATRIX), sample("b n n", MATRIX)])
@wants_tensors
def eigvalsh(x: V, /) -> V:
    """The eigenvalues, ascending, of the symmetric part of ``x``.

        >>> import dlcore as dl
        >>> [round(v, 4) for v in dl.linalg.eigvalsh(dl.tensor([[2.0, 1.0], [1.0, 2.0]])).tolist()]
        [1.0, 3.0]
    """
    return eigh(x).eigenvalues


# --- singular values ------------------------------------------------------------------------------------


class SVD(NamedTuple):
    """Left singular vectors as columns, singular values in descending order, right ones as rows."""

    U: V
    S: V
    Vh: V


KINK = ("svd: no derivative can be told where a singular value is 0, or repeated (a gap below 10 epsilon of "
        "the largest): it has a kink at 0, and the result depends on that, or on which of the vectors are "
        "chosen, or by more than equal weights on equal values; " + FEW)
SPLIT_SVD = ("svd: forward mode cannot tell what becomes of a singular value that is 0, or that is repeated "
             "and that the tangent splits; use reverse mode, such as dl.grad; " + FEW)


class Gaps(NamedTuple):
    """What the rules of svd divide by, and where they must not."""

    cluster: V  # (..., k, k): values i and j are equal, or both are 0
    both_zero: V
    zero: V  # (..., 1, k)
    over_difference: V
    over_sum: V
    over_value: V  # (..., 1, k)


def _gaps(s: V, x: V) -> Gaps:
    m, n = x.shape[-2:]
    row, column = expand_dims(s, -2), expand_dims(s, -1)
    largest = getitem_p(row, index=(Ellipsis, slice(0, 1)))
    zero = less_equal(row, largest * (max(10, m, n) * epsilon(s)))
    both_zero = logical_and(zero, less_equal(column, largest * (max(10, m, n) * epsilon(s))))
    cluster = logical_or(clusters_p(s), both_zero)
    return Gaps(cluster, both_zero, zero, inverse(spread(s), cluster), inverse(row + column, both_zero),
                inverse(row, zero))


def _reduced(x: V, full_matrices: bool) -> None:
    if full_matrices and x.shape[-2] != x.shape[-1]:
        raise ValueError(f"svd: no derivative with full_matrices=True for shape {x.shape}: the further "
                         "vectors are arbitrary; pass full_matrices=False")


def _outside(basis: V, g: V, inner: V, gaps: Gaps, complaint: str) -> V:
    """What of ``g`` leaves the span of ``basis``, over the singular values."""
    rest = g - matmul(basis, inner)
    return checked(rest, logical_and(gaps.zero, exceeds(rest, g)), complaint) * gaps.over_value


def _moved(g: V) -> V:
    """Which columns have a cotangent, (..., 1, k)."""
    return any_p(exceeds(g, g), axis=-2, keepdims=True)


def _svd_vjp(g: tuple[V | None, V | None, V | None], out: SVD, x: V, *, full_matrices: bool) -> V:
    """U (diag(gS) + ((J + K) / (sj - si) + (J - K) / (sj + si)) / 2) Vᵀ, and what leaves the spans.

    J = Uᵀ gU - gUᵀ U and K = Vᵀ gV - gVᵀ V, and 0 stands for 0 / 0.
    """
    _reduced(x, full_matrices)
    (gu, gs, gvh), (u, s, vh) = g, out
    v, gv = matrix_transpose(vh), None if gvh is None else matrix_transpose(gvh)
    gaps = _gaps(s, x)
    middle = diagonal_matrix(zeros_like(s) if gs is None else gs)
    if gs is not None:
        kinked = logical_and(gaps.both_zero, exceeds(middle, middle))
        middle = checked(indifferent(middle, gaps.cluster, middle, middle, KINK), kinked, KINK)
    free_u = None if gu is None else matmul(matrix_transpose(u), gu)
    free_v = None if gv is None else matmul(vh, gv)
    if free_u is not None or free_v is not None:
        j, k = (0.0 if free is None else skew(free) for free in (free_u, free_v))
        size = sum(absolute(free) for free in (free_u, free_v) if free is not None)
        together = indifferent(j + k, gaps.cluster, j + k, size, KINK)
        apart = checked(j - k, logical_and(gaps.both_zero, exceeds(j - k, size)), KINK)
        middle = middle + (together * gaps.over_difference + apart * gaps.over_sum) * 0.5
    total = matmul(matmul(u, middle), vh)
    if gu is not None and gv is not None:  # u and v of the value 0 have signs of their own
        total = checked(total, logical_and(gaps.zero, logical_and(_moved(gu), _moved(gv))), KINK)
    if gu is not None and u.shape[-2] > s.shape[-1]:
        total = total + matmul(_outside(u, gu, free_u, gaps, KINK), vh)
    if gv is not None and v.shape[-2] > s.shape[-1]:
        total = total + matmul(u, matrix_transpose(_outside(v, gv, free_v, gaps, KINK)))
    return total


def _svd_jvp(t: V, out: SVD, x: V, *, full_matrices: bool) -> tuple[V, V, V]:
    """DS is the diagonal of T = Uᵀ t V, dU = U (A + B) / 2, dV = V (A - B) / 2, and what leaves the spans.

    A = (T + Tᵀ) / (sj - si) and B = (T - Tᵀ) / (sj + si), and 0 stands for 0 / 0.
    """
    _reduced(x, full_matrices)
    u, s, vh = out
    v, gaps = matrix_transpose(vh), _gaps(s, x)
    inner = matmul(matmul(matrix_transpose(u), t), v)
    inner = indifferent(inner, gaps.cluster, symmetric(inner), inner, SPLIT_SVD)
    inner = checked(inner, logical_and(gaps.both_zero, exceeds(inner, t)), SPLIT_SVD)
    a = symmetric(inner) * gaps.over_difference
    b = skew(inner) * gaps.over_sum * 0.5
    du, dv = matmul(u, a + b), matmul(v, a - b)
    if u.shape[-2] > s.shape[-1]:
        du = du + _outside(u, matmul(t, v), inner, gaps, SPLIT_SVD)
    if v.shape[-2] > s.shape[-1]:
        dv = dv + _outside(v, matmul(matrix_transpose(t), u), matrix_transpose(inner), gaps, SPLIT_SVD)
    return du, sum_p(main_diagonal(inner), axis=-1, keepdims=False), matrix_transpose(dv)


def _svd_shape(s: Shape, *, full_matrices: bool) -> tuple[Shape, Shape, Shape]:
    *stack, m, n = matrix_shape(s)
    k = min(m, n)
    return (*stack, m, m if full_matrices else k), (*stack, k), (*stack, n if full_matrices else k, n)


svd_p: Primitive = Primitive(
    "svd", lambda xp, x, *, full_matrices: xp.linalg.svd(x, full_matrices=full_matrices), _svd_shape,
    (_svd_vjp,), (_svd_jvp,),
    samples=[sample("n n", MATRIX, full_matrices=True), sample("3 n", MATRIX, full_matrices=False),
             sample("b n 3", MATRIX, full_matrices=False)],
    result="float", reads="out", outputs=SVD._make,
)


@wants_tensors
def svd(x: V, /, *, full_matrices: bool = True) -> SVD:
    """``U``, ``S`` and ``Vh`` with ``x`` = U diag(S) Vh: orthonormal vectors, and values in descending order.

    Of a matrix (m, n), with k the smaller of m and n, S is (k,).  U is (m, m) and Vh (n, n), or without
    ``full_matrices`` (m, k) and (k, n); only then a matrix that is not square has derivatives.

    Raises:
        ValueError: the result has no derivative there, when one is asked for: see docs/linalg.md.

        >>> import dlcore as dl
        >>> u, s, vh = dl.linalg.svd(dl.tensor([[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]]), full_matrices=False)
        >>> s.tolist(), u.shape
        ([2.0, 1.0], (3, 2))
    """
    return svd_p(as_matrix("svd", x), full_matrices=full_matrices)


@operation([sample("3 n", MATRIX), sample("b n n", MATRIX)])
@wants_tensors
def svdvals(x: V, /) -> V:
    """The singular values of ``x``, in descending order.

        >>> import dlcore as dl
        >>> dl.linalg.svdvals(dl.tensor([[3.0, 0.0], [0.0, -4.0]])).tolist()
        [4.0, 3.0]
    """
    return svd(x, full_matrices=False).S
