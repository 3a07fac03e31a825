"""Scaled losses: gradients as without a scale, steps left out where they overflowed, float16 that learns."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import optim
from dlcore.testing.strategies import SEEDS
from tests.optimizing import drawn, leaves, loss_of
from tests.strategies import fewer


@fewer(3)
@given(seed=SEEDS, exponent=st.integers(0, 20))
def test_a_scale_that_is_a_power_of_two_changes_no_bit(seed, exponent, backend):
    plain, scaled = leaves(drawn(seed)), leaves(drawn(seed))
    optimizers = optim.Adam(plain, lr=0.1), optim.Adam(scaled, lr=0.1)
    scaler = optim.GradScaler(2.0**exponent)

    for _ in range(3):
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss_of(plain).backward()
        optimizers[0].step()
        scaler.scale(loss_of(scaled)).backward()
        assert scaler.step(optimizers[1])
        scaler.update()

    for p, q in zip(plain, scaled, strict=True):
        assert_array_equal(p.numpy(), q.numpy())


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_a_step_that_overflowed_is_left_out_and_the_scale_falls(bad, backend):
    p, q = leaves([[1.0, 2.0], [3.0]])
    optimizer, scaler = optim.SGD([p, q], lr=1.0, momentum=0.5), optim.GradScaler(8.0)
    p.grad, q.grad = dl.ones_like(p), dl.tensor([bad]).astype(q.dtype)

    assert not scaler.step(optimizer)
    scaler.update()

    assert (p.tolist(), q.tolist()) == ([1.0, 2.0], [3.0])
    assert optimizer.state == [{}, {}]
    assert (scaler.factor, scaler.good_steps) == (4.0, 0)


def test_the_scale_grows_after_a_row_of_good_steps(backend):
    p, = leaves([[1.0]])
    optimizer, scaler = optim.SGD([p], lr=0.1), optim.GradScaler(2.0, growth_interval=3)
    factors = []
    for bad in (0, 0, 0, 0, 0, 1, 0, 0, 0):
        p.grad = dl.tensor([math.inf if bad else 1.0]).astype(p.dtype)
        scaler.step(optimizer)
        scaler.update()
        factors.append(scaler.factor)

    assert factors == [2.0, 2.0, 4.0, 4.0, 4.0, 2.0, 2.0, 2.0, 4.0]


def test_one_optimizer_that_overflowed_does_not_keep_another_from_its_step(backend):
    p, q = leaves([[1.0], [1.0]])
    fine, broken = optim.SGD([p], lr=1.0), optim.SGD([q], lr=1.0)
    scaler = optim.GradScaler(2.0)
    p.grad, q.grad = dl.tensor([1.0]).astype(p.dtype), dl.tensor([math.nan]).astype(q.dtype)

    assert (scaler.step(broken), scaler.step(fine)) == (False, True)
    scaler.update()

    assert (p.item(), q.item(), scaler.factor) == (0.5, 1.0, 1.0)


def test_gradients_are_clipped_without_their_scale(backend):
    p, = leaves([[3.0, 4.0]])
    optimizer, scaler = optim.SGD([p], lr=1.0), optim.GradScaler(64.0)
    scaler.scale(dl.sum(p * p) / 2).backward()

    scaler.unscale(optimizer)
    norm = optim.clip_grad_norm([p], 1.0)
    scaler.step(optimizer)

    assert norm.item() == 5.0
    assert_allclose(p.numpy(), [2.4, 3.2], rtol=1e-6)


def trained_in_float16(scaler, steps=60):
    """How far a linear model came whose gradients float16 cannot hold without a scale."""
    random = np.random.default_rng(3)
    x = dl.tensor(random.standard_normal((64, 3)), "float16")
    y = dl.tensor(x.numpy() @ np.float16([[1.0], [-2.0], [0.5]]), "float16")
    w = dl.zeros((3, 1), requires_grad=True)
    optimizer = optim.Adam([w], lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        error = x @ w.astype("float16") - y
        scaler.scale(dl.mean(error * error) * 1e-6).backward()
        scaler.step(optimizer)
        scaler.update()
    return w


def test_a_model_learns_in_float16_whose_gradients_vanish_without_a_scale():
    still = trained_in_float16(optim.GradScaler(enabled=False))
    w = trained_in_float16(optim.GradScaler(2.0**15))

    assert still.tolist() == [[0.0]] * 3
    assert w.dtype == dl.float32
    assert_allclose(w.numpy(), [[1.0], [-2.0], [0.5]], atol=0.1)


def test_a_loss_of_half_precision_is_scaled_in_float32():
    loss = dl.tensor(10.0, "float16", requires_grad=True)

    assert optim.GradScaler().scale(loss).item() == 655360.0


def test_a_scaler_that_is_off_does_nothing_but_the_step(backend):
    p, = leaves([[1.0]])
    optimizer, scaler = optim.SGD([p], lr=1.0), optim.GradScaler(enabled=False)
    loss = dl.sum(p * p)

    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale(optimizer)
    assert scaler.step(optimizer)
    scaler.update()

    assert p.item() == -1.0


def test_a_scaler_goes_on_from_its_state():
    p, = leaves([[1.0]])
    optimizer, scaler = optim.SGD([p], lr=0.1), optim.GradScaler(2.0, growth_interval=2)
    p.grad = dl.ones_like(p)
    scaler.step(optimizer)
    scaler.update()

    fresh = optim.GradScaler(16.0, growth_interval=2)
    fresh.load_state_dict(scaler.state_dict())
    fresh.step(optimizer)
    fresh.update()

    assert fresh.state_dict() == {"scale": 4.0, "good_steps": 0}


def half():
    p = dl.tensor([1.0], "float16", requires_grad=True)
    p.grad = dl.tensor([1.0], "float16")
    return optim.SGD([p], lr=0.1)


def stepped_twice():
    p, = leaves([[1.0]])
    p.grad = dl.ones_like(p)
    scaler, optimizer = optim.GradScaler(), optim.SGD([p], lr=0.1)
    scaler.step(optimizer)
    scaler.step(optimizer)


def twice():
    p, = leaves([[1.0]])
    p.grad = dl.ones_like(p)
    scaler, optimizer = optim.GradScaler(), optim.SGD([p], lr=0.1)
    scaler.step(optimizer)
    scaler.unscale(optimizer)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optim.GradScaler(0.0), "GradScaler: init_scale must be positive, got 0"),
        (lambda: optim.GradScaler(growth_factor=1.0), "GradScaler: growth_factor must be more than 1, got 1"),
        (lambda: optim.GradScaler(backoff_factor=1.0), "backoff_factor must lie between 0 and 1, got 1"),
        (lambda: optim.GradScaler(growth_interval=0), "growth_interval must be at least 1, got 0"),
        (lambda: optim.GradScaler().update(), "GradScaler.update: there was no step since the last update"),
        (lambda: optim.GradScaler().step(optim.SGD(leaves([[1.0]]))),
         r"GradScaler.unscale: no parameter has a gradient; call scale\(loss\).backward\(\) first"),
        (lambda: optim.GradScaler().step(half()),
         r"of shape \(1,\) is float16, in which its gradient.*compute with p.astype\('float16'\)"),
        (stepped_twice, r"GradScaler.step: this optimizer had its step; call update\(\) after every step"),
        (twice, r"are without scale already; call update\(\) after every step"),
        (lambda: optim.GradScaler().load_state_dict({}), r"the state lacks \['good_steps', 'scale'\]"),
    ],
)
def test_a_mistake_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
