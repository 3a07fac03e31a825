"""New tensors on the selected backend: zeros, ones, ranges and the like."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import backends
from backends import Backend, as_dtype, exchange, get_default_dtype, host
from backends.dtypes import int64
from dlcore.shaping import checked_sizes
from dlcore.tensors import Tensor, leaf_of

__all__ = ["arange", "empty", "empty_like", "eye", "from_dlpack", "full", "full_like",
           "linspace", "ones", "zeros"]

Sizes = int | Sequence[int]


def _made(array: Any, requires_grad: bool) -> Tensor:
    x = Tensor(array)
    if requires_grad:
        x.node = leaf_of(x)
    return x


def _filled(name: str, shape: Sizes, value: Any, dtype: Any, xp: Backend) -> Any:
    """An array of one value, a number of Python or NumPy."""
    sizes = checked_sizes(name, shape)
    if not isinstance(value, int | float | complex) and not host.is_scalar(value):
        raise TypeError(f"{name}: the value must be a number, got {value!r}")
    chosen = as_dtype(type(value) if dtype is None else dtype)
    try:
        return xp.full(sizes, value, chosen)
    except OverflowError as error:
        raise ValueError(f"{name}: {value} does not fit {chosen}") from error


def zeros(shape: Sizes, dtype: Any = None, *, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros, in the default float dtype unless another is given.

        >>> zeros((2, 3)).shape
        (2, 3)
    """
    return _made(_filled("zeros", shape, 0.0, dtype, backends.current()), requires_grad)


def ones(shape: Sizes, dtype: Any = None, *, requires_grad: bool = False) -> Tensor:
    """A tensor of ones, in the default float dtype unless another is given."""
    return _made(_filled("ones", shape, 1.0, dtype, backends.current()), requires_grad)


def full(shape: Sizes, fill_value: float, dtype: Any = None, *, requires_grad: bool = False) -> Tensor:
    """A tensor of one value; without a dtype in that of the Python number."""
    return _made(_filled("full", shape, fill_value, dtype, backends.current()), requires_grad)


def empty(shape: Sizes, dtype: Any = None) -> Tensor:
    """A tensor whose elements are whatever lay in memory."""
    sizes = checked_sizes("empty", shape)
    return Tensor(backends.current().empty(sizes, as_dtype(dtype or get_default_dtype())))


def empty_like(x: Tensor, dtype: Any = None) -> Tensor:
    """As :func:`empty`, with the shape and backend of ``x``, and its dtype unless another is given."""
    return Tensor(backends.get_backend(x.backend).empty(x.shape, as_dtype(dtype or x.dtype)))


def full_like(x: Tensor, fill_value: float, dtype: Any = None) -> Tensor:
    """As :func:`full`, with the shape and backend of ``x``, and its dtype unless another is given."""
    home = backends.get_backend(x.backend)
    return Tensor(_filled("full_like", x.shape, fill_value, dtype or x.dtype, home))


def arange(start: float, stop: float | None = None, step: float = 1, dtype: Any = None) -> Tensor:
    """The numbers from ``start`` up to ``stop``, not included; from 0 if only one is given.

    int64 if all three are whole numbers of Python, else the default float.

        >>> arange(4).tolist()
        [0, 1, 2, 3]
    """
    start, stop = (0, start) if stop is None else (start, stop)
    start, stop, step = (_number("arange", n) for n in (start, stop, step))
    if step == 0:
        raise ValueError("arange: step must not be 0")
    whole = all(isinstance(n, int) for n in (start, stop, step))
    chosen = as_dtype(dtype) if dtype is not None else int64 if whole else get_default_dtype()
    return Tensor(backends.current().arange(start, stop, step, chosen))


def _number(name: str, n: Any) -> float:
    """``n``, perhaps NumPy's or a tensor, as a number of Python: an int if its type is, else a float."""
    try:
        return index(n)
    except TypeError:
        if isinstance(n, str):
            raise TypeError(f"{name}: needs numbers, got {n!r}") from None
        return float(n)


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor in the memory of ``x``, an array of PyTorch, JAX, CuPy, NumPy or whoever speaks DLPack.

    Without a copy the two share memory: what the other library writes there later changes this tensor,
    and derivatives that were recorded with it.  dlcore itself never writes to it.  :func:`tensor` copies.

    Args:
        x: an array on the CPU or on CUDA; a tensor that requires gradients must be detached first.
        device: the backend to put it on; that of ``x`` if None.
        copy: True for memory of its own, False for an error where a copy is needed, None for a copy only
            where it is needed, which is where ``device`` is another one.

    Raises:
        TypeError: ``x`` does not speak DLPack.
        BufferError: its dtype or its device is none of ours, or its library does not give it away.
        ValueError: ``copy`` is False, and ``device`` is not where ``x`` is.

    Source: the array-API standard, ``from_dlpack``.

        >>> import numpy as np
        >>> theirs = np.ones(2)
        >>> shared, own = from_dlpack(theirs), from_dlpack(theirs, copy=True)
        >>> theirs[0] = 7.0
        >>> shared.tolist(), own.tolist()
        ([7.0, 1.0], [1.0, 1.0])
    """
    home = backends.get_backend(exchange.backend_name(x))
    to = home if device is None else backends.get_backend(device)
    if to is home:
        return Tensor(home.from_dlpack(x, copy))
    if copy is False:
        raise ValueError(f"from_dlpack: from {home.name} to {to.name} it is copied, and copy=False")
    return Tensor(to.from_host(home.to_host(home.from_dlpack(x, None))))


def linspace(start: float, stop: float, num: int = 50, dtype: Any = None, *, endpoint: bool = True) -> Tensor:
    """``num`` numbers at equal distances from ``start`` to ``stop``, which is included unless told.

        >>> linspace(0.0, 1.0, 3).tolist()
        [0.0, 0.5, 1.0]
    """
    if num < 0:
        raise ValueError(f"linspace: num must not be negative, got {num}")
    chosen = as_dtype(dtype or get_default_dtype())
    return Tensor(backends.current().linspace(start, stop, num, dtype=chosen, endpoint=endpoint))


def eye(n_rows: int, n_cols: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """A matrix with ones on the ``k``-th diagonal and zeros elsewhere."""
    (n_rows, n_cols) = checked_sizes("eye", (n_rows, n_rows if n_cols is None else n_cols))
    chosen = as_dtype(dtype or get_default_dtype())
    return Tensor(backends.current().eye(n_rows, n_cols, k=k, dtype=chosen))
