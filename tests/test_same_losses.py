"""One script, one seed, float64: the same losses on every backend, over a hundred steps of training.

The network has what differs most between devices: additions at repeated places (embedding), windows
(convolution), sums (both norms), random numbers (dropout), and the optimizer's kernels.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import backends
import dlcore as dl
from dlcore import nn, optim
from tests import backend_laws  # noqa: F401  registers the stand-in as "fakecuda"
from tests.fake_cupy import needs_compiler

STEPS, WORDS, LENGTH, CLASSES = 100, 11, 6, 3


class Reader(nn.Module):
    """Scores of classes for rows of words, of which some come more than once."""

    def __init__(self):
        self.table = nn.Embedding(WORDS, 4)
        self.windows = nn.Conv1d(4, 5, 3, padding=1)
        self.over_rows = nn.BatchNorm1d(5)
        self.within_rows = nn.LayerNorm(5 * LENGTH)
        self.drop = nn.Dropout(0.25)
        self.last = nn.Linear(5 * LENGTH, CLASSES)

    def forward(self, words):
        x = self.over_rows(self.windows(dl.permute_dims(self.table(words), (0, 2, 1))))
        return self.last(self.within_rows(self.drop(nn.functional.relu(x)).reshape(len(x), -1)))


def losses(backend, lr=0.03):
    """The loss before each step of training on a backend, of the same batches everywhere."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, WORDS, (STEPS, 16, LENGTH))
    labels = words[:, :, 0] % CLASSES  # so that there is something to learn
    with backends.use_backend(backend):
        dl.random.seed(0)
        net = Reader()
        optimizer = optim.Adam(net.parameters(), lr=lr)
        found = []
        for x, t in zip(words, labels, strict=True):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(dl.tensor(x)), dl.tensor(t))
            loss.backward()
            optimizer.step()
            found.append(loss)
        assert {x.backend for x in found} == {backend}
        return np.array([x.item() for x in found])


@pytest.fixture(scope="module")
def in_float64():
    """Lets Python's floats be float64."""
    before = dl.get_default_dtype()
    dl.set_default_dtype("float64")
    yield
    dl.set_default_dtype(before)


@pytest.fixture(scope="module")
def expected(in_float64):
    """The losses on the CPU, which learns something."""
    found = losses("cpu")
    assert found.dtype == "float64"
    assert found[-20:].mean() < 0.6 * found[:20].mean()
    return found


@pytest.mark.parametrize(
    ("backend", "allowed"),
    [
        ("strict", 1e-12),  # both compute with NumPy, sums perhaps in another order
        pytest.param("fakecuda", 1e-12, marks=needs_compiler),
        pytest.param("cuda", 1e-9, marks=pytest.mark.cuda),  # rounding of another machine, over 100 steps
    ],
)
def test_a_hundred_steps_have_the_losses_of_the_cpu(expected, backend, allowed):
    found = losses(backend)

    assert_allclose(found, expected, rtol=allowed)


@pytest.mark.parametrize("difference", [0.0, 1e-11, 1e-8])
def test_that_much_is_seen(expected, difference):
    found = losses("cpu", lr=0.03 * (1 + difference))

    assert np.abs(found / expected - 1).max() >= difference / 10
    assert difference or (found == expected).all()
