"""New tensors on the selected backend: zeros, ones, ranges and the like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import backends
from backends import as_dtype, get_default_dtype
from backends.dtypes import int64
from dlcore.shaping import Shape
from dlcore.tensors import Tensor, leaf_of

__all__ = ["arange", "empty", "empty_like", "eye", "full", "full_like", "linspace", "ones", "zeros"]

Sizes = int | Sequence[int]


def _made(array: Any, requires_grad: bool) -> Tensor:
    x = Tensor(array)
    if requires_grad:
        x.node = leaf_of(x)
    return x


def _sizes(name: str, shape: Sizes) -> Shape:
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(not isinstance(n, int) or n < 0 for n in sizes):
        raise ValueError(f"{name}: a shape holds sizes that are not negative, got {shape!r}")
    return sizes


def zeros(shape: Sizes, dtype: Any = None, *, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros, in the default float dtype unless another is given.

        >>> zeros((2, 3)).shape
        (2, 3)
    """
    return full(shape, 0.0, dtype, requires_grad=requires_grad)


def ones(shape: Sizes, dtype: Any = None, *, requires_grad: bool = False) -> Tensor:
    """A tensor of ones, in the default float dtype unless another is given."""
    return full(shape, 1.0, dtype, requires_grad=requires_grad)


def full(shape: Sizes, fill_value: float, dtype: Any = None, *, requires_grad: bool = False) -> Tensor:
    """A tensor of one value; without a dtype in that of the Python number."""
    xp = backends.current()
    chosen = as_dtype(type(fill_value) if dtype is None else dtype)
    return _made(xp.full(_sizes("full", shape), fill_value, chosen), requires_grad)


def empty(shape: Sizes, dtype: Any = None) -> Tensor:
    """A tensor whose elements are whatever lay in memory."""
    return Tensor(backends.current().empty(_sizes("empty", shape), as_dtype(dtype or get_default_dtype())))


def empty_like(x: Tensor, dtype: Any = None) -> Tensor:
    """As :func:`empty`, with the shape and backend of ``x``, and its dtype unless another is given."""
    return Tensor(backends.get_backend(x.backend).empty(x.shape, as_dtype(dtype or x.dtype)))


def full_like(x: Tensor, fill_value: float, dtype: Any = None) -> Tensor:
    """As :func:`full`, with the shape and backend of ``x``, and its dtype unless another is given."""
    return Tensor(backends.get_backend(x.backend).full(x.shape, fill_value, as_dtype(dtype or x.dtype)))


def arange(start: float, stop: float | None = None, step: float = 1, dtype: Any = None) -> Tensor:
    """The numbers from ``start`` up to ``stop``, not included; from 0 if only one is given.

    int64 if all three are whole numbers of Python, else the default float.

        >>> arange(4).tolist()
        [0, 1, 2, 3]
    """
    start, stop = (0, start) if stop is None else (start, stop)
    if step == 0:
        raise ValueError("arange: step must not be 0")
    whole = all(isinstance(n, int) for n in (start, stop, step))
    chosen = as_dtype(dtype) if dtype is not None else int64 if whole else get_default_dtype()
    return Tensor(backends.current().arange(start, stop, step, chosen))


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
    chosen = as_dtype(dtype or get_default_dtype())
    return Tensor(backends.current().eye(n_rows, n_cols, k=k, dtype=chosen))
