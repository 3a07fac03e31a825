"""Check derivatives against finite differences: for the operations here, and for your own.

A check draws one random direction for the arguments and one random cotangent for the result, never
all ones: with those, softmax passes whatever its rule says, because its outputs sum to 1.  With J the
derivative, v the direction and u the cotangent, three numbers must agree:

* the slope of  <u, f(x + t v)>  at t = 0, as finite differences find it,
* forward mode  <u, J v>,
* reverse mode  <Jᵀ u, v>.

The last two must agree to rounding, whatever finite differences can resolve.  For the second order
the same is done to both derivatives, as functions of x and of u or v.  Of complex numbers, <u, v> is
the real part of the sum of conj(u) v: the gradient of a real L is then dL/dx + i dL/dy, as in PyTorch.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from backends import as_dtype, promote
from dlcore import trees
from dlcore.core import Value, dtype_of
from dlcore.history import recording
from dlcore.random import Generator
from dlcore.tensors import Tensor, tensor
from dlcore.testing.diagnosis import diagnosed
from dlcore.testing.differences import EPSILON, Slope, first_step, many_steps, two_steps
from dlcore.transforms import jvp, vjp

__all__ = ["GradientError", "check_grads"]

ROUNDING = 30.0
"""How many units in the last place a function is taken to be wrong by, until that is measured."""

RESOLVED = 0.01
"""How well finite differences must know a slope, in proportion to its size; else the check says so."""

TOLERANCE = {"float64": 1e-6, "float32": 2e-4}
"""Allowed error in proportion to the derivative; of narrower dtypes 5 %."""

ATTEMPTS = 8
"""How often directions are drawn anew that were almost orthogonal, so that a small error would pass."""

COMPLEX_STEP = 1e-20
"""Nothing is subtracted, so nothing is rounded away: the square of the step vanishes beside 1."""

Function = Callable[..., list[Any]]  # from tensors to a list of tensors
MODES = {"rev": "reverse", "fwd": "forward"}
DIFFERENTIABLE = ("float", "complex")


class GradientError(AssertionError):
    """A derivative that is wrong, or that could not be checked.

    ``kind`` is ``"unresolved"``, ``"not finite"``, ``"nondeterministic"``, ``"modes disagree"``, ``"kink"``,
    or what :mod:`dlcore.testing.diagnosis` takes the mistake for; ``"unknown"`` if for nothing.  ``mode``
    is ``"rev"``, ``"fwd"`` or None, ``expected`` and ``found`` are the two numbers that differ.
    """

    def __init__(self, message: str, kind: str, mode: str | None, order: int, expected: float,
                 found: float) -> None:
        super().__init__(message)
        self.kind, self.mode, self.order = kind, mode, order
        self.expected, self.found = expected, found


def check_grads(f: Callable[..., Any], *args: Any, order: int = 2, modes: Sequence[str] = ("rev", "fwd"),
                seed: int = 0, rtol: float | None = None, dtype: Any = "float64", nondet_tol: float = 0.0,
                method: str = "differences") -> None:
    """Fail unless the derivatives of ``f`` at ``args`` agree with finite differences.

    Args:
        f: takes ``args`` and returns tensors, perhaps nested; only float and complex results count.
            Functions of NumPy, PyTorch and JAX are wrapped: see :mod:`dlcore.testing.peers`.
        args: where to check; nested dicts, lists and tuples are fine.  Float and complex tensors and NumPy
            arrays are varied, all else stays as it is.  Keep away from kinks by a thousandth of the size
            of an argument.
        order: 2 checks the derivatives of the derivatives as well, and so on.
        modes: ``"rev"``, ``"fwd"`` or both.
        seed: of the directions and cotangents.
        rtol: allowed error, in proportion to the sizes of the cotangent and of the derivative; None means
            1e-6 in float64, 2e-4 in float32, 0.05 below.  What rounding hides is allowed as well.
        dtype: what float arguments are converted to (complex ones to the complex dtype of that precision);
            None leaves them.
        nondet_tol: by how much two results for the same arguments may differ.
        method: ``"complex"`` replaces first differences by a complex step: right to the last digit, if
            ``f`` takes complex arguments and is analytic (no ``abs``, ``conj``, ``real``, comparison).
            Higher orders are checked by differences all the same: a gradient is no analytic function.

    Raises:
        GradientError: a derivative is wrong, or cannot be checked; an AssertionError.
        ValueError: there is nothing to check.

        >>> import dlcore as dl
        >>> check_grads(dl.tanh, dl.tensor([0.5, -1.0]))
        >>> slope = dl.custom_vjp(lambda x: (x * x, x), lambda x, g: g * x)  # forgets a factor 2
        >>> check_grads(slope, dl.tensor(3.0), order=1)
        Traceback (most recent call last):
        ...
        dlcore.testing.gradients.GradientError: ...: reverse mode, order 1, is wrong: ...
    """
    if not modes or set(modes) - set(MODES):
        raise ValueError(f"check_grads: modes must be 'rev', 'fwd' or both, got {modes!r}")
    if order < 1:
        raise ValueError(f"check_grads: order must be at least 1, got {order}")
    if method not in ("differences", "complex"):
        raise ValueError(f"check_grads: method must be 'differences' or 'complex', got {method!r}")
    leaves = [_as_tensor(x, dtype) for x in trees.leaves(args)]
    varied = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and _differentiable(x)]
    name = getattr(f, "name", None) or getattr(f, "__name__", None) or repr(f)
    if not varied:
        raise ValueError(f"check_grads: none of the arguments of {name} is a float or a complex array")

    def flat(*xs: Tensor) -> list[Any]:
        full = list(leaves)
        for i, x in zip(varied, xs, strict=True):
            full[i] = x
        return [y for y in trees.leaves(f(*trees.rebuilt(tuple(args), full)))
                if isinstance(y, Value) and _differentiable(y)]

    settings = Settings(name, modes, order, Generator(seed), seed, rtol, nondet_tol, method)
    _check(Subject(settings, flat, (), 0.0), [leaves[i] for i in varied])


def _differentiable(x: Any) -> bool:
    return dtype_of(x).kind in DIFFERENTIABLE


def _as_tensor(x: Any, dtype: Any) -> Any:
    """A float or complex array as a tensor of ``dtype``, anything else unchanged."""
    if not hasattr(x, "dtype"):
        return x
    x = x if isinstance(x, Value) else tensor(x)
    if dtype is None or not _differentiable(x):
        return x
    return x.astype(promote(as_dtype(dtype), as_dtype("complex64")) if x.dtype.kind == "complex" else dtype)


class Settings(NamedTuple):
    """What a check was asked to do."""

    name: str
    modes: Sequence[str]
    order: int
    draw: Generator
    seed: int
    rtol: float | None
    nondet_tol: float
    method: str


class Subject(NamedTuple):
    """What is being checked: a function of tensors, and by which modes it came from the user's."""

    settings: Settings
    function: Function
    history: tuple[str, ...]
    size: float  # of what its values are made of, which may cancel: they are rounded as that is

    @property
    def order(self) -> int:
        """Of its derivatives."""
        return len(self.history) + 1

    def said(self, what: str) -> str:
        """What is the matter with ``what``."""
        of = f" of {' of '.join(MODES[m] for m in reversed(self.history))} mode" if self.history else ""
        return f"{self.settings.name}: {what}{of}, order {self.order},"

    def error(self, text: str, kind: str, xs: Sequence[Any], mode: str | None = None,
              expected: float = math.nan, found: float = math.nan, more: str = "") -> GradientError:
        """The error, told with what reproduces it."""
        described = ", ".join(f"{x.dtype}{x.shape}" for x in xs)
        return GradientError(f"{text}; arguments {described}; seed {self.settings.seed}{more}", kind, mode,
                             self.order, expected, found)


