"""Under ``debug_nans`` the first operation that makes a nan is named, with the place and what made it."""

import contextlib
import math
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import backends
import dlcore as dl
from backends import registry
from dlcore.testing.calls import outputs
from dlcore.testing.strategies import SEEDS, calls
from dlcore.tracing import trace
from tests import backend_laws  # noqa: F401  registers the stand-in as "fakecuda"
from tests.fake_cupy import needs_compiler
from tests.strategies import SUBJECTS, fewer


def stops(match):
    return pytest.raises(FloatingPointError, match=match)


def value_and_gradients(call, seed):
    """The results of a call, their gradients from raw and recorded passes, and their tangents, as arrays."""
    args = call.tensors(requires_grad=True)
    results = outputs(call(*args))
    rng = np.random.default_rng(seed)
    for y in results:
        if y.requires_grad:
            g = dl.tensor(rng.standard_normal(y.shape), dtype=y.dtype)
            y.backward(g, retain_graph=True)
            y.backward(g, create_graph=True)
    floats = [args[i].detach() for i in call.floats]
    if results[0].requires_grad:
        tangents = [dl.tensor(rng.standard_normal(x.shape), dtype=x.dtype) for x in floats]
        results += outputs(dl.jvp(lambda *xs: outputs(call.of_floats(args)(*xs))[0], floats, tangents)[1])
    return [x.numpy() for x in (*results, *(a.grad for a in args if a.grad is not None))]


# --- what it must not do ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", SUBJECTS)
@fewer(6)
@given(data=st.data())
def test_watching_changes_no_bit_of_results_and_derivatives(name, backend, data):
    call, seed = data.draw(calls(SUBJECTS[name])), data.draw(SEEDS)
    expected = value_and_gradients(call, seed)

    try:
        with dl.debug_nans():
            found = value_and_gradients(call, seed)
    except FloatingPointError:
        assert any(0 in a.shape for a in call.args)  # the mean of nothing is nan
        return

    for a, b in zip(found, expected, strict=True):
        assert_array_equal(a, b)


def test_what_is_finite_passes_and_the_short_way_is_back_afterwards(backend):
    before = dict(backends.OWNERS)

    with dl.debug_nans(), dl.debug_nans(inf=True):
        assert backends.OWNERS == {}
        assert dl.log(dl.tensor([1.0, 2.0])).tolist()[0] == 0.0
        assert dl.isnan(dl.tensor([math.nan])).tolist() == [True]  # booleans have none

    assert before == backends.OWNERS
    assert math.isnan(dl.log(dl.tensor(-1.0)).item())


def test_the_short_way_is_back_after_an_error_too():
    with contextlib.suppress(FloatingPointError), dl.debug_nans():
        dl.log(dl.tensor(-1.0))

    assert backends.OWNERS
    assert math.isnan(dl.log(dl.tensor(-1.0)).item())


def test_it_holds_in_its_thread_only():
    found = []

    def elsewhere():
        found.append(dl.log(dl.tensor(-1.0, requires_grad=True)).item())

    with dl.debug_nans():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    assert math.isnan(found[0])


def test_a_backend_that_is_loaded_meanwhile_keeps_no_operation_from_being_watched():
    with dl.debug_nans(), stops("log: nan"):
        registry._claim_arrays()  # as loading does
        dl.log(dl.tensor(-1.0))


def test_numpy_warns_of_nothing_in_a_watched_pass():
    x = dl.tensor([3e38, 1.0], requires_grad=True)
    assert ("error", None, Warning, None, 0) in warnings.filters

    with dl.debug_nans():
        (x * 3e38).backward(dl.tensor([3e38, 1.0]))

    assert x.grad.tolist()[0] == math.inf


def test_it_reads_where_transfers_are_forbidden(backend):
    x = dl.tensor([1.0, -1.0])

    with dl.transfer_guard("disallow"), dl.debug_nans(), stops(r"log: nan at \(1,\)"):
        dl.log(x)


def test_it_is_a_decorator_too():
    @dl.debug_nans()
    def run():
        return dl.log(dl.tensor(-1.0))

    with stops("log: nan as the result"):
        run()


# --- forward -------------------------------------------------------------------------------------


