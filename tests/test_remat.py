"""remat: the same values and derivatives, without the memory of what lies between."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore.history import HistoryError, walk
from dlcore.testing.strategies import SEEDS
from dlcore.tracing import trace


def variable(data, dtype=None):
    return dl.tensor(data, dtype, requires_grad=True)


def wave(x):
    return dl.sum(dl.sin(x) * x + dl.exp(-x) / (1.0 + x * x))


DERIVED = [lambda f: f, dl.grad, dl.hessian, lambda f: lambda x: dl.jvp(f, [x], [x])[1],
           lambda f: lambda x: dl.hvp(f, x, x), lambda f: dl.grad(lambda x: dl.jvp(f, [x], [x])[1]),
           lambda f: dl.grad(lambda x: dl.sum(dl.grad(f)(x) * dl.grad(f)(x)))]


@pytest.mark.parametrize("derived", DERIVED)
@given(seed=SEEDS)
def test_values_and_derivatives_are_the_same_bit_for_bit(derived, seed, backend):
    x = dl.tensor(np.random.default_rng(seed).uniform(-2, 2, 3))

    assert_array_equal(derived(dl.remat(wave))(x).numpy(), derived(wave)(x).numpy())


@pytest.mark.parametrize("derived", DERIVED)
def test_it_is_traced_like_any_function(derived):
    x, w = dl.tensor([0.5, 1.5]), variable(2.0)
    f = dl.remat(lambda x: wave(x * w))

    assert_array_equal(trace(derived(f), x)(x).numpy(), derived(f)(x).numpy())


def test_calls_nest(backend):
    x = dl.tensor([0.5, 1.5], "float64")
    twice = dl.remat(lambda x: dl.remat(wave)(x) * wave(x))

    expected = dl.grad(lambda x: wave(x) * wave(x))(x).numpy()
    assert_allclose(dl.grad(twice)(x).numpy(), expected, rtol=1e-14)  # sums in another order


def test_the_function_sees_tensors_however_often_it_runs(backend):
    seen = []

    def f(x):
        seen.append((type(x), type(w)))
        return x * w

    x, w = variable(2.0), variable(3.0)
    dl.remat(f)(x).backward()
    dl.remat(f)(x).backward(create_graph=True)

    assert seen == [(dl.Tensor, dl.Tensor)] * 4


# --- what it keeps --------------------------------------------------------------------------------


def test_inner_values_are_dropped_at_once(backend):
    nodes = []

    def deep(x):
        for _ in range(5):
            x = dl.exp(-x)
            nodes.append(weakref.ref(x.node))
        return x

    gc.disable()
    try:
        y = dl.remat(deep)(variable([1.0, 2.0]))
        assert [n() for n in nodes] == [None] * 5
        assert len(walk([y.node])[0]) == 4  # one of several results, the call, its arguments in one, the leaf
        y.sum().backward(create_graph=True)
        del y
        assert all(n() is None for n in nodes[:5])
    finally:
        gc.enable()


def test_without_derivatives_it_is_the_function_itself(backend):
    with dl.no_grad():
        assert not dl.remat(wave)(variable([1.0])).requires_grad
    assert dl.remat(wave)(dl.tensor([1.0])).node is None


# --- what a function captures ---------------------------------------------------------------------


def test_a_captured_parameter_gets_its_gradient(backend):
    w, x = variable(2.0), variable(3.0)

    dl.remat(lambda x: w * x * w)(x).backward()

    assert (w.grad.item(), x.grad.item()) == (12.0, 4.0)


def test_a_captured_parameter_gets_its_gradient_beside_constant_arguments(backend):
    w = variable(2.0)

    dl.remat(lambda x: w * x * w)(dl.tensor(3.0)).backward()

    assert w.grad.item() == 12.0


def test_what_was_computed_outside_is_differentiated_outside(backend):
    w = variable(2.0)
    outside = w * w

    dl.remat(lambda x: outside * x * outside)(dl.tensor(3.0)).backward()

    assert w.grad.item() == 96.0


def test_a_second_derivative_reaches_a_captured_parameter(backend):
    w, x = variable(2.0), variable(3.0)

    dl.remat(lambda x: w * x * w * x)(x).backward(create_graph=True)
    slope = w.grad  # 2 w x**2
    w.grad = x.grad = None
    slope.backward()

    assert (slope.item(), w.grad.item(), x.grad.item()) == (36.0, 18.0, 24.0)


def test_replacing_the_data_of_a_captured_parameter_before_the_pass_does_not_change_the_gradient(backend):
    w, x = variable(2.0), variable(3.0)
    y = dl.remat(lambda x: w * x * w)(x)

    w.data = dl.tensor(100.0)
    y.backward()

    assert (w.grad.item(), x.grad.item(), w.item()) == (12.0, 4.0, 100.0)


def test_a_captured_parameter_that_is_returned_passes_its_gradient(backend):
    w, x = variable(2.0), variable(3.0)

    same, product = dl.remat(lambda x: (w, x * w))(x)
    (same * product).backward()

    assert (w.grad.item(), x.grad.item()) == (12.0, 4.0)


def test_the_point_of_an_inner_gradient_is_nothing_that_was_captured(backend):
    f = lambda x: dl.grad(lambda z: z * z * x)(dl.tensor(3.0)) * x

    assert dl.grad(dl.remat(f))(dl.tensor(2.0)).item() == dl.grad(f)(dl.tensor(2.0)).item() == 24.0


# --- results --------------------------------------------------------------------------------------


def test_arguments_and_results_are_trees_and_what_has_no_history_comes_back_as_it_is(backend):
    f = dl.remat(lambda p, n: {"live": [p["a"] * n], "constant": dl.tensor(5.0), "index": dl.argmax(p["a"]),
                               "name": "f", "count": 7, "none": None})
    a = variable([1.0, 2.0])

    found = f({"a": a}, 3)
    found["live"][0].sum().backward()

    assert a.grad.tolist() == [3.0, 3.0]
    assert not found["constant"].requires_grad
    assert (found["index"].item(), found["name"], found["count"], found["none"]) == (1, "f", 7, None)


def test_one_of_two_results_may_be_dropped(backend):
    x = variable(1.0)

    first, second = dl.remat(lambda x: (x * 2.0, x * 3.0))(x)
    del first
    second.backward()

    assert x.grad.item() == 3.0


def test_a_value_that_is_returned_twice_or_untouched_gets_every_cotangent(backend):
    f = dl.remat(lambda x: (x, x * 1.0, x))

    assert dl.grad(lambda x: sum(f(x)))(dl.tensor(1.0)).item() == 3.0
    assert [t.item() for t in dl.jvp(f, [dl.tensor(1.0)], [dl.tensor(5.0)])[1]] == [5.0] * 3


def test_a_second_pass_needs_retain_graph_here_too(backend):
    x = variable(3.0)
    y = dl.remat(lambda x: x * x)(x)
    y.backward(retain_graph=True)
    y.backward()

    with pytest.raises(HistoryError, match="retain_graph=True"):
        y.backward()
    assert x.grad.item() == 12.0


# --- random numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [True, False])
def test_random_draws_repeat_in_the_backward_pass_and_go_on_after_it(own, backend):
    generator = dl.random.Generator(7) if own else dl.random.default_generator
    x = variable(np.ones(3))

    def noisy(x):
        return dl.sum(x * generator.uniform(3) + dl.random.uniform(3, dtype="float64"))

    y = dl.remat(noisy)(x)
    generator.uniform(5)
    before = generator.state
    value = y.item()
    y.backward(retain_graph=True)
    first = x.grad
    x.grad = None
    y.backward()

    assert generator.state == before
    assert first.tolist() == x.grad.tolist()
    assert 0.0 < first.sum().item() < value


def test_random_draws_repeat_in_nested_calls(backend):
    generator = dl.random.Generator(3)
    noisy = dl.remat(lambda x: dl.remat(lambda x: x * generator.uniform())(x) * generator.uniform())

    value, slope = dl.value_and_grad(noisy)(dl.tensor(1.0))

    assert value.item() == slope.item()
    assert generator.state == (3, 2)
