"""Whether the same program shall give the same bits again, at some cost of time.

Asked by backends whose fastest way adds numbers in whatever order they come; the CPU has no such way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_process = False
_override: ContextVar[bool | None] = ContextVar("dlcore_deterministic", default=None)


def set_deterministic(on: bool) -> None:
    """Give the same bits each time a program runs on a device, from now on, in every thread.

    On CUDA, additions at repeated places (``x.at[i].add``, the gradient of an embedding) are then made in
    a fixed order, which takes longer.  The CPU gives the same bits in any case.
    """
    global _process  # noqa: PLW0603  one choice for the process
    _process = bool(on)


@contextmanager
def use_deterministic(on: bool = True) -> Iterator[None]:
    """:func:`set_deterministic` inside the ``with`` block only, in this thread or task.

    A gradient is computed where ``backward`` is called, so that belongs in the block, too.

        >>> import dlcore as dl
        >>> x = dl.zeros(2)
        >>> with dl.use_deterministic():
        ...     print(x.at[[0, 0, 1]].add(1.0))
        tensor([2., 1.], float32)
    """
    token = _override.set(bool(on))
    try:
        yield
    finally:
        _override.reset(token)


def is_deterministic() -> bool:
    """What was chosen last, for this block or else for the process."""
    inside = _override.get()
    return _process if inside is None else inside
