"""Systems of linear equations, inverses and powers, on stacks of matrices."""

from __future__ import annotations

from dlcore.core import Binary, Primitive, Unary, V, broadcast_to, operation, sum_to
from dlcore.dispatch import wants_tensors
from dlcore.ops.arithmetic import ones_like
from dlcore.ops.matrices import SQUARES, as_float, as_matrix, main_diagonal, matrix_shape, square_shape
from dlcore.ops.products import matmul
from dlcore.ops.shapes import expand_dims, matrix_transpose, squeeze, tril, triu
from dlcore.samples import MATRIX, REAL, sample
from dlcore.shaping import Shape, broadcast_shapes

# --- systems of equations --------------------------------------------------------------------------


def _system(s: Shape, t: Shape) -> Shape:
    """The shape of a solution: of the right-hand sides, for as many systems as there are together."""
    square_shape(s, "the matrix")
    if matrix_shape(t, "the right-hand side")[-2] != s[-1]:
        raise ValueError(f"shapes {s} and {t} do not fit: {s[-1]} unknowns, and {t[-2]} rows on the right")
    return (*broadcast_shapes(s[:-2], t[:-2]), *t[-2:])


def _solve_matrix(g: V, out: V, x: V, y: V) -> V:
    """-x⁻ᵀ g outᵀ."""
    return sum_to(-matmul(solve_p(matrix_transpose(x), g), matrix_transpose(out)), x.shape)


solve_p: Primitive = Binary(
    "solve", lambda xp, x, y: xp.linalg.solve(x, y), _system,
    (_solve_matrix, lambda g, out, x, y: sum_to(solve_p(matrix_transpose(x), g), y.shape)),
    (lambda t, out, x, y: -solve_p(x, matmul(t, out)),
     lambda t, out, x, y: broadcast_to(solve_p(x, t), out.shape)),
    samples=[sample("n n, n k", (MATRIX, REAL)), sample("b n n, b n k", (MATRIX, REAL)),
             sample("n n, b n k", (MATRIX, REAL)), sample("b n n, 1 n k", (MATRIX, REAL))],
    result="float", reads="out x",
)


def with_columns(name: str, x: V, y: V) -> tuple[V, V, bool]:
    """A system of equations, and whether its right-hand side was one vector; it is a column now."""
    x = as_matrix(name, x)
    if len(y.shape) == 0:
        raise ValueError(f"linalg.{name}: the right-hand side must be a vector or matrices, got shape ()")
    vector = len(y.shape) == 1
    y = as_float(name, y)
    return x, expand_dims(y, -1) if vector else y, vector


@operation([sample("n n, n", (MATRIX, REAL)), sample("b n n, n k", (MATRIX, REAL))])
@wants_tensors
def solve(x1: V, x2: V, /) -> V:
    """The solution z of ``x1`` z = ``x2``.

    ``x1`` is (..., n, n).  ``x2`` is one vector (n,), or matrices (..., n, k); stacks broadcast.

    Raises:
        ValueError: a matrix is singular.

        >>> import dlcore as dl
        >>> dl.linalg.solve(dl.tensor([[2.0, 0.0], [0.0, 4.0]]), dl.tensor([2.0, 2.0])).tolist()
        [1.0, 0.5]
    """
    x, y, vector = with_columns("solve", x1, x2)
    out = solve_p(x, y)
    return squeeze(out, -1) if vector else out


def _triangle(x: V, upper: bool, unitriangular: bool) -> V:
    """The part of ``x`` that is read."""
    return triu(x, int(unitriangular)) if upper else tril(x, -int(unitriangular))


def _back(g: V, x: V, *, upper: bool, unitriangular: bool) -> V:
    return solve_triangular_p(matrix_transpose(x), g, upper=not upper, unitriangular=unitriangular)


solve_triangular_p: Primitive = Primitive(
    "solve_triangular",
    lambda xp, x, y, **how: xp.linalg.solve_triangular(x, y, **how),
    lambda s, t, **how: _system(s, t),  # which takes no parameters
    (lambda g, out, x, y, **how: sum_to(
        _triangle(-matmul(_back(g, x, **how), matrix_transpose(out)), **how), x.shape),
     lambda g, out, x, y, **how: sum_to(_back(g, x, **how), y.shape)),
    (lambda t, out, x, y, **how: -solve_triangular_p(x, matmul(_triangle(t, **how), out), **how),
     lambda t, out, x, y, **how: broadcast_to(solve_triangular_p(x, t, **how), out.shape)),
    samples=[sample("n n, n k", (MATRIX, REAL), upper=True, unitriangular=False),
             sample("b n n, n k", (MATRIX, REAL), upper=False, unitriangular=False),
             sample("n n, b n k", (MATRIX, REAL), upper=False, unitriangular=True)],
    result="float", reads="out x",
)


