"""Activations as modules: the functions of ``functional`` by the same names, with their arguments."""

from __future__ import annotations

from dlcore.core import V
from dlcore.creation import full
from dlcore.nn import functional as F
from dlcore.nn.modules import Module, Parameter

__all__ = [
    "CELU", "ELU", "GELU", "GLU", "SELU", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU",
    "LogSigmoid", "LogSoftmax", "Mish", "PReLU", "ReLU", "ReLU6", "SiLU", "Sigmoid", "Softmax",
    "Softplus", "Softsign", "Tanh",
]


class ReLU(Module):
    """``functional.relu``."""

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


class CELU(Module):
    """``functional.celu``."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: V) -> V:
        """See the class."""
        return F.celu(x, self.alpha)


class SELU(Module):
    """``functional.selu``."""

    forward = staticmethod(F.selu)


class Mish(Module):
    """``functional.mish``."""

    forward = staticmethod(F.mish)


class Softsign(Module):
    """``functional.softsign``."""

    forward = staticmethod(F.softsign)


class LogSigmoid(Module):
    """``functional.logsigmoid``."""

    forward = staticmethod(F.logsigmoid)


class ReLU6(Module):
    """``functional.relu6``."""

    forward = staticmethod(F.relu6)


class Hardtanh(Module):
    """``functional.hardtanh``."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: V) -> V:
        """See the class."""
        return F.hardtanh(x, self.min_val, self.max_val)


class Hardsigmoid(Module):
    """``functional.hardsigmoid``."""

    forward = staticmethod(F.hardsigmoid)


class Hardswish(Module):
    """``functional.hardswish``."""

    forward = staticmethod(F.hardswish)


class GLU(Module):
    """``functional.glu``."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: V) -> V:
        """See the class."""
        return F.glu(x, self.axis)


class PReLU(Module):
    """``functional.prelu``, whose slopes are learnt.

    Args:
        num_parameters: 1 for all, or one slope for each channel, axis 1 of what comes in.
        init: the slopes to begin with.

    Attributes:
        weight: (num_parameters,).
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        self.weight = Parameter(full((num_parameters,), init))

    def forward(self, x: V) -> V:
        """See the class."""
        return F.prelu(x, self.weight)
