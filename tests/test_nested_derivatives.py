"""Derivatives of derivatives: right in every nesting, on the cheap path wherever nobody can ask for more.

A pass is recorded only if something outside what its transform watches is reached; each law says which
path ran, in the order in which the passes ran.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import dlcore as dl
from dlcore import core
from dlcore.history import walk

RAW, RECORDED = False, True


@pytest.fixture
def paths(monkeypatch):
    """Which passes ran so far: for each whether it was recorded."""
    ran = []

    def watched(run):
        def watching(*args, recorded, **how):
            ran.append(recorded)
            return run(*args, recorded=recorded, **how)

        return watching

    for name in ("pullback", "pushforward"):
        monkeypatch.setattr(core, name, watched(getattr(core, name)))
    return ran


def variable(data, dtype=None):
    return dl.tensor(data, dtype, requires_grad=True)


def cube(x):
    return x * x * x


# --- which path runs ------------------------------------------------------------------------------


def test_a_gradient_of_a_constant_runs_on_raw_arrays_and_is_one(backend, paths):
    g = dl.grad(cube)(dl.tensor(2.0))

    assert g.item() == 12.0
    assert not g.requires_grad
    assert paths == [RAW]


def test_a_gradient_of_a_gradient_records_the_inner_pass_only(backend, paths):
    assert dl.grad(dl.grad(cube))(dl.tensor(2.0)).item() == 12.0
    assert paths == [RECORDED, RAW]


def test_a_third_derivative_records_all_but_the_outermost_pass(backend, paths):
    d3 = dl.grad(dl.grad(dl.grad(lambda x: cube(x) * x)))(dl.tensor(2.0))

    assert d3.item() == 48.0
    assert not d3.requires_grad
    assert paths == [RECORDED, RECORDED, RAW]


def test_an_inner_gradient_over_a_captured_value_sees_the_outer_variable(backend, paths):
    """The trap of perturbation confusion: d/dx [x * d/dy (x * y)] is 2x."""
    found = dl.grad(lambda x: x * dl.grad(lambda y: x * y)(dl.tensor(1.0)))(dl.tensor(3.0))

    assert found.item() == 6.0
    assert not found.requires_grad
    assert paths == [RECORDED, RAW]


def test_the_point_where_an_inner_gradient_was_taken_is_nothing_from_outside(backend, paths):
    """Its rule reads y, which only the inner transform watched: nobody can ask for that any more."""
    found = dl.grad(lambda x: dl.grad(lambda y: x * y * y)(dl.tensor(3.0)))(dl.tensor(2.0))

    assert found.item() == 6.0
    assert not found.requires_grad
    assert paths == [RECORDED, RAW]


def test_a_gradient_through_the_cotangent_of_a_pull_function(backend, paths):
    _, pull = dl.vjp(cube, dl.tensor(2.0))

    found = dl.grad(lambda g: dl.square(pull(g)[0]))(dl.tensor(1.0))

    assert found.item() == 288.0
    assert paths[0] is RECORDED


def test_a_pull_function_tells_constants_from_cotangents_with_history(backend, paths):
    g = variable(1.0)
    _, pull = dl.vjp(cube, dl.tensor(2.0))

    constant, linked = pull(dl.tensor(1.0))[0], pull(g)[0]
    linked.backward()

    assert (constant.item(), constant.requires_grad) == (12.0, False)
    assert g.grad.item() == 12.0
    assert paths == [RAW, RECORDED, RAW]


def test_a_forward_derivative_of_a_gradient(backend, paths):
    value, slope = dl.jvp(dl.grad(cube), [dl.tensor(2.0)], [dl.tensor(1.0)])

    assert (value.item(), slope.item()) == (12.0, 12.0)
    assert not value.requires_grad
    assert not slope.requires_grad
    assert paths == [RECORDED, RAW]


def test_a_gradient_of_a_forward_derivative_in_its_point(backend, paths):
    found = dl.grad(lambda x: dl.jvp(cube, [x], [dl.tensor(1.0)])[1])(dl.tensor(2.0))

    assert found.item() == 12.0
    assert paths == [RECORDED, RAW]


def test_a_gradient_of_a_forward_derivative_in_its_direction(backend, paths):
    found = dl.grad(lambda t: dl.jvp(cube, [dl.tensor(2.0)], [t])[1])(dl.tensor(1.0))

    assert found.item() == 12.0
    assert not found.requires_grad
    assert paths == [RECORDED, RAW]


def test_a_forward_derivative_of_a_forward_derivative(backend, paths):
    one = dl.tensor(1.0)

    _, found = dl.jvp(lambda x: dl.jvp(cube, [x], [one])[1], [dl.tensor(2.0)], [one])

    assert found.item() == 12.0
    assert paths == [RECORDED, RAW]


def test_a_penalty_on_the_gradient_reaches_a_captured_parameter(backend, paths):
    w = variable([3.0])

    slope = dl.grad(lambda x: dl.sum(w * x * x))(dl.tensor([2.0]))  # 2 w x
    dl.sum(slope * slope).backward()  # d/dw (2 w x)**2 = 8 w x**2

    assert w.grad.tolist() == [96.0]
    assert paths == [RECORDED, RAW]


def test_a_leaf_that_is_made_inside_a_function_is_outside_what_is_watched(backend, paths):
    made = []

    def f(x):
        made.append(variable(3.0))
        return made[0] * x * x

    dl.grad(f)(dl.tensor(2.0)).backward()

    assert made[0].grad.item() == 4.0
    assert paths == [RECORDED, RAW]


def test_only_what_leads_to_a_watched_argument_is_computed(backend):
    w, ran = variable(3.0), []

    def rule(position):
        def pulled(g, out, x, y):
            ran.append(position)
            return g * (y, x)[position]

        return pulled

    product = core.Primitive("product", lambda xp, x, y: x * y, lambda s, t: s, (rule(0), rule(1)))

    assert dl.grad(lambda x: product(x, w))(dl.tensor(2.0)).item() == 3.0
    assert ran == [0]


def test_an_output_that_a_recorded_rule_reads_gathers_with_the_one_that_was_used(backend):
    """Both lead to the same place of a node with several outputs: d/dx (exp(x) * exp(x)) at 0."""
    both = core.Primitive("both", lambda xp, x: (xp.exp(x), x * x), None,
                          (lambda gs, outs, x: gs[0] * outs[0],), outputs=tuple)
    x = variable(0.0)

    first, _ = both(x)
    first.backward(create_graph=True)
    slope = x.grad
    x.grad = None
    (first * slope).backward()

    assert x.grad.item() == 2.0


def test_a_gradient_in_an_argument_with_history_is_linked_to_that_history(backend, paths):
    x = variable(2.0)

    slope = dl.grad(cube)(x * x)  # 3 x**4
    slope.backward()

    assert slope.item() == 48.0
    assert x.grad.item() == 96.0
    assert paths == [RECORDED, RAW]


def test_a_gradient_under_no_grad_is_a_constant_from_a_raw_pass(backend, paths):
    x, w = variable(2.0), variable(3.0)

    with dl.no_grad():
        value, slope = dl.value_and_grad(lambda x: w * x * x)(x)
        second = dl.grad(dl.grad(cube))(x)

    assert (value.item(), slope.item(), second.item()) == (12.0, 12.0, 12.0)
    assert not any(y.requires_grad for y in (value, slope, second))
    assert paths == [RAW, RECORDED, RAW]


def test_no_grad_inside_a_function_makes_constants_of_what_it_holds(backend):
    @dl.no_grad()
    def frozen(x):
        return x * x

    assert dl.grad(lambda x: frozen(x) * x)(dl.tensor(3.0)).item() == 9.0


def test_backward_inside_a_function_that_is_differentiated_stays_inside(backend):
    w = variable(3.0)

    def f(x):
        (w * x.detach()).backward()
        return x * x

    assert dl.grad(f)(dl.tensor(2.0)).item() == 4.0
    assert w.grad.item() == 2.0


# --- results carry history only where something outside was reached -------------------------------


@pytest.mark.parametrize("derive", [
    lambda f, x: dl.grad(f)(x), lambda f, x: dl.value_and_grad(f)(x)[0], lambda f, x: dl.vjp(f, x)[0],
    lambda f, x: dl.vjp(f, x)[1](dl.tensor(1.0))[0], lambda f, x: dl.jvp(f, [x], [x])[0],
    lambda f, x: dl.jvp(f, [x], [x])[1], lambda f, x: dl.hvp(f, x, x), lambda f, x: dl.jacobian(f)(x),
    lambda f, x: dl.hessian(f)(x)])
def test_a_result_has_history_exactly_if_the_function_or_the_argument_has(derive, backend):
    w, x = variable(3.0), dl.tensor(2.0)

    assert not derive(cube, x).requires_grad
    assert derive(lambda x: w * cube(x), x).requires_grad
    assert derive(cube, variable(2.0)).requires_grad


def test_nothing_grows_from_step_to_step(backend):
    """Gradient steps on a tensor, with a gradient taken inside, as meta-learning does."""
    slope = dl.grad(lambda w: dl.grad(lambda x: w * x * x)(dl.tensor(3.0)))
    curve = dl.grad(lambda t, w: dl.jvp(cube, [w], [t])[1])
    w = dl.tensor(1.0)

    for _ in range(3):
        w = w - 0.1 * slope(w) - 1e-3 * curve(dl.tensor(1.0), w)

    assert w.node is None


def test_the_outer_history_that_a_transform_stops_at_is_not_walked(backend):
    x = variable(1.5)
    long = x
    for _ in range(50):
        long = long * 1.0
    since = long.node.age

    slope = dl.grad(lambda z: z * z * long)(dl.tensor(2.0))
    order, outside = walk([slope.node], since + 1)

    assert len(order) < 20
    assert long.node in outside


def test_the_value_of_a_function_of_nothing_watched_is_itself(backend):
    w = variable(5.0)

    value, slope = dl.value_and_grad(lambda x: w * 1.0)(dl.tensor(2.0))
    value.backward()

    assert slope.item() == 0.0
    assert w.grad.item() == 1.0


# --- laws -----------------------------------------------------------------------------------------


def smooth(w):
    """A function of a vector that mixes its elements and has derivatives of every order."""
    return lambda x: dl.sum(dl.tanh(dl.matmul(w, x)) * dl.exp(-x) + dl.sin(x) / (1.0 + x * x))


POINTS = st.integers(0, 2**32 - 1)


@given(seed=POINTS)
def test_forward_over_reverse_is_reverse_over_forward_is_reverse_over_reverse(seed, backend):
    rng = np.random.default_rng(seed)
    w, x, v = (dl.tensor(rng.uniform(-1, 1, shape)) for shape in ((3, 3), (3,), (3,)))
    f = smooth(w)

    forward_over_reverse = dl.hvp(f, x, v)

    reverse_over_forward = dl.grad(lambda x: dl.jvp(f, [x], [v])[1])(x)
    reverse_over_reverse = dl.grad(lambda x: dl.sum(dl.grad(f)(x) * v))(x)
    for other in (reverse_over_forward, reverse_over_reverse, dl.matmul(dl.hessian(f)(x), v)):
        assert_allclose(other.numpy(), forward_over_reverse.numpy(), rtol=1e-12, atol=1e-13)  # rounding


@given(seed=POINTS)
def test_a_hessian_is_symmetric_and_finite_differences_agree(seed, backend):
    rng = np.random.default_rng(seed)
    w, x = dl.tensor(rng.uniform(-1, 1, (3, 3))), rng.uniform(-1, 1, 3)
    step = 1e-5

    found = dl.hessian(smooth(w))(dl.tensor(x)).numpy()

    slope = dl.grad(smooth(w))
    rows = [(slope(dl.tensor(x + step * e)).numpy() - slope(dl.tensor(x - step * e)).numpy()) / (2 * step)
            for e in np.eye(3)]
    assert_allclose(found, found.T, rtol=1e-10, atol=1e-12)  # rounding
    assert_allclose(found, rows, rtol=1e-6, atol=1e-8)  # truncation step**2, rounding 1e-15 / step


@given(seed=POINTS)
def test_pulling_and_pushing_are_adjoint(seed, backend):
    rng = np.random.default_rng(seed)
    w, x, v, u = (dl.tensor(rng.uniform(-1, 1, shape)) for shape in ((3, 3), (3,), (3,), (3,)))

    def f(x):
        return dl.tanh(dl.matmul(w, x)) * x

    pushed, pulled = dl.jvp(f, [x], [v])[1], dl.vjp(f, x)[1](u)[0]

    assert_allclose(dl.sum(u * pushed).item(), dl.sum(pulled * v).item(), rtol=1e-12, atol=1e-13)


@given(order=st.integers(1, 6), x=st.floats(-1, 1))
def test_the_derivatives_of_a_power_series_at_any_order(order, x, backend):
    """The n-th derivative of exp(2x) is 2**n exp(2x)."""
    f = lambda x: dl.exp(2.0 * x)
    for _ in range(order):
        f = dl.grad(f)

    assert_allclose(f(dl.tensor(x, "float64")).item(), 2.0**order * np.exp(2.0 * x), rtol=1e-12)


@given(seed=POINTS)
def test_a_gradient_with_respect_to_two_levels_at_once_keeps_them_apart(seed, backend):
    a, b, c = np.random.default_rng(seed).integers(-5, 6, 3).tolist()

    def outer(x):
        def inner(y):
            return x * x * y + dl.grad(lambda z: x * y * z * z)(dl.tensor(float(c)))

        return dl.grad(inner)(dl.tensor(float(b)))  # x**2 + 2 c x

    assert dl.grad(outer)(dl.tensor(float(a))).item() == 2 * a + 2 * c
