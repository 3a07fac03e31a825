"""What kind of mistake a wrong derivative looks like, in words for whoever wrote the rule.

A check along random directions says that a rule is wrong, not how.  Once it has failed,
:func:`diagnosed` looks closer: it compares the whole Jacobian, as the mode in question claims it, with
finite differences, for every argument and result, and asks :mod:`dlcore.testing.marks` about the worst.

A check calls it with what it has at hand::

    found = diagnosed(f, xs, mode, order, rtol)     # f takes the float tensors xs, returns a list of such
    message = f"{message}; {found.sentence}" if found else message

``mode`` is the one that was wrong, ``"rev"`` or ``"fwd"``, and ``order`` is 1, or more if ``f`` is a
derivative itself.  The answer is None if an array has more than LIMIT elements, or nothing wrong is seen.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from dlcore.core import dtype_of
from dlcore.ops import reshape, zeros_like
from dlcore.random import Generator
from dlcore.tensors import Tensor
from dlcore.testing import marks
from dlcore.testing.marks import Diagnosis, Evidence, Matrix, Vector
from dlcore.transforms import Linearized, unit

__all__ = ["Diagnosis", "diagnosed"]

Function = Callable[..., list[Tensor]]
Place = tuple[int, int]  # which argument, which result

LIMIT = 64
"""The largest number of elements of one argument or result that is looked at closely."""

STEPS, WIDE = {"float64": 1e-3, "complex128": 1e-3}, 0.03
"""How far arguments are moved, in proportion to the largest element, by dtype: rounding and h⁴ in balance."""

KINK = 1e-4  # a jump of the slope below this, in proportion to the slopes, is curvature


def diagnosed(f: Function, xs: Sequence[Tensor], mode: str, order: int = 1,
              rtol: float = 1e-6) -> Diagnosis | None:
    """What is wrong with one mode's derivative of ``f`` at ``xs``; None if it is right, or too large to see.

        >>> import dlcore as dl
        >>> slope = dl.custom_vjp(lambda x: (x * x, x), lambda x, g: g * x)  # forgets a factor 2
        >>> diagnosed(lambda x: [slope(x)], [dl.tensor([1.0, 3.0], dtype="float64")], "rev").kind
        'constant factor'
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a wrong rule may well divide by zero
        closeup = Closeup(f, xs, mode)
        if mistake := closeup.of_another_kind():
            return mistake
        if any(x.size > LIMIT for x in (*closeup.given, *closeup.found)):
            return None
        seen = closeup.evidence(order, rtol)
    wrong = {place: e for place, e in seen.items() if e.error > rtol or marks.nonlinear(e)}
    if not wrong:
        return None
    (argument, result), e = max(wrong.items(), key=lambda item: item[1].error)
    which = [f"argument {argument}"] * (len(closeup.xs) > 1) + [f"result {result}"] * (len(closeup.ys) > 1)
    kind, sentence = marks.diagnose(e)
    return Diagnosis(kind, ": ".join([*filter(None, [", ".join(which)]), sentence]))


class Closeup:
    """A function at a point, and one mode of its derivative there.

    Forward mode is asked about one argument at a time, as if the others were constants: a tangent of
    zeros is a tangent, and a rule may answer it wrongly.
    """

    def __init__(self, f: Function, xs: Sequence[Tensor], mode: str) -> None:
        self.f, self.xs, self.mode = f, list(xs), mode
        self.at = Linearized("check_grads", f, self.xs)
        self.ys: list[Any] = self.at.outputs
        self.given: list[Any] = self.ys if mode == "rev" else self.xs
        self.found: list[Any] = self.xs if mode == "rev" else self.ys
        self.zeros = [zeros_like(x) for x in self.given]
        self.random = _random(self.given)

    def run(self, k: int, vectors: Sequence[Any]) -> list[list[Any]]:
        """What comes back for each of several cotangents of result ``k``, or tangents of argument ``k``."""
        if self.mode == "rev":
            return [list(self.at.pull([*self.zeros[:k], v, *self.zeros[k + 1:]])) for v in vectors]
        at = Linearized("check_grads", lambda x: self.f(*self.xs[:k], x, *self.xs[k + 1:]), [self.xs[k]])
        return [list(at.push((v,))) for v in vectors]

    def of_another_kind(self) -> Diagnosis | None:
        """A diagnosis if what comes back has another shape or dtype than it must have."""
        words, of = marks.WORDS[self.mode], "the argument" if self.mode == "rev" else "the result"
        for y, x in ((y, x) for k, v in enumerate(self.random)
                     for y, x in zip(*self.run(k, [v]), self.found, strict=True)):
            if y.shape != x.shape:
                unsummed = self.mode == "rev" and bool(marks.repeated(y.shape, x.shape))
                hint = ": sum over the axes along which it was repeated" if unsummed else ""
                return Diagnosis("missing sum" if unsummed else "wrong shape",
                                 f"{words} returns shape {y.shape}, {of} has shape {x.shape}{hint}")
            if dtype_of(y) != dtype_of(x):
                return Diagnosis("wrong dtype", f"{words} returns {dtype_of(y)}, {of} is {dtype_of(x)}")
        return None

    def evidence(self, order: int, rtol: float) -> dict[Place, Evidence]:
        """What is seen of every argument and result."""
        slopes = differences(self.f, self.xs)
        elsewhere = [differences(self.f, xs) for xs in _exchanges(self.xs)] if order == 1 else []
        seen: dict[Place, Evidence] = {}
        for k, (x, v) in enumerate(zip(self.given, self.random, strict=True)):
            probes = [v * by for by in (0.0, 1.0, -1.0, 2.0)]
            answers = self.run(k, [*probes, *_units(x)])
            for j, y in enumerate(self.found):
                place = (j, k) if self.mode == "rev" else (k, j)
                rows = [_flat(answer[j]) for answer in answers]
                right, kinks, *others = (self._turned(m) for m in (
                    *slopes[place], *(there[place].slopes for there in elsewhere)))
                seen[place] = Evidence(
                    self.mode, order, _shape(x), _shape(y), rows[len(probes):], right, rows[:len(probes)],
                    kinks, others, (_is_complex(x), _is_complex(y)), rtol)
        return seen

    def _turned(self, rows: Matrix) -> Matrix:
        """A matrix with a row for each element of an argument, as :class:`Evidence` has it."""
        return marks.columns(rows) if self.mode == "rev" else rows


