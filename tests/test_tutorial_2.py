"""Tutorial 2, row by row: linear regression from scratch, define-by-run.

The rows are checked on the functions of the example itself.
"""

import os
import re
import sys
from importlib import import_module
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

import dlcore as dl
from dlcore.nn import functional as F

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
EXAMPLES = Path(__file__).parent.parent / "examples"
W, B = np.array([2.0, -3.4]), 4.2


@pytest.fixture(scope="module")
def tutorial():
    sys.path.insert(0, str(EXAMPLES))
    try:
        return import_module("tutorial_2_linear_regression")
    finally:
        sys.path.remove(str(EXAMPLES))


def runs(tutorial, backend):
    """Weights, bias and losses of training on fresh data, for some seeds."""
    count = (200 if NIGHTLY else 30) if backend.name == "cpu" else 3
    found = []
    for seed in range(count):
        dl.random.seed(seed)
        w, b, losses = tutorial.train(*tutorial.synthetic(), aloud=False)
        found.append((w.numpy().reshape(-1), b.item(), losses))
    return found


@pytest.fixture(scope="module")
def trained():
    return {}


@pytest.fixture
def results(tutorial, trained, backend):
    """What :func:`runs` finds, once a backend."""
    if backend.name not in trained:
        trained[backend.name] = runs(tutorial, backend)
    return trained[backend.name]


def test_row_2_1_vectors_are_added_faster_than_their_numbers(tutorial):
    slow, fast = map(min, zip(*(tutorial.vectorisation() for _ in range(5)), strict=True))

    assert fast < slow / 15


def test_row_2_2_the_data_are_linear_but_for_noise(tutorial, backend):
    features, labels = tutorial.synthetic()

    assert (features.shape, labels.shape) == ((1000, 2), (1000,))
    assert features.dtype == labels.dtype == dl.float32
    noise = labels.numpy() - (features.numpy() @ W + B)
    assert noise.std() == pytest.approx(0.01, rel=0.1)
    assert np.abs(features.numpy().mean(axis=0)).max() < 5 / np.sqrt(1000)


def test_row_2_3_the_cloud_has_a_negative_slope(tutorial, backend):
    features, labels = tutorial.synthetic()

    assert np.corrcoef(features.numpy()[:, 1], labels.numpy())[0, 1] < -0.7


