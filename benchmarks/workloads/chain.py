"""A long history: 100 000 multiplications in a row, and the gradient through all of them.

Phases ``forward`` (building the graph and dropping it) and ``gradient`` (the same, with the
backward pass).  The memory of ``forward`` is what the recorded graph holds.
"""

from types import SimpleNamespace

import numpy as np

from benchmarks.workloads.workload import Workload

LENGTH = 100_000


def data(_variant: str, _rate: float) -> SimpleNamespace:
    return SimpleNamespace(
        x=np.ones(10, np.float32), factor=np.full(10, 1.00001, np.float32), length=LENGTH
    )


WORKLOAD = Workload(("100000",), data, unit="operation", units=LENGTH)
