"""``backward``: what it adds where, what it keeps and releases, and when history is written at all."""

import asyncio
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import backends
import dlcore as dl
from dlcore.history import HistoryError


def variable(data, dtype=None):
    return dl.tensor(data, dtype, requires_grad=True)


# --- gathering ------------------------------------------------------------------------------------


@given(factors=st.lists(st.integers(-8, 8), min_size=1, max_size=5))
def test_gradients_of_separate_passes_add_up(factors, backend):
    x = variable([1.0, 2.0])

    for factor in factors:
        dl.sum(x * float(factor)).backward()

    assert x.grad.tolist() == [sum(factors)] * 2


def test_a_gradient_is_replaced_and_never_added_into(backend):
    x = variable([1.0, 2.0])
    dl.sum(x * x).backward()
    before = x.grad

    dl.sum(x).backward()

    assert before.tolist() == [2.0, 4.0]
    assert x.grad is not before


def test_the_cotangent_that_was_given_is_never_written_to(backend):
    g = dl.tensor([1.0, 2.0])
    x, y = variable([1.0, 1.0]), variable([1.0, 1.0])

    (x + y).backward(g, retain_graph=True)
    (x + y).backward(g)

    assert g.tolist() == [1.0, 2.0]
    assert x.grad.tolist() == y.grad.tolist() == [2.0, 4.0]


def test_a_gradient_set_to_none_starts_anew(backend):
    x = variable(3.0)
    (x * x).backward()

    x.grad = None
    (x * 2.0).backward()

    assert x.grad.item() == 2.0


def test_only_leaves_gather_gradients(backend):
    x = variable(3.0)
    y = x * x

    (y * y).backward()

    assert x.grad.item() == 108.0
    assert y.grad is None


def test_a_leaf_is_its_own_derivative(backend):
    x = variable(3.0)

    x.backward()
    x.backward()

    assert x.grad.item() == 2.0


def test_reshape_to_the_same_shape_passes_the_gradient(backend):
    x = variable([1.0, 2.0])

    x.reshape(2).backward([1.0, 3.0])

    assert x.grad.tolist() == [1.0, 3.0]


# --- cotangents -----------------------------------------------------------------------------------


@given(g=st.lists(st.integers(-1000, 1000), min_size=2, max_size=2))
def test_backward_is_linear_in_its_cotangent(g, backend):
    x = variable([3.0, 4.0])

    (x * x).backward(g)

    assert x.grad.tolist() == [6.0 * g[0], 8.0 * g[1]]


@pytest.mark.parametrize("given_as", [
    list, np.array, lambda g: np.array(g, "float64"), lambda g: np.array(g, int), dl.tensor,
    lambda g: dl.tensor(g, "float64"), lambda g: dl.tensor(g, "int64")])
def test_a_cotangent_is_data_or_a_tensor_of_any_dtype(given_as, backend):
    x = variable([3.0, 4.0])

    (x * x).backward(given_as([1.0, 2.0]))

    assert x.grad.tolist() == [6.0, 16.0]
    assert x.grad.dtype == dl.float32


def test_data_for_a_cotangent_goes_to_the_backend_of_the_tensor():
    with dl.use_backend("strict"):
        x = variable([3.0, 4.0])

    (x * x).backward([1.0, 2.0])

    assert x.grad.backend == "strict"


