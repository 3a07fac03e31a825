"""Discrete Fourier transforms along chosen axes; users find them in ``dlcore.fft``.

Three primitives do the work, all linear and of the array's own length: ``fft`` and ``ifft`` along any
axes, whose matrices equal their transposes, and ``rfft`` with ``irfft`` along one.  Real numbers have a
spectrum that mirrors itself, of which ``rfft`` keeps one half.  In the transpose each frequency counts
once and not twice, which :data:`mirrored_p` makes up for.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

from backends import get_default_dtype, promote
from backends.dtypes import HALF_DTYPES, complex64, float32
from dlcore.core import Array, Unary, V, cast, dtype_of, linear
from dlcore.dispatch import wants_tensors
from dlcore.ops.complexes import PARTS, WHOLES, conj
from dlcore.ops.indexing import getitem_p
from dlcore.ops.joining import pad_p
from dlcore.ops.shapes import roll
from dlcore.samples import Sample, operation, sample
from dlcore.shaping import Axis, Shape, normalized_axes, normalized_axis

Axes = tuple[int, ...]

BACKWARD, ORTHO, FORWARD = "backward", "ortho", "forward"
OPPOSITE = {BACKWARD: FORWARD, ORTHO: ORTHO, FORWARD: BACKWARD}
"""The norm with which the inverse transform has the scale that a transform has with this one."""

# --- primitives: of arrays that have their final length --------------------------------------------


def _checked(s: Shape, axes: Axes) -> Shape:
    for axis in axes:
        if s[axis] == 0:
            raise ValueError(f"shape {s} has size 0 along axis {axis}: there is nothing to transform")
    return s


def _full(name: str) -> Unary:
    """``fftn`` or ``ifftn``: the factors w**(j k) are symmetric in j and k, so it is its own transpose."""
    def forward(xp: Any, x: Array, *, axes: Axes, norm: str) -> Array:
        if dtype_of(x) not in PARTS:
            raise TypeError(f"real numbers become complex first, got {dtype_of(x)}")
        return getattr(xp.fft, f"{name}n")(x, axes=axes, norm=norm)

    def transpose(g: V, x: V, *, axes: Axes, norm: str) -> V:
        return primitive(g, axes=axes, norm=norm)

    primitive = linear(
        name, forward, lambda s, *, axes, norm: _checked(s, axes), transpose,
        [sample("~ a 5", axes=(1,), norm=BACKWARD), sample("~ 4 b", axes=(0,), norm=ORTHO),
         sample("~ 2 b 3", axes=(0, 2), norm=FORWARD)])
    return primitive


fft_p, ifft_p = _full("fft"), _full("ifft")


def _halved(s: Shape, *, axis: int, norm: str) -> Shape:
    return (*_checked(s, (axis,))[:axis], s[axis] // 2 + 1, *s[axis + 1:])


def _restored(s: Shape, *, n: int, axis: int, norm: str) -> Shape:
    if n < 1 or s[axis] != n // 2 + 1:
        raise ValueError(f"{s[axis]} frequencies along axis {axis} are not those of {n} real numbers")
    return (*s[:axis], n, *s[axis + 1:])


def _mirrored(xp: Any, x: Array, *, n: int, axis: int, factor: float) -> Array:
    """Conjugates of ``x``, times ``factor`` but at frequency 0 and, if ``n`` is even, at n/2."""
    alone = xp.astype(xp.arange(0, 2 * (n // 2) + 1, 2, "int64") % n == 0, x.dtype)
    line = (1,) * axis + (-1,) + (1,) * (x.ndim - axis - 1)
    return xp.conj(x) * xp.reshape(alone * (1.0 - factor) + factor, line)


def _frequencies(factor: float) -> list[Sample]:
    return [sample("~ a 3", n=n, axis=1, factor=factor) for n in (4, 5)]


def _rfft(xp: Any, x: Array, *, axis: int, norm: str) -> Array:
    if dtype_of(x).kind != "float":
        raise TypeError(f"integers become floats first, got {dtype_of(x)}")
    return xp.fft.rfft(x, axis=axis, norm=norm)


mirrored_p: Unary = linear(  # its own transpose: Re(g conj(x) w) = Re(conj(g) w x)
    "mirrored", _mirrored, lambda s, **params: s, lambda g, x, **params: mirrored_p(g, **params),
    [*_frequencies(2.0), *_frequencies(0.5), sample("~ 3 a", n=4, axis=0, factor=2.0)])
rfft_p: Unary = linear(
    "rfft", _rfft, _halved,
    lambda g, x, *, axis, norm: irfft_p(mirrored_p(g, n=x.shape[axis], axis=axis, factor=0.5),
                                        n=x.shape[axis], axis=axis, norm=OPPOSITE[norm]),
    [sample("a 5", axis=1, norm=BACKWARD), sample("4 b", axis=0, norm=ORTHO),
     sample("1", axis=0, norm=FORWARD), sample("2", axis=0, norm=FORWARD)],
    result=lambda given, **params: WHOLES.get(promote(given[0], float32), complex64), of_complex=False)
irfft_p: Unary = linear(
    "irfft", lambda xp, x, *, n, axis, norm: xp.fft.irfft(x, n=n, axis=axis, norm=norm), _restored,
    lambda g, x, *, n, axis, norm: mirrored_p(rfft_p(g, axis=axis, norm=OPPOSITE[norm]),
                                              n=n, axis=axis, factor=2.0),
    [sample("~ a 3", n=5, axis=1, norm=BACKWARD), sample("~ 3 b", n=4, axis=0, norm=ORTHO),
     sample("~ 1", n=1, axis=0, norm=FORWARD), sample("~ 2", n=2, axis=0, norm=FORWARD)],
    result=lambda given, **params: PARTS.get(given[0], given[0]))

# --- what users write is brought to that -----------------------------------------------------------


def _floating(x: V) -> V:
    """``x`` in float32, float64 or a complex dtype: halves are transformed in float32."""
    dtype = dtype_of(x)
    if dtype.kind in ("bool", "int"):
        dtype = get_default_dtype()
    return cast(x, float32 if dtype in HALF_DTYPES else dtype)


def _complex(x: V) -> V:
    x = _floating(x)
    return cast(x, WHOLES.get(dtype_of(x), dtype_of(x)))


def _norm(name: str, norm: str) -> str:
    if norm not in OPPOSITE:
        raise ValueError(f"{name}: norm must be 'backward', 'ortho' or 'forward', got {norm!r}")
    return norm


def _length(name: str, n: Any) -> int:
    try:
        length = index(n)
    except TypeError:
        raise TypeError(f"{name}: a length must be a whole number, got {n!r}") from None
    if length < 1:
        raise ValueError(f"{name}: a length must be at least 1, got {n}")
    return length


def _resized(x: V, n: int, axis: int) -> V:
    """``x`` cut off, or followed by zeros, so that it has size ``n`` along ``axis``."""
    size = x.shape[axis]
    if n < size:
        return getitem_p(x, index=(slice(None),) * axis + (slice(0, n),))
    widths = tuple((0, (n - size) * (i == axis)) for i in range(len(x.shape)))
    return x if n == size else pad_p(x, widths=widths, value=0.0)


def _chosen(name: str, x: V, s: Sequence[int] | None, axes: Sequence[int] | None) -> tuple[list[int], Axes]:
    """The lengths and axes of a transform along several: the last ones for ``s`` alone, all for neither."""
    ndim = len(x.shape)
    if axes is None:
        if s is not None and len(s) > ndim:
            raise ValueError(f"{name}: {len(s)} lengths s={tuple(s)} for shape {x.shape}, of fewer axes")
        axes = range(ndim) if s is None else range(ndim - len(s), ndim)
    found = tuple(normalized_axis(a, ndim) for a in axes)
    if len(set(found)) < len(found):
        raise ValueError(f"{name}: axes {tuple(axes)} name an axis twice")
    if not found:
        raise ValueError(f"{name}: needs at least one axis to transform, in shape {x.shape}")
    if s is not None and len(s) != len(found):
        raise ValueError(f"{name}: {len(s)} lengths s={tuple(s)} do not fit {len(found)} axes")
    return [_length(name, n) for n in s] if s is not None else [x.shape[a] for a in found], found


def _transformed(name: str, primitive: Unary, x: V, s: Sequence[int] | None, axes: Sequence[int] | None,
                 norm: str) -> V:
    lengths, found = _chosen(name, x, s, axes)
    x = _complex(x)
    for n, axis in zip(lengths, found, strict=True):
        x = _resized(x, n, axis)
    return primitive(x, axes=found, norm=_norm(name, norm))


def _one(n: int | None) -> list[int] | None:
    return None if n is None else [n]


# --- along one axis ----------------------------------------------------------------------------------


@operation([sample("a 5", n=3), sample("~ 3 b", n=4, axis=0, norm=ORTHO)])
@wants_tensors
def fft(x: V, n: int | None = None, axis: int = -1, norm: str = BACKWARD) -> V:
    """The discrete Fourier transform of ``x`` along ``axis``: sums of x[j] exp(-2 pi i j k / n), over j.

    Args:
        x: real or complex; integers become the default float, halves are transformed in float32.
        n: how many elements are transformed: the axis is cut off, or followed by zeros.
        axis: along which.
        norm: which transform divides: the inverse by n (``"backward"``), this one by n (``"forward"``),
            or both by its root (``"ortho"``).

        >>> import dlcore as dl
        >>> dl.fft.fft(dl.tensor([1.0, 2.0, 3.0, 4.0])).tolist()
        [(10+0j), (-2+2j), (-2+0j), (-2-2j)]
    """
    return _transformed("fft", fft_p, x, _one(n), (axis,), norm)


@operation([sample("a 5", n=3), sample("~ 3 b", n=4, axis=0, norm=FORWARD)])
@wants_tensors
def ifft(x: V, n: int | None = None, axis: int = -1, norm: str = BACKWARD) -> V:
    """The inverse of :func:`fft`, with the same arguments."""
    return _transformed("ifft", ifft_p, x, _one(n), (axis,), norm)


@operation([sample("a 5", n=3), sample("3 b", n=4, axis=0, norm=ORTHO), sample("a 4")])
@wants_tensors
def rfft(x: V, n: int | None = None, axis: int = -1, norm: str = BACKWARD) -> V:
    """The frequencies 0 to n // 2 of :func:`fft` for real ``x``; the others are their conjugates.

        >>> import dlcore as dl
        >>> dl.fft.rfft(dl.tensor([1.0, 2.0, 3.0, 4.0])).tolist()
        [(10+0j), (-2+2j), (-2+0j)]
    """
    axis = normalized_axis(axis, len(x.shape))
    length = x.shape[axis] if n is None else _length("rfft", n)
    return rfft_p(_resized(_floating(x), length, axis), axis=axis, norm=_norm("rfft", norm))


@operation([sample("~ a 3", n=5), sample("~ 3 b", n=3, axis=0, norm=ORTHO)])
@wants_tensors
def irfft(x: V, n: int | None = None, axis: int = -1, norm: str = BACKWARD) -> V:
    """The real numbers of which :func:`rfft` is ``x``: the inverse of it.

    Args:
        x: frequencies from 0 on; the imaginary part of the first, and for even n of the last, counts not.
        n: how many real numbers, n // 2 + 1 frequencies; 2 (m - 1) for m of them unless given.  An odd
            number must be given, for the frequencies do not tell.
        axis: along which.
        norm: as :func:`fft` has it.

        >>> import dlcore as dl
        >>> dl.fft.irfft(dl.fft.rfft(dl.tensor([1.0, 2.0, 4.0])), n=3).tolist()
        [1.0, 2.0, 4.0]
    """
    axis = normalized_axis(axis, len(x.shape))
    length = _length("irfft", 2 * (x.shape[axis] - 1) if n is None else n)
    x = _resized(_complex(x), length // 2 + 1, axis)
    return irfft_p(x, n=length, axis=axis, norm=_norm("irfft", norm))


@operation([sample("~ a 3", n=5), sample("~ 3 b", axis=0, norm=ORTHO)])
@wants_tensors
def hfft(x: V, n: int | None = None, axis: int = -1, norm: str = BACKWARD) -> V:
    """The real :func:`fft` of ``n`` numbers of which x[-j] = conj(x[j]), given the first n // 2 + 1."""
    return irfft(conj(_complex(x)), n, axis, OPPOSITE[_norm("hfft", norm)])


