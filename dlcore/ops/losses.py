"""Losses between two tensors of one shape, and between embeddings.

Each refuses operands of unequal shape, because broadcasting a column against a row compares every
prediction with every target and trains on nonsense without a word.  ``reduction`` is ``"mean"``,
``"sum"`` or ``"none"``, as in PyTorch, whose names and defaults these are.
"""

from __future__ import annotations

import math
from typing import Any

from dlcore.core import Array, Primitive, Unary, V, elementwise, operation
from dlcore.dispatch import refuse_complex, wants_tensors
from dlcore.ops.activations import relu, softplus_p
from dlcore.ops.arithmetic import (
    absolute,
    clip,
    equal,
    maximum,
    minimum,
    ones_like,
    pow,
    safe_multiply,
    square,
    where,
)
from dlcore.ops.indexing import at_hand, beside
from dlcore.ops.reductions import in_half, in_single, mean_p, sum_p
from dlcore.ops.reductions import sum as _sum
from dlcore.ops.transcendental import exp, log, log1p, sqrt
from dlcore.samples import DISTINCT, POSITIVE, REAL, Domain, sample
from dlcore.shaping import Shape, broadcast_shapes

_PAIR = [sample("a b, a b"), sample("a, a", reduction="none"), sample("a b, a b", reduction="sum")]
_TIED = [sample("a b, a b", DISTINCT), sample("a, a", DISTINCT, reduction="none"),
         sample("a b, a b", DISTINCT, reduction="sum")]
_NEAR, _FAR, _BENT = Domain(-0.4, 0.4), Domain(2.0, 3.0), Domain(avoid=(-1.0, 1.0))
_CLEAR = [sample("a b, a b", _NEAR), sample("a, a", (_FAR, _NEAR)), sample("a, a", _FAR, reduction="sum"),
          sample("a, a", _NEAR, reduction="none")]
_APART = (Domain(-2.0, -1.0), Domain(0.0, 1.0), Domain(3.0, 4.0))  # no difference is near 0
_UNSURE = Domain(low=0.2, high=0.8)  # towards 0 and 1 the curvature has no bound

# --- what the losses share -----------------------------------------------------------------------


def reduced(name: str, values: V, reduction: str) -> V:
    """``values`` averaged, summed or left alone.

    Raises:
        ValueError: ``reduction`` is none of the three words.
    """
    if reduction == "mean":
        return mean_p(values, axis=None, keepdims=False)
    if reduction == "sum":
        return sum_p(values, axis=None, keepdims=False)
    if reduction != "none":
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    return values


def as_operand(x: V, like: V) -> V:
    """``x``, but a list as a tensor beside ``like``, so that it has a shape."""
    return beside(like, x) if isinstance(x, list | tuple) else x


def shape_of(x: Any) -> Shape:
    """The shape of a value or an array; a Python number has none."""
    return tuple(getattr(x, "shape", ()))


def paired(name: str, x: Any, y: Any, words: tuple[str, str] = ("input", "target")) -> tuple[V, V]:
    """``x`` and ``y``, once they have one shape.

    Raises:
        ValueError: their shapes differ; the message says how to make them agree.
    """
    x, y = as_operand(x, y), as_operand(y, x)
    s, t = shape_of(x), shape_of(y)
    if s != t:
        raise ValueError(f"{name}: {words[0]} has shape {s}, {words[1]} {t}; "
                         + _advice(s, t, words[1]))
    return x, y


def _advice(s: Shape, t: Shape, word: str) -> str:
    """How to make a tensor of shape ``t`` fit one of shape ``s``."""
    try:
        common = broadcast_shapes(s, t)
    except ValueError:
        common = None
    if math.prod(s) == math.prod(t):
        pairs = f", or all {math.prod(common)} pairs would be compared" if common else ""
        return f"write {word}.reshape({s}){pairs}"
    if common == s:
        return f"if every one is to be compared with the same, write dl.broadcast_to({word}, {s})"
    return "they must be equal"


# --- of real numbers -----------------------------------------------------------------------------


