"""custom_vjp: a derivative of the user's own, at any order, in both modes, with tensors only."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import dlcore as dl
from dlcore import trees
from dlcore.tracing import trace

captures = pytest.mark.parametrize("forward", [
    lambda w: lambda x: (x * w, None), lambda w: lambda x: (x * 2.0, w * x), lambda w: lambda x: (w, None),
    lambda w: lambda x: (x * 1.0, w), lambda w: lambda x: (x * (w * 2.0).reshape(()), None)])


def variable(data, dtype=None):
    return dl.tensor(data, dtype, requires_grad=True)


def own(f, slope):
    """``f`` of one argument, whose derivative is said to be ``slope``."""
    return dl.custom_vjp(lambda x: (f(x), x), lambda x, g: g * slope(x))


softplus = own(lambda x: dl.log(1.0 + dl.exp(x)), lambda x: 1.0 / (1.0 + dl.exp(-x)))
hundred = dl.custom_vjp(lambda x: (dl.exp(x), dl.exp(x)), lambda saved, g: g * saved * 100.0)
both = dl.custom_vjp(lambda a, b: ((a * b, a + b), (a, b)),
                     lambda saved, g: (g[0] * saved[1] + g[1], g[0] * saved[0] + g[1]))


# --- what it computes -----------------------------------------------------------------------------


def test_the_value_is_that_of_forward_and_the_gradient_that_of_backward(backend):
    x = variable(0.0)

    y = hundred(x)
    y.backward()

    assert (y.item(), x.grad.item()) == (1.0, 100.0)


@given(x=st.floats(-3, 3))
def test_derivatives_of_any_order_are_those_of_the_rule(x, backend):
    x, f, exact = dl.tensor(x, "float64"), softplus, lambda x: dl.log(1.0 + dl.exp(x))

    for _ in range(3):
        f, exact = dl.grad(f), dl.grad(exact)
        assert_allclose(f(x).item(), exact(x).item(), rtol=1e-10, atol=1e-12)  # two ways to round


@given(x=st.floats(-3, 3), t=st.floats(-2, 2))
def test_forward_mode_follows_from_the_rule_in_every_nesting(x, t, backend):
    x, t = dl.tensor(x, "float64"), dl.tensor(t, "float64")
    second = dl.grad(dl.grad(softplus))(x).item() * t.item()

    assert_allclose(dl.jvp(softplus, [x], [t])[1].item(), dl.grad(softplus)(x).item() * t.item(), rtol=1e-12)
    assert_allclose(dl.jvp(dl.grad(softplus), [x], [t])[1].item(), second, rtol=1e-10, atol=1e-12)
    pushed_pulled = dl.grad(lambda x: dl.jvp(softplus, [x], [t])[1])(x)
    assert_allclose(pushed_pulled.item(), second, rtol=1e-10, atol=1e-12)
    assert_allclose(dl.hvp(softplus, x, t).item(), second, rtol=1e-10, atol=1e-12)


def test_a_saved_result_keeps_its_history_for_the_second_derivative(backend):
    def forward(x):
        y = dl.exp(x)
        return y, y

    f = dl.custom_vjp(forward, lambda y, g: g * y)

    for _ in range(3):
        f = dl.grad(f)
        assert f(dl.tensor(0.0)).item() == 1.0


def test_forward_may_leave_dlcore(backend):
    f = dl.custom_vjp(lambda x: (dl.tensor(np.exp(x.numpy())), np.exp(x.numpy())),
                      lambda saved, g: g * dl.tensor(saved))

    found = dl.grad(lambda x: f(x).sum())(dl.tensor([0.0, 1.0]))
    assert_allclose(found.numpy(), np.exp([0.0, 1.0]), rtol=1e-6)  # float32


def test_several_results_and_arguments(backend):
    f = lambda a, b: both(a, b)[0] * both(a, b)[1]  # ab(a + b)

    gradients = dl.grad(f, (0, 1))(dl.tensor(2.0), dl.tensor(3.0))
    blocks = dl.hessian(f, (0, 1))(dl.tensor(2.0), dl.tensor(3.0))

    assert trees.mapped(lambda x: x.item(), gradients) == (21.0, 16.0)
    assert trees.mapped(lambda x: x.item(), blocks) == ((6.0, 10.0), (10.0, 4.0))


def test_a_result_that_nobody_uses_has_a_cotangent_of_zeros(backend):
    a, b = variable(2.0), variable(3.0)

    first, second = both(a, b)
    del second
    first.backward()

    assert (a.grad.item(), b.grad.item()) == (3.0, 2.0)


def test_nested_arguments_have_nested_cotangents(backend):
    f = dl.custom_vjp(lambda p: (dl.sum(p["a"] * p["b"][0]), p),
                      lambda p, g: {"b": [dl.sum(g * p["a"])], "a": g * p["b"][0] * dl.ones(2)})

    found = dl.grad(f)({"a": dl.tensor([1.0, 2.0]), "b": [dl.tensor(3.0)]})

    assert trees.mapped(lambda g: g.tolist(), found) == {"a": [3.0, 3.0], "b": [3.0]}


def test_arguments_that_are_no_tensors_are_passed_on(backend):
    f = dl.custom_vjp(lambda x, n, how: (x * n, (n, how)), lambda saved, g: (g * saved[0], None, None))

    assert dl.grad(f)(dl.tensor(2.0), 3, "scaled").item() == 3.0


def test_none_is_a_cotangent_of_zeros_in_both_modes(backend):
    f = dl.custom_vjp(lambda a, b: (a * b, a), lambda a, g: (None, g * a))
    at = [dl.tensor(2.0), dl.tensor(5.0)]

    found = dl.grad(f, (0, 1))(*at)
    pushed = dl.jvp(f, at, [dl.tensor(7.0), dl.tensor(1.0)])[1]

    assert ([g.item() for g in found], pushed.item()) == ([0.0, 2.0], 2.0)


def test_integer_arguments_and_results_take_no_part(backend):
    f = dl.custom_vjp(lambda x, i: ((x[i], i + 1), (i, x)),
                      lambda saved, g: (dl.zeros_like(saved[1]).at[saved[0]].add(g[0]), None))
    x, i = dl.tensor([2.0, 3.0]), dl.tensor([1])

    value, pushed = dl.jvp(lambda x: f(x, i), [x], [dl.tensor([1.0, 5.0])])

    assert dl.grad(lambda x: dl.sum(f(x, i)[0]))(x).tolist() == [0.0, 1.0]
    assert (value[1].tolist(), pushed[0].tolist(), pushed[1].tolist()) == ([2], [5.0], [0])


def test_a_cotangent_is_given_in_the_dtype_of_its_argument(backend):
    f = dl.custom_vjp(lambda x: (dl.sum(x), None), lambda saved, g: dl.tensor([1.0, 2.0], "float64"))

    assert dl.grad(f)(dl.tensor([3.0, 4.0])).dtype == "float32"


def test_numbers_and_arrays_are_cotangents_too(backend):
    number = dl.custom_vjp(lambda x: (x * x, None), lambda saved, g: 3.0)
    array = dl.custom_vjp(lambda x: (dl.sum(x), None), lambda saved, g: np.array([1.0, 2.0]))

    assert dl.grad(number)(dl.tensor(2.0)).item() == 3.0
    assert dl.grad(array)(dl.tensor([3.0, 4.0])).tolist() == [1.0, 2.0]


# --- what its functions see -----------------------------------------------------------------------


def test_backward_sees_tensors_with_history_exactly_if_the_pass_is_recorded(backend):
    seen = []

    def backward(saved, g):
        seen.append((type(g), g.requires_grad, type(saved), saved.requires_grad))
        return g * saved

    f = dl.custom_vjp(lambda x: (dl.exp(x), dl.exp(x)), backward)
    x = variable([1.0, 2.0])

    f(x).sum().backward()
    f(x).sum().backward(create_graph=True)

    assert seen == [(dl.Tensor, False, dl.Tensor, False), (dl.Tensor, False, dl.Tensor, True)]


def test_backward_may_not_compute_with_raw_arrays(backend):
    f = dl.custom_vjp(lambda x: (x * 1.0, None), lambda saved, g: g * dl.exp(np.float32(1.0)))

    with pytest.raises(TypeError, match=r"exp: needs a tensor, got float32; make one with dl.tensor"):
        dl.grad(f)(dl.tensor(1.0))


def test_transforms_work_inside_forward_and_backward(backend):
    f = dl.custom_vjp(lambda x: (dl.grad(lambda z: z * z * x)(dl.tensor(3.0)), x),
                      lambda x, g: g * dl.grad(lambda z: z * z)(x))

    assert f(variable(2.0)).item() == 12.0
    assert dl.grad(f)(dl.tensor(2.0)).item() == 4.0
    assert dl.grad(dl.grad(f))(dl.tensor(2.0)).item() == 2.0


def test_without_derivatives_only_forward_runs(backend):
    def backward(saved, g):
        raise AssertionError

    f = dl.custom_vjp(lambda x: (x * 2.0, x), backward)

    with dl.no_grad():
        assert not f(variable(2.0)).requires_grad
    assert f(dl.tensor(2.0)).node is None


def test_it_is_traced_like_any_function():
    x = dl.tensor([0.5, 1.5])
    f = lambda x: dl.sum(hundred(x))

    for derived in (f, dl.grad(f), lambda x: dl.jvp(hundred, [x], [x])[1], dl.hessian(f)):
        np.testing.assert_array_equal(trace(derived, x)(x).numpy(), derived(x).numpy())


# --- memory ---------------------------------------------------------------------------------------


def test_the_result_is_a_new_value_and_no_cycle_is_left(backend):
    def forward(x):
        y = dl.exp(x)
        return y, y

    gc.disable()
    try:
        x = variable([1.0, 2.0])
        y = dl.custom_vjp(forward, lambda y, g: g * y)(x)
        node, value = weakref.ref(y.node), weakref.ref(y)
        y.sum().backward(create_graph=True)
        x.grad = None
        del y
        assert (node(), value()) == (None, None)
    finally:
        gc.enable()


def test_an_argument_that_is_returned_comes_back_as_a_new_value(backend):
    x = variable([1.0, 2.0])

    y = dl.custom_vjp(lambda x: (x, None), lambda saved, g: g * 10.0)(x)
    y.sum().backward()

    assert y is not x
    assert x.grad.tolist() == [10.0, 10.0]


# --- what is refused ------------------------------------------------------------------------------


@captures
@pytest.mark.parametrize("requires_grad", [True, False])
def test_a_captured_tensor_that_requires_a_gradient_is_refused(forward, requires_grad, backend):
    f = dl.custom_vjp(forward(variable(3.0)), lambda saved, g: g)

    with pytest.raises(ValueError, match=r"requires a gradient and is not an argument; .*detach\(\)"):
        f(dl.tensor(2.0, requires_grad=requires_grad))


@captures
def test_a_captured_constant_is_fine(forward, backend):
    f = dl.custom_vjp(forward(dl.tensor(3.0)), lambda saved, g: g)

    assert dl.grad(f)(dl.tensor(2.0)).item() == 1.0


@pytest.mark.parametrize(("returned", "error", "message"), [
    (lambda g: (g,), ValueError, "must return 2 cotangents, one for each argument, got a tuple of 1"),
    (lambda g: (g, g, g), ValueError, "must return 2 cotangents, .* got a tuple of 3"),
    (lambda g: g, ValueError, "must return 2 cotangents, .* got a Tensor"),
    (lambda g: None, ValueError, "must return 2 cotangents, .* got a NoneType"),
    (lambda g: (g, dl.ones(2)), ValueError, r"returned for argument 1 has shape \(2,\), not \(\)"),
    (lambda g: (g, [g, g]), ValueError, "for argument 1 must be nested like that argument"),
    (lambda g: (g, "wrong"), TypeError, "holds numbers")])
def test_cotangents_that_do_not_fit_are_refused(returned, error, message, backend):
    f = dl.custom_vjp(lambda a, b: (a * b, None), lambda saved, g: returned(g))

    with pytest.raises(error, match=message):
        dl.grad(f)(dl.tensor(2.0), dl.tensor(3.0))


@pytest.mark.parametrize("returned", [lambda x: x, lambda x: (x, x, x), lambda x: None, lambda x: [x, x]])
def test_forward_must_return_a_result_and_what_is_saved(returned, backend):
    f = dl.custom_vjp(returned, lambda saved, g: g)

    for x in (dl.tensor([1.0, 2.0]), variable([1.0, 2.0])):
        with pytest.raises(TypeError, match="forward must return two things, the result and what"):
            f(x)
