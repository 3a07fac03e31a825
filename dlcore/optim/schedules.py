"""Learning rates that change: functions from the number of steps made so far to the rate of the next.

Give one to an optimizer in place of a number, or call it to see it:
``dl.viz.loss_curve([schedule(i) for i in range(1000)], ylabel="learning rate")``.
Nothing is stored but the optimizer's step, so a schedule may be changed between two runs.  Past its last
step each stays where it ended.

    >>> import dlcore as dl
    >>> schedule = warmup(cosine(0.5, 100), 4)
    >>> [schedule(i) for i in (0, 2, 4, 54, 104)]
    [0.0, 0.25, 0.5, 0.25, 0.0]
    >>> w = dl.tensor(1.0, requires_grad=True)
    >>> optimizer = dl.optim.SGD([w], lr=schedule)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Plateau", "constant", "cosine", "exponential", "linear", "one_cycle", "polynomial", "step",
           "warmup"]

Schedule = Callable[[int], float]
"""From the number of steps made so far to the learning rate of the next."""


def _check_count(name: str, what: str, n: int) -> None:
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"{name}: {what} must be a positive whole number, got {n!r}")


def constant(lr: float) -> Schedule:
    """The rate ``lr`` at every step."""
    return lambda i: lr


def step(lr: float, step_size: int, gamma: float = 0.1) -> Schedule:
    """``lr`` times ``gamma`` after every ``step_size`` steps.

        >>> [step(1.0, 2, gamma=0.5)(i) for i in range(5)]
        [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    _check_count("step", "step_size", step_size)
    return lambda i: lr * gamma ** (i // step_size)


def exponential(lr: float, gamma: float) -> Schedule:
    """``lr`` times ``gamma`` after every step."""
    return lambda i: lr * gamma**i


def linear(start: float, end: float, total: int) -> Schedule:
    """A straight line from ``start`` to ``end`` in ``total`` steps.

        >>> [linear(1.0, 0.0, 4)(i) for i in range(6)]
        [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    _check_count("linear", "total", total)
    return lambda i: start + (end - start) * (min(i, total) / total)


def polynomial(lr: float, total: int, power: float = 1.0, end: float = 0.0) -> Schedule:
    """From ``lr`` down to ``end`` in ``total`` steps, as what is left of them to the ``power``."""
    _check_count("polynomial", "total", total)
    return lambda i: end + (lr - end) * (1.0 - min(i, total) / total) ** power


def cosine(lr: float, total: int, end: float = 0.0) -> Schedule:
    """From ``lr`` down to ``end`` in ``total`` steps, along half a wave.

    Source: Loshchilov & Hutter (2017), "SGDR: stochastic gradient descent with warm restarts", equation 5,
    without the restarts.
    """
    _check_count("cosine", "total", total)
    return lambda i: _eased(lr, end, min(i, total) / total)


def warmup(schedule: Schedule, steps: int, start: float = 0.0) -> Schedule:
    """``steps`` steps in a straight line from ``start`` to where ``schedule`` begins, and then ``schedule``.

    Source: Goyal et al. (2017), "Accurate, large minibatch SGD: training ImageNet in 1 hour", section 2.2.
    """
    _check_count("warmup", "steps", steps)
    if not callable(schedule):
        raise TypeError(f"warmup: schedule must be a function of the step, got {schedule!r}; "
                        "of a number make one with constant(lr)")
    ramp = linear(start, schedule(0), steps)
    return lambda i: ramp(i) if i < steps else schedule(i - steps)


def one_cycle(max_lr: float, total: int, pct_start: float = 0.3, div_factor: float = 25.0,
              final_div_factor: float = 1e4) -> Schedule:
    """Up to ``max_lr`` and down to nearly nothing in ``total`` steps, each along half a wave.

    Args:
        max_lr: the highest rate.
        total: the number of steps of the run; its last one has the lowest rate.
        pct_start: the part of them that goes up, between 0 and 1.
        div_factor: the first rate is ``max_lr`` divided by this.
        final_div_factor: the last rate is the first divided by this.

    Source: Smith & Topin (2018), "Super-convergence: very fast training of neural networks using large
    learning rates", with the half waves that PyTorch has.
    """
    _check_count("one_cycle", "total", total)
    if not 0.0 < pct_start < 1.0:
        raise ValueError(f"one_cycle: pct_start must lie between 0 and 1, got {pct_start}")
    first, top = max_lr / div_factor, pct_start * total - 1.0
    if not 0.0 < top < total - 1.0:
        raise ValueError(f"one_cycle: {total} steps are too few to go up in {pct_start} of them")

    def rate(i: int) -> float:
        if i <= top:
            return _eased(first, max_lr, i / top)
        return _eased(max_lr, first / final_div_factor, min((i - top) / (total - 1.0 - top), 1.0))

    return rate


def _eased(start: float, end: float, part: float) -> float:
    """From ``start`` to ``end`` along half a wave."""
    return end + (start - end) * (0.5 + 0.5 * math.cos(math.pi * part))


class Plateau:
    """A rate that falls whenever a loss stops improving; the one schedule with a memory.

    It is a schedule, so an optimizer takes it, and saves it; tell it the loss of every epoch.

    Args:
        lr: the rate at first.
        factor: what the rate is multiplied by, less than 1.
        patience: how many epochs without improvement are put up with.
        threshold: improvements by a smaller part than this do not count.
        cooldown: how many epochs after a fall are not counted.
        min_lr: where the rate stays.
        maximize: what is observed should grow, as an accuracy does.

        >>> rate = Plateau(1.0, factor=0.5, patience=1)
        >>> for loss in (3.0, 2.0, 2.0, 2.0):
        ...     rate.observe(loss)
        >>> rate(0)
        0.5
    """

    def __init__(self, lr: float, factor: float = 0.1, patience: int = 10, threshold: float = 1e-4,
                 cooldown: int = 0, min_lr: float = 0.0, *, maximize: bool = False) -> None:
        if not 0.0 <= factor < 1.0:
            raise ValueError(f"Plateau: factor must be at least 0 and less than 1, got {factor}")
        self.lr, self.factor, self.patience, self.threshold = lr, factor, patience, threshold
        self.cooldown, self.min_lr, self.maximize = cooldown, min_lr, maximize
        self.best = -math.inf if maximize else math.inf
        self.waited = self.resting = 0

    def __call__(self, step: int) -> float:
        """The rate, whatever the step."""
        return self.lr

    def observe(self, value: float) -> None:
        """Take note of a loss, a number of Python; nan counts as no improvement."""
        if self._improves(value):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        if self.resting:
            self.resting, self.waited = self.resting - 1, 0
        if self.waited > self.patience:
            self.lr = max(self.lr * self.factor, self.min_lr)
            self.resting, self.waited = self.cooldown, 0

    def _improves(self, value: float) -> bool:
        if math.isinf(self.best):
            return not math.isnan(value)
        if self.maximize:
            return value > self.best * (1.0 + self.threshold)
        return value < self.best * (1.0 - self.threshold)

    def state_dict(self) -> dict[str, float]:
        """The rate and what was observed, as numbers."""
        return {"lr": self.lr, "best": self.best, "waited": self.waited, "resting": self.resting}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        if missing := self.state_dict().keys() - state.keys():
            raise ValueError(f"Plateau: the state lacks {sorted(missing)}; it comes from state_dict()")
        self.lr, self.best = float(state["lr"]), float(state["best"])
        self.waited, self.resting = int(state["waited"]), int(state["resting"])