class Point(NamedTuple):
    """Where and along what a subject is checked."""

    xs: list[Any]
    v: list[Any]
    u: list[Any]
    middle: list[Any]
    eps: float
    rtol: float
    rounding: float


def _check(subject: Subject, xs: list[Any], attempts: int = ATTEMPTS) -> None:
    at = _point(subject, xs)
    found = {mode: dot(_pulled(subject.function, xs, at.u), at.v) if mode == "rev" else
             dot(at.u, _pushed(subject.function, xs, at.v)) for mode in subject.settings.modes}
    value, size = _compare(subject, at, found)
    if abs(value) < 0.5 * size / math.sqrt(sum(y.size for y in at.middle)) and attempts > 1:
        _check(subject, xs, attempts - 1)
        return
    if len(found) == 2:
        # six tenths of the digits must agree: derivatives have no rounding but their own
        allowed = at.eps**0.6 * max(size, subject.size, norm(at.u) * norm(at.middle))
        if not abs(found["rev"] - found["fwd"]) <= allowed:
            raise subject.error(
                f"{subject.said('one of both modes')} is wrong: reverse says {found['rev']:.15g}, forward "
                f"says {found['fwd']:.15g}", "modes disagree", xs, None, found["rev"], found["fwd"])
    if subject.order < subject.settings.order:
        for mode in subject.settings.modes:
            _check(*_derived(subject, mode, at, size))


