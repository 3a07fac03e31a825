"""Where eigenvalues repeat and matrices are singular, a derivative is right, or it is an error.

Each function is smooth or not at a given matrix; what the rules say is held against finite differences of
the function itself.  A cluster of eigenvalues moves as finite differences perturb it, so a right answer
cannot come about by leaving terms out.
"""

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose

import backends
import dlcore as dl
from dlcore import linalg
from dlcore.testing.strategies import SEEDS
from tests.devices import settled
from tests.strategies import fewer

STEP = 1e-4
FIRST = {"rtol": 1e-6, "atol": 1e-6}  # step² f‴ / 6 is about 1e-8, rounding 1e-16 / step = 1e-12


def slopes(f, x):
    """The gradient of ``f`` at the NumPy array ``x`` by central differences."""
    out = np.zeros_like(x)
    with backends.use_backend("cpu"):
        for i in np.ndindex(x.shape):
            step = np.zeros_like(x)
            step[i] = STEP
            out[i] = (f(dl.tensor(x + step)).item() - f(dl.tensor(x - step)).item()) / (2 * STEP)
    return out


def symmetric(seed, values):
    """A symmetric matrix with these eigenvalues."""
    n = len(values)
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    return (q * np.array(values)) @ q.T


def with_singular_values(seed, values, rows=4):
    """A matrix (rows, len(values)) with these singular values."""
    rng, n = np.random.default_rng(seed), len(values)
    u = np.linalg.qr(rng.standard_normal((rows, rows)))[0]
    return (u[:, :n] * np.array(values)) @ np.linalg.qr(rng.standard_normal((n, n)))[0]


def weighted(f, seed=7):
    """A scalar function: the sum of the elements of ``f``, weighted at random."""
    return lambda x: dl.sum(f(x) * dl.tensor(np.random.default_rng(seed).standard_normal(f(x).shape)))


def of_spectrum(g):
    """The function of symmetric matrices that applies ``g`` to the eigenvalues."""
    def f(x):
        values, vectors = linalg.eigh(x)
        return (vectors * dl.expand_dims(g(values), -2)) @ vectors.mT

    return f


def projector(where):
    """Onto the space of the eigenvectors at ``where``."""
    def f(x):
        vectors = linalg.eigh(x).eigenvectors[:, where]
        return vectors @ vectors.mT

    return f


def of_singular(g):
    def f(x):
        u, s, vh = linalg.svd(x, full_matrices=False)
        return (u * dl.expand_dims(g(s), -2)) @ vh

    return f


def polar(x):
    u, _, vh = linalg.svd(x, full_matrices=False)
    return u @ vh


def best_of_rank_1(x):
    u, s, vh = linalg.svd(x, full_matrices=False)
    return u[:, :1] * s[0] @ vh[:1]


def left_projector(x):
    u = linalg.svd(x, full_matrices=False).U[:, :2]
    return u @ u.mT


PAIR, TRIPLE = [1.0, 1.0, 2.0, 3.0], [2.0, 2.0, 2.0, 5.0]
LOW, TOP = [0.0, 0.0, 1.0, 3.0], [1.0, 2.0, 3.0, 3.0]
SYMMETRIC = {
    "the sum of squares": (lambda x: dl.sum(dl.square(linalg.eigvalsh(x))), [PAIR, TRIPLE, LOW, [2.0] * 4]),
    "the trace of exp": (lambda x: dl.sum(dl.exp(linalg.eigvalsh(x))), [PAIR, TRIPLE, LOW, [0.0] * 4]),
    "log det": (lambda x: dl.sum(dl.log(linalg.eigvalsh(x))), [PAIR, TRIPLE]),
    "the largest eigenvalue": (lambda x: linalg.eigvalsh(x)[-1], [PAIR, TRIPLE, LOW]),
    "the projector on a pair": (weighted(projector(slice(0, 2))), [PAIR, LOW]),
    "the projector beside a pair": (weighted(projector(slice(2, 4))), [PAIR, LOW]),
    "the vector beside a triple": (weighted(projector(slice(3, 4))), [TRIPLE]),
    "the trace of a function": (lambda x: linalg.trace(of_spectrum(dl.exp)(x)), [PAIR, TRIPLE, [1.0] * 4]),
}  # fmt: skip
GENERAL = {
    "the sum of squares": (lambda x: dl.sum(dl.square(linalg.svdvals(x))), [PAIR, TRIPLE, LOW, [0.0] * 3]),
    "the nuclear norm": (lambda x: linalg.matrix_norm(x, ord="nuc"), [PAIR, TRIPLE, [2.0] * 3, TOP]),
    "the spectral norm": (lambda x: linalg.matrix_norm(x, ord=2), [PAIR, LOW, TRIPLE]),
    "the polar factor": (weighted(polar), [PAIR, TRIPLE, [2.0] * 3]),
    "the best matrix of rank 1": (weighted(best_of_rank_1), [PAIR, LOW, [0.0, 1.0, 2.0]]),
    "the left projector": (weighted(left_projector), [LOW, TOP, [0.0, 1.0, 2.0]]),
}  # fmt: skip


