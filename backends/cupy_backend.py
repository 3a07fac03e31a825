"""The CUDA backend: CuPy, imported only when someone asks for it.

Every call is written out as ``cp.name`` so that a test can hold it against the signatures of the
CuPy that is installed, on a machine without a GPU.  Other standard names fall through to
array-api-compat, which adds what CuPy's own namespace lacks of the standard.

What differs from the CPU, and cannot be hidden without waiting for the device:

* an index array that points outside is clamped, and IndexError is raised when a value is next read
  (``to_host``) or ``synchronize`` is called, instead of at once;
* boolean masks wait for the device, because the shape of the result depends on them;
* additions at repeated places come in any order unless ``set_deterministic`` asks for one.
"""

# ruff: noqa: D102  what a member promises is said once, in base.py and library.py

from __future__ import annotations

from typing import Any

import cupy as cp
import cupyx
from cupyx.scipy import special

from backends import cuda_kernels, transfers
from backends.base import Axis, Index, reduced_size
from backends.cupy_library import OPERATIONS, CupyLibrary
from backends.determinism import is_deterministic
from backends.dtypes import float32, get_default_dtype, int64, promote
from backends.library import Array, Shape
from backends.windows import strided_windows

_SPECIAL = {"erf": special.erf, "erfc": special.erfc, "erfinv": special.erfinv,
            "gammaln": special.gammaln, "psi": special.psi}
_ATOMIC_ADD = ("int32", "int64", "uint32", "uint64", "float32", "float64")


class CupyBackend(CupyLibrary):
    """CuPy arrays in the memory of one CUDA device."""

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
        code = OPERATIONS.index(operation)
        inside = cp.empty(indices.shape, cp.int64)
        cuda_kernels.bound_index(indices, size, code, inside, self._report)
        return inside

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
        if is_deterministic():
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

    def zero_safe_multiply(self, d: Array, r: Array) -> Array:
        return cuda_kernels.zero_safe_multiply(*self._in_one_dtype(d, r))

    def zero_safe_divide(self, d: Array, r: Array) -> Array:
        return cuda_kernels.zero_safe_divide(*self._in_one_dtype(d, r))

    def _in_one_dtype(self, x: Array, y: Any) -> tuple[Array, Any]:
        """An array, and another or a Python number, that a kernel may take together."""
        if not isinstance(y, cp.ndarray) or x.dtype == y.dtype:
            return x, y
        wide = promote(self.dtype_name(x), self.dtype_name(y))
        return self.astype(x, wide), self.astype(y, wide)

    def special(self, name: str, x: Array) -> Array:
        wide = self.astype(x, self._sum_dtype(x))
        return self.astype(_SPECIAL[name](wide), x.dtype)

    def polygamma(self, n: int, x: Array) -> Array:
        return self.astype(special.polygamma(n, self.astype(x, "float64")), x.dtype)


def _is_mask(i: Any) -> bool:
    return isinstance(i, cp.ndarray) and i.dtype.kind == "b"
