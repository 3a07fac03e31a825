"""Values are those of NumPy and SciPy; promotion, weak numbers and errors are as stated."""

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore.core import PRIMITIVES
from dlcore.testing.strategies import calls
from tests.strategies import fewer

NUMPY = {  # what computes the same as our primitive of that name
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "add": np.add,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "digamma": scipy.special.digamma,
    "divide": np.divide,
    "equal": np.equal,
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    "erfinv": scipy.special.erfinv,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "floor": np.floor,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "hypot": np.hypot,
    "isfinite": np.isfinite,
    "isinf": np.isinf,
    "isnan": np.isnan,
    "less": np.less,
    "less_equal": np.less_equal,
    "lgamma": scipy.special.gammaln,
    "log": np.log,
    "log10": np.log10,
    "log1p": np.log1p,
    "log2": np.log2,
    "logaddexp": np.logaddexp,
    "logical_and": np.logical_and,
    "logical_not": np.logical_not,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "logit": scipy.special.logit,
    "matmul": np.matmul,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "multiply": np.multiply,
    "negative": np.negative,
    "not_equal": np.not_equal,
    "pow": np.power,
    "reciprocal": np.reciprocal,
    "remainder": np.remainder,
    "round": np.round,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sign": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "square": np.square,
    "subtract": np.subtract,
    "tan": np.tan,
    "tanh": np.tanh,
    "trunc": np.trunc,
    "where": np.where,
    "xlogy": scipy.special.xlogy,
    "prod": np.prod,
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "any": np.any,
    "all": np.all,
    "argmax": np.argmax,
    "argmin": np.argmin,
    "cumsum": np.cumsum,
    "cumprod": np.cumprod,
    "logsumexp": scipy.special.logsumexp,
    "var": lambda x, axis, correction, keepdims: np.var(x, axis, ddof=correction, keepdims=keepdims),
    "std": lambda x, axis, correction, keepdims: np.std(x, axis, ddof=correction, keepdims=keepdims),
    "take": np.take,
    "take_along_axis": np.take_along_axis,
    "flip": np.flip,
    "roll": np.roll,
    "tril": np.tril,
    "triu": np.triu,
    "reshape": np.reshape,
    "permute_dims": np.transpose,
    "polygamma": lambda x, n: scipy.special.polygamma(n, x),
    "clip": np.clip,
    "power": lambda x, exponent: x**exponent,
}


@pytest.mark.parametrize("name", NUMPY)
@fewer(2)
@given(data=st.data())
def test_numpy_and_scipy_compute_the_same(name, data):
    call = data.draw(calls(PRIMITIVES[name]))

    found = call(*call.tensors())

    assert_allclose(found.numpy(), NUMPY[name](*call.args, **call.params), rtol=1e-12, atol=1e-13)


@given(x=st.floats(-30, 30), n=st.integers(0, 3))
def test_every_derivative_of_sinc_is_that_of_its_integral(x, n):
    """sinc(x) is the integral over t from 0 to 1 of cos(pi x t); differentiate under the integral sign."""
    f = dl.sinc
    for _ in range(n):
        f = dl.grad(f)
    t, w = np.polynomial.legendre.leggauss(80)
    t, w = (t + 1) / 2, w / 2

    found = f(dl.tensor(np.array(x))).item()

    expected = np.sum(w * (np.pi * t) ** n * np.cos(np.pi * x * t + n * np.pi / 2))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-11)


def test_polygamma_of_order_zero_is_digamma(backend):
    x = dl.tensor([0.5, 2.0], dtype="float64")

    assert_allclose(dl.polygamma(0, x).numpy(), dl.digamma(x).numpy(), rtol=1e-14)


# --- promotion ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("bool", "int32", "int32"),
        ("int64", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("int32", "int64", "int64"),
        ("float16", "float32", "float32"),
        ("uint8", "int8", "int16"),
        ("int64", "float16", "float16"),
    ],
)
def test_dtypes_that_differ_are_promoted(left, right, expected):
    x, y = dl.ones(2, dtype=left), dl.ones(2, dtype=right)

    for f in (
        dl.add,
        dl.multiply,
        dl.maximum,
        lambda x, y: dl.where(x == y, x, y),
        lambda x, y: dl.concat([x, y]),
    ):
        assert f(x, y).dtype == expected
        assert f(y, x).dtype == expected


