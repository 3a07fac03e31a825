"""Check derivatives against finite differences: for the operations here, and for your own.

A check draws one random direction for the arguments and one random cotangent for the result, never
all ones: with those, softmax passes whatever its rule says, because its outputs sum to 1.  With J the
derivative, v the direction and u the cotangent, three numbers must agree:

* the difference quotient  <u, (f(x + h v) - f(x - h v)) / 2h>,
* forward mode             <u, J v>,
* reverse mode             <Jᵀ u, v>.

The last two must agree to rounding, whatever finite differences can resolve.  For the second order
the same is done to both derivatives, as functions of x and of u or v.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from backends import as_dtype, promote
from backends.dtypes import complex64
from dlcore import trees
from dlcore.core import Value, dtype_of
from dlcore.history import recording
from dlcore.ops import conj, is_complex, real, where
from dlcore.random import Generator
from dlcore.tensors import Tensor, tensor
from dlcore.transforms import jvp, vjp

__all__ = ["check_grads"]

STEP = 1e-3
"""How far along the direction f is evaluated.

Two central differences, of steps h and h/2, are combined so that errors of order h² cancel.  What is
left is h⁴ f⁽⁵⁾ / 480, about 1e-14 for a tame function, and rounding, about 1e-16 |f| / h = 1e-13 |f|.
"""

ROUNDING = 1e-10
"""Allowed error in proportion to |f|: the rounding above, with three digits to spare."""

AGREEMENT = 1e-9
"""Allowed difference of the two modes, which have only their own rounding."""

Function = Callable[..., list[Tensor]]  # from tensors to a list of tensors
FLOATS = ("float", "complex")
MODES = {"rev": "reverse", "fwd": "forward"}


def check_grads(f: Callable[..., Any], *args: Any, order: int = 2, modes: Sequence[str] = ("rev", "fwd"),
                seed: int = 0, rtol: float = 1e-6, dtype: Any = "float64") -> None:
    """Fail unless the derivatives of ``f`` at ``args`` agree with finite differences.

    Args:
        f: takes ``args`` and returns tensors, perhaps nested; only float results count.
        args: where to check; nested dicts, lists and tuples are fine.  Float tensors and NumPy arrays
            are varied, all else stays as it is.  Keep away from kinks: f is evaluated at distances
            of about 1e-3.
        order: 2 checks the derivatives of the derivatives as well, and so on.
        modes: ``"rev"``, ``"fwd"`` or both.
        seed: of the directions and cotangents.
        rtol: allowed error, in proportion to the sizes of the cotangent and of the derivative.
        dtype: what float arguments are converted to; None leaves them.  Finite differences need
            float64; in float32 only errors of some per cent are noticed, with ``rtol=0.1``.

    Raises:
        AssertionError: a derivative is wrong; the message says which, and both numbers.
        ValueError: there is nothing to check.

        >>> import dlcore as dl
        >>> check_grads(dl.tanh, dl.tensor([0.5, -1.0]))
        >>> slope = dl.custom_vjp(lambda x: (x * x, x), lambda x, g: g * x)  # forgets a factor 2
        >>> check_grads(slope, dl.tensor(3.0), order=1)
        Traceback (most recent call last):
        ...
        AssertionError: ...: reverse mode, order 1, is wrong: ...
    """
    if not modes or set(modes) - set(MODES):
        raise ValueError(f"check_grads: modes must be 'rev', 'fwd' or both, got {modes!r}")
    if order < 1:
        raise ValueError(f"check_grads: order must be at least 1, got {order}")
    leaves = [_as_tensor(x, dtype) for x in trees.leaves(args)]
    varied = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and dtype_of(x).kind in FLOATS]
    name = getattr(f, "name", None) or getattr(f, "__name__", None) or repr(f)
    if not varied:
        raise ValueError(f"check_grads: none of the arguments of {name} is a float tensor or array")

    def flat(*xs: Tensor) -> list[Tensor]:
        full = list(leaves)
        for i, x in zip(varied, xs, strict=True):
            full[i] = x
        return _floats(f(*trees.rebuilt(tuple(args), full)))

    _check(Subject(name, flat, ()), [leaves[i] for i in varied], order, modes, Generator(seed), rtol)


def _as_tensor(x: Any, dtype: Any) -> Any:
    """A float array as a tensor of ``dtype``, anything else unchanged."""
    if not hasattr(x, "dtype"):
        return x
    x = x if isinstance(x, Value) else tensor(x)
    if dtype is None or x.dtype.kind not in FLOATS:
        return x
    return x.astype(promote(as_dtype(dtype), complex64) if x.dtype.kind == "complex" else dtype)


def _floats(result: Any) -> list[Any]:
    return [y for y in trees.leaves(result) if isinstance(y, Value) and dtype_of(y).kind in FLOATS]


class Subject(NamedTuple):
    """What is being checked: a function of tensors, and by which modes it came from the user's."""

    name: str
    function: Function
    history: tuple[str, ...]

    def said(self, what: str) -> str:
        of = f" of {' of '.join(MODES[m] for m in reversed(self.history))} mode" if self.history else ""
        return f"{self.name}: {what}{of}, order {len(self.history) + 1}, is wrong"


