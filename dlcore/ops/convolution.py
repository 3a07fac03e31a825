"""Convolution in any number of axes, and the transposed convolution.

All is one number that is linear in three arrays: the sum over images, positions and elements of the
window of ``x * w * g``, where ``x`` are images, ``w`` filters and ``g`` weighs each result.  Its
derivative by ``g`` is the convolution, by ``x`` the transposed convolution, and by ``w`` the gradient of
the filters; so the three primitives are each other's derivatives, of any order.

Each multiplies matrices: windows are laid out as columns, for some rows of positions at a time, which
bounds memory and keeps them in the cache; nothing of them is kept for the backward pass.  Within,
images are the last axis, so that copies run over whole rows of memory, and results stay laid out so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from backends.windows import reach_of
from dlcore.core import Array, Primitive, V, operation
from dlcore.dispatch import wants_tensors
from dlcore.ops.joining import pad_p
from dlcore.ops.shapes import reshape
from dlcore.ops.windows import (
    Sizes,
    Widths,
    batched,
    images_first,
    images_last,
    per_axis,
    positions_of,
    unbatched,
    widened,
)
from dlcore.samples import sample
from dlcore.shaping import Shape

# --- shapes ---------------------------------------------------------------------------------------


def _convolved(s: Shape, t: Shape, *, stride: Shape, padding: Widths, dilation: Shape, groups: int) -> Shape:
    if s[1] != t[1] * groups:
        raise ValueError(f"images have {s[1]} channels, filters expect {t[1] * groups}"
                         + (f", {t[1]} for each of {groups} groups" if groups > 1 else ""))
    if t[0] % groups:
        raise ValueError(f"{t[0]} filters are no multiple of {groups} groups")
    return (s[0], t[0], *positions_of(s[2:], t[2:], stride, padding, dilation))


def _images_shape(s: Shape, t: Shape, *, sizes: Shape, groups: int, **how: Any) -> Shape:
    return (s[0], t[1] * groups, *sizes)


def _filters_shape(s: Shape, t: Shape, *, window: Shape, groups: int, **how: Any) -> Shape:
    return (t[1], s[1] // groups, *window)


# --- the layout within ----------------------------------------------------------------------------


def _padded(xp: Any, x: Array, padding: Widths) -> Array:
    """(n, c, *s) as (c, *s, n), with zeros around."""
    x = images_last(xp, x)
    if not any(map(any, padding)):
        return x
    c, *sizes, n = x.shape
    out = xp.zeros((c, *(before + s + after for s, (before, after) in zip(sizes, padding, strict=True)), n),
                   x.dtype)
    out[_inside(sizes, padding)] = x
    return out


def _inside(sizes: Sequence[int], padding: Widths) -> tuple[slice, ...]:
    """Where the images lie in what :func:`_padded` returns."""
    places = (slice(before, before + s) for s, (before, _) in zip(sizes, padding, strict=True))
    return (slice(None), *places, slice(None))


def _rows(xp: Any, column: int, rows: int, others: int) -> Iterator[tuple[int, int]]:
    """Runs of rows, of ``others`` positions each, whose columns are to be laid out at a time."""
    step = max(1, xp.columns_at_once // max(1, column * others))
    for first in range(0, rows, step):
        yield first, min(rows, first + step)


def _columns(xp: Any, held: Array, first: int, last: int, axes: int, groups: int) -> Array:
    """What windows hold at some rows of positions: (groups, elements, positions * n)."""
    rows = held[(*(slice(None),) * (1 + axes), slice(first, last), ...)]
    elements = math.prod(held.shape[:1 + axes]) // groups
    return xp.reshape(rows, (groups, elements, math.prod(rows.shape[1 + axes:])))


# --- the three primitives -------------------------------------------------------------------------


def _convolve(xp: Any, x: Array, w: Array, *, stride: Shape, padding: Widths, dilation: Shape,
              groups: int) -> Array:
    """Of every row of positions, filters times columns."""
    n, o, *positions = _convolved(x.shape, w.shape, stride=stride, padding=padding, dilation=dilation,
                                  groups=groups)
    axes, others, column = len(positions), math.prod(positions[1:]) * n, math.prod(w.shape[1:])
    held = xp.windows(_padded(xp, x, padding), w.shape[2:], stride, dilation)
    filters = xp.reshape(w, (groups, o // groups, column))
    out = xp.empty((o, positions[0], others), x.dtype)
    for first, last in _rows(xp, column * groups, positions[0], others):
        product = xp.matmul(filters, _columns(xp, held, first, last, axes, groups))
        out[:, first:last, :] = xp.reshape(product, (o, last - first, others))
    return images_first(xp, xp.reshape(out, (o, *positions, n)))


def _convolve_back(xp: Any, y: Array, w: Array, *, sizes: Shape, stride: Shape, padding: Widths,
                   dilation: Shape, groups: int) -> Array:
    """Of every row of positions, transposed filters times what is there, added where windows lie."""
    n, o, *positions = y.shape
    window, c = w.shape[2:], w.shape[1] * groups
    others, column = math.prod(positions[1:]) * n, w.shape[1] * math.prod(window)
    filters = xp.reshape(w, (groups, o // groups, column)).mT
    y = xp.reshape(images_last(xp, y), (groups, o // groups, positions[0], others))
    padded = tuple(before + s + after for s, (before, after) in zip(sizes, padding, strict=True))
    out = xp.zeros((c, *padded, n), widened(xp, y).dtype)
    for first, last in _rows(xp, column * groups, positions[0], others):
        part = xp.reshape(y[:, :, first:last, :], (groups, o // groups, (last - first) * others))
        columns = xp.reshape(xp.matmul(filters, part), (c, *window, last - first, *positions[1:], n))
        xp.add_windows_(out, columns, stride, dilation, first * stride[0])
    return xp.astype(images_first(xp, out[_inside(sizes, padding)]), y.dtype)


def _convolve_filters(xp: Any, x: Array, y: Array, *, window: Shape, stride: Shape, padding: Widths,
                      dilation: Shape, groups: int) -> Array:
    """The sum over rows of positions of columns times what is there, which takes half as long transposed."""
    n, o, *positions = y.shape
    c, axes, others = x.shape[1], len(positions), math.prod(positions[1:]) * n
    column = c // groups * math.prod(window)
    held = xp.windows(_padded(xp, x, padding), window, stride, dilation)
    y = xp.reshape(images_last(xp, y), (groups, o // groups, positions[0], others))
    total = xp.zeros((groups, column, o // groups), widened(xp, x).dtype)
    for first, last in _rows(xp, column * groups, positions[0], others):
        part = xp.reshape(y[:, :, first:last, :], (groups, o // groups, (last - first) * others))
        product = xp.matmul(_columns(xp, held, first, last, axes, groups), part.mT)
        total = xp.add_(total, xp.astype(product, total.dtype))
    return xp.astype(xp.reshape(total.mT, (o, c // groups, *window)), x.dtype)


def _how(stride: Sequence[int], padding: Widths, dilation: Sequence[int], groups: int = 1) -> dict[str, Any]:
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


_LINE, _PLANE = _how((2,), ((1, 2),), (1,)), _how((1, 2), ((1, 0), (0, 2)), (2, 1), 2)
_SPACE = _how((1, 2, 1), ((0, 0), (1, 1), (0, 0)), (1, 1, 1))
_DEEP = _how((1, 1), ((1, 1), (1, 1)), (1, 1), 3)  # a group for each channel

convolve_p: Primitive = Primitive(
    "convolve", _convolve, _convolved,
    (lambda g, out, x, w, **how: convolve_back_p(g, w, sizes=x.shape[2:], **how),
     lambda g, out, x, w, **how: convolve_filters_p(x, g, window=w.shape[2:], **how)),
    (lambda t, out, x, w, **how: convolve_p(t, w, **how),
     lambda t, out, x, w, **how: convolve_p(x, t, **how)),
    samples=[sample("a b 4, c b 3", **_LINE), sample("a 4 3 3, 2 2 2 3", **_PLANE),
             sample("a b 2 3 2, 2 b 2 2 1", **_SPACE), sample("a 3 3 3, 3 1 2 2", **_DEEP)],
    reads="x w")
convolve_back_p: Primitive = Primitive(
    "convolve_back", _convolve_back, _images_shape,
    (lambda g, out, y, w, *, sizes, **how: convolve_p(g, w, **how),
     lambda g, out, y, w, *, sizes, **how: convolve_filters_p(g, y, window=w.shape[2:], **how)),
    (lambda t, out, y, w, **how: convolve_back_p(t, w, **how),
     lambda t, out, y, w, **how: convolve_back_p(y, t, **how)),
    samples=[sample("a c 3, c b 3", sizes=(4,), **_LINE), sample("a 2 2 2, 2 2 2 3", sizes=(3, 3), **_PLANE),
             sample("a 2 1 2 2, 2 b 2 2 1", sizes=(2, 3, 2), **_SPACE)],
    reads="y w")
convolve_filters_p: Primitive = Primitive(
    "convolve_filters", _convolve_filters, _filters_shape,
    (lambda g, out, x, y, *, window, **how: convolve_back_p(y, g, sizes=x.shape[2:], **how),
     lambda g, out, x, y, *, window, **how: convolve_p(x, g, **how)),
    (lambda t, out, x, y, **how: convolve_filters_p(t, y, **how),
     lambda t, out, x, y, **how: convolve_filters_p(x, t, **how)),
    samples=[sample("a b 4, a c 3", window=(3,), **_LINE),
             sample("a 4 3 3, a 2 2 2", window=(2, 3), **_PLANE),
             sample("a b 2 3 2, a 2 1 2 2", window=(2, 2, 1), **_SPACE)],
    reads="x y")

# --- convolution ----------------------------------------------------------------------------------


def _filters(name: str, x: V, weight: V, bias: V | None, axes: int, groups: int, channels: int,
             layout: str) -> tuple[V, bool]:
    """``x`` with its images stacked, and whether it had them so; after checks that both need."""
    x, with_batch = batched(name, x, axes)
    if len(weight.shape) != axes + 2:
        raise ValueError(f"{name}: weight must be {layout}, it has shape {weight.shape}")
    if groups < 1 or x.shape[1] % groups:
        raise ValueError(f"{name}: {x.shape[1]} channels cannot be divided into {groups} groups")
    if bias is not None and bias.shape != (channels,):
        raise ValueError(f"{name}: bias must have shape {(channels,)}, it has {bias.shape}")
    return x, with_batch


def _shifted(out: V, bias: V | None) -> V:
    """``out`` with one summand a channel."""
    return out if bias is None else out + reshape(bias, (*bias.shape, *(1,) * (len(out.shape) - 2)))


def _widths(name: str, padding: Sizes | str, window: Shape, stride: Shape, dilation: Shape) -> Widths:
    """``padding`` before and after each axis; "same" puts an odd one after."""
    if padding == "valid":
        return ((0, 0),) * len(window)
    if padding == "same":
        if max(stride) > 1:
            raise ValueError(f"{name}: padding 'same' needs stride 1, got {stride}")
        totals = (d * (k - 1) for k, d in zip(window, dilation, strict=True))
        return tuple((total // 2, total - total // 2) for total in totals)
    if isinstance(padding, str):
        raise ValueError(f"{name}: unknown padding {padding!r}; choose 'same', 'valid' or numbers")  # noqa: TRY004  a name
    return tuple((p, p) for p in per_axis(name, "padding", padding, len(window), 0))


def _convolution(name: str, axes: int, x: V, weight: V, bias: V | None, stride: Sizes, padding: Sizes | str,
                 dilation: Sizes, groups: int) -> V:
    layout = f"(out_channels, in_channels / groups, {', '.join(['kernel'] * axes)})"
    channels = weight.shape[0] if weight.shape else 0
    x, with_batch = _filters(name, x, weight, bias, axes, groups, channels, layout)
    stride, dilation = per_axis(name, "stride", stride, axes), per_axis(name, "dilation", dilation, axes)
    how = _how(stride, _widths(name, padding, weight.shape[2:], stride, dilation), dilation, groups)
    try:
        _convolved(x.shape, weight.shape, **how)
    except ValueError as reason:
        raise ValueError(f"{name}: {reason}") from None
    return unbatched(_shifted(convolve_p(x, weight, **how), bias), with_batch)


@operation([sample("a b 4, 2 b 3, 2", padding=1), sample("b 4, c b 2", padding="same", dilation=2),
            sample("a 4 5, 2 2 3", stride=2, groups=2)])
@wants_tensors
def conv1d(x: V, weight: V, bias: V | None = None, stride: Sizes = 1, padding: Sizes | str = 0,
           dilation: Sizes = 1, groups: int = 1) -> V:
    """The convolution of signals (n, c, l), or one (c, l); else as :func:`conv2d`."""
    return _convolution("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


@operation([sample("a 2 4 3, 4 1 2 2, 4", stride=2, padding=(1, 0), groups=2),
            sample("b 2 4, c b 1 2", dilation=(1, 2))])
@wants_tensors
def conv2d(x: V, weight: V, bias: V | None = None, stride: Sizes = 1, padding: Sizes | str = 0,
           dilation: Sizes = 1, groups: int = 1) -> V:
    """At every position of a window, its product with each filter: (n, out_channels, rows, columns).

    A filter is not mirrored: strictly, this is a correlation.

    Args:
        x: images, (n, in_channels, h, w), or one without n.
        weight: filters, (out_channels, in_channels / groups, kernel, kernel).
        bias: (out_channels,), or None.
        stride: how far positions lie apart; one number, or one for each axis, as the next two.
        padding: how many zeros stand around the images; ``"same"`` for as many as leave their size,
            ``"valid"`` for none.
        dilation: how far elements of a window lie apart.
        groups: into how many parts the channels are divided, each with its share of the filters.

    Raises:
        ValueError: channels, groups or sizes do not fit.

        >>> import dlcore as dl
        >>> image = dl.reshape(dl.arange(9), (1, 3, 3)).astype("float32")
        >>> conv2d(image, dl.tensor([[[[-1.0, 1.0]]]])).tolist()
        [[[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]]
    """
    return _convolution("conv2d", 2, x, weight, bias, stride, padding, dilation, groups)


@operation([sample("a b 2 2 3, 2 b 1 2 2, 2", padding=(0, 1, 0)),
            sample("a 2 3 2 3, 2 1 2 1 2", stride=(2, 1, 1), dilation=(1, 1, 2), groups=2)])
@wants_tensors
def conv3d(x: V, weight: V, bias: V | None = None, stride: Sizes = 1, padding: Sizes | str = 0,
           dilation: Sizes = 1, groups: int = 1) -> V:
    """The convolution of volumes (n, c, d, h, w), or one without n; else as :func:`conv2d`."""
    return _convolution("conv3d", 3, x, weight, bias, stride, padding, dilation, groups)


# --- transposed convolution -----------------------------------------------------------------------


def _transposed(name: str, axes: int, x: V, weight: V, bias: V | None, stride: Sizes, padding: Sizes,
                output_padding: Sizes, groups: int, dilation: Sizes) -> V:
    layout = f"(in_channels, out_channels / groups, {', '.join(['kernel'] * axes)})"
    channels = weight.shape[1] * groups if len(weight.shape) > 1 else 0
    x, with_batch = _filters(name, x, weight, bias, axes, groups, channels, layout)
    stride, dilation = per_axis(name, "stride", stride, axes), per_axis(name, "dilation", dilation, axes)
    around = per_axis(name, "padding", padding, axes, 0)
    extra = per_axis(name, "output_padding", output_padding, axes, 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ValueError(f"{name}: output_padding {extra} must be less than stride {stride} or "
                         f"dilation {dilation}")
    if x.shape[1] != weight.shape[0]:
        raise ValueError(f"{name}: images have {x.shape[1]} channels, filters expect {weight.shape[0]}")
    reach = reach_of(x.shape[2:], weight.shape[2:], stride, dilation)
    sizes = tuple(r + e - 2 * p for r, e, p in zip(reach, extra, around, strict=True))
    if min(sizes) < 1:
        raise ValueError(f"{name}: padding {around} leaves nothing of images of {reach}")
    # What is to stand beyond the last window is first what padding would have cut off there, then zeros.
    beyond = tuple(max(0, e - p) for e, p in zip(extra, around, strict=True))
    sizes = tuple(s - b for s, b in zip(sizes, beyond, strict=True))
    widths = tuple((p, max(0, p - e)) for p, e in zip(around, extra, strict=True))
    out = convolve_back_p(x, weight, sizes=sizes, **_how(stride, widths, dilation, groups))
    if any(beyond):
        out = pad_p(out, widths=((0, 0), (0, 0), *((0, b) for b in beyond)), value=0)
    return unbatched(_shifted(out, bias), with_batch)


@operation([sample("a b 3, b 2 3, 2", stride=2, padding=1, output_padding=1),
            sample("a 4 3, 4 1 2", groups=2, dilation=2)])
@wants_tensors
def conv_transpose1d(x: V, weight: V, bias: V | None = None, stride: Sizes = 1, padding: Sizes = 0,
                     output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1) -> V:
    """The transposed convolution of signals (n, c, l), or one (c, l); else as :func:`conv_transpose2d`."""
    return _transposed("conv_transpose1d", 1, x, weight, bias, stride, padding, output_padding, groups,
                       dilation)


@operation([sample("a 2 2 3, 2 1 2 3, 2", stride=(2, 1), padding=1, groups=2),
            sample("b 2 2, b c 3 2", stride=2, output_padding=1, dilation=2)])
@wants_tensors
def conv_transpose2d(x: V, weight: V, bias: V | None = None, stride: Sizes = 1, padding: Sizes = 0,
                     output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1) -> V:
    """The adjoint of :func:`conv2d`: each element of ``x`` lays filters, scaled by it, over its window.

    Args:
        x: (n, in_channels, h, w), or one without n.
        weight: filters, (in_channels, out_channels / groups, kernel, kernel): what :func:`conv2d` takes to
            go from the result to ``x``.
        bias: (out_channels,), or None.
        stride: how far windows lie apart.
        padding: how many elements are cut off around the result.
        output_padding: how many more are left after each axis; several sizes have as many windows.
        groups: into how many parts the channels are divided.
        dilation: how far elements of a window lie apart.

    Raises:
        ValueError: channels, groups or sizes do not fit.

        >>> import dlcore as dl
        >>> conv_transpose2d(dl.tensor([[[1.0, 2.0]]]), dl.ones((1, 1, 2, 2)), stride=2).tolist()
        [[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]
    """
    return _transposed("conv_transpose2d", 2, x, weight, bias, stride, padding, output_padding, groups,
                       dilation)


@operation([sample("a b 1 2 2, b 2 2 1 2, 2", stride=(1, 2, 1)),
            sample("a 2 2 1 2, 2 1 1 2 2", stride=2, padding=(0, 1, 0), output_padding=(1, 0, 1), groups=2,
                   dilation=(1, 2, 1))])
@wants_tensors
def conv_transpose3d(x: V, weight: V, bias: V | None = None, stride: Sizes = 1, padding: Sizes = 0,
                     output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1) -> V:
    """The transposed convolution of volumes (n, c, d, h, w); else as :func:`conv_transpose2d`."""
    return _transposed("conv_transpose3d", 3, x, weight, bias, stride, padding, output_padding, groups,
                       dilation)
