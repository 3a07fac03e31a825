"""What an optimizer notices of mistakes around it; it takes 0.3 us of a step.

Its steps are the one place where a loop that somebody else wrote shows itself.  Each kind of mistake
is told once an optimizer.
"""

from __future__ import annotations

import gc
from bisect import bisect
from collections.abc import Iterable
from typing import Any

from dlcore import mistakes
from dlcore.history import Node, Released, next_age
from dlcore.mistakes import MistakeWarning, Used
from dlcore.nn.modules import Module
from dlcore.tensors import Tensor

_FIRST_QUARTER = 4  # steps; the histories of three quarters are looked for at the end of the fourth
_ENOUGH = 3  # nodes of a quarter that are left: one a step at the first look, but for the last step's
_LISTED = 5  # parameters of a message


class Noticing:
    """What is remembered from step to step, and no part of any state: a copy begins anew."""

    def __init__(self) -> None:
        self.used: Used | None = None  # the gradient of one parameter, as the last step has used it
        self.told: set[type[MistakeWarning]] = set()
        self.steps = 0
        self.quarter = _FIRST_QUARTER
        self.ages = [next_age()]  # of the youngest node at the ends of quarters
        self.next_look = self.quarter

    def __reduce__(self) -> Any:
        return Noticing, ()

    def step_made(self, optimizer: Any, gradient: Tensor, missed: bool) -> None:
        """A step was made, of ``gradient`` among others; ``missed`` says whether some parameters had none."""
        if self.used is not None and self.used.within is not None:
            self._check_cleared(optimizer, gradient)
        self.used = Used(gradient)
        self.steps += 1
        if missed and self.steps == 1:
            self._check_reached(optimizer)
        if self.steps == self.next_look:
            self._look(optimizer)

    def _tell(self, kind: type[MistakeWarning], optimizer: Any, message: str) -> None:
        if kind not in self.told:
            self.told.add(kind)
            mistakes.warn(kind, f"{type(optimizer).__name__}.step: {message}")

    def _check_cleared(self, optimizer: Any, gradient: Tensor) -> None:
        """Warn if ``gradient`` has in it what the last step has used."""
        used = self.used
        while used is not None and used.within is not None:
            used = used.within
        if used is not None and used() is gradient and used.added_to:
            self._tell(mistakes.GradientsNotCleared, optimizer,
                       "the gradients of the last step were not cleared, so those of this one were added to "
                       "them; call optimizer.zero_grad() before backward()")

    def _check_reached(self, optimizer: Any) -> None:
        """Warn of parameters that require a gradient and have none while others have."""
        every = [p for group in optimizer.param_groups for p in group["params"]]
        missing = [(i, p) for i, p in enumerate(every) if p.grad is None and p.requires_grad]
        if missing:
            names = names_of(p for _, p in missing)
            told = [f"{names.get(id(p), f'number {i}')} {p.shape}" for i, p in missing]
            more = f" and {len(told) - _LISTED} more" if len(told) > _LISTED else ""
            self._tell(mistakes.UnreachedParameter, optimizer,
                       f"the loss does not reach {', '.join(told[:_LISTED])}{more}: it does not depend on "
                       "that, or detach(), no_grad or numpy() has cut the history on the way; use what is to "
                       "be trained, or freeze it with requires_grad_(False)")

    def _look(self, optimizer: Any) -> None:
        """At the end of a quarter: remember its age; at the end of four, look for what is left of three."""
        self.ages.append(next_age())
        if len(self.ages) == 5:
            kept = histories(self.ages[:4])
            if min(kept) >= _ENOUGH:
                gc.collect()  # what only a cycle holds is nobody's mistake
                kept = histories(self.ages[:4])
            if min(kept) >= _ENOUGH:
                self._tell(mistakes.GrowingHistory, optimizer,
                           f"after {self.steps} steps, {sum(kept)} operations of earlier steps are still "
                           "remembered, and more with every step, because something that was computed then "
                           "is kept; keep loss.item() or loss.detach() in place of a loss, carry a state "
                           "over with detach(), and evaluate under dl.no_grad()")
            self.quarter *= 4
            self.ages = [self.ages[0], self.ages[-1]]
        self.next_look = self.quarter * len(self.ages)


def names_of(parameters: Iterable[Tensor]) -> dict[int, str]:
    """The dotted names of parameters in the outermost modules that hold them, by identity.

    Parameters do not know their modules, so these are looked for among all objects, which takes
    milliseconds and happens only for a message.
    """
    wanted = {id(p) for p in parameters}
    found: dict[int, str] = {}
    for module in [o for o in gc.get_objects() if issubclass(type(o), Module)]:
        for name, p in module.named_parameters():
            if id(p) in wanted and name.count(".") >= found.get(id(p), "").count("."):
                found[id(p)] = name
    return found


def histories(ages: list[int]) -> list[int]:
    """How many nodes made between each two of ``ages`` are alive and were released by no pass."""
    kept = [0] * (len(ages) + 1)  # with those before and after
    for o in gc.get_objects():
        if type(o) is Node and o.primitive is not None and type(o.parents) is not Released:
            kept[bisect(ages, o.age)] += 1
    return kept[1:-1]
