"""The CUDA backend: CuPy, imported only when someone asks for it.

Every call is written out as ``cp.name`` so that a test can hold it against the signatures of the
CuPy that is installed, on a machine without a GPU.  Other standard names fall through to
array-api-compat, which adds what CuPy's own namespace lacks of the standard.

What differs from the CPU, and cannot be hidden without waiting for the device:

* an index array that points outside is clamped, and IndexError is raised when a value is next read
  (``to_host``) or ``synchronize`` is called, instead of at once;
* boolean masks wait for the device, because the shape of the result depends on them;
* additions at repeated places come in any order unless ``deterministic`` is set.
"""

# ruff: noqa: D102  what a member promises is said once, in base.py and library.py

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import array_api_compat.cupy as compat
import cupy as cp
import cupyx
import numpy as np
from cupyx.scipy import special

from backends import cuda_kernels, transfers
from backends.base import Axis, Backend, Index, reduced_size
from backends.cuda_uploads import Uploads
from backends.cupy_linalg import CupyLinalg
from backends.dtypes import DType, bfloat16, float32, get_default_dtype, int64
from backends.errors import BackendError
from backends.library import Array, Shape
from backends.windows import strided_windows

_SPECIAL = {"erf": special.erf, "erfc": special.erfc, "erfinv": special.erfinv,
            "gammaln": special.gammaln, "psi": special.psi}
_ATOMIC_ADD = ("int32", "int64", "uint32", "uint64", "float32", "float64")
_OPERATIONS = ("", "indexing", "index_add", "index_set", "scatter_add", "take", "take_along_axis")


