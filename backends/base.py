"""What dlcore asks of an array library, and nothing else.

A :class:`Backend` *is* an array namespace: every name of the array-API standard that the wrapped
library has is an attribute of the backend, so a forward rule reads ``xp.exp(x)`` wherever ``x``
lives.  The members here and in ``library.py`` are what the standard lacks, leaves open, or does too
slowly.  Adding a backend means writing one file with one subclass and registering it; what is not
abstract has an implementation by the standard alone.

Arrays go in as the library's own.  A function that falls through to the library may hand out what
the library does.  NumPy makes scalars of 0-d results: they count as arrays, wherever it is the owner.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any

from backends.dtypes import HALF_DTYPES, float32, get_default_dtype, int64
from backends.library import Array, Library, Shape
from backends.linalg import Linalg
from backends.windows import places_of_columns, window_places

Axis = int | tuple[int, ...] | None
Index = tuple[Any, ...]
"""A full NumPy-style index: ints, slices, None, Ellipsis, integer and boolean arrays."""


class Backend(Library):
    """An array namespace plus the few things the array-API standard lacks."""

    # --- indexing ----------------------------------------------------------------

    @abstractmethod
    def getitem(self, x: Array, index: Index) -> Array:
        """``x[index]`` by NumPy's rules for slices, integer arrays and boolean masks."""

    @abstractmethod
    def index_add(self, shape: Shape, index: Index, values: Array) -> Array:
        """Zeros of ``shape`` with ``values`` added at ``index``; repeated places accumulate.

        The adjoint of :meth:`getitem`: ⟨index_add(v), x⟩ = ⟨v, getitem(x)⟩.
        """

    @abstractmethod
    def index_set(self, x: Array, index: Index, values: Array) -> Array:
        """A copy of ``x`` with ``values`` written at ``index``, where no place may come twice."""

    @abstractmethod
    def scatter_add(self, x: Array, axis: int, indices: Array, values: Array) -> Array:
        """A copy of ``x`` with ``values`` added at the 1-d ``indices`` along ``axis``.

        Repeated indices accumulate; ``x[i] += v`` would keep only the last.
        """

    @abstractmethod
    def take(self, x: Array, indices: Array, axis: int = 0) -> Array:
        """Slices of ``x`` along ``axis``, in the order and shape of ``indices`` of any rank."""

    @abstractmethod
    def take_along_axis(self, x: Array, indices: Array, axis: int = -1) -> Array:
        """Elements of ``x`` along ``axis`` at ``indices``, which have as many axes as ``x``."""

    # --- reductions --------------------------------------------------------------

    def _sum_dtype(self, x: Array) -> Any:
        """What a sum of ``x`` is computed in: int64 for bool and integers, float32 for halves."""
        name = self.dtype_name(x)
        if name.kind in ("bool", "int"):
            return self.dtype(int64)
        return self.dtype(float32) if name in HALF_DTYPES else x.dtype

    def _accumulated(self, function: Callable[..., Array], x: Array, **where: Any) -> Array:
        """``function`` of ``x`` in the dtype that sums are computed in; halves come back so."""
        out = function(self.astype(x, self._sum_dtype(x)), **where)
        return self.astype(out, x.dtype) if self.dtype_name(x) in HALF_DTYPES else out

    def sum(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        """Sums along ``axis``; of bool and integers in int64, of half floats through float32."""
        return self._accumulated(self.namespace.sum, x, axis=axis, keepdims=keepdims)

    def prod(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        """Products along ``axis``, in the dtypes of :meth:`sum`."""
        return self._accumulated(self.namespace.prod, x, axis=axis, keepdims=keepdims)

    def mean(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        """Means along ``axis``; of bool and integers in the default float dtype."""
        if self.dtype_name(x).kind in ("bool", "int"):
            x = self.astype(x, get_default_dtype())
        return self._accumulated(self.namespace.mean, x, axis=axis, keepdims=keepdims)

    def max(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        """The largest values along ``axis``; nan where there is one."""
        return self.namespace.max(x, axis=axis, keepdims=keepdims)

    def min(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        """The smallest values along ``axis``; nan where there is one."""
        return self.namespace.min(x, axis=axis, keepdims=keepdims)

    def any(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        """Whether any value along ``axis`` is true."""
        return self.namespace.any(x, axis=axis, keepdims=keepdims)

    def all(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        """Whether every value along ``axis`` is true."""
        return self.namespace.all(x, axis=axis, keepdims=keepdims)

    def argmax(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        """The first place of the largest value; without ``axis``, in the flattened array."""
        return self.namespace.argmax(x, axis=axis, keepdims=keepdims)

    def argmin(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        """The first place of the smallest value; without ``axis``, in the flattened array."""
        return self.namespace.argmin(x, axis=axis, keepdims=keepdims)

    def cumulative_sum(self, x: Array, axis: int) -> Array:
        """Running sums along ``axis``, in the dtypes of :meth:`sum`."""
        return self._accumulated(self.namespace.cumulative_sum, x, axis=axis)

    def cumulative_prod(self, x: Array, axis: int) -> Array:
        """Running products along ``axis``, in the dtypes of :meth:`sum`."""
        return self._accumulated(self.namespace.cumulative_prod, x, axis=axis)

    @abstractmethod
    def cumulative_max(self, x: Array, axis: int) -> Array:
        """Running maxima along ``axis``; nan from the first nan on."""

    def sort(self, x: Array, axis: int = -1, descending: bool = False,
             stable: bool = True) -> Array:
        """Values in order along ``axis``; nan counts as the largest."""
        return self.namespace.sort(x, axis=axis, descending=descending, stable=stable)

    def argsort(self, x: Array, axis: int = -1, descending: bool = False,
                stable: bool = True) -> Array:
        """The places of the sorted values; with ``stable``, equal values keep their order."""
        return self.namespace.argsort(x, axis=axis, descending=descending, stable=stable)

    # --- products and special functions ------------------------------------------

    @abstractmethod
    def einsum(self, subscripts: str, *xs: Array) -> Array:
        """The sum of products that ``subscripts`` describes, as ``numpy.einsum`` reads it."""

    @cached_property
    def linalg(self) -> Linalg:
        """Linear algebra on stacks of matrices."""
        return Linalg(self)

    def zero_safe_multiply(self, d: Array, r: Array) -> Array:
        """``d * r``, but exactly 0 wherever ``d`` is 0, even where ``r`` is infinite or nan.

        The chain rule at the edge of a domain: where nothing comes back, nothing goes on.  In a
        pass, a bfloat16 that met a Python number may be float32, so the dtypes need not be equal.
        """
        with self.quiet():
            return self._zero_where(d, d * r)

    def zero_safe_divide(self, d: Array, r: Array) -> Array:
        """``d / r``, but exactly 0 wherever ``d`` is 0, even where ``r`` is 0 or nan."""
        with self.quiet():
            return self._zero_where(d, d / r)

    def _zero_where(self, d: Array, out: Array) -> Array:
        """``out``, but 0 wherever ``d`` is 0."""
        return self.namespace.where(d == 0, 0, out)

    @abstractmethod
    def special(self, name: str, x: Array) -> Array:
        """The function that SciPy calls ``name``, in the dtype of ``x``; of halves via float32."""

    @abstractmethod
    def polygamma(self, n: int, x: Array) -> Array:
        """The ``n``-th derivative of digamma, in the dtype of ``x``."""

    def erf(self, x: Array) -> Array:
        """The error function."""
        return self.special("erf", x)

    def erfc(self, x: Array) -> Array:
        """One minus the error function, without cancellation."""
        return self.special("erfc", x)

    def erfinv(self, x: Array) -> Array:
        """The inverse of the error function."""
        return self.special("erfinv", x)

    def lgamma(self, x: Array) -> Array:
        """The logarithm of the absolute value of the gamma function."""
        return self.special("gammaln", x)

    def digamma(self, x: Array) -> Array:
        """The derivative of lgamma."""
        return self.special("psi", x)

    # --- windows over all axes but the first and the last -----------------------------

    columns_at_once: int = 2**26
    """How many elements of windows a convolution lays out before it multiplies them: at least a row."""

    def windows(self, x: Array, window: Shape, stride: Shape, dilation: Shape) -> Array:
        """What every position of a window holds, (first, *window, *positions, last); perhaps a view."""
        parts = [x[place] for place in window_places(x.shape[1:-1], window, stride, dilation)]
        shape = (x.shape[0], *window, *parts[0].shape[1:])
        return self.namespace.reshape(self.namespace.stack(parts, axis=1), shape)

    # --- in place, for arrays that nobody else can see -----------------------------

    def add_windows_(self, out: Array, x: Array, stride: Shape, dilation: Shape, row: int = 0) -> Array:
        """``out`` after what every window holds was added in place where the window lies.

        The adjoint of :meth:`windows`; ``x`` has its layout.  The windows start at ``row`` of axis 1.
        """
        for offset, place in places_of_columns(x.shape, stride, dilation, row):
            self._add_part(out, place, x[offset])
        return out

    def _add_part(self, out: Array, place: Index, x: Array) -> None:
        out[place] += x

    def add_(self, out: Array, x: Any) -> Array:
        """``out`` after ``x`` was added to it in place."""
        out += x
        return out

    def multiply_(self, out: Array, x: Any) -> Array:
        """``out`` after it was multiplied by ``x`` in place."""
        out *= x
        return out


def reduced_size(shape: Shape, axis: Axis) -> int:
    """How many elements a reduction of ``shape`` along ``axis`` puts together."""
    if axis is None:
        return math.prod(shape)
    if isinstance(axis, int):
        return shape[axis]
    return math.prod(shape[a] for a in axis)
