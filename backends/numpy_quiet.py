"""Silence for NumPy's floating-point warnings, at half the price of ``numpy.errstate``.

Infinities and nan are results like any other, so no operation warns of them:

* what a warning is raised for in a line of ``dlcore`` or ``backends`` is ignored by a filter, which
  costs nothing until there is one and leaves alone what NumPy says of other people's lines;
* where somebody has put a stricter filter before it, such as one that makes errors of warnings, an
  operation that raises one is computed again inside :class:`Quiet`, and a backward pass runs there.

Running every operation inside ``Quiet`` would say it in one sentence, for 10 % of a small product:
entering ``errstate(all="ignore")`` takes 0.8 us, most of it to make the state anew; setting the
state to one made before takes 0.1 us, and the context manager around it 0.4 us.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from functools import partial
from typing import Any

import numpy as np


class Quiet:
    """``numpy.errstate(all="ignore")``."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = hush()

    def __exit__(self, *exception: object) -> None:
        restore(self._token)


def find_state() -> tuple[ContextVar[Any], Any] | None:
    """The context variable that ``errstate`` sets, and its value when all is ignored.

    Found by looking at what entering it changes, so that no private name of NumPy is needed; None
    where that is not one variable.
    """
    before = copy_context()
    with np.errstate(all="ignore"):
        after = copy_context()
    changed = [v for v in after if v not in before or before[v] is not after[v]]
    return (changed[0], after[changed[0]]) if len(changed) == 1 else None


def switches(
    state: tuple[ContextVar[Any], Any] | None,
) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """How to ignore all in this thread or task, and how to undo it with what that returned."""
    if state is None:
        return partial(np.seterr, all="ignore"), lambda before: np.seterr(**before)
    variable, ignoring = state
    return partial(variable.set, ignoring), variable.reset


hush, restore = switches(Context().run(find_state))
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"(dlcore|backends)\.")