def _check(
    subject: Subject, xs: list[Tensor], order: int, modes: Sequence[str], draw: Generator, rtol: float
) -> None:
    f = subject.function
    with recording(False):
        middle = f(*xs)
        if not middle:
            raise ValueError(f"check_grads: {subject.name} returns no float tensor")
        v, u = _random(xs, draw), _random(middle, draw)
        slopes = [_slopes(f, xs, v, step) for step in (STEP, STEP / 2)]
    numeric = [(4.0 * fine - coarse) / 3.0 for coarse, fine in zip(*slopes, strict=True)]
    expected = dot(u, numeric)
    allowed = rtol * norm(u) * norm(numeric) + ROUNDING * norm(u) * (1.0 + norm(middle))
    found: dict[str, float] = {}
    if "rev" in modes:
        found["rev"] = dot(_pulled(f, xs, u), v)
    if "fwd" in modes:
        found["fwd"] = dot(u, _pushed(f, xs, v))
    for mode, value in found.items():
        if not abs(value - expected) <= allowed:
            raise AssertionError(
                f"{subject.said(MODES[mode] + ' mode')}: it says {value:.9g}, finite differences say "
                f"{expected:.9g}, allowed is {allowed:.2g}; arguments {_described(xs)}"
                f"{_doubt(slopes, allowed)}"
            )
    if len(found) == 2:
        size = norm(u) * norm(numeric) + ROUNDING * norm(u) * (1.0 + norm(middle))
        if not abs(found["rev"] - found["fwd"]) <= AGREEMENT * max(size, 1.0):
            raise AssertionError(
                f"{subject.said('one of both modes')}: reverse says {found['rev']:.15g}, forward "
                f"says {found['fwd']:.15g}; arguments {_described(xs)}"
            )
    if order > 1:
        for mode in modes:
            derived, point = _derived(f, mode, xs, u if mode == "rev" else v)
            _check(
                Subject(subject.name, derived, (*subject.history, mode)), point, order - 1, modes, draw, rtol
            )


def _derived(
    f: Function, mode: str, xs: list[Tensor], weights: list[Tensor]
) -> tuple[Function, list[Tensor]]:
    """A derivative of ``f`` as a function of the arguments and of the cotangents or tangents."""
    n = len(xs)

    def derived(*both: Tensor) -> list[Tensor]:
        return (_pulled if mode == "rev" else _pushed)(f, list(both[:n]), list(both[n:]))

    return derived, [*xs, *weights]


def _pulled(f: Function, xs: list[Tensor], u: list[Tensor]) -> list[Tensor]:
    return list(vjp(f, *xs)[1](u))


def _pushed(f: Function, xs: list[Tensor], v: list[Tensor]) -> list[Tensor]:
    return list(jvp(f, xs, v)[1])


def _slopes(f: Function, xs: list[Tensor], v: list[Tensor], step: float) -> list[Tensor]:
    """The central difference quotients of every result of ``f``."""
    ahead = f(*(x + d * step for x, d in zip(xs, v, strict=True)))
    behind = f(*(x - d * step for x, d in zip(xs, v, strict=True)))
    return [(a - b) / (2.0 * step) for a, b in zip(ahead, behind, strict=True)]


def _random(like: Sequence[Tensor], draw: Generator) -> list[Tensor]:
    """A tensor shaped like each, with elements from 0.5 to 1.5 of either sign, the same on every backend."""
    found = []
    for x in like:
        parts = [_signed(x.shape, real(x).dtype, draw) for _ in range(1 + is_complex(x))]
        found.append((parts[0] + parts[1] * 1j if parts[1:] else parts[0]).to(x.backend))
    return found


def _signed(shape: tuple[int, ...], dtype: Any, draw: Generator) -> Tensor:
    size = draw.uniform(shape, 0.5, 1.5, dtype=dtype, backend="cpu")
    flipped = draw.bernoulli(0.5, shape, backend="cpu")
    return where(flipped, -size, size)


def dot(xs: Sequence[Tensor], ys: Sequence[Tensor]) -> float:
    """The inner product of two lists of tensors, complex numbers being pairs of real ones."""
    return math.fsum(real(conj(x) * y).sum().item() for x, y in zip(xs, ys, strict=True))


def norm(xs: Sequence[Tensor]) -> float:
    """The Euclidean norm of a list of tensors."""
    return math.sqrt(dot(xs, xs))


def _described(xs: Sequence[Tensor]) -> str:
    return ", ".join(f"{x.dtype}{x.shape}" for x in xs)


def _doubt(slopes: list[list[Tensor]], allowed: float) -> str:
    """A remark if two step sizes disagree, so that it may be the point that is to blame."""
    apart = norm([a - b for a, b in zip(*slopes, strict=True)])
    return (
        f"; but steps {STEP} and {STEP / 2} differ by {apart:.2g}: is there a kink nearby?"
        if apart > allowed
        else ""
    )
