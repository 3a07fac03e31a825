"""Values to begin with follow PyTorch's laws, are drawn from one generator, and write to no array."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import nn
from dlcore.nn import init
from dlcore.testing.strategies import SEEDS
from tests.strategies import fewer

DRAWN = {
    "uniform_": [{}, {"a": -2.0, "b": 0.5}],
    "normal_": [{}, {"mean": 3.0, "std": 0.1}],
    "trunc_normal_": [{}, {"mean": 1.0, "std": 2.0, "a": 0.0, "b": 1.5}],
    "xavier_uniform_": [{}, {"gain": 2.0}],
    "xavier_normal_": [{}, {"gain": 2.0}],
    "kaiming_uniform_": [{}, {"a": 1.0}, {"mode": "fan_out", "nonlinearity": "relu"}],
    "kaiming_normal_": [{}, {"mode": "fan_out", "nonlinearity": "tanh"}],
    "orthogonal_": [{}, {"gain": 3.0}],
}
FIXED = {"constant_": {"val": 2.5}, "zeros_": {}, "ones_": {}, "eye_": {}}
CASES = [(name, options) for name, several in DRAWN.items() for options in several]
QUANTILES = np.linspace(0.02, 0.98, 25)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)


def test_every_function_is_looked_at():
    assert {*DRAWN, *FIXED, "calculate_gain"} == set(init.__all__)


@pytest.mark.parametrize(("name", "options"), FIXED.items())
def test_fixed_values_are_pytorchs(torch, backend, name, options):
    w = nn.Parameter(dl.ones((3, 4)) * 7.0)

    assert getattr(init, name)(w, **options) is w

    assert_array_equal(w.numpy(), getattr(torch.nn.init, name)(torch.empty(3, 4), **options).numpy())


@pytest.mark.parametrize(("name", "options"), CASES)
def test_drawn_values_have_pytorchs_distribution(torch, name, options):
    """Their quantiles agree: of n numbers those in the middle are off by 0.5 / sqrt(n) of a probability."""
    shape = (60, 20, 5, 2)  # so that fans differ, in and out

    ours = getattr(init, name)(dl.zeros(shape), rng=dl.random.Generator(3), **options).numpy()
    torch.manual_seed(0)
    theirs = np.sort(getattr(torch.nn.init, name)(torch.empty(shape), **options).numpy().ravel())

    n = ours.size
    reached = np.searchsorted(theirs, np.quantile(ours, QUANTILES)) / n
    assert_allclose(reached, QUANTILES, rtol=0, atol=5 * 0.5 * math.sqrt(2 / n))  # five deviations, of both


@pytest.mark.parametrize("name", ["linear", "conv2d", "conv_transpose3d", "sigmoid", "tanh", "relu", "selu"])
def test_gains_are_pytorchs(torch, name):
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)


@pytest.mark.parametrize("slope", [None, 0.0, 0.3, -2.0])
def test_the_gain_of_leaky_relu_is_pytorchs(torch, slope):
    assert init.calculate_gain("leaky_relu", slope) == torch.nn.init.calculate_gain("leaky_relu", slope)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_one_seed_gives_the_same_values_on_every_backend(backend, name, options):
    here = getattr(init, name)(dl.zeros((6, 4)), rng=dl.random.Generator(5), **options)
    with dl.use_backend("cpu"):
        there = getattr(init, name)(dl.zeros((6, 4)), rng=dl.random.Generator(5), **options)

    assert here.backend == backend.name
    assert_allclose(here.numpy(), there.numpy(), rtol=2e-7, atol=1e-7)  # float32: a unit in the last place


@pytest.mark.parametrize("name", DRAWN)
def test_values_are_drawn_from_the_default_generator_unless_given_one(name):
    dl.random.seed(5)
    first = getattr(init, name)(dl.zeros((4, 3))).numpy()
    second = getattr(init, name)(dl.zeros((4, 3))).numpy()

    assert_array_equal(getattr(init, name)(dl.zeros((4, 3)), rng=dl.random.Generator(5)).numpy(), first)
    assert (first != second).any()


@pytest.mark.parametrize("name", [*DRAWN, *FIXED])
def test_a_parameter_stays_a_leaf_of_its_dtype_and_what_shared_its_array_keeps_it(name, backend):
    w = nn.Parameter(dl.tensor(np.full((3, 4), 7.0), dtype="float64"))
    shared, before = w.detach(), w * 1.0

    getattr(init, name)(w, **FIXED.get(name, {}))
    before.sum().backward()

    assert (w.dtype, w.role, w.requires_grad, w.node.primitive) == (dl.float64, "parameter", True, None)
    assert w.grad.tolist() == [[1.0] * 4] * 3
    assert_array_equal(shared.numpy(), 7.0)
    assert (w.numpy() != 7.0).all()


@fewer(2)
@given(shape=st.sampled_from([(4, 4), (3, 7), (7, 3), (4, 2, 3), (1, 5), (5, 1)]), seed=SEEDS)
def test_orthogonal_rows_or_columns_have_length_one(backend, shape, seed):
    w = init.orthogonal_(dl.zeros(shape, dtype="float64"), 2.0, rng=dl.random.Generator(seed)).numpy()
    w = w.reshape(shape[0], -1) / 2.0

    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w

    assert_allclose(product, np.eye(len(product)), atol=1e-12)


def test_both_signs_of_an_orthogonal_matrix_are_drawn(backend):
    drawn = [init.orthogonal_(dl.zeros((1, 1)), rng=dl.random.Generator(i)).item() for i in range(20)]

    assert set(drawn) == {-1.0, 1.0}  # LAPACK's Q of a number is always 1


@fewer(2)
@given(mean=st.floats(-3, 3), std=st.floats(0.1, 3), a=st.floats(-2, 1), width=st.floats(0.1, 2), seed=SEEDS)
def test_truncated_numbers_stay_within_their_bounds(mean, std, a, width, seed):
    rng = dl.random.Generator(seed)

    w = init.trunc_normal_(dl.zeros(100, dtype="float64"), mean, std, a, a + width, rng=rng).numpy()

    assert w.min() >= a
    assert w.max() <= a + width


def test_a_tensor_without_elements_stays_so(backend):
    for name in DRAWN:
        assert getattr(init, name)(dl.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: init.uniform_([1.0]), "uniform_: needs a tensor to give values to, got list"),
        (TypeError, lambda: init.zeros_(dl.tensor([1])),
         r"zeros_: needs a tensor of a float dtype, got int64\(1,\)"),
        (ValueError, lambda: init.ones_(dl.square(dl.ones(2, requires_grad=True))),
         "ones_: this tensor was computed, by square; give values to a parameter"),
        (ValueError, lambda: init.xavier_normal_(dl.zeros(3)),
         r"xavier_normal_: needs a tensor of at least two axes, \(out, in, \.\.\.\), got shape \(3,\)"),
        (ValueError, lambda: init.kaiming_uniform_(dl.zeros(3)), "kaiming_uniform_: needs a tensor of at"),
        (ValueError, lambda: init.orthogonal_(dl.zeros(3)), "orthogonal_: needs a tensor of at least two"),
        (ValueError, lambda: init.kaiming_normal_(dl.zeros((2, 2)), mode="in"),
         "kaiming_normal_: mode must be 'fan_in' or 'fan_out', got 'in'"),
        (ValueError, lambda: init.kaiming_normal_(dl.zeros((2, 2)), nonlinearity="gelu"),
         "calculate_gain: unknown nonlinearity 'gelu'; choose from linear, "),
        (ValueError, lambda: init.eye_(dl.zeros((2, 2, 2))), r"eye_: needs a matrix, got shape \(2, 2, 2\)"),
        (ValueError, lambda: init.trunc_normal_(dl.zeros(2), a=2.0, b=1.0),
         "trunc_normal_: std must be positive and a less than b, got std 1.0, a 2.0, b 1.0"),
        (ValueError, lambda: init.trunc_normal_(dl.zeros(2), std=0.0), "trunc_normal_: std must be positive"),
        (ValueError, lambda: init.uniform_(dl.zeros(2), 1.0, 0.0), "uniform: low must not exceed high"),
        (ValueError, lambda: init.normal_(dl.zeros(2), std=-1.0), "normal: std must not be negative"),
    ],
)
def test_a_mistake_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
