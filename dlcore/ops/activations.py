"""Activation functions: what a network bends its numbers with.

A function is a primitive where a rule of its own saves memory or time (``relu`` keeps only its
result, ``log_softmax`` no probabilities) and a composition where that costs nothing.  At kinks the
derivative is that of the flat side for ``relu`` and ``step``, of the sloped side for ``leaky_relu``
and ``prelu``, and PyTorch's at the bounds of ``hardtanh`` and ``relu6``.
"""

from __future__ import annotations

import math
from typing import Any

from dlcore.core import Array, Primitive, Unary, V, elementwise, operation
from dlcore.dispatch import wants_tensors
from dlcore.ops.arithmetic import (
    absolute,
    clip,
    greater,
    less,
    logical_and,
    no_slope,
    where,
)
from dlcore.ops.reductions import narrowed, widened
from dlcore.ops.reductions import sum as _sum
from dlcore.ops.shapes import reshape
from dlcore.ops.transcendental import exp, function, logistic, sigmoid, tanh
from dlcore.samples import NONZERO, Domain, sample
from dlcore.shaping import Shape, normalized_axis

_SQRT_HALF = math.sqrt(0.5)
_DENSITY_AT_0 = 1.0 / math.sqrt(2.0 * math.pi)
_GELU_SCALE, _GELU_CUBIC = math.sqrt(2.0 / math.pi), 0.044715
_CURVED = (-10.0, 10.0)  # beyond these the tanh in gelu is 1, and its argument would overflow
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946

# --- rectifiers ----------------------------------------------------------------------------------

masked: Primitive = elementwise(
    "masked",
    # A product with 0 and 1: numpy.where takes ten times as long.
    lambda xp, x, mask: x * xp.astype(mask, x.dtype),
    lambda d, out, x, mask: masked(d, mask),
    None,
    samples=[sample("a b, ? a b"), sample("a, ?")], reads="mask", promotes=(0,),
)
"""``x`` where ``mask`` is true, 0 elsewhere; for finite ``x``."""

relu: Primitive = elementwise(
    "relu", lambda xp, x: xp.maximum(x, 0),
    lambda d, out, x: masked(d, greater(out, 0.0)),
    domain=NONZERO, reads="out",
)
step: Primitive = elementwise(
    "step", lambda xp, x: xp.astype(x > 0, x.dtype), no_slope, domain=NONZERO, reads="")


def _leaky(xp: Any, x: Array, *, negative_slope: float) -> Array:
    scaled = x * negative_slope
    return xp.maximum(x, scaled) if 0 < negative_slope <= 1 else xp.where(x > 0, x, scaled)


def _leaky_slope(xp: Any, x: Array, *, negative_slope: float) -> Array:
    one = xp.astype(x > 0, x.dtype)
    if 0 <= negative_slope <= 1:
        return xp.maximum(one, negative_slope)
    return xp.where(x > 0, one, xp.full_like(x, negative_slope))


leaky_slope = elementwise(
    "leaky_slope", _leaky_slope,
    samples=[sample("a b", NONZERO, negative_slope=0.1),
             sample("a", NONZERO, negative_slope=-1.0)])
leaky_relu_p: Primitive = elementwise(
    "leaky_relu", _leaky,
    lambda d, out, x, *, negative_slope: d * leaky_slope(x, negative_slope=negative_slope),
    samples=[sample("a b", NONZERO, negative_slope=0.1),
             sample("a", NONZERO, negative_slope=2.0)],
    result="float", reads="x",
)


def leaky_relu(x: V, negative_slope: float = 0.01) -> V:
    """``x`` where it is positive, ``negative_slope * x`` elsewhere; the slope at 0 is that one.

        >>> import dlcore as dl
        >>> leaky_relu(dl.tensor([-2.0, 3.0]), 0.1).tolist()
        [-0.20000000298023224, 3.0]
    """
    return leaky_relu_p(x, negative_slope=negative_slope)


