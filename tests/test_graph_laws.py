"""The graph built by hand and tensors are one engine: equal values, equal gradients, any depth."""

import gc
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore import graph as g
from dlcore.ops.activations import leaky_relu, relu

UNARY = [dl.tanh, dl.sin, dl.sigmoid, relu, leaky_relu, dl.square, dl.negative, dl.abs]
BINARY = [dl.add, dl.subtract, dl.multiply, dl.maximum, lambda x, y: x * y + x]
SHAPES = [(), (3,), (2, 3)]


@st.composite
def programs(draw):
    """A few arrays, and instructions that each apply a function to earlier results."""
    seed = draw(st.integers(0, 2**32 - 1))
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(-1.5, 1.5, shape) for shape in shapes]
    instructions = []
    for known in range(len(arrays), len(arrays) + draw(st.integers(1, 12))):
        function = draw(st.sampled_from(UNARY + BINARY))
        count = 1 if function in UNARY else 2
        places = st.integers(0, known - 1)
        instructions.append((function, draw(st.lists(places, min_size=count, max_size=count))))
    weights = draw(st.lists(st.integers(-2, 2), min_size=1, max_size=3))
    return arrays, instructions, weights


def run(inputs, instructions, weights, apply, total):
    """All results, and a weighted sum of the last ones."""
    results = list(inputs)
    for function, places in instructions:
        results.append(apply(function, *(results[p] for p in places)))
    loss = total(results[-1])
    for weight, result in zip(weights, reversed(results), strict=False):
        loss = loss + total(result) * float(weight)
    return results, loss


def both(program):
    """A program as tensors and as nodes, each run forwards and backwards."""
    arrays, instructions, weights = program
    leaves = [dl.tensor(a, requires_grad=True) for a in arrays]
    tensors, total = run(leaves, instructions, weights, lambda f, *xs: f(*xs), dl.sum)
    total.backward()
    inputs = [g.Variable(a) if p else g.Placeholder("x") for p, a in enumerate(arrays)]
    nodes, loss = run(inputs, instructions, weights, g.node, g.Sum)
    graph = g.Graph(loss)
    placeholder = inputs[0]
    graph.forward({placeholder: arrays[0]} if placeholder in graph else {})
    graph.backward()
    return leaves, tensors, total, nodes, graph


@given(program=programs())
def test_a_graph_has_exactly_the_values_and_gradients_of_tensors(backend, program):
    leaves, tensors, total, nodes, graph = both(program)

    assert graph.output.value.tolist() == total.tolist()
    for node, tensor in zip(nodes, tensors, strict=True):
        if node in graph:
            assert node.value.tolist() == tensor.tolist()
    for node, leaf in zip(nodes, leaves, strict=False):
        if node in graph:
            assert node.grad.tolist() == leaf.grad.tolist()


@given(program=programs(), data=st.data())
def test_the_gradient_of_an_inner_node_is_that_of_a_variable_in_its_place(backend, program, data):
    arrays, instructions, weights = program
    _, _, _, nodes, graph = both(program)
    inner = [p for p in range(len(arrays), len(nodes)) if nodes[p] in graph]
    place = data.draw(st.sampled_from(inner))
    cut = dl.tensor(nodes[place].value.numpy(), requires_grad=True)

    def apply(function, *operands):
        results.append(cut if len(results) == place else function(*operands))
        return results[-1]

    results = [dl.tensor(a) for a in arrays]
    _, total = run(list(results), instructions, weights, apply, dl.sum)
    total.backward()

    assert nodes[place].grad.tolist() == cut.grad.tolist()


@given(program=programs())
def test_the_shares_of_a_gradient_that_the_steps_hand_on_add_up_to_it(backend, program):
    _, _, _, nodes, graph = both(program)
    steps = graph.backward_steps()

    for node in nodes:
        if node in graph and node is not graph.output:
            shares = [s.outgoing[node].numpy() for s in steps if node in s.outgoing]
            total = sum(shares, np.zeros(node.value.shape))
            np.testing.assert_allclose(total, node.grad.numpy(), rtol=1e-13, atol=1e-13)
    for step in steps:
        assert step.incoming.tolist() == step.node.grad.tolist()


@given(program=programs())
def test_a_step_hands_on_its_incoming_gradient_times_its_local_derivative(backend, program):
    *_, graph = both(program)

    for step in graph.backward_steps():
        for parent, local in step.local.items():
            if local is not None:
                axes = len(step.incoming.shape)
                expected = np.tensordot(step.incoming.numpy(), local.numpy(), axes)
                np.testing.assert_allclose(
                    step.outgoing[parent].numpy(), expected, rtol=1e-13, atol=1e-13)


