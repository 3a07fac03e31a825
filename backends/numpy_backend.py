"""The CPU backend: NumPy 2, which speaks the array-API standard natively.

Most of the standard falls through to NumPy.  What is written out is what NumPy lacks, what must not
depend on the dtype (sums of halves and of integers), and what has a way round NumPy's wrappers that
is several times faster for small arrays (the measurements stand beside the code).
"""

# ruff: noqa: D102  what a member promises is said once, in base.py and library.py

from __future__ import annotations

from cmath import isfinite
from contextlib import AbstractContextManager
from functools import cache, cached_property, partial
from importlib import import_module
from math import prod
from types import ModuleType
from typing import Any

import numpy as np

from backends import exchange
from backends.base import Axis, Backend, Index, reduced_size
from backends.dtypes import DType, bfloat16, get_default_dtype
from backends.errors import BackendError
from backends.library import Array, Shape
from backends.numpy_linalg import NumpyLinalg
from backends.numpy_quiet import Quiet, hush, restore
from backends.philox import random_words
from backends.windows import strided_windows

_PYTHON_NUMBERS = (bool, int, float, complex)
_SINGLE_OR_DOUBLE = "fdFD"
_VIEW_FROM = 4096  # elements from which a broadcast view is cheaper than a copy

_TAUGHT = 31 << 20
"""Bytes of an array whose end teaches glibc to keep twice as many; from 32 MiB on it learns nothing.

Else it gives the arrays of a pass back to the system after every step, and each page of the next ones
is a fault: a forward and backward pass over 10^6 numbers takes two to three times as long.
"""

# NumPy's stubs know no ``keepdims`` that is a variable.
_add_reduce: Any = np.add.reduce
_multiply_reduce: Any = np.multiply.reduce
_max_reduce: Any = np.maximum.reduce
_min_reduce: Any = np.minimum.reduce
_any_reduce: Any = np.logical_or.reduce
_all_reduce: Any = np.logical_and.reduce

_read_only = partial(np.lib.stride_tricks.as_strided, writeable=False)


