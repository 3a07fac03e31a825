"""``xp.linalg``: the same on every backend, whose libraries differ in what they take and what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from backends.dtypes import float16, float32
from backends.errors import MatrixError
from dlcore.testing.strategies import SEEDS
from tests import fake_cupy
from tests.backend_laws import on_every_backend

RNG = np.random.default_rng(0)
A = RNG.standard_normal((2, 3, 3)) + 3 * np.eye(3)
B = RNG.standard_normal((3, 2))
SYMMETRIC = A + A.swapaxes(-1, -2)


def host(backend, result):
    return [backend.to_host(x) for x in (result if isinstance(result, tuple) else (result,))]


CALLS = {
    "solve": (lambda la, a, b: la.solve(a, b), np.linalg.solve),
    "solve one for all": (lambda la, a, b: la.solve(a[0, ...], b), lambda a, b: np.linalg.solve(a[0], b)),
    "inv": (lambda la, a, b: la.inv(a), lambda a, b: np.linalg.inv(a)),
    "det": (lambda la, a, b: la.det(a), lambda a, b: np.linalg.det(a)),
    "slogdet": (lambda la, a, b: la.slogdet(a), lambda a, b: np.linalg.slogdet(a)),
    "upper": (lambda la, a, b: la.solve_triangular(a, b, upper=True, unitriangular=False),
              lambda a, b: np.linalg.solve(np.triu(a), b)),
    "unit lower": (lambda la, a, b: la.solve_triangular(a, b, upper=False, unitriangular=True),
                   lambda a, b: np.linalg.solve(np.tril(a, -1) + np.eye(3), b)),
    "one lower": (lambda la, a, b: la.solve_triangular(a[0, ...], b, upper=False, unitriangular=False),
                  lambda a, b: np.linalg.solve(np.tril(a[0]), b)),
    "cholesky": (lambda la, a, b: la.cholesky(a), lambda a, b: np.linalg.cholesky((a + a.mT) / 2)),
    "eigenvalues": (lambda la, a, b: la.eigh(a)[0], lambda a, b: np.linalg.eigvalsh((a + a.mT) / 2)),
    "singular values": (lambda la, a, b: la.svd(a, full_matrices=False)[1],
                        lambda a, b: np.linalg.svdvals(a)),
    "r": (lambda la, a, b: la.qr(a)[1], lambda a, b: np.linalg.qr(a).R),
}  # fmt: skip


@on_every_backend
@pytest.mark.parametrize(("ours", "theirs"), CALLS.values(), ids=CALLS)
def test_every_backend_computes_what_numpy_does(backend, ours, theirs):
    found = host(backend, ours(backend.linalg, backend.from_host(A), backend.from_host(B)))

    expected = theirs(A, B)
    for x, y in zip(found, expected if isinstance(expected, tuple) else (expected,), strict=True):
        assert_allclose(x, y, rtol=1e-12, atol=1e-12)


@on_every_backend
@pytest.mark.parametrize("ours", [f for f, _ in CALLS.values()], ids=CALLS)
def test_halves_are_computed_in_float32_and_come_back_as_halves(backend, ours):
    if not backend.supports(float16):
        return
    half = A.astype("float16"), B.astype("float16")

    found = host(backend, ours(backend.linalg, *map(backend.from_host, half)))
    wide = host(backend, ours(backend.linalg, *(backend.from_host(x.astype("float32")) for x in half)))

    for x, y in zip(found, wide, strict=True):
        assert x.dtype == "float16"
        assert y.dtype == "float32"
        assert_allclose(x, y.astype("float16"))


@on_every_backend
@given(seed=SEEDS, size=st.sampled_from([(3, 3), (5, 3), (3, 5), (2, 4, 4)]))
def test_vectors_have_the_signs_that_they_have_on_the_cpu(backend, seed, size):
    x = np.random.default_rng(seed).standard_normal(size)
    flipped = backend.from_host(x)

    u, s, v = host(backend, backend.linalg.svd(flipped, full_matrices=False))

    along = 1 / (1 + 0.377 * np.arange(u.shape[-2]))
    assert (along @ u >= 0).all()
    assert_allclose((u * s[..., None, :]) @ v, x, atol=1e-12)


@on_every_backend
@given(seed=SEEDS, cut=st.integers(0, 3))
def test_a_repeated_value_gets_another_basis_of_the_same_space(backend, seed, cut):
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((4, 4)))[0]
    x = (q * (np.arange(4) >= cut)) @ q.T

    values, vectors = host(backend, backend.linalg.eigh(backend.from_host(x)))
    u, s, v = host(backend, backend.linalg.svd(backend.from_host(x), full_matrices=False))

    assert_allclose((vectors * values) @ vectors.T, x, atol=1e-13)
    assert_allclose(vectors.T @ vectors, np.eye(4), atol=1e-13)
    assert_allclose((u * s) @ v, x, atol=1e-13)
    assert_allclose(u.T @ u, np.eye(4), atol=1e-13)
    assert_allclose(v @ v.T, np.eye(4), atol=1e-13)


WRONG = {
    "solve: the matrix is singular": lambda la, x: la.solve(x, x),
    "inv: the matrix is singular": lambda la, x: la.inv(x),
    "solve_triangular: the matrix is singular":
        lambda la, x: la.solve_triangular(x - 1.0, x, upper=True, unitriangular=False),
    "cholesky: the matrix is not positive definite": lambda la, x: la.cholesky(x - 3.0),
}  # fmt: skip


@on_every_backend
@pytest.mark.parametrize(("complaint", "f"), WRONG.items(), ids=WRONG)
@pytest.mark.parametrize("stack", [(), (2,)])
def test_a_wrong_matrix_raises_at_the_latest_where_a_value_is_read(backend, complaint, f, stack):
    x = backend.from_host(np.broadcast_to(np.ones((2, 2)), (*stack, 2, 2)))

    with pytest.raises(MatrixError, match=complaint):
        backend.to_host(f(backend.linalg, x))
    backend.synchronize()  # which raises it no second time


@on_every_backend
def test_what_is_demanded_raises_at_the_latest_where_a_value_is_read(backend):
    right, wrong = (backend.from_host(np.array(x)) for x in ([False, False], [False, True]))

    def demanded(condition):
        backend.linalg.demand(condition, "no derivative")
        backend.synchronize()

    demanded(right)
    with pytest.raises(MatrixError, match="no derivative"):
        demanded(wrong)


@pytest.fixture
def card():
    return fake_cupy.load()


@fake_cupy.needs_compiler
def test_a_card_is_not_waited_for(card):
    x = card.from_host(np.ones((2, 2), "float32"))

    card.linalg.inv(x)
    card.linalg.demand(card.from_host(np.array(True)), "something else")

    assert len(card.linalg.found) == 2
    with pytest.raises(MatrixError, match="inv: the matrix is singular; noticed only now"):
        card.synchronize()
    assert not card.linalg.found


@fake_cupy.needs_compiler
def test_infinities_that_came_in_are_no_singular_matrix(card):
    card.linalg.inv(card.from_host(np.array([[np.inf, 0.0], [0.0, 1.0]])))

    card.synchronize()


@on_every_backend
def test_a_generic_direction_is_made_once(backend):
    like = backend.zeros((2, 2), float32)

    assert backend.linalg._direction(3, like) is backend.linalg._direction(3, like)
