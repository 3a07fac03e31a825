"""Linear algebra keeps its laws, on every backend; what it cannot take, it refuses in words."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import dlcore as dl
from dlcore import linalg
from dlcore.testing import check_grads
from dlcore.testing.strategies import SEEDS
from tests.devices import settled

STACKS = st.sampled_from([(), (2,), (2, 1)])
SIZES = st.integers(1, 4)
CLOSE = {"rtol": 1e-9, "atol": 1e-9}  # float64 on matrices of condition below 1e5


def drawn(data, *sizes):
    """A stack of random matrices in float64."""
    shape = data.draw(STACKS) + tuple(data.draw(SIZES) if n is None else n for n in sizes)
    return dl.tensor(np.random.default_rng(data.draw(SEEDS)).standard_normal(shape))


def squares(data):
    n = data.draw(SIZES)
    return drawn(data, n, n) + 0.01 * dl.eye(n, dtype="float64")


def close(found, expected):
    assert_allclose(found.numpy(), expected.numpy(), **CLOSE)


def eye_like(x):
    return dl.broadcast_to(dl.eye(x.shape[-1], dtype=x.dtype), x.shape)


# --- laws -----------------------------------------------------------------------------------------


@given(data=st.data())
def test_solve_undoes_multiplication_whatever_broadcasts(backend, data):
    a = squares(data)
    x = drawn(data, a.shape[-1], None)
    a = a if len(a.shape) == 2 or len(x.shape) == 2 else a[:1]

    close(a @ linalg.solve(a, a @ x), a @ x)


@given(data=st.data())
def test_solve_takes_one_vector_for_all_matrices(backend, data):
    a = squares(data)
    x = drawn(data, a.shape[-1])
    x = x if len(x.shape) == 1 else x.reshape(-1)[: a.shape[-1]]

    close(dl.einsum("...ij,...j->...i", a, linalg.solve(a, x)), dl.broadcast_to(x, a.shape[:-1]))


@given(data=st.data())
def test_the_inverse_is_one_from_both_sides(backend, data):
    a = squares(data) + 3.0 * dl.eye(1, dtype="float64")
    a = a @ a.mT + eye_like(a)

    close(a @ linalg.inv(a), eye_like(a))
    close(linalg.inv(a) @ a, eye_like(a))


@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("unitriangular", [True, False])
@given(data=st.data())
def test_triangular_systems_are_solved_from_either_side(backend, upper, unitriangular, data):
    a = squares(data)
    a = a + dl.where(a > 0, 1.0, -1.0)  # far from 0
    b = drawn(data, a.shape[-1], 2).reshape(-1)[: 2 * a.shape[-1]].reshape(a.shape[-1], 2)
    t = dl.triu(a) if upper else dl.tril(a)
    if unitriangular:
        t = t - dl.tril(dl.triu(t)) + eye_like(t)
    how = {"upper": upper, "unitriangular": unitriangular}

    close(t @ linalg.solve_triangular(a, b, **how), dl.broadcast_to(b, (*a.shape[:-2], *b.shape)))
    close(linalg.solve_triangular(a, b.mT, left=False, **how) @ t,
          dl.broadcast_to(b.mT, (*a.shape[:-2], *b.mT.shape)))


@given(data=st.data())
def test_cholesky_factors_multiply_to_the_matrix(backend, data):
    a = squares(data)
    a = a @ a.mT + eye_like(a)

    lower, upper = linalg.cholesky(a), linalg.cholesky(a, upper=True)

    close(lower @ lower.mT, a)
    close(upper, lower.mT)
    close(dl.tril(lower), lower)


@given(data=st.data())
def test_q_has_orthonormal_columns_and_r_is_a_triangle(backend, data):
    a = drawn(data, None, None)

    q, r = linalg.qr(a)

    close(q @ r, a)
    close(q.mT @ q, eye_like(q.mT @ q))
    close(dl.triu(r), r)


@given(data=st.data())
def test_eigenvectors_are_orthonormal_and_scaled_by_their_eigenvalues(backend, data):
    a = squares(data)
    a = a + a.mT

    values, vectors = linalg.eigh(a)

    close(a @ vectors, vectors * dl.expand_dims(values, -2))
    close(vectors.mT @ vectors, eye_like(a))
    close(values, dl.sort(values))
    close(linalg.eigvalsh(a), values)


@pytest.mark.parametrize("full", [True, False])
@given(data=st.data())
def test_singular_vectors_and_values_multiply_to_the_matrix(backend, full, data):
    a = drawn(data, None, None)

    u, s, vh = linalg.svd(a, full_matrices=full)

    k = s.shape[-1]
    close((u[..., :k] * dl.expand_dims(s, -2)) @ vh[..., :k, :], a)
    close(u.mT @ u, eye_like(u.mT @ u))
    close(vh @ vh.mT, eye_like(vh @ vh.mT))
    close(s, dl.sort(s, descending=True))
    close(linalg.svdvals(a), s)


@given(data=st.data())
def test_the_determinant_of_a_product_is_the_product_of_determinants(backend, data):
    a = squares(data)
    b = a.mT + eye_like(a)

    close(linalg.det(a @ b), linalg.det(a) * linalg.det(b))
    sign, logabsdet = linalg.slogdet(a)
    close(sign * dl.exp(logabsdet), linalg.det(a))


@given(data=st.data())
def test_the_pseudo_inverse_keeps_the_four_conditions_of_penrose(backend, data):
    a = drawn(data, None, None)
    a = dl.concat([a, a[..., :1]], -1)  # never of full column rank
    p = linalg.pinv(a, rtol=1e-9)

    close(a @ p @ a, a)
    assert_allclose((p @ a @ p - p).numpy() / (1 + dl.max(dl.abs(p)).item()), 0.0, atol=1e-7)
    assert_allclose((a @ p - (a @ p).mT).numpy(), 0.0, atol=1e-6)  # the condition may be 1e5, squared
    assert_allclose((p @ a - (p @ a).mT).numpy(), 0.0, atol=1e-6)


def test_least_squares_leave_a_rest_that_is_orthogonal_to_the_columns(backend):
    rng = np.random.default_rng(0)
    a, b = dl.tensor(rng.standard_normal((2, 5, 3))), dl.tensor(rng.standard_normal((5, 2)))

    solution, residuals, rank, s = linalg.lstsq(a, b)

    rest = a @ solution - b
    assert_allclose((a.mT @ rest).numpy(), 0.0, atol=1e-12)
    close(residuals, dl.sum(rest * rest, axis=-2))
    close(s, linalg.svdvals(a))
    assert rank.tolist() == [3, 3]
    assert linalg.lstsq(a, b[:, 0]).solution.shape == (2, 3)
    close(linalg.lstsq(a, b[:, 0]).residuals, residuals[:, 0])


def test_the_rank_of_least_squares_does_not_count_dependent_columns(backend):
    a = dl.tensor([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])

    found = linalg.lstsq(a, dl.tensor([1.0, 2.0, 3.0]))

    assert found.rank.item() == 1
    assert_allclose(found.solution.numpy(), [0.2, 0.4], rtol=1e-5)  # the smallest solution; float32


@pytest.mark.parametrize("n", range(-3, 6))
def test_a_power_is_a_repeated_product(backend, n):
    a = dl.tensor(np.random.default_rng(1).standard_normal((2, 3, 3)) + 3 * np.eye(3))

    close(linalg.matrix_power(a, n), dl.tensor(np.linalg.matrix_power(a.numpy(), n)))


# --- dtypes, nothing, and what is refused -------------------------------------------------------------

CALLS = {
    "cholesky": linalg.cholesky, "det": linalg.det, "eigh": linalg.eigh, "eigvalsh": linalg.eigvalsh,
    "inv": linalg.inv, "matrix_norm": linalg.matrix_norm, "norm": linalg.norm, "pinv": linalg.pinv,
    "qr": linalg.qr, "slogdet": linalg.slogdet, "svd": linalg.svd, "svdvals": linalg.svdvals,
    "matrix_power": lambda x: linalg.matrix_power(x, 2), "solve": lambda x: linalg.solve(x, x),
    "solve_triangular": lambda x: linalg.solve_triangular(x, x, upper=True),
    "lstsq": lambda x: linalg.lstsq(x, x), "vector_norm": linalg.vector_norm,
}  # fmt: skip
calls = pytest.mark.parametrize("f", CALLS.values(), ids=CALLS)


def listed(result):
    return [y for y in (result if isinstance(result, tuple) else (result,)) if y.dtype.kind == "float"]


@calls
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_float_in_is_float_out_and_so_is_the_gradient(f, dtype, backend):
    if not backend.supports(dtype):
        return
    x = dl.tensor([[2.0, 0.5], [0.25, 1.0]], dtype=dtype, requires_grad=True)

    results = listed(f(x))
    for y in results:
        if y.requires_grad:
            y.backward(dl.ones(y.shape, dtype=dtype), retain_graph=True)

    assert {y.dtype for y in results} == {dtype}
    assert x.grad.dtype == dtype


@calls
def test_integers_become_the_default_float(f, backend):
    results = listed(f(dl.tensor([[2, 1], [1, 3]])))

    assert {y.dtype for y in results} == {"float32"}


@calls
def test_complex_matrices_are_refused_in_words(f):
    with pytest.raises(TypeError, match=r"linalg\.\w+: takes real tensors, got complex64; "):
        f(dl.tensor(np.eye(2, dtype="complex64")))


@calls
def test_a_list_is_no_matrix(f):
    with pytest.raises(TypeError, match=r"needs a tensor, got list; make one with dl\.tensor"):
        f([[1.0]])


@pytest.mark.parametrize("f", [f for name, f in CALLS.items() if name not in ("norm", "vector_norm")])
def test_a_vector_is_no_matrix(f):
    with pytest.raises(ValueError, match=r"takes a matrix or a stack of them, got shape \(2,\)"):
        f(dl.ones(2))


@pytest.mark.parametrize("name", ["cholesky", "det", "eigh", "inv", "slogdet"])
def test_a_matrix_that_is_not_square_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name}: x must be a square matrix .* got shape \(2, 3\)"):
        CALLS[name](dl.ones((2, 3)))


@pytest.mark.parametrize("shape", [(0, 0), (2, 0, 0), (0, 2, 2)])
@calls
def test_empty_matrices_have_results_and_gradients(f, shape, backend):
    x = dl.zeros(shape, dtype="float64", requires_grad=True)

    for y in listed(f(x)):
        if y.requires_grad:
            y.backward(dl.ones(y.shape, dtype="float64"), retain_graph=True)

    assert x.grad is None or x.grad.shape == shape


def test_the_determinant_of_nothing_is_1(backend):
    assert linalg.det(dl.zeros((0, 0))).item() == 1.0
    assert linalg.pinv(dl.zeros((0, 3))).shape == (3, 0)


SINGULAR = [[1.0, 2.0], [2.0, 4.0]]


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: linalg.solve(x, dl.ones(2)), "solve: the matrix is singular"),
        (linalg.inv, "inv: the matrix is singular"),
        (lambda x: linalg.matrix_power(x, -1), "inv: the matrix is singular"),
        (lambda x: linalg.solve_triangular(x - dl.eye(2), dl.ones(2), upper=True),
         "solve_triangular: the matrix is singular"),
        (linalg.cholesky, "cholesky: the matrix is not positive definite"),
        (dl.grad(lambda x: linalg.slogdet(x).logabsdet.sum()), "inv: the matrix is singular"),
    ],
)  # fmt: skip
def test_a_singular_matrix_is_named_and_on_the_cpu_at_once_with_its_place(f, message, backend):
    x = dl.tensor(SINGULAR) - dl.tensor([[0.0, 0.0], [0.0, 1e-3]]) * ("positive" in message)
    stack = dl.stack([dl.eye(2) * 2, x])

    with pytest.raises(ValueError, match=f"^{message}($|; noticed only now)"):
        settled(f(x))
    with pytest.raises(ValueError, match=rf"^{message}(, at \(1,\) in the stack$|; noticed only now)"):
        settled(f(stack))


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: linalg.solve(x, dl.ones(3)), r"solve: shapes \(2, 2\) and \(3, 1\) do not fit: 2 unkno"),
        (lambda x: linalg.solve(x, dl.tensor(1.0)), r"solve: the right-hand side must be .* got shape \(\)"),
        (lambda x: linalg.lstsq(x, dl.ones(3)), r"lstsq: shapes \(2, 2\) and \(3,\) do not fit: 2 equations"),
        (lambda x: linalg.qr(x, mode="complete"), "qr: mode must be 'reduced', got 'complete'"),
        (lambda x: linalg.matrix_norm(x, ord=3), "matrix_norm: ord must be one of 'fro', .*, got 3"),
        (lambda x: linalg.matrix_norm(x, axis=(0,)), r"matrix_norm: axis must name two axes, got \(0,\)"),
        (lambda x: linalg.norm(x, "fro", 0), "norm: ord='fro' needs two axes, got axis=0"),
        (lambda x: linalg.norm(dl.ones((2, 2, 2)), 2), "norm: ord=2 needs one axis or two, got axis=None"),
        (lambda x: linalg.vector_norm(x, ord="fro"), "vector_norm: ord must be a number, got 'fro'"),
        (lambda x: linalg.matrix_power(x, 0.5), "matrix_power: the exponent must be an integer, got 0.5"),
        (lambda x: linalg.diagonal(x[0]), r"diagonal: x must be a matrix or a stack .* got shape \(2,\)"),
        (linalg.svd, "svd: the matrix holds a nan or an infinity"),
        (linalg.eigh, "eigh: the matrix holds a nan or an infinity"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_reason(f, message):
    x = dl.full((2, 2), math.nan) if "a nan" in message else dl.eye(2)

    with pytest.raises((ValueError, TypeError), match=message):
        f(x)


def test_the_derivative_of_a_wide_qr_and_of_larger_matrices_is_right():
    rng = np.random.default_rng(5)
    wide = rng.standard_normal((3, 5))

    for f in (linalg.qr, lambda x: linalg.svd(x, full_matrices=False), linalg.pinv):
        check_grads(f, wide)
    check_grads(linalg.eigh, rng.standard_normal((5, 5)))
    check_grads(linalg.det, rng.standard_normal((4, 4)), order=3)
