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


def test_a_hook_that_is_no_function_is_refused():
    with pytest.raises(TypeError, match=r"register_forward_hook: needs a function of \(.*\), got int"):
        nn.Identity().register_forward_hook(1)


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
