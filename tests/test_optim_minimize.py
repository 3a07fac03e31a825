"""SciPy's minimizers over tensors: every method finds the minimum, in the structure that it was given."""

import math

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose

import dlcore as dl
from dlcore import nn, optim
from dlcore.optim import minimizing
from dlcore.testing.strategies import SEEDS
from tests.strategies import fewer

METHODS = list(minimizing.METHODS.values())


def rosenbrock(p):
    return (1.0 - p["a"]) ** 2 + 10.0 * dl.sum((p["b"][0] - p["a"] ** 2) ** 2)


def start():
    return {"a": dl.tensor(0.2, "float64"), "b": [dl.tensor([0.3, -0.4], "float64")]}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_minimum_in_the_structure_it_was_given(method):
    options = {"trust-constr": {"gtol": 1e-9}, "Nelder-Mead": {"xatol": 1e-7, "fatol": 1e-12}}.get(method)
    if method in ("dogleg", "COBYLA"):  # one wants a convex function, the other is slow in a bent valley
        found = optim.minimize(lambda p: p["a"] ** 4 + p["a"] ** 2 + dl.sum((p["b"][0] - 1.0) ** 2), start(),
                               method)
        expected = 0.0
    else:
        found = optim.minimize(rosenbrock, start(), method, options=options)
        expected = 1.0

    assert found.success, found.message
    assert found.fun == pytest.approx(0.0, abs=1e-6)
    assert (found.x["a"].dtype, found.x["b"][0].shape) == (dl.float64, (2,))
    assert_allclose(found.x["a"].item(), expected, atol=2e-3)
    assert_allclose(found.x["b"][0].numpy(), [1.0, 1.0], atol=4e-3)


def test_the_values_are_on_the_backend_of_the_start(backend):
    found = optim.minimize(rosenbrock, {"a": dl.tensor(0.2, "float64"), "b": [dl.zeros(2, "float64")]})

    assert found.x["a"].backend == backend.name
    assert_allclose(found.x["b"][0].numpy(), [1.0, 1.0], atol=1e-3)


