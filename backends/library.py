"""An array library on one device: its names, its dtypes, its new arrays and the way to the host.

The lower half of :class:`backends.base.Backend`; read that one first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, ClassVar, Self

from backends.dtypes import (
    HALF_DTYPES,
    DType,
    as_dtype,
    complex64,
    complex128,
    float32,
    float64,
    get_default_dtype,
    int64,
)
from backends.errors import OutOfMemoryError, let_go
from backends.memory import MemoryMeter, host_memory_meter

Array = Any
"""An array of whichever library the backend wraps."""
Shape = tuple[int, ...]

_PYTHON_NUMBERS = (bool, int, float, complex)
_NOTHING: AbstractContextManager[None] = nullcontext()


class Library(ABC):
    """An array namespace bound to one device; attributes that are missing here are its names."""

    family: ClassVar[str]
    """The name without the number of a device: ``"cpu"``, ``"cuda"``."""

    scalar_types: ClassVar[tuple[type, ...]] = ()
    """Scalars that count as arrays of this backend, such as those NumPy makes of 0-d results."""

    alone: bool = True
    """Whether there is no other device of its kind; else nobody computes but inside :meth:`scope`."""

    def __init__(self, name: str, namespace: Any, array_type: type, device: Any = None) -> None:
        self.name = name
        """How users select it: ``"cpu"``, ``"cuda"``, ``"cuda:1"``."""
        self.namespace = namespace
        self.array_type = array_type
        self.device = device
        """What creation functions of the namespace take as ``device=``."""
        self._library_dtypes: dict[DType, Any] = {}

    def __getattr__(self, name: str) -> Any:
        # Called only when the attribute is missing: it is looked up in the array library once and
        # kept, so the second call finds a plain attribute.
        if name.startswith("__") or "namespace" not in self.__dict__:  # copy() asks before __init__
            raise AttributeError(name)
        try:
            function = getattr(self.namespace, name)
        except AttributeError:
            raise AttributeError(f"backend {self.name!r} has no {name!r}") from None
        setattr(self, name, function)
        return function

    def __repr__(self) -> str:
        return f"<backend {self.name}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> Any:
        raise TypeError(f"{self!r} is a device, not data: pickle its name and call get_backend")

    # --- ownership and the device ------------------------------------------------

    def owns(self, x: Any) -> bool:
        """Whether ``x`` is an array of this library on this device."""
        return isinstance(x, self.array_type)

    def scope(self) -> AbstractContextManager[Any]:
        """A context in which this backend's device is the library's current one."""
        return _NOTHING

    def quiet(self) -> AbstractContextManager[Any]:
        """A context in which overflow, division by zero and the like warn nobody."""
        return _NOTHING

    def synchronize(self) -> None:  # noqa: B027  most libraries have nothing to wait for
        """Wait until every queued kernel has finished, and raise what was found wrong meanwhile."""

    def exhausted(self, error: MemoryError, operation: str = "") -> OutOfMemoryError:
        """What to raise for ``error``, with ``operation`` and what is known of the memory."""
        ours = isinstance(error, OutOfMemoryError)
        told = str(error) if ours else f"out of memory on {self.name}: {self._shortage(error)}"
        let_go(error)
        return OutOfMemoryError(f"{operation}: {told}" if operation else told)

    def _shortage(self, error: MemoryError) -> str:
        """What was asked for and what there is, as far as ``error`` of the library and the device tell."""
        return str(error)

    def memory_info(self) -> Mapping[str, int]:
        """Bytes that are ``used``, ``reserved``, ``free`` and ``total``, where they are known."""
        return {}

    def memory_meter(self) -> AbstractContextManager[MemoryMeter]:
        """A context that measures the memory which arrays take here; by default that of the host."""
        return host_memory_meter()

    # --- dtypes ------------------------------------------------------------------

    @abstractmethod
    def library_dtype(self, dtype: DType) -> Any:
        """The library's own dtype object, or a BackendError that says what would supply it."""

    def dtype(self, spec: Any) -> Any:
        """The library's own dtype object for a portable dtype, a name, or itself."""
        try:
            return self._library_dtypes[spec]
        except (KeyError, TypeError):
            dtype = as_dtype(spec)
        if dtype not in self._library_dtypes:
            self._library_dtypes[dtype] = self.library_dtype(dtype)
        return self._library_dtypes[dtype]

    def dtype_name(self, x: Any) -> DType:
        """The portable dtype of an array, or of one of the library's dtype objects."""
        return as_dtype(x if isinstance(x, type) else getattr(x, "dtype", x))

    def supports(self, dtype: Any) -> bool:
        """Whether arrays of ``dtype`` can be made here."""
        try:
            self.dtype(dtype)
        except RuntimeError:
            return False
        return True

    @cached_property
    def half_dtypes(self) -> frozenset[Any]:
        """The library's own dtype objects of the sixteen-bit floats that it has."""
        return frozenset(self.dtype(half) for half in HALF_DTYPES if self.supports(half))

    @cached_property
    def widest_float(self) -> DType:
        """What is computed in where digits count: float64, or float32 on a device that has no other."""
        return float64 if self.supports(float64) else float32

    @cached_property
    def complex_dtypes(self) -> frozenset[Any]:
        """The library's own complex dtypes: what is asked where speed counts."""
        return frozenset(self.dtype(d) for d in (complex64, complex128) if self.supports(d))

    def _dtype_or_default(self, dtype: Any) -> Any:
        return self.dtype(get_default_dtype() if dtype is None else dtype)

    def _dtype_of_numbers(self, dtype: Any, *numbers: Any) -> Any:
        """``dtype``, or if it is None what the Python numbers become."""
        if dtype is not None:
            return self.dtype(dtype)
        integral = all(isinstance(n, int) for n in numbers if n is not None)
        return self.dtype(int64 if integral else get_default_dtype())

    # --- creation on this device -------------------------------------------------

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        """``x`` itself if it is such an array already, else a new one; Python numbers are weak."""
        if self.owns(x):
            return x if dtype is None else self.astype(x, dtype)
        if dtype is None and type(x) in _PYTHON_NUMBERS:
            dtype = type(x)
        dtype = None if dtype is None else self.dtype(dtype)
        return self.namespace.asarray(x, dtype=dtype, device=self.device)

    def empty(self, shape: Shape, dtype: Any = None) -> Array:
        """An array of unspecified values."""
        return self.namespace.empty(shape, dtype=self._dtype_or_default(dtype), device=self.device)

    def zeros(self, shape: Shape, dtype: Any = None) -> Array:
        """An array of zeros."""
        return self.namespace.zeros(shape, dtype=self._dtype_or_default(dtype), device=self.device)

    def ones(self, shape: Shape, dtype: Any = None) -> Array:
        """An array of ones."""
        return self.namespace.ones(shape, dtype=self._dtype_or_default(dtype), device=self.device)

    def full(self, shape: Shape, fill: complex, dtype: Any = None) -> Array:
        """An array filled with one Python number."""
        dtype = self.dtype(type(fill) if dtype is None else dtype)
        return self.namespace.full(shape, fill, dtype=dtype, device=self.device)

    def empty_like(self, x: Array, dtype: Any = None) -> Array:
        """An array of unspecified values in the shape of ``x``."""
        return self.empty(x.shape, x.dtype if dtype is None else dtype)

    def zeros_like(self, x: Array, dtype: Any = None) -> Array:
        """Zeros in the shape of ``x``."""
        return self.zeros(x.shape, x.dtype if dtype is None else dtype)

    def is_complex(self, x: Array) -> bool:
        """Whether ``x`` holds complex numbers, asked where speed counts."""
        return x.dtype in self.complex_dtypes

    def scalar(self, x: Array) -> Any:
        """The one element of ``x`` as a number of Python; waits for the device if it must."""
        return self.to_host(x).item()

    def one_like(self, x: Array) -> Array:
        """The number 1 in the dtype of ``x``, 0-d: where a backward pass begins."""
        return self.ones((), x.dtype)

    def ones_like(self, x: Array, dtype: Any = None) -> Array:
        """Ones in the shape of ``x``."""
        return self.ones(x.shape, x.dtype if dtype is None else dtype)

    def full_like(self, x: Array, fill: complex, dtype: Any = None) -> Array:
        """One Python number in the shape of ``x``."""
        return self.full(x.shape, fill, x.dtype if dtype is None else dtype)

    def arange(self, start: float, stop: float | None = None, step: float = 1,
               dtype: Any = None) -> Array:
        """``start``, ``start + step``, … below ``stop``; with one number, the integers below it."""
        dtype = self._dtype_of_numbers(dtype, start, stop, step)
        return self.namespace.arange(start, stop, step, dtype=dtype, device=self.device)

    def linspace(self, start: float, stop: float, num: int, dtype: Any = None, *,
                 endpoint: bool = True) -> Array:
        """``num`` evenly spaced values from ``start`` to ``stop``."""
        dtype = self._dtype_or_default(dtype)
        return self.namespace.linspace(
            start, stop, num, dtype=dtype, device=self.device, endpoint=endpoint)

    def eye(self, n_rows: int, n_cols: int | None = None, k: int = 0, dtype: Any = None) -> Array:
        """Ones on the ``k``-th diagonal, zeros elsewhere."""
        dtype = self._dtype_or_default(dtype)
        return self.namespace.eye(n_rows, n_cols, k=k, dtype=dtype, device=self.device)

    # --- other dtypes, other memory ----------------------------------------------

    def astype(self, x: Array, dtype: Any) -> Array:
        """``x`` in another dtype, or ``x`` itself if it has that dtype already."""
        wanted = self.dtype(dtype)
        return x if x.dtype == wanted else self.namespace.astype(x, wanted)

    def converted(self, x: Array, dtype: Any) -> Array:
        """``x`` in another dtype; of complex numbers a real one keeps the real part.

        So turning real numbers into complex ones and back are adjoint to each other.
        """
        real = self.dtype_name(x).kind == "complex" and as_dtype(dtype).kind != "complex"
        return self.astype(self.namespace.real(x) if real else x, dtype)

    @abstractmethod
    def copy(self, x: Array) -> Array:
        """A new array with the values of ``x``."""

    @abstractmethod
    def from_host(self, host_array: Any, dtype: Any = None) -> Array:
        """A copy of a NumPy array on this device; never shares its memory."""

    def from_host_async(self, host_array: Any, dtype: Any = None) -> Array:
        """:meth:`from_host`, but the copying may run beside what the device computes.

        The host does not wait, and may write to ``host_array`` at once; so may whatever the device is
        told from now on read the result, as far as it is told so by the calling thread.
        """
        return self.from_host(host_array, dtype)

    @abstractmethod
    def to_host(self, x: Array) -> Any:
        """``x`` as a NumPy array, a view where possible; waits for the device if it must."""

    # --- exchange with other libraries ---------------------------------------------

    def dlpack_device(self) -> tuple[int, int]:
        """The type and the number by which DLPack knows this device."""
        raise self._speechless()

    def to_dlpack(self, x: Array, *, stream: Any, max_version: tuple[int, int] | None,
                  dl_device: tuple[int, int] | None, copy: bool | None) -> Any:
        """A capsule of DLPack, as asked for in its terms, with ``x`` or a copy (``exchange.must_copy``)."""
        raise self._speechless()

    def from_dlpack(self, x: Any, copy: bool | None) -> Array:
        """An array in the memory of ``x``, of another library on this device; if ``copy``, in its own."""
        raise self._speechless()

    def _speechless(self) -> BufferError:
        return BufferError(f"backend {self.name!r} does not speak DLPack; go by way of x.to('cpu')")

    @abstractmethod
    def random_words(self, key: int, position: int, count: int) -> Array:
        """Words ``position`` to ``position + count`` of the Philox4x64-10 stream of ``key``.

        They are those of ``numpy.random.Philox(key=key).random_raw`` on every backend; uint64.
        """
