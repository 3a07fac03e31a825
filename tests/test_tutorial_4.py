"""Tutorial 4, row by row: the gradient derived by hand, beside the one that dlcore derives."""

import os
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore.nn import functional as F
from dlcore.testing.strategies import SEEDS
from tests.strategies import fewer

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
EXAMPLES = Path(__file__).parent.parent / "examples"
W, B = np.array([2.0, -3.4]), 4.2


@pytest.fixture(scope="module")
def tutorial():
    sys.path.insert(0, str(EXAMPLES))
    try:
        return import_module("tutorial_4_hand_derived_gradient")
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def trained():
    return {}


@pytest.fixture
def results(tutorial, trained, backend):
    """Runs on fresh data with noise of standard deviation 0.1, for some seeds; once a backend."""
    count = (200 if NIGHTLY else 20) if backend.name == "cpu" else 2
    if backend.name not in trained:
        trained[backend.name] = []
        for seed in range(count):
            dl.random.seed(seed)
            run = tutorial.train(*tutorial.synthetic(1000, 0.1), seed, 0.1)
            trained[backend.name].append(run)
    return trained[backend.name]


def drawn(n, dtype, seed):
    """A batch, and parameters somewhere."""
    random = np.random.default_rng(seed)
    return [dl.tensor(random.standard_normal(shape), dtype=dtype) for shape in [(n, 2), (n,), (2,), ()]]


def test_row_4_1_the_data_are_linear_but_for_noise_of_the_given_size(tutorial, backend):
    for sd in (0.1, 0.01):
        x, y = tutorial.synthetic(1000, sd)

        assert (x.shape, y.shape, y.dtype) == ((1000, 2), (1000,), dl.float32)
        assert (y.numpy() - x.numpy() @ W - B).std() == pytest.approx(sd, rel=0.1)


def test_row_4_2_the_loss_is_halved_so_that_its_derivative_is_the_error(tutorial, backend):
    x, y, w, b = drawn(4, "float64", 0)

    losses = tutorial.loss_of(x, y, w, b)

    error = x.numpy() @ w.numpy() + b.numpy() - y.numpy()
    assert np.allclose(losses.numpy(), error**2 / 2, rtol=1e-14)
    assert np.allclose(F.squared_loss(x @ w + b, y, reduction="none").numpy(), losses.numpy(), rtol=1e-14)


@fewer(1)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(n=st.integers(1, 20), seed=SEEDS)
def test_row_4_5_both_gradients_agree_to_an_ulp_for_each_summand(tutorial, backend, dtype, n, seed):
    batch = drawn(n, dtype, seed)

    by_hand, by_machine = tutorial.by_hand(*batch), tutorial.by_machine(*batch)

    x, y, w, b = (a.numpy().astype(float) for a in batch)
    error = np.abs(x) @ np.abs(w) + np.abs(b) + np.abs(y)  # bounds what may cancel in ŷ - y
    ulp = np.finfo(dtype).eps
    for g, h, size in zip(by_hand, by_machine, (error @ np.abs(x), error.sum()), strict=True):
        assert g.dtype == h.dtype == dtype
        assert (np.abs(g.numpy() - h.numpy()) <= n * ulp * size).all()


def test_row_4_5_holds_for_a_loss_from_the_library_and_for_backward(tutorial, backend):
    x, y, w, b = drawn(10, "float64", 3)
    w.requires_grad = b.requires_grad = True

    F.squared_loss(x @ w + b, y, reduction="sum").backward()

    for p, expected in zip((w, b), tutorial.by_hand(x, y, w.detach(), b.detach()), strict=True):
        assert np.allclose(p.grad.numpy(), expected.numpy(), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("start", [2.5, -2.8])
def test_row_4_7_a_step_against_the_derivative_goes_down_from_either_side(tutorial, backend, start):
    places = tutorial.descent(start)

    assert len(places) == 11
    assert all(abs(b) < abs(a) for a, b in pairwise(places))
    assert all(np.sign(x) == np.sign(start) for x in places)
    assert places == pytest.approx([start * 0.7**i for i in range(11)], rel=1e-5)


def test_row_4_8_the_losses_are_those_measured_with_the_variance_taken_literally(results):
    first, second, third = np.array([run.losses for run in results]).T

    assert (first > 0.0328 * 0.7).all()  # the row has 5-95 % of 200 seeds: 0.0328 to 0.0562
    assert (first < 0.0562 * 1.4).all()
    assert second == pytest.approx(np.full(len(second), 5.08e-3), rel=0.2)
    assert third == pytest.approx(np.full(len(third), 4.99e-3), rel=0.2)
    if len(results) >= 20:
        assert np.median(first) == pytest.approx(0.0428, rel=0.12)
        assert np.median(second) == pytest.approx(5.08e-3, rel=0.03)
        assert np.median(third) == pytest.approx(4.99e-3, rel=0.03)
    if len(results) >= 200:
        assert np.quantile(first, [0.05, 0.95]) == pytest.approx([0.0328, 0.0562], rel=0.08)
        assert np.quantile(third, [0.05, 0.95]) == pytest.approx([4.66e-3, 5.31e-3], rel=0.02)


def test_row_4_8_the_weights_are_recovered(results):
    errors = np.array([[np.abs(run.w.numpy() - W).max(), abs(run.b.item() - B)] for run in results])

    assert (errors < 0.018).all()
    assert (errors < [0.0123, 0.0118]).mean() >= 0.97


def test_row_4_9_with_little_noise_it_is_the_run_of_tutorial_2(tutorial, backend):
    dl.random.seed(1)
    run = tutorial.train(*tutorial.synthetic(1000, 0.01), 1, 0.01)

    assert 0.0210 < run.losses[0] < 0.0651
    assert run.losses[1] < 3.5e-4
    assert 4.4e-5 < run.losses[2] < 5.6e-5
    assert np.abs(run.w.numpy() - W).max() < 0.0025


def test_during_a_whole_run_the_two_gradients_never_part(results):
    assert max(run.difference for run in results) < 1e-6  # float32
