"""The cost of a call: ``(a * b + c).sum()`` of short vectors, and its gradient.

Three operations; phases ``forward`` and ``gradient`` (which includes the forward pass).
"""

from types import SimpleNamespace

import numpy as np

from benchmarks.workloads.workload import Workload

SIZES = {"10": 10, "1000": 1000}


def data(variant: str, _rate: float) -> SimpleNamespace:
    random = np.random.default_rng(1)
    a, b, c = random.random((3, SIZES[variant]), dtype=np.float32)
    return SimpleNamespace(a=a, b=b, c=c)


WORKLOAD = Workload(tuple(SIZES), data, unit="call")
