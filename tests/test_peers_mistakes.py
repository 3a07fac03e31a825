"""Mistakes that were measured in, or reported of, other libraries, and the test that looks for each here.

Where a law or a test of the subject looks already, WATCHED names it; what nothing else looks at stands below.
"""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore.core import OPERATIONS, PRIMITIVES
from dlcore.nn import functional as F
from dlcore.testing import check_grads

WATCHED = {
    "a loss broadcasts a column of predictions against a row of targets":
        "test_losses.py::test_a_column_against_a_row_is_refused_with_the_way_out",
    "one of two results is dropped, and the other loses its gradient":
        "test_engine.py::test_dropping_one_of_two_outputs_leaves_the_gradient_of_the_other",
    "a second backward walks a history that is half gone":
        "test_history.py::test_a_second_pass_names_the_line_of_the_first_and_the_way_out",
    "zeroing the gradients of leaves only makes a second backward wrong":
        "test_history.py::test_zeroing_only_the_leaves_does_not_corrupt_a_second_pass",
    "reshape to the same shape has no history":
        "test_history.py::test_reshape_to_the_same_shape_passes_the_gradient",
    "a chain of a thousand nodes is too deep":
        "test_engine.py::test_a_chain_of_a_hundred_thousand_operations_is_fine_in_both_modes",
    "a graph of a thousand nodes is too deep":
        "test_graph_laws.py::test_a_chain_of_1200_nodes_is_no_recursion",
    "an extra consumer of a value leaks into a gradient":
        "test_engine.py::test_another_consumer_of_a_value_does_not_leak_into_a_gradient",
    "an extra consumer of a node leaks into a gradient":
        "test_graph_laws.py::test_another_consumer_of_a_node_never_leaks_into_its_gradient",
    "updating one variable changes the gradient of another":
        "test_graph_laws.py::test_the_order_of_updates_does_not_matter",
    "clearing a graph of diamonds takes exponential time":
        "test_graph_laws.py::test_every_node_runs_once_on_any_number_of_diamonds",
    "a step has the slope -1":
        "test_graph_laws.py::test_the_gradient_of_a_step_is_zero",
    "a gradient has another dtype than its value":
        "test_laws.py::test_gradients_have_the_dtype_of_their_values",
    "repeated indices keep the last gradient only":
        "test_ops_indexing.py::test_a_place_that_is_named_twice_gathers_both_gradients",
    "repeated rows of an embedding keep the last gradient only":
        "test_nn_layers.py::test_the_gradient_of_an_embedding_adds_up_over_repeated_rows",
    "writing into a part of an array fails with words about float()":
        "test_operators.py::test_assignment_to_a_part_is_refused_and_names_the_way",
    "logging a loss keeps every history alive":
        "test_engine.py::test_history_goes_with_the_last_value_that_needs_it",
    "a gradient with a graph makes a cycle":
        "test_engine.py::test_a_step_of_training_leaves_no_cycle",
    "a length of zero has the gradient nan":
        "test_subgradients.py::test_a_length_of_zero_has_a_finite_gradient_and_so_has_that",
    "nan comes out of a branch that was not taken":
        "test_subgradients.py::test_nan_does_not_come_out_of_a_branch_that_was_not_taken",
    "forward and reverse mode disagree":
        "test_nested_derivatives.py::test_pulling_and_pushing_are_adjoint",
    "second derivatives are wrong or absent":
        "test_laws_derivatives.py::test_both_modes_agree_with_finite_differences_at_both_orders",
    "many ties share a gradient that vanishes in half precision":
        "test_laws_edges.py::test_many_ties_of_halves_share_without_losing_the_gradient",
    "a mean of many halves has the gradient 0":
        "test_laws_floats.py::test_a_reduction_of_many_halves_is_as_good_as_its_result_can_be_written",
    "one NumPy scalar makes everything float64":
        "test_operators.py::test_numpy_scalars_and_tensors_of_no_axes_are_strong",
}
TESTS = Path(__file__).parent


@pytest.mark.parametrize("mistake", WATCHED)
def test_the_test_that_watches_for_a_mistake_is_still_there(mistake):
    file, name = WATCHED[mistake].split("::")

    assert f"def {name}(" in (TESTS / file).read_text("utf-8")


# --- what nothing else looks at -------------------------------------------------------------------


def with_gradient_zero(f):
    """``f`` with the gradient 0, which is right for a checker whose cotangents are all ones."""
    return dl.custom_vjp(lambda x: (f(x), x), lambda x, g: (x * 0.0,))


def batch_normalized(x):
    """Rows less their mean, over their standard deviation: no layer's code, the formula."""
    return (x - dl.mean(x, 0, keepdims=True)) * dl.rsqrt(dl.var(x, 0, keepdims=True) + 1e-5)


@pytest.mark.parametrize("f", [F.softmax, batch_normalized, lambda x: F.layer_norm(x, 4)],
                         ids=["softmax", "batch_normalized", "layer_norm"])
def test_a_checker_notices_that_a_normalizing_function_has_no_gradient(f):
    x = np.random.default_rng(0).normal(size=(3, 4))

    check_grads(f, x)
    with pytest.raises(AssertionError, match=r"reverse mode, order 1, is wrong"):
        check_grads(with_gradient_zero(f), x, modes=["rev"], order=1)