def _point(subject: Subject, xs: list[Any]) -> Point:
    """Random directions at ``xs``, and what is known there; refuses what cannot be checked."""
    settings = subject.settings
    with recording(False):
        middle, again = subject.function(*xs), subject.function(*xs)
    if not middle:
        raise ValueError(f"check_grads: {settings.name} returns no float or complex tensor")
    if not math.isfinite(norm(middle)):
        raise subject.error(f"{settings.name}: returns nan or inf for these arguments"
                            f"{', at order ' + str(subject.order) if subject.history else ''}: "
                            "no difference can be taken", "not finite", xs)
    apart = norm([x - y for x, y in zip(middle, again, strict=True)])
    if not apart <= settings.nondet_tol:
        raise subject.error(f"{settings.name}: is not deterministic: for the same arguments two results "
                            f"differ by {apart:.2g}; seed its generator inside, or allow it with nondet_tol",
                            "nondeterministic", xs)
    names = [str(_real(x)) for x in (*xs, *middle)]
    eps = max(EPSILON[n] for n in names)
    rtol = settings.rtol
    if rtol is None:
        rtol = max(TOLERANCE.get(n, 0.05) for n in names)
    v = [d * s for d, s in zip(random_like(xs, settings.draw), map(scale, xs), strict=True)]
    u = random_like(middle, settings.draw)
    rounding = eps * (norm(u) * norm(middle) + subject.size) + norm(u) * settings.nondet_tol
    return Point(xs, v, u, middle, eps, rtol, rounding)


