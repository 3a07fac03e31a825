"""Primitives that move numbers without changing them.

All are linear and come in adjoint pairs: what one moves there, its transpose moves back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlcore.core import Array, Primitive, V, linear
from dlcore.core import broadcast_to as _broadcast_to
from dlcore.dispatch import wants_tensors
from dlcore.samples import sample
from dlcore.shaping import Axis, Shape, normalized_axes, normalized_axis, reshaped

# --- reshape --------------------------------------------------------------------------------------

reshape_p: Primitive = linear(
    "reshape",
    lambda xp, x, *, shape: xp.reshape(x, shape),
    shape=reshaped,
    transpose=lambda g, x, *, shape: reshape(g, x.shape),
    samples=[sample("a b", shape=lambda s: (s["b"], s["a"])), sample("a b", shape=(-1,)),
             sample("1 a", shape=lambda s: (s["a"],))],
)


@wants_tensors
def reshape(x: V, shape: int | Sequence[int]) -> V:
    """``x`` with the same elements in row-major order; one size may be -1.

        >>> import dlcore as dl
        >>> dl.reshape(dl.arange(6), (2, -1)).shape
        (2, 3)
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return x if x.shape == shape else reshape_p(x, shape=shape)


@wants_tensors
def squeeze(x: V, axis: Axis = None) -> V:
    """``x`` without axes of size 1: those in ``axis``, or all of them.

    Raises:
        ValueError: an axis in ``axis`` has another size.
    """
    axes = [i for i, n in enumerate(x.shape) if n == 1] if axis is None else normalized_axes(axis, x.ndim)
    if any(x.shape[i] != 1 for i in axes):
        raise ValueError(f"squeeze: axis {axis} of shape {x.shape} is not of size 1")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


@wants_tensors
def expand_dims(x: V, axis: int | Sequence[int] = 0) -> V:
    """``x`` with new axes of size 1, so that they stand at ``axis`` in the result."""
    given = (axis,) if isinstance(axis, int) else tuple(axis)
    axes = normalized_axes(given, len(x.shape) + len(given))
    sizes = iter(x.shape)
    return reshape(x, tuple(1 if i in axes else next(sizes) for i in range(len(x.shape) + len(given))))


@wants_tensors
def flatten(x: V, start_axis: int = 0, end_axis: int = -1) -> V:
    """``x`` with the axes from ``start_axis`` to ``end_axis``, both included, made one."""
    if not x.shape:
        return reshape(x, (1,))
    start, end = normalized_axis(start_axis, x.ndim), normalized_axis(end_axis, x.ndim)
    if end < start:
        raise ValueError(f"flatten: end_axis {end_axis} comes before start_axis {start_axis}, in shape "
                         f"{x.shape}")
    size = 1
    for n in x.shape[start:end + 1]:
        size *= n
    return reshape(x, (*x.shape[:start], size, *x.shape[end + 1:]))


# --- the order of axes ----------------------------------------------------------------------------


def _permuted(s: Shape, *, axes: tuple[int, ...]) -> Shape:
    if sorted(a % max(len(s), 1) for a in axes) != list(range(len(s))):
        raise ValueError(f"axes {axes} do not order the {len(s)} axes of shape {s}")
    return tuple(s[a] for a in axes)


def _inverse(axes: Sequence[int]) -> list[int]:
    """The order that undoes ``axes``."""
    return sorted(range(len(axes)), key=lambda i: axes[i] % len(axes))


permute_dims_p: Primitive = linear(
    "permute_dims",
    lambda xp, x, *, axes: xp.permute_dims(x, axes),
    shape=_permuted,
    transpose=lambda g, x, *, axes: permute_dims(g, _inverse(axes)),
    samples=[sample("a b c", axes=(2, 0, 1)), sample("a b", axes=(1, 0)), sample("a b c", axes=(-1, 0, 1))],
)


def permute_dims(x: V, axes: Sequence[int]) -> V:
    """``x`` with its axes in the order given.

        >>> import dlcore as dl
        >>> dl.permute_dims(dl.zeros((2, 3, 4)), (2, 0, 1)).shape
        (4, 2, 3)
    """
    return permute_dims_p(x, axes=tuple(axes))


@wants_tensors
def swapaxes(x: V, axis1: int, axis2: int) -> V:
    """``x`` with two axes exchanged."""
    i, j = normalized_axis(axis1, len(x.shape)), normalized_axis(axis2, len(x.shape))
    axes = list(range(len(x.shape)))
    axes[i], axes[j] = j, i
    return permute_dims(x, axes)


@wants_tensors
def moveaxis(x: V, source: int | Sequence[int], destination: int | Sequence[int]) -> V:
    """``x`` with the axes ``source`` moved to ``destination``, the others keeping their order."""
    ndim = len(x.shape)
    given = [(a,) if isinstance(a, int) else tuple(a) for a in (source, destination)]
    froms, tos = ([normalized_axis(a, ndim) for a in axes] for axes in given)
    if len(froms) != len(tos) or len(set(froms)) != len(froms) or len(set(tos)) != len(tos):
        raise ValueError(f"moveaxis: {source} and {destination} must be as many distinct axes each")
    axes = [a for a in range(ndim) if a not in froms]
    for to, source_axis in sorted(zip(tos, froms, strict=True)):
        axes.insert(to, source_axis)
    return permute_dims(x, axes)


def _matrix_transposed(s: Shape) -> Shape:
    if len(s) < 2:
        raise ValueError(f"needs at least two axes, got shape {s}")
    return (*s[:-2], s[-1], s[-2])


matrix_transpose: Primitive = linear(  # on its own, not permute_dims: every matmul's gradient takes two
    "matrix_transpose", lambda xp, x: x.mT, _matrix_transposed, lambda g, x: matrix_transpose(g),
    samples=[sample("a b"), sample("a b c")],
)