@operation(samples=[sample("a b, ", NONZERO), sample("a 3 b, 3", NONZERO)])
@wants_tensors
def prelu(x: V, weight: V) -> V:
    """``leaky_relu`` with a learnt slope: one for all, or one for each index along axis 1.

    Raises:
        ValueError: the number of slopes is neither 1 nor the size of axis 1.
    """
    count = math.prod(weight.shape)
    channels = x.shape[1] if len(x.shape) > 1 else 1
    if len(weight.shape) > 1 or count not in {1, channels}:
        raise ValueError(f"prelu: weight has shape {weight.shape}, but x {x.shape} has {channels} "
                         "channels in axis 1; it needs one slope, or one a channel")
    if count > 1:
        weight = reshape(weight, (count, *(1,) * (len(x.shape) - 2)))
    elif weight.shape:
        weight = reshape(weight, ())
    return where(greater(x, 0.0), x, x * weight)


hardtanh_p: Primitive = elementwise(
    "hardtanh", lambda xp, x, *, low, high: xp.clip(x, low, high),
    lambda d, out, x, *, low, high: masked(d, logical_and(greater(x, low), less(x, high))),
    samples=[sample("a b", Domain(avoid=(-1.0, 0.5)), low=-1.0, high=0.5),
             sample("a", Domain(avoid=(0.0, 1.0)), low=0.0, high=1.0)], reads="x",
)


def hardtanh(x: V, min_val: float = -1.0, max_val: float = 1.0) -> V:
    """``x`` held between two bounds; unlike :func:`dlcore.clip` it has no slope at them."""
    if not min_val <= max_val:
        raise ValueError(f"hardtanh: min_val {min_val} is greater than max_val {max_val}")
    return hardtanh_p(x, low=min_val, high=max_val)


@operation(samples=[sample("a b", NONZERO)])
def relu6(x: V) -> V:
    """``x`` held between 0 and 6, without slope at either."""
    return hardtanh_p(x, low=0.0, high=6.0)


@operation(samples=[sample("a b", Domain(-5.0, 5.0, (-3.0, 3.0)))])
def hardsigmoid(x: V) -> V:
    """A sigmoid of three straight pieces: 0 up to -3, 1 from 3 on."""
    return hardtanh_p(x + 3.0, low=0.0, high=6.0) / 6.0


@operation(samples=[sample("a b", Domain(-5.0, 5.0, (-3.0, 3.0)))])
def hardswish(x: V) -> V:
    """``x * hardsigmoid(x)``."""
    return x * hardsigmoid(x)


# --- softplus and what is made of sigmoids ---------------------------------------------------------

softplus_p: Primitive = function(
    "softplus", lambda xp, x: xp.log1p(xp.exp(-xp.abs(x))) + xp.maximum(x, 0),
    lambda d, out, x: d * sigmoid(x), reads="x")
softsign: Primitive = function(
    "softsign", lambda xp, x: x / (xp.abs(x) + 1.0),
    lambda d, out, x: _over_square(d, absolute(x) + 1.0), domain=NONZERO, reads="x")
silu: Primitive = function(
    "silu", lambda xp, x: logistic(xp, x) * x, lambda d, out, x: d * _silu_slope(x, sigmoid(x)),
    reads="x")


def _over_square(d: V, r: V) -> V:
    return d / r / r  # r * r may overflow


def _silu_slope(x: V, s: V) -> V:
    return s + x * (s * (1.0 - s))


def softplus(x: V, beta: float = 1.0) -> V:
    """``log(1 + exp(beta * x)) / beta``, a smooth ``relu``; exact for any ``x``, however large.

        >>> import dlcore as dl
        >>> softplus(dl.tensor([-1000.0, 1000.0])).tolist()
        [0.0, 1000.0]
    """
    return softplus_p(x) if beta == 1 else softplus_p(x * beta) / beta


@operation(samples=[sample("a b")])
def logsigmoid(x: V) -> V:
    """The logarithm of the sigmoid, without underflow."""
    return -softplus_p(-x)


@operation(samples=[sample("a b")])
def mish(x: V) -> V:
    """``x * tanh(softplus(x))``.

    Source: Misra (2019), "Mish: a self regularized non-monotonic activation function".
    """
    return x * tanh(softplus_p(x))


