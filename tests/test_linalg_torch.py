"""PyTorch computes the same in linear algebra: values, gradients and second derivatives, to 1e-9.

Symmetric matrices are made symmetric inside the function, because PyTorch reads one triangle of them; of
what depends on the choice of vectors, functions are compared that do not.
"""

import numpy as np
import pytest

from dlcore import linalg
from tests.second_order import assert_equal_to_second_order

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: nothing to compare with", exc_type=ImportError
)


def both(f):
    """``f(linalg, x, ...)`` here and in PyTorch."""
    return lambda *xs: f(linalg, *xs), lambda *xs: f(torch.linalg, *xs)


def symmetric(x):
    return x + x.mT


def positive(x):
    return x @ x.mT + 0.1 * (x @ x.mT) @ (x @ x.mT)


def low_rank(lib, x):
    u, s, vh = lib.svd(x, full_matrices=False)
    return (u[..., :2] * s[..., None, :2]) @ vh[..., :2, :]


def polar(lib, x):
    u, _, vh = lib.svd(x, full_matrices=False)
    return u @ vh


def spectral(lib, x):
    values, vectors = lib.eigh(symmetric(x))
    return (vectors * (values * values * values)[..., None, :]) @ vectors.mT


def top_projector(lib, x):
    vectors = lib.eigh(symmetric(x))[1][..., -1:]
    return vectors @ vectors.mT


SQUARE, TALL, WIDE = [(2, 4, 4)], [(2, 5, 3)], [(2, 3, 5)]
CASES = {
    "solve": (both(lambda lib, x, y: lib.solve(x, y)), [(4, 4), (4, 2)]),
    "solve a stack": (both(lambda lib, x, y: lib.solve(x, y)), [(2, 1, 4, 4), (3, 4, 2)]),
    "solve for a vector": (both(lambda lib, x, y: lib.solve(x, y)), [(4, 4), (4,)]),
    "inv": (both(lambda lib, x: lib.inv(x)), SQUARE),
    "pinv of tall": (both(lambda lib, x: lib.pinv(x)), TALL),
    "pinv of wide": (both(lambda lib, x: lib.pinv(x)), WIDE),
    "lstsq": (both(lambda lib, x, y: lib.lstsq(x, y)[0]), [(5, 3), (5, 2)]),
    "det": (both(lambda lib, x: lib.det(x)), SQUARE),
    "slogdet": (both(lambda lib, x: lib.slogdet(x)[1]), SQUARE),
    "cholesky": (both(lambda lib, x: lib.cholesky(positive(x))), SQUARE),
    "upper cholesky": (both(lambda lib, x: lib.cholesky(positive(x), upper=True)), SQUARE),
    "q of qr": (both(lambda lib, x: lib.qr(x)[0]), TALL),
    "r of qr": (both(lambda lib, x: lib.qr(x)[1]), TALL),
    "square qr": (both(lambda lib, x: lib.qr(x)[0] * lib.qr(x)[1]), SQUARE),
    "r of wide qr": (both(lambda lib, x: lib.qr(x)[1]), WIDE),
    "eigenvalues": (both(lambda lib, x: lib.eigvalsh(symmetric(x))), SQUARE),
    "a function of the spectrum": (both(spectral), SQUARE),
    "a projector": (both(top_projector), SQUARE),
    "singular values": (both(lambda lib, x: lib.svdvals(x)), TALL),
    "the best rank 2 of tall": (both(low_rank), TALL),
    "the best rank 2 of wide": (both(low_rank), WIDE),
    "the polar factor of tall": (both(polar), TALL),
    "the polar factor of wide": (both(polar), WIDE),
    "matrix_power": (both(lambda lib, x: lib.matrix_power(x, 5)), SQUARE),
    "negative matrix_power": (both(lambda lib, x: lib.matrix_power(x, -2)), SQUARE),
    **{f"matrix norm {o!r}": (both(lambda lib, x, o=o: lib.matrix_norm(x, ord=o)), WIDE)
       for o in ("fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf"))},
    **{f"vector norm {o!r}": (both(lambda lib, x, o=o: lib.vector_norm(x, ord=o)), WIDE)
       for o in (2, 1, 3, 2.5, 0.5, -1, float("inf"), -float("inf"))},
    "norm": (both(lambda lib, x: lib.norm(x)), WIDE),
    "solve_triangular": (
        both(lambda lib, x, y: lib.solve_triangular(x, y, upper=True)), [(3, 4, 4), (3, 4, 2)]),
    "solve_triangular from the right": (
        both(lambda lib, x, y: lib.solve_triangular(x, y, upper=False, left=False)), [(4, 4), (2, 4)]),
    "unitriangular": (
        both(lambda lib, x, y: lib.solve_triangular(x, y, upper=False, unitriangular=True)),
        [(4, 4), (4, 2)]),
    "trace": ((linalg.trace, lambda x: torch.einsum("bii->b", x)), SQUARE),
    "diagonal": (both(lambda lib, x: lib.diagonal(x, offset=-1)), WIDE),
}  # fmt: skip


@pytest.mark.parametrize(("functions", "shapes"), CASES.values(), ids=CASES)
def test_pytorch_agrees(functions, shapes):
    rng = np.random.default_rng(3)
    args = [rng.standard_normal(shape) for shape in shapes]
    args = [x + 3.0 * np.eye(*x.shape[-2:]) if x.ndim > 1 else x for x in args]  # far from singular

    assert_equal_to_second_order(torch, *functions, args)
