"""Losses over classes: ``cross_entropy`` of scores, ``nll_loss`` of logarithms of probabilities.

The plain case, scores against class labels, is one primitive that keeps no probabilities and whose
rule makes them anew; weights, smoothing and ignored labels are compositions.
"""

from __future__ import annotations

import math
from typing import Any

from backends.dtypes import int64
from dlcore.core import Array, Primitive, V, cast, cast_like, dtype_of, operation, sum_to
from dlcore.dispatch import wants_tensors
from dlcore.ops.activations import log_softmax_p, row_logsumexp, softmax_p, softmax_rule
from dlcore.ops.arithmetic import not_equal, where
from dlcore.ops.indexing import at_hand, beside, take, take_along_axis
from dlcore.ops.losses import paired, reduced, shape_of
from dlcore.ops.reductions import mean as _mean
from dlcore.ops.reductions import mean_p, narrowed
from dlcore.ops.reductions import sum as _sum
from dlcore.ops.shapes import expand_dims, moveaxis, squeeze
from dlcore.samples import POSITIVE, PROBABILITY, REAL, sample
from dlcore.shaping import Shape

# --- the plain case ------------------------------------------------------------------------------


def _picked(xp: Any, x: Array, labels: Array) -> Array:
    """The element of each row of ``x`` that ``labels`` names; in the shape of ``labels``."""
    rows = xp.reshape(x, (-1, x.shape[-1]))
    flat = xp.reshape(labels, (-1,))
    places = (xp.arange(0, rows.shape[0], 1, "int64"), flat)
    return xp.reshape(xp.getitem(rows, places), labels.shape)


def _cross_entropy(xp: Any, x: Array, labels: Array, *, mean: bool) -> Array:
    with xp.quiet():
        shifted, total = row_logsumexp(xp, x, -1)
        losses = xp.reshape(total, labels.shape) - _picked(xp, shifted, labels)
        out = mean_p.forward(xp, losses, axis=None, keepdims=False) if mean else losses
        return narrowed(xp, out, x)


def _share_of_each(rows: Shape) -> float:
    """What one row counts in the mean; the mean of none is nan."""
    count = math.prod(rows)
    return 1.0 / count if count else math.nan


def _at_label(xp: Any, x: Array, labels: Array) -> Array:
    column = xp.reshape(xp.astype(labels, int64), (*labels.shape, 1))  # uint8 ends before the classes may
    return xp.astype(column == xp.arange(0, x.shape[-1], 1, int64), x.dtype)


def _residual(xp: Any, g: Array, x: Array, labels: Array) -> Array:
    p = softmax_p.forward(xp, x, axis=-1)
    p -= _at_label(xp, x, labels)
    return xp.multiply_(p, xp.reshape(g, (*g.shape, 1)) if g.shape else g)


def _loss_shape(s: Shape, t: Shape, *, mean: bool) -> Shape:
    if s[:-1] != t:
        raise ValueError(f"scores {s} have rows {s[:-1]}, labels have shape {t}")
    return () if mean else t


def _each(g: V) -> V:
    """``g``, a number for each row or one for all, beside the rows."""
    return expand_dims(g, -1) if g.shape else g


def _share(g: V, labels: V, mean: bool) -> V:
    return g * _share_of_each(labels.shape) if mean else g


def _pushed(t: V, out: V, x: V, labels: V, *, mean: bool) -> V:
    rows = _sum((softmax_p(x, axis=-1) - at_label(x, labels)) * t, axis=-1)
    return _mean(rows) if mean else rows


def _softmax_slope(d: V, g: V, x: V) -> V:
    """The symmetric Jacobian of the softmax of ``x``, applied to ``d * g``."""
    out = softmax_p(x, axis=-1)
    return softmax_rule(d * _each(g), out, x, axis=-1)


at_label = Primitive(
    "at_label", _at_label, lambda s, t: s, promotes=(0,), samples=[sample("a b, #b a")], reads="")
"""1 where the last axis of ``x`` has the place that ``labels`` names, else 0."""

