"""Gradients held in bounds: PyTorch's figures, new arrays, no waiting."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import dlcore as dl
from dlcore import optim
from dlcore.testing.strategies import SEEDS
from tests.optimizing import drawn, leaves, loss_of
from tests.strategies import fewer


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)


@pytest.mark.parametrize("limit", [0.5, 1e3])
def test_clipping_by_norm_equals_pytorchs(torch, backend, limit):
    ours, theirs = leaves(drawn(0)), [torch.tensor(a, requires_grad=True) for a in drawn(0)]
    for params in (ours, theirs):
        loss_of(params).backward()

    norm = optim.clip_grad_norm(ours, limit)

    expected = torch.nn.utils.clip_grad_norm_(theirs, limit)
    assert (norm.shape, norm.item()) == ((), pytest.approx(expected.item(), rel=1e-12))
    for p, q in zip(ours, theirs, strict=True):
        assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-6)  # PyTorch adds 1e-6 to the norm
    after = math.sqrt(sum((p.grad.numpy() ** 2).sum() for p in ours))
    assert after <= limit * (1 + 1e-12)


def test_clipping_replaces_gradients_and_keeps_their_dtypes(backend):
    p, q = dl.tensor([1.0], "float32", requires_grad=True), dl.tensor([1.0], "float64", requires_grad=True)
    p.grad, q.grad = dl.tensor([3.0], "float32"), dl.tensor([4.0], "float64")
    before = p.grad

    optim.clip_grad_norm([p, q], 1.0)

    assert before.tolist() == [3.0]
    assert (p.grad.dtype, q.grad.dtype) == (dl.float32, dl.float64)
    assert_allclose([p.grad.item(), q.grad.item()], [0.6, 0.8], rtol=1e-7)


def test_gradients_of_zero_stay_zero_when_clipped(backend):
    p, = leaves([[1.0, 2.0]])
    p.grad = dl.zeros(2)

    assert optim.clip_grad_norm(p, 1.0).item() == 0.0
    assert p.grad.tolist() == [0.0, 0.0]


def test_clipping_by_value_holds_every_element(backend):
    p, unused = leaves([[1.0, 2.0, 3.0], [1.0]])
    p.grad = dl.tensor([-5.0, 0.5, 5.0])

    optim.clip_grad_value([p, unused], 1.0)

    assert p.grad.tolist() == [-1.0, 0.5, 1.0]
    assert unused.grad is None


@fewer(3)
@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.5, math.inf])
@given(seed=SEEDS, limit=st.floats(0.1, 100.0))
def test_every_norm_is_that_of_all_elements_in_a_row(p, seed, limit, backend):
    params = leaves(drawn(seed))
    loss_of(params).backward()
    row = np.concatenate([q.grad.numpy().reshape(-1) for q in params])
    expected = np.abs(row).max() if p == math.inf else (np.abs(row) ** p).sum() ** (1 / p)

    norm = optim.clip_grad_norm(params, limit, norm_type=p)

    clipped = np.concatenate([q.grad.numpy().reshape(-1) for q in params])
    assert norm.item() == pytest.approx(expected, rel=1e-12)
    assert_allclose(clipped, row * min(1.0, limit / expected), rtol=1e-12)


@pytest.mark.parametrize("p", [1.0, math.inf])
def test_other_norms_equal_pytorchs(torch, p):
    ours, theirs = leaves(drawn(0)), [torch.tensor(a, requires_grad=True) for a in drawn(0)]
    for params in (ours, theirs):
        loss_of(params).backward()

    norm = optim.clip_grad_norm(ours, 0.5, p)

    assert norm.item() == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs, 0.5, p).item(), rel=1e-12)


def test_the_norm_of_halves_is_computed_in_float32():
    p = dl.tensor([1.0, 1.0], "float16", requires_grad=True)
    p.grad = dl.tensor([300.0, 400.0], "float16")  # whose squares float16 cannot hold

    norm = optim.clip_grad_norm([p], 5.0)

    assert (norm.dtype, norm.item()) == (dl.float32, 500.0)
    assert (p.grad.dtype, p.grad.tolist()) == (dl.float16, [3.0, 4.0])


def test_an_infinite_gradient_is_not_hidden_by_clipping(backend):
    p, = leaves([[1.0, 2.0]])
    p.grad = dl.tensor([math.inf, 1.0])

    assert optim.clip_grad_norm([p], 1.0).item() == math.inf
    assert math.isnan(p.grad.tolist()[0])


def leaf():
    return dl.tensor([1.0, 2.0], requires_grad=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optim.clip_grad_norm([leaf()], 1.0), "no parameter has a gradient"),
        (lambda: optim.clip_grad_norm([leaf()], 0.0), "max_norm must be positive, got 0"),
        (lambda: optim.clip_grad_norm([leaf()], 1.0, -2.0), "norm_type must be positive, got -2"),
        (lambda: optim.clip_grad_value([leaf()], -1.0), "clip_value must be positive, got -1"),
    ],
)
def test_a_mistake_is_named(call, message, backend):
    with pytest.raises(ValueError, match=message):
        call()