class Differences(NamedTuple):
    """Finite differences, a row for each element of an argument, and whether there are kinks."""

    slopes: Matrix
    kinks: Matrix


def differences(f: Function, xs: Sequence[Tensor]) -> dict[Place, Differences]:
    """Those of every argument and result of ``f``."""
    found: dict[Place, Differences] = {}
    middle = [_flat(y) for y in f(*xs)]
    for a, x in enumerate(xs):
        def moved(by: Any, a: int = a, x: Any = x) -> list[Vector]:
            return [_flat(y) for y in f(*xs[:a], x + by, *xs[a + 1:])]

        step = STEPS.get(str(dtype_of(x)), WIDE) * (max(map(abs, _flat(x)), default=0.0) or 1.0)
        steps = [[moved(d * by) for by in (step, -step, step / 2, -step / 2)] for d in _units(x)]
        for r, y in enumerate(middle):
            rows = [[_slope(step, *values) for values in zip(y, *(values[r] for values in four), strict=True)]
                    for four in steps]
            found[a, r] = Differences(*([[pair[n] for pair in row] for row in rows] for n in (0, 1)))
    return found


def _slope(step: float, middle: float, ahead: float, behind: float, near: float,
           back: float) -> tuple[float, bool]:
    """Two central differences combined, and whether the slope jumps: curvature halves with the step."""
    slope = (4.0 * (near - back) / step - (ahead - behind) / (2.0 * step)) / 3.0
    jump, nearby = abs(ahead + behind - 2.0 * middle) / step, abs(near + back - 2.0 * middle) / (step / 2)
    return slope, max(jump, nearby) > KINK * max(1.0, abs(slope)) and not 0.3 * jump < nearby < 0.7 * jump


def _exchanges(xs: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The arguments with two of equal shape exchanged."""
    for b, y in enumerate(xs):
        for a, x in enumerate(xs[:b]):
            if x.shape == y.shape and x.dtype == y.dtype:
                yield [*xs[:a], y, *xs[a + 1:b], x, *xs[b + 1:]]


def _random(like: Sequence[Any]) -> list[Any]:
    draw = Generator(0)
    found = []
    for x in like:
        parts = [draw.normal(x.shape, dtype="float64", backend="cpu") for _ in range(1 + _is_complex(x))]
        found.append(sum(p * (1.0, 1j)[i] for i, p in enumerate(parts)).astype(x.dtype).to(x.backend))
    return found


def _units(x: Any) -> list[Any]:
    """All unit vectors shaped like ``x``; of complex ones also those times the imaginary unit."""
    return [unit(x, i) * by for i in range(x.size) for by in ((1.0, 1j) if _is_complex(x) else (1.0,))]


def _is_complex(x: Any) -> bool:
    return dtype_of(x).kind == "complex"


def _shape(x: Any) -> tuple[int, ...]:
    return (*x.shape, 2) if _is_complex(x) else x.shape


def _flat(x: Any) -> Vector:
    """The elements; of complex ones the parts, each beside the other."""
    values: list[Any] = reshape(x, (-1,)).tolist()
    return [part for v in values for part in (v.real, v.imag)] if _is_complex(x) else values