@operation(samples=[sample("a 4", axis=-1), sample("4 a", axis=0)])
@wants_tensors
def glu(x: V, axis: int = -1) -> V:
    """The first half of ``x`` along ``axis`` times the sigmoid of the second half.

    Raises:
        ValueError: the size of ``axis`` is odd.
    """
    axis = normalized_axis(axis, len(x.shape))
    if x.shape[axis] % 2:
        raise ValueError(f"glu: axis {axis} of shape {x.shape} has an odd size, so no halves")
    before, half = (slice(None),) * axis, x.shape[axis] // 2
    return x[(*before, slice(half))] * sigmoid(x[(*before, slice(half, None))])


# --- exponential and Gaussian units --------------------------------------------------------------


def _elu(xp: Any, x: Array, *, alpha: float, scale: float, beta: float) -> Array:
    negative = xp.expm1(xp.minimum(x, 0) * beta) * (alpha * scale)
    return xp.maximum(x, 0) * scale + negative  # one of them is 0


elu_p: Primitive = elementwise(
    "elu", _elu,
    lambda d, out, x, *, alpha, scale, beta: where(
        greater(x, 0.0), d * scale, d * ((out + alpha * scale) * beta)),
    samples=[sample("a b", NONZERO, alpha=1.5, scale=1.0, beta=1.0),
             sample("a", NONZERO, alpha=0.5, scale=1.2, beta=2.0)],
    result="float", reads="out x",
)


def elu(x: V, alpha: float = 1.0) -> V:
    """``x`` where it is positive, ``alpha * (exp(x) - 1)`` elsewhere."""
    return elu_p(x, alpha=alpha, scale=1.0, beta=1.0)


@operation(samples=[sample("a b", NONZERO)])
def selu(x: V) -> V:
    """``elu`` scaled so that depth keeps mean 0 and variance 1.

    Source: Klambauer et al. (2017), "Self-normalizing neural networks".
    """
    return elu_p(x, alpha=_SELU_ALPHA, scale=_SELU_SCALE, beta=1.0)


def celu(x: V, alpha: float = 1.0) -> V:
    """``elu`` of ``x / alpha`` times ``alpha``: its slope is 1 on both sides of 0."""
    if alpha == 0:
        raise ValueError("celu: alpha must not be 0")
    return elu_p(x, alpha=alpha, scale=1.0, beta=1.0 / alpha)


normal_density: Primitive = function(
    "normal_density", lambda xp, x: xp.exp(x * x * -0.5) * _DENSITY_AT_0,
    lambda d, out, x: d * (out * -x))
"""The density of the standard normal distribution."""

normal_cdf: Primitive = function(
    "normal_cdf", lambda xp, x: xp.erfc(x * -_SQRT_HALF) * 0.5,
    lambda d, out, x: d * normal_density(x), reads="x")
"""The probability that a standard normal number is less than ``x``."""

gelu_p: Primitive = function(
    "gelu", lambda xp, x: xp.erfc(x * -_SQRT_HALF) * (x * 0.5),
    lambda d, out, x: d * (normal_cdf(x) + x * normal_density(x)), reads="x")
gelu_tanh_p: Primitive = function(
    "gelu_tanh", lambda xp, x: (xp.tanh(_gelu_argument(xp.clip(x, *_CURVED))) + 1.0) * (x * 0.5),
    lambda d, out, x: d * _gelu_tanh_slope(x, clip(x, *_CURVED)), reads="x")


def _gelu_argument(x: V) -> V:
    return (x * x * _GELU_CUBIC + 1.0) * (x * _GELU_SCALE)


def _gelu_tanh_slope(x: V, bounded: V) -> V:
    """(1 + t)/2 + x/2 (1 - t²) u', where t = tanh(u) and u is the cubic in x."""
    t = tanh(_gelu_argument(bounded))
    rise = (bounded * bounded * (3.0 * _GELU_CUBIC) + 1.0) * _GELU_SCALE
    return (t + 1.0) * 0.5 + x * 0.5 * ((1.0 - t * t) * rise)


