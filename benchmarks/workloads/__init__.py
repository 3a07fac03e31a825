"""Every workload by the name that the peers' functions have."""

from benchmarks.workloads import adaline, chain, elementwise, lenet, linreg, mlp, second_order, tiny

WORKLOADS = {
    "tiny": tiny.WORKLOAD,
    "adaline": adaline.WORKLOAD,
    "linreg": linreg.WORKLOAD,
    "mlp": mlp.WORKLOAD,
    "lenet": lenet.WORKLOAD,
    "elementwise": elementwise.WORKLOAD,
    "second_order": second_order.WORKLOAD,
    "chain": chain.WORKLOAD,
}
