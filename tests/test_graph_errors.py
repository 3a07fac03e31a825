"""The graph built by hand: what it refuses, and how it says what to do instead."""

import numpy as np
import pytest

import dlcore as dl
from dlcore import graph as g


@pytest.fixture
def line(backend):
    """A graph of x * w, and its two inputs."""
    x, w = g.Placeholder("x"), g.Variable(2.0, name="w")
    return g.Graph(g.Mul(x, w, name="out")), x, w


def test_a_missing_placeholder_is_named(line):
    graph, _, _ = line

    with pytest.raises(ValueError, match=r"feed_dict: no value for placeholder x"):
        graph.forward({})
    with pytest.raises(ValueError, match=r"feed_dict: no value for placeholder x"):
        graph.forward()


def test_what_was_fed_last_time_does_not_count(line):
    graph, x, _ = line
    graph.forward({x: 1.0})

    with pytest.raises(ValueError, match="no value for placeholder x"):
        graph.forward()


def test_all_missing_placeholders_are_named_and_nothing_changes():
    x, y = g.Placeholder("x"), g.Placeholder("y")
    graph = g.Graph(x + y)
    graph.forward({x: 1.0, y: 2.0})

    with pytest.raises(ValueError, match="no value for placeholder x, y"):
        graph.forward()
    with pytest.raises(ValueError, match="no value for placeholder y"):
        graph.forward({x: 5.0})

    assert x.value.item() == 1.0


def test_a_feed_for_a_placeholder_of_another_graph_is_refused(line):
    graph, x, _ = line

    with pytest.raises(ValueError, match="feed_dict: placeholder z is not in this graph"):
        graph.forward({x: 1.0, g.Placeholder("z"): 2.0})


def test_a_feed_for_a_variable_or_an_operation_is_refused(line):
    graph, x, w = line

    with pytest.raises(ValueError, match=r"feed_dict: w is no placeholder.*w\.value ="):
        graph.forward({x: 1.0, w: 2.0})
    with pytest.raises(ValueError, match="feed_dict: out is no placeholder"):
        graph.forward({x: 1.0, graph.output: 2.0})


def test_a_feed_by_name_is_refused(line):
    graph, _, _ = line

    with pytest.raises(TypeError, match="feed_dict: placeholders are its keys, got 'x'"):
        graph.forward({"x": 1.0})


def test_prediction_names_what_it_needs(line):
    graph, _, _ = line

    with pytest.raises(ValueError, match="no value for placeholder x"):
        graph.predict(graph.output)


def test_a_feed_that_is_no_number_is_refused_by_the_name_of_its_placeholder(line):
    graph, x, _ = line

    with pytest.raises(TypeError, match=r"Placeholder x: a tensor holds numbers"):
        graph.forward({x: "three"})
    with pytest.raises(ValueError, match=r"Placeholder x: ragged"):
        graph.forward({x: [[1.0], [1.0, 2.0]]})


def test_a_node_that_needs_a_value_names_the_input_without_one():
    x = g.Placeholder("x")

    with pytest.raises(ValueError, match=r"forward: placeholder x has no value; .*x\.value"):
        (x * 2.0).forward()


def test_backward_comes_after_forward(line):
    graph, _, _ = line

    with pytest.raises(ValueError, match=r"backward: out has no value; forward\(\) comes first"):
        graph.backward()
    with pytest.raises(ValueError, match=r"backward: out has no value; forward\(\) comes first"):
        graph.backward_steps()


def test_backward_needs_a_scalar(line):
    graph, x, _ = line
    graph.forward({x: [1.0, 2.0]})

    with pytest.raises(ValueError, match=r"backward: out has shape \(2,\), which is not a scalar"):
        graph.backward()


def test_update_comes_after_backward_of_this_run(line):
    graph, x, w = line

    with pytest.raises(ValueError, match="update: w has no gradient"):
        w.update()
    graph.forward({x: 1.0})
    graph.backward()
    graph.forward({x: 2.0})
    with pytest.raises(ValueError, match="update: w has no gradient"):
        graph.update()


