"""Schedules: PyTorch's rates, plain numbers at the ends, and what an optimizer makes of them."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore import optim
from dlcore.optim import schedules
from tests.optimizing import leaves, loss_of

TORCH = {
    "step": (lambda: schedules.step(0.5, 3, 0.2), lambda s, o: s.StepLR(o, 3, 0.2)),
    "exponential": (lambda: schedules.exponential(0.5, 0.9), lambda s, o: s.ExponentialLR(o, 0.9)),
    "cosine": (lambda: schedules.cosine(0.5, 12, 0.1), lambda s, o: s.CosineAnnealingLR(o, 12, 0.1)),
    "linear": (lambda: schedules.linear(0.1, 0.5, 7), lambda s, o: s.LinearLR(o, 0.2, 1.0, 7)),
    "polynomial": (lambda: schedules.polynomial(0.5, 7, 2.0), lambda s, o: s.PolynomialLR(o, 7, 2.0)),
    "one_cycle": (lambda: schedules.one_cycle(0.5, 13), lambda s, o: s.OneCycleLR(o, 0.5, total_steps=13)),
    "one_cycle_early": (lambda: schedules.one_cycle(0.5, 13, 0.2, 10.0, 100.0),
                        lambda s, o: s.OneCycleLR(o, 0.5, total_steps=13, pct_start=0.2, div_factor=10.0,
                                                  final_div_factor=100.0)),
}


@pytest.mark.parametrize("name", TORCH)
def test_the_rates_are_pytorchs(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)
    ours, theirs = TORCH[name]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    scheduler = theirs(torch.optim.lr_scheduler, optimizer)

    for i in range(13):
        assert ours()(i) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-12, abs=1e-15)
        optimizer.step()
        if i < 12:
            scheduler.step()


@given(total=st.integers(1, 50), start=st.floats(0.01, 1.0), end=st.floats(0.0, 0.01),
       after=st.integers(0, 20))
def test_what_falls_starts_and_ends_where_it_says_and_stays_there(total, start, end, after):
    for rate in (schedules.cosine(start, total, end), schedules.linear(start, end, total),
                 schedules.polynomial(start, total, 1.5, end)):
        rates = [rate(i) for i in range(total + after + 1)]

        assert rates[0] == pytest.approx(start)
        assert rates[total:] == pytest.approx([end] * (after + 1))
        assert all(a >= b or a == pytest.approx(b) for a, b in pairwise(rates))


@given(steps=st.integers(1, 20), total=st.integers(1, 20))
def test_a_warm_up_ends_where_its_schedule_begins(steps, total):
    then = schedules.cosine(0.5, total)
    rate = schedules.warmup(then, steps, start=0.1)

    assert rate(0) == pytest.approx(0.1)
    assert [rate(steps + i) for i in range(total)] == [then(i) for i in range(total)]
    assert all(rate(i) < rate(i + 1) for i in range(steps))


def test_constant_step_and_exponential_rates_can_be_told_in_advance():
    assert [schedules.constant(0.5)(i) for i in (0, 7)] == [0.5, 0.5]
    assert [schedules.step(1.0, 2, 0.5)(i) for i in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert [schedules.exponential(1.0, 0.5)(i) for i in range(3)] == [1.0, 0.5, 0.25]
    assert schedules.cosine(1.0, 4)(2) == 0.5
    assert schedules.one_cycle(1.0, 10)(2) == 1.0


# --- with an optimizer -----------------------------------------------------------------------------


def test_an_optimizer_asks_its_schedule_for_every_step(backend):
    p = dl.tensor([0.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=lambda i: [1.0, 0.5, 0.25][i])
    seen = []
    for _ in range(3):
        p.grad = dl.tensor([-1.0])
        optimizer.step()
        seen.append(p.item())

    assert seen == [1.0, 1.5, 1.75]
    assert optimizer.steps == 3


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta",
                                  "Lion"])
def test_a_constant_schedule_is_a_rate(name, backend):
    fixed, scheduled = leaves([[1.0, -2.0]]), leaves([[1.0, -2.0]])
    pairs = [(fixed, 0.1), (scheduled, schedules.constant(0.1))]

    for params, lr in pairs:
        optimizer = getattr(optim, name)(params, lr=lr)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(params).backward()
            optimizer.step()

    assert fixed[0].tolist() == scheduled[0].tolist()


def test_groups_have_schedules_of_their_own(backend):
    p, q = leaves([[0.0], [0.0]])
    optimizer = optim.SGD([{"params": [p], "lr": lambda i: 1.0 / (i + 1)}, {"params": [q]}], lr=0.25)
    for _ in range(2):
        p.grad, q.grad = dl.tensor([-1.0]).astype(p.dtype), dl.tensor([-1.0]).astype(q.dtype)
        optimizer.step()

    assert (p.item(), q.item()) == (1.5, 0.5)


def test_of_a_schedule_only_the_step_is_stored():
    p, = leaves([[1.0]])
    optimizer = optim.SGD([p], lr=schedules.linear(1.0, 0.0, 4))
    for _ in range(3):
        p.grad = dl.ones_like(p)
        optimizer.step()

    state = optimizer.state_dict()
    fresh = optim.SGD(leaves([[0.0]]), lr=schedules.linear(1.0, 0.0, 4))
    fresh.load_state_dict(state)
    q, = fresh.param_groups[0]["params"]
    q.grad = dl.ones_like(q)
    fresh.step()

    assert "lr" not in state["groups"][0]
    assert state["steps"] == 3
    assert q.item() == -0.25


def test_a_rate_out_of_its_range_names_the_step():
    p, = leaves([[1.0]])
    optimizer = optim.SGD([p], lr=lambda i: 0.5 - i)
    p.grad = dl.ones_like(p)
    optimizer.step()

    with pytest.raises(ValueError, match=r"SGD: the schedule's lr at step 1 must be .*, got -0\.5"):
        optimizer.step()


# --- plateau ---------------------------------------------------------------------------------------


@given(losses=st.lists(st.floats(0.1, 10.0), max_size=30), patience=st.integers(0, 3),
       cooldown=st.integers(0, 3), maximize=st.booleans())
def test_a_plateau_is_pytorchs(losses, patience, cooldown, maximize):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "max" if maximize else "min", 0.5, patience, 0.1, cooldown=cooldown, min_lr=0.1, eps=0.0)
    rate = schedules.Plateau(1.0, 0.5, patience, 0.1, cooldown, 0.1, maximize=maximize)

    for loss in losses:
        rate.observe(loss)
        reference.step(loss)

        assert rate(0) == optimizer.param_groups[0]["lr"]


def test_a_plateau_is_saved_with_its_optimizer():
    def made():
        rate = schedules.Plateau(1.0, factor=0.5, patience=1)
        return rate, optim.SGD(leaves([[1.0]]), lr=rate)

    rate, optimizer = made()
    for loss in (1.0, 2.0, 2.0, 2.0):
        rate.observe(loss)
    again, fresh = made()
    fresh.load_state_dict(optimizer.state_dict())
    for one in (rate, again):
        one.observe(math.nan)

    assert again.state_dict() == rate.state_dict()
    assert again(0) == 0.25


# --- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: schedules.step(0.1, 0), "step: step_size must be a positive whole n.*, got 0"),
        (ValueError, lambda: schedules.linear(0.1, 0.0, 1.5), "linear: total must be a positive whole"),
        (ValueError, lambda: schedules.polynomial(0.1, -1), "polynomial: total must be a positive whole"),
        (ValueError, lambda: schedules.cosine(0.1, True), "cosine: total must be a positive whole"),
        (ValueError, lambda: schedules.warmup(schedules.constant(0.1), 0), "warmup: steps must be"),
        (TypeError, lambda: schedules.warmup(0.1, 3), "warmup: schedule must be a function of the"),
        (ValueError, lambda: schedules.one_cycle(0.1, 0), "one_cycle: total must be a positive whole"),
        (ValueError, lambda: schedules.one_cycle(0.1, 10, 1.0), "pct_start must lie between 0 and 1, got 1"),
        (ValueError, lambda: schedules.one_cycle(0.1, 3), "one_cycle: 3 steps are too few to go up in 0.3"),
        (ValueError, lambda: schedules.Plateau(0.1, factor=1.0), "Plateau: factor must be at least 0 and"),
        (ValueError, lambda: schedules.Plateau(0.1).load_state_dict({"lr": 1.0}),
         r"Plateau: the state lacks \['best', 'resting', 'waited'\]"),
    ],
)
def test_a_mistake_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