@operation([sample("a 5", n=3), sample("3 b", axis=0, norm=ORTHO)])
@wants_tensors
def ihfft(x: V, n: int | None = None, axis: int = -1, norm: str = BACKWARD) -> V:
    """The inverse of :func:`hfft`: of n real numbers, the first n // 2 + 1 that they are the transform of."""
    return conj(rfft(x, n, axis, OPPOSITE[_norm("ihfft", norm)]))


# --- along several axes --------------------------------------------------------------------------------


@operation([sample("2 3", s=(3, 2)), sample("~ 2 b 3", axes=(0, 2), norm=ORTHO)])
@wants_tensors
def fftn(x: V, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = BACKWARD) -> V:
    """:func:`fft` along every axis in ``axes``, with a length for each in ``s``.

    Without ``axes`` these are the last ones for which ``s`` has lengths, or all.
    """
    return _transformed("fftn", fft_p, x, s, axes, norm)


@operation([sample("2 3", s=(3, 2)), sample("~ 2 b 3", axes=(0, 2), norm=FORWARD)])
@wants_tensors
def ifftn(x: V, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = BACKWARD) -> V:
    """The inverse of :func:`fftn`, with the same arguments."""
    return _transformed("ifftn", ifft_p, x, s, axes, norm)


@operation([sample("2 4", s=(3, 5)), sample("2 b 3", axes=(2, 0), norm=ORTHO), sample("4")])
@wants_tensors
def rfftn(x: V, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = BACKWARD) -> V:
    """:func:`rfft` along the last axis in ``axes``, and :func:`fft` along the others."""
    lengths, found = _chosen("rfftn", x, s, axes)
    half = rfft(x, lengths[-1], found[-1], norm)
    return fftn(half, lengths[:-1], found[:-1], norm) if found[1:] else half