def test_backward_refuses_a_value_that_is_out_of_date(backend):
    x = g.Placeholder("x")
    inner = g.Mul(x, 2.0, name="inner")
    outer = g.Mul(inner, inner, name="outer")
    x.value = 3.0
    outer.forward()

    inner.clear()
    x.value = 4.0
    inner.forward()

    with pytest.raises(ValueError, match="outer was computed from another value of inner"):
        outer.backward()


def test_operations_and_constants_cannot_be_assigned(line):
    graph, _, w = line

    with pytest.raises(TypeError, match="out: the value of Mul cannot be assigned"):
        graph.output.value = 3.0
    with pytest.raises(TypeError, match=r"3\.0: the value of Constant cannot be assigned"):
        (w * 3.0).parents[1].value = 3.0


def test_a_trainable_variable_needs_derivatives(backend):
    with pytest.raises(TypeError, match="Variable n: int64 has no derivatives"):
        g.Variable(np.arange(3), name="n")

    assert g.Variable(np.arange(3), trainable=False).value.dtype == "int64"


def test_a_variable_needs_a_number():
    with pytest.raises(TypeError, match="Variable w: a tensor holds numbers"):
        g.Variable("zero", name="w")


def test_a_name_is_a_string():
    with pytest.raises(TypeError, match="Placeholder: a name is a string, got float"):
        g.Placeholder(1.0)


def test_a_failing_function_says_which_node_it_was_and_leaves_no_half_run_graph(line):
    graph, x, w = line
    product = g.MatMul(x, w, name="product")
    graph = g.Graph(g.Sum(product))
    w.value = np.ones((3, 1))
    graph.forward({x: np.ones((2, 3))})

    with pytest.raises(ValueError, match=r"matmul: shapes \(2, 4\) and \(3, 1\)") as caught:
        graph.forward({x: np.ones((2, 4))})

    assert caught.value.__notes__ == ["in the graph: MatMul product of x (2, 4), w (3, 1)"]
    assert product.value is None


def test_a_function_with_several_results_is_refused(backend):
    x = g.Variable([1.0, 2.0])

    with pytest.raises(TypeError, match="pair: the function gave 2 results, but a node has one"):
        g.node(lambda v: (v, v), x, name="pair").forward()


def test_a_function_that_returns_no_number_is_refused(backend):
    with pytest.raises(TypeError, match="a tensor holds numbers"):
        g.node(lambda v: "one", g.Variable(1.0)).forward()


def test_a_loss_refuses_unequal_shapes(backend):
    x, y = g.Placeholder("x"), g.Placeholder("y")
    graph = g.Graph(g.MSELoss(x, y))

    with pytest.raises(ValueError, match=r"mse_loss: .*\(3, 1\).*\(3,\)"):
        graph.forward({x: np.ones((3, 1)), y: np.ones(3)})


def test_a_graph_leads_to_a_node():
    with pytest.raises(TypeError, match="Graph: the output is a node, got float"):
        g.Graph(3.0)


def test_an_operation_needs_an_operand():
    with pytest.raises(ValueError, match="Add: needs at least one operand"):
        g.Add()


def test_a_node_needs_a_function():
    with pytest.raises(TypeError, match="node: needs a function first, got x"):
        g.node(g.Placeholder("x"), dl.exp)


def test_an_operand_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match="a tensor holds numbers"):
        g.Add(g.Placeholder("x"), "one")


@pytest.mark.parametrize(
    "ask",
    [lambda x: x.shape, lambda x: x.dtype, len, iter, lambda x: x.T, lambda x: x.ndim])
def test_a_node_has_no_shape_and_says_where_to_find_it(ask):
    with pytest.raises(TypeError, match=r"x has no shape.*x\.value.*dl\.graph\.node"):
        ask(g.Placeholder("x"))


def test_a_node_has_no_truth_value():
    with pytest.raises(TypeError, match=r"x has no truth value.*dl\.where"):
        bool(g.Placeholder("x"))


def test_code_may_ask_whether_a_node_has_a_shape():
    assert not hasattr(g.Placeholder("x"), "shape")
