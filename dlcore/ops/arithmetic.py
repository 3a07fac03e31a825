"""Elementwise arithmetic, comparison and selection.

Rules multiply by a derivative that may be infinite at the edge of a domain with :func:`safe_multiply`
and :func:`safe_divide`: a zero cotangent then gives a zero gradient, where IEEE says 0 * inf is nan.
"""

from __future__ import annotations

import cmath
import math
from typing import Any

from backends import as_dtype, get_default_dtype
from dlcore.core import Array, Primitive, V, cast, dtype_of, elementwise, same
from dlcore.samples import DISTINCT, NONZERO, POSITIVE, Domain, sample

NUMBER = (int, float, complex)
REAL_NUMBER = (int, float)
CLEAR = Domain(avoid=(-2.0, -1.0, 0.0, 1.0, 2.0))  # away from where rounding functions jump
BETWEEN_HALVES = Domain(avoid=(-1.5, -0.5, 0.5, 1.5))

# --- comparison and logic: no derivative, a boolean result ----------------------------------------


def _comparison(name: str, forward: Any, of_complex: bool = False) -> Primitive:
    return elementwise(name, forward, domain=DISTINCT, result="bool", of_complex=of_complex)


equal = _comparison("equal", lambda xp, x, y: x == y, of_complex=True)
not_equal = _comparison("not_equal", lambda xp, x, y: x != y, of_complex=True)
less = _comparison("less", lambda xp, x, y: x < y)
less_equal = _comparison("less_equal", lambda xp, x, y: x <= y)
greater = _comparison("greater", lambda xp, x, y: x > y)
greater_equal = _comparison("greater_equal", lambda xp, x, y: x >= y)

_TWO, _ONE = [sample("? a b, ? b"), sample("?, ?")], [sample("? a b")]
logical_and = elementwise("logical_and", lambda xp, x, y: xp.logical_and(x, y), samples=_TWO, result="bool")
logical_or = elementwise("logical_or", lambda xp, x, y: xp.logical_or(x, y), samples=_TWO, result="bool")
logical_xor = elementwise("logical_xor", lambda xp, x, y: xp.logical_xor(x, y), samples=_TWO, result="bool")
logical_not = elementwise("logical_not", lambda xp, x: xp.logical_not(x), samples=_ONE, result="bool")
isfinite = elementwise("isfinite", lambda xp, x: xp.isfinite(x), result="bool", of_complex=True)
isinf = elementwise("isinf", lambda xp, x: xp.isinf(x), result="bool", of_complex=True)
isnan = elementwise("isnan", lambda xp, x: xp.isnan(x), result="bool", of_complex=True)

# --- constants shaped like a value, and selection -------------------------------------------------


def no_slope(d: V, out: V, *args: V, **params: Any) -> V:
    """The rule of a function that is flat wherever it has a derivative."""
    return zeros_like(d)


zeros_like_p: Primitive = elementwise(
    "zeros_like", lambda xp, x: xp.zeros_like(x), no_slope, reads="", of_complex=True)
ones_like_p: Primitive = elementwise(
    "ones_like", lambda xp, x: xp.ones_like(x), no_slope, reads="", of_complex=True)


def zeros_like(x: V, dtype: Any = None) -> V:
    """Zeros in the shape and on the backend of ``x``, and in its dtype unless another is given."""
    return zeros_like_p(x) if dtype is None else cast(zeros_like_p(x), as_dtype(dtype))


def ones_like(x: V, dtype: Any = None) -> V:
    """Ones in the shape and on the backend of ``x``, and in its dtype unless another is given."""
    return ones_like_p(x) if dtype is None else cast(ones_like_p(x), as_dtype(dtype))



def _where(xp: Any, c: Array, x: Array, y: Array) -> Array:
    if type(x) in NUMBER and type(y) in NUMBER:  # the standard wants an array among them
        x = xp.asarray(x, type(x + y))
    return xp.where(c, x, y)


where: Primitive = elementwise(
    "where", _where,
    None,
    lambda d, out, c, x, y: where(c, d, 0.0),
    lambda d, out, c, x, y: where(c, 0.0, d),
    samples=[sample("? a b, a b, a b"), sample("? a 1, b, ")], reads="c", promotes=(1, 2), of_complex=True,
)

