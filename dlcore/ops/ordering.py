"""Sorting: the places of elements in order, and the elements there."""

from __future__ import annotations

from typing import Any, NamedTuple

from backends import DType
from backends.dtypes import int64
from dlcore.core import Array, Primitive, Unary, V
from dlcore.dispatch import wants_tensors
from dlcore.ops.indexing import add_along_p, take_along_axis_p
from dlcore.samples import DISTINCT, sample
from dlcore.shaping import Shape, normalized_axis


class TopK(NamedTuple):
    """The largest elements and where they were."""

    values: V
    indices: V


def _topk_shape(s: Shape, *, k: int, axis: int, descending: bool) -> tuple[Shape, Shape]:
    if not 0 <= k <= s[axis]:
        raise ValueError(f"k={k} elements cannot be picked along axis {axis} of shape {s}")
    shape = (*s[:axis], k, *s[axis + 1:])
    return shape, shape


def _topk(xp: Any, x: Array, *, k: int, axis: int, descending: bool) -> tuple[Array, Array]:
    if not 0 <= k <= x.shape[axis]:
        raise ValueError("k")
    places = xp.argsort(x, axis=axis, descending=descending, stable=True)
    if k < x.shape[axis]:
        places = xp.getitem(places, (slice(None),) * axis + (slice(0, k),))
    places = xp.astype(places, int64)
    return xp.take_along_axis(x, places, axis), places


def _with_places(dtypes: list[DType], **params: Any) -> Any:  # one dtype for each output
    return dtypes[0], int64


topk_p: Primitive = Primitive(
    "topk",
    _topk,
    _topk_shape,
    (lambda g, out, x, *, axis, **params: add_along_p(g[0], out[1], size=x.shape[axis], axis=axis),),
    (lambda t, out, x, *, axis, **params: (take_along_axis_p(t, out[1], axis=axis), None),),
    samples=[
        sample("a 3", DISTINCT, k=2, axis=1, descending=True),
        sample("4 b", DISTINCT, k=4, axis=0, descending=False),
    ],
    result=_with_places,
    reads="out",
    outputs=TopK._make,
)
argsort_p: Primitive = Unary(
    "argsort",
    lambda xp, x, *, axis, descending: xp.astype(
        xp.argsort(x, axis=axis, descending=descending, stable=True), int64
    ),
    lambda s, *, axis, descending: s,
    result="int64",
    samples=[
        sample("a b", DISTINCT, axis=1, descending=False),
        sample("a", DISTINCT, axis=0, descending=True),
    ],
)
searchsorted_p: Primitive = Primitive(
    "searchsorted", lambda xp, x, values, *, side: xp.astype(xp.searchsorted(x, values, side=side), int64),
    lambda s, t, *, side: t, result="int64",
    samples=[sample("1, a b", side="left"), sample("1, ", side="right")])


@wants_tensors
def sort(x: V, axis: int = -1, *, descending: bool = False, stable: bool = True) -> V:
    """``x`` in order along ``axis``; equal elements keep their order, and each its gradient; nan comes last.

        >>> import dlcore as dl
        >>> dl.sort(dl.tensor([3, 1, 2])).tolist()
        [1, 2, 3]
    """
    axis = normalized_axis(axis, len(x.shape))
    return topk_p(x, k=x.shape[axis], axis=axis, descending=descending).values


@wants_tensors
def argsort(x: V, axis: int = -1, *, descending: bool = False, stable: bool = True) -> V:
    """Where the elements of ``x`` in order along ``axis`` were; equal ones keep their order.

        >>> import dlcore as dl
        >>> dl.argsort(dl.tensor([3, 1, 2])).tolist()
        [1, 2, 0]
    """
    return argsort_p(x, axis=normalized_axis(axis, len(x.shape)), descending=descending)


@wants_tensors
def topk(x: V, k: int, axis: int = -1) -> TopK:
    """The ``k`` largest elements of ``x`` along ``axis``, the largest first, and their indices.

        >>> import dlcore as dl
        >>> values, indices = dl.topk(dl.tensor([3.0, 1.0, 2.0]), 2)
        >>> values.tolist(), indices.tolist()
        ([3.0, 2.0], [0, 2])
    """
    return topk_p(x, k=k, axis=normalized_axis(axis, len(x.shape)), descending=True)


@wants_tensors
def searchsorted(x: V, values: V, side: str = "left") -> V:
    """Where ``values`` belong in ``x``, 1-d and sorted: before equal elements, or after (``"right"``).

        >>> import dlcore as dl
        >>> dl.searchsorted(dl.tensor([1.0, 2.0, 3.0]), dl.tensor([2.5, 1.0])).tolist()
        [2, 0]
    """
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side {side!r} must be 'left' or 'right'")
    if len(x.shape) != 1:
        raise ValueError(f"searchsorted: looks in a 1-d array, got shape {x.shape}")
    return searchsorted_p(x, values, side=side)
