"""Complex numbers: their parts and conjugates, and how derivatives in them are meant.

For a real loss L the gradient by z = x + iy is dL/dx + i dL/dy, as in PyTorch: z - lr * gradient is a
step downwards.  Were passes made of those, every rule would need a conjugate.  So a pass carries the
conjugates, dL/dx - i dL/dy, for which the chain rule of a holomorphic f is d * f'(z), as it is for
real numbers, and the transpose of a linear map is the plain one: rules stay as they are.  Where
cotangents enter a pass and where gradients leave it, :func:`conj` turns one into the other.

Between real and complex numbers the adjoint pair is ``astype``: turning real numbers into complex ones
and taking the real part.  All that is not holomorphic is made of that, of ``imag`` and of ``conj``.
"""

from __future__ import annotations

from typing import Any

from backends import DType, as_dtype, backend_of
from backends.dtypes import complex64, complex128, float32, float64
from dlcore import core
from dlcore.core import Unary, V, Value, cast, cast_like, dtype_of, linear
from dlcore.dispatch import wants_tensors
from dlcore.ops.arithmetic import absolute, zeros_like
from dlcore.ops.transcendental import atan2, hypot
from dlcore.samples import operation, sample

PARTS: dict[DType, DType] = {complex64: float32, complex128: float64}
"""Complex dtypes, and those of their two parts."""

WHOLES: dict[DType, DType] = {float32: complex64, float64: complex128}
"""Real dtypes, and the complex ones of their precision."""


def is_complex(x: Any) -> bool:
    """Whether ``x``, a value or a raw array, holds complex numbers."""
    if type(x) is core.Tensor:
        return backend_of(x.array).is_complex(x.array)
    if isinstance(x, Value) and x.level > 1:
        return False  # a node of a graph, of which nobody knows yet
    dtype = getattr(x, "dtype", None)
    return dtype is not None and as_dtype(dtype).kind == "complex"


def _part(given: list[DType], **params: Any) -> DType:
    return PARTS.get(given[0], given[0])


imag_p: Unary = linear(
    "imag", lambda xp, x: xp.imag(x), lambda s: s, lambda g, x: cast_like(g, x) * -1j,
    [sample("~ a b"), sample("~")], result=_part)
conj_p: Unary = linear("conj", lambda xp, x: xp.conj(x), lambda s: s, lambda g, x: conj_p(g),
                       [sample("~ a b")])


@operation([sample("~ a b"), sample("a")])
@wants_tensors
def real(x: V) -> V:
    """The real parts of ``x``; of real numbers ``x`` itself.

        >>> import dlcore as dl
        >>> dl.real(dl.tensor([1 + 2j, 3j])).tolist()
        [1.0, 0.0]
    """
    return cast(x, PARTS[dtype_of(x)]) if is_complex(x) else x


@operation([sample("~ a b"), sample("a")])
@wants_tensors
def imag(x: V) -> V:
    """The imaginary parts of ``x``; of real numbers zeros.

        >>> import dlcore as dl
        >>> dl.imag(dl.tensor([1 + 2j, 3])).tolist()
        [2.0, 0.0]
    """
    return imag_p(x) if is_complex(x) else zeros_like(x)


def conj(x: V) -> V:
    """The complex conjugates of ``x``; of real numbers ``x`` itself.

        >>> import dlcore as dl
        >>> dl.conj(dl.tensor([1 + 2j, 3])).tolist()
        [(1-2j), (3-0j)]
    """
    return conj_p(x) if is_complex(x) else x


@operation([sample("~ a b"), sample("~")])
def angle(x: V) -> V:
    """The angles of ``x`` in the complex plane, from -pi to pi; the derivative at 0 is 0.

        >>> import dlcore as dl
        >>> dl.angle(dl.tensor([1.0, -1.0, 1j])).tolist()
        [0.0, 3.1415927410125732, 1.5707963705062866]
    """
    return atan2(imag(x), real(x))


def abs(x: V) -> V:
    """The absolute values of ``x``, real even if ``x`` is complex; the derivative at 0 is 0.

        >>> import dlcore as dl
        >>> dl.abs(dl.tensor([-2.0])).tolist(), dl.abs(dl.tensor([3 + 4j])).tolist()
        ([2.0], [5.0])
    """
    return hypot(real(x), imag(x)) if is_complex(x) else absolute(x)
