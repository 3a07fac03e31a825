"""The arithmetic and the few methods that every kind of value has, spelled with :mod:`dlcore.ops`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

from backends import DType, as_dtype
from dlcore import ops
from dlcore.core import Value, cast
from dlcore.shaping import Axis

Operand = Any  # a value, a Python number, or (on the CPU) a NumPy array or a list


class Operators(Value):
    """What tensors and symbols have in common: operators, and a method where a NumPy array has one."""

    __slots__ = ()
    __array_ufunc__ = None  # a NumPy array on the left defers to the reflected operators
    __hash__ = object.__hash__  # == is elementwise

    def __add__(self, other: Operand) -> Self: return ops.add(self, other)
    def __radd__(self, other: Operand) -> Self: return ops.add(other, self)
    def __sub__(self, other: Operand) -> Self: return ops.subtract(self, other)
    def __rsub__(self, other: Operand) -> Self: return ops.subtract(other, self)
    def __mul__(self, other: Operand) -> Self: return ops.multiply(self, other)
    def __rmul__(self, other: Operand) -> Self: return ops.multiply(other, self)
    def __truediv__(self, other: Operand) -> Self: return ops.divide(self, other)
    def __rtruediv__(self, other: Operand) -> Self: return ops.divide(other, self)
    def __matmul__(self, other: Operand) -> Self: return ops.matmul(self, other)
    def __rmatmul__(self, other: Operand) -> Self: return ops.matmul(other, self)
    def __pow__(self, other: Operand) -> Self: return ops.pow(self, other)
    def __rpow__(self, other: Operand) -> Self: return ops.pow(other, self)
    def __mod__(self, other: Operand) -> Self: return ops.remainder(self, other)
    def __rmod__(self, other: Operand) -> Self: return ops.remainder(other, self)
    def __neg__(self) -> Self: return ops.negative(self)
    def __pos__(self) -> Self: return self
    def __abs__(self) -> Self: return ops.abs(self)
    def __eq__(self, other: Operand) -> Self: return ops.equal(self, other)  # type: ignore[override]  # elementwise
    def __ne__(self, other: Operand) -> Self: return ops.not_equal(self, other)  # type: ignore[override]  # likewise
    def __lt__(self, other: Operand) -> Self: return ops.less(self, other)
    def __le__(self, other: Operand) -> Self: return ops.less_equal(self, other)
    def __gt__(self, other: Operand) -> Self: return ops.greater(self, other)
    def __ge__(self, other: Operand) -> Self: return ops.greater_equal(self, other)
    def __and__(self, other: Operand) -> Self: return ops.logical_and(self, other)
    def __rand__(self, other: Operand) -> Self: return ops.logical_and(other, self)
    def __or__(self, other: Operand) -> Self: return ops.logical_or(self, other)
    def __ror__(self, other: Operand) -> Self: return ops.logical_or(other, self)
    def __xor__(self, other: Operand) -> Self: return ops.logical_xor(self, other)
    def __rxor__(self, other: Operand) -> Self: return ops.logical_xor(other, self)
    def __invert__(self) -> Self: return ops.logical_not(self)
    def __getitem__(self, index: Any) -> Self: return ops.getitem(self, index)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d tensor; it has no axis to count along")
        return self.shape[0]

    def __iter__(self) -> Iterator[Self]:
        return iter([self[i] for i in range(len(self))])

    def __contains__(self, item: Any) -> bool:
        raise TypeError("'in' has no meaning for tensors; write dl.any(x == item)")

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many elements there are."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    @property
    def T(self) -> Self:
        """The axes in reverse order."""
        return ops.permute_dims(self, range(self.ndim - 1, -1, -1))

    @property
    def mT(self) -> Self:
        """The last two axes exchanged."""
        return ops.matrix_transpose(self)

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Self: return ops.sum(self, axis, keepdims)
    def mean(self, axis: Axis = None, keepdims: bool = False) -> Self: return ops.mean(self, axis, keepdims)
    def prod(self, axis: Axis = None, keepdims: bool = False) -> Self: return ops.prod(self, axis, keepdims)
    def max(self, axis: Axis = None, keepdims: bool = False) -> Self: return ops.max(self, axis, keepdims)
    def min(self, axis: Axis = None, keepdims: bool = False) -> Self: return ops.min(self, axis, keepdims)
    def any(self, axis: Axis = None, keepdims: bool = False) -> Self: return ops.any(self, axis, keepdims)
    def all(self, axis: Axis = None, keepdims: bool = False) -> Self: return ops.all(self, axis, keepdims)

    def var(self, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Self:
        return ops.var(self, axis, correction, keepdims)

    def std(self, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Self:
        return ops.std(self, axis, correction, keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Self: return ops.argmax(self, axis, keepdims)
    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Self: return ops.argmin(self, axis, keepdims)
    def cumsum(self, axis: int | None = None) -> Self: return ops.cumsum(self, axis)
    def squeeze(self, axis: Axis = None) -> Self: return ops.squeeze(self, axis)
    def clip(self, min: Operand = None, max: Operand = None) -> Self: return ops.clip(self, min, max)
    def round(self) -> Self: return ops.round(self)
    def take(self, indices: Any, axis: int | None = None) -> Self: return ops.take(self, indices, axis)

    def reshape(self, *shape: int | Sequence[int]) -> Self:
        """The same elements in another shape, given as numbers or as one tuple."""
        return ops.reshape(self, shape[0] if len(shape) == 1 else shape)  # type: ignore[arg-type]  # ints by now

    def transpose(self, *axes: int | Sequence[int]) -> Self:
        """The axes in the order given, or reversed if none is."""
        if not axes:
            return self.T
        return ops.permute_dims(self, axes if isinstance(axes[0], int) else axes[0])  # type: ignore[arg-type]

    def astype(self, dtype: Any) -> Self:
        """The same values in another dtype; recorded, the gradient comes back in this one."""
        wanted: DType = as_dtype(dtype)
        return cast(self, wanted)
