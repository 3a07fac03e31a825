"""Losses as modules: the functions of ``functional`` by the same names, with their arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from dlcore.core import V
from dlcore.nn import functional as F
from dlcore.nn.modules import Buffer, Module

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CosineEmbeddingLoss", "CrossEntropyLoss", "HingeLoss", "HuberLoss",
    "KLDivLoss", "L1Loss", "MSELoss", "NLLLoss", "SmoothL1Loss", "SquaredLoss", "TripletMarginLoss",
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


class SquaredLoss(Loss):
    """``functional.squared_loss``."""

    function = F.squared_loss


class HingeLoss(Loss):
    """``functional.hinge_loss``."""

    function = F.hinge_loss


class HuberLoss(Loss):
    """``functional.huber_loss``."""

    def __init__(self, *, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: V, target: V) -> V:
        """See the class."""
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class SmoothL1Loss(Loss):
    """``functional.smooth_l1_loss``."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.beta = beta

    def forward(self, input: V, target: V) -> V:
        """See the class."""
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class KLDivLoss(Loss):
    """``functional.kl_div``."""

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.log_target = log_target

    def forward(self, input: V, target: V) -> V:
        """See the class."""
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class CosineEmbeddingLoss(Module):
    """``functional.cosine_embedding_loss``."""

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        self.margin, self.reduction = margin, reduction

    def forward(self, input1: V, input2: V, target: V) -> V:
        """See the class."""
        return F.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class TripletMarginLoss(Module):
    """``functional.triplet_margin_loss``."""

    def __init__(self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, *, swap: bool = False,
                 reduction: str = "mean") -> None:
        self.margin, self.p, self.eps, self.swap, self.reduction = margin, p, eps, swap, reduction

    def forward(self, anchor: V, positive: V, negative: V) -> V:
        """See the class."""
        return F.triplet_margin_loss(anchor, positive, negative, margin=self.margin, p=self.p, eps=self.eps,
                                     swap=self.swap, reduction=self.reduction)


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
