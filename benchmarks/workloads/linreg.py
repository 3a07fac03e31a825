"""Linear regression: ``mean((x @ w + b - y) ** 2 / 2)`` and SGD.

``formula`` writes the loss as it stands here, ``loss`` calls the library's own function for it.
1000 samples of 2 features, batches of 10; a run is an epoch and its value the last loss.
"""

from types import SimpleNamespace

import numpy as np

from benchmarks.workloads.workload import Workload


def data(_variant: str, rate: float) -> SimpleNamespace:
    random = np.random.default_rng(3)
    x = random.standard_normal((1000, 2), dtype=np.float32)
    noise = 0.01 * random.standard_normal((1000, 1), dtype=np.float32)
    return SimpleNamespace(
        x=x,
        y=x @ np.array([[2.0], [-3.4]], dtype=np.float32) + np.float32(4.2) + noise,
        w=np.float32(0.01) * random.standard_normal((2, 1), dtype=np.float32),
        b=np.zeros(1, dtype=np.float32),
        lr=0.003 * rate,
        batch=10,
    )


WORKLOAD = Workload(("formula", "loss"), data, unit="step", units=100)