def _compare(subject: Subject, at: Point, found: dict[str, float]) -> tuple[float, float]:
    """Compare what the modes say with differences; the slope, and the size of the derivative."""
    line, size_at = _line(subject, at)
    step = first_step(at.eps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a step may lead out of the domain, and the next one does not
        if subject.settings.method == "complex" and not subject.history:
            value = _complex_step(subject.function, at)
            size = max(abs(value), *map(abs, found.values()))
            slope, allowed = Slope(value, 0.0, COMPLEX_STEP), at.rtol * size + ROUNDING * at.rounding
        else:
            value, size = two_steps(line, step), size_at(step / 2)
            slope = Slope(value, ROUNDING * (at.rounding + at.eps * size) / step, step)
            allowed = at.rtol * size + slope.error
            if not _agrees(slope, allowed, size, found):
                slope = many_steps(line, step, at.rounding + at.eps * size, at.eps)
                size = size_at(slope.step)
                allowed = at.rtol * size + 3.0 * slope.error
    if not math.isfinite(slope.error):
        raise _unresolved(subject, at, slope, size)
    for mode, claimed in found.items():
        if not abs(claimed - slope.value) <= allowed:
            raise _wrong(subject, at, mode, claimed, slope, allowed)
    largest = max(map(abs, found.values()))  # what is no more than rounding counts as zero
    if slope.error > max(RESOLVED, at.rtol) * max(size, largest) and largest > ROUNDING * at.rounding:
        raise _unresolved(subject, at, slope, max(size, largest))
    return slope.value, size


def _agrees(slope: Slope, allowed: float, size: float, found: dict[str, float]) -> bool:
    """Whether two steps settle it."""
    if not all(abs(claimed - slope.value) <= allowed for claimed in found.values()):
        return False
    return slope.error <= 0.01 * RESOLVED * size or (size == 0.0 and not any(found.values()))


def _line(subject: Subject, at: Point) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """<u, f(x + t v)> as a function of t, and the size of its slopes, of steps to both sides."""
    kept: dict[float, list[Any]] = {}

    def values(t: float) -> list[Any]:
        if t not in kept:
            if len(kept) == 2:
                kept.pop(next(iter(kept)))
            with recording(False):
                kept[t] = subject.function(*(x + d * t for x, d in zip(at.xs, at.v, strict=True)))
        return kept[t]

    def size(h: float) -> float:
        return norm(at.u) * norm([a - b for a, b in zip(values(h), values(-h), strict=True)]) / (2.0 * h)

    return lambda t: dot(at.u, values(t)), size


def _complex_step(f: Function, at: Point) -> float:
    """The slope of an analytic function: the imaginary part of <u, f(x + i h v)> / h."""
    if any(dtype_of(x).kind == "complex" for x in (*at.xs, *at.middle)):
        raise ValueError("check_grads: the complex step is for functions of real arguments with real results")
    with recording(False):
        ys = f(*(x + d * complex(0.0, COMPLEX_STEP) for x, d in zip(at.xs, at.v, strict=True)))
    if any(dtype_of(y).kind != "complex" for y in ys):
        raise ValueError("check_grads: the complex step needs a function that computes with complex numbers; "
                         "this one returned real ones")
    parts = [(_wide(u) * _wide(y).imag).sum() for u, y in zip(at.u, ys, strict=True)]
    return math.fsum(map(float, parts)) / COMPLEX_STEP


def _wrong(subject: Subject, at: Point, mode: str, claimed: float, slope: Slope,
           allowed: float) -> GradientError:
    stepped = slope.step == COMPLEX_STEP
    said = "the complex step says" if stepped else "finite differences say"
    text = (f"{subject.said(MODES[mode] + ' mode')} is wrong: it says {claimed:.9g}, {said} "
            f"{slope.value:.9g}, allowed is {allowed:.2g}")
    if slope.kink:
        return subject.error(text, "kink", at.xs, mode, slope.value, claimed,
                             "; but the slopes to both sides differ: is there a kink nearby?")
    found = diagnosed(subject.function, at.xs, mode, subject.order, at.rtol)
    more = f"; {found.sentence}" if found else "; is the function analytic?" if stepped else ""
    return subject.error(text, found.kind if found else "unknown", at.xs, mode, slope.value, claimed, more)


def _unresolved(subject: Subject, at: Point, slope: Slope, size: float) -> GradientError:
    more = "; the slopes to both sides differ: is there a kink nearby?" if slope.kink else ""
    text = (f"{subject.said('the derivative')} cannot be resolved: finite differences say {slope.value:.3g} "
            f"± {slope.error:.1g}, {100 * slope.error / size:.2g} % of its size; use float64 "
            "(dtype='float64'), or a point where the result is not so large beside its changes")
    return subject.error(text, "kink" if slope.kink else "unresolved", at.xs, None, slope.value, more=more)


def _derived(subject: Subject, mode: str, at: Point, size: float) -> tuple[Subject, list[Any]]:
    """A derivative of a subject as a function of the arguments and of the cotangents or tangents."""
    f, n = subject.function, len(at.xs)

    def derived(*both: Any) -> list[Any]:
        return (_pulled if mode == "rev" else _pushed)(f, list(both[:n]), list(both[n:]))

    made_of = max(size, subject.size, norm(at.u) * norm(at.middle))
    if mode == "rev":  # a gradient is as large as a result over an argument
        made_of /= max(map(scale, at.xs))
    return Subject(subject.settings, derived, (*subject.history, mode), made_of), [
        *at.xs, *(at.u if mode == "rev" else at.v)]


def _pulled(f: Function, xs: list[Any], u: list[Any]) -> list[Any]:
    return list(vjp(f, *xs)[1](u))


def _pushed(f: Function, xs: list[Any], v: list[Any]) -> list[Any]:
    return list(jvp(f, xs, v)[1])


# --- numbers, on the host ------------------------------------------------------------------------------


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


def _real(x: Any) -> Any:
    """The dtype of the parts of ``x``."""
    return {"complex64": as_dtype("float32"), "complex128": as_dtype("float64")}.get(str(x.dtype), x.dtype)


def _wide(x: Any) -> Any:
    """The values as a NumPy array that is wide enough to add them up."""
    return x.numpy().astype("complex128" if x.dtype.kind == "complex" else "float64")


def dot(xs: Sequence[Any], ys: Sequence[Any]) -> float:
    """The real inner product of two lists of tensors."""
    return math.fsum(float((_wide(x).conj() * _wide(y)).sum().real) for x, y in zip(xs, ys, strict=True))


def norm(xs: Sequence[Any]) -> float:
    """The Euclidean norm of a list of tensors."""
    return math.sqrt(dot(xs, xs))


def scale(x: Any) -> float:
    """The typical size of an element, 1 for zeros: how far along a direction is far."""
    return norm([x]) / math.sqrt(x.size) if x.size and norm([x]) else 1.0