def cases(table):
    return [pytest.param(f, values, id=f"{name} at {values}") for name, (f, where) in table.items()
            for values in where]


@pytest.mark.parametrize(("f", "values"), cases(SYMMETRIC))
@fewer(12)
@given(seed=SEEDS)
def test_a_smooth_function_of_a_repeated_eigenvalue_has_the_right_gradient(f, values, backend, seed):
    x = symmetric(seed, values)

    gradient = dl.grad(f)(dl.tensor(x))

    assert_allclose(gradient.numpy(), slopes(f, x), **FIRST)


@pytest.mark.parametrize(("f", "values"), cases(GENERAL))
@pytest.mark.parametrize("rows", [4, 6])
@fewer(12)
@given(seed=SEEDS)
def test_a_smooth_function_of_repeated_singular_values_has_the_right_gradient(f, values, rows, backend, seed):
    x = with_singular_values(seed, values, rows)

    gradient, wide = dl.grad(f)(dl.tensor(x)), x.T @ np.diag(np.ones(rows))

    assert_allclose(gradient.numpy(), slopes(f, x), **FIRST)
    assert_allclose(dl.grad(f)(dl.tensor(wide)).numpy(), slopes(f, wide), **FIRST)


REPEATED = "eigh: no derivative can be told at a repeated eigenvalue .* the result depends on which"
KINK = "svd: no derivative can be told where a singular value is 0, or repeated"
UNKNOWN = {
    "a matrix function": (weighted(of_spectrum(dl.exp)), PAIR, REPEATED),
    "the sum of its elements at the identity": (lambda x: dl.sum(of_spectrum(dl.exp)(x)), None, REPEATED),
    "one element at the identity": (lambda x: of_spectrum(lambda w: w)(x)[0, 1], None, REPEATED),
    "the sum of the elements at 0": (lambda x: dl.sum(of_spectrum(lambda w: w)(0.0 * x)), None, REPEATED),
    "half of a pair": (weighted(projector(slice(0, 1))), PAIR, REPEATED),
    "the largest of two": (lambda x: linalg.eigvalsh(x)[-1], TOP, REPEATED),
    "eigenvectors themselves": (weighted(lambda x: linalg.eigh(x).eigenvectors), PAIR, REPEATED),
    "the matrix from its singular values": (weighted(of_singular(lambda s: s)), PAIR, KINK),
    "the same with a value 0": (weighted(of_singular(lambda s: s)), [0.0, 1.0, 2.0, 3.0], KINK),
    "one element of it": (lambda x: of_singular(lambda s: s)(x)[0, 1], None, KINK),
    "the sum of singular values at a value 0": (lambda x: dl.sum(linalg.svdvals(x)), LOW, KINK),
    "the polar factor at a value 0": (weighted(polar), [0.0, 1.0, 2.0, 3.0], KINK),
    "the polar factor at two": (weighted(polar), LOW, KINK),
}


