"""Images in other sizes: interpolation, and channels that become pixels.

Interpolation is a resampling along one axis after the other; what differs between modes is which
elements a result is made of, and with which weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from dlcore.core import V, operation
from dlcore.dispatch import wants_tensors
from dlcore.ops.adaptive_pooling import even_taps
from dlcore.ops.resampling import Taps, resample, taps_of
from dlcore.ops.shapes import permute_dims, reshape
from dlcore.ops.windows import per_axis
from dlcore.samples import sample

Row = list[tuple[int, float]]  # elements and their weights

# --- which elements -------------------------------------------------------------------------------


def _nearest(place: float, n: int) -> Row:
    return [(min(int(place), n - 1), 1.0)]


def _linear(place: float, n: int) -> Row:
    place = max(place, 0.0)
    low = min(int(place), n - 1)
    share = place - low
    return [(low, 1.0 - share), (low + 1, share)] if low < n - 1 and share else [(low, 1.0)]


def _cubic(place: float, n: int) -> Row:
    """The convolution with Keys' kernel for a = -3/4; beyond the ends elements are repeated."""
    low = math.floor(place)
    near, far = place - low, 1.0 - (place - low)
    weights = (_outer(near + 1.0), _inner(near), _inner(far), _outer(far + 1.0))
    row: dict[int, float] = {}
    for beyond, weight in zip(range(low - 1, low + 3), weights, strict=True):
        i = min(max(beyond, 0), n - 1)
        row[i] = row.get(i, 0.0) + weight
    return list(row.items())


def _inner(t: float) -> float:
    return (1.25 * t - 2.25) * t * t + 1.0


def _outer(t: float) -> float:
    return ((-0.75 * t + 3.75) * t - 6.0) * t + 3.0


_ROWS: dict[str, Callable[[float, int], Row]] = {
    "nearest": _nearest, "nearest-exact": _nearest, "linear": _linear, "bilinear": _linear,
    "trilinear": _linear, "bicubic": _cubic}
_AXES = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}
_MODES = ("area", *_ROWS)


