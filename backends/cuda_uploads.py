"""Copies from the host that run while the device computes, on a stream of their own.

Three things must not be used again too early, and nobody waits for any of them on the host:

* the caller's array: its values are first put into pinned memory, which a card can read by itself;
* that pinned memory: it is kept until an event says that it was read;
* the memory of the result: it belongs to the stream that copies, and gets back there once the
  computing stream has come past everything that was queued while the result lived.
"""

from __future__ import annotations

import sys
from collections import deque
from threading import Lock
from typing import Any

import cupy as cp
import cupyx
import numpy as np

from backends.library import Array


class Uploads:
    """The stream that copies to one device, and what its copies still read; made in that device's scope."""

    def __init__(self) -> None:
        self.stream = cp.cuda.Stream(non_blocking=True)  # else the default stream would wait for it
        self.reading: deque[tuple[Any, Any]] = deque()
        self.lock = Lock()

    def copy(self, host_array: Any, dtype: Any) -> Array:
        """A copy of ``host_array``, not empty, that whatever the current stream gets from now on can read."""
        with self.lock:
            while self.reading and self.reading[0][0].done:
                self.reading.popleft()  # into CuPy's pool of pinned memory
        try:
            pinned = cupyx.empty_pinned(host_array.shape, dtype)
        except cp.cuda.runtime.CUDARuntimeError:  # no more can be pinned; CuPy has a slower way, and warns
            return cp.array(host_array, dtype, order="C", blocking=True)
        np.copyto(pinned, host_array, casting="unsafe")
        with self.stream:
            block = cp.empty(host_array.shape, dtype)
        block.set(pinned, self.stream)
        copied = cp.cuda.Event(disable_timing=True)
        self.stream.record(copied)
        self.reading.append((copied, pinned))
        computing = cp.cuda.get_current_stream()
        computing.wait_event(copied)
        return _lent(block, self.stream, computing)


class _Loan:
    """Memory of one stream that another one computes with, until the last array in it is gone."""

    def __init__(self, block: Array, owner: Any, borrower: Any) -> None:
        self.block, self.owner, self.borrower = block, owner, borrower
        self.returned = cp.cuda.Event(disable_timing=True)

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.borrower.record(self.returned)
            self.owner.wait_event(self.returned)  # so does the next copy into this memory, which comes later


def _lent(block: Array, owner: Any, borrower: Any) -> Array:
    """An array in the memory of ``block`` that tells ``owner`` when ``borrower`` is done with it."""
    loan = _Loan(block, owner, borrower)
    memory = cp.cuda.UnownedMemory(block.data.ptr, block.nbytes, loan, block.device.id)
    return cp.ndarray(block.shape, block.dtype, cp.cuda.MemoryPointer(memory, 0))