residual_p: Primitive = Primitive(
    "cross_entropy_residual", _residual, lambda r, s, t: s,
    (lambda d, out, g, x, labels: sum_to(
        _sum((softmax_p(x, axis=-1) - at_label(x, labels)) * d, axis=-1), g.shape),
     lambda d, out, g, x, labels: _softmax_slope(d, g, x), None),
    (lambda t, out, g, x, labels: residual_p(t, x, labels),
     lambda t, out, g, x, labels: _softmax_slope(t, g, x), None),
    samples=[sample("a, a b, #b a"), sample(", a b, #b a")], result="float", reads="g x labels",
    promotes=(0, 1),
)
"""``g`` times the difference of the probabilities from 1 at the label and 0 elsewhere."""

cross_entropy_p: Primitive = Primitive(
    "cross_entropy", _cross_entropy, _loss_shape,
    (lambda g, out, x, labels, *, mean: residual_p(_share(g, labels, mean), x, labels), None),
    (_pushed, None),
    samples=[sample("a b, #b a", mean=True), sample("a 2 b, #b a 2", mean=False)],
    result="float", reads="x labels", promotes=(0,),
)
"""What rows of scores lose on their labels: log(sum(exp(x))) - x[label], or the mean of that."""

# --- labels --------------------------------------------------------------------------------------


def _checked_labels(name: str, x: V, labels: Any, axis: int, ignore_index: int) -> tuple[V, bool]:
    """``labels`` beside ``x``, and whether some of them may have to be ignored.

    Raises:
        TypeError: labels that are no integers.
        ValueError: not one label a row; or, where that costs no waiting, a label that is no class.
    """
    labels = beside(x, labels)
    rows, classes = (*x.shape[:axis], *x.shape[axis + 1:]), x.shape[axis]
    if dtype_of(labels).kind != "int":
        raise TypeError(f"{name}: class labels must be integers, got {dtype_of(labels)}; convert "
                        "them with target.astype('int64'), or give probabilities in the shape of "
                        "input")
    if labels.shape != rows:
        raise ValueError(
            f"{name}: input {x.shape} has its {classes} classes in axis {axis}, so target must "
            f"have shape {rows}, one label for each; it has {labels.shape}"
            + _label_advice(x, labels, rows))
    values = at_hand(labels)
    if values is None:
        return cast(labels, int64), True  # the number to be ignored may be none of a small dtype
    if not values.size or (values.min() >= 0 and values.max() < classes):
        return labels, 0 <= ignore_index < classes
    wrong = values[((values < 0) | (values >= classes)) & (values != ignore_index)]
    if wrong.size:
        raise ValueError(f"{name}: label {wrong.flat[0]} is none of the {classes} classes of input "
                         f"{x.shape}; they count from 0 to {classes - 1}")
    return cast(labels, int64), True


def _label_advice(x: V, labels: V, rows: Shape) -> str:
    if labels.shape == x.shape:
        return "; turn one-hot rows into labels with dl.argmax, or into floats for probabilities"
    return f"; write target.reshape({rows})" if labels.size == math.prod(rows) else ""


def _class_axis(name: str, x: V) -> int:
    """The axis of the classes: the second, or the only one."""
    if not x.shape:
        raise ValueError(f"{name}: input is 0-d; it needs an axis of classes")
    return 1 if len(x.shape) > 1 else 0


def _weights_checked(name: str, weight: V | None, classes: int) -> None:
    if weight is not None and shape_of(weight) != (classes,):
        raise ValueError(f"{name}: weight has shape {shape_of(weight)}, but there are {classes} "
                         f"classes; it needs shape ({classes},)")


def _averaged(name: str, losses: V, counts: V | None, reduction: str) -> V:
    """``losses`` reduced; a mean weighs each label by ``counts``, None meaning evenly."""
    if reduction != "mean" or counts is None:
        return reduced(name, losses, reduction)
    return _mean(losses) / _mean(counts)  # sums of halves may overflow


def _label_losses(name: str, x: V, labels: V, axis: int, weight: V | None, ignore_index: int,
                  maybe_ignored: bool, reduction: str, smoothing: float = 0.0) -> V:
    """The losses of logarithms of probabilities ``x`` at ``labels``, reduced."""
    kept = not_equal(labels, ignore_index) if maybe_ignored else None
    counts = None if kept is None else cast_like(kept, x)
    labels = labels if kept is None else where(kept, labels, 0)
    losses = -squeeze(take_along_axis(x, expand_dims(labels, axis), axis), axis)
    if weight is not None:
        each = take(weight, labels, 0)
        losses = losses * each
        counts = each if counts is None else each * counts
    if smoothing:
        last = moveaxis(x, axis, -1)
        evenly = -_mean(last if weight is None else last * weight, axis=-1)
        losses = losses * (1.0 - smoothing) + evenly * smoothing
    if kept is not None:
        losses = where(kept, losses, 0.0)
    return _averaged(name, losses, counts, reduction)