@lru_cache(maxsize=256)
def _taps(n: int, count: int, scale: float | None, mode: str, align_corners: bool) -> Taps:
    """The taps of ``count`` results from ``n`` elements."""
    if mode == "area":
        return even_taps(n, count)
    if align_corners:
        places = [i * (n - 1) / (count - 1) if count > 1 else 0.0 for i in range(count)]
    else:
        step = n / count if scale is None else 1.0 / scale
        shift = 0.0 if mode == "nearest" else 0.5
        places = [(i + shift) * step - (0.0 if mode.startswith("nearest") else shift) for i in range(count)]
        if mode == "nearest" and scale is None:
            places = [float(i * n // count) for i in range(count)]  # exact, where rounding could jump
    return taps_of(n, [_ROWS[mode](place, n) for place in places])


# --- interpolation --------------------------------------------------------------------------------


def _sizes(x: V, size: Any, scale_factor: Any) -> tuple[Sequence[int], Sequence[float | None]]:
    """The sizes that are wanted, and the scales where those were given."""
    axes = len(x.shape) - 2
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: give either size or scale_factor, got {size!r} and {scale_factor!r}")
    if size is not None:
        return per_axis("interpolate", "size", size, axes), [None] * axes
    scales = list(scale_factor) if isinstance(scale_factor, Sequence) else [scale_factor] * axes
    if len(scales) != axes or any(not s > 0 for s in scales):
        raise ValueError(f"interpolate: scale_factor must be a positive number, or {axes} of them, one for "
                         f"each axis of an image; got {scale_factor!r}")
    sizes = [math.floor(n * s) for n, s in zip(x.shape[2:], scales, strict=True)]
    return per_axis("interpolate", f"the size that scale_factor {scale_factor!r} leaves", sizes, axes), scales


@operation([sample("a b 3", size=5), sample("a b 2 3", scale_factor=1.5, mode="bilinear"),
            sample("a b 3", size=5, mode="linear", align_corners=True),
            sample("a b 3 4", size=(5, 3), mode="bicubic"), sample("a b 5", size=2, mode="area"),
            sample("a b 1 2 2", size=(2, 3, 1), mode="trilinear")])
@wants_tensors
def interpolate(x: V, size: int | Sequence[int] | None = None,
                scale_factor: float | Sequence[float] | None = None, mode: str = "nearest",
                align_corners: bool | None = None) -> V:
    """Images of another size, whose elements are made of near ones of ``x``.

    Args:
        x: (n, c, l), (n, c, h, w) or (n, c, d, h, w).
        size: of the result; one number, or one for each axis.
        scale_factor: how much larger it is, in place of ``size``; likewise.
        mode: ``"nearest"`` or ``"nearest-exact"`` (which measures from the middle of elements);
            ``"linear"``, ``"bilinear"`` and ``"trilinear"`` for images of one, two and three axes;
            ``"bicubic"`` for two; ``"area"``, means as in :func:`adaptive_avg_pool2d`.
        align_corners: for the linear modes and bicubic, whether the middles of the outermost elements
            stay where they are; otherwise their outer edges do.

    Raises:
        ValueError: both sizes or none, an unknown mode, or one for images of other axes.

    Source: Keys (1981), "Cubic convolution interpolation for digital image processing", for bicubic.

        >>> import dlcore as dl
        >>> interpolate(dl.tensor([[[0.0, 4.0]]]), 4, mode="linear").tolist()
        [[[0.0, 1.0, 3.0, 4.0]]]
    """
    axes = len(x.shape) - 2
    if axes not in (1, 2, 3):
        raise ValueError(f"interpolate: x must be (n, c) and one to three axes of images, it has shape "
                         f"{x.shape}")
    if mode not in _MODES:
        raise ValueError(f"interpolate: unknown mode {mode!r}; choose from {', '.join(_MODES)}")
    if _AXES.get(mode, axes) != axes:
        raise ValueError(f"interpolate: mode {mode!r} is for images of {_AXES[mode]} axes, x has shape "
                         f"{x.shape}")
    if align_corners is not None and mode not in _AXES:
        raise ValueError(f"interpolate: align_corners is for {', '.join(_AXES)}, not for mode {mode!r}")
    if 0 in x.shape[2:]:
        raise ValueError(f"interpolate: images of shape {x.shape[2:]} have no elements")
    sizes, scales = _sizes(x, size, scale_factor)
    for axis, (count, scale) in enumerate(zip(sizes, scales, strict=True), 2):
        if count != x.shape[axis] or (scale is not None and scale != 1):
            x = resample(x, axis, _taps(x.shape[axis], count, scale, mode, bool(align_corners)))
    return x


# --- channels and pixels --------------------------------------------------------------------------


@operation([sample("a 8 2 3", upscale_factor=2), sample("9 1 a", upscale_factor=3)])
@wants_tensors
def pixel_shuffle(x: V, upscale_factor: int) -> V:
    """(..., c * r * r, h, w) as (..., c, h * r, w * r): r * r channels become a square of pixels.

    Args:
        x: with at least three axes.
        upscale_factor: r.

    Source: Shi et al. (2016), "Real-time single image and video super-resolution using an efficient
    sub-pixel convolutional neural network".

        >>> import dlcore as dl
        >>> pixel_shuffle(dl.tensor([[[1]], [[2]], [[3]], [[4]]]), 2).tolist()
        [[[1, 2], [3, 4]]]
    """
    r = upscale_factor
    if r < 1 or len(x.shape) < 3 or x.shape[-3] % (r * r):
        raise ValueError(f"pixel_shuffle: x must be (..., c * {r * r}, h, w) for upscale_factor {r}, it has "
                         f"shape {x.shape}")
    *stack, c, h, w = x.shape
    c, k = c // (r * r), len(stack)
    apart = reshape(x, (*stack, c, r, r, h, w))
    mixed = permute_dims(apart, (*range(k + 1), k + 3, k + 1, k + 4, k + 2))
    return reshape(mixed, (*stack, c, h * r, w * r))


@operation([sample("a 2 2 4", downscale_factor=2), sample("1 3 3", downscale_factor=3)])
@wants_tensors
def pixel_unshuffle(x: V, downscale_factor: int) -> V:
    """(..., c, h * r, w * r) as (..., c * r * r, h, w): the inverse of :func:`pixel_shuffle`.

        >>> import dlcore as dl
        >>> pixel_unshuffle(dl.tensor([[[1, 2], [3, 4]]]), 2).tolist()
        [[[1]], [[2]], [[3]], [[4]]]
    """
    r = downscale_factor
    if r < 1 or len(x.shape) < 3 or x.shape[-2] % r or x.shape[-1] % r:
        raise ValueError(f"pixel_unshuffle: x must be (..., c, h * {r}, w * {r}) for downscale_factor {r}, "
                         f"it has shape {x.shape}")
    *stack, c, h, w = x.shape
    h, w, k = h // r, w // r, len(stack)
    apart = reshape(x, (*stack, c, h, r, w, r))
    mixed = permute_dims(apart, (*range(k + 1), k + 2, k + 4, k + 1, k + 3))
    return reshape(mixed, (*stack, c * r * r, h, w))