@wants_tensors
def flip(x: V, axis: Axis = None) -> V:
    """``x`` with the elements along ``axis`` in reverse order; None means every axis."""
    return flip_p(x, axis=normalized_axes(axis, len(x.shape)))


def roll(x: V, shift: int | Sequence[int], axis: Axis = None) -> V:
    """``x`` rolled by ``shift`` places along ``axis``; what leaves at one end enters at the other.

    Without ``axis`` the flattened elements are rolled.
    """
    return roll_p(x, shift=shift if isinstance(shift, int) else tuple(shift),
                  axis=axis if axis is None or isinstance(axis, int) else tuple(axis))


def _opposite(shift: int | Sequence[int]) -> int | tuple[int, ...]:
    return -shift if isinstance(shift, int) else tuple(-n for n in shift)


flip_p: Primitive = linear(
    "flip", lambda xp, x, *, axis: xp.flip(x, axis=axis), lambda s, *, axis: s,
    lambda g, x, *, axis: flip(g, axis),
    samples=[sample("a b", axis=(0,)), sample("a b c", axis=(0, 2))],
)
roll_p: Primitive = linear(
    "roll", lambda xp, x, *, shift, axis: xp.roll(x, shift, axis=axis), lambda s, *, shift, axis: s,
    lambda g, x, *, shift, axis: roll(g, _opposite(shift), axis),
    samples=[sample("3 b", shift=1, axis=0), sample("3 4", shift=(1, -2), axis=(0, 1)),
             sample("a 3", shift=2, axis=None)],
)

# --- copies ---------------------------------------------------------------------------------------


@wants_tensors
def broadcast_to(x: V, shape: Sequence[int]) -> V:
    """``x`` repeated along new and size-1 axes until it has ``shape``.

        >>> import dlcore as dl
        >>> dl.broadcast_to(dl.tensor([1, 2]), (2, 2)).tolist()
        [[1, 2], [1, 2]]
    """
    return _broadcast_to(x, tuple(shape))


@wants_tensors
def tile(x: V, repetitions: Sequence[int]) -> V:
    """``x`` laid out ``repetitions`` times along each axis; missing ones count as 1."""
    repetitions = tuple(repetitions)
    ndim = max(len(repetitions), len(x.shape))
    counts = (1,) * (ndim - len(repetitions)) + repetitions
    sizes = (1,) * (ndim - len(x.shape)) + tuple(x.shape)
    apart = tuple(n for size in sizes for n in (1, size))
    copies = tuple(n for pair in zip(counts, sizes, strict=True) for n in pair)
    return reshape(broadcast_to(reshape(x, apart), copies),
                   tuple(c * n for c, n in zip(counts, sizes, strict=True)))


@wants_tensors
def repeat(x: V, repeats: int, axis: int | None = None) -> V:
    """``x`` with every element repeated ``repeats`` times in place along ``axis``.

    Without ``axis`` the flattened elements are repeated.
    """
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = normalized_axis(axis, len(x.shape))
    apart = (*x.shape[:axis + 1], 1, *x.shape[axis + 1:])
    copies = (*x.shape[:axis + 1], repeats, *x.shape[axis + 1:])
    return reshape(broadcast_to(reshape(x, apart), copies),
                   (*x.shape[:axis], x.shape[axis] * repeats, *x.shape[axis + 1:]))


@wants_tensors
def meshgrid(*xs: V, indexing: str = "xy") -> tuple[V, ...]:
    """The coordinates of a grid: each of ``xs``, at most 1-d, repeated along the axes of the others.

    Args:
        xs: the coordinates along each axis.
        indexing: ``"xy"``, the first along the columns and the second along the rows; or ``"ij"``, the
            first along the first axis.

        >>> import dlcore as dl
        >>> x, y = dl.meshgrid(dl.arange(3), dl.arange(2))
        >>> x.tolist(), y.tolist()
        ([[0, 1, 2], [0, 1, 2]], [[0, 0, 0], [1, 1, 1]])
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
    if any(len(x.shape) > 1 for x in xs):
        raise ValueError(f"meshgrid: takes 1-d arrays, got shapes {', '.join(str(x.shape) for x in xs)}")
    places = list(range(len(xs)))
    if indexing == "xy":
        places[:2] = places[:2][::-1]
    sizes = [0] * len(xs)
    for place, x in zip(places, xs, strict=True):
        sizes[place] = x.shape[0] if x.shape else 1
    lines = [reshape(x, tuple(-1 if i == place else 1 for i in range(len(xs))))
             for place, x in zip(places, xs, strict=True)]
    return tuple(broadcast_to(line, sizes) for line in lines)


# --- triangles ------------------------------------------------------------------------------------


def _triangle(name: str) -> Primitive:
    def forward(xp: Any, x: Array, *, k: int) -> Array:
        return getattr(xp, name)(x, k=k)

    def transpose(g: V, x: V, *, k: int) -> V:
        return primitive(g, k=k)

    primitive = linear(name, forward, lambda s, *, k: s, transpose,
                       samples=[sample("a b", k=0), sample("2 3 3", k=1), sample("3 3", k=-1)])
    return primitive


_tril, _triu = _triangle("tril"), _triangle("triu")


def tril(x: V, k: int = 0) -> V:
    """The matrices in ``x`` with zeros above the ``k``-th diagonal; k = 0 is the main one."""
    return _tril(x, k=k)


def triu(x: V, k: int = 0) -> V:
    """The matrices in ``x`` with zeros below the ``k``-th diagonal; k = 0 is the main one."""
    return _triu(x, k=k)
