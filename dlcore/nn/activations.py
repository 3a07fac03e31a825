"""Activations as modules: the functions of ``functional`` by the same names, with their arguments."""

from __future__ import annotations

from dlcore.core import V
from dlcore.nn import functional as F
from dlcore.nn.modules import Module

__all__ = [
    "ELU", "GELU", "LeakyReLU", "LogSoftmax", "ReLU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh",
]


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
