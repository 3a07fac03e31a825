"""Layers: the modules that have weights, and those that only rearrange or drop."""

from __future__ import annotations

import math

from dlcore import random
from dlcore.core import V
from dlcore.nn import functional as F
from dlcore.nn.modules import Module, Parameter
from dlcore.ops.shapes import flatten
from dlcore.random import Generator

__all__ = ["Dropout", "Flatten", "Identity", "Linear"]

# --- with weights --------------------------------------------------------------------------------


class Linear(Module):
    """``x @ weight.T + bias`` for x of shape (..., in_features); the result is (..., out_features).

    Args:
        in_features: the size of the last axis of what comes in.
        out_features: the size of the last axis of what goes out.
        bias: whether there is one.

    Attributes:
        weight: (out_features, in_features), drawn evenly from ±1 / sqrt(in_features), as PyTorch
            does.
        bias: (out_features,), drawn likewise, or None.

        >>> import dlcore as dl
        >>> Linear(3, 2)(dl.ones((4, 3))).shape
        (4, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        if in_features < 0 or out_features < 0:
            raise ValueError(f"Linear: sizes must not be negative, got {in_features} and "
                             f"{out_features}")
        self.in_features, self.out_features = in_features, out_features
        bound = 1.0 / math.sqrt(max(1, in_features))
        self.weight = Parameter(random.uniform((out_features, in_features), -bound, bound))
        self.bias = Parameter(random.uniform(out_features, -bound, bound)) if bias else None

    def forward(self, x: V) -> V:
        """See the class."""
        return F.linear(x, self.weight, self.bias)


# --- without weights -----------------------------------------------------------------------------


class Identity(Module):
    """What comes in."""

    def forward(self, x: V) -> V:
        """See the class."""
        return x


class Flatten(Module):
    """The axes from ``start_axis`` to ``end_axis`` as one; the first, of the batch, stays."""

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        self.start_axis, self.end_axis = start_axis, end_axis

    def forward(self, x: V) -> V:
        """See the class."""
        return flatten(x, self.start_axis, self.end_axis)


class Dropout(Module):
    """While training, zeros with probability ``p`` and the rest divided by ``1 - p``.

    Args:
        p: 0 to 1.
        rng: where the random numbers come from; dlcore's default generator if None.
    """

    def __init__(self, p: float = 0.5, *, rng: Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p must be a probability from 0 to 1, got {p}")
        self.p, self.rng = p, rng

    def forward(self, x: V) -> V:
        """See the class."""
        return F.dropout(x, self.p, training=self.training, rng=self.rng)
