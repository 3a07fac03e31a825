"""Pooling into as many results as are wanted, whatever the size of the images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from dlcore.core import V, operation
from dlcore.dispatch import wants_tensors
from dlcore.ops.indexing import settled, take
from dlcore.ops.pooling import max_pool_p
from dlcore.ops.resampling import Taps, resample, taps_of
from dlcore.ops.windows import Sizes, batched, per_axis, unbatched
from dlcore.samples import DISTINCT, sample
from dlcore.shaping import Shape


def _wanted(name: str, x: V, output_size: Any, axes: int) -> Shape:
    """``output_size`` for each axis; None leaves an axis as it is."""
    given = [output_size] * axes if not isinstance(output_size, Sequence) else list(output_size)
    if len(given) == axes:
        given = [n if size is None else size for size, n in zip(given, x.shape[2:], strict=True)]
    if 0 in x.shape[2:]:
        raise ValueError(f"{name}: images of shape {x.shape[2:]} have no elements to pool")
    return per_axis(name, "output_size", given, axes)


def _stretches(n: int, count: int) -> list[range]:
    """``count`` windows that cover an axis of size ``n`` as evenly as whole numbers can."""
    return [range(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]


@lru_cache(maxsize=256)
def even_taps(n: int, count: int) -> Taps:
    """The taps of the means over :func:`_stretches`."""
    return taps_of(n, [[(i, 1.0 / len(stretch)) for i in stretch] for stretch in _stretches(n, count)])


def _adaptive_mean(name: str, axes: int, x: V, output_size: Any) -> V:
    x, with_batch = batched(name, x, axes)
    for axis, count in enumerate(_wanted(name, x, output_size, axes), 2):
        x = resample(x, axis, even_taps(x.shape[axis], count))
    return unbatched(x, with_batch)


@operation([sample("a b 5", output_size=2), sample("b 4", output_size=3)])
@wants_tensors
def adaptive_avg_pool1d(x: V, output_size: Sizes) -> V:
    """Means over windows as even as can be, ``output_size`` of them; see :func:`adaptive_avg_pool2d`."""
    return _adaptive_mean("adaptive_avg_pool1d", 1, x, output_size)


@operation([sample("a b 5 4", output_size=(3, 2)), sample("b 2 3", output_size=(3, None))])
@wants_tensors
def adaptive_avg_pool2d(x: V, output_size: Any) -> V:
    """Means over windows as even as can be, so many that the result has ``output_size``.

    Result i of m from n elements is the mean of those from ``floor(i n / m)`` to ``ceil((i + 1) n / m)``.

    Args:
        x: images, (n, c, h, w), or one without n.
        output_size: one number, or one for each axis; None leaves an axis as it is.

        >>> import dlcore as dl
        >>> adaptive_avg_pool2d(dl.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]), (1, 2)).tolist()
        [[[3.0, 4.0]]]
    """
    return _adaptive_mean("adaptive_avg_pool2d", 2, x, output_size)


@operation([sample("a b 2 3 2", output_size=(1, 2, 2)), sample("b 3 2 2", output_size=2)])
@wants_tensors
def adaptive_avg_pool3d(x: V, output_size: Any) -> V:
    """Means over windows of volumes, as even as can be; see :func:`adaptive_avg_pool2d`."""
    return _adaptive_mean("adaptive_avg_pool3d", 3, x, output_size)


def _adaptive_max(name: str, axes: int, x: V, output_size: Any) -> V:
    """Windows of one size: the shorter repeat their last element, which changes no maximum."""
    x, with_batch = batched(name, x, axes)
    window, counts = [], _wanted(name, x, output_size, axes)
    for axis, count in enumerate(counts, 2):
        stretches = _stretches(x.shape[axis], count)
        longest = max(map(len, stretches))
        places = [min(s.start + i, s.stop - 1) for s in stretches for i in range(longest)]
        if places != list(range(x.shape[axis])):
            x = take(x, settled(x, places), axis)
        window.append(longest)
    size = tuple(window)
    return unbatched(max_pool_p(x, window=size, stride=size, padding=(0,) * axes, dilation=(1,) * axes,
                                positions=counts), with_batch)


@operation([sample("a b 5", DISTINCT, output_size=2), sample("b 4", DISTINCT, output_size=3)])
@wants_tensors
def adaptive_max_pool1d(x: V, output_size: Sizes) -> V:
    """The largest of windows as even as can be; see :func:`adaptive_avg_pool2d`."""
    return _adaptive_max("adaptive_max_pool1d", 1, x, output_size)


@operation([sample("a b 5 4", DISTINCT, output_size=(3, 2)),
            sample("b 2 3", DISTINCT, output_size=(3, None))])
@wants_tensors
def adaptive_max_pool2d(x: V, output_size: Any) -> V:
    """The largest of windows as even as can be, ``output_size`` of them; see :func:`adaptive_avg_pool2d`."""
    return _adaptive_max("adaptive_max_pool2d", 2, x, output_size)
