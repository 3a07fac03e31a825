"""Memory and loops: ``(tanh(x * w + b) * sigmoid(x)).sum()`` of a long vector x and scalars w, b.

Phases ``forward`` and ``gradient`` (for x, w and b; it includes the forward pass).
"""

from types import SimpleNamespace

import numpy as np

from benchmarks.workloads.workload import Workload

SIZES = {"1e6": 10**6, "1e7": 10**7}


def data(variant: str, _rate: float) -> SimpleNamespace:
    x = np.random.default_rng(8).standard_normal(SIZES[variant], dtype=np.float32)
    return SimpleNamespace(x=x, w=np.float32(0.7), b=np.float32(0.1))


WORKLOAD = Workload(tuple(SIZES), data, unit="call")
