"""Histories that are kept from step to step are noticed, and what lets go of its own is left alone."""

import gc

import pytest

import dlcore as dl
from dlcore import mistakes
from dlcore.nn import functional as F
from dlcore.optim import noticing
from tests.loops import Loop, nothing_noticed, noticed

GROWS = r"^SGD.step: after 16 steps, \d+ operations of earlier steps are still remembered.*loss.item\(\)"


def added_up(loop, kept):
    kept[0] = kept[0] + loop.step()


def evaluated_with_history(loop, kept):
    loop.step()
    kept.append(loop.loss())


def measured_with_history(loop, kept):
    outputs = loop.model(loop.x)
    loop.optimizer.zero_grad()
    F.mse_loss(outputs, loop.y).backward()
    loop.optimizer.step()
    kept.append(dl.mean(dl.abs(outputs - loop.y)))


def carried_over(loop, kept):
    kept[0] = dl.tanh(kept[0] + loop.model(loop.x))
    loop.optimizer.zero_grad()
    dl.mean(dl.square(kept[0] - loop.y)).backward(retain_graph=True)
    loop.optimizer.step()


@pytest.mark.parametrize("mistake", [added_up, evaluated_with_history, measured_with_history, carried_over])
def test_histories_that_are_kept_are_noticed(mistake, backend):
    loop, kept = Loop(), [dl.tensor(0.0, dtype="float64")]

    with nothing_noticed():
        for _ in range(15):
            mistake(loop, kept)
    with noticed(mistakes.GrowingHistory, GROWS):
        mistake(loop, kept)


def kept_losses(loop, kept):
    kept.append(loop.step())


def kept_numbers(loop, kept):
    kept.append(loop.step().item())
    kept[0] = kept[0] + loop.step().detach()


def carried_over_without(loop, kept):
    kept[0] = dl.tanh(kept[0].detach() + loop.model(loop.x))
    loop.optimizer.zero_grad()
    dl.mean(dl.square(kept[0] - loop.y)).backward()
    loop.optimizer.step()


def penalized(loop, kept):
    loss = loop.loss()
    loop.optimizer.zero_grad()
    loss.backward(create_graph=True)
    loop.optimizer.step()


def evaluated_without(loop, kept):
    loop.step()
    with dl.no_grad():
        kept.append(loop.loss())


@pytest.mark.parametrize(
    "fine", [kept_losses, kept_numbers, carried_over_without, penalized, evaluated_without])
def test_what_lets_go_of_its_history_is_no_mistake(fine, backend):
    loop, kept = Loop(), [dl.tensor(0.0, dtype="float64")]

    with nothing_noticed():
        for _ in range(65):
            fine(loop, kept)


def test_a_leak_that_begins_late_or_is_slow_is_noticed_later():
    loop, kept = Loop(), []

    with nothing_noticed():
        for i in range(255):
            loop.step()
            if i % 32 == 0:
                kept.append(loop.loss())
    with noticed(mistakes.GrowingHistory, "after 256 steps"):
        loop.step()


def test_a_loop_without_the_mistake_is_looked_through_seldom(monkeypatch):
    loop, looks = Loop(), []
    monkeypatch.setattr(noticing, "histories", lambda ages: looks.append(loop.optimizer.steps) or [0, 0, 0])

    for _ in range(300):
        loop.step()

    assert looks == [16, 64, 256]


def test_what_only_a_cycle_holds_is_collected_and_no_mistake():
    loop = Loop()
    gc.collect()
    gc.disable()

    try:
        with nothing_noticed():
            for _ in range(17):
                loop.step()
                cycle = [loop.loss()]
                cycle.append(cycle)
    finally:
        gc.enable()


def test_a_state_that_is_carried_over_is_an_error_that_says_so(backend):
    loop, state = Loop(), dl.tensor(0.0, dtype="float64")

    first = dl.tanh(state + loop.model(loop.x))
    dl.sum(first).backward()
    second = dl.sum(dl.tanh(first + loop.model(loop.x)))

    with pytest.raises(ValueError, match=r"released by the backward\(\) at .*_history.py:\d+; detach\(\) "
                                         "what is carried over from one step to the next"):
        second.backward()


def test_losses_that_are_added_up_for_a_pass_of_their_own_are_an_error_once_one_had_its_pass():
    loop, total = Loop(), dl.tensor(0.0, dtype="float64")
    for _ in range(3):
        total = total + loop.step()

    with pytest.raises(ValueError, match=r"released by the backward\(\) at .*detach\(\)"):
        total.backward()