def gelu(x: V, approximate: str = "none") -> V:
    """``x`` times the probability that a standard normal number is less than ``x``.

    Args:
        x: of any shape.
        approximate: ``"none"``, or ``"tanh"`` for the approximation that some models were trained
            with; they differ by at most 0.0005.

    Source: Hendrycks & Gimpel (2016), "Gaussian error linear units".
    """
    if approximate not in {"none", "tanh"}:
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return gelu_p(x) if approximate == "none" else gelu_tanh_p(x)


# --- along an axis -------------------------------------------------------------------------------

_LOWEST = {"float64": -1.7e308}
"""A number that no row falls below but one of -inf, by dtype; -3e38 for the others."""


def _shifted(xp: Any, x: Array, axis: int) -> Array:
    """``x`` less its largest element along ``axis``; a row of -inf stays what it is."""
    if x.shape[axis] == 0:
        return x  # nothing is its largest element
    lowest = _LOWEST.get(xp.dtype_name(x), -3e38)
    return x - xp.maximum(xp.max(x, axis=axis, keepdims=True), lowest)


def _total(xp: Any, e: Array, axis: int) -> Array:
    # The largest term is 1, so the sum is at least that, but 0 for a row of -inf.
    return xp.maximum(xp.sum(e, axis=axis, keepdims=True), 1.0)


def _softmax(xp: Any, x: Array, *, axis: int) -> Array:
    with xp.quiet():
        e = xp.exp(_shifted(xp, widened(xp, x), axis))
        return narrowed(xp, e / _total(xp, e, axis), x)


def row_logsumexp(xp: Any, x: Array, axis: int) -> tuple[Array, Array]:
    """``x`` less its largest element along ``axis``, and the logarithm of the sum of their exp; no halves."""
    shifted = _shifted(xp, widened(xp, x), axis)
    return shifted, xp.log(_total(xp, xp.exp(shifted), axis))


def _log_softmax(xp: Any, x: Array, *, axis: int) -> Array:
    with xp.quiet():
        shifted, total = row_logsumexp(xp, x, axis)
        return narrowed(xp, shifted - total, x)


def _same_shape(s: Shape, *, axis: int) -> Shape:
    normalized_axis(axis, len(s))
    return s


def softmax_rule(d: V, out: V, x: V, *, axis: int) -> V:
    """The Jacobian diag(p) - p pᵀ is symmetric, so this pulls and pushes."""
    weighted = d * out
    return weighted - out * _sum(weighted, axis=axis, keepdims=True)


softmax_p: Primitive = Unary(
    "softmax", _softmax, _same_shape, (softmax_rule,), (softmax_rule,),
    samples=[sample("a b", axis=-1), sample("a b c", axis=1)], result="float", reads="out",
)
log_softmax_p: Primitive = Unary(
    "log_softmax", _log_softmax, _same_shape,
    (lambda g, out, x, *, axis: g - exp(out) * _sum(g, axis=axis, keepdims=True),),
    (lambda t, out, x, *, axis: t - _sum(exp(out) * t, axis=axis, keepdims=True),),
    samples=[sample("a b", axis=-1), sample("a b c", axis=1)], result="float", reads="out",
)


def softmax(x: V, axis: int = -1) -> V:
    """Positive numbers that sum to 1 along ``axis``, in proportion to ``exp(x)``.

    Where every element is -inf, as in a row of attention that is wholly masked, they are all 0.

        >>> import dlcore as dl
        >>> softmax(dl.tensor([1000.0, 1000.0])).tolist()
        [0.5, 0.5]
    """
    return softmax_p(x, axis=axis)


def log_softmax(x: V, axis: int = -1) -> V:
    """The logarithm of :func:`softmax`, without overflow or underflow; -inf where that is 0.

        >>> import dlcore as dl
        >>> log_softmax(dl.tensor([0.0, 5000.0])).tolist()
        [-5000.0, 0.0]
    """
    return log_softmax_p(x, axis=axis)
