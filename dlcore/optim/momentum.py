"""Optimizers that remember one thing, the direction: SGD and Lion."""

from __future__ import annotations

from backends import Backend
from dlcore.core import Array
from dlcore.optim.base import Optimizer, State, decayed, moment, running_mean
from dlcore.optim.groups import Group, Parameters
from dlcore.optim.schedules import Schedule

__all__ = ["SGD", "Lion"]


class SGD(Optimizer):
    """Stochastic gradient descent: ``v = momentum * v + (1 - dampening) * g``, ``p = p - lr * v``.

    Args:
        params: tensors, or groups.
        lr: the step along the gradient, or a schedule.
        momentum: how much of the last step is repeated, less than 1.
        dampening: how much of a gradient is withheld from the velocity, except of the first.
        weight_decay: adds ``weight_decay * p`` to the gradient.
        nesterov: look ahead: step by ``g + momentum * v``; needs a momentum and no dampening.
        maximize: go up the gradient.

    Source: Polyak (1964), "Some methods of speeding up the convergence of iteration methods"; Sutskever,
    Martens, Dahl & Hinton (2013), "On the importance of initialization and momentum in deep learning",
    in the form that PyTorch has.

        >>> import dlcore as dl
        >>> w = dl.tensor([1.0, -2.0], requires_grad=True)
        >>> optimizer = SGD([w], lr=0.1)
        >>> dl.sum(w * w).backward()
        >>> optimizer.step()
        >>> w
        tensor([ 0.8, -1.6], float32, requires_grad)
    """

    takes_complex = True

    def __init__(self, params: Parameters, lr: float | Schedule = 1e-3, momentum: float = 0.0,
                 dampening: float = 0.0, weight_decay: float = 0.0, *, nesterov: bool = False,
                 maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening,
                                  "weight_decay": weight_decay, "nesterov": nesterov, "maximize": maximize})

    def check(self, group: Group) -> None:
        """See the base class."""
        super().check(group)
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise ValueError("SGD: nesterov needs a momentum greater than 0 and no dampening, got momentum="
                             f"{group['momentum']}, dampening={group['dampening']}")

    def updated(self, xp: Backend, x: Array, g: Array, lr: float, state: State, group: Group) -> Array:
        """See the base class."""
        if decay := group["weight_decay"]:
            g = g + x * decay
        if not (momentum := group["momentum"]):
            return x - g * lr
        if "velocity" not in state:  # the first gradient is not dampened
            v = xp.add_(xp.zeros_like(g), g)
        else:
            v = xp.multiply_(moment(xp, state, "velocity", g), momentum)
            dampening = group["dampening"]
            v = xp.add_(v, g * (1.0 - dampening) if dampening else g)
        state["velocity"] = v
        step = (g + v * momentum if group["nesterov"] else v) * -lr
        return xp.add_(step, x)


class Lion(Optimizer):
    """Steps of exactly ``lr`` in every element, in the direction that a mean of gradients has.

    ``p = p - lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * p)``, and then
    ``m = beta2 * m + (1 - beta2) * g``.

    Args:
        params: tensors, or groups.
        lr: how far each element moves in a step, or a schedule; a third to a tenth of what suits Adam.
        betas: how much of the mean counts in a step, and how much of it is kept; each less than 1.
        weight_decay: how fast parameters shrink, in units of the step; three to ten times AdamW's.
        maximize: go up the gradient.

    Source: Chen et al. (2023), "Symbolic discovery of optimization algorithms", algorithm 2.
    """

    def __init__(self, params: Parameters, lr: float | Schedule = 1e-4,
                 betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0, *,
                 maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay,
                                  "maximize": maximize})

    def updated(self, xp: Backend, x: Array, g: Array, lr: float, state: State, group: Group) -> Array:
        """See the base class."""
        beta1, beta2 = group["betas"]
        x, _ = decayed(x, g, lr, group["weight_decay"], decoupled=True)
        mixed = xp.add_(g * (1.0 - beta1), moment(xp, state, "mean", g) * beta1)
        running_mean(xp, state, "mean", g, beta2)
        return xp.add_(xp.sign(mixed) * -lr, x)
