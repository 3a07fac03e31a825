"""The lower half of the CUDA backend: CuPy's arrays on one device, new ones, and the way to the host.

As ``library.py`` is to ``base.py``; ``cupy_backend.py`` is the upper half.
"""

# ruff: noqa: D102  what a member promises is said once, in library.py

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any

import array_api_compat.cupy as compat
import cupy as cp
import numpy as np

from backends import cuda_kernels, exchange, transfers
from backends.base import Backend
from backends.cuda_devices import Home, Watch, at_home, figures, keep_at_home
from backends.cuda_uploads import Uploads
from backends.cupy_linalg import CupyLinalg
from backends.dtypes import DType, bfloat16
from backends.errors import BackendError
from backends.library import Array, Shape
from backends.memory import MemoryMeter

OPERATIONS = ("", "indexing", "index_add", "index_set", "scatter_add", "take", "take_along_axis")
"""What a report of a wrong index can name, by number."""


class CupyLibrary(Backend):
    """CuPy's arrays in the memory of one CUDA device."""

    family = "cuda"

    def __init__(self, ordinal: int = 0) -> None:
        device = cp.cuda.Device(ordinal)
        super().__init__(f"cuda:{ordinal}" if ordinal else "cuda", compat, cp.ndarray, device)
        self.ordinal = ordinal
        self.alone = cp.cuda.runtime.getDeviceCount() == 1
        self._home = Home(None if self.alone else device, self.exhausted)
        self._unread = False  # whether a kernel may have written a report since the last look
        with self.scope():
            self._report = cp.zeros(3, cp.int64)  # operation, index, size
            self._uploads = Uploads()
        if not self.alone:
            keep_at_home(self, self._home)

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if not self.alone and callable(found) and not isinstance(found, type):
            found = at_home(found, self._home)
            setattr(self, name, found)
        return found

    def owns(self, x: Any) -> bool:
        return isinstance(x, cp.ndarray) and x.device.id == self.ordinal

    def scope(self) -> AbstractContextManager[Any]:
        return self._home

    def _shortage(self, error: Any) -> str:
        with self.scope():
            return figures(str(error), self.memory_info(), cp.get_default_memory_pool().get_limit())

    def synchronize(self) -> None:
        transfers.waits_as_told()
        with self.scope():
            self.device.synchronize()  # whichever streams are at work
            self._raise_reported()

    def memory_info(self) -> Mapping[str, int]:
        with self.scope():
            pool = cp.get_default_memory_pool()
            free, total = cp.cuda.runtime.memGetInfo()
            return {"used": pool.used_bytes(), "reserved": pool.total_bytes(),
                    "free": free, "total": total}

    @contextmanager
    def memory_meter(self) -> Iterator[MemoryMeter]:
        with self.scope(), Watch(MemoryMeter(), self.ordinal) as watch:
            yield watch.meter

    def dtype(self, spec: Any) -> Any:
        return spec if isinstance(spec, cp.dtype) else super().dtype(spec)

    def library_dtype(self, dtype: DType) -> Any:
        if dtype is bfloat16:
            try:
                import ml_dtypes
            except ImportError:
                raise BackendError("bfloat16 needs the package ml_dtypes: "
                                   "pip install 'dlcore[half]'") from None
            return cp.dtype(ml_dtypes.bfloat16)
        return cp.dtype(str(dtype))

    # --- creation: CuPy makes arrays on the current device -------------------------

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        if self.owns(x):
            return x if dtype is None else self.astype(x, dtype)
        if type(x) in (bool, int, float, complex):
            return self.full((), x, dtype)  # by a kernel; cp.asarray would copy from the host
        return self.from_host(np.asarray(x), dtype)

    def empty(self, shape: Shape, dtype: Any = None) -> Array:
        with self.scope():
            return cp.empty(shape, self._dtype_or_default(dtype))

    def zeros(self, shape: Shape, dtype: Any = None) -> Array:
        with self.scope():
            return cp.zeros(shape, self._dtype_or_default(dtype))

    def ones(self, shape: Shape, dtype: Any = None) -> Array:
        with self.scope():
            return cp.ones(shape, self._dtype_or_default(dtype))

    def full(self, shape: Shape, fill: complex, dtype: Any = None) -> Array:
        with self.scope():
            return cp.full(shape, fill, self.dtype(type(fill) if dtype is None else dtype))

    def arange(self, start: float, stop: float | None = None, step: float = 1,
               dtype: Any = None) -> Array:
        with self.scope():
            dtype = self._dtype_of_numbers(dtype, start, stop, step)
            return cp.arange(start, stop, step, dtype=dtype)

    def linspace(self, start: float, stop: float, num: int, dtype: Any = None, *,
                 endpoint: bool = True) -> Array:
        with self.scope():
            return cp.linspace(start, stop, num, endpoint=endpoint,
                               dtype=self._dtype_or_default(dtype))

    def eye(self, n_rows: int, n_cols: int | None = None, k: int = 0, dtype: Any = None) -> Array:
        with self.scope():
            return cp.eye(n_rows, n_cols, k, self._dtype_or_default(dtype))

    def from_host(self, host_array: Any, dtype: Any = None) -> Array:
        dtype = host_array.dtype if dtype is None else self.dtype(dtype)  # converted before it is copied
        transfers.to_device(host_array.size * dtype.itemsize, self.name)
        with self.scope():
            # From pinned memory CuPy copies later, when its owner may have written to it again.
            waits = host_array.ndim and cp.cuda.pinned_memory.is_memory_pinned(host_array.ctypes.data)
            return cp.array(host_array, dtype, order="C", blocking=bool(waits))

    def from_host_async(self, host_array: Any, dtype: Any = None) -> Array:
        if not (host_array.ndim and host_array.size):
            return self.from_host(host_array, dtype)
        dtype = host_array.dtype if dtype is None else self.dtype(dtype)
        transfers.to_device(host_array.size * dtype.itemsize, self.name)
        with self.scope():
            return self._uploads.copy(host_array, dtype)

    def to_host(self, x: Array) -> Any:
        transfers.to_host(x.nbytes, self.name)
        host_array = cp.asnumpy(x)
        self._raise_reported()
        return host_array

    def copy(self, x: Array) -> Array:
        return cp.copy(x)

    def dlpack_device(self) -> tuple[int, int]:
        return exchange.CUDA, self.ordinal

    def to_dlpack(self, x: Array, *, stream: Any, max_version: tuple[int, int] | None,
                  dl_device: tuple[int, int] | None, copy: bool | None) -> Any:
        if x.dtype.kind == "V":
            raise BufferError(f"__dlpack__: CuPy cannot export {x.dtype}; convert it, x.to('float32')")
        with self.scope():
            if dl_device is not None and tuple(dl_device) == exchange.CPU:
                transfers.to_host(x.nbytes, self.name)
            elif exchange.must_copy(x.flags.forc, copy, max_version, marks=False):
                x, copy = cp.copy(x), None
            return x.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def from_dlpack(self, x: Any, copy: bool | None) -> Array:
        with self.scope():
            try:
                array = cp.from_dlpack(x, copy=False if copy is False else None)
            except NotImplementedError as error:  # CuPy's answer to a dtype that it does not know
                raise exchange.unreadable(x, error) from error
            return cp.copy(array) if copy else array

    def random_words(self, key: int, position: int, count: int) -> Array:
        block, skipped = divmod(position, 4)
        blocks = -(-(skipped + count) // 4)
        counter = [cp.uint64((block + 1) >> shift & 2**64 - 1) for shift in (0, 64, 128, 192)]
        with self.scope():
            words = cp.empty(count, cp.uint64)
            if count:
                cuda_kernels.philox(cp.uint64(key & 2**64 - 1), cp.uint64(key >> 64), *counter,
                                    skipped, count, words, size=blocks)
        return words

    @cached_property
    def linalg(self) -> CupyLinalg:
        linalg = CupyLinalg(self)
        if not self.alone:
            keep_at_home(linalg, self._home)
        return linalg

    # --- what a kernel has found wrong --------------------------------------------

    def _raise_reported(self) -> None:
        """Raise for an index or a matrix that was found wrong; called where the host waits anyway."""
        self.linalg.raise_found()
        if not self._unread:
            return
        self._unread = False
        operation, index, size = cp.asnumpy(self._report).tolist()
        if operation:
            self._report.fill(0)
            raise IndexError(f"{OPERATIONS[operation]}: index {index} is out of bounds for an "
                             f"axis of size {size}; noticed only now, as the device runs behind")
