"""One card among several: whatever its backend does, it does with that card as the current one.

CuPy makes results on the current card, and reads the arguments from wherever they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any

_ELSEWHERE = ("scope", "quiet", "owns")  # members that compute nothing


def at_home(function: Callable[..., Any], device: Any) -> Callable[..., Any]:
    """``function`` with ``device`` as the current one while it runs."""

    @wraps(function, updated=())  # a ufunc has no __dict__
    def run(*args: Any, **kwargs: Any) -> Any:
        with device:
            return function(*args, **kwargs)

    return run


def keep_at_home(thing: Any, device: Any) -> None:
    """Let all public members of ``thing``, a backend or its linear algebra, run :func:`at_home`."""
    names = {name for kind in type(thing).__mro__ for name, member in vars(kind).items()
             if isinstance(member, FunctionType) and not name.startswith("_")}
    for name in names.difference(_ELSEWHERE):
        setattr(thing, name, at_home(getattr(thing, name), device))
