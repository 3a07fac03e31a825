"""Discrete Fourier transforms, ``dl.fft``: names, arguments and defaults are the array-API standard's.

All are differentiable, in both modes and to any order; ``docs/complex.md`` says what a gradient in
complex numbers is.

    >>> import dlcore as dl
    >>> x = dl.tensor([1.0, 0.0, 0.0, 0.0], requires_grad=True)
    >>> dl.sum(dl.square(dl.abs(dl.fft.fft(x)))).backward()
    >>> x.grad
    tensor([8., 0., 0., 0.], float32)
"""

from __future__ import annotations

from typing import Any

from backends import get_default_dtype
from dlcore.creation import arange
from dlcore.ops.fourier import (
    fft,
    fft2,
    fftn,
    fftshift,
    hfft,
    ifft,
    ifft2,
    ifftn,
    ifftshift,
    ihfft,
    irfft,
    irfft2,
    irfftn,
    rfft,
    rfft2,
    rfftn,
)
from dlcore.tensors import Tensor

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft",
    "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]


def fftfreq(n: int, d: float = 1.0, dtype: Any = None) -> Tensor:
    """The frequencies that :func:`fft` of ``n`` samples at distances ``d`` gives, in cycles per unit.

    In the default float dtype unless another is given.

        >>> fftfreq(5).tolist()
        [0.0, 0.20000000298023224, 0.4000000059604645, -0.4000000059604645, -0.20000000298023224]
    """
    _check("fftfreq", n, d)
    return ifftshift(arange(-(n // 2), n - n // 2, dtype=dtype or get_default_dtype())) / (n * d)


def rfftfreq(n: int, d: float = 1.0, dtype: Any = None) -> Tensor:
    """The frequencies that :func:`rfft` of ``n`` samples at distances ``d`` gives, in cycles per unit.

        >>> rfftfreq(4).tolist()
        [0.0, 0.25, 0.5]
    """
    _check("rfftfreq", n, d)
    return arange(n // 2 + 1, dtype=dtype or get_default_dtype()) / (n * d)


def _check(name: str, n: int, d: float) -> None:
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"{name}: the number of samples must be a positive whole number, got {n!r}")
    if d == 0:
        raise ValueError(f"{name}: samples at distance 0 have no frequencies")
