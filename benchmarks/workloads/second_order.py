"""Derivatives of derivatives.

``hvp``: a Hessian-vector product of ``mean((mlp(x) - y) ** 2)`` for all parameters of a network
64-64-1 with tanh, batch 32.  ``hessian``: all of it, for the Rosenbrock function of 20 variables.
"""

from types import SimpleNamespace

import numpy as np

from benchmarks.workloads.workload import Workload


def data(variant: str, _rate: float) -> SimpleNamespace:
    random = np.random.default_rng(9)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape, dtype=np.float32)

    if variant == "hessian":
        return SimpleNamespace(x=1 + np.float32(0.1) * normal(20))
    return SimpleNamespace(
        parameters=[normal(64, 64) / 8, normal(64) / 8, normal(64, 1) / 8, normal(1)],
        direction=[normal(64, 64), normal(64), normal(64, 1), normal(1)],
        x=normal(32, 64),
        y=normal(32, 1),
    )


WORKLOAD = Workload(("hvp", "hessian"), data, unit="call")