class NumpyBackend(Backend):
    """NumPy arrays in host memory."""

    family = "cpu"
    scalar_types = tuple(set(np.sctypeDict.values()))

    def __init__(self) -> None:
        super().__init__("cpu", np, np.ndarray)
        np.empty(_TAUGHT, np.uint8)  # made and dropped, and never touched

    def owns(self, x: Any) -> bool:
        return isinstance(x, np.ndarray | np.generic)

    def quiet(self) -> AbstractContextManager[Any]:
        return Quiet()

    def dtype(self, spec: Any) -> Any:
        return spec if isinstance(spec, np.dtype) else Backend.dtype(self, spec)

    def library_dtype(self, dtype: DType) -> np.dtype[Any]:
        if dtype is bfloat16:
            try:
                return np.dtype(import_module("ml_dtypes").bfloat16)
            except ImportError:
                raise BackendError("bfloat16 needs the package ml_dtypes on the CPU: "
                                   "pip install 'dlcore[half]'") from None
        return np.dtype(str(dtype))

    # --- creation ----------------------------------------------------------------

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        if dtype is None and type(x) not in _PYTHON_NUMBERS:
            return np.asarray(x)
        return np.asarray(x, self.dtype(type(x) if dtype is None else dtype))

    def empty(self, shape: Shape, dtype: Any = None) -> Array:
        return np.empty(shape, self._dtype_or_default(dtype))

    def zeros(self, shape: Shape, dtype: Any = None) -> Array:
        return np.zeros(shape, self._dtype_or_default(dtype))

    def ones(self, shape: Shape, dtype: Any = None) -> Array:
        out = np.empty(shape, self._dtype_or_default(dtype))
        out.fill(1)  # numpy.ones takes 0.6 us longer
        return out

    def scalar(self, x: Array) -> Any:
        return float(x) if isinstance(x, np.floating) else x.item()  # a scalar's own item takes 0.2 us

    def is_complex(self, x: Array) -> bool:
        return x.dtype.char in "FD" if type(x) is np.ndarray else isinstance(x, np.complexfloating)

    def one_like(self, x: Array) -> Any:
        # A scalar of NumPy's, which counts as an array here; asking one for its dtype takes 0.1 us.
        return x.dtype.type(1) if type(x) is np.ndarray else type(x)(1)

    def ones_like(self, x: Array, dtype: Any = None) -> Array:
        out = np.empty(x.shape, x.dtype if dtype is None else self.dtype(dtype))
        out.fill(1)
        return out

    def zeros_like(self, x: Array, dtype: Any = None) -> Array:
        return np.zeros_like(x, None if dtype is None else self.dtype(dtype))  # in its memory order

    def from_host(self, host_array: Any, dtype: Any = None) -> Array:
        return np.array(host_array, None if dtype is None else self.dtype(dtype), order="C")

    def to_host(self, x: Array) -> Any:
        return np.asarray(x)

    def copy(self, x: Array) -> Array:
        return np.array(x)

    def dlpack_device(self) -> tuple[int, int]:
        return exchange.CPU

    def to_dlpack(self, x: Array, *, stream: Any, max_version: tuple[int, int] | None,
                  dl_device: tuple[int, int] | None, copy: bool | None) -> Any:
        if x.dtype.kind == "V":
            raise BufferError(f"__dlpack__: NumPy cannot export {x.dtype}; convert it, x.to('float32')")
        if dl_device not in {None, exchange.CPU}:
            raise BufferError(f"__dlpack__: this array is in the memory of the host, {exchange.CPU}, and "
                              f"asked for on device {dl_device}; move it there first, x.to('cuda')")
        shown: Any = x.view()
        if exchange.must_copy(x.flags.forc, copy, max_version, marks=True):
            return shown.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=True)
        if max_version is not None and max_version[0] >= 1:
            shown.flags.writeable = False
        return shown.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device)

    def from_dlpack(self, x: Any, copy: bool | None) -> Array:
        try:
            array = np.from_dlpack(x, copy=False if copy is False else None)
        except RuntimeError as error:
            raise exchange.unreadable(x, error) from error
        return np.array(array) if copy else array

    def random_words(self, key: int, position: int, count: int) -> Array:
        return random_words(key, position, count)

    # --- conversion and shape ----------------------------------------------------

    def astype(self, x: Array, dtype: Any) -> Array:
        wanted = self.dtype(dtype)
        return x if x.dtype is wanted or x.dtype == wanted else x.astype(wanted)

    def converted(self, x: Array, dtype: Any) -> Array:
        wanted = self.dtype(dtype)
        return self.astype(x.real if x.dtype.kind == "c" and wanted.kind != "c" else x, wanted)

    def broadcast_to(self, x: Array, shape: Shape) -> Array:
        """``x`` repeated to ``shape``; a large result may be a read-only view."""
        # numpy.broadcast_to takes 2 us; below this size copying takes 0.2 to 0.7 us.
        if prod(shape) >= _VIEW_FROM or x.ndim > len(shape):
            return np.broadcast_to(x, shape)
        out = np.empty(shape, x.dtype)
        if x.ndim:
            out[...] = x
        else:
            out.fill(x)
        return out

    def reshape(self, x: Array, shape: Shape) -> Array:
        return x.reshape(shape)  # the function takes 0.4 us longer than the method

    def permute_dims(self, x: Array, axes: Shape) -> Array:
        return x.transpose(axes)

    # --- indexing ----------------------------------------------------------------

    def getitem(self, x: Array, index: Index) -> Array:
        return x[index]

    def index_add(self, shape: Shape, index: Index, values: Array) -> Array:
        if self._is_half(values):
            return self.index_add(shape, index, values.astype(np.float32)).astype(values.dtype)
        out = np.zeros(shape, values.dtype)
        if not any(isinstance(i, np.ndarray) for i in index):
            out[index] = values  # slices and ints never name a place twice
            return out
        return _add_at(out, index, values)

    def index_set(self, x: Array, index: Index, values: Array) -> Array:
        out = np.array(x)
        out[index] = values
        return out

    def scatter_add(self, x: Array, axis: int, indices: Array, values: Array) -> Array:
        if self._is_half(x):
            return self.scatter_add(x.astype(np.float32), axis, indices, values).astype(x.dtype)
        return _add_at(np.array(x), (*(slice(None),) * (axis % x.ndim), indices), values)

    def take(self, x: Array, indices: Array, axis: int = 0) -> Array:
        return _as_array(np.take(x, indices, axis))

    def take_along_axis(self, x: Array, indices: Array, axis: int = -1) -> Array:
        return np.take_along_axis(x, indices, axis)

    # --- reductions: the reduce method of a ufunc takes a third of numpy.sum's 1.6 us ---

    def sum(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        if x.dtype.char in _SINGLE_OR_DOUBLE:
            return _add_reduce(x, axis, None, None, keepdims)  # a scalar of NumPy's is as good as 0-d
        out = _add_reduce(x, axis=axis, dtype=self._sum_dtype(x), keepdims=keepdims)
        return self._narrowed(out, x)

    def prod(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        out = _multiply_reduce(x, axis=axis, dtype=self._sum_dtype(x), keepdims=keepdims)
        return self._narrowed(out, x)

    def mean(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        if x.dtype.char in _SINGLE_OR_DOUBLE and x.size:
            total = _add_reduce(x, axis, None, None, keepdims)
            return total / (x.size if axis is None else reduced_size(x.shape, axis))
        if x.dtype.kind in "biu":
            x = x.astype(self.dtype(get_default_dtype()))
        out = _add_reduce(x, axis=axis, dtype=self._sum_dtype(x), keepdims=keepdims)
        return self._narrowed(out / reduced_size(x.shape, axis), x)

    def max(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        return _as_array(_max_reduce(x, axis=axis, keepdims=keepdims))

    def min(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        return _as_array(_min_reduce(x, axis=axis, keepdims=keepdims))

    def any(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        return _as_array(_any_reduce(x, axis=axis, keepdims=keepdims))

    def all(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        return _as_array(_all_reduce(x, axis=axis, keepdims=keepdims))

    def argmax(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        return _as_array(np.argmax(x, axis, keepdims=keepdims))

    def argmin(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        return _as_array(np.argmin(x, axis, keepdims=keepdims))

    def cumulative_sum(self, x: Array, axis: int) -> Array:
        return self._narrowed(np.add.accumulate(x, axis, self._sum_dtype(x)), x)

    def cumulative_prod(self, x: Array, axis: int) -> Array:
        return self._narrowed(np.multiply.accumulate(x, axis, self._sum_dtype(x)), x)

    def cumulative_max(self, x: Array, axis: int) -> Array:
        return np.maximum.accumulate(x, axis)

    def _narrowed(self, out: Array, x: Array) -> Array:
        """What was computed for ``x`` in float32 or wider, in the dtype that callers expect."""
        return _as_array(out.astype(x.dtype) if self._is_half(x) else out)

    def _is_half(self, x: Array) -> bool:
        return bool(x.dtype.itemsize == 2 and x.dtype.kind not in "iu")

    # --- order -------------------------------------------------------------------

    def sort(self, x: Array, axis: int = -1, descending: bool = False,
             stable: bool = True) -> Array:
        out = np.sort(x, axis, stable=stable)
        return np.flip(out, axis) if descending else out

    def argsort(self, x: Array, axis: int = -1, descending: bool = False,
                stable: bool = True) -> Array:
        if not descending:
            return np.argsort(x, axis, stable=stable)
        # Sorting backwards from the back leaves equal values in their order.
        places = np.argsort(np.flip(x, axis), axis, stable=stable)
        return np.flip(x.shape[axis] - 1 - places, axis)

    # --- windows -----------------------------------------------------------------

    columns_at_once = 2**17  # which stay in a cache until they are multiplied

    def windows(self, x: Array, window: Shape, stride: Shape, dilation: Shape) -> Array:
        return strided_windows(_read_only, x, window, stride, dilation)

    # --- products and special functions ------------------------------------------

    def matmul(self, x: Array, y: Array) -> Array:
        """The matrix product; of halves through float32, for which alone there is a fast one."""
        if x.ndim == y.ndim == 2 and x.dtype.char in _SINGLE_OR_DOUBLE:
            return x.dot(y)  # 0.2 us less than matmul
        if self._is_half(x):
            wide = np.matmul(x.astype(np.float32), y.astype(np.float32))
            return _as_array(wide.astype(x.dtype))
        return _as_array(np.matmul(x, y))

    def einsum(self, subscripts: str, *xs: Array) -> Array:
        # Looking for a better order and for matrix products costs 20 us or more.
        large = len(xs) > 1 and sum(x.size for x in xs) > _VIEW_FROM
        if self._is_half(xs[0]):
            wide = np.einsum(subscripts, *(x.astype(np.float32) for x in xs), optimize=large)
            return _as_array(wide.astype(xs[0].dtype))
        return _as_array(np.einsum(subscripts, *xs, optimize=large))

    @cached_property
    def linalg(self) -> NumpyLinalg:
        return NumpyLinalg(self)

    def floor_divide(self, x: Array, y: Array) -> Array:
        return np.floor_divide(x, _divisor(x, y))

    def remainder(self, x: Array, y: Array) -> Array:
        return np.remainder(x, _divisor(x, y))

    def zero_safe_multiply(self, d: Array, r: Array) -> Array:
        token = hush()  # as Quiet does, without making one
        try:
            return _zero_where(d, np.multiply(d, r))
        finally:
            restore(token)

    def zero_safe_divide(self, d: Array, r: Array) -> Array:
        token = hush()
        try:
            return _zero_where(d, np.divide(d, r))
        finally:
            restore(token)

    def special(self, name: str, x: Array) -> Array:
        function = getattr(_scipy_special(), name)
        if self._is_half(x):
            return _as_array(function(x.astype(np.float32)).astype(x.dtype))
        return _as_array(function(x).astype(x.dtype, copy=False))

    def polygamma(self, n: int, x: Array) -> Array:
        return _as_array(_scipy_special().polygamma(n, x.astype(np.float64)).astype(x.dtype))


@cache
def _scipy_special() -> ModuleType:
    return import_module("scipy.special")  # 60 ms that few programs need


def _as_array(x: Any) -> Array:
    """NumPy turns 0-d results into scalars; this turns them back."""
    return x if type(x) is np.ndarray else np.asarray(x)


def _divisor(x: Any, y: Any) -> Any:
    """``y``, unless integers are divided by 0: NumPy would warn and go on with 0."""
    if (x if hasattr(x, "dtype") else y).dtype.kind in "iu" and type(y) is not float and not np.all(y):
        raise ValueError("an integer divided by 0 is no number; make floats of them for inf and nan")
    return y


def _zero_where(d: Array, out: Array) -> Array:
    """``out``, but 0 wherever ``d`` is 0; to be called where nobody is warned."""
    if isfinite(_add_reduce(out, axis=None)):  # then nothing in it is infinite or nan
        return _as_array(out)
    return _as_array(np.where(np.equal(d, 0), 0, out))


def _add_at(out: Array, index: Index, values: Array) -> Array:
    """``out`` with ``values`` added in place at ``index``, repeated places accumulating in order.

    ``numpy.add.at`` is fast only for one index array into one axis, so whole rows are added by
    numbering their elements: 2000 rows of 64 take 0.2 ms instead of 0.8 ms.
    """
    rows = index[0]
    whole_rows = len(index) == 1 and out.ndim > 1 and rows.dtype.kind in "iu"
    if not whole_rows or values.shape != rows.shape + out.shape[1:]:
        np.add.at(out, index, values)
        return out
    starts = np.where(rows < 0, rows + len(out), rows)
    if starts.size and (starts.min() < 0 or starts.max() >= len(out)):
        raise IndexError(f"an index in {rows.min()}..{rows.max()} is out of bounds for axis 0 with "
                         f"size {len(out)}")
    width = prod(out.shape[1:])
    places = starts.reshape(-1, 1) * width + np.arange(width)
    np.add.at(out.reshape(-1), places.reshape(-1), values.reshape(-1))
    return out
