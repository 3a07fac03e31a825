"""Training steps of small networks, with the optimizer that the peer offers.

``digits_adam`` and ``digits_momentum``: a batch of 64, layers 784-256-128-10, ReLU, cross-entropy.
``boston``: a batch of 16, layers 13-10-1, sigmoid, mean squared error, plain SGD.
Weights are (out, in), as PyTorch has them.
"""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np

from benchmarks.workloads.workload import Workload

DIGITS, BOSTON = (784, 256, 128, 10), (13, 10, 1)
VARIANTS = {  # batch, layers, learning rate
    "digits_adam": (64, DIGITS, 1e-3),
    "digits_momentum": (64, DIGITS, 1e-2),
    "boston": (16, BOSTON, 1e-2),
}


def data(variant: str, rate: float) -> SimpleNamespace:
    random = np.random.default_rng(4)
    batch, sizes, lr = VARIANTS[variant]
    parameters = []
    for wide, narrow in pairwise(sizes):
        weight = random.standard_normal((narrow, wide), dtype=np.float32)
        parameters += [weight * np.float32((2 / wide) ** 0.5), np.zeros(narrow, np.float32)]
    labels = random.integers(0, 10, batch)
    values = random.standard_normal((batch, 1), dtype=np.float32)
    return SimpleNamespace(
        parameters=parameters,
        x=random.standard_normal((batch, sizes[0]), dtype=np.float32),
        t=values if variant == "boston" else labels,
        lr=lr * rate,
        momentum=0.9,
        betas=(0.9, 0.999),
        eps=1e-8,
    )


WORKLOAD = Workload(tuple(VARIANTS), data, unit="step")
