"""Hooks on gradients of tensors see each complete gradient once, and may put another in its place."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import nn
from dlcore.testing.strategies import SEEDS
from tests.strategies import fewer


def leaf(*values, **how):
    return dl.tensor(list(values), requires_grad=True, **how)


# --- what they see ---------------------------------------------------------------------------------


def test_a_leaf_s_hook_sees_what_one_pass_adds(backend):
    x, seen = leaf(1.0, 2.0), []
    x.register_hook(seen.append)

    for _ in range(2):
        dl.sum(x * x + x).backward()

    assert [g.tolist() for g in seen] == [[3.0, 5.0], [3.0, 5.0]]
    assert not seen[0].requires_grad
    assert x.grad.tolist() == [6.0, 10.0]


def test_a_computed_tensor_s_hook_sees_its_gradient_complete_and_once(backend):
    x, seen = leaf(1.0, 2.0), []
    y = x * 2.0
    before = y * y  # computed with y before there was a hook
    y.register_hook(lambda g: seen.append(g.tolist()))

    dl.sum(before + dl.sin(y) * 0.0 + 3.0 * y).backward()

    assert seen == [[7.0, 11.0]]
    assert x.grad.tolist() == [14.0, 22.0]


def test_a_tensor_with_hooks_still_says_what_made_it():
    y = leaf(1.0) * 2.0
    y.register_hook(print)

    assert repr(y) == "tensor([2.], float32, from multiply)"


def test_hooks_on_the_root_and_on_one_of_several_outputs(backend):
    x, seen = leaf([2.0, 0.0], [0.0, 3.0]), []
    sign, logabs = dl.linalg.slogdet(x)
    logabs.register_hook(lambda g: seen.append(g.item()))
    loss = logabs * 2.0 + sign * 0.0
    loss.register_hook(lambda g: seen.append(g.item()))

    loss.backward()

    assert seen == [1.0, 2.0]
    assert_allclose(x.grad.numpy(), [[1.0, 0.0], [0.0, 2.0 / 3.0]], atol=1e-6)  # float32


@fewer(2)
@given(seed=SEEDS, places=st.lists(st.integers(0, 5), max_size=4))
def test_hooks_that_only_look_change_nothing(backend, seed, places):
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(3) for _ in range(2)]
    cotangent = dl.tensor(rng.standard_normal(3))

    def run(hooked, **how):
        x, y = (dl.tensor(a, requires_grad=True) for a in arrays)
        a = x * y
        b = dl.sin(a) + x
        c = dl.exp(b * 0.1)
        out = c * a + dl.concat([c[:2], y[2:]])
        for i in hooked:
            (x, y, a, b, c, out)[i].register_hook(lambda g: None)
        out.backward(cotangent, **how)
        if how:
            (dl.sum(x.grad * x.grad) + dl.sum(y.grad)).backward()
        return [v.grad.numpy() for v in (x, y)]

    for how in ({}, {"create_graph": True}):
        for found, expected in zip(run(places, **how), run([], **how), strict=True):
            assert_array_equal(found, expected)


def test_in_a_recorded_pass_gradients_have_a_history(backend):
    x, seen = leaf(2.0), []
    x.register_hook(seen.append)
    y = x * x
    y.register_hook(seen.append)

    dl.sum(y * x).backward(create_graph=True)

    assert all(g.requires_grad for g in seen)
    assert [g.tolist() for g in seen] == [[2.0], [12.0]]


# --- what they return --------------------------------------------------------------------------------


def test_what_a_hook_returns_goes_further_back_and_to_the_next_hook(backend):
    x = leaf(1.0, 2.0)
    y = x * 3.0
    y.register_hook(lambda g: g * 10.0)
    y.register_hook(lambda g: g + 1.0)
    x.register_hook(lambda g: g * 2.0)

    dl.sum(y).backward()

    assert x.grad.tolist() == [66.0, 66.0]


def test_a_second_derivative_goes_through_what_a_hook_returns(backend):
    x = leaf(3.0)
    y = x * x

    with y.register_hook(lambda g: g * g):
        dl.sum(y * y).backward(create_graph=True)  # (2y)² 2x = 8 x^5
    g = dl.sum(x.grad)
    x.grad = None
    g.backward()

    assert x.grad.tolist() == [40.0 * 81.0]


def test_a_gradient_of_complex_numbers_is_seen_as_it_comes_out(backend):
    z, seen = leaf(1.0 + 2.0j, dtype="complex128"), []
    z.register_hook(lambda g: seen.append(g.tolist()))
    w = z * 1.0
    w.register_hook(lambda g: seen.append(g.tolist()))

    dl.sum(dl.abs(w) * dl.abs(w)).backward()

    assert_allclose(seen, [[2.0 + 4.0j]] * 2)
    assert_allclose(z.grad.numpy(), [2.0 + 4.0j])


def test_a_raw_pass_keeps_no_history_of_a_hook(backend):
    x, scale = leaf(1.0), leaf(2.0)
    x.register_hook(lambda g: g * scale)

    dl.sum(x * x).backward()

    assert x.grad.tolist() == [4.0]
    assert not x.grad.requires_grad


@pytest.mark.parametrize("computed", [True, False])
@pytest.mark.parametrize(
    ("error", "new", "message"),
    [
        (TypeError, 2.0, r"must return None or a tensor like the gradient, float32\(2,\); got a float"),
        (ValueError, dl.ones(3), r"float32\(2,\) on cpu; got float32\(3,\) on cpu"),
        (ValueError, dl.ones(2, dtype="float64"), r"float32\(2,\) on cpu; got float64\(2,\) on cpu"),
    ],
)
def test_what_does_not_fit_is_refused(computed, error, new, message):
    x = leaf(1.0, 2.0)
    y = x * 2.0
    (y if computed else x).register_hook(lambda g: new)

    with pytest.raises(error, match=message):
        dl.sum(y).backward()


def test_a_gradient_of_another_device_is_refused():
    elsewhere = dl.ones(1).to("strict")
    x = leaf(1.0)
    x.register_hook(lambda g: elsewhere)

    with pytest.raises(ValueError, match=r"float32\(1,\) on cpu; got float32\(1,\) on strict"):
        dl.sum(x).backward()


# --- how long they stay ------------------------------------------------------------------------------


def test_a_handle_ends_one_hook_and_only_once(backend):
    x, seen = leaf(1.0), []
    y = x * 2.0
    for t in (x, y):
        def hook(g, t=t):
            seen.append(t)

        first, _ = t.register_hook(hook), t.register_hook(hook)
        first.remove()
        first.remove()

    dl.sum(y).backward()

    assert [t is x for t in seen] == [False, True]


def test_a_hook_that_ends_itself_lets_the_others_be_called():
    x, seen = leaf(1.0), []
    handle = x.register_hook(lambda g: handle.remove())
    x.register_hook(seen.append)

    dl.sum(x).backward()
    dl.sum(x).backward()

    assert len(seen) == 2


def test_a_parameter_s_hook_stays_when_it_is_moved_and_frozen_and_no_copy_has_it(backend):
    layer, seen = nn.Linear(2, 1), []
    layer.weight.register_hook(lambda g: seen.append(str(g.dtype)))

    layer.to(dl.float64).requires_grad_(False).requires_grad_()
    twin = copy.deepcopy(layer)
    dl.sum(layer(dl.ones((1, 2), dtype="float64"))).backward()
    dl.sum(twin(dl.ones((1, 2), dtype="float64"))).backward()

    assert seen == ["float64"]


def test_without_hooks_a_leaf_s_node_holds_nothing():
    x = leaf(1.0)
    handle = x.register_hook(lambda g: None)
    handle.remove()

    dl.sum(x * x).backward()

    assert x.grad.tolist() == [2.0]
    assert leaf(1.0).node.params == {}


def test_a_pass_lets_go_of_a_hooked_history_too():
    x = leaf(1.0)
    y = x * x
    y.register_hook(lambda g: None)
    loss = dl.sum(y)
    loss.backward()

    with pytest.raises(ValueError, match="was released by the backward"):
        loss.backward()
    assert y.node.args == ()


def test_forward_mode_and_transforms_pass_through(backend):
    def f(x):
        y = x * x
        y.register_hook(lambda g: g * 5.0)
        return dl.sum(y)

    x = dl.tensor([3.0])

    assert dl.grad(f)(x).tolist() == [30.0]
    assert dl.jvp(f, [x], [dl.ones(1)])[1].item() == 6.0


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: leaf(1.0).register_hook(3), r"register_hook: needs a function of .*, got int"),
        (ValueError, lambda: dl.ones(2).register_hook(print), r"float32\(2,\) requires no gradient"),
    ],
)
def test_a_mistake_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()


# --- beside PyTorch ------------------------------------------------------------------------------------


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True")
@fewer(2)
@given(seed=SEEDS)
def test_hooks_are_called_in_pytorch_s_order_and_give_its_gradients_of_both_orders(torch, seed):
    values = np.random.default_rng(seed).standard_normal((2, 3))

    def run(make, sin, total):
        x, y = (make(v) for v in values)
        seen = []
        z = x * y
        w = sin(z) + z
        for name, t, factor in (("w", w, 2.0), ("z", z, 3.0), ("z again", z, 5.0), ("x", x, 7.0)):
            t.register_hook(lambda g, name=name, factor=factor: (seen.append(name), g * factor)[1])
        total(w * w).backward(create_graph=True)
        first = x.grad
        x.grad = y.grad = None
        total(first * first).backward()
        return seen, [np.array(t.detach().numpy()) for t in (first, x.grad, y.grad)]

    ours = run(lambda v: dl.tensor(v, requires_grad=True), dl.sin, dl.sum)
    theirs = run(lambda v: torch.tensor(v, requires_grad=True), torch.sin, torch.sum)

    assert ours[0] == theirs[0]
    for a, b in zip(ours[1], theirs[1], strict=True):
        assert_allclose(a, b, rtol=1e-9)
