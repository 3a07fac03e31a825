"""Picking elements out of an array, and putting them back: two views of the same linear map.

``getitem`` and ``place`` are adjoint for indices without arrays, ``gather`` and ``scatter`` for those
with integer arrays, where a place that is named twice gathers both gradients.  Index arrays are
arguments of a primitive, because they may themselves be computed; the rest of an index is its
parameter, with :data:`~dlcore.shaping.ARRAY` where an array belongs.  A boolean mask becomes the
places where it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import index as whole
from typing import Any

from backends import backend_of, host
from backends.dtypes import as_dtype, int64
from dlcore import core
from dlcore.core import Array, Primitive, V, Value, broadcast_to, dtype_of, linear
from dlcore.dispatch import wants_tensors
from dlcore.ops.shapes import reshape
from dlcore.samples import sample
from dlcore.shaping import ARRAY, Shape, broadcast_shapes, indexed_shape, normalized_axis

Index = Any  # int, slice, None, Ellipsis, an integer or boolean array, or a tuple of these
Static = tuple[Any, ...]  # an index with ARRAY in place of arrays

# --- ints and slices ------------------------------------------------------------------------------


getitem_p = linear(
    "getitem", lambda xp, x, *, index: xp.getitem(x, index), indexed_shape,
    lambda g, x, *, index: place_p(g, shape=x.shape, index=index),
    samples=[sample("3 b", index=(-1,)), sample("a 4", index=(Ellipsis, slice(3, None, -2))),
             sample("3 b 2", index=(slice(0, 2), None, slice(None), 1)), sample("4", index=(2,))],
)
place_p: Primitive = linear(
    "place",
    lambda xp, x, *, shape, index: xp.index_add(shape, index, x),
    lambda s, *, shape, index: shape,
    lambda g, x, *, shape, index: getitem_p(g, index=index),
    samples=[
        sample("b", shape=lambda s: (3, s["b"]), index=(1,)),
        sample("2", shape=(5,), index=(slice(3, None, -2),)),
        sample("", shape=(3,), index=(0,)),
    ],
)


# --- integer arrays -------------------------------------------------------------------------------


def _put_back(g: V, out: V, x: V, *indices: V, index: Static) -> V:
    return scatter_p(g, *indices, shape=x.shape, index=index)


def filled(xp: Any, indices: Sequence[Array], index: Static) -> tuple[Any, ...]:
    """``index`` with its arrays."""
    arrays = iter(indices)
    return tuple(next(arrays) if type(entry) is str else entry for entry in index)


gather_p: Primitive = Primitive(
    "gather",
    lambda xp, x, *indices, index: xp.getitem(x, filled(xp, indices, index)),
    indexed_shape,
    (_put_back,),
    (lambda t, out, x, *indices, index: gather_p(t, *indices, index=index),),
    samples=[
        sample("a b, #a 3, #b 3", index=(ARRAY, ARRAY)),
        sample("a 2 b, #a 2 3", index=(ARRAY, slice(None), 0)),
        sample("2 a b, #b", index=(Ellipsis, ARRAY)),
        sample("a b, #a 2, #b", index=(ARRAY, None, ARRAY)),
    ],
    reads="indices",
    promotes=(0,),
    of_complex=True,
)
scatter_p: Primitive = Primitive(
    "scatter", lambda xp, x, *indices, shape, index: xp.index_add(shape, filled(xp, indices, index), x),
    lambda s, *indices, shape, index: shape,
    (lambda g, out, x, *indices, shape, index: gather_p(g, *indices, index=index),),
    (lambda t, out, x, *indices, shape, index: scatter_p(t, *indices, shape=shape, index=index),),
    samples=[sample("3 b, #a 3", shape=lambda s: (s["a"], s["b"]), index=(ARRAY,)),
             sample("2 3, #3 3", shape=(2, 4), index=(slice(None), ARRAY))],
    reads="indices", promotes=(0,),
    of_complex=True,
)


def _along(axis: int) -> Static:
    return (slice(None),) * axis + (ARRAY,)


take_p: Primitive = Primitive(
    "take", lambda xp, x, indices, *, axis: xp.take(x, indices, axis),
    lambda s, i, *, axis: indexed_shape(s, i, index=_along(axis)),
    (lambda g, out, x, indices, *, axis: scatter_p(g, indices, shape=x.shape, index=_along(axis)), None),
    (lambda t, out, x, indices, *, axis: take_p(t, indices, axis=axis), None),
    samples=[sample("a b, #a 4", axis=0), sample("a b, #b 2 3", axis=1), sample("a, #a", axis=0)],
    reads="indices", promotes=(0,),
    of_complex=True,
)


# --- along one axis, an index for each element ----------------------------------------------------


def along_shape(s: Shape, t: Shape, *, axis: int) -> Shape:
    """``t``, if indices of that shape pick along ``axis`` from an array of shape ``s``."""
    apart = [i for i in range(min(len(s), len(t))) if i != axis and s[i] != t[i]]
    if len(s) != len(t) or apart:
        raise ValueError(f"indices of shape {t} do not fit an array of shape {s}: all sizes but that of "
                         f"axis {axis} must agree")
    return t


def _add_along(xp: Any, x: Array, indices: Array, *, size: int, axis: int) -> Array:
    shape = (*x.shape[:axis], size, *x.shape[axis + 1:])
    ranges = (
        xp.reshape(xp.arange(0, n, 1, int64), (-1,) + (1,) * (x.ndim - i - 1)) for i, n in enumerate(x.shape)
    )
    return xp.index_add(shape, tuple(indices if i == axis else places for i, places in enumerate(ranges)), x)


take_along_axis_p: Primitive = Primitive(
    "take_along_axis", lambda xp, x, indices, *, axis: xp.take_along_axis(x, indices, axis), along_shape,
    (lambda g, out, x, indices, *, axis: add_along_p(g, indices, size=x.shape[axis], axis=axis), None),
    (lambda t, out, x, indices, *, axis: take_along_axis_p(t, indices, axis=axis), None),
    samples=[sample("a b, #a 3 b", axis=0), sample("a b, #b a 2", axis=1)], reads="indices", promotes=(0,),
    of_complex=True,
)
add_along_p: Primitive = Primitive(
    "add_along", _add_along, lambda s, t, *, size, axis: (*s[:axis], size, *s[axis + 1:]),
    (lambda g, out, x, indices, *, size, axis: take_along_axis_p(g, indices, axis=axis), None),
    (lambda t, out, x, indices, *, size, axis: add_along_p(t, indices, size=size, axis=axis), None),
    samples=[sample("a 3, #4 a 3", size=4, axis=1), sample("3 b, #a 3 b", size=lambda s: s["a"], axis=0)],
    reads="indices", promotes=(0,),
    of_complex=True,
)


# --- from what users write ------------------------------------------------------------------------


nonzero_p: Primitive = Primitive(  # as many results as the mask has places: its shape is not known before
    "nonzero", lambda xp, x: xp.nonzero(x), None, samples=[sample("? a b")], result="int64", outputs=tuple)


def _home(x: V) -> Any:
    return backend_of(x.array) if type(x) is core.Tensor else x.xp


def beside(x: V, data: Any) -> V:
    """``data``, an index or a label, as a value on the backend of ``x``; integers if it is empty.

    On the CPU a list or a NumPy array becomes a constant by itself, on a device only here: an index
    is data for an operation, and no value that is computed with.
    """
    if isinstance(data, Value) or not isinstance(x, Value):
        return data
    given = host.array(data)
    if given.size == 0 and not host.is_array(data):
        given = host.array(data, int64)
    xp = _home(x)
    if given.ndim == 0:  # made there, where an array would be copied there
        return core.Tensor(xp.full((), given.item(), given.dtype))
    return core.Tensor(xp.from_host(given))


@lru_cache(maxsize=1024)
def constant(xp: Any, values: tuple[float, ...], dtype: Any) -> Array:
    """``values`` as an array, copied to its device once: those of a layer are the same at every step."""
    return xp.asarray(list(values), dtype)


def settled(x: V, places: Sequence[int]) -> Any:
    """``places`` beside ``x``, as :func:`beside` has it, where they come from shapes alone."""
    return core.Tensor(constant(_home(x), tuple(places), int64)) if isinstance(x, Value) else places


def at_hand(indices: Any) -> Any:
    """The values of ``indices`` as a NumPy array if nobody has to wait for them, else None."""
    if type(indices) is core.Tensor:
        return indices.numpy() if indices.backend == "cpu" else None
    return None if isinstance(indices, Value) else host.array(indices)


def checked_range(name: str, what: str, indices: Any, size: int, low: int = 0) -> None:
    """Raise an IndexError unless ``indices`` are from ``low`` to ``size - 1``, as far as they are at hand."""
    values = at_hand(indices)
    if values is None or values.size == 0:
        return
    for extreme in (values.min().item(), values.max().item()):
        if not low <= extreme < size:
            raise IndexError(
                f"{name}: {what} {extreme} is out of range: there are {size}, from 0 to {size - 1}"
            )


def checked_bounds(name: str, x: V, indices: Any, axis: int) -> None:
    """Raise an IndexError if ``indices``, data of the host, leave an axis of ``x``: a device tells late."""
    if isinstance(indices, Value) or not isinstance(x, Value) or _home(x).family == "cpu":
        return  # the CPU tells at once
    values, size = host.array(indices), x.shape[axis]
    if values.size and values.dtype.kind in "iu":
        for extreme in (values.min().item(), values.max().item()):
            if not -size <= extreme < size:
                raise IndexError(f"{name}: index {extreme} is out of bounds for axis {axis} with size {size}")


def integral(name: str, x: V, data: Any) -> V:
    """``data`` as integer indices beside ``x``."""
    if isinstance(x, Value) and isinstance(data, int) and not isinstance(data, bool):
        data = host.array(data)
    indices = beside(x, data)
    if dtype_of(indices).kind != "int":
        raise TypeError(f"{name}: {dtype_of(indices)} cannot index; convert it to integers with astype")
    return indices


def parsed(x: Value, index: Index) -> tuple[Static, list[Value]]:
    """``index`` without its arrays, and those, masks being replaced by the places where they hold."""
    parts = index if isinstance(index, tuple) else (index,)
    entries = [_entry(x, e) for e in parts]
    used = sum(_axes(e) for e in entries)
    static: list[Any] = []
    arrays: list[Value] = []
    axis = 0
    for part, entry in zip(parts, entries, strict=True):
        if not isinstance(entry, Value):
            static.append(entry)
        elif dtype_of(entry).kind == "bool":
            size = tuple(x.shape[axis:axis + len(entry.shape)])
            if size != entry.shape:
                raise IndexError(
                    f"getitem: a mask of shape {entry.shape} at axis {axis} does not fit shape {x.shape}"
                )
            places = nonzero(entry)
            static += [ARRAY] * len(places)
            arrays += places
        else:
            if axis < len(x.shape):
                checked_bounds("getitem", x, part, axis)
            static.append(ARRAY)
            arrays.append(entry)
        axis += len(x.shape) - used if entry is Ellipsis else _axes(entry)
    return tuple(static), arrays


def _entry(x: Value, entry: Any) -> Any:
    """One part of an index: None, Ellipsis, a slice of ints, an int, or a value."""
    if entry is None or entry is Ellipsis:
        return entry
    if isinstance(entry, slice):
        return slice(
            *(None if part is None else whole(part) for part in (entry.start, entry.stop, entry.step))
        )
    if isinstance(entry, bool):
        raise TypeError(f"getitem: {entry} is no index; use None for a new axis, or a mask with axes")
    if isinstance(entry, int) or (host.is_scalar(entry) and as_dtype(entry.dtype).kind == "int"):
        return int(entry)
    if isinstance(entry, float | complex | str):
        raise TypeError(
            f"getitem: {entry!r} is no index; use ints, slices, None, ... and arrays of integers or booleans"
        )
    found = beside(x, entry)
    kind = dtype_of(found).kind
    if kind not in ("int", "bool") or (kind == "bool" and not found.shape):
        raise TypeError(
            f"getitem: {dtype_of(found)}{found.shape} cannot index; use integers, or a mask with axes"
        )
    return found


def _axes(entry: Any) -> int:
    """How many axes an entry of an index uses up."""
    if isinstance(entry, Value):
        return len(entry.shape) if dtype_of(entry).kind == "bool" else 1
    return 0 if entry is None or entry is Ellipsis else 1


def gathered(x: V, indices: Sequence[V], index: Static) -> V:
    """``x[index]`` for a parsed index."""
    if not indices:
        return getitem_p(x, index=index)
    return take_p(x, indices[0], axis=0) if index == (ARRAY,) else gather_p(x, *indices, index=index)


def scattered(x: V, indices: Sequence[V], index: Static, shape: Shape) -> V:
    """Zeros of ``shape`` with ``x`` added at a parsed index."""
    return (
        scatter_p(x, *indices, shape=shape, index=index) if indices else place_p(x, shape=shape, index=index)
    )


_BOUNDS = (int, type(None))


def getitem(x: V, index: Index) -> V:
    """``x[index]``, by NumPy's rules: what tensors do in square brackets.

    Index arrays may be lists, NumPy arrays or tensors; a place that is named twice gets the sum of
    both gradients.  The result of a mask has a shape that depends on its values, so it cannot be traced.

    Raises:
        IndexError: an index is out of range, or there are more of them than axes.
        TypeError: floats, strings and single booleans are no indices.

        >>> import dlcore as dl
        >>> x = dl.tensor([[1, 2], [3, 4], [5, 6]])
        >>> x[1:, 0].tolist(), x[[0, 0]].tolist(), x[x > 4].tolist()
        ([3, 5], [[1, 2], [1, 2]], [5, 6])
    """
    if type(index) is int or (type(index) is slice and type(index.start) in _BOUNDS
                              and type(index.stop) in _BOUNDS and type(index.step) in _BOUNDS):
        return getitem_p.call(x, {"index": (index,)})  # what loops over data do
    if host.is_array(index) and index.dtype.kind == "i" and x.shape:
        checked_bounds("getitem", x, index, 0)
        return take_p(x, beside(x, index), axis=0)  # and those over shuffled data
    static, arrays = parsed(x, index)
    return gathered(x, arrays, static)


@wants_tensors
def nonzero(x: V) -> tuple[V, ...]:
    """The places where ``x`` is not zero: for each axis of ``x`` an array of indices."""
    if not x.shape:
        raise ValueError("nonzero: a 0-d array has no axes to count places along")
    return nonzero_p(x)


@wants_tensors
def take(x: V, indices: Any, axis: int | None = None) -> V:
    """The slices of ``x`` along ``axis`` at ``indices`` of any shape; of the flat ``x`` without ``axis``.

        >>> import dlcore as dl
        >>> dl.take(dl.tensor([10, 20, 30]), [[2, 0], [-1, 2]]).tolist()
        [[30, 10], [30, 30]]
    """
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = normalized_axis(axis, len(x.shape))
    checked_bounds("take", x, indices, axis)
    indices = integral("take", x, indices)
    return take_p(x, indices, axis=axis)


@wants_tensors
def take_along_axis(x: V, indices: Any, axis: int = -1) -> V:
    """Of every line of ``x`` along ``axis``, the elements at that line of ``indices``.

    Both have as many axes, and broadcast along the others.

        >>> import dlcore as dl
        >>> x = dl.tensor([[3, 1, 2], [4, 6, 5]])
        >>> dl.take_along_axis(x, dl.argsort(x)).tolist()
        [[1, 2, 3], [4, 5, 6]]
    """
    axis = normalized_axis(axis, len(x.shape))
    checked_bounds("take_along_axis", x, indices, axis)
    indices = integral("take_along_axis", x, indices)
    if len(x.shape) != len(indices.shape):
        raise ValueError(
            f"take_along_axis: indices of shape {indices.shape} need as many axes as shape {x.shape}"
        )
    joint = broadcast_shapes(*((*s[:axis], 1, *s[axis + 1:]) for s in (x.shape, indices.shape)))
    x, indices = (broadcast_to(v, (*joint[:axis], v.shape[axis], *joint[axis + 1:])) for v in (x, indices))
    return take_along_axis_p(x, indices, axis=axis)
