"""Mistakes that are noticed while they happen: a kind of warning for each, shown where it was made.

``docs/mistakes.md`` has a section for each, with the code that makes it and the way out.  Python's own
filters silence one kind, ``warnings.simplefilter("ignore", dl.mistakes.UnreachedParameter)``, or make
an error of all, with :class:`MistakeWarning`.
"""

from __future__ import annotations

import sys
import warnings
from types import FrameType
from typing import Any
from weakref import getweakrefs, ref

__all__ = ["GradientsNotCleared", "GrowingHistory", "MistakeWarning", "TrainingMode", "UnreachedParameter"]

_OURS = {"dlcore", "backends", "contextlib", "functools", "tqdm"}  # others that call us back


class MistakeWarning(UserWarning):
    """Something that runs and is probably not what was meant."""

    page = ""  # the section of docs/mistakes.md


class GradientsNotCleared(MistakeWarning):
    """An optimizer uses gradients that have its last step's in them."""

    page = "gradients-never-cleared"


class UnreachedParameter(MistakeWarning):
    """A parameter is to be trained and no loss has reached it."""

    page = "a-parameter-that-the-loss-does-not-reach"


class TrainingMode(MistakeWarning):
    """A model predicts with dropout, or with the statistics of a batch, as if it were trained."""

    page = "evaluating-in-training-mode"


class GrowingHistory(MistakeWarning):
    """Histories of earlier steps are kept, more of them with every step."""

    page = "a-history-that-grows"


class Used(ref[Any]):
    """Marks a gradient that a step has used, without keeping it, and what was made of it since."""

    within: Used | None = None  # the mark of the gradient that has this one in it
    added_to = False  # whether more was added to what the step has used


def followed(old: Any, new: Any, *, added: bool) -> None:
    """The gradient ``new`` was made of ``old``, by adding to it or by scaling."""
    for mark in getweakrefs(old):
        if type(mark) is Used:
            mark.within = Used(new)
            mark.within.added_to = mark.added_to or added


def users_frame() -> tuple[FrameType, int]:
    """The innermost frame that is none of dlcore's, and how many lie between it and the caller's."""
    frame, depth = sys._getframe(1), 0
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        frame, depth = frame.f_back, depth + 1
    return frame, depth


def users_line() -> str:
    """The line of that frame: ``"train.py:12"``."""
    frame, _ = users_frame()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def warn(kind: type[MistakeWarning], message: str) -> None:
    """Show ``message`` at the user's line, with the section to read on; once, unless a filter says more."""
    _, depth = users_frame()
    warnings.warn(f"{message} (docs/mistakes.md#{kind.page})", kind, stacklevel=depth + 1)
