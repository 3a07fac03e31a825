"""What finite differences say of a derivative, beside what either mode claims it to be.

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
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from dlcore.core import dtype_of
from dlcore.history import recording
from dlcore.random import Generator
from dlcore.testing.diagnosis import diagnosed
from dlcore.testing.differences import EPSILON, Slope, first_step, many_steps, two_steps
from dlcore.testing.vectors import dot, norm, random_like, real_dtype, scale, wide
from dlcore.transforms import jvp, vjp

__all__ = ["MODES", "Finding", "GradientError", "Settings", "Subject", "findings"]

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

    def __reduce__(self) -> tuple[Any, ...]:  # so that a process can hand it to another
        return type(self), (*self.args, self.kind, self.mode, self.order, self.expected, self.found)


class Settings(NamedTuple):
    """What a check was asked to do."""

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
    name: str
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
        return f"{self.name}: {what}{of}, order {self.order},"

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


class Finding(NamedTuple):
    """What one mode claims a slope to be, beside what finite differences say of it."""

    subject: Subject
    at: Point
    mode: str
    claimed: float
    slope: Slope
    allowed: float

    @property
    def right(self) -> bool:
        """Whether both agree."""
        return abs(self.claimed - self.slope.value) <= self.allowed

    @property
    def relative(self) -> float:
        """How far they are apart, in units in which ``rtol`` is allowed."""
        apart = abs(self.claimed - self.slope.value)
        return self.at.rtol * apart / self.allowed if self.allowed else math.inf if apart else 0.0

    def error(self) -> GradientError:
        """Says that the mode is wrong, and what that looks like."""
        subject, at, slope = self.subject, self.at, self.slope
        stepped = slope.step == COMPLEX_STEP
        said = "the complex step says" if stepped else "finite differences say"
        text = (f"{subject.said(MODES[self.mode] + ' mode')} is wrong: it says {self.claimed:.9g}, {said} "
                f"{slope.value:.9g}, allowed is {self.allowed:.2g}")
        if slope.kink:
            return subject.error(text, "kink", at.xs, self.mode, slope.value, self.claimed,
                                 "; but the slopes to both sides differ: is there a kink nearby?")
        found = diagnosed(subject.function, at.xs, self.mode, subject.order, at.rtol)
        more = f"; {found.sentence}" if found else "; is the function analytic?" if stepped else ""
        return subject.error(text, found.kind if found else "unknown", at.xs, self.mode, slope.value,
                             self.claimed, more)


def findings(subject: Subject, xs: list[Any], attempts: int = ATTEMPTS) -> Iterator[Finding]:
    """What is found of ``subject`` at ``xs``, and of its derivatives; refuses what cannot be told."""
    at = _point(subject, xs)
    claims = {mode: _claimed(subject, at, mode) for mode in subject.settings.modes}
    slope, size, allowed = _compared(subject, at, claims)
    found = [Finding(subject, at, mode, claimed, slope, allowed) for mode, claimed in claims.items()]
    yield from found
    largest = max(map(abs, claims.values()))  # what is no more than rounding counts as zero
    if slope.error > max(RESOLVED, at.rtol) * max(size, largest) and largest > ROUNDING * at.rounding:
        raise _unresolved(subject, at, slope, max(size, largest))
    if abs(slope.value) < 0.5 * size / math.sqrt(sum(y.size for y in at.middle) or 1) and attempts > 1:
        yield from findings(subject, xs, attempts - 1)
        return
    if len(claims) == 2 and all(f.right for f in found):
        # six tenths of the digits must agree: derivatives have no rounding but their own
        allowed = at.eps**0.6 * max(size, subject.size, norm(at.u) * norm(at.middle))
        if not abs(claims["rev"] - claims["fwd"]) <= allowed:
            raise subject.error(
                f"{subject.said('one of both modes')} is wrong: reverse says {claims['rev']:.15g}, forward "
                f"says {claims['fwd']:.15g}", "modes disagree", xs, None, claims["rev"], claims["fwd"])
    if subject.order < subject.settings.order:
        for mode in subject.settings.modes:
            yield from findings(*_derived(subject, mode, at, size))


def _claimed(subject: Subject, at: Point, mode: str) -> float:
    """What a mode says of the slope; refuses derivatives of other shapes than they must have."""
    found = (_pulled if mode == "rev" else _pushed)(subject.function, at.xs, at.u if mode == "rev" else at.v)
    like = at.xs if mode == "rev" else at.middle
    if [d.shape for d in found] != [x.shape for x in like]:
        what, given = ("arguments", "gradients") if mode == "rev" else ("results", "tangents")
        seen = diagnosed(subject.function, at.xs, mode, subject.order, at.rtol)
        raise subject.error(
            f"{subject.said(MODES[mode] + ' mode')} is wrong: its {given} have the shapes "
            f"{', '.join(str(d.shape) for d in found)}, the {what} {', '.join(str(x.shape) for x in like)}",
            seen.kind if seen else "wrong shape", at.xs, mode, more=f"; {seen.sentence}" if seen else "")
    return dot(found, at.v) if mode == "rev" else dot(at.u, found)


def _point(subject: Subject, xs: list[Any]) -> Point:
    """Random directions at ``xs``, and what is known there; refuses what cannot be checked."""
    settings = subject.settings
    with recording(False):
        middle, again = subject.function(*xs), subject.function(*xs)
    if not math.isfinite(norm(middle)):
        raise subject.error(f"{subject.name}: returns nan or inf for these arguments"
                            f"{', at order ' + str(subject.order) if subject.history else ''}: "
                            "no difference can be taken", "not finite", xs)
    apart = norm([x - y for x, y in zip(middle, again, strict=True)])
    if not apart <= settings.nondet_tol:
        raise subject.error(f"{subject.name}: is not deterministic: for the same arguments two results "
                            f"differ by {apart:.2g}; seed its generator inside, or allow it with nondet_tol",
                            "nondeterministic", xs)
    names = [str(real_dtype(x)) for x in (*xs, *middle)]
    eps = max(EPSILON[n] for n in names)
    rtol = settings.rtol
    if rtol is None:
        rtol = max(TOLERANCE.get(n, 0.05) for n in names)
    v = [d * s for d, s in zip(random_like(xs, settings.draw), map(scale, xs), strict=True)]
    u = random_like(middle, settings.draw)
    rounding = eps * (norm(u) * norm(middle) + subject.size) + norm(u) * settings.nondet_tol
    return Point(xs, v, u, middle, eps, rtol, rounding)


def _compared(subject: Subject, at: Point, found: dict[str, float]) -> tuple[Slope, float, float]:
    """The slope that differences find, the size of the derivative, and how far a claim may be off."""
    line, size_at = _line(subject, at)
    step = first_step(at.eps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a step may lead out of the domain, and the next one does not
        if subject.settings.method == "complex" and not subject.history:
            value = _complex_step(subject.function, at)
            size = max(abs(value), *map(abs, found.values()))
            return Slope(value, 0.0, COMPLEX_STEP), size, at.rtol * size + ROUNDING * at.rounding
        value, size = two_steps(line, step), size_at(step / 2)
        slope = Slope(value, ROUNDING * (at.rounding + at.eps * size) / step, step)
        allowed = at.rtol * size + slope.error
        if not _agrees(slope, allowed, size, found):
            slope = many_steps(line, step, at.rounding + at.eps * size, at.eps)
            size = size_at(slope.step)
            allowed = at.rtol * size + 3.0 * slope.error
    if not math.isfinite(slope.error):
        raise _unresolved(subject, at, slope, size)
    return slope, size, allowed


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
    parts = [(wide(u) * wide(y).imag).sum() for u, y in zip(at.u, ys, strict=True)]
    return math.fsum(map(float, parts)) / COMPLEX_STEP


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
    return Subject(subject.settings, subject.name, derived, (*subject.history, mode), made_of), [
        *at.xs, *(at.u if mode == "rev" else at.v)]


def _pulled(f: Function, xs: list[Any], u: list[Any]) -> list[Any]:
    return list(vjp(f, *xs)[1](u))


def _pushed(f: Function, xs: list[Any], v: list[Any]) -> list[Any]:
    return list(jvp(f, xs, v)[1])