@pytest.mark.parametrize(("f", "values", "message"), UNKNOWN.values(), ids=UNKNOWN)
@fewer(12)
@given(seed=SEEDS)
def test_what_the_cotangents_do_not_tell_is_an_error_not_a_number(f, values, message, backend, seed):
    x = np.eye(4) if values is None else symmetric(seed, values)

    with pytest.raises(ValueError, match=message):
        settled(dl.grad(f)(dl.tensor(x)))


# --- what the cotangents do not tell ------------------------------------------------------------------


ALIKE, UNLIKE = np.array([[1.0, 0.5], [0.5, -2.0]]), np.array([[1.0, -3.0], [-3.0, -2.0]])  # off the diagonal


def watched_eigh(seen):
    """``eigh`` that notes what cotangents its results get."""
    note = dl.custom_vjp(lambda w, u: ((w + 0.0, u + 0.0), None), lambda _, g: (seen.append(list(g)), g)[1])
    return lambda x: note(*linalg.eigh(x))


def cotangents(function):
    """What reaches ``eigh`` when the gradient of a function of its results is asked for, which is refused."""
    seen = []
    with pytest.raises(ValueError, match=REPEATED):
        settled(function(watched_eigh(seen)))
    return [g.numpy() for g in seen[-1]]


def test_smooth_functions_with_different_gradients_send_the_same_cotangents_so_none_can_be_told(backend):
    x = dl.eye(2, dtype="float64")
    u = linalg.eigh(x).eigenvectors
    a, b = (u @ dl.tensor(m) @ u.mT for m in (ALIKE, UNLIKE))

    def of(eigh, x, *terms):
        values, vectors = eigh(x)
        return sum(dl.sum(m * ((vectors * f(values)) @ vectors.mT)) for m, f in terms)

    one = cotangents(lambda eigh: dl.grad(lambda x: of(eigh, x, (a, lambda w: 2.0 * w - 1.0)))(x))
    two = cotangents(lambda eigh: dl.grad(
        lambda x: of(eigh, x, (a, lambda w: w), (b, lambda w: w - 1.0)))(x))

    for found, expected in zip(one, two, strict=True):
        assert_allclose(found, expected, atol=1e-14)
    assert np.abs((2.0 * a - (a + b)).numpy()).max() > 1.0  # the gradients of both


def test_second_derivatives_along_different_directions_send_the_same_cotangents(backend):
    x = dl.eye(2, dtype="float64")
    u = linalg.eigh(x).eigenvectors
    a, b = (u @ dl.tensor(m) @ u.mT for m in (ALIKE, UNLIKE))

    def along(direction):
        def second(eigh):
            gradient = dl.grad(lambda x: dl.sum(dl.square(eigh(x)[0] - 1.0)))  # is 2 (X - 1)
            return dl.grad(lambda x: dl.sum(direction * gradient(x)))(x)

        return cotangents(second)

    for found, expected in zip(along(a), along(b), strict=True):
        assert_allclose(found, expected, atol=1e-14)
    assert np.abs((2.0 * a - 2.0 * b).numpy()).max() > 1.0  # the second derivatives along a and b


@pytest.mark.parametrize("place", list(np.ndindex(3, 2)))
def test_an_element_of_a_matrix_of_rank_1_is_right_in_reach_of_its_vectors_and_else_refused(backend, place):
    x, expected = np.zeros((3, 2)), np.zeros((3, 2))
    x[0, 0] = expected[place] = 1.0
    gradient = dl.grad(lambda x: of_singular(lambda s: s)(x)[place])

    if 0 in place:
        assert_allclose(gradient(dl.tensor(x)).numpy(), expected, atol=1e-14)
    else:
        with pytest.raises(ValueError, match=KINK):
            settled(gradient(dl.tensor(x)))


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: dl.sum(dl.square(linalg.eigvalsh(x))), symmetric(1, PAIR)),
        (weighted(projector(slice(0, 2))), symmetric(1, PAIR)),
        (weighted(polar), with_singular_values(1, PAIR)),
        (lambda x: dl.sum(dl.square(linalg.svdvals(x))), with_singular_values(1, LOW)),
    ],
)
def test_second_derivatives_that_the_cotangents_do_not_tell_are_errors(f, x, backend):
    with pytest.raises(ValueError, match="no derivative can be told"):
        settled(dl.grad(weighted(dl.grad(f)))(dl.tensor(x)))