@pytest.mark.parametrize("n", [1000, 23])
def test_row_2_4_every_example_comes_once_and_the_last_batch_may_be_short(tutorial, backend, n):
    features, labels = dl.reshape(dl.arange(2 * n), (n, 2)), dl.arange(n)

    batches = list(tutorial.data_iter(10, features, labels))

    assert [len(y) for _, y in batches] == [10] * (n // 10) + [n % 10] * (n % 10 > 0)
    seen = list(chain(*(y.tolist() for _, y in batches)))
    assert sorted(seen) == list(range(n))
    assert seen != list(range(n))
    x, y = batches[0]
    assert (x.shape, y.shape) == ((10, 2), (10,))
    assert all(x[:, 0].tolist()[i] == 2 * y.tolist()[i] for i in range(10))


def test_row_2_6_the_model_is_a_product_of_matrices_and_a_sum(tutorial, backend):
    x, w, b = dl.ones((10, 2)), dl.tensor([[2.0], [-3.0]]), dl.tensor([4.0])

    assert tutorial.linreg(x, w, b).tolist() == [[3.0]] * 10
    assert (x * w.reshape(2)).shape == (10, 2)  # mul
    assert dl.matmul(x, w).tolist() == (x @ w).tolist() == [[-1.0]] * 10  # mm
    assert dl.matmul(dl.ones((5, 10, 2)), w).shape == (5, 10, 1)  # matmul broadcasts


def test_row_2_7_without_reshape_every_prediction_meets_every_label_and_a_loss_refuses(tutorial, backend):
    y_hat, y = dl.ones((10, 1)), dl.zeros(10)

    assert (y_hat - y).shape == (10, 10)
    assert tutorial.squared_loss(y_hat, y).shape == (10, 1)
    assert tutorial.squared_loss(y_hat, y).tolist() == [[0.5]] * 10
    with pytest.raises(ValueError, match=r"input has shape \(10, 1\), target \(10,\); write target\.reshape"):
        F.squared_loss(y_hat, y)
    assert F.squared_loss(y_hat, y.reshape(10, 1), reduction="none").tolist() == [[0.5]] * 10


def test_row_2_8_backward_of_a_vector_asks_for_a_sum(tutorial, backend):
    w = dl.zeros((2, 1), requires_grad=True)
    losses = tutorial.squared_loss(dl.ones((10, 2)) @ w, dl.ones(10))

    with pytest.raises(ValueError, match=r"shape \(10, 1\) is not a scalar; reduce it with \.sum\(\)"):
        losses.backward()

    losses.sum().backward()
    assert w.grad.tolist() == [[-10.0], [-10.0]]


def test_row_2_9_a_step_changes_the_data_of_the_same_tensor(tutorial, backend):
    w = dl.tensor([1.0, 2.0], requires_grad=True)
    w.grad = dl.tensor([10.0, -10.0])

    tutorial.sgd([w], lr=0.5, batch_size=10)

    assert w.tolist() == [0.5, 2.5]
    assert w.requires_grad


def test_row_2_10_gradients_add_up_until_they_are_dropped(tutorial, backend):
    w = dl.tensor([1.0], requires_grad=True)

    for expected in (2.0, 4.0):
        (w * 2.0).sum().backward()
        assert w.grad.tolist() == [expected]

    w.grad = None
    (w * 2.0).sum().backward()
    assert w.grad.tolist() == [2.0]


def test_row_2_12_each_epoch_prints_the_loss_over_all_data(tutorial, capsys, backend):
    dl.random.seed(0)
    tutorial.train(*tutorial.synthetic(100))

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(re.fullmatch(rf"epoch {i + 1}, loss \d\.\d{{6}}", line) for i, line in enumerate(lines))


def test_row_2_13_the_losses_fall_as_they_were_measured_to(results):
    first, second, third = np.array([losses for *_, losses in results]).T

    # the row has the range of 200 seeds; 200 others go a little beyond it
    assert (first > 0.0210 * 0.9).all()
    assert (first < 0.0651 * 1.12).all()
    assert (second < 3.5e-4 * 1.3).all()
    assert (third > 4.4e-5 * 0.97).all()
    assert (third < 5.6e-5 * 1.03).all()
    if len(results) >= 30:
        for losses, middle in ((first, 0.0382), (second, 1.41e-4), (third, 5.02e-5)):
            assert np.median(losses) == pytest.approx(middle, rel=0.12)
    if len(results) >= 200:
        assert np.quantile(first, [0.05, 0.95]) == pytest.approx([0.0276, 0.0501], rel=0.08)
        assert np.quantile(second, [0.05, 0.95]) == pytest.approx([9.6e-5, 2.3e-4], rel=0.08)
        assert np.quantile(third, [0.05, 0.95]) == pytest.approx([4.7e-5, 5.3e-5], rel=0.03)


def test_row_2_14_the_weights_are_recovered(results):
    errors = np.array([[np.abs(w - W).max(), abs(b - B)] for w, b, _ in results])

    assert (errors < 0.003).all()
    assert (errors < [0.0017, 0.0019]).mean() >= 0.98
    if len(results) >= 30:
        wide = 0.12 if len(results) >= 200 else 0.35
        assert np.median(errors, axis=0) == pytest.approx([0.0006, 0.0005], rel=wide)


def test_row_2_15_least_squares_finds_the_same(tutorial, backend):
    dl.random.seed(11)
    features, labels = tutorial.synthetic()

    w, b, _ = tutorial.train(features, labels, aloud=False)

    columns = np.column_stack([features.numpy(), np.ones(1000)])
    solution, *_ = np.linalg.lstsq(columns, labels.numpy(), rcond=None)
    assert np.abs(solution - [*w.numpy().reshape(-1), b.item()]).max() < 0.002
