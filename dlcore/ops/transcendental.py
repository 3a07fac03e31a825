"""Elementwise functions of analysis: exponentials, logarithms, powers of two, angles.

Where a derivative is infinite or undefined at the edge of the domain, the rule absorbs a zero
cotangent (see ``arithmetic.safe_divide``), so nothing comes out of a branch that was not taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from dlcore.core import Array, Primitive, V, elementwise
from dlcore.ops.arithmetic import equal, isfinite, safe_divide, safe_multiply, square, where, zeros_like
from dlcore.samples import NONZERO, OPEN_UNIT, POSITIVE, REAL, Domain

LN2, LN10 = math.log(2.0), math.log(10.0)


def function(
    name: str, forward: Callable[..., Array], *rules: Any, domain: Any = REAL, **declared: Any
) -> Primitive:
    """A float function: of integers it gives the default float, and it never warns of infinities."""
    def quiet(xp: Any, x: Array) -> Array:
        with xp.quiet():
            return forward(xp, x)

    return elementwise(name, quiet, *rules, domain=domain, result="float", **declared)


holomorphic = partial(function, of_complex=True)
"""Of complex numbers it gives the principal value; its rule holds everywhere but on the cuts."""


# --- exponentials and logarithms ------------------------------------------------------------------

exp = holomorphic("exp", lambda xp, x: xp.exp(x), lambda d, out, x: d * out, reads="out")
exp2 = holomorphic("exp2", lambda xp, x: xp.exp(x * LN2), lambda d, out, x: d * (out * LN2), reads="out")
expm1 = holomorphic("expm1", lambda xp, x: xp.expm1(x), lambda d, out, x: d * (out + 1.0), reads="out")
log = holomorphic(
    "log", lambda xp, x: xp.log(x), lambda d, out, x: safe_divide(d, x), domain=POSITIVE, reads="x"
)
log2 = holomorphic("log2", lambda xp, x: xp.log2(x), lambda d, out, x: safe_divide(d * (1.0 / LN2), x),
                domain=POSITIVE, reads="x")
log10 = holomorphic("log10", lambda xp, x: xp.log10(x), lambda d, out, x: safe_divide(d * (1.0 / LN10), x),
                 domain=POSITIVE, reads="x")
log1p = holomorphic("log1p", lambda xp, x: xp.log1p(x), lambda d, out, x: safe_divide(d, x + 1.0),
                 domain=POSITIVE, reads="x")

# --- reciprocals and roots ------------------------------------------------------------------------

reciprocal: Primitive = holomorphic(
    "reciprocal", lambda xp, x: 1.0 / x, lambda d, out, x: -safe_divide(safe_multiply(d, out), x),
    domain=NONZERO, reads="out x")
sqrt: Primitive = holomorphic("sqrt", lambda xp, x: xp.sqrt(x), lambda d, out, x: safe_divide(d * 0.5, out),
                           domain=POSITIVE, reads="out")
rsqrt: Primitive = holomorphic("rsqrt", lambda xp, x: 1.0 / xp.sqrt(x),
                            lambda d, out, x: safe_divide(safe_multiply(d, out), x) * -0.5,
                            domain=POSITIVE, reads="out x")

# --- trigonometry ---------------------------------------------------------------------------------

sin: Primitive = holomorphic("sin", lambda xp, x: xp.sin(x), lambda d, out, x: d * cos(x), reads="x")
cos: Primitive = holomorphic("cos", lambda xp, x: xp.cos(x), lambda d, out, x: -d * sin(x), reads="x")
tan = holomorphic("tan", lambda xp, x: xp.tan(x), lambda d, out, x: d * (out * out + 1.0),
               domain=Domain(-1.2, 1.2), reads="out")
asin = holomorphic("asin", lambda xp, x: xp.asin(x), lambda d, out, x: safe_divide(d, sqrt(1.0 - x * x)),
                domain=OPEN_UNIT, reads="x")
acos = holomorphic("acos", lambda xp, x: xp.acos(x), lambda d, out, x: -safe_divide(d, sqrt(1.0 - x * x)),
                domain=OPEN_UNIT, reads="x")
atan = holomorphic("atan", lambda xp, x: xp.atan(x), lambda d, out, x: d / (x * x + 1.0), reads="x")

# --- hyperbolics ----------------------------------------------------------------------------------

sinh: Primitive = holomorphic("sinh", lambda xp, x: xp.sinh(x), lambda d, out, x: d * cosh(x), reads="x")
cosh: Primitive = holomorphic("cosh", lambda xp, x: xp.cosh(x), lambda d, out, x: d * sinh(x), reads="x")
tanh = holomorphic("tanh", lambda xp, x: xp.tanh(x), lambda d, out, x: d * (1.0 - out * out), reads="out")
asinh = holomorphic("asinh", lambda xp, x: xp.asinh(x), lambda d, out, x: d / sqrt(x * x + 1.0), reads="x")
acosh = holomorphic(
    "acosh", lambda xp, x: xp.acosh(x),
    # The root of x * x - 1 has other cuts.
    lambda d, out, x: safe_divide(safe_divide(d, sqrt(x - 1.0)), sqrt(x + 1.0)),
    domain=Domain(1.2, 3.0), reads="x")
atanh = holomorphic("atanh", lambda xp, x: xp.atanh(x), lambda d, out, x: safe_divide(d, 1.0 - x * x),
                 domain=OPEN_UNIT, reads="x")



def logistic(xp: Any, x: Array) -> Array:
    """``1 / (1 + exp(-x))`` of arrays; through tanh nothing overflows, and it takes less time."""
    return xp.add_(xp.multiply_(xp.tanh(x * 0.5), 0.5), 0.5)


sigmoid: Primitive = function("sigmoid", logistic, lambda d, out, x: d * (out * (1.0 - out)), reads="out")

# --- of two variables -----------------------------------------------------------------------------


def ratio(x: V, r: V) -> V:
    """``x / r``, and 0 where ``r`` is 0: the gradient of a norm at its kink."""
    at_zero = equal(r, 0.0)
    return where(at_zero, 0.0, x / where(at_zero, 1.0, r))


atan2 = elementwise(
    "atan2", lambda xp, y, x: xp.atan2(y, x),
    lambda d, out, y, x: safe_divide(safe_multiply(d, x), square(x) + square(y)),
    lambda d, out, y, x: -safe_divide(safe_multiply(d, y), square(x) + square(y)),
    domain=NONZERO, result="float", reads="y x",
)
hypot: Primitive = elementwise(
    "hypot", lambda xp, x, y: xp.hypot(x, y),
    lambda d, out, x, y: d * ratio(x, out),
    lambda d, out, x, y: d * ratio(y, out),
    domain=NONZERO, result="float",
)
logaddexp: Primitive = elementwise(
    "logaddexp", lambda xp, x, y: xp.logaddexp(x, y),
    lambda d, out, x, y: d * _softness(x, out),
    lambda d, out, x, y: d * _softness(y, out),
    result="float",
)


def _softness(x: V, out: V) -> V:
    """exp(x - out); 0 where both are -inf, and 1 where both are inf."""
    finite = isfinite(out)
    weight = exp(where(finite, x, 0.0) - where(finite, out, 0.0))
    return where(finite, weight, where(equal(x, math.inf), 1.0, zeros_like(x)))