@fewer(2)
@pytest.mark.parametrize("method", ["L-BFGS-B", "trust-krylov", "Newton-CG", "trust-exact"])
@given(seed=SEEDS)
def test_a_quadratic_form_is_solved(method, seed):
    random = np.random.default_rng(seed)
    a = random.standard_normal((3, 3))
    a, b = dl.tensor(a @ a.T + np.eye(3)), dl.tensor(random.standard_normal(3))

    found = optim.minimize(lambda x: x @ a @ x / 2 - b @ x, dl.zeros(3, "float64"), method, tol=1e-10)

    assert_allclose(found.x.numpy(), np.linalg.solve(a.numpy(), b.numpy()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-krylov", "trust-exact"])
def test_second_derivatives_make_few_iterations(method):
    calls = []

    def f(x):
        calls.append(x.node is not None)
        return dl.sum(dl.exp(x) - 2.0 * x)

    found = optim.minimize(f, dl.zeros(4, "float64"), method, tol=1e-8)

    assert found.nit <= 8
    assert_allclose(found.x.numpy(), [math.log(2.0)] * 4, atol=1e-6)


@pytest.mark.parametrize("method", ["L-BFGS-B", "trust-krylov", "Nelder-Mead"])
def test_a_module_is_filled_with_the_minimum(method):
    x = np.random.default_rng(0).standard_normal((20, 2))
    layer = nn.Linear(2, 1).to(dl.float64)
    features, targets = dl.tensor(x), dl.tensor(x @ [[2.0], [-3.4]] + 4.2)
    parameters, nodes = list(layer.parameters()), [p.node for p in layer.parameters()]

    found = optim.minimize(lambda m: dl.mean((m(features) - targets) ** 2), layer, method, tol=1e-10)

    assert found.x is layer
    assert all(p is q and p.node is n for p, q, n in zip(layer.parameters(), parameters, nodes, strict=True))
    assert_allclose(layer.weight.numpy(), [[2.0, -3.4]], atol=1e-4)
    assert_allclose(layer.bias.numpy(), [4.2], atol=1e-4)


def test_frozen_parameters_stay():
    layer = nn.Linear(2, 1)
    layer.bias.requires_grad = False
    before = layer.bias.array

    optim.minimize(lambda m: dl.sum((m.weight - 1.0) ** 2) + dl.sum(m.bias), layer)

    assert layer.bias.array is before
    assert_allclose(layer.weight.numpy(), [[1.0, 1.0]], atol=1e-4)


def test_a_module_whose_loss_fails_keeps_its_parameters():
    layer = nn.Linear(2, 1)
    nodes, arrays = [p.node for p in layer.parameters()], [p.array for p in layer.parameters()]

    with pytest.raises(ZeroDivisionError):
        optim.minimize(lambda m: 1 / 0, layer)

    assert [p.node for p in layer.parameters()] == nodes
    assert all(p.array is a for p, a in zip(layer.parameters(), arrays, strict=True))


def test_float32_and_numbers_are_taken_as_they_are():
    found = optim.minimize(lambda p: (p[0] - 2.0) ** 2 + dl.sum((p[1] - 1.0) ** 2), [0.5, dl.zeros(2)])

    assert [x.dtype for x in found.x] == [dl.float32, dl.float32]
    assert_allclose(found.x[0].item(), 2.0, atol=1e-3)
    assert_allclose(found.x[1].numpy(), [1.0, 1.0], atol=1e-3)


@pytest.mark.parametrize("method", ["L-BFGS-B", "TNC", "SLSQP", "trust-constr", "Powell", "Nelder-Mead"])
def test_bounds_hold(method):
    bounds = {"a": (None, 0.5), "b": [(np.array([-1.0, 2.0]), None)]}

    found = optim.minimize(lambda p: dl.sum((p["b"][0] - 1.0) ** 2) + (p["a"] - 1.0) ** 2, start(), method,
                           bounds=bounds)

    assert_allclose(found.x["a"].item(), 0.5, atol=1e-3)
    assert_allclose(found.x["b"][0].numpy(), [1.0, 2.0], atol=1e-3)


def test_what_a_dict_of_bounds_does_not_name_is_free():
    found = optim.minimize(lambda p: dl.sum((p["b"][0] - 1.0) ** 2) + (p["a"] - 1.0) ** 2, start(),
                           bounds={"a": (0.0, 0.5)})

    assert_allclose(found.x["b"][0].numpy(), [1.0, 1.0], atol=1e-4)


def test_bounds_of_a_module_go_by_the_names_of_its_parameters():
    layer = nn.Linear(1, 1).to(dl.float64)

    optim.minimize(lambda m: dl.mean((m.weight + 5.0) ** 2 + (m.bias - 3.0) ** 2), layer,
                   bounds={"weight": (0.0, None)})

    assert (layer.weight.item(), layer.bias.item()) == (pytest.approx(0.0), pytest.approx(3.0, abs=1e-4))


@pytest.mark.parametrize("method", ["L-BFGS-B", "trust-constr", "Nelder-Mead"])
def test_the_callback_sees_every_iteration_in_the_structure_of_the_start(method):
    seen = []

    found = optim.minimize(rosenbrock, start(), method, callback=lambda p: seen.append(rosenbrock(p).item()),
                           options={"maxiter": 5})

    assert 4 <= len(seen) <= 6
    assert seen[-1] == pytest.approx(found.fun)
    assert not found.success
    assert found.message


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: optim.minimize(rosenbrock, start(), "Newton"), "unknown method 'Newton'; known"),
        (ValueError, lambda: optim.minimize(rosenbrock, start(), "BFGS", bounds={"a": (0, 1)}),
         "minimize: BFGS takes no bounds; those that do: COBYLA"),
        (ValueError, lambda: optim.minimize(rosenbrock, start(), bounds={"c": (0, 1)}),
         r"minimize: bounds must be a dict with keys among \['a', 'b'\], got \['c'\]"),
        (ValueError, lambda: optim.minimize(rosenbrock, start(), bounds={"a": 1.0}),
         r"minimize: bounds\['a'\] must be a pair \(low, high\) of numbers, arrays or None .* got 1.0"),
        (ValueError, lambda: optim.minimize(dl.sum, dl.zeros(2), bounds=[(0, 1), (0, 5)]),
         r"bounds must be a pair \(low, high\) .* got \[\(0, 1\), \(0, 5\)\]"),
        (ValueError, lambda: optim.minimize(rosenbrock, start(), bounds={"b": [(0, 1), (0, 1)]}),
         r"minimize: bounds\['b'\] must have 1 entries, one for each of x0"),
        (ValueError, lambda: optim.minimize(dl.sum, dl.zeros(2), bounds=(np.zeros(3), None)),
         r"a bound of shape \(3,\) does not fit a tensor of shape \(2,\)"),
        (ValueError, lambda: optim.minimize(lambda x: x * x, dl.zeros(2)),
         r"must return a scalar tensor, it returned shape \(2,\)"),
        (ValueError, lambda: optim.minimize(lambda x: 1.0, dl.zeros(2)), "it returned a float"),
        (ValueError, lambda: optim.minimize(lambda x: x, dl.zeros(0)), "x0 holds no number to change"),
        (ValueError, lambda: optim.minimize(lambda x: x, {}), "x0 holds no number to change"),
        (TypeError, lambda: optim.minimize(dl.sum, dl.arange(3)),
         r"minimize: x0 has a tensor of int64\(3,\); make it one of floats"),
    ],
)
def test_a_mistake_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