def test_the_curvature_of_batch_normalization_is_that_of_finite_differences(backend):
    rng = np.random.default_rng(1)
    x, v, w = (rng.normal(size=(5, 3)) for _ in range(3))
    f = lambda x: dl.sum(batch_normalized(x) * dl.tensor(w))
    gradient = lambda a: dl.grad(f)(dl.tensor(a)).numpy()

    found = dl.hvp(f, dl.tensor(x), dl.tensor(v))

    eps = 1e-5
    expected = (gradient(x + eps * v) - gradient(x - eps * v)) / (2 * eps)
    assert_allclose(found.numpy(), expected, atol=1e-8)  # truncation 1e-10, rounding 1e-16 / eps


def test_the_gradient_of_weights_can_be_differentiated_by_the_input_and_back(backend):
    rng = np.random.default_rng(2)
    x, w = (dl.tensor(rng.normal(size=s)) for s in ((4, 3), (3, 2)))
    loss = lambda x, w: dl.sum(dl.tanh(x @ w))

    by_input = dl.grad(lambda x: dl.sum(dl.square(dl.grad(loss, 1)(x, w))))(x)
    by_weights = dl.grad(lambda w: dl.sum(dl.square(dl.grad(loss, 0)(x, w))))(w)

    check_grads(lambda x: dl.sum(dl.square(dl.grad(loss, 1)(x, w))), x, order=1)
    assert (by_input.shape, by_weights.shape) == (x.shape, w.shape)


@pytest.mark.parametrize("f", [lambda x: x * 2.0, lambda x: 1 / x, lambda x: x**2, lambda x: 2.0**x,
                               lambda x: x - 1, lambda x: dl.maximum(x, 0), lambda x: x // 2 + x % 2])
def test_a_number_beside_single_precision_does_not_make_it_double(f, backend):
    for shape in ((), (3,)):
        x = dl.full(shape, 1.5, dtype="float32", requires_grad=True)

        y = f(x)
        y.sum().backward()

        assert (y.dtype, x.grad.dtype) == ("float32", "float32")


def test_the_gradient_of_filters_has_a_gradient(backend):
    rng = np.random.default_rng(3)
    images, filters = (dl.tensor(rng.normal(size=s)) for s in ((2, 2, 4, 4), (3, 2, 3, 3)))
    filters.requires_grad = True
    loss = lambda w: dl.sum(dl.square(F.conv2d(images, w, padding=1)))

    loss(filters).backward(create_graph=True)
    first, filters.grad = filters.grad, None
    dl.sum(dl.square(first)).backward()

    curved = dl.hvp(loss, filters.detach(), first.detach())
    assert_allclose(filters.grad.numpy(), 2.0 * curved.numpy(), rtol=1e-12)
    check_grads(dl.grad(loss), filters.detach(), order=1)


def test_a_second_backward_is_refused_or_adds_as_much_again(backend):
    x = dl.tensor(3.0, requires_grad=True)
    y = x * x

    y.backward(retain_graph=True)
    y.backward()

    assert x.grad.item() == 12.0
    with pytest.raises(RuntimeError, match=r"retain_graph=True"):
        y.backward()


def test_a_second_backward_over_a_retained_history_adds_exactly_as_much_again(backend):
    a = dl.tensor(2.0, requires_grad=True)
    c = (a * a) * a

    c.backward(retain_graph=True)
    first, a.grad = a.grad.item(), None
    c.backward()

    assert (first, a.grad.item()) == (12.0, 12.0)


REPEATED = {  # the first row taken three times, by every way to index
    "a list": lambda x: x[[0, 0, 0]],
    "a tensor": lambda x: x[dl.tensor([0, 0, 0])],
    "take": lambda x: dl.take(x, [0, 0, 0], axis=0),
    "take_along_axis": lambda x: dl.take_along_axis(x, [[0, 0], [0, 0], [0, 0]], axis=0),
    "pairs of places": lambda x: x[[0, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 1]],
    "a mask of rows and a repeat": lambda x: dl.repeat(x[dl.tensor([True, False])], 3, axis=0),
    "broadcasting": lambda x: dl.broadcast_to(x[:1], (3, 2)),
    "tile": lambda x: dl.tile(x[0], (3,)),
    "embedding": lambda x: F.embedding(dl.tensor([0, 0, 0]), x),
    "stack": lambda x: dl.stack([x[0]] * 3),
    "pad": lambda x: dl.pad(x[:1], ((1, 1), (0, 0)), mode="edge"),
}


@pytest.mark.parametrize("f", REPEATED.values(), ids=REPEATED)
def test_what_is_taken_three_times_gets_three_gradients_whichever_way_it_is_taken(f, backend):
    x = dl.tensor([[1.0, 2.0], [3.0, 4.0]])

    gradient = dl.grad(lambda x: dl.sum(f(x)))(x)

    assert_array_equal(gradient.numpy(), [[3.0, 3.0], [0.0, 0.0]])


def test_a_gradient_of_no_axes_keeps_its_shape_where_it_was_broadcast(backend):
    x, y = dl.tensor(2.0, requires_grad=True), dl.tensor([[1.0, 3.0]], requires_grad=True)

    dl.sum(x * y + dl.maximum(y, x)).backward()

    assert (x.grad.shape, y.grad.shape) == ((), (1, 2))
    assert (x.grad.item(), y.grad.tolist()) == (5.0, [[2.0, 3.0]])


def test_the_hessian_of_a_function_of_straight_pieces_is_zero_and_no_error(backend):
    hessian = dl.hessian(lambda x: dl.sum(F.relu(x) + dl.abs(x) + dl.max(x)))(dl.tensor([1.0, -2.0]))

    assert hessian.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_every_operation_has_rules_for_both_modes():
    without = [p.name for p in PRIMITIVES.values() if p.differentiable and not (p.vjp and p.jvp)]

    assert without == []
    assert len(PRIMITIVES) + len(OPERATIONS) > 100