def _slope(x: V, scale: float) -> float:
    """The derivative of ``scale * mean(x * x)``, as a multiple of ``x``."""
    return 2.0 * scale / (math.prod(x.shape) or 1)


mean_square_p: Unary = Unary(  # of its own: it keeps one array where a composition keeps three
    "mean_square", lambda xp, x, *, scale: mean_p.forward(xp, x * x, axis=None, keepdims=False) * scale,
    lambda s, *, scale: (),
    (lambda g, out, x, *, scale: g * _slope(x, scale) * x,),
    (lambda t, out, x, *, scale: sum_p(t * x, axis=None, keepdims=False) * _slope(x, scale),),
    samples=[sample("a b", scale=1.0), sample("a", scale=0.5), sample("", scale=1.0)],
    result="float", reads="x",
)


def _squared(name: str, x: V) -> V:
    refuse_complex(name, x)  # whose squares are no sizes
    return square(x)


@operation(samples=_PAIR)
def mse_loss(input: V, target: V, *, reduction: str = "mean") -> V:
    """The square of the difference.

        >>> import dlcore as dl
        >>> mse_loss(dl.tensor([1.0, 2.0]), dl.tensor([1.0, 4.0])).item()
        2.0
    """
    x, y = paired("mse_loss", input, target)
    if reduction == "mean":
        return mean_square_p.call(x - y, {"scale": 1.0})
    return reduced("mse_loss", _squared("mse_loss", x - y), reduction)


@operation(samples=_PAIR)
def squared_loss(input: V, target: V, *, reduction: str = "mean") -> V:
    """Half the square of the difference, so that the derivative is the difference itself."""
    x, y = paired("squared_loss", input, target)
    if reduction == "mean":
        return mean_square_p.call(x - y, {"scale": 0.5})
    return reduced("squared_loss", _squared("squared_loss", x - y) * 0.5, reduction)


@operation(samples=_TIED)
def l1_loss(input: V, target: V, *, reduction: str = "mean") -> V:
    """The absolute difference; its derivative is 0 where that is 0."""
    x, y = paired("l1_loss", input, target)
    return reduced("l1_loss", absolute(x - y), reduction)


def _huber(xp: Any, x: Array, *, delta: float) -> Array:
    size = xp.abs(x)
    bounded = xp.minimum(size, delta)
    return bounded * (size - bounded * 0.5)


huber_p: Primitive = elementwise(
    "huber", _huber, lambda d, out, x, *, delta: d * clip(x, -delta, delta),
    samples=[sample("a b", _BENT, delta=1.0), sample("a", _NEAR, delta=0.5)], result="float", reads="x",
)


@operation(samples=[*_CLEAR, sample("a, a", (_FAR, _NEAR), delta=0.5)])
def huber_loss(input: V, target: V, *, reduction: str = "mean", delta: float = 1.0) -> V:
    """Half the squared difference up to ``delta``, beyond it a line of slope ``delta``.

    Source: Huber (1964), "Robust estimation of a location parameter".
    """
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    x, y = paired("huber_loss", input, target)
    return reduced("huber_loss", huber_p(x - y, delta=delta), reduction)


@operation(samples=[*_CLEAR, sample("a, a", (_FAR, _NEAR), beta=0.5), sample("a, a", DISTINCT, beta=0.0)])
def smooth_l1_loss(input: V, target: V, *, reduction: str = "mean", beta: float = 1.0) -> V:
    """The absolute difference with its kink rounded off below ``beta``; 0 leaves the kink."""
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    x, y = paired("smooth_l1_loss", input, target)
    values = huber_p(x - y, delta=beta) / beta if beta else absolute(x - y)
    return reduced("smooth_l1_loss", values, reduction)


@operation(samples=_CLEAR)
def hinge_loss(input: V, target: V, *, reduction: str = "mean") -> V:
    """How far the score ``input`` falls short of 1 on the side that ``target``, -1 or 1, says."""
    x, y = paired("hinge_loss", input, target)
    return reduced("hinge_loss", relu(1.0 - x * y), reduction)


