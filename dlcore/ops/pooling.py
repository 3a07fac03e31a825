"""Pooling: the largest element, or the mean, of every window.

The mean over a window of several axes is a mean along one axis after the other, each a resampling.  The
maximum compares the elements of a window one by one, each at all positions at once, in strided slices
of the images: no windows are laid out, and padding is a slice that is shorter.  Its derivative goes to
the first of equal elements, in row-major order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

from backends import as_dtype
from dlcore.core import Array, Primitive, V, dtype_of, operation
from dlcore.dispatch import wants_tensors
from dlcore.ops.resampling import Taps, resample, taps_of
from dlcore.ops.windows import Sizes, batched, images_first, per_axis, unbatched, widened
from dlcore.samples import DISTINCT, sample
from dlcore.shaping import Shape

# --- where windows lie ----------------------------------------------------------------------------


class Place(NamedTuple):
    """One element of a window: at which positions it lies in the image, and where in that."""

    positions: tuple[Any, ...]
    elements: tuple[Any, ...]
    everywhere: bool  # at all positions


@lru_cache(maxsize=256)
def _places(sizes: Shape, window: Shape, stride: Shape, padding: Shape, dilation: Shape,
            positions: Shape) -> tuple[Place, ...]:
    """Every element of a window that lies in the image anywhere, in row-major order."""
    axes = []
    for n, k, s, p, d, count in zip(sizes, window, stride, padding, dilation, positions, strict=True):
        found = []
        for start in range(-p, k * d - p, d):
            first, last = max(0, -(start // s)), min(count, (n - 1 - start) // s + 1)
            if first < last:
                begin = first * s + start
                elements = slice(begin, begin + (last - first - 1) * s + 1, s)
                found.append((slice(first, last), elements, last - first == count))
        axes.append(found)
    return tuple(Place((..., *(p for p, _, _ in place)), (..., *(e for _, e, _ in place)),
                       all(whole for _, _, whole in place)) for place in product(*axes))


def _count(name: str, sizes: Sequence[int], window: Shape, stride: Shape, padding: Shape, dilation: Shape,
           ceil_mode: bool) -> Shape:
    """At how many positions a window lies; with ``ceil_mode`` the last may hang over the end.

    It must begin within the image or the padding before it, as in PyTorch.
    """
    counts = []
    for n, k, s, p, d in zip(sizes, window, stride, padding, dilation, strict=True):
        if 2 * p > k:
            raise ValueError(f"{name}: padding {padding} must be at most half of kernel_size {window}")
        room = n + 2 * p - d * (k - 1) - 1
        count = (room + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        if count < 1 or n < 1:
            raise ValueError(f"{name}: a window of {window} with dilation {dilation} is larger than images "
                             f"{tuple(sizes)} with padding {padding}")
        counts.append(count)
    return tuple(counts)


# --- the largest ----------------------------------------------------------------------------------


def _pooled_shape(s: Shape, *, window: Shape, stride: Shape, padding: Shape, dilation: Shape,
                  positions: Shape) -> Shape:
    return (*s[:len(s) - len(window)], *positions)


def _lowest(xp: Any, x: Array) -> Any:
    """What no element is less than."""
    kind = dtype_of(x).kind
    return -math.inf if kind == "float" else False if kind == "bool" else int(xp.iinfo(x.dtype).min)


def _max_pool(xp: Any, x: Array, **how: Shape) -> Array:
    places = sorted(_places(x.shape[-len(how["window"]):], **how), key=lambda place: not place.everywhere)
    if not places or not places[0].everywhere:
        out = xp.full(_pooled_shape(x.shape, **how), _lowest(xp, x), x.dtype)
    else:
        out = x[places.pop(0).elements]
        if not places or not places[0].everywhere:
            out = xp.copy(out)
    for at, elements, everywhere in places:
        if everywhere:
            out = xp.maximum(out, x[elements])
        else:
            out[at] = xp.maximum(out[at], x[elements])
    return out


def _first_largest(xp: Any, x: Array, out: Array, **how: Shape) -> Array:
    """The place of each window's first largest element; none where that is nan.

    It counts up as long as nothing was the largest.
    """
    places = _places(x.shape[-len(how["window"]):], **how)
    at = xp.zeros_like(out, _narrow(how["window"]))
    found = xp.zeros_like(out, "bool")
    for positions, elements, everywhere in places:
        if everywhere:
            found = xp.logical_or(found, x[elements] == out)
        else:
            found[positions] = xp.logical_or(found[positions], x[elements] == out[positions])
        at = at + xp.astype(xp.logical_not(found), at.dtype)
    return at


def _narrow(window: Shape) -> str:
    """The dtype in which places in a window are counted."""
    return "uint8" if math.prod(window) < 256 else "int64"


def _pick(xp: Any, x: Array, at: Array, **how: Shape) -> Array:
    """Of each window of ``x`` the element at the place that ``at`` says."""
    total = xp.zeros_like(at, x.dtype)
    for i, (positions, elements, _) in enumerate(_places(x.shape[-len(how["window"]):], **how)):
        total[positions] = total[positions] + x[elements] * xp.astype(at[positions] == i, x.dtype)
    return total


def _put(xp: Any, g: Array, at: Array, *, sizes: Shape, **how: Shape) -> Array:
    """Images of ``sizes``, zeros but for each number of ``g``, added at the place that ``at`` says."""
    settings = zip(how["window"], how["stride"], how["dilation"], strict=True)
    apart = all(s > d * (k - 1) for k, s, d in settings)  # no element is in two windows
    total = images_first(xp, xp.zeros((*g.shape[1:-len(sizes)], *sizes, g.shape[0]), widened(xp, g).dtype))
    for i, (positions, elements, _) in enumerate(_places(sizes, **how)):
        part = g[positions] * xp.astype(at[positions] == i, g.dtype)
        total[elements] = part if apart else total[elements] + part
    return xp.astype(total, g.dtype)


def _picked_shape(s: Shape, t: Shape, **how: Shape) -> Shape:
    return t


def _put_shape(s: Shape, t: Shape, *, sizes: Shape, **how: Shape) -> Shape:
    return (*s[:-len(sizes)], *sizes)


def _settled(window: Shape, stride: Shape, padding: Shape, dilation: Shape,
             positions: Shape) -> dict[str, Any]:
    return {"window": window, "stride": stride, "padding": padding, "dilation": dilation,
            "positions": positions}


_PAIRS = _settled((2,), (2,), (0,), (1,), (2,))
_OVER = _settled((3, 2), (2, 1), (1, 1), (1, 2), (3, 3))
_CLOSE = _settled((2, 2), (1, 1), (0, 0), (1, 1), (2, 1))

max_pool_p: Primitive = Primitive(
    "max_pool", _max_pool, _pooled_shape,
    (lambda g, out, x, **how: put_p(
        g, first_largest(x, out, **how), sizes=x.shape[-len(how["window"]):], **how),),
    (lambda t, out, x, **how: pick_p(t, first_largest(x, out, **how), **how),),
    samples=[sample("a 5", DISTINCT, **_PAIRS), sample("a 5 3", DISTINCT, **_OVER),
             sample("a b 3 2", DISTINCT, **_CLOSE)])
first_largest: Primitive = Primitive(
    "first_largest", _first_largest, _picked_shape, samples=[sample("a 5, a 2", **_PAIRS)],
    result=lambda dtypes, *, window, **how: as_dtype(_narrow(window)))
pick_p: Primitive = Primitive(
    "pick_from_windows", _pick, _picked_shape,
    (lambda g, out, x, at, **how: put_p(g, at, sizes=x.shape[-len(how["window"]):], **how), None),
    (lambda t, out, x, at, **how: pick_p(t, at, **how), None),
    samples=[sample("a 5, #2 a 2", **_PAIRS), sample("a 5 3, #6 a 3 3", **_OVER)], reads="at", promotes=(0,))
put_p: Primitive = Primitive(
    "put_into_windows", _put, _put_shape,
    (lambda g, out, x, at, *, sizes, **how: pick_p(g, at, **how), None),
    (lambda t, out, x, at, **how: put_p(t, at, **how), None),
    samples=[sample("a 2, #2 a 2", sizes=(5,), **_PAIRS), sample("a 3 3, #6 a 3 3", sizes=(5, 3), **_OVER)],
    reads="at", promotes=(0,))


def _max(name: str, axes: int, x: V, kernel_size: Sizes, stride: Sizes | None, padding: Sizes,
         dilation: Sizes, ceil_mode: bool) -> V:
    x, with_batch = batched(name, x, axes)
    window, steps, widths = _settings(name, axes, kernel_size, stride, padding)
    gaps = per_axis(name, "dilation", dilation, axes)
    positions = _count(name, x.shape[2:], window, steps, widths, gaps, ceil_mode)
    return unbatched(max_pool_p(x, **_settled(window, steps, widths, gaps, positions)), with_batch)


def _settings(name: str, axes: int, kernel_size: Sizes, stride: Sizes | None,
              padding: Sizes) -> tuple[Shape, Shape, Shape]:
    """Window, stride and padding along each axis; windows stand side by side unless told otherwise."""
    window = per_axis(name, "kernel_size", kernel_size, axes)
    return (window, window if stride is None else per_axis(name, "stride", stride, axes),
            per_axis(name, "padding", padding, axes, 0))


@operation([sample("a b 6", DISTINCT, kernel_size=3, stride=2, padding=1),
            sample("b 5", DISTINCT, kernel_size=2, dilation=2, ceil_mode=True)])
@wants_tensors
def max_pool1d(x: V, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
               *, ceil_mode: bool = False) -> V:
    """The largest element of every window over signals (n, c, l), or one (c, l); see :func:`max_pool2d`."""
    return _max("max_pool1d", 1, x, kernel_size, stride, padding, dilation, ceil_mode)


@operation([sample("a b 5 4", DISTINCT, kernel_size=2, ceil_mode=True),
            sample("b 4 4", DISTINCT, kernel_size=(3, 2), stride=1, padding=1, dilation=(1, 2))])
@wants_tensors
def max_pool2d(x: V, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
               *, ceil_mode: bool = False) -> V:
    """The largest element of every window, channel by channel: (n, c, rows, columns).

    The gradient goes to the first of equal elements, in row-major order; to none where one is nan.

    Args:
        x: images, (n, c, h, w), or one without n.
        kernel_size: the size of a window; one number, or one for each axis, as the next three.
        stride: how far windows lie apart; ``kernel_size`` if None.
        padding: how many elements that nothing is smaller than stand around; at most half a window.
        dilation: how far elements of a window lie apart.
        ceil_mode: whether a last window may hang over the end.

    Raises:
        ValueError: a window is larger than the padded images, or padding than half a window.

        >>> import dlcore as dl
        >>> max_pool2d(dl.tensor([[[1.0, 2.0, 5.0, 0.0], [4.0, 3.0, 0.0, 6.0]]]), 2).tolist()
        [[[4.0, 6.0]]]
    """
    return _max("max_pool2d", 2, x, kernel_size, stride, padding, dilation, ceil_mode)


@operation([sample("a b 2 3 2", DISTINCT, kernel_size=2, stride=1),
            sample("b 3 2 3", DISTINCT, kernel_size=(2, 1, 2), padding=(1, 0, 0), dilation=(1, 1, 2),
                   ceil_mode=True)])
@wants_tensors
def max_pool3d(x: V, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
               *, ceil_mode: bool = False) -> V:
    """The largest element of every window over volumes (n, c, d, h, w); see :func:`max_pool2d`."""
    return _max("max_pool3d", 3, x, kernel_size, stride, padding, dilation, ceil_mode)


# --- the mean -------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _mean_taps(n: int, k: int, s: int, p: int, count: int, include_pad: bool, sums: bool) -> Taps:
    """The taps of windows along one axis; padding counts as zeros, but never what hangs over it."""
    rows = []
    for start in range(-p, count * s - p, s):
        within = range(max(start, 0), min(start + k, n))
        size = min(start + k, n + p) - start if include_pad else len(within)
        rows.append([(i, 1.0 if sums else 1.0 / size) for i in within])
    return taps_of(n, rows)


def _mean(name: str, axes: int, x: V, kernel_size: Sizes, stride: Sizes | None, padding: Sizes,
          ceil_mode: bool, count_include_pad: bool, divisor_override: int | None) -> V:
    x, with_batch = batched(name, x, axes)
    window, steps, widths = _settings(name, axes, kernel_size, stride, padding)
    counts = _count(name, x.shape[2:], window, steps, widths, (1,) * axes, ceil_mode)
    if divisor_override == 0:
        raise ValueError(f"{name}: divisor_override must not be 0")
    sums = divisor_override is not None
    for axis, settings in enumerate(zip(x.shape[2:], window, steps, widths, counts, strict=True), 2):
        x = resample(x, axis, _mean_taps(*settings, count_include_pad, sums))
    return unbatched(x if divisor_override is None else x * (1.0 / divisor_override), with_batch)


@operation([sample("a b 5", kernel_size=2, ceil_mode=True),
            sample("b 6", kernel_size=3, stride=2, padding=1, count_include_pad=False)])
@wants_tensors
def avg_pool1d(x: V, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, *,
               ceil_mode: bool = False, count_include_pad: bool = True) -> V:
    """The mean of every window over signals (n, c, l), or one (c, l); see :func:`avg_pool2d`."""
    return _mean("avg_pool1d", 1, x, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@operation([sample("a b 4 3", kernel_size=2, stride=1, padding=1, count_include_pad=False),
            sample("b 5 4", kernel_size=(3, 2), padding=1, ceil_mode=True),
            sample("b 4 4", kernel_size=2, divisor_override=3)])
@wants_tensors
def avg_pool2d(x: V, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, *,
               ceil_mode: bool = False, count_include_pad: bool = True,
               divisor_override: int | None = None) -> V:
    """The mean of every window, channel by channel: (n, c, rows, columns).

    Args:
        x: images, (n, c, h, w), or one without n.
        kernel_size: the size of a window; one number, or one for each axis, as the next two.
        stride: how far windows lie apart; ``kernel_size`` if None.
        padding: how many zeros stand around; at most half a window.
        ceil_mode: whether a last window may hang over the end; what hangs over does not count.
        count_include_pad: whether the zeros count.
        divisor_override: what to divide sums by, instead of the number of elements.

    Raises:
        ValueError: a window is larger than the padded images, or padding than half a window.

        >>> import dlcore as dl
        >>> avg_pool2d(dl.tensor([[[1.0, 2.0, 5.0, 0.0], [4.0, 3.0, 0.0, 6.0]]]), 2).tolist()
        [[[2.5, 2.75]]]
    """
    return _mean("avg_pool2d", 2, x, kernel_size, stride, padding, ceil_mode, count_include_pad,
                 divisor_override)


@operation([sample("a b 2 2 3", kernel_size=(1, 2, 2), stride=1),
            sample("b 3 2 3", kernel_size=2, padding=(1, 0, 1), ceil_mode=True, count_include_pad=False),
            sample("b 2 2 2", kernel_size=(2, 1, 2), divisor_override=3)])
@wants_tensors
def avg_pool3d(x: V, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, *,
               ceil_mode: bool = False, count_include_pad: bool = True,
               divisor_override: int | None = None) -> V:
    """The mean of every window over volumes (n, c, d, h, w); see :func:`avg_pool2d`."""
    return _mean("avg_pool3d", 3, x, kernel_size, stride, padding, ceil_mode, count_include_pad,
                 divisor_override)
