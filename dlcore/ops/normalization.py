"""Norms: values with mean 0 and variance 1, or vectors of length 1.

They differ in the axes that mean and variance are taken over: the last ones, as features are, or what
belongs to a channel or a group of them, as in images.  Halves are computed in float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dlcore.core import V, cast_like, operation
from dlcore.dispatch import refuse_complex, wants_tensors
from dlcore.ops.arithmetic import absolute, maximum, pow, square
from dlcore.ops.reductions import in_half, in_single, mean, sum
from dlcore.ops.shapes import reshape
from dlcore.ops.transcendental import rsqrt, sqrt
from dlcore.samples import POSITIVE, REAL, Domain, sample

APART = Domain(low=0.5, high=2.0)  # from 0, where the length of a vector has its kink


def _standardized(x: V, axes: tuple[int, ...], eps: float) -> V:
    """``x`` with mean 0 and variance 1 over ``axes``."""
    centred = x - mean(x, axes, keepdims=True)
    return centred * rsqrt(mean(square(centred), axes, keepdims=True) + eps)


# --- over features ------------------------------------------------------------------------------


def _trailing(name: str, x: V, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    """The axes that ``normalized_shape`` names: the last ones."""
    refuse_complex(name, x)
    sizes = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not sizes or x.shape[-len(sizes):] != sizes:
        raise ValueError(f"{name}: the last axes of x {x.shape} must have normalized_shape {sizes}")
    return tuple(range(-len(sizes), 0))


def _affine(x: V, weight: V | None, bias: V | None) -> V:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


@operation(samples=[sample("a 4", normalized_shape=4), sample("a 2 3", normalized_shape=(2, 3)),
                    sample("a 2 3, weight: 2 3, bias: 2 3", normalized_shape=(2, 3), eps=0.1)])
@wants_tensors
def layer_norm(x: V, normalized_shape: int | Sequence[int], weight: V | None = None,
               bias: V | None = None, eps: float = 1e-5) -> V:
    """``x`` with mean 0 and variance 1 over its last axes, then scaled and shifted.

    Args:
        x: of any shape that ends in ``normalized_shape``.
        normalized_shape: the sizes of those axes.
        weight: factors, of shape ``normalized_shape``.
        bias: summands, likewise.
        eps: added to the variance.

    Source: Ba, Kiros & Hinton (2016), "Layer normalization".
    """
    axes = _trailing("layer_norm", x, normalized_shape)
    return _affine(in_half(_standardized(in_single(x), axes, eps), x), weight, bias)


@operation(samples=[sample("a 4", normalized_shape=4), sample("a 2 3", normalized_shape=(2, 3)),
                    sample("a 4, weight: 4", normalized_shape=4, eps=0.1)])
@wants_tensors
def rms_norm(x: V, normalized_shape: int | Sequence[int], weight: V | None = None,
             eps: float = 1e-5) -> V:
    """``x`` divided by the root of its mean square over its last axes, then scaled.

    Arguments as :func:`layer_norm` has them.

    Source: Zhang & Sennrich (2019), "Root mean square layer normalization".
    """
    axes = _trailing("rms_norm", x, normalized_shape)
    wide = in_single(x)
    return _affine(in_half(wide * rsqrt(mean(square(wide), axes, keepdims=True) + eps), x), weight, None)


@operation(samples=[sample("a b", APART), sample("a b", APART, p=3.0, axis=0), sample("a b", APART, eps=0.1)])
@wants_tensors
def normalize(x: V, p: float = 2.0, axis: int = 1, eps: float = 1e-12) -> V:
    """``x`` divided by its ``p``-norm along ``axis``, or by ``eps`` where the norm is less.

        >>> import dlcore as dl
        >>> normalize(dl.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    wide = in_single(x)
    if p == 2:
        norm = sqrt(sum(square(wide), axis=axis, keepdims=True))
    else:
        norm = pow(sum(pow(absolute(wide), p), axis=axis, keepdims=True), 1.0 / p)
    return in_half(wide / maximum(norm, eps), x)


@operation(samples=[sample("a b, a b", APART), sample("a b, a b", APART, axis=0, eps=0.1)])
@wants_tensors
def cosine_similarity(x1: V, x2: V, axis: int = 1, eps: float = 1e-8) -> V:
    """The cosine of the angle between ``x1`` and ``x2`` along ``axis``; 0 for a vector of zeros."""
    a, b = in_single(x1), in_single(x2)
    norms = [maximum(sqrt(sum(square(x), axis=axis)), eps) for x in (a, b)]
    return in_half(sum(a * b, axis=axis) / (norms[0] * norms[1]), x1, x2)


# --- over images ----------------------------------------------------------------------------------


def _per_channel(name: str, what: str, v: V, x: V) -> V:
    """``v``, one number for each channel of ``x``, so that it broadcasts."""
    channels = x.shape[1]
    if v.shape != (channels,):
        raise ValueError(f"{name}: {what} must have shape {(channels,)}, one number a channel of x "
                         f"{x.shape}, not {v.shape}")
    return reshape(v, (channels, *(1,) * (len(x.shape) - 2)))


def _scaled(name: str, out: V, x: V, weight: V | None, bias: V | None) -> V:
    """``out`` scaled and shifted channel by channel, in the dtype of ``x``."""
    out = out if weight is None else out * _per_channel(name, "weight", weight, x)
    out = out if bias is None else out + _per_channel(name, "bias", bias, x)
    return cast_like(out, x)


def _channels(name: str, x: V, least: int) -> None:
    refuse_complex(name, x)
    if len(x.shape) < least:
        raise ValueError(f"{name}: x must have at least {least} axes, samples and channels first; it has "
                         f"shape {x.shape}")


@operation([sample("a 4 3", num_groups=2), sample("2 8", num_groups=2), sample("a 3 2 2", num_groups=1),
            sample("a 4 2, weight: 4, bias: 4", num_groups=2, eps=0.1)])
@wants_tensors
def group_norm(x: V, num_groups: int, weight: V | None = None, bias: V | None = None, eps: float = 1e-5) -> V:
    """``x`` with mean 0 and variance 1 over each group of channels of each sample, then scaled and shifted.

    Args:
        x: (n, c, ...).
        num_groups: into how many parts the channels are divided.
        weight: factors, (c,).
        bias: summands, (c,).
        eps: added to the variance.

    Raises:
        ValueError: the groups do not divide the channels.

    Source: Wu & He (2018), "Group normalization".

        >>> import dlcore as dl
        >>> group_norm(dl.tensor([[1.0, 3.0, 10.0, 10.0]]), 2, eps=1e-12).tolist()
        [[-1.0, 1.0, 0.0, 0.0]]
    """
    _channels("group_norm", x, 2)
    n, c, *sizes = x.shape
    if num_groups < 1 or c % num_groups:
        raise ValueError(f"group_norm: {c} channels of x {x.shape} cannot be divided into {num_groups} "
                         "groups")
    grouped = reshape(in_single(x), (n, num_groups, c // num_groups * math.prod(sizes)))
    return _scaled("group_norm", reshape(_standardized(grouped, (2,), eps), x.shape), x, weight, bias)


@operation([sample("a b 4"), sample("a 2 2 3"), sample("a b 3, weight: b, bias: b", eps=0.1),
            sample("a b 3, b, b, b", [REAL, REAL, POSITIVE, REAL], use_input_stats=False, momentum=0.5)])
@wants_tensors
def instance_norm(x: V, running_mean: V | None = None, running_var: V | None = None, weight: V | None = None,
                  bias: V | None = None, *, use_input_stats: bool = True, momentum: float = 0.1,
                  eps: float = 1e-5) -> V:
    """``x`` with mean 0 and variance 1 over each channel of each sample, then scaled and shifted.

    Args:
        x: (n, c, l, ...).
        running_mean: (c,); means to use with ``use_input_stats=False``.
        running_var: (c,); variances, likewise.
        weight: factors, (c,).
        bias: summands, (c,).
        use_input_stats: whether mean and variance are those of ``x``.
        momentum: not used, as in :func:`batch_norm`.
        eps: added to the variance.

    Source: Ulyanov, Vedaldi & Lempitsky (2016), "Instance normalization: the missing ingredient for fast
    stylization".
    """
    _channels("instance_norm", x, 3)
    if not use_input_stats:
        return _with_statistics("instance_norm", x, running_mean, running_var, weight, bias, eps)
    axes = tuple(range(2, len(x.shape)))
    if math.prod(x.shape[2:]) == 1:
        raise ValueError(f"instance_norm: x {x.shape} has one element a channel, whose variance would be 0")
    return _scaled("instance_norm", _standardized(in_single(x), axes, eps), x, weight, bias)


def _with_statistics(name: str, x: V, running_mean: V | None, running_var: V | None, weight: V | None,
                     bias: V | None, eps: float) -> V:
    if running_mean is None or running_var is None:
        raise ValueError(f"{name}: needs running_mean and running_var where those of x are not used")
    centred = in_single(x) - _per_channel(name, "running_mean", running_mean, x)
    slope = rsqrt(_per_channel(name, "running_var", running_var, x) + eps)
    return _scaled(name, centred * slope, x, weight, bias)


@operation([sample("3 b 2, b, b, b, b", [REAL, REAL, POSITIVE, REAL, REAL]),
            sample("4 b, b, b", [REAL, REAL, POSITIVE], training=True, momentum=0.5, eps=0.1)])
@wants_tensors
def batch_norm(x: V, running_mean: V | None, running_var: V | None, weight: V | None = None,
               bias: V | None = None, *, training: bool = False, momentum: float = 0.1,
               eps: float = 1e-5) -> V:
    """``x`` with each channel less its mean and divided by its deviation, then scaled and shifted.

    While training, mean and variance are those of ``x``; otherwise they are the running ones.  No tensor
    is ever written to: this returns the output only, and whoever keeps running statistics replaces them
    with what :func:`running_statistics` returns.

    Args:
        x: (n, c, ...).
        running_mean: (c,); may be None while training.
        running_var: (c,); likewise.
        weight: factors, (c,).
        bias: summands, (c,).
        training: whether mean and variance are those of ``x``.
        momentum: not used here; it belongs to :func:`running_statistics`, and PyTorch has it here.
        eps: added to the variance.

    Raises:
        ValueError: training on one element a channel, whose variance would be 0.

    Source: Ioffe & Szegedy (2015), "Batch normalization: accelerating deep network training by reducing
    internal covariate shift".
    """
    _channels("batch_norm", x, 2)
    if not training:
        return _with_statistics("batch_norm", x, running_mean, running_var, weight, bias, eps)
    axes = (0, *range(2, len(x.shape)))
    if math.prod(x.shape[a] for a in axes) == 1:
        raise ValueError(f"batch_norm: x {x.shape} has one element a channel, whose variance would be 0")
    return _scaled("batch_norm", _standardized(in_single(x), axes, eps), x, weight, bias)


@wants_tensors
def running_statistics(x: V, running_mean: V, running_var: V,
                       momentum: float | V = 0.1) -> tuple[V, V]:
    """Running mean and variance of each channel after ``x`` was seen: new tensors, without history.

    Each moves by ``momentum`` towards that of ``x``; the variance is the unbiased one.

    Args:
        x: (n, c, ...).
        running_mean: (c,).
        running_var: (c,).
        momentum: 0 to 1; a number, or a tensor of no axes.

        >>> import dlcore as dl
        >>> mean, var = running_statistics(dl.tensor([[1.0], [3.0]]), dl.zeros(1), dl.ones(1), 0.5)
        >>> mean.tolist(), var.tolist()
        ([1.0], [1.5])
    """
    _channels("running_statistics", x, 2)
    axes = (0, *range(2, len(x.shape)))
    count = math.prod(x.shape[a] for a in axes)
    seen = in_single(x.detach())
    means = mean(seen, axes, keepdims=True)
    variances = mean(square(seen - means), axes) * (count / max(count - 1, 1))
    return tuple(cast_like(old.detach() * (1.0 - momentum) + new * momentum, old) for old, new in
                 ((running_mean, reshape(means, running_mean.shape)), (running_var, variances)))