# --- of probabilities ----------------------------------------------------------------------------

_FLOOR = -100.0  # of a logarithm, so that one certain mistake does not make the whole loss infinite


def _binary(xp: Any, p: Array, y: Array) -> Array:
    if not hasattr(p, "dtype"):  # a Python number, which has no logarithm on every backend
        p = xp.full((), p, y.dtype)
    with xp.quiet():
        yes, no = xp.maximum(xp.log(p), _FLOOR), xp.maximum(xp.log1p(-p), _FLOOR)
        return (y - 1.0) * no - y * yes


def _negative_logit(p: V, like: V) -> V:
    """log(1 - p) - log(p), both held at the floor."""
    p = p if hasattr(p, "dtype") else ones_like(like) * p
    return clip(log1p(-p), _FLOOR) - clip(log(p), _FLOOR)


binary_cross_entropy_p: Primitive = elementwise(
    "binary_cross_entropy", _binary,
    lambda d, out, p, y: d * ((p - y) / maximum(p * (1.0 - p), 1e-12)),
    lambda d, out, p, y: d * _negative_logit(p, d),
    domain=_UNSURE, result="float", reads="p y",
)


@operation(samples=[sample("a b, a b", _UNSURE), sample("a b, a b, b", _UNSURE, reduction="none"),
                    sample("a, a, 1", _UNSURE, reduction="sum")])
def binary_cross_entropy(input: V, target: V, weight: V | None = None, *,
                         reduction: str = "mean") -> V:
    """What the probabilities ``input`` lose on ``target``; their logarithms are held at -100.

    Args:
        input: probabilities, of any shape.
        target: 0 and 1, or probabilities.
        weight: multiplies the loss of each element; broadcasts.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: ``input`` has a number outside 0..1 (looked at where that costs no waiting).
    """
    p, y = paired("binary_cross_entropy", input, target)
    values = at_hand(p)
    if values is not None and values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"binary_cross_entropy: input must hold probabilities, but lies in "
                         f"{values.min():g}..{values.max():g}; for scores without a sigmoid use "
                         "binary_cross_entropy_with_logits")
    out = binary_cross_entropy_p(p, y)
    return reduced("binary_cross_entropy", out if weight is None else out * weight, reduction)


@operation(samples=[sample("a b, a b"), sample("a, a", _UNSURE, pos_weight=3.0),
                    sample("a b, a b, b", (REAL, _UNSURE, REAL), reduction="none"),
                    sample("a b, a b, pos_weight: b", (REAL, _UNSURE, POSITIVE), reduction="sum")])
def binary_cross_entropy_with_logits(
    input: V, target: V, weight: V | None = None, *,
    reduction: str = "mean", pos_weight: V | None = None,
) -> V:
    """``binary_cross_entropy`` of ``sigmoid(input)``, without overflow or loss of digits.

    Args:
        input: scores, of any shape.
        target: 0 and 1, or probabilities.
        weight: multiplies the loss of each element; broadcasts.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        pos_weight: multiplies the loss of what is positive; broadcasts.
    """
    name = "binary_cross_entropy_with_logits"
    x, y = paired(name, input, target)
    positive = softplus_p(-x)
    if pos_weight is not None:
        positive = positive * ((pos_weight - 1.0) * y + 1.0)
    out = (1.0 - y) * x + positive
    return reduced(name, out if weight is None else out * weight, reduction)


@operation(samples=[sample("a b, a b", _UNSURE), sample("a b, a b", log_target=True, reduction="none"),
                    sample("a b, a b", _UNSURE, reduction="sum"),
                    sample("a b, a b", _UNSURE, reduction="batchmean")])
