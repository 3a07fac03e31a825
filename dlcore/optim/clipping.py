"""Gradients held in bounds; each gets a new array, and nothing waits for the device."""

from __future__ import annotations

import math
from collections.abc import Iterable

from backends import Backend, backend_of
from backends.dtypes import float32
from dlcore.core import Array
from dlcore.mistakes import followed
from dlcore.tensors import Tensor

__all__ = ["clip_grad_norm", "clip_grad_value"]

_LEAST = 1e-300  # a norm of 0 divides nothing


def gradients(parameters: Iterable[Tensor] | Tensor) -> list[tuple[Tensor, Array]]:
    """The tensors among ``parameters`` that have a gradient, and its array."""
    every = [parameters] if type(parameters) is Tensor else parameters
    return [(p, p.grad.array) for p in every if p.grad is not None]


def replace_gradient(p: Tensor, new: Array) -> None:
    """Give ``p`` the gradient ``new``, which was made of the one it has."""
    old, p.grad = p.grad, Tensor(new)
    followed(old, p.grad, added=False)


def clip_grad_norm(parameters: Iterable[Tensor] | Tensor, max_norm: float, norm_type: float = 2.0) -> Tensor:
    """Scale the gradients of ``parameters`` so that their joint norm is at most ``max_norm``.

    The norm is that of all elements of all gradients in one row.

    Args:
        parameters: tensors; those without a gradient count as having one of zeros.
        max_norm: positive, in the units of the gradients.
        norm_type: the p of the p-norm, positive; ``math.inf`` for the largest absolute value.

    Returns:
        the norm they had, a 0-d tensor; whoever reads it waits for the device.

    Raises:
        ValueError: ``max_norm`` or ``norm_type`` is not positive, or no parameter has a gradient.

    Source: Pascanu, Mikolov & Bengio (2013), "On the difficulty of training recurrent neural
    networks", algorithm 1.

        >>> import dlcore as dl
        >>> w = dl.tensor([3.0, 4.0], requires_grad=True)
        >>> dl.sum(w * w / 2).backward()
        >>> clip_grad_norm([w], 1.0), w.grad
        (tensor(5., float32), tensor([0.6, 0.8], float32))
    """
    if not max_norm > 0:
        raise ValueError(f"clip_grad_norm: max_norm must be positive, got {max_norm}")
    if not norm_type > 0:
        raise ValueError(f"clip_grad_norm: norm_type must be positive, got {norm_type}")
    found = gradients(parameters)
    if not found:
        raise ValueError("clip_grad_norm: no parameter has a gradient; call it after backward()")
    xp = backend_of(*(g for _, g in found))
    with xp.scope(), xp.quiet():  # an infinite gradient times 0 is nan, and no surprise
        wide = [xp.astype(g, float32) if g.dtype in xp.half_dtypes else g for _, g in found]
        norm = _joint_norm(xp, wide, float(norm_type))
        factor = xp.asarray(xp.minimum(max_norm / xp.maximum(norm, _LEAST), 1.0))
        for (p, g), w in zip(found, wide, strict=True):
            replace_gradient(p, xp.astype(w * xp.astype(factor, w.dtype), g.dtype))
        return Tensor(xp.astype(xp.asarray(norm), wide[0].dtype))


def _joint_norm(xp: Backend, arrays: list[Array], p: float) -> Array:
    """The p-norm of all elements, in the widest float, where large gradients have room to be added up."""
    if p == math.inf:
        parts = [xp.max(xp.abs(g)) for g in arrays if g.size]
    elif p == 2.0:
        parts = [xp.sum(g * g) for g in arrays]
    else:
        parts = [xp.sum(xp.pow(xp.abs(g), p)) for g in arrays]
    if not parts:
        return xp.zeros((), xp.widest_float)
    joined = xp.stack([xp.astype(xp.asarray(part), xp.widest_float) for part in parts])
    if p == math.inf:
        return xp.max(joined)
    return xp.sqrt(xp.sum(joined)) if p == 2.0 else xp.pow(xp.asarray(xp.sum(joined)), 1.0 / p)


def clip_grad_value(parameters: Iterable[Tensor] | Tensor, clip_value: float) -> None:
    """Hold every element of the gradients of ``parameters`` within ``-clip_value..clip_value``.

    Raises:
        ValueError: ``clip_value`` is not positive.

        >>> import dlcore as dl
        >>> w = dl.tensor([3.0, -0.5], requires_grad=True)
        >>> dl.sum(w * w).backward()
        >>> clip_grad_value([w], 1.5)
        >>> w.grad
        tensor([ 1.5, -1. ], float32)
    """
    if not clip_value > 0:
        raise ValueError(f"clip_grad_value: clip_value must be positive, got {clip_value}")
    for p, g in gradients(parameters):
        xp = backend_of(g)
        with xp.scope():
            replace_gradient(p, xp.clip(g, -clip_value, clip_value))
