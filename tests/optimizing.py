"""Parameters to optimize, and a loss of them."""

import numpy as np

import dlcore as dl

SHAPES = [(3, 2), (4,), ()]


def leaves(arrays, dtype=None):
    return [dl.tensor(a, dtype=dtype, requires_grad=True) for a in arrays]


def loss_of(params):
    """Something with a gradient that changes as the parameters do."""
    return sum((p * p * p).sum() + p.sum() for p in params)


def drawn(seed):
    random = np.random.default_rng(seed)
    return [random.standard_normal(shape) for shape in SHAPES]
