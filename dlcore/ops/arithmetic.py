"""Elementwise arithmetic, comparison and selection.

Rules multiply by a derivative that may be infinite at the edge of a domain with :func:`safe_multiply`
and :func:`safe_divide`: a zero cotangent then gives a zero gradient, where IEEE says 0 * inf is nan.
"""

from __future__ import annotations

from typing import Any

from dlcore.core import Array, Primitive, V, dtype_of, elementwise
from dlcore.samples import DISTINCT, NONZERO, POSITIVE, Domain, sample

NUMBER = (int, float)
CLEAR = Domain(avoid=(-2.0, -1.0, 0.0, 1.0, 2.0))  # away from where rounding functions jump

# --- comparison and logic: no derivative, a boolean result -------------------------------------------


def _comparison(name: str, forward: Any) -> Primitive:
    return elementwise(name, forward, domain=DISTINCT, result="bool")


equal = _comparison("equal", lambda xp, x, y: x == y)
not_equal = _comparison("not_equal", lambda xp, x, y: x != y)
less = _comparison("less", lambda xp, x, y: x < y)
less_equal = _comparison("less_equal", lambda xp, x, y: x <= y)
greater = _comparison("greater", lambda xp, x, y: x > y)
greater_equal = _comparison("greater_equal", lambda xp, x, y: x >= y)

_TWO, _ONE = [sample("? a b, ? b"), sample("?, ?")], [sample("? a b")]
logical_and = elementwise("logical_and", lambda xp, x, y: xp.logical_and(x, y), samples=_TWO, result="bool")
logical_or = elementwise("logical_or", lambda xp, x, y: xp.logical_or(x, y), samples=_TWO, result="bool")
logical_xor = elementwise("logical_xor", lambda xp, x, y: xp.logical_xor(x, y), samples=_TWO, result="bool")
logical_not = elementwise("logical_not", lambda xp, x: xp.logical_not(x), samples=_ONE, result="bool")
isfinite = elementwise("isfinite", lambda xp, x: xp.isfinite(x), result="bool")
isinf = elementwise("isinf", lambda xp, x: xp.isinf(x), result="bool")
isnan = elementwise("isnan", lambda xp, x: xp.isnan(x), result="bool")

# --- constants shaped like a value, and selection ----------------------------------------------------


def no_slope(d: V, out: V, *args: V, **params: Any) -> V:
    """The rule of a function that is flat wherever it has a derivative."""
    return zeros_like(d)


zeros_like: Primitive = elementwise("zeros_like", lambda xp, x: xp.zeros_like(x), no_slope, reads="")
ones_like = elementwise("ones_like", lambda xp, x: xp.ones_like(x), no_slope, reads="")

where: Primitive = elementwise(
    "where", lambda xp, c, x, y: xp.where(c, x, y),
    None,
    lambda d, out, c, x, y: where(c, d, 0.0),
    lambda d, out, c, x, y: where(c, 0.0, d),
    samples=[sample("? a b, a b, a b"), sample("? a 1, b, ")], reads="c", promotes=(1, 2),
)

# --- products that a zero annihilates ----------------------------------------------------------------


safe_multiply: Primitive = elementwise(
    "safe_multiply", lambda xp, d, r: xp.zero_safe_multiply(d, r),
    lambda g, out, d, r: safe_multiply(g, r),
    lambda g, out, d, r: safe_multiply(g, d),
    reads="d r",
)
safe_divide_p: Primitive = elementwise(
    "safe_divide", lambda xp, d, r: xp.zero_safe_divide(d, r),
    lambda g, out, d, r: safe_divide(g, r),
    lambda g, out, d, r: -safe_divide(safe_multiply(g, out), r),
    domain=NONZERO, reads="out r",
)


def safe_divide(d: V, r: V) -> V:
    """``d / r``, but 0 wherever ``d`` is 0, even if ``r`` is 0 too."""
    return d / r if type(r) in NUMBER and r != 0 else safe_divide_p(d, r)


# --- arithmetic ----------------------------------------------------------------------------------------

add = elementwise(
    "add", lambda xp, x, y: x + y,
    lambda d, out, x, y: d,
    lambda d, out, x, y: d,
    reads="",
)
subtract = elementwise(
    "subtract", lambda xp, x, y: x - y,
    lambda d, out, x, y: d,
    lambda d, out, x, y: -d,
    reads="",
)
multiply = elementwise(
    "multiply", lambda xp, x, y: x * y,
    lambda d, out, x, y: d * y,
    lambda d, out, x, y: d * x,
    reads="x y",
)


def _divide(xp: Any, x: Array, y: Array) -> Array:
    if type(y) in NUMBER and y != 0:
        return x / y
    with xp.quiet():
        return x / y