def test_the_steps_print_as_a_table(backend):
    x, w = g.Variable(2.0, name="x"), g.Variable(np.ones((8, 3)), name="w")
    graph = g.Graph(g.Sum(g.Mul(w, x, name="scaled"), name="total"))
    graph.forward()

    steps = graph.backward_steps()

    assert len(steps) == 2
    assert x.grad is None
    assert str(steps).splitlines() == [
        "step  node    operation  incoming  parent  local  outgoing",
        "----  ------  ---------  --------  ------  -----  --------",
        "1     total   Sum        1         scaled  -      all 1",
        "2     scaled  Mul        all 1     w       -      all 2",
        "                                   x       -      24",
    ]


# --- what earlier libraries got wrong ----------------------------------------------------------


def test_another_consumer_of_a_node_never_leaks_into_its_gradient(backend):
    x, w = g.Placeholder("x"), g.Variable(1.0, name="w")
    product = g.Mul(x, w)
    graph = g.Graph(g.Add(product, 1.0))
    other = g.Mul(product, 1.0)

    graph.forward({x: 3.0})
    other.forward()
    graph.backward()

    assert w.grad.item() == 3.0


def test_the_order_of_updates_does_not_matter(backend):
    w1, w2, x = g.Variable(1.0), g.Variable(3.0), g.Variable(1.0, trainable=False)
    loss = g.Mul(g.Mul(x, w1), w2)
    loss.forward()
    loss.backward()

    w2.update(lr=0.2)

    assert w2.value.item() == np.float32(3.0) - np.float32(0.2)
    assert w1.grad.item() == 3.0
    loss.backward()
    assert w1.grad.item() == 3.0


def test_the_gradient_of_a_step_is_zero(backend):
    x = g.Variable([-1.0, 0.0, 1.0])
    graph = g.Graph(g.Sum(g.Step(x)))

    graph.forward()
    graph.backward()

    assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_a_weight_that_two_nodes_share_gets_the_sum_of_both_gradients(backend):
    x1, x2 = g.Placeholder("x1"), g.Placeholder("x2")
    w, b = g.Variable(np.ones((2, 1)), name="w"), g.Variable(np.zeros(1), name="b")
    graph = g.Graph(g.Sum(g.Linear(x1, w, b)) + g.Sum(g.Linear(x2, w, b)))

    graph.forward({x1: np.array([[1.0, 2.0]]), x2: np.array([[10.0, 20.0]])})
    graph.backward()

    assert w.grad.tolist() == [[11.0], [22.0]]
    assert b.grad.tolist() == [2.0]


def test_every_node_runs_once_on_any_number_of_diamonds(backend):
    calls = []
    x = end = g.Variable(1.0)
    for _ in range(60):  # without memory, 2**60 calls
        end = g.node(lambda a, b: (calls.append(1), a * 0.5 + b * 0.5)[1], end, end)

    end.forward()
    end.backward()

    assert len(calls) == 60
    assert x.grad.item() == 1.0
    end.clear()
    assert end.value is None


# --- size ------------------------------------------------------------------------------------------


def chain(x, depth):
    for _ in range(depth):
        x = g.Neg(x)
    return x


def test_a_chain_of_1200_nodes_is_no_recursion(backend):
    x = g.Variable(2.0)
    end = chain(x, 1200)

    end.forward()
    end.backward()
    end.clear()

    assert x.grad is None
    assert len(g.Graph(end)) == 1201


def test_a_chain_of_a_hundred_thousand_nodes_takes_seconds():
    start = time.perf_counter()
    x = g.Variable(2.0)
    graph = g.Graph(chain(x, 100_000))

    graph.forward()
    graph.backward()
    gradient = x.grad.item()
    graph.clear()
    graph.output.forward()
    graph.output.backward()
    del graph

    assert gradient == x.grad.item() == 1.0
    assert x.children == ()
    assert time.perf_counter() - start < 30.0  # 2 s on an idle core; recursion would have failed


@pytest.mark.parametrize("count", [20_000])
def test_dropping_a_fan_of_nodes_takes_linear_time(count):
    x = g.Variable(1.0)
    total = x
    for _ in range(count):
        total = total + x
    start = time.perf_counter()

    del total
    gc.collect()

    assert x.children == ()
    assert time.perf_counter() - start < 2.0  # 0.01 s; a search for each child took a minute
