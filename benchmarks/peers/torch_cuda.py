"""PyTorch, define-by-run, on a card: the process that imports this computes there."""

from typing import Any

import numpy as np
import torch

from benchmarks.peers.torch_eager import elementwise, lenet, mlp, tiny

__all__ = ["elementwise", "host", "lenet", "mlp", "synchronize", "tiny"]

torch.set_default_device("cuda")
synchronize = torch.cuda.synchronize


def host(value: Any) -> np.ndarray:
    return torch.as_tensor(value).detach().cpu().numpy()
