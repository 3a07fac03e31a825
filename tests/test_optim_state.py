"""What an optimizer remembers can be saved, and training goes on from it bit for bit."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import dlcore as dl
from dlcore import optim
from tests.optimizing import OPTIMIZERS, drawn, leaves, run

every = pytest.mark.parametrize(("name", "options"), OPTIMIZERS)


@every
def test_training_goes_on_from_a_state_bit_for_bit(name, options, backend):
    make = getattr(optim, name)
    straight, resumed = leaves(drawn(0)), leaves(drawn(0))
    optimizer = make(straight, **options)
    run(optimizer, straight, 2)
    state, values = optimizer.state_dict(), [p.data for p in straight]
    run(optimizer, straight, 2)  # what was saved must not change

    fresh = make(resumed, **options)
    fresh.load_state_dict(state)
    for p, x in zip(resumed, values, strict=True):
        p.data = x
    run(fresh, resumed, 2)

    for p, q in zip(straight, resumed, strict=True):
        assert_array_equal(p.numpy(), q.numpy())


def test_a_state_with_unknown_settings_is_refused():
    params = leaves([[1.0]])
    state = optim.Adam(params).state_dict()
    state["groups"][0]["warmth"] = 3.0

    with pytest.raises(ValueError, match=r"do not fit the state: group 0 has unknown settings \['warmth'\]"):
        optim.Adam(params).load_state_dict(state)


def test_a_state_has_the_settings_and_plain_values():
    params = leaves(drawn(0))
    optimizer = optim.Adam([{"params": params[:2], "lr": 0.5}, {"params": params[2:]}])
    run(optimizer, params, 1)

    state = optimizer.state_dict()
    fresh = optim.Adam([{"params": params[:2]}, {"params": params[2:]}])
    fresh.load_state_dict(state)

    assert [group["lr"] for group in fresh.param_groups] == [0.5, 1e-3]
    assert [group["count"] for group in state["groups"]] == [2, 1]
    assert {type(v) for one in state["state"] for v in one.values()} == {np.ndarray, int}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (lambda: leaves([[1.0]]), r"Adam: the state is of groups of \[2\] parameters, these are of \[1\]"),
        (lambda: leaves([[1.0, 2.0], [1.0]]), r"parameters do not fit the state: 0 is \(2,\), the state has"),
    ],
)
def test_a_state_of_other_parameters_is_refused(params, message):
    given = leaves([[1.0], [1.0]])
    optimizer = optim.Adam(given)
    run(optimizer, given, 1)

    other = optim.Adam(params())
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(optimizer.state_dict())
    assert all(one == {} for one in other.state)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"lr": 0.1}, r"Adam: this is no state of an optimizer; it comes from state_dict\(\)"),
        (optim.SGD(leaves([[1.0]]), lr=0.1).state_dict(), "Adam: the state is one of SGD"),
    ],
)
def test_what_is_no_state_of_this_optimizer_is_refused(state, message):
    with pytest.raises(ValueError, match=message):
        optim.Adam(leaves([[1.0]])).load_state_dict(state)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_moments_follow_parameters_to_another_backend(name):
    options = {"momentum": 0.9} if name == "SGD" else {}
    model, still = dl.nn.Linear(2, 1), dl.nn.Linear(2, 1)
    still.load_state_dict(model.state_dict())
    pairs = [(m, getattr(optim, name)(m.parameters(), lr=0.1, **options)) for m in (model, still)]
    for i in range(3):
        if i == 1:
            model.to("strict")
        for one, optimizer in pairs:
            for p in one.parameters():
                p.grad = dl.ones_like(p)
            optimizer.step()

    assert model.weight.backend == "strict"
    assert_array_equal(model.weight.numpy(), still.weight.numpy())


def test_a_state_is_loaded_to_where_the_parameters_are(backend):
    made = []
    for name in ("cpu", backend.name):
        params = [p.to(name).detach() for p in leaves(drawn(0))]
        for p in params:
            p.requires_grad = True
        made.append((params, optim.Adam(params)))
    run(made[0][1], made[0][0], 2)

    made[1][1].load_state_dict(made[0][1].state_dict())

    assert {backend.owns(v) for one in made[1][1].state for k, v in one.items() if k != "step"} == {True}
