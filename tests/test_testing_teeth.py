"""The check of derivatives raises no false alarm, sees what can be seen, and says what cannot."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore.core import Primitive
from dlcore.testing import GradientError, check_grads, grad_errors
from dlcore.testing.differences import EPSILON, first_step, many_steps
from dlcore.testing.strategies import SEEDS

POINT = np.array([[0.3, -1.2, 0.7], [1.1, 0.4, -0.6]])


def smooth(seed):
    """A random smooth function of one array, of a few layers, and where to look at it."""
    rng = np.random.default_rng(seed)
    layers = rng.choice(["tanh", "sin", "exp", "sigmoid", "square", "softplus"], rng.integers(1, 4))
    weights = [rng.normal(size=(3, 3)) / math.sqrt(3.0) for _ in layers]
    functions = {"tanh": dl.tanh, "sin": dl.sin, "exp": lambda x: dl.exp(dl.tanh(x)), "sigmoid": dl.sigmoid,
                 "square": lambda x: dl.square(dl.tanh(x)), "softplus": dl.nn.functional.softplus}

    def f(x):
        for name, w in zip(layers, weights, strict=True):
            x = functions[name](x @ dl.tensor(w, dtype=x.dtype))
        return x

    return f, rng.normal(size=(2, 3))


def wrong_by(f, factor):
    return dl.custom_vjp(lambda x: (f(x), x), lambda x, g: dl.vjp(f, x)[1](g)[0] * factor)


# --- single precision -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(200))
def test_smooth_functions_in_single_precision_raise_no_false_alarm(seed):
    f, x = smooth(seed)

    check_grads(f, dl.tensor(x, dtype="float32"), dtype=None, seed=seed)


def test_an_error_of_one_percent_is_seen_in_single_precision():
    missed = []
    for seed in range(100):
        f, x = smooth(seed)
        try:
            check_grads(wrong_by(f, 1.01), dl.tensor(x, dtype="float32"), dtype=None, order=1, modes=("rev",))
            missed.append(seed)
        except GradientError:
            pass

    assert len(missed) <= 3  # where the result is large beside its changes, rounding hides more than that


def test_what_single_precision_cannot_resolve_is_said_and_not_passed():
    large = lambda x: 1000.0 + 0.1 * dl.sin(x)
    x = dl.tensor(POINT, dtype="float32")

    with pytest.raises(GradientError, match=r"cannot be resolved: .* of its size") as failure:
        check_grads(large, x, dtype=None, order=1)
    assert failure.value.kind == "unresolved"
    check_grads(large, x)


@pytest.mark.parametrize("seed", range(20))
def test_smooth_functions_in_double_precision_raise_no_false_alarm(seed):
    f, x = smooth(seed)

    check_grads(f, x, order=3, seed=seed)


# --- scales ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("outside", [1e-8, 1.0, 1e8])
@given(seed=SEEDS)
def test_the_scale_of_arguments_and_results_does_not_matter(inside, outside, seed):
    f = lambda x: outside * dl.sin(x / inside)
    x = inside * POINT

    check_grads(f, x, seed=seed)
    with pytest.raises(GradientError, match="is wrong"):
        check_grads(wrong_by(f, 1.0001), x, order=1, seed=seed)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_the_step_finds_the_scale_of_the_function_where_it_is_not_that_of_the_argument(scale):
    check_grads(lambda x: dl.sin(x * scale), POINT * 30.0 / scale, order=1)
    check_grads(dl.log, scale * np.abs(POINT))


def test_elements_too_far_apart_in_size_are_not_resolved():
    with pytest.raises(GradientError, match="cannot be resolved"):
        check_grads(dl.log, np.array([1e-8, 1.0, 1e8]))


# --- only one thing is wrong ----------------------------------------------------------------------


@given(seed=SEEDS)
def test_forward_mode_alone_is_wrong(seed):
    good, bad = (lambda d, out, x: d * dl.cos(x)), (lambda d, out, x: d * dl.cos(x) * 0.999)
    f = Primitive("sine", dl.sin.forward, lambda s: s, (good,), (bad,))

    check_grads(f, POINT, modes=("rev",), order=1, seed=seed)
    with pytest.raises(GradientError, match="sine: forward mode, order 1, is wrong") as failure:
        check_grads(f, POINT, seed=seed)

    error = failure.value
    assert (error.mode, error.order, error.kind) == ("fwd", 1, "constant factor")
    assert error.found == pytest.approx(0.999 * error.expected)


@given(seed=SEEDS)
def test_a_second_order_alone_is_wrong(seed):
    slope = dl.custom_vjp(lambda x: (dl.cos(x), x), lambda x, g: g * dl.sin(x))  # of another sign
    f = Primitive("sine", dl.sin.forward, lambda s: s, (lambda g, out, x: g * slope(x),))

    check_grads(f, POINT, modes=("rev",), order=1, seed=seed)
    with pytest.raises(GradientError, match="sine: reverse mode of reverse mode, order 2, is wrong"):
        check_grads(f, POINT, modes=("rev",), seed=seed)


@given(seed=SEEDS)
def test_a_rule_of_zero_for_softmax_passes_no_random_cotangent(seed):
    f = wrong_by(dl.nn.functional.softmax, 0.0)

    with pytest.raises(GradientError, match="is wrong") as failure:
        check_grads(f, POINT, order=1, seed=seed)
    assert failure.value.kind == "zero"


def test_nested_arguments_and_results_are_looked_at_one_and_all():
    def f(tree, numbers):
        return {"a": tree["x"] * tree["y"][0], "b": (numbers, [wrong_by(dl.sin, 0.9)(tree["y"][0])])}

    tree = {"x": POINT, "y": (POINT + 1.0, "text")}

    with pytest.raises(GradientError, match=r"arguments float64\(2, 3\), float64\(2, 3\); .*result 1"):
        check_grads(f, tree, dl.tensor([1, 2]), order=1)


def test_integer_arguments_stay_as_they_are():
    check_grads(lambda x, i: dl.take(x, i, 1), POINT, np.array([0, 2, 2]))


# --- what is no mistake of a rule -----------------------------------------------------------------


def test_what_is_not_deterministic_is_found_out():
    noise = dl.random.Generator(0)
    f = lambda x: dl.sin(x) + noise.uniform(x.shape, 0.0, 1e-9, dtype=x.dtype)

    with pytest.raises(GradientError, match=r"is not deterministic: .* differ by .*nondet_tol") as failure:
        check_grads(f, POINT)
    assert failure.value.kind == "nondeterministic"
    check_grads(f, POINT, order=1, nondet_tol=1e-8, rtol=1e-4)


def test_a_result_that_is_not_finite_is_no_place_to_check():
    with pytest.raises(GradientError, match="exp: returns nan or inf") as failure:
        check_grads(dl.exp, np.array([1e4]))
    assert failure.value.kind == "not finite"


@pytest.mark.parametrize("f", [dl.floor, dl.sign, dl.nn.functional.step])
def test_what_is_flat_passes(f):
    check_grads(f, POINT)


def test_the_complex_step_sees_every_digit_of_an_analytic_function(backend):
    f = lambda x: dl.exp(dl.sin(x)) * x

    check_grads(f, POINT, method="complex", rtol=1e-13)
    with pytest.raises(GradientError, match="is wrong"):
        check_grads(wrong_by(f, 1.0 + 1e-11), POINT, order=1, modes=("rev",), method="complex", rtol=1e-13)


def test_the_complex_step_wants_an_analytic_function_of_real_numbers():
    analytic = dl.custom_vjp(lambda x: (dl.abs(x) + 0.0 * x, x), lambda x, g: g * dl.sign(x))

    with pytest.raises(GradientError, match=r"the complex step says .*; is the function analytic\?"):
        check_grads(analytic, POINT, order=1, modes=("rev",), method="complex")
    with pytest.raises(ValueError, match="for functions of real arguments with real results"):
        check_grads(lambda z: z + z, POINT + 1j, method="complex")


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method must be 'differences' or 'complex', got 'step'"):
        check_grads(dl.sin, POINT, method="step")


# --- errors as numbers ----------------------------------------------------------------------------


@given(seed=SEEDS)
def test_errors_are_as_large_as_the_mistake_that_was_planted(seed):
    right, wrong = (grad_errors(f, POINT, seed=seed, order=1, modes=("rev",))
                    for f in (dl.sin, wrong_by(dl.sin, 1.001)))

    assert all(e.error < 1e-8 for e in right)
    for e in wrong:  # of the whole derivative, of which the slope along one direction is a part
        assert e.allowed < e.error <= 1.001e-3
        assert (e.mode, e.order) == ("rev", 1)


def test_errors_are_told_of_every_mode_and_order_also_where_the_first_is_wrong():
    f = Primitive("sine", dl.sin.forward, lambda s: s, (lambda g, out, x: g * 0.999 * dl.cos(x),),
                  (lambda t, out, x: t * dl.cos(x),))

    found = grad_errors(f, POINT)

    assert {(e.mode, e.order) for e in found} == {("rev", 1), ("fwd", 1), ("rev", 2), ("fwd", 2)}
    assert {(e.mode, e.order) for e in found if e.error > e.allowed} == {("rev", 1)}


def test_an_error_is_larger_than_allowed_exactly_where_a_check_fails():
    for factor in (1.0, 1.0 + 1e-8, 1.0 + 1e-5):
        f = wrong_by(dl.tanh, factor)

        passes = all(e.error <= e.allowed for e in grad_errors(f, POINT, order=1, modes=("rev",)))

        assert passes == (factor < 1.0 + 1e-6)
        if passes:
            check_grads(f, POINT, order=1, modes=("rev",))


def test_what_cannot_be_checked_has_no_errors_either():
    with pytest.raises(GradientError, match="exp: returns nan or inf"):
        grad_errors(dl.exp, np.array([1e4]))
    with pytest.raises(ValueError, match="modes must be 'rev', 'fwd' or both"):
        grad_errors(dl.exp, POINT, modes=("backward",))
    with pytest.raises(ValueError, match="grad_errors: rtol is the unit that errors are told in"):
        grad_errors(dl.exp, POINT, rtol=0.0)


def test_a_slope_where_there_is_none_is_infinitely_wrong():
    nothing = dl.custom_vjp(lambda x: (x * 0.0, x), lambda x, g: g)

    (found,) = grad_errors(nothing, POINT, order=1, modes="rev")

    assert found.error > found.allowed


# --- differences ----------------------------------------------------------------------------------


@given(x=st.floats(-2.0, 2.0), stretch=st.sampled_from([1e-6, 1.0, 1e3, 1e6]))
def test_the_error_of_a_slope_is_not_underestimated(x, stretch):
    eps = EPSILON["float64"]

    slope = many_steps(lambda t: math.sin(x + stretch * t), first_step(eps), eps, eps)

    right = stretch * math.cos(x)
    assert abs(slope.value - right) <= 3.0 * slope.error
    assert slope.error < 1e-5 * max(1.0, stretch)  # eps over a step that is a thousandth of the scale
    assert not slope.kink


@pytest.mark.parametrize("at", [0.0, 1e-12, -1e-13])
def test_a_kink_is_told_from_curvature(at):
    eps = EPSILON["float64"]

    assert many_steps(lambda t: max(t - at, 0.0), first_step(eps), eps, eps).kink
    assert not many_steps(lambda t: 1e3 * t * t, first_step(eps), eps, eps).kink
