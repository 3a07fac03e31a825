"""A third backend for tests: refuses whatever the array-API standard does not promise.

It catches NumPy-isms in dlcore on a machine without a GPU, and it is the proof that a backend is
one file.  Its arrays live on a device that NumPy cannot read, and whose values nobody reads unseen;
only what the standard lacks goes through the NumPy arrays inside them, by way of the CPU backend.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import array_api_strict as strict

from backends import transfers
from backends.base import Backend, Index
from backends.dtypes import DType, complex128, float64
from backends.errors import BackendError
from backends.library import Array, Shape
from backends.linalg import Linalg
from backends.numpy_backend import NumpyBackend

_cpu = NumpyBackend()
_ARRAY: Any = type(strict.asarray(0.0))


class StrictBackend(Backend):
    """array-api-strict arrays on a device that NumPy cannot read."""

    family = "strict"

    def __init__(self, name: str = "strict", device: str = "device1") -> None:
        super().__init__(name, strict, _ARRAY, strict.Device(device))

    def owns(self, x: Any) -> bool:
        return isinstance(x, _ARRAY) and x.device == self.device

    def library_dtype(self, dtype: DType) -> Any:
        found = getattr(strict, dtype, None) or getattr(strict, f"{dtype}_", None)
        if found is None:
            raise BackendError(f"backend 'strict' has no {dtype}: the standard lacks it")
        return found

    def quiet(self) -> AbstractContextManager[Any]:
        return _cpu.quiet()  # array-api-strict computes with NumPy

    def scope(self) -> AbstractContextManager[Any]:
        return self.quiet()  # what a pass enters where a type of array is of two devices

    # --- in and out of the wrapped arrays ----------------------------------------

    def from_host(self, host_array: Any, dtype: Any = None) -> Array:
        made = self._made(host_array, host_array.dtype if dtype is None else dtype)
        transfers.to_device(made._array.nbytes, self.name)
        return made

    def to_host(self, x: Array) -> Any:
        inside = self._opened(x)
        transfers.to_host(inside.nbytes, self.name)
        return inside

    def synchronize(self) -> None:
        transfers.waits_as_told()

    # These are no copies: a real device would have computed what NumPy does here.

    def _made(self, host_array: Any, dtype: Any = None) -> Array:
        dtype = None if dtype is None else self.dtype(dtype)
        return strict.asarray(_cpu.copy(host_array), dtype=dtype, device=self.device)

    def _opened(self, x: Array) -> Any:
        if x.device != self.device:
            raise BackendError(f"an array of device {x.device}, not {self.device}: "
                               "some creation function was not given its device")
        return x._array

    def _inside(self, index: Index) -> Index:
        if any(isinstance(i, self.array_type) and i.dtype == strict.bool for i in index):
            transfers.waits_for_shape(self.name)
        return tuple(self._opened(i) if isinstance(i, self.array_type) else i for i in index)

    def copy(self, x: Array) -> Array:
        return strict.asarray(x, copy=True)

    def random_words(self, key: int, position: int, count: int) -> Array:
        return self._made(_cpu.random_words(key, position, count))

    # --- indexing ----------------------------------------------------------------

    def getitem(self, x: Array, index: Index) -> Array:
        return self._made(_cpu.getitem(self._opened(x), self._inside(index)))

    def index_add(self, shape: Shape, index: Index, values: Array) -> Array:
        return self._made(_cpu.index_add(shape, self._inside(index), self._opened(values)))

    def index_set(self, x: Array, index: Index, values: Array) -> Array:
        inside = _cpu.index_set(self._opened(x), self._inside(index), self._opened(values))
        return self._made(inside)

    def scatter_add(self, x: Array, axis: int, indices: Array, values: Array) -> Array:
        return self._made(_cpu.scatter_add(
            self._opened(x), axis, self._opened(indices), self._opened(values)))

    def nonzero(self, x: Array) -> tuple[Array, ...]:
        """The places of what is not 0, an array for each axis."""
        transfers.waits_for_shape(self.name)
        return strict.nonzero(x)

    def take(self, x: Array, indices: Array, axis: int = 0) -> Array:
        return self._made(_cpu.take(self._opened(x), self._opened(indices), axis))

    def take_along_axis(self, x: Array, indices: Array, axis: int = -1) -> Array:
        return strict.take_along_axis(x, indices, axis=axis)

    # --- what the standard lacks -------------------------------------------------

    @cached_property
    def linalg(self) -> StrictLinalg:
        return StrictLinalg(self)

    def cumulative_max(self, x: Array, axis: int) -> Array:
        return self._made(_cpu.cumulative_max(self._opened(x), axis))

    def einsum(self, subscripts: str, *xs: Array) -> Array:
        return self._made(_cpu.einsum(subscripts, *map(self._opened, xs)))

    def special(self, name: str, x: Array) -> Array:
        return self._made(_cpu.special(name, self._opened(x)))

    def polygamma(self, n: int, x: Array) -> Array:
        return self._made(_cpu.polygamma(n, self._opened(x)))


class StrictLinalg(Linalg):
    """The standard's linear algebra; what a device would find and report later is raised at once."""

    xp: StrictBackend

    def demand(self, wrong: Array, complaint: str) -> None:
        _cpu.linalg.demand(self.xp._opened(wrong), complaint)

    def possible(self, condition: Array) -> bool:
        return _cpu.linalg.possible(self.xp._opened(condition))


class SingleBackend(StrictBackend):
    """The same on a device that has no float64 and no complex128, as some GPUs."""

    family = "single"

    def __init__(self) -> None:
        super().__init__("single", "no_float64")

    def library_dtype(self, dtype: DType) -> Any:
        if dtype in (float64, complex128):
            raise BackendError(f"backend 'single' has no {dtype}: its device lacks it")
        return super().library_dtype(dtype)


def _refuse(name: str) -> None:
    """Let an attribute that reads a value, and so would wait for a device unseen, be an error there."""
    plain = getattr(_ARRAY, name)

    def read(x: Array) -> Any:
        if x.device == strict.Device("CPU_DEVICE"):
            return plain(x)
        raise TypeError(f"{name} of an array waits for the device where no meter sees it")

    setattr(_ARRAY, name, read)


for _name in ("__bool__", "__int__", "__float__", "__complex__", "__index__"):
    _refuse(_name)