class CupyBackend(Backend):
    """CuPy arrays in the memory of one CUDA device."""

    family = "cuda"

    deterministic = False
    """Whether additions at repeated places are made in a fixed order, at some cost of time."""

    def __init__(self, ordinal: int = 0) -> None:
        device = cp.cuda.Device(ordinal)
        super().__init__(f"cuda:{ordinal}" if ordinal else "cuda", compat, cp.ndarray, device)
        self.ordinal = ordinal
        self._alone = cp.cuda.runtime.getDeviceCount() == 1
        self._unread = False  # whether a kernel may have written a report since the last look
        with self.scope():
            self._report = cp.zeros(3, cp.int64)  # operation, index, size

    def owns(self, x: Any) -> bool:
        return isinstance(x, cp.ndarray) and x.device.id == self.ordinal

    def scope(self) -> AbstractContextManager[Any]:
        return super().scope() if self._alone else self.device

    def synchronize(self) -> None:
        transfers.waits_as_told()
        with self.scope():
            cp.cuda.get_current_stream().synchronize()
            self._raise_reported()

    def memory_info(self) -> Mapping[str, int]:
        with self.scope():
            pool = cp.get_default_memory_pool()
            free, total = cp.cuda.runtime.memGetInfo()
            return {"used": pool.used_bytes(), "reserved": pool.total_bytes(),
                    "free": free, "total": total}

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
            return cp.arange(start, stop, step, self._dtype_of_numbers(dtype, start, stop, step))

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

    @cached_property
    def _uploads(self) -> Uploads:
        return Uploads()

    def to_host(self, x: Array) -> Any:
        transfers.to_host(x.nbytes, self.name)
        host_array = cp.asnumpy(x)
        self._raise_reported()
        return host_array

    def copy(self, x: Array) -> Array:
        return cp.copy(x)

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

    # --- shape and conversion ------------------------------------------------------

    def astype(self, x: Array, dtype: Any) -> Array:
        wanted = self.dtype(dtype)
        return x if x.dtype == wanted else x.astype(wanted)

    def broadcast_to(self, x: Array, shape: Shape) -> Array:
        """``x`` repeated to ``shape``, as a view."""
        return cp.broadcast_to(x, shape)

    def clip(self, x: Array, min: Any = None, max: Any = None) -> Array:
        """``x`` held between ``min`` and ``max``, either of which may be None."""
        return cp.clip(x, min, max)

    # --- indexing ------------------------------------------------------------------

    def getitem(self, x: Array, index: Index) -> Array:
        return x[self._bounded_index(x.shape, index, "indexing")]

    def index_add(self, shape: Shape, index: Index, values: Array) -> Array:
        out = self.zeros(shape, values.dtype)
        if not any(isinstance(i, cp.ndarray) for i in index):
            out[index] = values  # slices and ints never name a place twice
            return out
        return self._add_at(out, self._bounded_index(shape, index, "index_add"), values)

    def index_set(self, x: Array, index: Index, values: Array) -> Array:
        out = cp.copy(x)
        out[self._bounded_index(x.shape, index, "index_set")] = values
        return out

    def scatter_add(self, x: Array, axis: int, indices: Array, values: Array) -> Array:
        axis %= x.ndim
        places = self._bounded(indices, x.shape[axis], "scatter_add")
        return self._add_at(cp.copy(x), (*(slice(None),) * axis, places), values)

    def nonzero(self, x: Array) -> tuple[Array, ...]:
        """The places of what is not 0, an array for each axis."""
        transfers.waits_for_shape(self.name)
        return cp.nonzero(x)

    def take(self, x: Array, indices: Array, axis: int = 0) -> Array:
        return cp.take(x, self._bounded(indices, x.shape[axis], "take"), axis)

    def take_along_axis(self, x: Array, indices: Array, axis: int = -1) -> Array:
        places = self._bounded(indices, x.shape[axis], "take_along_axis")
        return cp.take_along_axis(x, places, axis)

    def _bounded_index(self, shape: Shape, index: Index, operation: str) -> Index:
        """``index`` with every integer array held inside its axis; CuPy would wrap it silently."""
        if any(map(_is_mask, index)):
            transfers.waits_for_shape(self.name)
        used = sum(i.ndim if _is_mask(i) else i is not None and i is not Ellipsis for i in index)
        bounded = []
        axis = 0
        for i in index:
            holds = isinstance(i, cp.ndarray) and not _is_mask(i)
            bounded.append(self._bounded(i, shape[axis], operation) if holds else i)
            if i is Ellipsis:
                axis += len(shape) - used
            elif i is not None:
                axis += i.ndim if _is_mask(i) else 1
        return tuple(bounded)

    def _bounded(self, indices: Array, size: int, operation: str) -> Array:
        if size == 0 and indices.size:
            raise IndexError(f"{operation}: an index into an axis of size 0")
        self._unread = True
        code = _OPERATIONS.index(operation)
        inside = cp.empty(indices.shape, cp.int64)
        cuda_kernels.bound_index(indices, size, code, inside, self._report)
        return inside

    def _raise_reported(self) -> None:
        """Raise for an index or a matrix that was found wrong; called where the host waits anyway."""
        self.linalg.raise_found()
        if not self._unread:
            return
        self._unread = False
        operation, index, size = cp.asnumpy(self._report).tolist()
        if operation:
            self._report.fill(0)
            raise IndexError(f"{_OPERATIONS[operation]}: index {index} is out of bounds for an "
                             f"axis of size {size}; noticed only now, as the device runs behind")

    def _add_at(self, out: Array, index: Index, values: Array) -> Array:
        """``out``, which nobody else sees, with ``values`` added at ``index`` in place."""
        name = self.dtype_name(out)
        if name.kind == "complex":
            real = self._add_at(cp.real(out).copy(), index, cp.real(values))
            return real + 1j * self._add_at(cp.imag(out).copy(), index, cp.imag(values))
        if name not in _ATOMIC_ADD:
            wide = float32 if name.kind == "float" else int64
            return self.astype(self._add_at(self.astype(out, wide), index,
                                            self.astype(values, wide)), name)
        if self.deterministic:
            return self._add_runs(out, index, values)
        cupyx.scatter_add(out, index, values)
        return out

    def _add_runs(self, out: Array, index: Index, values: Array) -> Array:
        numbered = cp.reshape(cp.arange(out.size), out.shape)[index]
        places = cp.ravel(numbered)
        order = cp.argsort(places)  # stable, so each run is added up in its own order
        flat = cp.ravel(cp.broadcast_to(values, numbered.shape))
        if places.size:
            cuda_kernels.add_runs(places[order], order, flat, places.size, 0, out,
                                  size=places.size)
        return out

    # --- reductions and order ------------------------------------------------------

    def sum(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        # CuPy accumulates halves in float32 already.
        wide = cp.int64 if x.dtype.kind in "biu" else None
        return cp.sum(x, axis=axis, dtype=wide, keepdims=keepdims)

    def prod(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        out = cp.prod(x, axis=axis, dtype=self._sum_dtype(x), keepdims=keepdims)
        return self._narrowed(out, x)

    def mean(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        if x.dtype.kind in "biu":
            x = self.astype(x, get_default_dtype())
        out = cp.sum(x, axis=axis, dtype=self._sum_dtype(x), keepdims=keepdims)
        return self._narrowed(out / reduced_size(x.shape, axis), x)

    def max(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        return cp.max(x, axis=axis, keepdims=keepdims)

    def min(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        return cp.min(x, axis=axis, keepdims=keepdims)

    def any(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        return cp.any(x, axis=axis, keepdims=keepdims)

    def all(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        return cp.all(x, axis=axis, keepdims=keepdims)

    def argmax(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        return cp.argmax(x, axis=axis, keepdims=keepdims)

    def argmin(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        return cp.argmin(x, axis=axis, keepdims=keepdims)

    def cumulative_sum(self, x: Array, axis: int) -> Array:
        return self._narrowed(cp.cumsum(x, axis=axis, dtype=self._sum_dtype(x)), x)

    def cumulative_prod(self, x: Array, axis: int) -> Array:
        return self._narrowed(cp.cumprod(x, axis=axis, dtype=self._sum_dtype(x)), x)

    def cumulative_max(self, x: Array, axis: int) -> Array:
        # CuPy has no maximum.accumulate.  After the pass with step s, every element is the maximum
        # of the 2 * s up to and including it.
        out = cp.moveaxis(cp.copy(x), axis, 0)
        step = 1
        while step < out.shape[0]:
            out = cp.concatenate([out[:step], cp.maximum(out[step:], out[:-step])])
            step *= 2
        return cp.moveaxis(out, 0, axis)

    def _narrowed(self, out: Array, x: Array) -> Array:
        """What was computed for ``x`` in float32 or wider, in the dtype that callers expect."""
        return out if x.dtype.kind in "biu" else self.astype(out, x.dtype)

    def sort(self, x: Array, axis: int = -1, descending: bool = False,
             stable: bool = True) -> Array:
        out = cp.sort(x, axis)  # always stable
        return cp.flip(out, axis) if descending else out

    def argsort(self, x: Array, axis: int = -1, descending: bool = False,
                stable: bool = True) -> Array:
        if not descending:
            return cp.argsort(x, axis)
        # Sorting backwards from the back leaves equal values in their order.
        return cp.flip(x.shape[axis] - 1 - cp.argsort(cp.flip(x, axis), axis), axis)

    # --- windows -------------------------------------------------------------------

    def windows(self, x: Array, window: Shape, stride: Shape, dilation: Shape) -> Array:
        return strided_windows(cp.lib.stride_tricks.as_strided, x, window, stride, dilation)

    def _add_part(self, out: Array, place: Index, x: Array) -> None:
        part = out[place]  # a view; out[place] += x would copy the sum onto itself
        part += x

    # --- products and special functions --------------------------------------------

    def matmul(self, x: Array, y: Array) -> Array:
        """The matrix product."""
        return cp.matmul(x, y)

    def einsum(self, subscripts: str, *xs: Array) -> Array:
        return cp.einsum(subscripts, *xs, optimize="greedy" if len(xs) > 2 else False)

    @cached_property
    def linalg(self) -> CupyLinalg:
        return CupyLinalg(self)

    def zero_safe_multiply(self, d: Array, r: Array) -> Array:
        return cuda_kernels.zero_safe_multiply(d, r)

    def zero_safe_divide(self, d: Array, r: Array) -> Array:
        return cuda_kernels.zero_safe_divide(d, r)

    def special(self, name: str, x: Array) -> Array:
        wide = self.astype(x, self._sum_dtype(x))
        return self.astype(_SPECIAL[name](wide), x.dtype)

    def polygamma(self, n: int, x: Array) -> Array:
        return self.astype(special.polygamma(n, self.astype(x, "float64")), x.dtype)


def _is_mask(i: Any) -> bool:
    return isinstance(i, cp.ndarray) and i.dtype.kind == "b"
