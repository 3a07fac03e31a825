"""Adam and its kin: steps along a mean of gradients, divided by the root of a mean of their squares."""

from __future__ import annotations

import math

from backends import Backend
from dlcore.core import Array
from dlcore.optim.base import Optimizer, State, decayed, moment, running_mean
from dlcore.optim.groups import Group, Parameters
from dlcore.optim.schedules import Schedule

__all__ = ["Adam", "AdamW", "NAdam", "RAdam"]


class Adam(Optimizer):
    """Steps of about ``lr`` in every element, whatever the size of its gradient.

    Args:
        params: tensors, or groups.
        lr: about how far each element moves in a step, or a schedule.
        betas: how much is kept of the means of gradients and of their squares, each less than 1.
        eps: added to the root of the mean of squares.
        weight_decay: adds ``weight_decay * p`` to the gradient.
        amsgrad: divide by the largest mean of squares so far.
        maximize: go up the gradient.

    Source: Kingma & Ba (2015), "Adam: a method for stochastic optimization"; of ``amsgrad`` Reddi, Kale &
    Kumar (2018), "On the convergence of Adam and beyond", with Adam's corrections, as PyTorch has it.

        >>> import dlcore as dl
        >>> w = dl.tensor([1.0, -2.0], requires_grad=True)
        >>> optimizer = Adam([w], lr=0.125)
        >>> dl.sum(w * w).backward()
        >>> optimizer.step()
        >>> w
        tensor([ 0.875, -1.875], float32, requires_grad)
    """

    decoupled = False

    def __init__(self, params: Parameters, lr: float | Schedule = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0, *,
                 amsgrad: bool = False, maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                                  "amsgrad": amsgrad, "maximize": maximize})

    def updated(self, xp: Backend, x: Array, g: Array, lr: float, state: State, group: Group) -> Array:
        """The update of the paper, whose means are (1 - beta) times the sums that are kept here.

        Sums need no factor for what is new, and all factors that are left are numbers: ten passes
        over the elements, where the paper as it stands takes fourteen.
        """
        if decay := group["weight_decay"]:
            x, g = decayed(x, g, lr, decay, decoupled=self.decoupled)
        beta1, beta2 = group["betas"]
        t = state["step"] = state.get("step", 0) + 1
        m = xp.multiply_(moment(xp, state, "sum", g), beta1)
        v = xp.multiply_(moment(xp, state, "sum_of_squares", g), beta2)
        m = state["sum"] = xp.add_(m, g)
        v = state["sum_of_squares"] = xp.add_(v, g * g)
        if group["amsgrad"]:
            v = state["largest"] = xp.maximum(moment(xp, state, "largest", g), v)
        mean = (1.0 - beta1) / (1.0 - beta1**t)  # times m is the corrected mean
        root = math.sqrt((1.0 - beta2) / (1.0 - beta2**t))  # times sqrt(v) is its corrected root
        step = m / xp.add_(xp.sqrt(v), group["eps"] / root)
        return xp.add_(xp.multiply_(step, lr * -mean / root), x)


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter instead of entering the means.

    Arguments as :class:`Adam` has them.

    Source: Loshchilov & Hutter (2019), "Decoupled weight decay regularization".
    """

    decoupled = True

    def __init__(self, params: Parameters, lr: float | Schedule = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 1e-2, *,
                 amsgrad: bool = False, maximize: bool = False) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad=amsgrad, maximize=maximize)


class NAdam(Optimizer):
    """Adam with Nesterov's look ahead: a step uses the momentum of the step after it.

    Args:
        params: tensors, or groups.
        lr: about how far each element moves in a step, or a schedule.
        betas: as :class:`Adam` has them.
        eps: likewise.
        weight_decay: adds ``weight_decay * p`` to the gradient.
        momentum_decay: how fast the first beta grows to its full size.
        decoupled_weight_decay: decay weights as :class:`AdamW` does.
        maximize: go up the gradient.

    Source: Dozat (2016), "Incorporating Nesterov momentum into Adam", algorithm 2.
    """

    def __init__(self, params: Parameters, lr: float | Schedule = 2e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0,
                 momentum_decay: float = 4e-3, *, decoupled_weight_decay: bool = False,
                 maximize: bool = False) -> None:
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize})

    def updated(self, xp: Backend, x: Array, g: Array, lr: float, state: State, group: Group) -> Array:
        """See the base class."""
        x, g = decayed(x, g, lr, group["weight_decay"], decoupled=group["decoupled_weight_decay"])
        (beta1, beta2), psi = group["betas"], group["momentum_decay"]
        t = state["step"] = state.get("step", 0) + 1
        now = beta1 * (1.0 - 0.5 * 0.96 ** (t * psi))
        after = beta1 * (1.0 - 0.5 * 0.96 ** ((t + 1) * psi))
        product = state["product"] = state.get("product", 1.0) * now
        m = running_mean(xp, state, "mean", g, beta1)
        v = running_mean(xp, state, "mean_of_squares", g * g, beta2)
        root = xp.add_(xp.sqrt(v * (1.0 / (1.0 - beta2**t))), group["eps"])
        mixed = xp.add_(g * ((1.0 - now) / (1.0 - product)), m * (after / (1.0 - product * after)))
        return xp.add_(xp.multiply_(mixed / root, -lr), x)


class RAdam(Optimizer):
    """Adam that trusts the mean of squares only once enough gradients are in it: no warm-up needed.

    Until then, which is five steps with the usual betas, it is gradient descent with momentum.

    Args:
        params: tensors, or groups.
        lr: about how far each element moves in a step, or a schedule.
        betas: as :class:`Adam` has them.
        eps: likewise.
        weight_decay: adds ``weight_decay * p`` to the gradient.
        decoupled_weight_decay: decay weights as :class:`AdamW` does.
        maximize: go up the gradient.

    Source: Liu et al. (2020), "On the variance of the adaptive learning rate and beyond", algorithm 2, with
    epsilon and the threshold of 5 where PyTorch has them.
    """

    def __init__(self, params: Parameters, lr: float | Schedule = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0, *,
                 decoupled_weight_decay: bool = False, maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                                  "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize})

    def updated(self, xp: Backend, x: Array, g: Array, lr: float, state: State, group: Group) -> Array:
        """See the base class."""
        x, g = decayed(x, g, lr, group["weight_decay"], decoupled=group["decoupled_weight_decay"])
        beta1, beta2 = group["betas"]
        t = state["step"] = state.get("step", 0) + 1
        m = running_mean(xp, state, "mean", g, beta1)
        v = running_mean(xp, state, "mean_of_squares", g * g, beta2)
        step = m * (-lr / (1.0 - beta1**t))
        if (factor := rectified(t, beta2)) is not None:
            step = xp.multiply_(step / xp.add_(xp.sqrt(v), group["eps"]), factor * math.sqrt(1.0 - beta2**t))
        return xp.add_(step, x)


def rectified(t: int, beta2: float) -> float | None:
    """What makes up for the variance of a mean of ``t`` squares; None while there are too few of them."""
    most = 2.0 / (1.0 - beta2) - 1.0
    length = most - 2.0 * t * beta2**t / (1.0 - beta2**t)
    if length <= 5.0:
        return None
    return math.sqrt((length - 4.0) * (length - 2.0) * most / ((most - 4.0) * (most - 2.0) * length))
