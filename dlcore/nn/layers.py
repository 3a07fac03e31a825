"""Layers: the modules that have weights, and functions with the look of a module."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

from dlcore import random
from dlcore.core import V
from dlcore.nn import functional as F
from dlcore.nn.modules import Buffer, Module, Parameter
from dlcore.ops.shapes import flatten
from dlcore.random import Generator

__all__ = [
    "ELU", "GELU", "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "Dropout", "Flatten",
    "HuberLoss", "Identity", "L1Loss", "LeakyReLU", "Linear", "LogSoftmax", "MSELoss", "NLLLoss",
    "ReLU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh",
]

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


class ReLU(Module):
    """``functional.relu`` as a module; so are the others, with their arguments."""

    forward = staticmethod(F.relu)


class LeakyReLU(Module):
    """``functional.leaky_relu``."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: V) -> V:
        """See the class."""
        return F.leaky_relu(x, self.negative_slope)


class ELU(Module):
    """``functional.elu``."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: V) -> V:
        """See the class."""
        return F.elu(x, self.alpha)


class GELU(Module):
    """``functional.gelu``."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: V) -> V:
        """See the class."""
        return F.gelu(x, self.approximate)


class SiLU(Module):
    """``functional.silu``."""

    forward = staticmethod(F.silu)


class Softplus(Module):
    """``functional.softplus``."""

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta

    def forward(self, x: V) -> V:
        """See the class."""
        return F.softplus(x, self.beta)


class Sigmoid(Module):
    """``sigmoid``."""

    forward = staticmethod(F.sigmoid)


class Tanh(Module):
    """``tanh``."""

    forward = staticmethod(F.tanh)


class Softmax(Module):
    """``functional.softmax``."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: V) -> V:
        """See the class."""
        return F.softmax(x, self.axis)


class LogSoftmax(Softmax):
    """``functional.log_softmax``."""

    def forward(self, x: V) -> V:
        """See the class."""
        return F.log_softmax(x, self.axis)


# --- losses --------------------------------------------------------------------------------------


class Loss(Module):
    """A loss of two tensors as a module: each of these is a function of ``functional``."""

    function: ClassVar[Callable[..., V]]

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = reduction

    def forward(self, input: V, target: V) -> V:
        """See the class."""
        return type(self).function(input, target, reduction=self.reduction)


class MSELoss(Loss):
    """``functional.mse_loss``."""

    function = F.mse_loss


class L1Loss(Loss):
    """``functional.l1_loss``."""

    function = F.l1_loss


class BCELoss(Loss):
    """``functional.binary_cross_entropy``."""

    function = F.binary_cross_entropy


class BCEWithLogitsLoss(Loss):
    """``functional.binary_cross_entropy_with_logits``."""

    function = F.binary_cross_entropy_with_logits


class HuberLoss(Loss):
    """``functional.huber_loss``."""

    def __init__(self, *, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: V, target: V) -> V:
        """See the class."""
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class NLLLoss(Loss):
    """``functional.nll_loss``; ``weight`` is one number a class."""

    def __init__(self, weight: V | None = None, *, ignore_index: int = -100,
                 reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.weight = weight if weight is None else Buffer(weight)
        self.ignore_index = ignore_index

    def forward(self, input: V, target: V) -> V:
        """See the class."""
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index,
                          reduction=self.reduction)


class CrossEntropyLoss(NLLLoss):
    """``functional.cross_entropy``; ``weight`` is one number a class."""

    def __init__(self, weight: V | None = None, *, ignore_index: int = -100,
                 reduction: str = "mean", label_smoothing: float = 0.0) -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction)
        self.label_smoothing = label_smoothing

    def forward(self, input: V, target: V) -> V:
        """See the class."""
        return F.cross_entropy(input, target, self.weight, ignore_index=self.ignore_index,
                               reduction=self.reduction, label_smoothing=self.label_smoothing)