def test_a_cotangent_of_another_shape_is_refused(backend):
    y = variable([3.0, 4.0]) * 2.0

    with pytest.raises(ValueError, match=r"backward: the cotangent has shape \(3,\), not \(2,\)"):
        y.backward([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"has shape \(\), not \(2,\)"):
        y.backward(1.0)


def test_a_cotangent_on_another_backend_is_refused_and_the_fix_is_named():
    with dl.use_backend("strict"):
        y = variable([3.0, 4.0]) * 2.0

    with pytest.raises(dl.BackendError, match=r"is on cpu, its value on strict; .*Tensor.to\('strict'\)"):
        y.backward(dl.tensor([1.0, 1.0]))


def test_what_is_no_scalar_needs_a_cotangent(backend):
    for shape in ((1,), (2, 3), (0,)):
        y = variable(np.ones(shape)) * 2.0
        with pytest.raises(ValueError, match=r"backward: shape \(.*\) is not a scalar; reduce it with"):
            y.backward()


def test_without_history_there_is_nothing_to_do(backend):
    x = variable(2.0)
    with dl.no_grad():
        unrecorded = x * x

    for y in (dl.tensor(3.0), x.detach() * 2.0, unrecorded, dl.argmax(variable([1.0]))):
        with pytest.raises(HistoryError, match=r"backward: this tensor has no history.*requires_grad=True"):
            y.backward()


# --- releasing ------------------------------------------------------------------------------------


def test_a_second_pass_names_the_line_of_the_first_and_the_way_out(backend):
    x = variable(3.0)
    y = x * x
    y.backward(); line = sys._getframe().f_lineno  # noqa: E702  of this very line

    with pytest.raises(HistoryError, match=rf"_history\.py:{line}; detach.*, or pass retain_graph=True"):
        y.backward()


def test_a_pass_that_reaches_what_another_has_released_says_so_before_it_adds_anything(backend):
    x = variable(3.0)
    shared = x * x
    other = shared * 2.0
    (shared * 5.0).backward()
    before = x.grad.item()

    with pytest.raises(HistoryError, match="released"):
        (other + x).backward()

    assert x.grad.item() == before


def test_a_leaf_below_a_released_part_stays_usable(backend):
    x = variable(3.0)
    (x * x).backward()

    (x * 4.0).backward()

    assert x.grad.item() == 10.0


@pytest.mark.parametrize("passes", [2, 3])
def test_a_retained_history_can_be_walked_again(passes, backend):
    x = variable(3.0)
    y = x * x

    for _ in range(passes):
        y.backward(retain_graph=True)

    assert x.grad.item() == 6.0 * passes


def test_zeroing_only_the_leaves_does_not_corrupt_a_second_pass(backend):
    a = variable(2.0)
    c = (a * a) * a

    c.backward(retain_graph=True)
    a.grad = None
    c.backward()

    assert a.grad.item() == 12.0


def test_create_graph_retains_unless_told_otherwise(backend):
    x = variable(3.0)
    y = x * x
    y.backward(create_graph=True)
    y.backward(create_graph=True, retain_graph=False)

    with pytest.raises(HistoryError, match="released"):
        y.backward()


def test_an_error_of_both_kinds_is_one_of_them():
    with pytest.raises(ValueError, match="no history"):
        dl.tensor(1.0).backward()
    with pytest.raises(RuntimeError, match="no history"):
        dl.tensor(1.0).backward()


# --- gradients of gradients -----------------------------------------------------------------------


def test_a_gradient_can_be_differentiated_if_its_graph_was_asked_for(backend):
    x = variable([1.0, 2.0])

    dl.sum(x * x * x).backward(create_graph=True)
    slope = x.grad
    x.grad = None
    dl.sum(slope * slope).backward()

    assert slope.tolist() == [3.0, 12.0]
    assert x.grad.tolist() == [36.0, 288.0]


def test_a_gradient_is_a_constant_unless_its_graph_was_asked_for(backend):
    x = variable(2.0)

    (x * x).backward()

    assert not x.grad.requires_grad


def test_a_cotangent_with_history_is_reached_by_the_second_pass(backend):
    x, g = variable(3.0), variable(5.0)

    (x * x).backward(g, create_graph=True)
    slope = x.grad
    slope.backward()

    assert slope.item() == 30.0
    assert g.grad.item() == 6.0


def test_create_graph_records_even_under_no_grad(backend):
    x = variable(2.0)
    y = x * x * x

    with dl.no_grad():
        y.backward(create_graph=True)

    assert x.grad.item() == 12.0
    assert x.grad.requires_grad


# --- what is replaced meanwhile -------------------------------------------------------------------


def test_replacing_data_before_the_pass_does_not_change_the_gradient(backend):
    w = variable([3.0])
    y = dl.sum(w * w)

    w.data = w.data * 100.0
    y.backward()

    assert w.grad.tolist() == [6.0]
    assert w.tolist() == [300.0]


def test_a_leaf_that_no_longer_asks_for_a_gradient_still_gets_that_of_older_history(backend):
    x = variable(3.0)
    y = x * x

    x.requires_grad = False
    y.backward()

    assert x.grad.item() == 6.0
    assert not (x * x).requires_grad


def test_a_computed_tensor_cannot_become_a_leaf(backend):
    y = variable(3.0) * 2.0

    with pytest.raises(HistoryError, match=r"this tensor was computed, not made; detach\(\) it first"):
        y.requires_grad = False


# --- when nothing is recorded ---------------------------------------------------------------------


def test_no_grad_is_a_block_and_a_decorator_and_nests(backend):
    x = variable(2.0)

    @dl.no_grad()
    def double(x):
        return x * 2.0

    with dl.no_grad():
        with dl.no_grad():
            inner = x * x
        outer = x * x

    assert [y.requires_grad for y in (double(x), inner, outer, double(x), x * x)] == [False] * 4 + [True]


def test_no_grad_ends_with_its_block_even_by_an_exception(backend):
    x = variable(2.0)

    with pytest.raises(ZeroDivisionError), dl.no_grad():
        raise ZeroDivisionError

    assert (x * x).requires_grad


def test_no_grad_holds_for_its_thread_only():
    x, found = variable(2.0), []

    with dl.no_grad():
        thread = threading.Thread(target=lambda: found.append((x * x).requires_grad))
        thread.start()
        thread.join()

    assert found == [True]


def test_no_grad_in_one_task_does_not_stop_recording_in_another():
    x = variable(2.0)

    async def quiet(entered, leave):
        with dl.no_grad():
            entered.set()
            await leave.wait()
            return (x * x).requires_grad

    async def both():
        entered, leave = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(quiet(entered, leave))
        await entered.wait()
        here = (x * x).requires_grad
        leave.set()
        return here, await task

    assert asyncio.run(both()) == (True, False)


def test_constants_leave_no_history(backend):
    x = dl.tensor([1.0, 2.0])

    assert (x * x + 1.0).node is None


def test_operations_without_derivatives_end_the_history(backend):
    x = variable([1.0, 2.0])

    for y in (x > 1.0, dl.argmax(x), dl.floor(x).astype("int64"), x.astype("int32"), dl.isnan(x)):
        assert not y.requires_grad


def test_threads_can_make_passes_at_once_over_one_leaf():
    leaves = [variable(np.ones(50)) for _ in range(4)]

    def work(x):
        with backends.use_backend("cpu"):
            for _ in range(20):
                dl.sum(dl.exp(x) * x).backward()

    threads = [threading.Thread(target=work, args=(x,)) for x in leaves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for x in leaves:
        np.testing.assert_allclose(x.grad.numpy(), 40 * np.e, rtol=1e-5)  # float32, summed 20 times
