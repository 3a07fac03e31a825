"""The scope of a card: it is the current one, and memory that runs out is told in words; and a meter of it.

CuPy makes results on the current card, and reads the arguments from wherever they are; so with several
cards every member of a backend enters its scope.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import wraps
from types import FunctionType, TracebackType
from typing import Any

import cupy as cp

from backends.memory import MemoryMeter

_NO_MEMORY = 2  # cudaErrorMemoryAllocation
_ELSEWHERE = ("scope", "quiet", "owns")  # members that compute nothing


class Home:
    """A context in which ``card`` is the current one; None where there is only one."""

    def __init__(self, card: AbstractContextManager[Any] | None,
                 exhausted: Callable[[Any], Exception]) -> None:
        self.card, self.exhausted = card, exhausted

    def __enter__(self) -> None:
        if self.card is not None:
            self.card.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self.card is not None:
            self.card.__exit__(kind, error, trace)
        if error is not None and _is_full(error):
            del trace  # this frame will be one of the new error's, and must not keep those of the old one
            raise self.exhausted(error) from None


def _is_full(error: BaseException) -> bool:
    """Whether there was no memory left in CuPy's pool, or for something that does not come from there."""
    if isinstance(error, cp.cuda.runtime.CUDARuntimeError):
        return bool(error.status == _NO_MEMORY)
    return isinstance(error, cp.cuda.memory.OutOfMemoryError)


def figures(text: str, memory: Mapping[str, int], limit: int) -> str:
    """What was asked for, as far as CuPy's ``text`` tells, what there is, and what to do."""
    asked = re.search(r"allocating ([\d,]+) bytes", text)
    wanted = f"{_size(int(asked[1].replace(',', '')))} were asked for; " if asked else ""
    size = {name: _size(nbytes) for name, nbytes in memory.items()}
    limited = f", of which the pool may hold {_size(limit)} in all" if limit else ""
    return (f"{wanted}arrays take {size['used']} of the {size['reserved']} that CuPy's pool holds, and "
            f"{size['free']} of {size['total']} are free{limited}. Take a smaller batch, drop tensors that "
            "are no longer needed, evaluate in dl.no_grad(), or keep fewer activations with dl.remat")


def _size(nbytes: int) -> str:
    """A number of bytes, in the unit that suits it."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if nbytes >= factor:
            return f"{nbytes / factor:.2f} {unit}"
    return f"{nbytes} bytes"


class Watch(cp.cuda.MemoryHook):  # type: ignore[misc]  # CuPy ships no types
    """Tells a meter what this thread takes of the memory of a card, and gives back."""

    def __init__(self, meter: MemoryMeter, ordinal: int) -> None:
        self.meter, self.ordinal = meter, ordinal
        self.name = f"dlcore {id(self)}"  # CuPy takes no two of one name

    def malloc_postprocess(self, *, device_id: int, mem_size: int, mem_ptr: int, **_: Any) -> None:
        """``mem_size`` bytes were taken, unless there was no room."""
        if device_id == self.ordinal and mem_ptr:
            self.meter.see(self.meter.kept + mem_size)

    def free_postprocess(self, *, device_id: int, mem_size: int, **_: Any) -> None:
        """So many bytes were given back."""
        if device_id == self.ordinal:
            self.meter.see(self.meter.kept - mem_size)


def at_home(function: Callable[..., Any], home: AbstractContextManager[Any]) -> Callable[..., Any]:
    """``function``, which runs in the scope ``home``."""

    @wraps(function, updated=())  # a ufunc has no __dict__
    def run(*args: Any, **kwargs: Any) -> Any:
        with home:
            return function(*args, **kwargs)

    return run


def keep_at_home(thing: Any, home: AbstractContextManager[Any]) -> None:
    """Let all public members of ``thing``, a backend or its linear algebra, run :func:`at_home`."""
    names = {name for kind in type(thing).__mro__ for name, member in vars(kind).items()
             if isinstance(member, FunctionType) and not name.startswith("_")}
    for name in names.difference(_ELSEWHERE):
        setattr(thing, name, at_home(getattr(thing, name), home))
