"""Lists of tensors as vectors: drawn at random, and measured on the host, where sums lose nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from backends import as_dtype
from dlcore.random import Generator
from dlcore.tensors import tensor

__all__ = ["dot", "norm", "random_like", "real_dtype", "scale", "wide"]


def random_like(like: Sequence[Any], draw: Generator) -> list[Any]:
    """A tensor shaped like each, with parts from 0.5 to 1.5 of either sign, the same on every backend."""
    found = []
    for x in like:
        parts = [_signed(x.shape, draw) for _ in range(1 + (x.dtype.kind == "complex"))]
        found.append(tensor(parts[0] if len(parts) == 1 else parts[0] + 1j * parts[1], x.dtype).to(x.backend))
    return found


def _signed(shape: tuple[int, ...], draw: Generator) -> Any:
    drawn: Any = draw.uniform(shape, 0.0, 2.0, dtype="float64", backend="cpu").numpy()
    return drawn - 0.5 - 1.0 * (drawn < 1.0)  # from -1.5 to -0.5, or from 0.5 to 1.5


def real_dtype(x: Any) -> Any:
    """The dtype of the parts of ``x``."""
    return {"complex64": as_dtype("float32"), "complex128": as_dtype("float64")}.get(str(x.dtype), x.dtype)


def wide(x: Any) -> Any:
    """The values as a NumPy array that is wide enough to add them up."""
    return x.numpy().astype("complex128" if x.dtype.kind == "complex" else "float64")


def dot(xs: Sequence[Any], ys: Sequence[Any]) -> float:
    """The real inner product of two lists of tensors."""
    return math.fsum(float((wide(x).conj() * wide(y)).sum().real) for x, y in zip(xs, ys, strict=True))


def norm(xs: Sequence[Any]) -> float:
    """The Euclidean norm of a list of tensors."""
    return math.sqrt(dot(xs, xs))


def scale(x: Any) -> float:
    """The typical size of an element, 1 for zeros: how far along a direction is far."""
    return norm([x]) / math.sqrt(x.size) if x.size and norm([x]) else 1.0