def test_numbers_of_python_are_weak_everywhere(backend):
    x, i, b = dl.ones(2), dl.tensor([1, 2]), dl.tensor([True, False])

    assert (x * 2).dtype == (x + True).dtype == (2.0 / x).dtype == dl.where(b, x, 0.5).dtype == "float32"
    assert (i * 2).dtype == (i + True).dtype == dl.where(b, i, 0).dtype == "int64"
    assert (i * 2.0).dtype == (i / 2).dtype == (b * 1.5).dtype == dl.exp(i).dtype == "float32"
    assert dl.where(b, 1.0, 0.0).dtype == "float32"
    assert dl.where(b, 1, 0).dtype == "int64"


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: x**2, [1, 4]),
        (lambda x: x**0.5, [1.0, 2**0.5]),
        (lambda x: x**2.0, [1.0, 4.0]),
        (lambda x: 2**x, [2, 4]),
        (lambda x: dl.clip(x, 2, 5), [2, 2]),
        (lambda x: dl.clip(x, 1.5, None), [1.5, 2.0]),
        (dl.sum, 3),
        (dl.mean, 1.5),
        (dl.prod, 2),
        (dl.cumsum, [1, 3]),
        (dl.var, 0.25),
        (dl.erf, scipy.special.erf([1, 2])),
    ],
)
def test_integers_stay_integers_until_a_float_comes_in(f, expected, backend):
    found = f(dl.tensor([1, 2]))

    assert found.dtype == ("int64" if np.asarray(expected).dtype.kind == "i" else "float32")
    assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_a_comparison_with_a_number_does_not_round_the_number(backend):
    assert (dl.tensor([1, 2]) > 1.5).tolist() == [False, True]


# --- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda x: x + dl.zeros(4),
            ValueError,
            r"add: shapes \(2, 3\) and \(4,\) do not broadcast: in axis -1 sizes 3 and 4 differ",
        ),
        (lambda x: dl.where(x > 0, x, dl.zeros((3, 2))), ValueError, r"where: .*\(3, 2\) do not broadcast"),
        (lambda x: dl.sum(x, axis=2), ValueError, "sum: axis 2 is out of range for a 2-d tensor"),
        (lambda x: dl.max(x, axis=(0, 0)), ValueError, "max: axis .* names an axis twice"),
        (lambda x: dl.cumsum(x, axis=-3), ValueError, "axis -3 is out of range"),
        (lambda x: dl.cumprod(x, axis=(0, 1)), TypeError, r"cumprod: runs along one axis, got axis=\(0, 1\)"),
        (lambda x: dl.argmax(x, axis=5), ValueError, "argmax: axis 5 is out of range"),
        (
            lambda x: dl.reshape(x, (4, 2)),
            ValueError,
            r"reshape: cannot reshape \(2, 3\), 6 elements, to \(4, 2\)",
        ),
        (lambda x: dl.permute_dims(x, (0, 0)), ValueError, r"axes \(0, 0\) do not order the 2 axes"),
        (lambda x: dl.squeeze(x, 0), ValueError, r"squeeze: axis 0 of shape \(2, 3\) is not of size 1"),
        (lambda x: dl.broadcast_to(x, (2, 2)), ValueError, r"shape \(2, 3\) does not broadcast to \(2, 2\)"),
        (lambda x: dl.polygamma(-1, x), ValueError, "n=-1 must be an integer that is not negative"),
        (lambda x: x + "1", TypeError, "add: cannot compute with str"),
        (lambda x: x + None, TypeError, "add: cannot compute with NoneType"),
        (lambda x: dl.sin([1.0]), TypeError, "sin: needs a tensor, got list"),
    ],
)
def test_what_does_not_fit_is_named(call, error, match, backend):
    with pytest.raises(error, match=match):
        call(dl.zeros((2, 3)))


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6))
def test_differences_undo_running_sums(values):
    x = np.array(values)

    assert_allclose(dl.diff(dl.cumsum(dl.tensor(x))).numpy(), x[1:], rtol=1e-9, atol=1e-9)
    assert_array_equal(dl.diff(dl.tensor(x), n=2).numpy(), np.diff(x, n=2))


@pytest.mark.parametrize("spread", [1.0, 1000.0])
def test_running_logsumexp_is_that_of_every_beginning(spread):
    x = np.array([0.3, -1.0, 0.7, 0.1]) * spread

    found = dl.logcumsumexp(dl.tensor(x), 0)

    assert_allclose(found.numpy(), [scipy.special.logsumexp(x[:i + 1]) for i in range(4)], rtol=1e-12)
