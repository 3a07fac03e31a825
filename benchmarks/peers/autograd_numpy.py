"""autograd, which differentiates functions of NumPy arrays (it has no optimizers that step)."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import autograd
import autograd.numpy as np
from autograd.core import make_vjp

Phases = dict[str, Callable[[], Any]]


def host(value: Any) -> Any:
    return np.asarray(value)


def tiny(_variant: str, d: SimpleNamespace) -> Phases:
    def y(a: Any, b: Any, c: Any) -> Any:
        return np.sum(a * b + c)

    value_and_gradients = autograd.value_and_grad(y, argnum=(0, 1, 2))
    return {
        "forward": lambda: y(d.a, d.b, d.c),
        "gradient": lambda: value_and_gradients(d.a, d.b, d.c),
    }


def adaline(_variant: str, d: SimpleNamespace) -> Phases:
    loss_and_gradients = autograd.value_and_grad(
        lambda w, b: np.abs(w * d.x + b - d.t), argnum=(0, 1)
    )
    w, b = d.w, d.b

    def step() -> Any:
        nonlocal w, b
        loss, (dw, db) = loss_and_gradients(w, b)
        w, b = w - d.lr * dw, b - d.lr * db
        return loss

    return {"step": step}


def linreg(_variant: str, d: SimpleNamespace) -> Phases:
    loss_and_gradients = autograd.value_and_grad(
        lambda w, b, x, y: np.mean((x @ w + b - y) ** 2 / 2), argnum=(0, 1)
    )
    w, b = d.w, d.b

    def epoch() -> Any:
        nonlocal w, b
        for i in range(0, len(d.x), d.batch):
            batch = slice(i, i + d.batch)
            loss, (dw, db) = loss_and_gradients(w, b, d.x[batch], d.y[batch])
            w, b = w - d.lr * dw, b - d.lr * db
        return loss

    return {"epoch": epoch}


def elementwise(_variant: str, d: SimpleNamespace) -> Phases:
    def y(x: Any, w: Any, b: Any) -> Any:
        return np.sum(np.tanh(x * w + b) * (1 / (1 + np.exp(-x))))

    value_and_gradients = autograd.value_and_grad(y, argnum=(0, 1, 2))
    return {
        "forward": lambda: y(d.x, d.w, d.b),
        "gradient": lambda: value_and_gradients(d.x, d.w, d.b),
    }


def second_order(variant: str, d: SimpleNamespace) -> Phases:
    if variant == "hessian":

        def rosenbrock(x: Any) -> Any:
            return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

        hessian = autograd.hessian(rosenbrock)
        return {"hessian": lambda: hessian(d.x)}

    def loss(p: Any) -> Any:
        return np.mean((np.tanh(d.x @ p[0] + p[1]) @ p[2] + p[3] - d.y) ** 2)

    gradient = autograd.grad(loss)

    def slope(p: Any) -> Any:
        return sum(np.sum(g * v) for g, v in zip(gradient(p), d.direction, strict=True))

    hvp = autograd.grad(slope)
    return {"hvp": lambda: hvp(d.parameters)}


def chain(_variant: str, d: SimpleNamespace) -> Phases:
    def y(x: Any) -> Any:
        for _ in range(d.length):
            x = x * d.factor
        return np.sum(x)

    pull: Any = None  # it holds the graph

    def forward() -> Any:
        nonlocal pull
        pull, value = make_vjp(y, d.x)
        return value

    def gradient() -> Any:
        value = forward()
        return value, pull(1.0)

    return {"forward": forward, "gradient": gradient}