@operation([sample("~ 2 3", s=(3, 5)), sample("~ 2 b 3", axes=(2, 0), norm=ORTHO), sample("~ 4")])
@wants_tensors
def irfftn(x: V, s: Sequence[int] | None = None, axes: Sequence[int] | None = None,
           norm: str = BACKWARD) -> V:
    """The inverse of :func:`rfftn`; an odd length of the last axis must be given."""
    lengths, found = _chosen("irfftn", x, s, axes)
    half = ifftn(x, lengths[:-1], found[:-1], norm) if found[1:] else x
    return irfft(half, None if s is None else lengths[-1], found[-1], norm)


def fft2(x: V, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: str = BACKWARD) -> V:
    """:func:`fftn` of two axes, the last ones unless told."""
    return fftn(x, s, axes, norm)


def ifft2(x: V, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: str = BACKWARD) -> V:
    """:func:`ifftn` of two axes, the last ones unless told."""
    return ifftn(x, s, axes, norm)


def rfft2(x: V, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: str = BACKWARD) -> V:
    """:func:`rfftn` of two axes, the last ones unless told."""
    return rfftn(x, s, axes, norm)


def irfft2(x: V, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: str = BACKWARD) -> V:
    """:func:`irfftn` of two axes, the last ones unless told."""
    return irfftn(x, s, axes, norm)


# --- the order of frequencies --------------------------------------------------------------------------


@operation([sample("5 b", axes=0), sample("~ 4 3")])
@wants_tensors
def fftshift(x: V, axes: Axis = None) -> V:
    """``x`` with frequency 0 moved from the front to the middle of every axis, or of those in ``axes``.

        >>> import dlcore as dl
        >>> dl.fft.fftshift(dl.tensor([0, 1, 2, -2, -1])).tolist()
        [-2, -1, 0, 1, 2]
    """
    found = normalized_axes(axes, len(x.shape))
    return roll(x, [x.shape[a] // 2 for a in found], found) if found else x


@operation([sample("5 b", axes=0), sample("~ 4 3")])
@wants_tensors
def ifftshift(x: V, axes: Axis = None) -> V:
    """The inverse of :func:`fftshift`."""
    found = normalized_axes(axes, len(x.shape))
    return roll(x, [-(x.shape[a] // 2) for a in found], found) if found else x
