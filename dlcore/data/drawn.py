"""Sets that are drawn: curves to fit and classes to tell apart, small enough to see what a model does.

The numbers come from dlcore's own generator, so a seed gives the same examples on every backend.  Inputs
are NumPy arrays in the default float dtype; labels are int64, (n,); numbers to be learnt are (n, 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from backends import get_default_dtype, host
from dlcore.data.datasets import Examples
from dlcore.random import Generator

_OWN = "drawn by dlcore"
_FREE = "MIT, as dlcore"


def line(n: int = 100, slope: float = 2.0, intercept: float = 1.0, noise: float = 0.1, seed: int = 0
         ) -> Examples:
    """Points about the line y = slope x + intercept, x uniform from -1 to 1.

    A line of one input, as scikit-learn's ``make_regression`` draws one.

    Args:
        n: how many points.
        slope: of the line.
        intercept: of the line.
        noise: the standard deviation of what is added to y.
        seed: of the draws.

    Raises:
        ValueError: ``n`` is below 1, or ``noise`` negative.

        >>> line(3, noise=0.0)
        Examples: 3 of inputs (1,) float32 and targets (1,) float32; columns x
    """
    return _curve("line", n, lambda x: slope * x + intercept, noise, seed)


def parabola(n: int = 100, coefficients: Sequence[float] = (1.0, 0.0, 0.0), noise: float = 0.1, seed: int = 0
             ) -> Examples:
    """Points about the parabola y = a x² + b x + c, x uniform from -1 to 1.

    Args:
        n: how many points.
        coefficients: a, b and c.
        noise: the standard deviation of what is added to y.
        seed: of the draws.

    Raises:
        ValueError: ``n`` is below 1, ``noise`` negative, or there are not three coefficients.

        >>> inputs, targets = parabola(50, (3.0, 2.0, 1.0)).tensors()
        >>> inputs.shape, targets.shape
        ((50, 1), (50, 1))
    """
    if len(coefficients) != 3:
        raise ValueError(f"parabola: needs the coefficients of x², x and 1, got {coefficients!r}")
    a, b, c = coefficients
    return _curve("parabola", n, lambda x: (a * x + b) * x + c, noise, seed)


def moons(n: int = 100, noise: float = 0.1, seed: int = 0) -> Examples:
    """Two half circles that reach into each other; scikit-learn's ``make_moons``.

    Inputs are (n, 2); the targets, 0 for the upper moon and 1 for the lower, alternate.

    Args:
        n: how many points.
        noise: the standard deviation of what is added to both coordinates.
        seed: of the draws.

    Raises:
        ValueError: ``n`` is below 2, or ``noise`` negative.

        >>> moons(5).targets.tolist()
        [0, 1, 0, 1, 0]
    """
    def upper_or_lower(t: float, label: int) -> tuple[float, float]:
        x, y = math.cos(math.pi * t), math.sin(math.pi * t)
        return (1.0 - x, 0.5 - y) if label else (x, y)

    return _figures("moons", n, upper_or_lower, ("upper", "lower"), noise, seed)


def spirals(n: int = 200, arms: int = 2, turns: float = 1.0, noise: float = 0.02, seed: int = 0) -> Examples:
    """Arms that wind about each other, from radius 0.1 to 1: no line divides them.

    Inputs are (n, 2); the targets are the numbers of the arms, in turn.

    Args:
        n: how many points, on all arms together.
        arms: how many arms, which are the classes.
        turns: how often each goes round.
        noise: the standard deviation of what is added to both coordinates.
        seed: of the draws.

    Raises:
        ValueError: there are fewer points than arms, fewer than 2 arms, or ``noise`` is negative.

        >>> spirals(300, arms=3)
        Examples: 300 of inputs (2,) float32 and targets () int64; columns x, y; classes 0, 1, 2

    Source: after K. Lang & M. Witbrock (1988), "Learning to tell two spirals apart".
    """
    if arms < 2:
        raise ValueError(f"spirals: needs at least 2 arms, got {arms}")

    def on_an_arm(t: float, label: int) -> tuple[float, float]:
        radius, angle = 0.1 + 0.9 * t, 2 * math.pi * (turns * t + label / arms)
        return radius * math.cos(angle), radius * math.sin(angle)

    return _figures("spirals", n, on_an_arm, [str(arm) for arm in range(arms)], noise, seed)


def _curve(name: str, n: int, f: Callable[[Any], Any], noise: float, seed: int) -> Examples:
    _check(name, n, 1, noise)
    stream = Generator(seed)
    x = stream.uniform((n, 1), -1.0, 1.0, "float64", backend="cpu").numpy()
    y = f(x) + stream.normal((n, 1), 0.0, noise, "float64", backend="cpu").numpy()
    return Examples(_floats(x), _floats(y), ("x",), (), _OWN, _FREE)


def _figures(name: str, n: int, point: Callable[[float, int], tuple[float, float]], classes: Sequence[str],
             noise: float, seed: int) -> Examples:
    """Points at even distances along one figure per class, the classes taking turns."""
    _check(name, n, len(classes), noise)
    labels = [i % len(classes) for i in range(n)]
    steps = [max(1, (n - label - 1) // len(classes)) for label in labels]
    clean = [point(i // len(classes) / last, label)
             for i, (label, last) in enumerate(zip(labels, steps, strict=True))]
    blur = Generator(seed).normal((n, 2), 0.0, noise, "float64", backend="cpu").numpy()
    return Examples(_floats(host.array(clean, "float64") + blur), host.array(labels), ("x", "y"), classes,
                    _OWN, _FREE)


def _check(name: str, n: int, least: int, noise: float) -> None:
    if n < least:
        raise ValueError(f"{name}: needs at least {least} point{'s' * (least > 1)}, got {n}")
    if noise < 0:
        raise ValueError(f"{name}: noise must not be negative, got {noise}")


def _floats(x: Any) -> Any:
    return host.array(x, get_default_dtype())