SECOND = {
    "the nuclear norm": (lambda x: linalg.matrix_norm(x, ord="nuc"), with_singular_values(2, PAIR)),
    "the nuclear norm of a tall one": (lambda x: linalg.matrix_norm(x, ord="nuc"),
                                       with_singular_values(2, TRIPLE, 6)),
    "the spectral norm": (lambda x: linalg.matrix_norm(x, ord=2), with_singular_values(2, PAIR)),
    "the top eigenvalue beside a pair": (lambda x: linalg.eigvalsh(x)[-1], symmetric(2, PAIR)),
    "log det": (lambda x: linalg.slogdet(x).logabsdet, symmetric(2, PAIR)),
    "the trace of a square": (lambda x: linalg.trace(x @ x), symmetric(2, TRIPLE)),
    "the determinant": (linalg.det, symmetric(2, PAIR)),
    "the determinant at rank 3": (linalg.det, symmetric(2, [0.0, 1.0, 2.0, 3.0])),
    "the determinant at rank 2": (linalg.det, symmetric(2, LOW)),
    "the determinant at rank 1": (linalg.det, symmetric(2, [0.0, 0.0, 0.0, 3.0])),
    "the determinant of nothing but zeros": (linalg.det, np.zeros((2, 2))),
    "the determinant of ones": (linalg.det, np.ones((3, 3))),
}  # fmt: skip


@pytest.mark.parametrize(("f", "x"), SECOND.values(), ids=SECOND)
def test_where_they_are_told_second_derivatives_are_right(f, x, backend):
    gradient = weighted(dl.grad(f))

    assert_allclose(dl.grad(f)(dl.tensor(x)).numpy(), slopes(f, x), **FIRST)
    assert_allclose(dl.grad(gradient)(dl.tensor(x)).numpy(), slopes(gradient, x), **FIRST)


def test_third_derivatives_of_a_determinant_need_an_inverse(backend):
    third = dl.grad(weighted(dl.grad(weighted(dl.grad(linalg.det), 1)), 2))
    regular = symmetric(3, [1.0, 1.0, 2.0])

    assert_allclose(third(dl.tensor(regular)).numpy(), slopes(
        weighted(dl.grad(weighted(dl.grad(linalg.det), 1)), 2), regular), **FIRST)
    with pytest.raises(ValueError, match="inv: the matrix is singular"):
        settled(third(dl.tensor(np.diag([1.0, 0.0, 2.0]))))


# --- forward mode -------------------------------------------------------------------------------------


def test_forward_mode_goes_through_where_a_tangent_does_not_split_the_repeated_value(backend):
    x = dl.tensor(np.diag([1.0, 1.0, 2.0]))
    along = dl.tensor(np.diag([3.0, 3.0, 5.0]))

    values = dl.jvp(linalg.eigvalsh, [x], [along])[1]
    singular = dl.jvp(linalg.svdvals, [x], [along])[1]

    assert_allclose(values.numpy(), [3.0, 3.0, 5.0], rtol=1e-12)
    assert_allclose(singular.numpy(), [5.0, 3.0, 3.0], rtol=1e-12)


@pytest.mark.parametrize(
    ("f", "x", "message"),
    [
        (linalg.eigvalsh, np.eye(2), "eigh: forward mode cannot tell what becomes of a repeated eigenvalue"),
        (linalg.svdvals, np.eye(2), "svd: forward mode cannot tell what becomes of a singular value"),
        (linalg.svdvals, np.diag([1.0, 0.0]), "svd: forward mode cannot tell"),
        (lambda x: linalg.svd(x, full_matrices=False).U, np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]),
         "svd: forward mode cannot tell"),
    ],
)  # fmt: skip
def test_forward_mode_refuses_a_tangent_that_splits_it(f, x, message, backend):
    tangent = np.arange(1.0, x.size + 1).reshape(x.shape)

    with pytest.raises(ValueError, match=message):
        settled(dl.jvp(f, [dl.tensor(x)], [dl.tensor(tangent)]))


