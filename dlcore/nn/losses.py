"""Losses as modules: the functions of ``functional`` by the same names, with their arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from dlcore.core import V
from dlcore.nn import functional as F
from dlcore.nn.modules import Buffer, Module

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "HuberLoss", "L1Loss", "MSELoss", "NLLLoss",
]


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