_WEIGHED = (REAL, REAL, POSITIVE)

# --- public --------------------------------------------------------------------------------------


@operation(samples=[sample("a 3, #3 a"), sample("a 3 b, #3 a b", label_smoothing=0.1),
                    sample("a 3, a 3", PROBABILITY, reduction="sum"), sample("4, #4"),
                    sample("a 3 b, #3 a b, 3", _WEIGHED, label_smoothing=0.2),
                    sample("a 3, #3 a, 3", _WEIGHED, ignore_index=1, reduction="none")])
@wants_tensors
def cross_entropy(input: V, target: V, weight: V | None = None, *, ignore_index: int = -100,
                  reduction: str = "mean", label_smoothing: float = 0.0) -> V:
    """What the scores ``input`` lose on the classes ``target``: ``-log_softmax(input)`` there.

    Args:
        input: scores (n, c), (n, c, ...) or (c,), not yet through a softmax.
        target: integer labels (n,), (n, ...) or (), from 0 to c - 1; or probabilities of the shape
            of ``input``.
        weight: (c,), multiplies the loss of each class.
        ignore_index: labels equal to this count for nothing.
        reduction: ``"mean"`` (weighted by ``weight``, over labels that count), ``"sum"`` or
            ``"none"``.
        label_smoothing: how much of the target is spread evenly over all classes, 0 to 1.

    Raises:
        TypeError: class labels that are no integers.
        ValueError: shapes that do not fit; a label that is no class (looked at where that costs no
            waiting: on the CPU).

        >>> import dlcore as dl
        >>> scores = dl.tensor([[0.0, 0.0], [1000.0, 0.0]])
        >>> cross_entropy(scores, dl.tensor([0, 1]), reduction="none").tolist()
        [0.6931471824645996, 1000.0]
    """
    name = "cross_entropy"
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{name}: label_smoothing must lie in 0..1, got {label_smoothing}")
    axis = _class_axis(name, input)
    _weights_checked(name, weight, input.shape[axis])
    target = beside(input, target)
    if dtype_of(target).kind == "float" and target.shape == input.shape:
        return _of_probabilities(name, input, target, axis, weight, reduction, label_smoothing)
    labels, maybe_ignored = _checked_labels(name, input, target, axis, ignore_index)
    if weight is None and not maybe_ignored and not label_smoothing:
        last = input if axis == len(input.shape) - 1 else moveaxis(input, axis, -1)
        if reduction == "mean":
            return cross_entropy_p(last, labels, mean=True)
        return reduced(name, cross_entropy_p(last, labels, mean=False), reduction)
    return _label_losses(name, log_softmax_p(input, axis=axis), labels, axis, weight, ignore_index,
                         maybe_ignored, reduction, label_smoothing)


def _of_probabilities(name: str, x: V, target: V, axis: int, weight: V | None, reduction: str,
                      smoothing: float) -> V:
    x, target = paired(name, x, target)
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / x.shape[axis]
    products = moveaxis(log_softmax_p(x, axis=axis) * target, axis, -1)
    if weight is not None:
        products = products * weight
    return reduced(name, -_sum(products, axis=-1), reduction)


@operation(samples=[sample("a 3, #3 a"), sample("a 3 b, #3 a b", reduction="sum"),
                    sample("a 3, #3 a, 3", _WEIGHED),
                    sample("a 3, #3 a, 3", _WEIGHED, ignore_index=1, reduction="none")])
@wants_tensors
def nll_loss(input: V, target: V, weight: V | None = None, *, ignore_index: int = -100,
             reduction: str = "mean") -> V:
    """What the logarithms of probabilities ``input`` lose on the classes ``target``.

    Arguments as :func:`cross_entropy` has them, which is this after ``log_softmax``.
    """
    name = "nll_loss"
    axis = _class_axis(name, input)
    _weights_checked(name, weight, input.shape[axis])
    labels, maybe_ignored = _checked_labels(name, input, target, axis, ignore_index)
    return _label_losses(name, input, labels, axis, weight, ignore_index, maybe_ignored, reduction)
