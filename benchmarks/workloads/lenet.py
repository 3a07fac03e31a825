"""Training steps of a LeNet: convolutions of 5x5, ReLU, pooling of 2x2, twice; then 400-120-84-10.

A batch of 64 images of 28x28, cross-entropy, SGD with momentum.  Weights are laid out as in PyTorch.
"""

import math
from types import SimpleNamespace

import numpy as np

from benchmarks.workloads.workload import Workload

WEIGHTS = ((6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84))
VARIANTS = ("b64",)


def data(_variant: str, rate: float) -> SimpleNamespace:
    random = np.random.default_rng(5)
    parameters = []
    for shape in WEIGHTS:
        weight = random.standard_normal(shape, dtype=np.float32)
        parameters += [weight * np.float32((2 / math.prod(shape[1:])) ** 0.5), np.zeros(shape[0], np.float32)]
    return SimpleNamespace(
        parameters=parameters,
        x=random.standard_normal((64, 1, 28, 28), dtype=np.float32),
        t=random.integers(0, 10, 64),
        lr=1e-2 * rate,
        momentum=0.9,
    )


WORKLOAD = Workload(VARIANTS, data, unit="step")