# --- products that a zero annihilates -------------------------------------------------------------


def _beside(xp: Any, x: Array, like: Array) -> Array:
    """``x``, as an array if it is a number."""
    return xp.asarray(x, like.dtype) if type(x) in NUMBER else x


def _unless_zero(x: V, d: V) -> V:
    """``x``, but 0 wherever ``d`` is 0, even if ``x`` is nan there."""
    return x if type(d) in NUMBER else where(equal(d, 0.0), 0.0, x)


safe_multiply: Primitive = elementwise(
    "safe_multiply", lambda xp, d, r: xp.zero_safe_multiply(_beside(xp, d, r), r),
    lambda g, out, d, r: safe_multiply(g, r),
    lambda g, out, d, r: _unless_zero(safe_multiply(g, d), d),
    reads="d r", of_complex=True,
)
safe_divide_p: Primitive = elementwise(
    "safe_divide", lambda xp, d, r: xp.zero_safe_divide(_beside(xp, d, r), r),
    lambda g, out, d, r: safe_divide(g, r),
    lambda g, out, d, r: -safe_divide(safe_multiply(g, out), r),
    domain=NONZERO, result="float", reads="out r", of_complex=True,
)


def safe_divide(d: V, r: V) -> V:
    """``d / r``, but 0 wherever ``d`` is 0, even if ``r`` is 0 too."""
    return d / r if type(r) in NUMBER and r != 0 else safe_divide_p(d, r)


# --- arithmetic -----------------------------------------------------------------------------------

add = elementwise(
    "add", lambda xp, x, y: x + y, same, same, reads="", of_complex=True,
)
subtract = elementwise(
    "subtract", lambda xp, x, y: x - y, same, lambda d, out, x, y: -d, reads="", of_complex=True,
)
multiply = elementwise(
    "multiply", lambda xp, x, y: x * y,
    lambda d, out, x, y: d * y,
    lambda d, out, x, y: d * x,
    reads="x y", of_complex=True,
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
    domain=NONZERO, result="float", reads="out y", of_complex=True,
)
negative = elementwise("negative", lambda xp, x: -x, lambda d, out, x: -d, reads="", of_complex=True)
absolute: Primitive = elementwise(
    "abs", lambda xp, x: abs(x), lambda d, out, x: d * sign(x), domain=NONZERO, reads="x"
)
sign: Primitive = elementwise("sign", lambda xp, x: xp.sign(x), no_slope, domain=NONZERO, reads="")
square = elementwise(
    "square", lambda xp, x: x * x, lambda d, out, x: d * (x + x), reads="x", of_complex=True
)


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


signbit = elementwise("signbit", lambda xp, x: xp.signbit(x), domain=NONZERO, result="bool")
copysign: Primitive = elementwise(
    "copysign", lambda xp, x, y: xp.copysign(x, y),
    lambda d, out, x, y: d * (sign(x) * copysign(ones_like(x), y)), no_slope, domain=NONZERO, result="float")
maximum = _extremum("maximum", lambda xp, x, y: xp.maximum(x, y))
minimum = _extremum("minimum", lambda xp, x, y: xp.minimum(x, y))

# --- rounding, remainders and bounds --------------------------------------------------------------


def _flat(name: str, forward: Any, domain: Domain = CLEAR) -> Primitive:
    return elementwise(name, forward, no_slope, domain=domain, reads="")


floor = _flat("floor", lambda xp, x: xp.floor(x))
ceil = _flat("ceil", lambda xp, x: xp.ceil(x))
trunc = _flat("trunc", lambda xp, x: xp.trunc(x))
round = _flat("round", lambda xp, x: xp.round(x), BETWEEN_HALVES)  # halves to even

_QUOTIENTS = [sample("a b, a b", (Domain(0.2, 0.9), Domain(1.0, 1.9))),
              sample("a b, a b", (Domain(-0.9, -0.2), Domain(1.0, 1.9))),
              sample("a, ", (Domain(2.1, 2.9), Domain(1.0, 1.02)))]
remainder: Primitive = elementwise(
    "remainder", lambda xp, x, y: xp.remainder(x, y),
    lambda d, out, x, y: d,
    lambda d, out, x, y: -d * floor(x / y),
    samples=_QUOTIENTS)
