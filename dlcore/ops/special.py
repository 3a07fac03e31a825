"""Special functions: the error function, the gamma function, and their derivatives."""

from __future__ import annotations

import math
from typing import Any

from backends import promote
from backends.dtypes import float32
from dlcore.core import Array, Primitive, V, dtype_of, elementwise
from dlcore.ops.arithmetic import (
    NUMBER,
    isfinite,
    isnan,
    ones_like,
    safe_divide,
    safe_multiply,
    square,
    where,
)
from dlcore.ops.transcendental import exp, function, log
from dlcore.samples import OPEN_UNIT, POSITIVE, PROBABILITY, REAL, Domain, sample

ROOT_PI = math.sqrt(math.pi)


def _special(name: str, *rules: Any, **declared: Any) -> Primitive:
    """A function of SciPy's, which backends give in the dtype of its argument."""
    def forward(xp: Any, x: Array) -> Array:
        return getattr(xp, name)(_floating(x))

    return function(name, forward, *rules, **declared)


def _floating(x: Array) -> Array:
    """``x``, unless it holds integers: the general call then makes floats of them first."""
    if dtype_of(x).kind in ("bool", "int"):
        raise TypeError(f"a special function of {dtype_of(x)}")
    return x


# --- the error function ---------------------------------------------------------------------------

def _slope_of_erfinv(out: V) -> V:
    """exp(out²) √π / 2, infinite at the edges; through finite numbers, so that zeros come back as zeros."""
    inside = isfinite(out)
    outside = where(isnan(out), out, math.inf)
    return where(inside, exp(square(where(inside, out, 0.0))) * (ROOT_PI / 2.0), outside)


erf = _special("erf", lambda d, out, x: d * (exp(-square(x)) * (2.0 / ROOT_PI)), reads="x")
erfc = _special("erfc", lambda d, out, x: d * (exp(-square(x)) * (-2.0 / ROOT_PI)), reads="x")
erfinv = _special(
    "erfinv", lambda d, out, x: safe_multiply(d, _slope_of_erfinv(out)), domain=OPEN_UNIT, reads="out"
)

# --- the gamma function ---------------------------------------------------------------------------


def _polygamma(xp: Any, x: Array, *, n: int) -> Array:
    with xp.quiet():
        return xp.digamma(_floating(x)) if n == 0 else xp.polygamma(n, _floating(x))


polygamma_p: Primitive = elementwise(
    "polygamma", _polygamma, lambda d, out, x, *, n: safe_multiply(d, polygamma(n + 1, x)),
    samples=[sample("a b", POSITIVE, n=1), sample("a", POSITIVE, n=2)], result="float", reads="x")
digamma: Primitive = _special(
    "digamma", lambda d, out, x: safe_multiply(d, polygamma(1, x)), domain=POSITIVE, reads="x"
)
lgamma = _special("lgamma", lambda d, out, x: safe_multiply(d, digamma(x)),
                  domain=POSITIVE, reads="x")


def polygamma(n: int, x: V) -> V:
    """The ``n``-th derivative of :func:`digamma`; for n = 0 digamma itself.

    Raises:
        ValueError: ``n`` is negative.
    """
    if not isinstance(n, int) or n < 0:
        raise ValueError(f"polygamma: n={n!r} must be an integer that is not negative")
    return polygamma_p(x, n=n)


# --- sin(x) / x -----------------------------------------------------------------------------------


def _sinc(xp: Any, x: Array, *, n: int) -> Array:
    """The ``n``-th derivative, of halves through float32: rounding pi x moves the zeros of the sine."""
    wide = xp.astype(_floating(x), promote(dtype_of(x), float32))
    return xp.astype(xp.asarray(_sinc_derivative(xp, wide, n)), x.dtype)


