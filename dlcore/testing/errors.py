"""How far derivatives are from finite differences, as numbers: what the ledger publishes.

``check_grads`` asks the same question and answers yes or no.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dlcore.history import recording
from dlcore.random import Generator
from dlcore.tensors import Tensor
from dlcore.testing.gradients import dot, norm, random_like
from dlcore.transforms import jvp, vjp

__all__ = ["Error", "errors", "slope"]

STEP = 1e-3
"""Two central differences, of this step and of half of it, are combined so that errors of order h² cancel."""

RTOL = 1e-6
"""The error that is allowed, in proportion to the cotangent and the derivative."""

ROUNDING = 1e-10
"""The error of the quotients themselves, in proportion to the function: 1e-16 / STEP, and three digits."""

Function = Callable[..., list[Tensor]]


class Error(NamedTuple):
    """The relative error of one mode at one order, and how large it may be."""

    mode: str
    order: int
    error: float
    allowed: float


def errors(f: Function, xs: Sequence[Tensor], *, order: int = 2, seed: int = 0) -> list[Error]:
    """The errors of both modes of ``f``, from float64 tensors to a list of those, up to ``order``.

    An error is relative to the norms of cotangent and derivative; where the derivative is next to
    nothing, to what rounding leaves of the quotient, so that 0 for 0 is no error.

        >>> import dlcore as dl
        >>> found = errors(lambda x: [dl.sin(x)], [dl.tensor([0.5, 1.0], dtype="float64")], order=1)
        >>> [(e.mode, e.error < 1e-9) for e in found]
        [('rev', True), ('fwd', True)]
    """
    return list(_errors(f, list(xs), 1, order, Generator(seed)))


def _errors(f: Function, xs: list[Tensor], level: int, order: int, draw: Generator) -> Iterator[Error]:
    with recording(False):
        middle = f(*xs)
        v, u = random_like(xs, draw), random_like(middle, draw)
        coarse, fine = _quotients(f, xs, v, STEP), _quotients(f, xs, v, STEP / 2)
    numeric = [(4.0 * b - a) / 3.0 for a, b in zip(coarse, fine, strict=True)]
    expected = dot(u, numeric)
    size = norm(u) * (norm(numeric) + ROUNDING / RTOL * (1.0 + norm(middle)))
    found = {"rev": dot(vjp(f, *xs)[1](u), v), "fwd": dot(u, jvp(f, xs, v)[1])}
    for mode, value in found.items():
        yield Error(mode, level, abs(value - expected) / size, RTOL)
    if level < order:
        n = len(xs)
        pulled: Function = lambda *b: list(vjp(f, *b[:n])[1](list(b[n:])))
        pushed: Function = lambda *b: list(jvp(f, list(b[:n]), list(b[n:]))[1])
        yield from _errors(pulled, [*xs, *u], level + 1, order, draw)
        yield from _errors(pushed, [*xs, *v], level + 1, order, draw)


def slope(f: Function, xs: Sequence[Tensor], seed: int = 0) -> float:
    """The norm of the difference quotient of ``f`` along a random direction."""
    with recording(False):
        return norm(_quotients(f, list(xs), random_like(xs, Generator(seed)), STEP))


def _quotients(f: Function, xs: list[Tensor], v: list[Tensor], step: float) -> list[Tensor]:
    ahead = f(*(x + d * step for x, d in zip(xs, v, strict=True)))
    behind = f(*(x - d * step for x, d in zip(xs, v, strict=True)))
    return [(a - b) / (2.0 * step) for a, b in zip(ahead, behind, strict=True)]
