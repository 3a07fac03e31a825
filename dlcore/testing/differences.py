"""The slope of a function of one number, as far as rounding lets finite differences see it.

A central difference of step h is wrong by h² and higher even powers of h (truncation), and by what f is
wrong by, over h (rounding).  Two steps, combined, lose h²; that is :func:`two_steps`, and enough for most
functions.  :func:`many_steps` makes Ridders' table: every step a quarter of the one before, every column
without one more power of h²; it takes the entry that differs least from its neighbours, and stops where
rounding has overtaken truncation.  How much f itself is rounded is measured, by evaluating it a few units
in the last place away, and never taken to be less than what the dtype can hold.

Source: Ridders (1982), "Accurate computation of F'(x) and F'(x) F''(x)"; Moré & Wild (2011), "Estimating
computational noise", for the idea of measuring it by differences of neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite
from typing import NamedTuple

Line = Callable[[float], float]

EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
"""The spacing of numbers near 1, by dtype."""

SHRINK = 4.0
DEEPEST = 18
"""Steps are quartered at most so often: from a thousandth of the argument to a billionth of that."""

COLUMNS = 4
"""Truncation of h² to h⁸ is removed; more columns only spread rounding."""


class Slope(NamedTuple):
    """A slope, how far it may be off, and whether it looks as if there were a kink."""

    value: float
    error: float
    step: float  # the last one that it was found from
    kink: bool = False


def first_step(eps: float) -> float:
    """Where h⁴, the truncation that two steps leave, and eps / h, the rounding, are equal."""
    return float(eps ** 0.2)


def two_steps(line: Line, step: float) -> float:
    """The slope at 0 from steps ``step`` and half of it."""
    coarse, fine = (_central(line, h) for h in (step, step / 2))
    return (4.0 * fine - coarse) / 3.0


def _central(line: Line, h: float) -> float:
    return (line(h) - line(-h)) / (2.0 * h)


def many_steps(line: Line, step: float, rounding: float, eps: float) -> Slope:
    """The slope at 0 from ever smaller steps, beginning at ``step``.

    Args:
        line: the function.
        step: the first.
        rounding: by how much values of ``line`` are rounded at least.
        eps: of the dtype; a few of it away, values differ by their rounding alone.
    """
    middle = line(0.0)
    near = [line(k * eps) for k in (-6, -4, -2, 2, 4, 6)]
    best, above = Slope(0.0, inf, step), list[float]()
    jumps: list[tuple[float, float]] = []
    for k in range(DEEPEST):
        h = step / SHRINK**k
        ahead, behind = line(h), line(-h)
        row = [(ahead - behind) / (2.0 * h)]
        for power, coarse in enumerate(above[:COLUMNS], 1):
            row.append(row[-1] + (row[-1] - coarse) / (SHRINK ** (2 * power) - 1.0))
        noise = max(rounding, _spread(near, row[0], eps)) / h
        for j in range(1, len(row)):
            error = max(abs(row[j] - row[j - 1]), abs(row[j] - above[j - 1]), noise)
            if error < best.error:
                best = Slope(row[j], error, h)
        above = row if all(map(isfinite, row)) else []
        jumps.append((abs(ahead + behind - 2.0 * middle) / h, noise))
        if noise > best.error or (noise > abs(row[0]) and k > 2):
            break
    return best._replace(kink=_jumps(jumps, best))


def _spread(near: list[float], slope: float, eps: float) -> float:
    """How much neighbouring values differ, beyond what the slope between them explains."""
    found = max(near) - min(near) - 12.0 * eps * abs(slope)
    return found if isfinite(found) else 0.0


def _jumps(jumps: list[tuple[float, float]], best: Slope) -> bool:
    """Whether the slopes to both sides differ, and do so no less where the last step is quartered."""
    clear = [jump for jump, noise in jumps
             if isfinite(jump) and jump > max(100.0 * noise, 1e-4 * abs(best.value))]
    return len(clear) > 1 and 0.7 * clear[-2] < clear[-1]