divide: Primitive = elementwise(
    "divide", _divide,
    lambda d, out, x, y: safe_divide(d, y),
    lambda d, out, x, y: -safe_divide(safe_multiply(d, out), y),  # x / y**2 would overflow first
    domain=NONZERO, result="float", reads="out y",
)
negative = elementwise("negative", lambda xp, x: -x, lambda d, out, x: -d, reads="")
absolute: Primitive = elementwise("abs", lambda xp, x: xp.abs(x), lambda d, out, x: d * sign(x), domain=NONZERO)
sign = elementwise("sign", lambda xp, x: xp.sign(x), no_slope, domain=NONZERO, reads="")
square = elementwise("square", lambda xp, x: x * x, lambda d, out, x: d * (x + x), reads="x")


def _extremum(name: str, forward: Any) -> Primitive:
    """Of two equal numbers each gets half the gradient."""
    return elementwise(
        name, forward,
        lambda d, out, x, y: d * share(x, y, out),
        lambda d, out, x, y: d * share(y, x, out),
        domain=DISTINCT,
    )


def share(x: V, y: V, out: V) -> V:
    """How much of the gradient of an extremum of ``x`` and ``y`` goes to ``x``: 1, 1/2 or 0."""
    half = zeros_like(out) + 0.5
    return where(equal(x, y), half, where(equal(x, out), 1.0, zeros_like(out)))


maximum = _extremum("maximum", lambda xp, x, y: xp.maximum(x, y))
minimum = _extremum("minimum", lambda xp, x, y: xp.minimum(x, y))

# --- rounding, remainders and bounds ---------------------------------------------------------------------


def _flat(name: str, forward: Any) -> Primitive:
    return elementwise(name, forward, no_slope, domain=CLEAR, reads="")


floor = _flat("floor", lambda xp, x: xp.floor(x))
ceil = _flat("ceil", lambda xp, x: xp.ceil(x))
trunc = _flat("trunc", lambda xp, x: xp.trunc(x))
round = _flat("round", lambda xp, x: xp.round(x))  # halves to even

remainder: Primitive = elementwise(
    "remainder", lambda xp, x, y: xp.remainder(x, y),
    lambda d, out, x, y: d,
    lambda d, out, x, y: -d * floor(x / y),
    samples=[sample("a b, a b", (Domain(0.2, 0.9), Domain(1.0, 1.9))), sample("a, ", (Domain(2.1, 2.9), Domain(1.0, 1.02)))],
)
clip_p: Primitive = elementwise(
    "clip", lambda xp, x, *, min, max: xp.clip(x, min, max),
    lambda d, out, x, *, min, max: where(equal(x, out), d, 0.0),  # passes at the bounds
    samples=[sample("a b", Domain(avoid=(-0.5, 1.0)), min=-0.5, max=1.0), sample("a", NONZERO, min=0.0, max=None)],
)


def clip(x: V, min: V | None = None, max: V | None = None) -> V:
    """``x`` with values below ``min`` raised to it and those above ``max`` lowered to it.

    Bounds may be numbers, tensors or None; the gradient passes where ``x`` equals a bound.

        >>> import dlcore as dl
        >>> dl.clip(dl.tensor([-2.0, 0.5, 2.0]), -1, 1)
        tensor([-1. ,  0.5,  1. ], float32)
    """
    if all(b is None or type(b) in NUMBER for b in (min, max)):
        return clip_p(x, min=min, max=max)
    x = x if min is None else where(less(x, min), min, x)
    return x if max is None else where(greater(x, max), max, x)


# --- powers --------------------------------------------------------------------------------------------


def _quiet_pow(xp: Any, x: Array, y: Array) -> Array:
    with xp.quiet():
        return xp.pow(xp.asarray(x) if hasattr(x, "dtype") else x, y)


def _power(xp: Any, x: Array, *, exponent: float) -> Array:
    with xp.quiet():
        return xp.pow(xp.asarray(x), exponent)  # NumPy's scalar power differs in the last bit


power_p: Primitive = elementwise(
    "power", _power,
    lambda d, out, x, *, exponent: (zeros_like(d) if exponent == 0 else
                                    safe_multiply(d, pow(x, exponent - 1) * exponent)),
    samples=[sample("a b", POSITIVE, exponent=2.5), sample("a", NONZERO, exponent=3), sample("a", NONZERO, exponent=-1)],
    reads="x",
)
pow_p: Primitive = elementwise(
    "pow", _quiet_pow,
    lambda d, out, x, y: safe_multiply(d, where(equal(y, 0.0), 0.0, y * pow(x, y - 1.0))),
    lambda d, out, x, y: safe_multiply(d, where(equal(x, 0.0), 0.0, out * safe_log(x))),
    domain=POSITIVE,
)


def pow(x: V, y: V) -> V:
    """``x`` to the power ``y``; where ``x`` is 0, the derivative in ``y`` is 0.

        >>> import dlcore as dl
        >>> dl.pow(dl.tensor([1.0, 2.0, 3.0]), 2)
        tensor([1., 4., 9.], float32)
    """
    if type(y) in NUMBER:
        return square(x) if y == 2 else power_p(x, exponent=y)
    return pow_p(x, y)