floor_divide = elementwise(
    "floor_divide", lambda xp, x, y: xp.floor_divide(x, y), no_slope, no_slope, samples=_QUOTIENTS, reads="")
clip_p: Primitive = elementwise(
    "clip",
    lambda xp, x, *, min, max: xp.clip(x, min, max),
    lambda d, out, x, *, min, max: where(equal(x, out), d, 0.0),  # passes at the bounds
    samples=[
        sample("a b", Domain(avoid=(-0.5, 1.0)), min=-0.5, max=1.0),
        sample("a", NONZERO, min=0.0, max=None),
    ],
)


def float_beside(x: V, *numbers: float | None) -> V:
    """``x``, of the default float dtype if it holds integers and one of ``numbers`` is a float."""
    if float in map(type, numbers) and dtype_of(x).kind in ("bool", "int"):
        return cast(x, get_default_dtype())
    return x


def clip(x: V, min: V | None = None, max: V | None = None) -> V:
    """``x`` with values below ``min`` raised to it and those above ``max`` lowered to it.

    Bounds may be numbers, tensors or None; the gradient passes where ``x`` equals a bound.

        >>> import dlcore as dl
        >>> dl.clip(dl.tensor([-2.0, 0.5, 2.0]), -1, 1)
        tensor([-1. ,  0.5,  1. ], float32)
    """
    if all(b is None or type(b) in REAL_NUMBER for b in (min, max)):
        return clip_p(float_beside(x, min, max), min=min, max=max)
    x = x if min is None else where(less(x, min), min, x)
    return x if max is None else where(greater(x, max), max, x)


# --- powers ---------------------------------------------------------------------------------------


def _quiet_pow(xp: Any, x: Array, y: Array) -> Array:
    with xp.quiet():
        return xp.pow(xp.asarray(x) if hasattr(x, "dtype") else x, y)


def _power(xp: Any, x: Array, *, exponent: float) -> Array:
    with xp.quiet():
        return xp.pow(xp.asarray(x), exponent)  # NumPy's scalar power differs in the last bit


power_p: Primitive = elementwise(
    "power",
    _power,
    lambda d, out, x, *, exponent: (
        zeros_like(d) if exponent == 0 else safe_multiply(d, pow(x, exponent - 1) * exponent)
    ),
    samples=[
        sample("a b", POSITIVE, exponent=2.5),
        sample("a", NONZERO, exponent=3),
        sample("a", NONZERO, exponent=-1),
    ],
    reads="x",
    of_complex=True,
)


def _log_or_zero(xp: Any, x: Array) -> Array:
    with xp.quiet():
        return xp.log(xp.where(x == 0, xp.ones_like(x), x))


log_or_zero_p: Primitive = elementwise(
    "log_or_zero", _log_or_zero, lambda d, out, x: safe_divide(where(equal(x, 0.0), 0.0, d), x),
    domain=POSITIVE, result="float", reads="x", of_complex=True,
)


def log_or_zero(x: V) -> V:
    """The logarithm of a base: 0 where that is 0, so that 0 to any power stays there."""
    if type(x) in NUMBER:
        if type(x) is complex:
            return cmath.log(x) if x else 0.0
        return math.nan if x < 0 else math.log(x) if x else 0.0
    return log_or_zero_p(x)


pow_p: Primitive = elementwise(
    "pow", _quiet_pow,
    lambda d, out, x, y: safe_multiply(d, safe_multiply(y, pow_p(x, y - 1.0))),
    lambda d, out, x, y: safe_multiply(d, safe_multiply(out, log_or_zero(x))),
    domain=POSITIVE, of_complex=True,
)


def pow(x: V, y: V) -> V:
    """``x`` to the power ``y``; where ``x`` is 0, the derivative in ``y`` is 0.

    Of complex numbers it is the principal value, exp(y log x).

        >>> import dlcore as dl
        >>> dl.pow(dl.tensor([1.0, 2.0, 3.0]), 2)
        tensor([1., 4., 9.], float32)
    """
    if type(y) in REAL_NUMBER:
        x = float_beside(x, y)
        return square(x) if y == 2 else power_p(x, exponent=y)
    return pow_p(x, y)
