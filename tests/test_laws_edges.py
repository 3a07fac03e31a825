"""What happens at the edges of domains and at kinks: zeros stay zeros, subgradients are as stated."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import dlcore as dl
from dlcore.nn import functional as F
from dlcore.testing.strategies import SEEDS

INF = math.inf

EDGES = {  # where the derivative is infinite or undefined, at the edge of the domain and beyond
    "log": (dl.log, [[0.0, -1.0]]),
    "log2": (dl.log2, [[0.0, -1.0]]),
    "log10": (dl.log10, [[0.0, -1.0]]),
    "log1p": (dl.log1p, [[-1.0, -2.0]]),
    "sqrt": (dl.sqrt, [[0.0, -1.0]]),
    "rsqrt": (dl.rsqrt, [[0.0, -1.0]]),
    "reciprocal": (dl.reciprocal, [[0.0, -0.0]]),
    "divide": (dl.divide, [[1.0, 0.0, -1.0], [0.0, 0.0, 0.0]]),
    "divide a number": (lambda y: 1.0 / y, [[0.0, -0.0]]),
    "pow": (dl.pow, [[0.0, 0.0, -1.0, 0.0], [0.5, -1.0, 0.5, 0.0]]),
    "pow of a number": (lambda y: dl.pow(0.0, y), [[0.5, 0.0, -1.0]]),
    "to the power -1": (lambda x: dl.pow(x, -1), [[0.0]]),
    "to the power 0.5": (lambda x: dl.pow(x, 0.5), [[0.0, -1.0]]),
    "to the power 1.5": (lambda x: dl.pow(x, 1.5), [[0.0, -1.0]]),
    "asin": (dl.asin, [[1.0, -1.0, 2.0]]),
    "acos": (dl.acos, [[1.0, -1.0, 2.0]]),
    "acosh": (dl.acosh, [[1.0, 0.5]]),
    "atanh": (dl.atanh, [[1.0, -1.0, 2.0]]),
    "atan2": (dl.atan2, [[0.0], [0.0]]),
    "logit": (dl.logit, [[0.0, 1.0, 2.0]]),
    "xlogy": (dl.xlogy, [[0.0, 1.0, 1.0], [0.0, 0.0, -1.0]]),
    "erfinv": (dl.erfinv, [[1.0, -1.0, 2.0]]),
    "lgamma": (dl.lgamma, [[0.0, -1.0]]),
    "digamma": (dl.digamma, [[0.0, -1.0]]),
    "polygamma": (lambda x: dl.polygamma(1, x), [[0.0, -1.0]]),
    "hypot": (dl.hypot, [[0.0], [0.0]]),
    "logaddexp": (dl.logaddexp, [[-INF, -INF], [-INF, 0.0]]),
    "std": (lambda x: dl.std(x, axis=1), [[[2.0, 2.0], [0.0, 0.0]]]),
    "logsumexp": (lambda x: dl.logsumexp(x, axis=1), [[[-INF, -INF], [-INF, 0.0]]]),
    "logcumsumexp": (lambda x: dl.logcumsumexp(x, axis=0), [[-INF, -INF, 0.0]]),
    "softmax": (lambda x: F.softmax(x, axis=1), [[[-INF, -INF], [-INF, 0.0]]]),
    "normalize": (lambda x: F.normalize(x, axis=1), [[[0.0, 0.0], [0.0, 1.0]]]),
    "cosine_similarity": (F.cosine_similarity, [[[0.0, 0.0]], [[0.0, 0.0]]]),
    "kl_div": (lambda x, y: F.kl_div(x, y, reduction="none"), [[-1.0, 0.0], [0.0, 0.0]]),
    "binary_cross_entropy": (lambda p, y: F.binary_cross_entropy(p, y, reduction="none"),
                             [[0.0, 1.0], [1.0, 0.0]]),
    "floor_divide": (dl.floor_divide, [[1.0, 0.0], [0.0, 0.0]]),
    "copysign": (dl.copysign, [[0.0, 1.0], [0.0, -0.0]]),
}

edges = pytest.mark.parametrize(("f", "points"), EDGES.values(), ids=EDGES)


def weights(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [dl.tensor(rng.uniform(0.5, 1.5, shape)) for shape in shapes]


def assert_zero(*found):
    for x in found:
        assert_array_equal(x.numpy(), np.zeros(x.shape))


@edges
@given(seed=SEEDS)
def test_a_zero_cotangent_gives_a_zero_gradient_at_both_orders(f, points, backend, seed):
    xs = [dl.tensor(np.array(p)) for p in points]
    y, pull = dl.vjp(f, *xs)
    zero, vs = dl.zeros(y.shape, dtype="float64"), weights(seed, *(x.shape for x in xs))

    def pulled(*both):
        gs = dl.vjp(f, *both[:-1])[1](both[-1])
        return sum((v * g).sum() for v, g in zip(vs, gs, strict=True))

    assert_zero(*pull(zero))
    assert_zero(*dl.grad(pulled, tuple(range(len(xs))))(*xs, zero))


@edges
def test_a_zero_tangent_gives_a_zero_tangent(f, points, backend):
    xs = [dl.tensor(np.array(p)) for p in points]

    _, t = dl.jvp(f, xs, [dl.zeros(x.shape, dtype="float64") for x in xs])

    assert_zero(t)


@edges
@given(seed=SEEDS)
def test_a_branch_that_is_not_taken_leaves_no_trace_at_both_orders(f, points, backend, seed):
    xs = [dl.tensor(np.array(p)) for p in points]
    w, = weights(seed, f(*xs).shape)
    positions = tuple(range(len(xs)))

    def guarded(*xs):
        return (w * dl.where(w > 2.0, f(*xs), 0.0)).sum()  # w is never above 2

    assert_zero(*dl.grad(guarded, positions)(*xs))
    for block in dl.hessian(guarded, positions)(*xs):
        assert_zero(*block)


def test_the_logarithm_of_what_is_positive_is_finite_everywhere(backend):
    x = dl.tensor([-1.0, 0.0, 2.0])

    gradient = dl.grad(lambda x: dl.where(x > 0, dl.log(x), 0).sum())(x)

    assert gradient.tolist() == [0.0, 0.0, 0.5]


# --- subgradients ---------------------------------------------------------------------------------

SUBGRADIENTS = {
    "abs at 0": (dl.abs, [0.0], [0.0]),
    "sign at 0": (dl.sign, [0.0], [0.0]),
    "maximum shares ties": (
        lambda x: dl.maximum(x, dl.tensor([1.0, 1.0, 1.0])),
        [1.0, 2.0, 0.0],
        [0.5, 1.0, 0.0],
    ),
    "minimum shares ties": (
        lambda x: dl.minimum(x, dl.tensor([1.0, 1.0, 1.0])),
        [1.0, 2.0, 0.0],
        [0.5, 0.0, 1.0],
    ),
    "max shares ties": (dl.max, [2.0, 1.0, 2.0, 2.0], [1 / 3, 0.0, 1 / 3, 1 / 3]),
    "min shares ties": (dl.min, [0.0, 0.0, 3.0], [0.5, 0.5, 0.0]),
    "clip passes at its bounds": (
        lambda x: dl.clip(x, -1, 1),
        [-1.0, 1.0, -1.5, 0.0, 1.5],
        [1.0, 1.0, 0.0, 1.0, 0.0],
    ),
    "clip by tensors too": (
        lambda x: dl.clip(x, dl.tensor(-1.0), dl.tensor(1.0)),
        [-1.0, 1.0, -1.5],
        [1.0, 1.0, 0.0],
    ),
    "hypot at (0, 0)": (lambda x: dl.hypot(x, dl.zeros(2)), [0.0, 0.0], [0.0, 0.0]),
    "std of equal numbers": (dl.std, [3.0, 3.0, 3.0], [0.0, 0.0, 0.0]),
    "floor on an integer": (dl.floor, [1.0], [0.0]),
    "round on a half": (dl.round, [0.5], [0.0]),
    "sort keeps equal numbers in order": (
        lambda x: dl.sort(x) * dl.tensor([1.0, 2.0, 4.0]),
        [1.0, 0.0, 0.0],
        [4.0, 1.0, 2.0],
    ),
    "sort downwards likewise": (
        lambda x: dl.sort(x, descending=True) * dl.tensor([1.0, 2.0, 4.0]),
        [0.0, 1.0, 0.0],
        [2.0, 1.0, 4.0],
    ),
    "cummax passes to the last": (dl.cummax, [1.0, 1.0, 0.0], [1.0, 2.0, 0.0]),
    "0 to the power 0": (lambda x: dl.pow(x, 0), [0.0], [0.0]),
    "0 to the power 1": (lambda x: dl.pow(x, 1), [0.0], [1.0]),
    "0 to the power 2": (lambda x: dl.pow(x, dl.tensor(2.0)), [0.0], [0.0]),
    "an exponent of 0": (lambda y: dl.pow(dl.tensor(0.0), y), [0.0, 2.0], [0.0, 0.0]),
    "nan_to_num": (dl.nan_to_num, [math.nan, INF, -INF, 1.0], [0.0, 0.0, 0.0, 1.0]),
    "a product with one zero": (dl.prod, [2.0, 0.0, 3.0], [0.0, 6.0, 0.0]),
    "a product with two zeros": (dl.prod, [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
    "logsumexp of -inf": (dl.logsumexp, [-INF, -INF], [0.0, 0.0]),
    "logaddexp of -inf": (lambda x: dl.logaddexp(x, dl.tensor(-INF)), [-INF, 1.0], [0.0, 1.0]),
    "sinc at 0": (dl.sinc, [0.0], [0.0]),
}


@pytest.mark.parametrize(("f", "at", "expected"), SUBGRADIENTS.values(), ids=SUBGRADIENTS)
def test_subgradients_are_as_stated(f, at, expected, backend):
    x = dl.tensor(at)

    gradient = dl.grad(lambda x: f(x).sum())(x)

    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-6)  # float32


@pytest.mark.parametrize(("f", "at", "expected"), SUBGRADIENTS.values(), ids=SUBGRADIENTS)
def test_forward_mode_takes_the_same_subgradients(f, at, expected, backend):
    x = dl.tensor(at)
    units = np.eye(len(at), dtype="float32")

    slopes = [dl.jvp(lambda x: f(x).sum(), [x], [dl.tensor(e)])[1].item() for e in units]

    np.testing.assert_allclose(slopes, expected, rtol=1e-6)


def test_second_derivatives_of_a_product_are_right_at_zeros(backend):
    hessian = dl.hessian(dl.prod)(dl.tensor([0.0, 0.0, 3.0]))

    assert hessian.tolist() == [[0.0, 3.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


def test_second_derivatives_of_sinc_are_right_at_zero(backend):
    second = dl.grad(dl.grad(dl.sinc))(dl.tensor(0.0, dtype="float64"))

    assert second.item() == pytest.approx(-math.pi**2 / 3, rel=1e-14)


@pytest.mark.parametrize("f", [dl.max, dl.min])
def test_many_ties_of_halves_share_without_losing_the_gradient(f):
    x = dl.zeros(70_000, dtype="float16")  # more than float16 can count, and each share is subnormal in it

    gradient = dl.grad(f)(x)

    assert gradient.dtype == "float16"
    assert gradient.numpy()[0] == np.float16(1 / 70_000)


def test_the_variance_of_large_halves_is_finite():
    x = dl.tensor([-1000.0, 1000.0], dtype="float16")

    assert dl.std(x).item() == 1000.0
    assert dl.mean(dl.full((70_000,), 1.0, dtype="float16")).item() == 1.0


@given(st.integers(1, 300))
def test_logsumexp_neither_overflows_nor_vanishes(shift):
    x = dl.tensor([1.0, 2.0])

    near, far = dl.logsumexp(x), dl.logsumexp(x + 100.0 * shift) - 100.0 * shift

    assert far.item() == pytest.approx(near.item(), abs=4e-3)  # spacing of float32 near 30000


# --- nothing at all -------------------------------------------------------------------------------


def test_sums_and_means_of_nothing_are_zero_and_nan_quietly(backend):
    x = dl.zeros((0, 3), requires_grad=True)

    assert dl.sum(x).item() == 0.0
    assert dl.prod(x).item() == 1.0
    assert np.isnan(dl.mean(x, axis=0).numpy()).all()
    assert np.isnan(dl.var(x, axis=0).numpy()).all()
    dl.mean(x).backward()
    assert x.grad.shape == (0, 3)


@pytest.mark.parametrize("f", [dl.max, dl.min, dl.argmax, dl.argmin, dl.logsumexp])
def test_extrema_of_nothing_are_refused(f, backend):
    with pytest.raises(ValueError, match=r"shape \(0, 3\) has nothing to reduce over axis 0"):
        f(dl.zeros((0, 3)), axis=0)


def test_the_variance_of_one_number_with_correction_is_nan_quietly(backend):
    assert math.isnan(dl.var(dl.tensor([1.0]), correction=1).item())