def _sinc_derivative(xp: Any, x: Array, n: int) -> Array:
    """The ``n``-th derivative of sin(z) / z at z = pi x.

    Differentiating z f(z) = sin(z) gives z f⁽ⁿ⁾ + n f⁽ⁿ⁻¹⁾ = sin⁽ⁿ⁾(z); near 0, where that cancels,
    the series of f = Σ (-1)ᵏ z²ᵏ / (2k + 1)! is differentiated term by term.
    """
    z = x * math.pi
    near = xp.abs(z) < n + 1.0
    small = xp.where(near, z, xp.zeros_like(z))
    series = xp.zeros_like(z)
    first = (n + 1) // 2
    for k in range(first + 12 + 2 * n, first - 1, -1):  # Horner, the smallest terms first
        step = math.perm(2 * k, n) / math.factorial(2 * k + 1) * (-1) ** k
        series = series * (small * small) + step
    if n % 2:
        series = series * small
    large = xp.where(near, xp.ones_like(z), z)
    value = xp.zeros_like(z)
    for m in range(n + 1):
        value = (_sine_derivative(xp, large, m) - m * value) / large
    return xp.where(near, series, value)


def _sine_derivative(xp: Any, z: Array, m: int) -> Array:
    wave = xp.sin(z) if m % 2 == 0 else xp.cos(z)
    return wave if m % 4 < 2 else -wave


sinc_p: Primitive = elementwise(
    "sinc",
    _sinc,
    lambda d, out, x, *, n: d * (sinc_p(x, n=n + 1) * math.pi),
    samples=[sample("a b", n=0), sample("a", Domain(-0.2, 0.2), n=0), sample("a", n=2)],
    result="float",
    reads="x",
)


def sinc(x: V) -> V:
    """sin(pi x) / (pi x), and 1 at 0; every derivative is right at 0, too."""
    return sinc_p(x, n=0)


# --- logarithms of proportions, and numbers that are none -----------------------------------------


def _xlogy(xp: Any, x: Array, y: Array) -> Array:
    x, y = (v if hasattr(v, "dtype") else xp.asarray(v, other.dtype) for v, other in ((x, y), (y, x)))
    with xp.quiet():
        return xp.zero_safe_multiply(x, xp.log(y))


def _log_beside(d: V, y: V) -> V:
    """log(y), of the dtype of ``d`` if ``y`` is a number."""
    return log(ones_like(d) * y if type(y) in NUMBER else y)


xlogy: Primitive = elementwise(
    "xlogy",
    _xlogy,
    lambda d, out, x, y: safe_multiply(d, _log_beside(d, y)),
    lambda d, out, x, y: safe_divide(safe_multiply(d, x), y),
    samples=[
        sample("a b, a b", (REAL, POSITIVE)),
        sample("a 1, b", (REAL, POSITIVE)),
        sample(", a", (REAL, POSITIVE)),
    ],
    result="float",
    reads="x y",
)
logit = function(
    "logit",
    lambda xp, x: xp.log(x / (1.0 - x)),
    lambda d, out, x: safe_divide(d, x * (1.0 - x)),
    domain=PROBABILITY,
    reads="x",
)


LARGEST = {"float16": 65504.0, "bfloat16": (2 - 2**-7) * 2.0**127, "float32": (2 - 2**-23) * 2.0**127,
           "float64": (2 - 2**-52) * 2.0**1023}


def _nan_to_num(xp: Any, x: Array, *, nan: float, posinf: float | None, neginf: float | None) -> Array:
    largest = LARGEST[dtype_of(_floating(x))]
    x = xp.where(xp.isnan(x), xp.asarray(nan, x.dtype), x)
    x = xp.where(x == math.inf, xp.asarray(largest if posinf is None else posinf, x.dtype), x)
    return xp.where(x == -math.inf, xp.asarray(-largest if neginf is None else neginf, x.dtype), x)


nan_to_num_p: Primitive = elementwise(
    "nan_to_num", _nan_to_num, lambda d, out, x, **replaced: where(isfinite(x), d, 0.0),
    samples=[sample("a b", nan=0.0, posinf=None, neginf=None), sample("a", nan=1.0, posinf=2.0, neginf=-2.0)],
    result="float", reads="x")


def nan_to_num(x: V, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> V:
    """``x`` with numbers in place of nan, inf and -inf; by default 0, the largest and the smallest.

    The gradient passes where ``x`` is finite, and is 0 elsewhere.
    """
    return nan_to_num_p(x, nan=nan, posinf=posinf, neginf=neginf)
