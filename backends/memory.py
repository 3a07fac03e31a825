"""How much memory a block of a program takes, measured while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class MemoryMeter:
    """What :func:`memory_meter` measures, in bytes beyond those that were taken when it began."""

    def __init__(self) -> None:
        self.peak = 0
        """The most that was taken at once."""
        self.kept = 0
        """What was still taken at the end."""

    def see(self, kept: int, peak: int = 0) -> None:
        """Note that so much is taken now, and how much was at most since the last look."""
        self.kept = kept
        self.peak = max(self.peak, kept, peak)

    def __repr__(self) -> str:
        return f"<memory: {self.peak} bytes at once, {self.kept} kept>"


_open: dict[MemoryMeter, int] = {}
"""The meters of the host that run, and what was taken when they began: they share one record of the peak."""


@contextmanager
def host_memory_meter() -> Iterator[MemoryMeter]:
    """A meter of what Python and NumPy allocate, in all threads; what runs meanwhile takes longer."""
    import tracemalloc  # 4 ms, needed only here

    began = not tracemalloc.is_tracing()
    if began:
        tracemalloc.start()
    meter = MemoryMeter()
    _open[meter] = _look(tracemalloc)
    try:
        yield meter
    finally:
        _look(tracemalloc)
        del _open[meter]
        if began:
            tracemalloc.stop()


def _look(tracemalloc: Any) -> int:
    """Let all meters see what is taken and the peak, and begin a new peak."""
    taken, peak = tracemalloc.get_traced_memory()
    for meter, start in _open.items():
        meter.see(taken - start, peak - start)
    tracemalloc.reset_peak()
    return int(taken)