# --- rank ---------------------------------------------------------------------------------------------

DEPENDENT = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])


@pytest.mark.parametrize("x", [DEPENDENT, DEPENDENT.T, DEPENDENT[:2]], ids=["tall", "wide", "square"])
@pytest.mark.parametrize(
    ("f", "message"),
    [
        (linalg.pinv, "pinv: no derivative at a matrix without full rank"),
        (lambda x: linalg.lstsq(x, dl.ones(x.shape[:1], dtype="float64")).solution,
         "pinv: no derivative at a matrix without full rank"),
        (lambda x: linalg.qr(x).R, "qr: no derivative where columns depend linearly on those before them"),
    ],
)  # fmt: skip
def test_a_matrix_without_full_rank_has_a_value_and_no_derivative(f, message, x, backend):
    assert np.isfinite(f(dl.tensor(x)).numpy()).all()

    with pytest.raises(ValueError, match=message):
        settled(dl.grad(weighted(f))(dl.tensor(x)))
    with pytest.raises(ValueError, match=message):
        settled(dl.jvp(f, [dl.tensor(x)], [dl.tensor(np.ones_like(x))]))


def test_least_squares_are_linear_on_the_right_at_any_rank(backend):
    f = lambda y: linalg.lstsq(dl.tensor(DEPENDENT), y).solution
    y = np.array([1.0, 0.0, 2.0])

    assert_allclose(dl.grad(weighted(f))(dl.tensor(y)).numpy(), slopes(weighted(f), y), **FIRST)


def test_further_singular_vectors_have_no_derivative(backend):
    x = dl.tensor(np.random.default_rng(0).standard_normal((3, 2)))
    message = r"svd: no derivative with full_matrices=True for shape \(3, 2\)"

    with pytest.raises(ValueError, match=message):
        dl.grad(lambda x: dl.sum(linalg.svd(x).S))(x)
    with pytest.raises(ValueError, match=message):
        dl.jvp(lambda x: linalg.svd(x).S, [x], [x])


# --- the basis of a repeated value ----------------------------------------------------------------------


@fewer(2)
@given(seed=SEEDS)
def test_a_basis_stands_at_an_angle_to_every_matrix_that_is_not_a_multiple_of_one(backend, seed):
    rng = np.random.default_rng(seed)
    u, _, vh = linalg.svd(dl.zeros((4, 3), dtype="float64"), full_matrices=False)
    vectors = linalg.eigh(dl.eye(3, dtype="float64")).eigenvectors.numpy()
    some = [np.ones((3, 3)), np.eye(3)[:, [1, 0, 2]], rng.integers(-1, 2, (3, 3)) + np.diag([5, 0, 0])]

    for x in some:
        diagonal = np.diag(vectors.T @ (x + x.T) @ vectors)
        assert np.ptp(diagonal) > 1e-6
    assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-14)
    assert_allclose((u.mT @ u).numpy(), np.eye(3), atol=1e-14)
    assert_allclose((vh @ vh.mT).numpy(), np.eye(3), atol=1e-14)


def test_float32_finds_clusters_of_its_own_precision():
    x = dl.tensor(np.diag([1.0, 1.0 + 3e-7, 2.0]).astype("float32"))

    gradient = dl.grad(lambda x: dl.sum(dl.square(linalg.eigvalsh(x))))(x)

    assert gradient.dtype == "float32"
    assert_allclose(gradient.numpy(), np.diag([2.0, 2.0, 4.0]), atol=1e-5)
    with pytest.raises(ValueError, match=REPEATED):
        dl.grad(lambda x: linalg.eigvalsh(x)[0])(x)


def test_clusters_are_told_by_the_gaps_between_neighbours(backend):
    values = np.array([[0.0, 1.0, 1.0 + 1e-15, 3.0], [0.0, 1e-17, 2.0, 4.0]])
    x = backends.get_backend(backend.name).from_host(values)

    found = backend.to_host(backend.linalg.clusters(x))

    assert found.sum(axis=-1).tolist() == [[1, 2, 2, 1], [2, 2, 1, 1]]
