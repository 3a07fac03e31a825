"""Windows that slide over images: what they hold, and its adjoint, the sum over overlapping windows.

An image may have any number of axes; in shapes, ``*s`` stands for them.  The primitives ``windows`` and
``add_windows`` work on (first, *s, last) and (first, *window, *positions, last), where the first and the
last axis are anything that is stacked; convolution has the images themselves last, because a copy of
windows then runs over whole rows of memory.  The rest is arithmetic on sizes that convolution and
pooling share, with the errors that name them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any, NamedTuple

from backends import promote
from backends.dtypes import float32
from dlcore.core import Array, Primitive, V, dtype_of, linear
from dlcore.dispatch import wants_tensors
from dlcore.ops.indexing import getitem_p
from dlcore.ops.joining import pad_p
from dlcore.ops.shapes import reshape
from dlcore.samples import operation, sample
from dlcore.shaping import Shape

Sizes = int | Sequence[int]
Widths = tuple[tuple[int, int], ...]  # of padding: before and after each axis

# --- sizes ----------------------------------------------------------------------------------------


def per_axis(name: str, what: str, value: Sizes, axes: int, least: int = 1) -> Shape:
    """``value``, one number or one for each axis, as a tuple.

    Raises:
        ValueError: there are more or fewer, or one is less than ``least``.
    """
    try:
        sizes = (index(value),) if hasattr(value, "__index__") else tuple(map(index, value))
    except TypeError:
        sizes = ()
    sizes = sizes * axes if len(sizes) == 1 else sizes
    if len(sizes) != axes or any(n < least for n in sizes):
        raise ValueError(f"{name}: {what} must be a whole number of at least {least}, or {axes} of them, "
                         f"one for each axis of an image; got {value!r}")
    return sizes


def batched(name: str, x: V, axes: int) -> tuple[V, bool]:
    """``x`` as (n, c, *s), and whether there was such an n."""
    if len(x.shape) not in (axes + 1, axes + 2):
        raise ValueError(f"{name}: x must be (n, c, {', '.join('dhw'[-axes:])}), or without n; it has shape "
                         f"{x.shape}")
    with_batch = len(x.shape) == axes + 2
    return (x if with_batch else reshape(x, (1, *x.shape))), with_batch


def unbatched(x: V, with_batch: bool) -> V:
    """``x`` without the axis that :func:`batched` put in front."""
    return x if with_batch else reshape(x, x.shape[1:])


def positions_of(sizes: Sequence[int], window: Shape, stride: Shape, padding: Widths,
                 dilation: Shape) -> Shape:
    """At how many positions along each axis a window lies within the padded image."""
    found = []
    for n, k, s, (before, after), d in zip(sizes, window, stride, padding, dilation, strict=True):
        room, reach = n + before + after, d * (k - 1) + 1
        if room < reach:
            raise ValueError(f"a window of {window} with dilation {dilation} reaches over {reach} elements, "
                             f"more than the {room} of images {tuple(sizes)} with padding {padding}")
        found.append((room - reach) // s + 1)
    return tuple(found)


def widened(xp: Any, x: Array) -> Array:
    """``x`` in float32 if it is of halves: what is added up must not be rounded meanwhile."""
    return xp.astype(x, promote(dtype_of(x), float32)) if dtype_of(x).kind == "float" else x


def images_last(xp: Any, x: Array) -> Array:
    """(n, ...) as (..., n): the order of what convolution computes, in memory too."""
    return xp.permute_dims(x, (*range(1, x.ndim), 0))


def images_first(xp: Any, x: Array) -> Array:
    """(..., n) as (n, ...)."""
    return xp.permute_dims(x, (x.ndim - 1, *range(x.ndim - 1)))


# --- the primitives -------------------------------------------------------------------------------


def _windows_shape(shape: Shape, *, window: Shape, stride: Shape, dilation: Shape) -> Shape:
    positions = positions_of(shape[1:-1], window, stride, ((0, 0),) * len(window), dilation)
    return (shape[0], *window, *positions, shape[-1])


def _add_windows(xp: Any, x: Array, *, sizes: Shape, stride: Shape, dilation: Shape) -> Array:
    out = xp.zeros((x.shape[0], *sizes, x.shape[-1]), widened(xp, x).dtype)
    return xp.astype(xp.add_windows_(out, x, stride, dilation), x.dtype)


def _add_windows_shape(shape: Shape, *, sizes: Shape, stride: Shape, dilation: Shape) -> Shape:
    return (shape[0], *sizes, shape[-1])


windows_p: Primitive = linear(
    "windows",
    lambda xp, x, *, window, stride, dilation: xp.windows(x, window, stride, dilation), _windows_shape,
    lambda g, x, *, window, stride, dilation: add_windows_p(
        g, sizes=x.shape[1:-1], stride=stride, dilation=dilation),
    samples=[sample("a 4 b", window=(2,), stride=(1,), dilation=(1,)),
             sample("a 5 6 b", window=(2, 3), stride=(2, 1), dilation=(1, 2)),
             sample("a 3 4 3 1", window=(1, 2, 3), stride=(2, 3, 1), dilation=(1, 2, 1))],
)
add_windows_p: Primitive = linear(
    "add_windows", _add_windows, _add_windows_shape,
    lambda g, x, *, sizes, stride, dilation: windows_p(
        g, window=x.shape[1:1 + len(sizes)], stride=stride, dilation=dilation),
    samples=[sample("a 2 3 b", sizes=(4,), stride=(1,), dilation=(1,)),
             sample("a 2 3 1 2 b", sizes=(5, 6), stride=(3, 1), dilation=(2, 2))],
)


# --- columns, in PyTorch's layout -----------------------------------------------------------------


class _Layout(NamedTuple):
    """Where the windows of ``unfold`` and ``fold`` lie."""

    window: Shape
    stride: Shape
    padding: Widths
    dilation: Shape

    @classmethod
    def of(cls, name: str, axes: int, kernel_size: Sizes, dilation: Sizes, padding: Sizes,
           stride: Sizes) -> _Layout:
        """The same from the arguments of ``name``."""
        return cls(per_axis(name, "kernel_size", kernel_size, axes), per_axis(name, "stride", stride, axes),
                   tuple((p, p) for p in per_axis(name, "padding", padding, axes, 0)),
                   per_axis(name, "dilation", dilation, axes))

    def positions(self, name: str, sizes: Sequence[int]) -> Shape:
        """At how many positions of each axis they lie in images of ``sizes``."""
        try:
            return positions_of(sizes, *self)
        except ValueError as reason:
            raise ValueError(f"{name}: {reason}") from None


def _rank(*given: Sizes) -> int:
    """How many axes an image has: two, unless an argument has more or fewer numbers."""
    return next((len(sizes) for sizes in given if isinstance(sizes, Sequence)), 2)


@operation([sample("a b 4 3", kernel_size=2, padding=1), sample("b 5 4", kernel_size=(2, 3), stride=(2, 1)),
            sample("a 2 6", kernel_size=(2,), dilation=3, padding=2)])
@wants_tensors
def unfold(x: V, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> V:
    """What a window holds at each position: (n, c * k, positions), k being its number of elements.

    Args:
        x: (n, c, h, w), or without n; with as many axes for images as ``kernel_size`` has numbers.
        kernel_size: one number, or one for each axis; so are the others.
        dilation: how far elements of the window lie apart.
        padding: how many zeros stand before and after each axis.
        stride: how far positions of the window lie apart.

    Raises:
        ValueError: the window is larger than the padded images.

        >>> import dlcore as dl
        >>> unfold(dl.reshape(dl.arange(6), (1, 2, 3)), 2).tolist()
        [[0, 1], [1, 2], [3, 4], [4, 5]]
    """
    axes = _rank(kernel_size)
    x, with_batch = batched("unfold", x, axes)
    how = _Layout.of("unfold", axes, kernel_size, dilation, padding, stride)
    n, c, *sizes = x.shape
    positions = how.positions("unfold", sizes)
    if any(map(any, how.padding)):
        x = pad_p(x, widths=((0, 0), (0, 0), *how.padding), value=0)
    columns = windows_p(reshape(x, (n * c, *x.shape[2:], 1)), window=how.window, stride=how.stride,
                        dilation=how.dilation)
    return unbatched(reshape(columns, (n, c * math.prod(how.window), math.prod(positions))), with_batch)


@operation([sample("a 8 6", output_size=(3, 4), kernel_size=2),
            sample("6 6", output_size=(5, 3), kernel_size=(2, 3), stride=(2, 1), padding=(0, 1)),
            sample("a 4 6", output_size=(5,), kernel_size=(2,), padding=2, dilation=3)])
@wants_tensors
def fold(x: V, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0,
         stride: Sizes = 1) -> V:
    """Images (n, c, *output_size) in which every window of ``x`` was added where it lies.

    The adjoint of :func:`unfold`: elements where windows overlap are sums.

    Args:
        x: (n, c * k, positions), or without n.
        output_size: the sizes of the images; one number, or one for each axis, as the others.
        kernel_size: the size of a window.
        dilation: how far elements of a window lie apart.
        padding: how many elements are left away before and after each axis.
        stride: how far positions of the window lie apart.

    Raises:
        ValueError: images of that size have another number of positions.

        >>> import dlcore as dl
        >>> fold(dl.ones((4, 2)), (2, 3), 2).tolist()
        [[[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]]
    """
    axes = _rank(output_size, kernel_size)
    sizes = per_axis("fold", "output_size", output_size, axes)
    how = _Layout.of("fold", axes, kernel_size, dilation, padding, stride)
    positions, k = how.positions("fold", sizes), math.prod(how.window)
    if len(x.shape) not in (2, 3) or x.shape[-2] % k or x.shape[-1] != math.prod(positions):
        raise ValueError(f"fold: windows {how.window} lie at {math.prod(positions)} positions of images "
                         f"{sizes}, so x must be (n, c * {k}, {math.prod(positions)}), or without n; it has "
                         f"shape {x.shape}")
    stack = (*x.shape[:-2], x.shape[-2] // k)
    padded = tuple(before + s + after for s, (before, after) in zip(sizes, how.padding, strict=True))
    out = add_windows_p(reshape(x, (math.prod(stack), *how.window, *positions, 1)), sizes=padded,
                        stride=how.stride, dilation=how.dilation)
    inside = (slice(before, before + s) for s, (before, _) in zip(sizes, how.padding, strict=True))
    return reshape(getitem_p(out, index=(slice(None), *inside, 0)), (*stack, *sizes))
