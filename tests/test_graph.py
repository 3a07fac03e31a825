"""The graph built by hand: nodes, their names, and what makes them."""

import numpy as np
import pytest

import dlcore as dl
from dlcore import graph as g
from tests.adaline import Adaline, Counting


@pytest.fixture
def net(backend):
    return Adaline()


def test_the_order_has_inputs_first_operands_before_results_and_the_output_last(net):
    order = net.graph.order
    place = {node: p for p, node in enumerate(order)}

    assert set(order[:4]) == {net.x, net.w, net.b, net.label}
    assert order[-1] is net.loss
    assert all(place[p] < place[n] for n in order for p in n.parents)
    assert len(net.graph) == 7
    assert net.add in net.graph
    assert repr(order) == "[x, label, w, b, mul, add, loss]"


def test_parents_and_children_are_nodes(net):
    assert net.mul.parents == (net.x, net.w)
    assert net.mul.children == (net.add,)
    assert net.loss.children == ()


def test_a_node_that_is_used_twice_by_another_is_one_child_and_two_parents():
    x = g.Variable(3.0)
    square = g.Mul(x, x)

    assert square.parents == (x, x)
    assert x.children == (square,)


def test_children_are_not_kept_alive_by_what_they_consume():
    x = g.Variable(3.0)
    kept, dropped = x * 2.0, x * 3.0

    del dropped

    assert x.children == (kept,)


def test_nodes_compare_and_hash_by_identity():
    x, y = g.Variable(1.0), g.Variable(1.0)

    assert x == x  # noqa: PLR0124
    assert x != y
    assert {x: "x", y: "y"}[x] == "x"
    assert [x, y].index(y) == 1


def test_names_are_as_given_or_derived_from_what_the_node_does():
    x = g.Variable(1.0, name="x")
    first, second = g.Mul(x, x), x * x

    assert x.name == "x"
    assert first.name.startswith("mul_")
    assert int(second.name[4:]) == int(first.name[4:]) + 1
    assert (x + 2.5).parents[1].name == "2.5"
    assert dl.exp(x).name.startswith("exp_")


@pytest.mark.parametrize(
    ("build", "kind", "expected"),
    [
        (lambda x: x + 2.0, "Add", 5.0),
        (lambda x: 2.0 + x, "Add", 5.0),
        (lambda x: x - 2.0, "Sub", 1.0),
        (lambda x: 2.0 - x, "Sub", -1.0),
        (lambda x: x * 2, "Mul", 6.0),
        (lambda x: 2 * x, "Mul", 6.0),
        (lambda x: x / 2.0, "Div", 1.5),
        (lambda x: 6.0 / x, "Div", 2.0),
        (lambda x: x**2, "Square", 9.0),
        (lambda x: -x, "Neg", -3.0),
        (abs, "Abs", 3.0),
        (lambda x: x * dl.tensor(2.0), "Mul", 6.0),
        (lambda x: dl.tensor(2.0) * x, "Mul", 6.0),
        (lambda x: np.float32(2.0) * x, "Mul", 6.0),
        (lambda x: dl.tanh(x * 0.0), "Tanh", 0.0),
        (dl.sum, "Sum", 3.0),
        (lambda x: x.mean(), "Mean", 3.0),
        (lambda x: dl.maximum(x, 4.0), "Maximum", 4.0),
    ],
)
def test_arithmetic_and_operations_on_nodes_build_nodes(backend, build, kind, expected):
    made = build(g.Variable(3.0))

    assert isinstance(made, g.Node)
    assert made.kind == kind
    assert made.forward().item() == expected


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda x, y: g.Add(x, y, x), 5.0),
        (lambda x, y: g.Add(x), 2.0),
        (g.Sub, 1.0),
        (g.Mul, 2.0),
        (g.Div, 2.0),
        (lambda x, y: g.Neg(x), -2.0),
        (lambda x, y: g.Linear(x, y, 3.0), 5.0),
        (lambda x, y: g.Square(x), 4.0),
        (lambda x, y: g.Sqrt(g.Mul(x, x)), 2.0),
        (lambda x, y: g.Abs(g.Neg(x)), 2.0),
        (lambda x, y: g.Exp(g.Sub(y, y)), 1.0),
        (lambda x, y: g.Log(y), 0.0),
        (lambda x, y: g.Sigmoid(g.Sub(y, 1.0)), 0.5),
        (lambda x, y: g.Tanh(g.Sub(y, 1.0)), 0.0),
        (lambda x, y: g.ReLU(g.Neg(x)), 0.0),
        (lambda x, y: g.LeakyReLU(g.Neg(x), 0.5), -1.0),
        (lambda x, y: g.LeakyReLU(g.Neg(y)), -0.01),
        (lambda x, y: g.Step(x), 1.0),
        (lambda x, y: g.Sum(x), 2.0),
        (lambda x, y: g.Mean(x), 2.0),
        (g.MSELoss, 1.0),
        (lambda x, y: g.AbsLoss(y, x), 1.0),
    ],
)
def test_every_constructor_computes_what_its_name_says(backend, build, expected):
    made = build(g.Variable(np.float64(2.0)), g.Variable(np.float64(1.0)))

    assert made.forward().item() == expected
    assert made.name.startswith(f"{made.kind.lower()}_")


