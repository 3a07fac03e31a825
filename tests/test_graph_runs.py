"""The graph built by hand: running it, learning with it, letting it go; on every backend."""

import gc
import weakref

import numpy as np
import pytest

import dlcore as dl
from dlcore import graph as g
from tests.adaline import Adaline, Counting


@pytest.fixture
def net(backend):
    return Adaline()


# --- values --------------------------------------------------------------------------------------


def test_forward_returns_the_output_as_a_tensor_and_leaves_values_in_all_nodes(net):
    out = net.graph.forward(net.feeds())

    assert isinstance(out, dl.Tensor)
    assert not out.requires_grad
    assert out.item() == 3.75
    assert [n.value.item() for n in net.graph.order] == [2.0, 5.0, 0.5, 0.25, 1.0, 1.25, 3.75]


@pytest.mark.parametrize(
    ("given", "dtype", "shape"),
    [
        (2.0, "float32", ()),
        (2, "float32", ()),
        ([1, 2], "float32", (2,)),
        ([1.0, 2.0], "float32", (2,)),
        (np.float64(2.0), "float64", ()),
        (np.arange(3.0), "float64", (3,)),
        (np.arange(3, dtype="float32"), "float32", (3,)),
        (np.arange(3), "int64", (3,)),
        (True, "bool", ()),
    ],
)
def test_feeds_become_tensors_numbers_in_the_default_float_arrays_in_their_own(
        backend, given, dtype, shape):
    x = g.Placeholder("x")

    out = g.Graph(g.node(lambda v: v, x)).forward({x: given})

    assert out.dtype == dtype
    assert out.shape == shape
    assert out.backend == backend.name


def test_a_tensor_is_fed_as_it_is_and_without_its_history(backend):
    fed = dl.tensor(2.0, requires_grad=True)
    x = g.Placeholder("x")
    graph = g.Graph(x * x)

    graph.forward({x: fed})
    graph.backward()

    assert x.grad.item() == 4.0
    assert fed.grad is None


def test_what_was_fed_is_copied(backend):
    array = np.ones(2)
    x = g.Placeholder("x")
    graph = g.Graph(g.Sum(x * x))

    graph.forward({x: array})
    array[:] = 7.0
    graph.backward()

    assert x.value.tolist() == [1.0, 1.0]
    assert x.grad.tolist() == [2.0, 2.0]


def test_numbers_beside_nodes_adopt_the_dtype_of_what_they_meet(backend):
    x = g.Placeholder("x")
    graph = g.Graph(x * 0.1)

    assert graph.forward({x: np.float64(1.0)}).item() == 0.1
    assert graph.forward({x: np.float32(1.0)}).dtype == "float32"


def test_a_variable_keeps_its_value_when_the_graph_is_cleared(net):
    net.graph.forward(net.feeds())
    net.graph.backward()

    net.graph.clear()

    assert net.w.value.item() == 0.5
    assert [n.name for n in net.graph.order if n.value is not None] == ["w", "b"]
    assert all(n.grad is None for n in net.graph.order)


def test_a_number_assigned_to_a_variable_takes_its_dtype(backend):
    w = g.Variable(np.float64(1.0))

    w.value = 0.1

    assert w.value.dtype == "float64"
    assert w.value.item() == 0.1


def test_forward_of_a_graph_computes_anew_every_time(net):
    counting = Counting()
    graph = g.Graph(g.node(counting, net.mul))

    graph.forward({net.x: 2.0})
    again = graph.forward({net.x: 4.0})

    assert counting.calls == 2
    assert again.item() == 3.0


def test_forward_of_a_node_keeps_its_value_until_clear(backend):
    counting = Counting()
    x = g.Placeholder("x")
    out = g.node(counting, x)
    x.value = 1.0

    first = out.forward()
    out.forward()
    (out * 2.0).forward()
    calls = counting.calls
    x.value = 5.0
    stale = out.forward()
    out.clear()
    x.value = 5.0
    fresh = out.forward()

    assert calls == 1
    assert (first.item(), stale.item(), fresh.item()) == (2.0, 2.0, 6.0)


def test_prediction_needs_only_the_feeds_of_its_node_and_disturbs_nothing(net):
    net.graph.forward(net.feeds())
    net.graph.backward()
    before = str(net.graph)

    prediction = net.graph.predict(net.add, {net.x: 10.0})

    assert prediction.item() == 5.25
    assert not prediction.requires_grad
    assert str(net.graph) == before


