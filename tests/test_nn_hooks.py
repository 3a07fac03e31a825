"""Hooks see what a module was given and made; a summary runs a model and leaves it as it was."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import nn


class Shared(nn.Module):
    """Two uses of one layer, a list, a layer that is not called, and a frozen parameter."""

    def __init__(self):
        self.scale = nn.Parameter(dl.ones(3), requires_grad=False)
        self.layer = nn.Linear(3, 3)
        self.again = [self.layer, nn.Tanh()]
        self.idle = nn.Linear(2, 2)

    def forward(self, x):
        for layer in (self.layer, *self.again):
            x = layer(x)
        return {"scaled": x * self.scale, "sum": x.sum()}


# --- children, and changing all of them ------------------------------------------------------------


def test_children_are_the_modules_with_no_other_in_between():
    model = nn.Sequential(nn.Sequential(nn.Linear(1, 1)), nn.ReLU())

    assert [n for n, _ in model.named_children()] == ["0", "1"]
    assert [n for n, _ in Shared().named_children()] == ["layer", "again.1", "idle"]
    assert list(model.children()) == [model[0], model[1]]


def test_apply_reaches_every_module_once_and_those_below_first():
    model, seen = nn.Sequential(nn.Sequential(nn.Linear(1, 1), nn.ReLU()), nn.Tanh()), []
    model.itself, model.twice = model, model[1]

    assert model.apply(seen.append) is model

    assert seen == [model[0][0], model[0][1], model[0], model[1], model]


def test_freezing_stops_gradients_and_keeps_histories_of_what_is_not_changed(backend):
    model, x = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)), dl.ones((1, 2))
    nodes = [p.node for p in model.parameters()]

    assert model.requires_grad_() is model
    assert [p.node for p in model.parameters()] == nodes

    model[0].requires_grad_(False)
    model(x).sum().backward()
    assert [p.grad is None for p in model.parameters()] == [True, True, False, False]

    model.requires_grad_()
    model(x).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


# --- hooks -----------------------------------------------------------------------------------------


def test_hooks_see_arguments_and_output_in_the_order_they_came_until_removed(backend):
    model, seen, x = nn.Linear(2, 1), [], dl.ones((1, 2))
    first = model.register_forward_hook(lambda *saw: seen.append((1, *saw)))
    with model.register_forward_hook(lambda *saw: seen.append((2, *saw))):
        y = model(x)

    assert [s[0] for s in seen] == [1, 2]
    assert all(s[1] is model and s[2][0] is x and s[3] is y for s in seen)
    model(x)
    assert [s[0] for s in seen] == [1, 2, 1]
    first.remove()
    first.remove()
    model(x)
    assert len(seen) == 3


def test_one_function_may_be_a_hook_twice_and_a_handle_ends_one_of_them():
    model, seen = nn.Identity(), []
    handles = [model.register_forward_hook(lambda *saw: seen.append(1))] * 2
    hook = handles[0].hook
    second = model.register_forward_hook(hook)

    handles[0].remove()
    handles[1].remove()
    model(dl.ones(1))

    assert len(seen) == 1
    second.remove()
    assert model.forward_hooks == ()


def test_what_a_hook_returns_takes_the_place_of_the_output(backend):
    model, x = nn.Sequential(nn.Identity(), nn.Identity()), dl.ones(2)
    model[0].register_forward_hook(lambda module, args, out: out * 2.0)
    model[0].register_forward_hook(lambda module, args, out: out + 1.0)

    assert model(x).tolist() == [3.0, 3.0]


def test_a_hook_is_no_part_of_the_state_and_comes_along_in_a_copy():
    model, seen = nn.Linear(2, 1), []
    before = repr(model)
    model.register_forward_hook(nn.Linear(5, 5))
    twin = copy.copy(model)
    twin.forward_hooks = ()
    twin.register_forward_hook(lambda *saw: seen.append(saw[0]))

    twice = copy.deepcopy(twin)
    twice(dl.ones((1, 2)))

    assert list(model.state_dict()) == ["weight", "bias"]
    assert list(model.modules()) == [model]
    assert repr(model) == before
    assert seen == [twice]


def test_a_hook_can_watch_the_gradient_of_an_activation(backend):
    model, seen, x = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)), [], dl.ones((4, 2))

    def watch(module, args, out):
        return dl.custom_vjp(lambda y: (y, None), lambda saved, g: (seen.append(g), g)[1])(out)

    model(x).sum().backward()
    plain = model[0].weight.grad.numpy()
    model.zero_grad()
    with model[1].register_forward_hook(watch):
        model(x).sum().backward()

    assert_allclose(seen[0].numpy(), np.repeat(model[2].weight.numpy(), 4, axis=0))
    assert_array_equal(model[0].weight.grad.numpy(), plain)


@pytest.mark.parametrize("name", ["register_forward_hook", "register_full_backward_hook"])
def test_a_hook_that_is_no_function_is_refused(name):
    with pytest.raises(TypeError, match=rf"{name}: needs a function of \(module, .*\), got int"):
        getattr(nn.Identity(), name)(1)


# --- hooks of gradients ------------------------------------------------------------------------------


class Product(nn.Module):
    """Two inputs, and two outputs in a dict."""

    def __init__(self):
        self.scale = nn.Parameter([2.0, 3.0])

    def forward(self, x, y):
        return {"product": x * y * self.scale, "sum": x + y}


def test_a_backward_hook_sees_what_came_to_the_outputs_and_what_leaves_by_the_inputs(backend):
    model, seen = Product(), []
    x, y = dl.tensor([1.0, 2.0], requires_grad=True), dl.tensor([3.0, 5.0])
    model.register_full_backward_hook(lambda *saw: seen.append(saw))

    out = model(x * 2.0, y)
    dl.sum(out["product"] * 10.0 + out["sum"]).backward()

    (module, (to_x, to_y), (of_product, of_sum)), = seen
    assert module is model
    assert (to_x.tolist(), to_y) == ([61.0, 151.0], None)  # 10 y scale + 1
    assert (of_product.tolist(), of_sum.tolist()) == ([10.0, 10.0], [1.0, 1.0])
    assert x.grad.tolist() == [122.0, 302.0]
    assert model.scale.grad.tolist() == [60.0, 200.0]


def test_hooks_that_only_look_change_no_gradient_of_any_order(backend):
    rng = np.random.default_rng(0)
    x0 = rng.standard_normal((4, 3))

    def run(hook):
        dl.random.seed(0)
        model = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)).to(dl.float64)
        for module in model.modules() if hook else ():
            module.register_full_backward_hook(lambda *saw: None)
        x = dl.tensor(x0, requires_grad=True)
        dl.sum(model(x)).backward(create_graph=True)
        slope, x.grad = x.grad, None
        dl.sum(slope * slope).backward()
        hvp = dl.hvp(lambda x: dl.sum(model(x)), dl.tensor(x0), dl.tensor(x0))
        return [slope.numpy(), x.grad.numpy(), hvp.numpy(), model[0].weight.grad.numpy()]

    for found, expected in zip(run(True), run(False), strict=True):
        assert_array_equal(found, expected)


def test_what_a_backward_hook_returns_goes_further_back_and_to_the_next(backend):
    layer, seen = nn.Linear(2, 1), []
    x = dl.tensor([[1.0, 2.0]], requires_grad=True)
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 10.0,))
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_input[0]))

    dl.sum(layer(x)).backward()

    assert_allclose(x.grad.numpy(), 10.0 * layer.weight.numpy())
    assert_array_equal(seen[0].numpy(), x.grad.numpy())
    assert_array_equal(layer.weight.grad.numpy(), x.numpy())


def test_without_inputs_that_want_a_gradient_the_outputs_are_still_seen(backend):
    layer, seen = nn.Linear(2, 1), []
    with layer.register_full_backward_hook(lambda *saw: seen.append(saw)):
        dl.sum(layer(dl.ones((1, 2)))).backward()
    dl.sum(layer(dl.ones((1, 2)))).backward()

    (_, grad_input, (g,)), = seen
    assert grad_input == (None,)
    assert g.tolist() == [[1.0]]
    assert layer.backward_hooks == ()


def test_a_backward_hook_costs_nothing_where_nothing_is_recorded(backend):
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda *saw: seen.append(saw))

    with dl.no_grad():
        assert layer(dl.ones((1, 2))).node is None
    dl.remat(layer)(dl.tensor([[1.0, 2.0]], requires_grad=True)).backward(dl.ones((1, 1)))

    assert len(seen) == 1


def test_a_forward_hook_comes_before_the_gradients_are_looked_at():
    layer, seen = nn.Identity(), []
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(
        [grad_input[0].tolist(), grad_output[0].tolist()]))
    layer.register_forward_hook(lambda module, args, out: out * 3.0)

    dl.sum(layer(dl.tensor([1.0], requires_grad=True)) * 2.0).backward()

    assert seen == [[[6.0], [2.0]]]


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (lambda *saw: (None, None), "with 1 gradients in 1 places; got one with 0 gradients in 2"),
        (lambda *saw: dl.ones(3), r"a gradient has shape \(3,\), not \(1, 2\)"),
    ],
)
def test_gradients_that_do_not_fit_are_refused(hook, message):
    layer = nn.Linear(2, 1)
    layer.register_full_backward_hook(hook)

    with pytest.raises(ValueError, match=message):
        dl.sum(layer(dl.tensor([[1.0, 2.0]], requires_grad=True))).backward()


# --- summaries -------------------------------------------------------------------------------------


def test_a_summary_tells_names_shapes_and_parameters_that_add_up(backend):
    model = Shared()

    found = nn.summary(model, (4, 3))

    assert [tuple(row) for row in found.rows] == [
        ("", "Shared", [(4, 3), ()], 3), ("layer", "Linear", [(4, 3)], 12), ("again.1", "Tanh", [(4, 3)], 0),
        ("idle", "Linear", None, 6)]
    assert (found.parameters, found.trained) == (21, 18)


def test_a_summary_prints_as_a_table():
    lines = str(nn.summary(Shared(), (4, 3))).splitlines()

    assert lines == [
        "name     layer   output      parameters",
        "-------  ------  ----------  ----------",
        "         Shared  (4, 3), ()           3",
        "layer    Linear  (4, 3)              12",
        "again.1  Tanh    (4, 3)               0",
        "idle     Linear  not called           6",
        "21 parameters, 18 of them trained",
    ]
    assert repr(nn.summary(nn.Identity(), 3)).endswith("0 parameters, all of them trained")


def test_a_summary_leaves_the_model_as_it_was(backend):
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 2))
    model[1].eval()
    state = {n: x.numpy().copy() for n, x in model.state_dict().items()}
    modes, drawn = [m.training for m in model.modules()], dl.random.default_generator.state

    nn.summary(model, (4, 3))

    assert [m.training for m in model.modules()] == modes
    assert dl.random.default_generator.state == drawn
    assert all(m.forward_hooks == () for m in model.modules())
    for name, x in model.state_dict().items():
        assert_array_equal(x.numpy(), state[name])


def test_a_model_that_fails_is_left_as_it_was_too():
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout())

    with pytest.raises(ValueError, match=r"linear: x \(4, 5\) must have"):
        nn.summary(model, (4, 5))

    assert all(m.training and m.forward_hooks == () for m in model.modules())


def test_a_summary_takes_several_inputs_and_integers(backend):
    words = nn.Sequential(nn.Embedding(10, 3), nn.LSTM(3, 4))

    assert nn.summary(words, (7, 2), "int64").rows[2].outputs == [(7, 2, 4), (1, 2, 4), (1, 2, 4)]
    assert nn.summary(nn.Bilinear(2, 3, 4).to(dl.float64), [(5, 2), (5, 3)]).rows[0].outputs == [(5, 4)]


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: nn.summary(len, 3), "summary: needs a module, got builtin_function"),
        (ValueError, lambda: nn.summary(nn.Identity(), (2, -1)), r"summary: a shape holds .*, got \(2, -1\)"),
    ],
)
def test_a_mistake_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
