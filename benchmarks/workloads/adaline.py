"""A graph of scalars: a step of hand-written SGD on the loss ``|w * x + b - t|`` of one sample."""

from types import SimpleNamespace

from benchmarks.workloads.workload import Workload


def data(_variant: str, rate: float) -> SimpleNamespace:
    return SimpleNamespace(w=0.5, b=0.1, x=1.5, t=2.0, lr=0.01 * rate)


WORKLOAD = Workload(("scalar",), data, unit="step")