def test_matmul_and_linear_take_weights_as_in_by_out(backend):
    x, w, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4), np.arange(4.0)

    product = g.MatMul(g.Variable(x), g.Variable(w)).forward()
    linear = g.Linear(g.Variable(x), g.Variable(w), g.Variable(b)).forward()

    assert product.tolist() == (x @ w).tolist()
    assert linear.tolist() == (x @ w + b).tolist()


def test_sum_and_mean_reduce_one_axis_if_asked(backend):
    x = g.Variable(np.arange(6.0).reshape(2, 3))

    assert g.Sum(x, axis=0).forward().tolist() == [3.0, 5.0, 7.0]
    assert g.Mean(x, axis=1).forward().tolist() == [1.0, 4.0]


def test_a_node_of_any_function_is_called_by_the_name_of_the_function():
    x = g.Placeholder("x")

    assert g.node(dl.tanh, x).kind == "tanh"
    assert g.node(lambda v: v, x).kind == "Function"
    assert g.node(Counting(), x, name="n").kind == "Counting"
    assert g.node(lambda v: v, x, kind="Same").name.startswith("same_")


def test_a_node_of_a_function_that_returns_its_operand_has_a_gradient_of_its_own(backend):
    x = g.Variable(3.0)
    same = g.node(lambda v: v, x)
    loss = x * 2.0 + same * 5.0

    loss.forward()
    loss.backward()

    assert same.grad.item() == 5.0
    assert x.grad.item() == 7.0


def test_a_function_may_return_a_number(backend):
    x = g.Variable(3.0)
    loss = g.node(lambda v: 4.0, x) * x

    loss.forward()
    loss.backward()

    assert x.grad.item() == 4.0


def test_parameters_that_a_function_captures_gather_their_gradient(backend):
    weight = dl.tensor(2.0, requires_grad=True)
    doubled = weight * 2.0  # computed, so the gradient has further to go
    x = g.Variable(3.0)
    graph = g.Graph(g.Add(g.node(lambda v: v * weight, x), g.node(lambda v: v * doubled, x)))

    graph.forward()
    graph.backward()

    assert weight.grad.item() == 3.0 + 2 * 3.0
    assert x.grad.item() == 6.0


def test_a_module_is_a_node_whose_parameters_gather_their_gradient(backend):
    layer = dl.nn.Linear(2, 1)
    x = g.Placeholder("x")
    graph = g.Graph(g.Sum(g.node(layer, x)))

    graph.forward({x: np.ones((3, 2), dtype="float32")})
    graph.backward()

    assert graph.order[1].kind == "Linear"
    assert layer.weight.grad.tolist() == [[3.0, 3.0]]
    assert x.grad.tolist() == layer.weight.tolist() * 3