def test_prediction_may_be_given_more_feeds_than_it_needs(net):
    assert net.graph.predict(net.add, net.feeds()).item() == 1.25
    assert net.graph.predict(net.loss, net.feeds()).item() == 3.75
    assert net.graph.predict(net.w).item() == 0.5


def test_a_prediction_may_be_computed_from_nodes_of_the_graph(net):
    doubled = net.add * 2.0

    assert net.graph.predict(doubled, {net.x: 2.0}).item() == 2.5


# --- learning --------------------------------------------------------------------------------------


def test_gradients_reach_placeholders_variables_and_operations(net):
    net.graph.forward(net.feeds())
    net.graph.backward()

    grads = {n.name: n.grad.item() for n in net.graph.order}

    assert grads == {"x": -0.5, "label": 1.0, "w": -2.0, "b": -1.0, "mul": -1.0, "add": -1.0, "loss": 1.0}


def test_backward_sets_gradients_anew(net):
    for _ in range(3):
        net.graph.forward(net.feeds())
        net.graph.backward()
        net.graph.backward()

    assert net.w.grad.item() == -2.0


def test_a_gradient_has_the_dtype_and_shape_of_the_value(backend):
    x, w = g.Placeholder("x"), g.Variable(np.ones((3, 1), dtype="float32"))
    graph = g.Graph(g.Mean(g.MatMul(x, w)))

    graph.forward({x: np.ones((2, 3))})
    graph.backward()

    assert (w.grad.dtype, w.grad.shape) == ("float32", (3, 1))
    assert (x.grad.dtype, x.grad.shape) == ("float64", (2, 3))


def test_what_does_not_influence_the_output_has_a_gradient_of_zeros_and_integers_have_none(backend):
    x, rows = g.Variable([1.0, 2.0]), g.Placeholder("rows")
    flat = g.Step(x)
    graph = g.Graph(g.Sum(g.node(dl.take, flat, rows)))

    graph.forward({rows: np.array([1, 1])})
    graph.backward()

    assert x.grad.tolist() == [0.0, 0.0]
    assert flat.grad.tolist() == [0.0, 2.0]
    assert rows.grad is None


def test_update_uses_a_rate_of_a_thousandth_unless_told(net):
    net.graph.forward(net.feeds())
    net.graph.backward()

    net.graph.update()

    assert net.w.value.item() == np.float32(0.5) + np.float32(2.0) * np.float32(0.001)
    assert net.b.value.item() == np.float32(0.25) + np.float32(0.001)


def test_each_parameter_can_have_its_own_rate(net):
    net.graph.forward(net.feeds())
    net.graph.backward()

    net.w.update(lr=0.5)
    net.b.update(lr=0.25)

    assert (net.w.value.item(), net.b.value.item()) == (1.5, 0.5)


def test_update_changes_trainable_variables_only(net):
    net.w.trainable = False
    net.graph.forward(net.feeds())
    net.graph.backward()

    net.graph.update(lr=1.0)
    for node in net.graph:
        if node is not net.b:
            node.update(lr=1.0)

    assert net.graph.trainables == [net.b]
    assert net.w.value.item() == 0.5
    assert net.b.value.item() == 1.25
    assert net.x.value.item() == 2.0
    assert net.w.grad.item() == -2.0


def test_a_graph_that_is_run_node_by_node_learns_likewise(net):
    net.x.value, net.label.value = 2.0, 5.0

    net.loss.forward()
    net.loss.backward()
    net.w.update(lr=0.5)
    net.loss.clear()

    assert net.w.value.item() == 1.5
    assert net.x.value is None
    assert net.w.grad is None


def test_two_graphs_may_share_variables(net):
    other = g.Graph(net.w * 3.0)
    net.graph.forward(net.feeds())
    net.graph.backward()

    other.forward()
    other.backward()

    assert net.w.grad.item() == 3.0


def test_values_survive_under_no_grad(net):
    with dl.no_grad():
        net.graph.forward(net.feeds())
        net.graph.backward()

    assert net.w.grad.item() == -2.0


# --- memory ----------------------------------------------------------------------------------------


def test_a_graph_goes_when_its_last_reference_goes(net):
    net.graph.forward(net.feeds())
    net.graph.backward()
    nodes = [weakref.ref(n) for n in net.graph]
    values = [weakref.ref(n.held) for n in net.graph]
    gc.disable()
    try:
        del net.graph, net.loss, net.add, net.mul, net.x, net.label, net.w, net.b
        left = [r() for r in nodes + values if r() is not None]
    finally:
        gc.enable()

    assert left == []
