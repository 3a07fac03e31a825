"""Determinants, whose derivative is the matrix of cofactors: right at singular matrices as well."""

from __future__ import annotations

from typing import Any, NamedTuple

from dlcore.core import Array, Primitive, Unary, V
from dlcore.dispatch import wants_tensors
from dlcore.ops.arithmetic import zeros_like
from dlcore.ops.matrices import SQUARES, as_matrix, square_shape
from dlcore.ops.products import matmul
from dlcore.ops.reductions import sum_p
from dlcore.ops.shapes import expand_dims, matrix_transpose
from dlcore.ops.solving import inv_p
from dlcore.samples import MATRIX, REAL, sample
from dlcore.shaping import Shape


def inner(x: V, y: V) -> V:
    """The inner product of matrices, (..., 1, 1)."""
    return sum_p(x * y, axis=(-2, -1), keepdims=True)


# --- cofactors ------------------------------------------------------------------------------------


def _bases(xp: Any, x: Array) -> tuple[Array, Array, Array, Array]:
    """u, s and v of ``x``, and the determinant of u v, (..., 1, 1), which is 1 or -1."""
    u, s, v = xp.linalg.svd(x, full_matrices=False)
    turned = xp.linalg.det(u) * xp.linalg.det(v)
    return u, s, v, xp.round(xp.asarray(turned))[..., None, None]


def _products_of_others(xp: Any, s: Array, some: Array, left_out: Array) -> Array:
    """The product of all ``s`` but some: theirs is ``some``, zeros aside, of which there are ``left_out``."""
    zero = s == 0
    product = xp.prod(xp.where(zero, xp.ones_like(s), s), axis=-1, keepdims=True)
    zeros = xp.sum(zero, axis=-1, keepdims=True)
    if some.ndim > s.ndim:
        product, zeros = product[..., None], zeros[..., None]
    return xp.where(zeros == left_out, product / some, xp.zeros_like(some))


def _cofactor(xp: Any, x: Array) -> Array:
    """With x = u diag(s) v: det(u v) u diag(the products of all s but one) v."""
    u, s, v, turned = _bases(xp, x)
    zero = s == 0
    products = _products_of_others(xp, s, xp.where(zero, xp.ones_like(s), s), xp.astype(zero, "int64"))
    return turned * xp.matmul(u * products[..., None, :], v)


def _cofactor_slope(xp: Any, x: Array, t: Array) -> Array:
    """The derivative of the cofactors in the direction ``t``: det(u v) u M v.

    With q the products of all s but two, and T = uᵀ t vᵀ, M has on its diagonal the sums over j of
    q_ij T_jj, and beside it -q_ij T_ji.
    """
    u, s, v, turned = _bases(xp, x)
    n = s.shape[-1]
    eye = xp.eye(n, dtype=x.dtype)
    zero = s == 0
    full, count = xp.where(zero, xp.ones_like(s), s), xp.astype(zero, "int64")
    pairs = full[..., None, :] * full[..., :, None]
    products = _products_of_others(xp, s, pairs, count[..., None, :] + count[..., :, None]) * (1 - eye)
    inside = xp.matmul(xp.matmul(u.mT, t), v.mT)
    diagonal = xp.matmul(products, xp.sum(inside * eye, axis=-1, keepdims=True))
    middle = eye * diagonal - products * inside.mT
    return turned * xp.matmul(xp.matmul(u, middle), v)


def _third(g: V, out: V, x: V, t: V) -> V:
    """The gradient in x of ⟨g, slope(x, t)⟩, of a matrix that is not singular.

    With B = x⁻ᵀ the slope is d (⟨B, t⟩ B - B tᵀ B), where d is the determinant.
    """
    b, d = matrix_transpose(inv_p(x)), expand_dims(det_p(x), (-2, -1))
    bt, bg = matmul(b, matrix_transpose(t)), matmul(b, matrix_transpose(g))
    btb, bgb = matmul(bt, b), matmul(bg, b)
    along_t, along_g = inner(b, t), inner(b, g)
    return d * ((along_t * along_g - inner(btb, g)) * b - along_g * btb - along_t * bgb
                + matmul(bt, bgb) + matmul(bg, btb))


cofactor_slope_p: Primitive = Primitive(
    "cofactor_slope", _cofactor_slope, lambda s, t: square_shape(s),
    (_third, lambda g, out, x, t: cofactor_slope_p(x, g)),
    (_third, lambda d, out, x, t: cofactor_slope_p(x, d)),  # every derivative of det is symmetric
    samples=[sample("2 2, 2 2", (MATRIX, REAL)), sample("b 3 3, b 3 3", (MATRIX, REAL))],  # of 1 x 1 it is 0
    result="float", reads="x t",
)
cofactor_p: Primitive = Unary(
    "cofactor", _cofactor, square_shape,
    (lambda g, out, x: cofactor_slope_p(x, g),), (lambda t, out, x: cofactor_slope_p(x, t),),
    samples=SQUARES, result="float", reads="x",
)

# --- determinants ------------------------------------------------------------------------------------

det_p: Primitive = Unary(
    "det", lambda xp, x: xp.linalg.det(x), lambda s: square_shape(s)[:-2],
    (lambda g, out, x: expand_dims(g, (-2, -1)) * cofactor_p(x),),
    (lambda t, out, x: sum_p(t * cofactor_p(x), axis=(-2, -1), keepdims=False),),
    samples=SQUARES, result="float", reads="x",
)


@wants_tensors
def det(x: V, /) -> V:
    """The determinant of each matrix in ``x``.

    First and second derivatives are right at singular matrices too; further ones need an inverse.

        >>> import dlcore as dl
        >>> dl.grad(dl.linalg.det)(dl.tensor([[2.0, 0.0], [0.0, 0.0]]))[1, 1].item()
        2.0
    """
    return det_p(as_matrix("det", x))


class SlogDet(NamedTuple):
    """The sign of a determinant, and the logarithm of its absolute value."""

    sign: V
    logabsdet: V


def _slogdet_shape(s: Shape) -> tuple[Shape, Shape]:
    return square_shape(s)[:-2], s[:-2]


def _slogdet_vjp(g: tuple[V | None, V | None], out: SlogDet, x: V) -> V:
    return zeros_like(x) if g[1] is None else expand_dims(g[1], (-2, -1)) * matrix_transpose(inv_p(x))


def _slogdet_jvp(t: V, out: SlogDet, x: V) -> tuple[V, V]:
    slope = sum_p(matrix_transpose(inv_p(x)) * t, axis=(-2, -1), keepdims=False)
    return zeros_like(slope), slope


slogdet_p: Primitive = Primitive(
    "slogdet", lambda xp, x: xp.linalg.slogdet(x), _slogdet_shape, (_slogdet_vjp,), (_slogdet_jvp,),
    samples=SQUARES, result="float", reads="x", outputs=SlogDet._make,
)


@wants_tensors
def slogdet(x: V, /) -> SlogDet:
    """The sign of the determinant of each matrix, and the logarithm of its absolute value.

    Of a singular matrix they are 0 and -inf, and there is no derivative.

        >>> import dlcore as dl
        >>> sign, logabsdet = dl.linalg.slogdet(dl.tensor([[0.0, 1.0], [1.0, 0.0]]))
        >>> sign.item(), logabsdet.item()
        (-1.0, 0.0)
    """
    return slogdet_p(as_matrix("slogdet", x))
