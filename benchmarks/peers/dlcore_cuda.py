"""dlcore, define-by-run, on a card: the process that imports this computes there."""

import dlcore as dl
from benchmarks.peers.dlcore_eager import elementwise, host, lenet, mlp, tiny

__all__ = ["elementwise", "host", "lenet", "mlp", "synchronize", "tiny"]

dl.set_backend("cuda")
synchronize = dl.synchronize
