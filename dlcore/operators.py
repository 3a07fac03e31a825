"""The arithmetic and the few methods that every kind of value has, spelled with :mod:`dlcore.ops`."""



from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, Self

from backends import DType, as_dtype
from dlcore import ops
from dlcore.core import Binary, Primitive, Value, cast, dtype_of

Operand = Any  # a value, a Python number, or (on the CPU) a NumPy array or a list


def _method(primitive: Primitive) -> Callable[[Any, Operand], Any]:
    """``primitive`` as a method: a plain function, which Python calls faster than an object."""
    assert isinstance(primitive, Binary)
    return primitive.call


def _reflected(primitive: Primitive) -> Callable[[Any, Operand], Any]:
    """``primitive`` with its arguments exchanged, for a number or an array on the left."""
    call = _method(primitive)
    return lambda self, other: call(other, self)


def _augmented(call: Callable[[Any, Operand], Any], symbol: str) -> Callable[[Any, Operand], Any]:
    """``call`` as an augmented assignment, which would cut the tie between a leaf and its gradient."""
    def assigned(self: Any, other: Operand) -> Any:
        node = self.node
        if node is not None and node.primitive is None and node.out() is self:
            raise TypeError(f"x {symbol}= v would leave a new tensor in place of one that gathers gradients; "
                            f"use an optimizer or x.data = ... to change it, or write y = x {symbol} v")
        return call(self, other)

    return assigned


def _truth(call: Callable[[Any, Operand], Any], symbol: str) -> Callable[[Any, Operand], Any]:
    """``call`` for booleans only: of integers NumPy and PyTorch would combine the bits."""
    def combined(self: Any, other: Operand) -> Any:
        for x in (self, other):
            if type(x) is int or (isinstance(x, Value) and _dtype_kind(x) not in ("bool", None)):
                raise TypeError(f"{symbol} combines booleans, got {getattr(x, 'dtype', 'int')}; "
                                "compare first, as in (x > 0) & (y > 0)")
        return call(self, other)

    return combined


def _dtype_kind(x: Any) -> str | None:
    """The kind of a value's dtype, None for one that has no dtype yet: a node of a graph."""
    return dtype_of(x).kind if x.level <= 1 else None


class Operators(Value):
    """What tensors and symbols have in common: operators, and a method where a NumPy array has one."""

    __slots__ = ()
    __array_ufunc__ = None  # a NumPy array on the left defers to the reflected operators
    __hash__ = object.__hash__  # == is elementwise

    __add__, __radd__ = _method(ops.add), _reflected(ops.add)
    __sub__, __rsub__ = _method(ops.subtract), _reflected(ops.subtract)
    __mul__, __rmul__ = _method(ops.multiply), _reflected(ops.multiply)
    __truediv__, __rtruediv__ = _method(ops.divide), _reflected(ops.divide)
    __matmul__, __rmatmul__ = _method(ops.matmul), _reflected(ops.matmul)
    __floordiv__, __rfloordiv__ = _method(ops.floor_divide), _reflected(ops.floor_divide)
    __mod__, __rmod__ = _method(ops.remainder), _reflected(ops.remainder)
    __and__ = __rand__ = _truth(_method(ops.logical_and), "&")
    __or__ = __ror__ = _truth(_method(ops.logical_or), "|")
    __xor__ = __rxor__ = _truth(_method(ops.logical_xor), "^")
    __lt__, __le__ = _method(ops.less), _method(ops.less_equal)
    __gt__, __ge__ = _method(ops.greater), _method(ops.greater_equal)
    __eq__ = _method(ops.equal)  # elementwise, not a bool
    __ne__ = _method(ops.not_equal)  # likewise

    __iadd__, __isub__ = _augmented(__add__, "+"), _augmented(__sub__, "-")
    __imul__, __itruediv__ = _augmented(__mul__, "*"), _augmented(__truediv__, "/")
    __ifloordiv__ = _augmented(__floordiv__, "//")
    __imatmul__, __imod__ = _augmented(__matmul__, "@"), _augmented(__mod__, "%")
    __ipow__ = _augmented(ops.pow, "**")

    def __pow__(self, other: Operand) -> Self: return ops.pow(self, other)
    def __rpow__(self, other: Operand) -> Self: return ops.pow(other, self)
    def __neg__(self) -> Self: return ops.negative(self)
    def __pos__(self) -> Self: return self
    def __abs__(self) -> Self: return ops.abs(self)
    def __invert__(self) -> Self:
        if _dtype_kind(self) not in ("bool", None):
            raise TypeError(f"~ negates booleans, got {dtype_of(self)}; compare first, as in ~(x > 0)")
        return ops.logical_not(self)

    def __getitem__(self, index: Any) -> Self: return ops.getitem(self, index)

    @property
    def at(self) -> Any:
        """This array, to be changed in a place: ``x.at[i].set(v)`` and ``x.at[i].add(v)`` give new ones."""
        return ops.at(self)

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TypeError("x[i] = v would change an array that the history may still read; "
                        "write x = x.at[i].set(v), or x.at[i].add(v)")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise TypeError("a dlcore tensor does not turn into a NumPy array by itself; call .numpy()")

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

    # A function of ops whose first argument is the tensor is the method as it stands.
    sum, mean, prod, max, min = ops.sum, ops.mean, ops.prod, ops.max, ops.min
    any, all, argmax, argmin = ops.any, ops.all, ops.argmax, ops.argmin
    var, std, cumsum, squeeze, clip, take = ops.var, ops.std, ops.cumsum, ops.squeeze, ops.clip, ops.take

    def round(self) -> Self:
        """Every element rounded to a whole number, halves to the even one."""
        return ops.round(self)

    def reshape(self, *shape: int | Sequence[int]) -> Self:
        """The same elements in another shape, given as numbers or as one tuple."""
        sizes: Any = shape[0] if len(shape) == 1 else shape
        return ops.reshape(self, sizes)

    def transpose(self, *axes: int | Sequence[int]) -> Self:
        """The axes in the order given, or reversed if none is."""
        if not axes:
            return self.T
        return ops.permute_dims(self, axes if isinstance(axes[0], int) else axes[0])  # type: ignore[arg-type]

    def astype(self, dtype: Any) -> Self:
        """The same values in another dtype; recorded, the gradient comes back in this one."""
        wanted: DType = as_dtype(dtype)
        if ops.is_complex(self) and wanted.kind != "complex":
            raise TypeError(f"astype: {dtype_of(self)} to {wanted} would lose the imaginary part; "
                            "write dl.real(x), dl.abs(x) or x != 0 first")
        return cast(self, wanted)