def triangular_inverse(x: V, y: V, *, transposed: bool = False) -> V:
    """L⁻¹ ``y`` of a lower triangular ``x``, or L⁻ᵀ ``y``."""
    return _back(y, x, upper=False, unitriangular=False) if transposed else solve_triangular_p(
        x, y, upper=False, unitriangular=False)


@operation([sample("n n, n", (MATRIX, REAL), upper=True),
            sample("n n, k n", (MATRIX, REAL), upper=False, left=False),
            sample("b n n, n k", (MATRIX, REAL), upper=True, unitriangular=True)])
@wants_tensors
def solve_triangular(x1: V, x2: V, /, *, upper: bool, left: bool = True, unitriangular: bool = False) -> V:
    """The solution z of ``x1`` z = ``x2``, or without ``left`` of z ``x1`` = ``x2``, for a triangular ``x1``.

    What lies beyond the triangle of ``x1`` is not read; with ``unitriangular`` nor is its diagonal, which
    counts as ones.  ``x2`` is one vector or matrices, as for :func:`solve`.

    Raises:
        ValueError: a matrix is singular: there is a zero on its diagonal.

        >>> import dlcore as dl
        >>> lower = dl.tensor([[2.0, 9.0], [1.0, 1.0]])
        >>> dl.linalg.solve_triangular(lower, dl.tensor([2.0, 3.0]), upper=False).tolist()
        [1.0, 2.0]
    """
    x, y, vector = with_columns("solve_triangular", x1, x2)
    if left:
        out = solve_triangular_p(x, y, upper=upper, unitriangular=unitriangular)
    else:
        rows = y if vector else matrix_transpose(as_matrix("solve_triangular", y))
        out = solve_triangular_p(matrix_transpose(x), rows, upper=not upper, unitriangular=unitriangular)
        out = out if vector else matrix_transpose(out)
    return squeeze(out, -1) if vector else out


# --- inverses ------------------------------------------------------------------------------------------


def _between(x: V, y: V) -> V:
    """-``x`` ``y`` ``x``."""
    return -matmul(matmul(x, y), x)


inv_p: Primitive = Unary(
    "inv", lambda xp, x: xp.linalg.inv(x), square_shape,
    (lambda g, out, x: _between(matrix_transpose(out), g),), (lambda t, out, x: _between(out, t),),
    samples=SQUARES, result="float", reads="out",
)


@wants_tensors
def inv(x: V, /) -> V:
    """The inverse of ``x``.  To solve equations, :func:`solve` is faster and more accurate.

    Raises:
        ValueError: a matrix is singular.

        >>> import dlcore as dl
        >>> dl.linalg.inv(dl.tensor([[2.0, 0.0], [0.0, 4.0]])).tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """
    return inv_p(as_matrix("inv", x))


@operation([sample("n n", MATRIX, n=3), sample("b n n", MATRIX, n=-2), sample("n n", MATRIX, n=1)])
@wants_tensors
def matrix_power(x: V, /, n: int) -> V:
    """The product of ``n`` times ``x``: 0 gives the identity, a negative number powers of the inverse.

    Raises:
        ValueError: ``n`` is negative and a matrix singular.

        >>> import dlcore as dl
        >>> dl.linalg.matrix_power(dl.tensor([[1, 1], [1, 0]]), 10).tolist()
        [[89.0, 55.0], [55.0, 34.0]]
    """
    if not isinstance(n, int):
        raise TypeError(f"linalg.matrix_power: the exponent must be an integer, got {n!r}")
    x = as_matrix("matrix_power", x)
    square_shape(x.shape, "linalg.matrix_power: x")
    if n == 0:
        return main_diagonal(ones_like(x))
    x, n, out = (inv_p(x), -n, None) if n < 0 else (x, n, None)
    while n:
        if n % 2:
            out = x if out is None else matmul(out, x)
        x, n = (matmul(x, x), n // 2) if n > 1 else (x, 0)
    return out
