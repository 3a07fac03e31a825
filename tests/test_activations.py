"""Activations: equal to PyTorch's to second order, at kinks too, and finite for huge numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore.nn import functional as F
from dlcore.testing.strategies import SEEDS
from tests.second_order import assert_equal_to_second_order
from tests.strategies import fewer

LIKE_TORCH = [
    ("relu", {}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.1}),
    ("leaky_relu", {"negative_slope": 0.0}),
    ("leaky_relu", {"negative_slope": -0.5}),
    ("leaky_relu", {"negative_slope": 3.0}),
    ("elu", {}),
    ("elu", {"alpha": 1.5}),
    ("selu", {}),
    ("celu", {"alpha": 2.0}),
    ("gelu", {}),
    ("gelu", {"approximate": "tanh"}),
    ("silu", {}),
    ("mish", {}),
    ("softplus", {}),
    ("softplus", {"beta": 2.0}),
    ("softsign", {}),
    ("hardtanh", {}),
    ("hardtanh", {"min_val": -0.5, "max_val": 2.0}),
    ("relu6", {}),
    ("hardsigmoid", {}),
    ("hardswish", {}),
    ("logsigmoid", {}),
    ("sigmoid", {}),
    ("tanh", {}),
]
KINKS = [-6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0]
HUGE = [-1e30, -1e4, -1e3, 1e3, 1e4, 1e30]

like_torch = pytest.mark.parametrize(("name", "options"), LIKE_TORCH)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)


def torch_function(torch, name, options):
    if name == "hardsigmoid":  # PyTorch's own has no second derivative
        return lambda x: torch.nn.functional.relu6(x + 3) / 6
    return lambda x: getattr(torch.nn.functional, name)(x, **options)


@fewer(2)
@like_torch
@given(seed=SEEDS)
def test_value_and_both_derivatives_equal_pytorchs(name, options, torch, backend, seed):
    x = np.random.default_rng(seed).standard_normal((4, 5)) * 2

    assert_equal_to_second_order(
        torch, lambda x: getattr(F, name)(x, **options), torch_function(torch, name, options), [x], seed)


@like_torch
def test_the_derivative_at_a_kink_is_pytorchs(name, options, torch, backend):
    x = dl.tensor(KINKS, "float64", requires_grad=True)
    y = torch.tensor(KINKS, dtype=torch.float64, requires_grad=True)

    getattr(F, name)(x, **options).sum().backward()
    torch_function(torch, name, options)(y).sum().backward()

    assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@like_torch
def test_huge_numbers_give_finite_values_and_derivatives(name, options, backend, dtype):
    x = dl.tensor(HUGE, dtype=dtype, requires_grad=True)

    y = getattr(F, name)(x, **options)
    dl.sum(y * 0.5).backward()

    assert np.isfinite(y.numpy()).all()
    assert np.isfinite(x.grad.numpy()).all()


@fewer(2)
@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "glu"])
@given(seed=SEEDS)
def test_functions_along_an_axis_equal_pytorchs_to_second_order(name, axis, torch, backend, seed):
    x = np.random.default_rng(seed).standard_normal((4, 2, 6))
    reference = getattr(torch.nn.functional, name)

    assert_equal_to_second_order(
        torch, lambda x: getattr(F, name)(x, axis=axis), lambda x: reference(x, dim=axis), [x], seed)


@pytest.mark.parametrize("slopes", [(), (1,), (3,)])
def test_prelu_equals_pytorchs_for_one_slope_or_one_a_channel(slopes, torch, backend):
    random = np.random.default_rng(0)
    x, a = random.standard_normal((2, 3, 4)), np.abs(random.standard_normal(slopes)) / 4

    found = dl.grad(lambda x, a: dl.sum(F.prelu(x, a) * x), (0, 1))(dl.tensor(x), dl.tensor(a))

    tx = torch.tensor(x, requires_grad=True)
    ta = torch.tensor(a.reshape(-1), requires_grad=True)
    (torch.nn.functional.prelu(tx, ta) * tx).sum().backward()
    assert_allclose(found[0].numpy(), tx.grad.numpy(), rtol=1e-12)
    assert_allclose(found[1].numpy().reshape(-1), ta.grad.numpy(), rtol=1e-12)


# --- what is stated on the page of subgradients ----------------------------------------------------


@pytest.mark.parametrize(
    ("function", "slope"),
    [
        (F.relu, 0.0),
        (lambda x: F.leaky_relu(x, 0.1), 0.1),
        (F.step, 0.0),
        (F.relu6, 0.0),
        (lambda x: F.hardtanh(x, 0.0, 1.0), 0.0),
        (lambda x: F.hardtanh(x, -1.0, 0.0), 0.0),
        (F.elu, 1.0),
        (F.softsign, 1.0),
    ],
)
def test_the_slope_at_zero_is_the_one_that_was_chosen(function, slope, backend):
    assert dl.grad(function)(dl.tensor(0.0)).item() == pytest.approx(slope, abs=1e-7)


def test_step_is_one_where_its_argument_is_positive_and_has_no_slope_anywhere(backend):
    x = dl.tensor([-1.0, 0.0, 2.0], requires_grad=True)

    y = F.step(x)
    y.sum().backward()

    assert y.tolist() == [0.0, 0.0, 1.0]
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


# --- softmax where it is hard ----------------------------------------------------------------------


@given(seed=SEEDS, scale=st.sampled_from([1.0, 1e2, 1e4]))
def test_softmax_rows_sum_to_one_even_for_huge_inputs(backend, seed, scale):
    x = np.random.default_rng(seed).standard_normal((3, 5)) * scale

    rows = F.softmax(dl.tensor(x)).sum(axis=1)

    assert_allclose(rows.numpy(), 1.0, rtol=1e-12)


@given(seed=SEEDS)
def test_softmax_does_not_see_what_is_added_to_all(backend, seed):
    x = np.random.default_rng(seed).integers(-8, 8, (3, 5)).astype(float)

    assert_array_equal(F.softmax(dl.tensor(x + 1024.0)).numpy(), F.softmax(dl.tensor(x)).numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_of_minus_infinity_has_no_probability_and_breaks_no_gradient(backend, dtype):
    x = dl.tensor([[-np.inf, -np.inf], [-np.inf, 1.0]], dtype=dtype, requires_grad=True)

    p, logs = F.softmax(x), F.log_softmax(x)
    (p * dl.tensor([[2.0, 3.0], [4.0, 5.0]], dtype=dtype)).sum().backward()

    assert p.tolist() == [[0.0, 0.0], [0.0, 1.0]]
    assert logs.tolist() == [[-np.inf, -np.inf], [-np.inf, 0.0]]
    assert_array_equal(x.grad.numpy(), np.zeros((2, 2)))


def test_a_row_of_infinity_is_nan_as_it_should_be(backend):
    assert np.isnan(F.softmax(dl.tensor([np.inf, 1.0])).numpy()).any()


def test_half_precision_rows_of_their_lowest_number_are_even():
    x = dl.tensor([[-65504.0, -65504.0]], dtype="float16")

    assert F.softmax(x).tolist() == [[0.5, 0.5]]
    assert F.softmax(x).dtype == dl.float16


# --- memory ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [F.relu, F.sigmoid, F.softmax, F.log_softmax])
def test_only_the_result_is_kept(function):
    y = function(dl.tensor(np.ones((99, 99)), requires_grad=True))

    assert not hasattr(y.node.args[0], "__array__")  # described, not held
    assert y.node.out is y.array


# --- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.glu(x, axis=0), r"glu: axis 0 of shape \(3, 4\) has an odd size"),
        (lambda x: F.glu(x, axis=2), r"axis 2 is out of range for a 2-d tensor"),
        (lambda x: F.prelu(x, dl.ones(3)), r"prelu: weight has shape \(3,\), but x \(3, 4\) has 4"),
        (lambda x: F.gelu(x, "sigmoid"), "gelu: approximate must be 'none' or 'tanh', got 'sigm"),
        (lambda x: F.hardtanh(x, 1.0, 0.0), "hardtanh: min_val 1.0 is greater than max_val 0.0"),
        (lambda x: F.celu(x, 0.0), "celu: alpha must not be 0"),
        (lambda x: F.softmax(x, axis=2), r"softmax: axis 2 is out of range for a 2-d tensor"),
        (lambda x: F.log_softmax(x, axis=-3), r"log_softmax: axis -3 is out of range"),
    ],
)
def test_a_mistake_is_named(call, message, backend):
    with pytest.raises(ValueError, match=message):
        call(dl.ones((3, 4)))