def kl_div(input: V, target: V, *, reduction: str = "mean", log_target: bool = False) -> V:
    """The divergence of the distribution ``target`` from one whose logarithms are ``input``.

    Args:
        input: logarithms of probabilities.
        target: probabilities; with ``log_target`` their logarithms.
        reduction: ``"batchmean"``, the sum divided by the size of axis 0, is the divergence as
            mathematics has it; ``"mean"`` divides by the number of elements.
        log_target: whether ``target`` holds logarithms.
    """
    x, y = paired("kl_div", input, target)
    refuse_complex("kl_div", x, y)
    out = exp(y) * (y - x) if log_target else safe_multiply(y, log(y)) - y * x
    if reduction == "batchmean":
        return _sum(out) / max(1, x.shape[0] if x.shape else 1)
    return reduced("kl_div", out, reduction)


# --- of embeddings -------------------------------------------------------------------------------


def _labelled(name: str, x: V, target: V) -> V:
    """``target`` if it has one number for each row of ``x``."""
    target = as_operand(target, x)
    if shape_of(target) != x.shape[:-1]:
        raise ValueError(f"{name}: target has shape {shape_of(target)}, but input1 {x.shape} has "
                         f"rows {x.shape[:-1]}; it needs one 1 or -1 for each")
    return target


@operation(samples=[sample("3 4, 3 4, ? 3", margin=-1.0), sample("3 4, 3 4, ? 3", POSITIVE, reduction="sum"),
                    sample("2 3, 2 3, ? 2", POSITIVE, reduction="none")])
@wants_tensors
def cosine_embedding_loss(input1: V, input2: V, target: V, *, margin: float = 0.0,
                          reduction: str = "mean") -> V:
    """Pulls rows together where ``target`` is 1, pushes them apart where it is -1.

    Args:
        input1: rows (n, d), or one (d,).
        input2: of the same shape.
        target: (n,), or () for one row.
        margin: the cosine below which rows count as apart, -1 to 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
    """
    name = "cosine_embedding_loss"
    x, y = paired(name, input1, input2, ("input1", "input2"))
    target = _labelled(name, x, target)
    a, b = in_single(x), in_single(y)
    sizes = [_sum(square(v), axis=-1) + 1e-12 for v in (a, b)]
    cosine = _sum(a * b, axis=-1) / sqrt(sizes[0] * sizes[1])
    losses = where(equal(target, 1), 1.0 - cosine, relu(cosine - margin))
    return reduced(name, in_half(losses, x, y), reduction)


@operation(samples=[sample("3 4, 3 4, 3 4", _APART, margin=20.0),
                    sample("3 4, 3 4, 3 4", _APART, margin=20.0, p=3.0),
                    sample("3 4, 3 4, 3 4", _APART, margin=30.0, swap=True, reduction="sum"),
                    sample("b 3, b 3, b 3", _APART, margin=20.0, eps=0.1, reduction="none")])
@wants_tensors
def triplet_margin_loss(anchor: V, positive: V, negative: V, *, margin: float = 1.0, p: float = 2.0,
                        eps: float = 1e-6, swap: bool = False, reduction: str = "mean") -> V:
    """How much less than ``margin`` further the negative is from the anchor than the positive.

    Args:
        anchor: rows (..., d).
        positive: of the same shape: what belongs to the anchor.
        negative: of the same shape: what does not.
        margin: the distance wanted between the two.
        p: the exponent of the norm.
        eps: added to each difference, so that no distance is 0.
        swap: measure the negative from the positive, where that is nearer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Source: Balntas et al. (2016), "Learning local feature descriptors with triplets and shallow
    convolutional neural networks".
    """
    name = "triplet_margin_loss"
    anchor, positive = paired(name, anchor, positive, ("anchor", "positive"))
    anchor, negative = paired(name, anchor, negative, ("anchor", "negative"))
    near, far = (pairwise_distance(anchor, y, p, eps) for y in (positive, negative))
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(name, relu(near - far + margin), reduction)


def pairwise_distance(x: V, y: V, p: float = 2.0, eps: float = 1e-6) -> V:
    """The ``p``-norm of each row of ``x - y + eps``."""
    difference = x - y
    wide = in_single(difference) + eps
    if p == 2:
        norms = sqrt(_sum(square(wide), axis=-1))
    else:
        norms = pow(_sum(pow(absolute(wide), p), axis=-1), 1.0 / p)
    return in_half(norms, difference)