def test_the_first_operation_is_named_with_the_place_and_what_was_there(backend):
    x = dl.tensor([[1.0, 2.0], [-1.0, -3.0]])

    with dl.debug_nans(), stops(r"^log: nan at \(1, 0\) of the result float32\(2, 2\), which is log\(-1.0\)"):
        dl.exp(dl.log(x) * 2.0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
def test_every_dtype_that_can_hold_one_is_watched(dtype):
    x = dl.tensor([1.0, math.inf], dtype=dtype)

    with dl.debug_nans(), stops(rf"subtract: nan at \(1,\) of the result {dtype}\(2,\)"):
        x - x


def test_values_are_found_where_they_were_broadcast_from(backend):
    x, y = dl.tensor([0.0, 1.0]), dl.tensor([[1.0], [math.inf], [2.0]])

    with dl.debug_nans(), stops(r"multiply: nan at \(1, 0\) of .*, which is multiply\(0.0, inf\) there"):
        x * y
    with dl.debug_nans(), stops(r"which is multiply\(inf, 0.0\) there"):
        y * 0.0


def test_of_what_is_not_elementwise_inputs_are_counted(backend):
    x, y = dl.tensor([[0.0, 1.0]]), dl.tensor([[math.inf], [1.0]])

    with dl.debug_nans(), stops(r"matmul: nan at \(0, 0\) of the result float32\(1, 1\), of float32\(1, 2\), "
                                r"float32\(2, 1\) with 1 infinite"):
        x @ y


def test_one_of_several_outputs_is_enough(backend):
    x = dl.tensor([[1.0, math.nan], [0.0, 1.0]])

    with dl.debug_nans(), stops(r"qr: nan at \(., .\) of the result"):
        dl.linalg.qr(x)


@pytest.mark.parametrize(
    ("make", "fix"),
    [
        (lambda: dl.log(dl.tensor(-1.0)), r"keep the inputs of log .*docs/subgradients.md"),
        (lambda: dl.tensor(math.inf) * 0.0, r"dl.debug_nans\(inf=True\) stops where it is made"),
        (lambda: dl.mean(dl.tensor([math.nan, 1.0])), "look at what made that, data or a parameter"),
        (lambda: dl.tensor(1.0) * math.nan, "look at what made that"),
    ],
)
def test_the_way_out_depends_on_what_came_in(make, fix):
    with dl.debug_nans(), stops(fix):
        make()


def test_infinities_stop_it_if_asked(backend):
    with dl.debug_nans(inf=True), stops(r"exp: an infinity at \(1,\) of the result .* exp\(1000.0\) there"):
        dl.exp(dl.tensor([1.0, 1000.0]))
    with dl.debug_nans(inf=True), stops(r"log: nan as the result"):
        dl.log(dl.tensor(-1.0))


def test_a_program_is_watched_as_it_runs():
    program = trace(dl.log, dl.tensor(1.0))

    with dl.debug_nans(), stops(r"log: nan as the result float32\(\), which is log\(-2.0\) there"):
        program(dl.tensor(-2.0))


# --- passes ----------------------------------------------------------------------------------------


def test_a_raw_pass_names_the_operation_whose_gradient_it_was_and_its_line(backend):
    x = dl.tensor([4.0, 0.0], requires_grad=True)

    with dl.debug_nans(inf=True):
        y = dl.sum(dl.sqrt(x))
        with stops(r"^sqrt, which was called at .*test_nans.py:\d+, backward: an infinity at \(1,\) of the "
                   r"gradient of input 0, float32\(2,\); the gradient that came in is 1.0; input 0 is 0.0; "
                   r"its result is 0.0"):
            y.backward()


def test_a_history_from_before_is_watched_without_the_line(backend):
    x = dl.tensor([4.0, 0.0], requires_grad=True)
    y = x * dl.tensor([1.0, math.inf])

    with dl.debug_nans(), stops(r"^multiply, backward: nan at \(1,\) of the gradient of input 0"):
        y.backward(dl.tensor([1.0, 0.0]))


def test_the_first_step_of_a_pass_is_the_one_that_is_named(backend):
    x = dl.tensor([-1.0, 4.0], requires_grad=True)
    y = dl.sin(dl.pow(x * 2.0, dl.tensor(2.0, requires_grad=True)))  # the derivative in the exponent is nan

    with dl.debug_nans(), stops(r"^pow, backward: nan as the gradient of input 1, float32\(\)"):
        dl.sum(y).backward()


def test_a_recorded_pass_names_both_operations(backend):
    x = dl.tensor([4.0, 0.0], requires_grad=True)
    y = x * dl.tensor([1.0, math.inf])

    with dl.debug_nans(), stops(r"^multiply, in the backward pass of multiply: nan at \(1,\) of the result"):
        y.backward(dl.tensor([1.0, 0.0]), create_graph=True)


def test_a_second_derivative_is_watched(backend):
    def f(x):  # the slope is 1.5 sqrt(x), the curvature infinite at 0
        return dl.sum(dl.pow(x, 1.5))

    x = dl.tensor([1.0, 0.0])

    with dl.debug_nans(inf=True):
        dl.grad(f)(x)
        with stops(r"^power\(exponent=0.5\), which .*, backward: an infinity at \(1,\) of the gradient"):
            dl.grad(lambda x: dl.sum(dl.grad(f)(x)))(x)
        with stops(r"^power\(exponent=0.5\), which .*, forward mode: an infinity at \(1,\) of the tangent"):
            dl.hvp(f, x, dl.ones(2))


def test_forward_mode_is_watched(backend):
    x, t = dl.tensor([1.0, 2.0]), dl.tensor([0.0, 1.0])

    with dl.debug_nans(), stops(r"^multiply, which .*, forward mode: nan at \(0,\) of the tangent of the "
                                r"result, float32\(2,\); the tangent of input 0 is 0.0"):
        dl.jvp(lambda x: x * math.inf, [x], [t])


def test_a_cotangent_that_is_nan_is_named_as_such(backend):
    x = dl.tensor([1.0, 2.0], requires_grad=True)

    with dl.debug_nans(), stops(r"^backward: nan at \(1,\) of the cotangent float32\(2,\) that the pass"):
        (x * 2.0).backward(dl.tensor([1.0, math.nan]))


def test_what_a_user_s_rule_makes_is_found_within_it(backend):
    bad = dl.custom_vjp(lambda x: (x * 2.0, x), lambda x, g: g * dl.log(-x))

    with dl.debug_nans(), stops(r"^log, in the backward pass of custom_vjp or remat, which was called at"):
        dl.sum(bad(dl.tensor([1.0], requires_grad=True))).backward()
    with dl.debug_nans(), stops("^log: nan"):
        dl.remat(dl.log)(dl.tensor(-1.0, requires_grad=True))


def test_of_a_user_s_rule_the_argument_is_counted(backend):
    bad = dl.custom_vjp(lambda x, y: (x * y, None), lambda saved, g: (None, dl.tensor([math.nan])))
    x, y = dl.tensor([1.0], requires_grad=True), dl.tensor([2.0], requires_grad=True)

    with dl.debug_nans(), stops(r"^custom_vjp or remat, .*: nan at \(0,\) of the gradient of input 1"):
        dl.sum(bad(x, y)).backward()


def test_large_inputs_that_were_not_kept_are_described():
    x = dl.tensor(np.ones(5000), requires_grad=True)
    y = dl.sum(x / 1e-200)

    with dl.debug_nans(inf=True), stops(r"divide, .*: an infinity at \(0,\) .*; input 0 is float64\(5000,\), "
                                        r"not kept; input 1 is 1e-200"):
        y.backward(1e200)


@needs_compiler
def test_on_the_file_of_the_cuda_backend_it_says_the_same():
    with backends.use_backend("fakecuda"):
        x = dl.tensor([[4.0, 0.0], [-1.0, 2.0]], requires_grad=True)
        with dl.debug_nans(), stops(r"^log: nan at \(1, 0\) of the result float32\(2, 2\), .* log\(-1.0\)"):
            dl.log(x)
        with dl.debug_nans(inf=True), stops(r"^sqrt, .*, backward: an infinity at \(0, 1\) .* 0 is 0.0"):
            dl.sum(dl.sqrt(x[:1])).backward()
        with dl.debug_nans(), stops(r"^matmul: nan .*, of .*, float32\(2, 1\) with 2 infinite"):
            x @ dl.full((2, 1), math.inf)
