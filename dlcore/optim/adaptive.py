"""Optimizers that divide a gradient by the size that gradients had: RMSprop, Adagrad, Adadelta."""

from __future__ import annotations

from backends import Backend
from dlcore.core import Array
from dlcore.optim.base import Optimizer, State, decayed, moment, running_mean
from dlcore.optim.groups import Group, Parameters
from dlcore.optim.schedules import Schedule

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


class RMSprop(Optimizer):
    """Gradients divided by the root of a running mean of their squares.

    Args:
        params: tensors, or groups.
        lr: about how far each element moves in a step, or a schedule.
        alpha: how much of the mean is kept, less than 1.
        eps: added to the root.
        weight_decay: adds ``weight_decay * p`` to the gradient.
        momentum: how much of the last step is repeated, less than 1.
        centered: divide by the standard deviation of the gradients: subtract their mean, squared.
        maximize: go up the gradient.

    Source: Tieleman & Hinton (2012), "Lecture 6.5: RMSprop"; of ``centered`` Graves (2013), "Generating
    sequences with recurrent neural networks", section 4.2, with epsilon outside the root, as PyTorch has it.
    """

    def __init__(self, params: Parameters, lr: float | Schedule = 1e-2, alpha: float = 0.99,
                 eps: float = 1e-8, weight_decay: float = 0.0, momentum: float = 0.0, *,
                 centered: bool = False, maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay,
                                  "momentum": momentum, "centered": centered, "maximize": maximize})

    def updated(self, xp: Backend, x: Array, g: Array, lr: float, state: State, group: Group) -> Array:
        """See the base class."""
        x, g = decayed(x, g, lr, group["weight_decay"])
        v = running_mean(xp, state, "mean_of_squares", g * g, group["alpha"])
        if group["centered"]:
            m = running_mean(xp, state, "mean", g, group["alpha"])
            v = xp.maximum(v - m * m, xp.zeros_like(v))  # rounding can leave less than 0 of equal gradients
        step = g / xp.add_(xp.sqrt(v), group["eps"])
        if group["momentum"]:
            held = xp.multiply_(moment(xp, state, "velocity", g), group["momentum"])
            step = state["velocity"] = xp.add_(held, step)
        return xp.add_(step * -lr, x)


class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares: rare features move further.

    Args:
        params: tensors, or groups.
        lr: how far the first step moves each element, or a schedule.
        lr_decay: the rate at step t, counted from 0, is ``lr / (1 + t * lr_decay)``.
        weight_decay: adds ``weight_decay * p`` to the gradient.
        initial_accumulator_value: what the sums of squares start with.
        eps: added to the root.
        maximize: go up the gradient.

    Source: Duchi, Hazan & Singer (2011), "Adaptive subgradient methods for online learning and stochastic
    optimization".
    """

    def __init__(self, params: Parameters, lr: float | Schedule = 1e-2, lr_decay: float = 0.0,
                 weight_decay: float = 0.0, initial_accumulator_value: float = 0.0, eps: float = 1e-10, *,
                 maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay,
                                  "initial_accumulator_value": initial_accumulator_value, "eps": eps,
                                  "maximize": maximize})

    def updated(self, xp: Backend, x: Array, g: Array, lr: float, state: State, group: Group) -> Array:
        """See the base class."""
        x, g = decayed(x, g, lr, group["weight_decay"])
        t = state.get("step", 0)
        state["step"] = t + 1
        held = moment(xp, state, "sum_of_squares", g, group["initial_accumulator_value"])
        v = state["sum_of_squares"] = xp.add_(held, g * g)
        step = g / xp.add_(xp.sqrt(v), group["eps"])
        return xp.add_(xp.multiply_(step, -lr / (1.0 + t * group["lr_decay"])), x)


class Adadelta(Optimizer):
    """Gradients scaled to the size that steps had, so that the rate has no unit: ``lr`` can stay 1.

    Args:
        params: tensors, or groups.
        lr: multiplies the steps, or a schedule.
        rho: how much is kept of the means of squared gradients and squared steps, less than 1.
        eps: added to both means under the root.
        weight_decay: adds ``weight_decay * p`` to the gradient.
        maximize: go up the gradient.

    Source: Zeiler (2012), "ADADELTA: an adaptive learning rate method", algorithm 1.
    """

    def __init__(self, params: Parameters, lr: float | Schedule = 1.0, rho: float = 0.9, eps: float = 1e-6,
                 weight_decay: float = 0.0, *, maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay,
                                  "maximize": maximize})

    def updated(self, xp: Backend, x: Array, g: Array, lr: float, state: State, group: Group) -> Array:
        """See the base class."""
        x, g = decayed(x, g, lr, group["weight_decay"])
        rho, eps = group["rho"], group["eps"]
        v = running_mean(xp, state, "mean_of_squares", g * g, rho)
        u = moment(xp, state, "mean_of_steps", g)
        step = xp.sqrt((u + eps) / (v + eps)) * g
        running_mean(xp, state, "mean_of_steps", step * step, rho)
        return xp.add_(step * -lr, x)
