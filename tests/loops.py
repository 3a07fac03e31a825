"""Loops as people write them, for tests of what is noticed in them, and of what is not."""

import contextlib
import warnings

import numpy as np
import pytest

import dlcore as dl
from dlcore import nn, optim
from dlcore.nn import functional as F

X, Y = np.random.default_rng(0).standard_normal((8, 3)), np.random.default_rng(1).standard_normal((8, 1))


class Two(nn.Module):
    """Two layers, of which a forward run takes one or both."""

    def __init__(self):
        self.body = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
        self.head = nn.Linear(3, 1)
        self.idle = nn.Linear(3, 1)

    def forward(self, x, both=False):
        h = self.body(x)
        return self.head(h) + self.idle(h) if both else self.head(h)


class Loop:
    """A model, its data and its optimizer, in the hands of somebody who writes loops."""

    def __init__(self, model=None, **options):
        dl.random.seed(0)
        self.model = (nn.Linear(3, 1) if model is None else model).to(dl.float64)
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.01, **options)
        self.x, self.y = dl.tensor(X), dl.tensor(Y)

    def loss(self, *args):
        return F.mse_loss(self.model(self.x, *args), self.y)

    def step(self, *args):
        loss = self.loss(*args)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss


def noticed(kind, match):
    return pytest.warns(kind, match=match)


@contextlib.contextmanager
def nothing_noticed():
    """Any warning is an error, as in all tests; said where that is what a test is about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
