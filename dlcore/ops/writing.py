"""Writing into a part of an array, which here means a new array: ``x.at[index].set(values)``."""

from __future__ import annotations

from typing import Any

from backends import get_backend, host
from dlcore.core import Array, Primitive, V, Value, broadcast_to, dtype_of
from dlcore.ops.arithmetic import add
from dlcore.ops.indexing import Index, Static, at_hand, beside, filled, gathered, parsed, scattered
from dlcore.samples import sample
from dlcore.shaping import ARRAY, indexed_shape


def _index_set(xp: Any, x: Array, values: Array, *indices: Array, index: Static) -> Array:
    values = values if hasattr(values, "dtype") else xp.asarray(values, x.dtype)
    return xp.index_set(x, filled(xp, indices, index), values)


index_set_p: Primitive = Primitive(
    "index_set",
    _index_set,
    lambda s, t, *indices, index: s,
    (
        lambda g, out, x, values, *indices, index: index_set_p(g, 0.0, *indices, index=index),
        lambda g, out, x, values, *indices, index: gathered(g, indices, index),
    ),
    (
        lambda t, out, x, values, *indices, index: index_set_p(t, 0.0, *indices, index=index),
        lambda t, out, x, values, *indices, index: scattered(t, indices, index, out.shape),
    ),
    samples=[
        sample("4 b, 2 b", index=(slice(1, 3),)),
        sample("4, ", index=(-1,)),
        sample("a 3, 1 3, #a 1", index=(ARRAY,)),
    ],
    reads="indices",
    promotes=(0, 1),
    of_complex=True,
)


class At:
    """What ``x.at`` is: take an index in square brackets, then ``set`` or ``add`` a value there."""

    __slots__ = ("x",)

    def __init__(self, x: Value) -> None:
        self.x = x

    def __getitem__(self, index: Index) -> Place:
        return Place(self.x, *parsed(self.x, index))


class Place:
    """Part of an array, to make a new array in which that part differs."""

    __slots__ = ("arrays", "index", "x")

    def __init__(self, x: Value, index: Static, arrays: list[Value]) -> None:
        self.x, self.index, self.arrays = x, index, arrays

    def set(self, values: Any) -> Any:
        """The array with ``values``, which broadcast, in this place.

        Raises:
            ValueError: an element is named twice, as far as the indices are in host memory.
        """
        self._refuse_repetition()
        return index_set_p(self.x, self._fitted(values), *self.arrays, index=self.index)

    def add(self, values: Any) -> Any:
        """The array with ``values``, which broadcast, added in this place; twice to what is named twice."""
        return add(self.x, scattered(self._fitted(values), self.arrays, self.index, self.x.shape))

    def _fitted(self, values: Any) -> V:
        shape = indexed_shape(self.x.shape, *(i.shape for i in self.arrays), index=self.index)
        if not isinstance(values, Value):
            dtype = dtype_of(self.x)  # data adopt a float dtype; floats turn integers into floats, as ever
            values = beside(self.x, host.array(values, dtype if dtype.kind in ("float", "complex") else None))
        return broadcast_to(values, shape)

    def _refuse_repetition(self) -> None:
        arrays = [at_hand(i) for i in self.arrays]
        if not arrays or any(a is None for a in arrays):
            return
        cpu = get_backend("cpu")
        found = cpu.getitem(cpu.ones(self.x.shape, "int64"), filled(cpu, arrays, self.index))
        counts = cpu.index_add(self.x.shape, filled(cpu, arrays, self.index), found)
        if counts.size and counts.max() > 1:
            raise ValueError(
                f"at[...].set: an element of shape {self.x.shape} is named twice, so its value would "
                "be anyone's guess; name each once, or use add"
            )


def at(x: V) -> At:
    """``x`` ready to be changed in a place: ``at(x)[index].set(values)`` or ``.add(values)``.

    Nothing is written to; the result is a new array.

        >>> import dlcore as dl
        >>> at(dl.zeros(4))[1:3].set(5.0)
        tensor([0., 5., 5., 0.], float32)
    """
    return At(x)
