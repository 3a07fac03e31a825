"""The engine: what a history is, how passes walk it, what they leave behind, and when memory goes."""

import gc
import weakref
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore import core, history
from dlcore.core import PRIMITIVES, Primitive, pullback
from dlcore.history import Node, Spec, walk
from dlcore.testing.calls import outputs
from dlcore.testing.strategies import calls
from tests.strategies import fewer

LONG = 100_000


@pytest.fixture
def no_collector():
    """Python's collector of cycles is off: what goes, goes because nothing refers to it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def variable(data, dtype=None):
    return dl.tensor(data, dtype, requires_grad=True)


# --- sharing --------------------------------------------------------------------------------------


def test_a_value_used_twice_gets_both_gradients(backend):
    x = variable([2.0, 3.0])

    dl.sum(x * x + x).backward()

    assert x.grad.tolist() == [5.0, 7.0]


def test_an_operation_on_one_value_twice_counts_it_twice(backend):
    x = variable(3.0)

    (x - x + x * x).backward()

    assert x.grad.item() == 6.0


@given(depth=st.integers(1, 12))
def test_a_tower_of_diamonds_is_walked_once_per_node(depth, backend):
    x = variable(1.0, "float64")
    y = x
    for _ in range(depth):
        y = y + y

    order, _ = walk([y.node])
    y.backward()

    assert len(order) == depth + 1
    assert x.grad.item() == 2.0**depth


def test_children_come_before_their_parents_however_lopsided_the_graph(backend):
    x = variable(2.0)
    early = x * 3.0
    late = x
    for _ in range(5):
        late = late * 1.0

    order, _ = walk([(late * early + early).node])

    place = {node: i for i, node in enumerate(order)}
    assert all(place[node] < place[p] for node in order for p in node.parents if p is not None)


def test_another_consumer_of_a_value_does_not_leak_into_a_gradient(backend):
    x = variable(3.0)
    shared = x * x

    _ = shared * 100.0
    (shared + 1.0).backward()

    assert x.grad.item() == 6.0


# --- several outputs ------------------------------------------------------------------------------


SEVERAL = [name for name, p in PRIMITIVES.items() if p.outputs is not None and p.differentiable]


@pytest.mark.parametrize("name", SEVERAL)
@fewer(3)
@given(data=st.data())
def test_each_output_alone_gives_its_part_of_the_gradient(name, backend, data):
    call = data.draw(calls(PRIMITIVES[name]))
    weights = [dl.full(y.shape, i + 2.0, y.dtype) for i, y in enumerate(outputs(call(*call.tensors())))]

    def gradients(chosen):
        args = call.tensors(requires_grad=True)
        results = outputs(call(*args))
        kept = [(results[i], weights[i]) for i in chosen if results[i].requires_grad]
        results.clear()
        total = sum(dl.sum(dl.real(y * w)) for y, w in kept)
        total.backward()
        return [args[i].grad.numpy() for i in call.floats]

    smooth = [i for i, y in enumerate(outputs(call(*call.tensors()))) if y.dtype.kind in ("float", "complex")]
    alone = [gradients([i]) for i in smooth]

    together = gradients(smooth)

    for parts, whole in zip(zip(*alone, strict=True), together, strict=True):
        np.testing.assert_allclose(sum(parts), whole, rtol=1e-10, atol=1e-12)  # sums in another order


def test_dropping_one_of_two_outputs_leaves_the_gradient_of_the_other(backend):
    x = variable([[3.0, 1.0], [2.0, 4.0]])

    first, second = dl.unstack(x)
    del first
    dl.sum(second * second).backward()

    assert x.grad.tolist() == [[0.0, 0.0], [4.0, 8.0]]


def test_a_rule_of_several_outputs_gets_a_cotangent_for_each_and_none_where_one_went_unused(backend):
    seen = []

    def pulled(gs, outs, x):
        seen.append([g is not None for g in gs])
        return sum(g * factor for g, factor in zip(gs, (1.0, 10.0, 100.0), strict=True) if g is not None)

    thrice = Primitive("thrice", lambda xp, x: (x, x * 10, x * 100), None, (pulled,), outputs=tuple)
    x = variable(1.0)

    first, _, third = thrice(x)
    (first * 2.0 + third).backward()

    assert seen == [[True, False, True]]
    assert x.grad.item() == 102.0


def test_integer_outputs_have_no_history(backend):
    values, indices = dl.topk(variable([1.0, 3.0, 2.0]), 2)

    assert values.requires_grad
    assert not indices.requires_grad


# --- depth ----------------------------------------------------------------------------------------


def test_a_chain_of_a_hundred_thousand_operations_is_fine_in_both_modes():
    def chain(x):
        for _ in range(LONG):
            x = x * 1.0
        return x

    x = variable(2.0)
    chain(x).backward()
    _, pushed = dl.jvp(chain, [dl.tensor(1.0)], [dl.tensor(3.0)])

    assert x.grad.item() == 1.0
    assert pushed.item() == 3.0


def test_a_recorded_pass_over_a_long_chain_is_fine_and_so_is_letting_go_of_it(no_collector):
    x = variable(2.0)
    y = x
    for _ in range(LONG // 10):
        y = y * 1.0
    node = weakref.ref(y.node)

    (y * y).backward(create_graph=True)
    slope = x.grad
    x.grad = None
    slope.backward()
    del y, slope

    assert x.grad.item() == 2.0
    assert node() is None


def test_a_pass_that_comes_from_a_transform_survives_a_long_chain():
    def chain(x):
        for _ in range(LONG // 10):
            x = x + 0.0
        return x * x

    assert dl.grad(dl.grad(chain))(dl.tensor(3.0)).item() == 2.0


# --- memory ---------------------------------------------------------------------------------------


def test_history_goes_with_the_last_value_that_needs_it(backend, no_collector):
    x = variable([1.0, 2.0])
    y = dl.exp(x * x)
    inner = weakref.ref(y.node.parents[0])
    outer = weakref.ref(y.node)

    del y

    assert inner() is None
    assert outer() is None


def test_a_leaf_goes_although_its_node_is_kept_by_others(backend, no_collector):
    x = variable([1.0, 2.0])
    leaf = weakref.ref(x)
    y = dl.sum(x * x)

    del x
    y.backward()

    assert leaf() is None


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_step_of_training_leaves_no_cycle(create_graph, backend, no_collector):
    w = variable([1.0, 2.0])
    loss = dl.sum(dl.square(w * dl.tensor([3.0, 4.0])))
    nodes = [weakref.ref(n) for n in walk([loss.node])[0] if n.primitive is not None]

    loss.backward(create_graph=create_graph)
    del loss
    w.grad = None

    assert [n for n in nodes if n() is not None] == []


def test_a_transform_leaves_no_cycle(backend, no_collector):
    nodes = []

    def f(x):
        y = dl.sum(dl.exp(x) * x)
        nodes.extend(weakref.ref(n) for n in walk([y.node])[0])
        return y

    dl.hessian(f)(dl.tensor([1.0, 2.0]))

    assert nodes
    assert [n for n in nodes if n() is not None] == []


def test_a_pass_lets_go_of_arrays_as_it_proceeds_unless_retained(backend):
    x = variable([1.0, 2.0])

    for retain, expected in ((False, ()), (True, 2)):
        y = dl.sum(dl.exp(x) * x)
        product = y.node.parents[0]
        y.backward(retain_graph=retain)
        assert (len(product.args) if retain else product.args) == expected


def test_a_node_describes_the_big_arrays_that_no_rule_reads(backend):
    size = history.SMALL + 1
    x = variable(np.ones(size))

    total, product = dl.sum(x), x * 2.0

    assert total.node.args == (Spec((size,), total.node.args[0].dtype),)
    assert product.node.args[0] is x.array
    assert total.node.args[0].ndim == 1


def test_a_node_holds_no_value(backend):
    x = variable([1.0, 2.0])
    y = dl.where(x > 1.0, dl.matmul(x, x), dl.topk(x, 1).values)

    held = [thing for n in walk([y.node])[0] if n.primitive is not None
            for thing in (n.out, *n.args, *n.parents, *n.params.values())]

    assert not any(isinstance(thing, core.Value) for thing in held)


# --- primitives by themselves ---------------------------------------------------------------------


def test_a_primitive_that_meets_no_tensor_says_how_to_make_one():
    with pytest.raises(TypeError, match=r"exp: needs a tensor, got float; make one with dl.tensor\(...\)"):
        dl.exp(1.0)
    with pytest.raises(TypeError, match="add: needs a tensor, got ndarray, int"):
        dl.add(np.ones(2), 1)


def test_outside_a_pass_no_backend_is_announced_even_after_a_rule_has_failed(backend):
    def broken(g, out, x):
        raise ZeroDivisionError

    failing = Primitive("failing", lambda xp, x: x, lambda s: s, (broken,))
    y = failing(variable(1.0))

    with pytest.raises(ZeroDivisionError):
        y.backward()

    assert history.announced() is None
    with pytest.raises(TypeError, match="needs a tensor"):
        dl.exp(np.float32(1.0))


def test_users_code_in_a_rule_leaves_the_current_device_as_it_was():
    entered = []

    class Numbered:
        array_type = type("ArrayOfSeveralDevices", (), {})

        @contextmanager
        def scope(self):
            entered.append("in")
            yield
            entered.append("out")

    scope = history.announce(Numbered())
    with history.unannounced() as recorded:
        inside = history.announced()
    history.announce(None, scope)

    assert (inside, recorded) == (None, False)
    assert entered == ["in", "out"]


def test_a_name_is_declared_once():
    with pytest.raises(ValueError, match="primitive 'exp' is declared twice"):
        Primitive("exp", lambda xp, x: x, None, samples=PRIMITIVES["exp"].samples)


def test_a_primitive_without_samples_is_not_registered():
    Primitive("temporary", lambda xp, x: x, None)

    assert "temporary" not in PRIMITIVES


def test_the_parts_of_a_history_say_what_they_are():
    assert repr(PRIMITIVES["exp"]) == "<primitive exp>"


# --- raw arrays and values ------------------------------------------------------------------------


def test_an_ordinary_pass_gives_rules_arrays_and_a_recorded_one_gives_them_values(backend):
    seen = []

    def rule(g, out, x):
        seen.append([isinstance(v, core.Value) for v in (g, out, x)])
        return g * x

    doubled = Primitive("watching", lambda xp, x: x * x / 2, lambda s: s, (rule,))
    x = variable(3.0)

    doubled(x).backward()
    doubled(x).backward(create_graph=True)

    assert seen == [[False] * 3, [True] * 3]
    assert x.grad.item() == 6.0


@given(seed=st.integers(0, 2**32 - 1))
def test_both_kinds_of_pass_give_the_same_bits_over_random_expressions(seed, backend):
    rng = np.random.default_rng(seed)
    steps = [lambda a, b: a * b, lambda a, b: a - b, lambda a, b: dl.tanh(a) + b, dl.maximum,
             lambda a, b: a / (b * b + 1.0), dl.matmul]
    values = [variable(rng.uniform(-1, 1, (3, 3))) for _ in range(2)]
    leaves = list(values)
    for _ in range(6):
        a, b = (values[i] for i in rng.integers(0, len(values), 2))
        values.append(steps[rng.integers(0, len(steps))](a, b))
    total = dl.sum(values[-1] * sum(values[2:]))

    order = walk([total.node])[0]
    raw = pullback(order, {total.node: total.node.xp.one_like(total.array)}, recorded=False)
    recorded = pullback(order, {total.node: dl.tensor(1.0, "float64")}, recorded=True)

    for x in leaves:
        if x.node in raw:
            np.testing.assert_array_equal(dl.Tensor(raw[x.node]).numpy(), recorded[x.node].numpy())


def test_a_walk_stops_at_nodes_that_are_older_and_tells_of_them():
    a, b = Node(None, (), (), {}, None, None), Node(None, (), (), {}, None, None)
    c = Node(None, (), (a, b, None), {}, None, None)
    d = Node(None, (), (c, b, a), {}, None, None)

    assert walk([d, None, d]) == ([d, c, b, a], [])
    assert walk([d], since=b.age) == ([d, c, b], [a])
    assert walk([a], since=b.age) == ([], [a])
