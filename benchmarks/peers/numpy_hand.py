"""NumPy with derivatives worked out by hand and nothing recorded: what the work costs at least."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

Phases = dict[str, Callable[[], Any]]


def host(value: Any) -> np.ndarray:
    return np.asarray(value)


def tiny(_variant: str, d: SimpleNamespace) -> Phases:
    a, b, c = d.a, d.b, d.c
    ones = np.ones_like(a)

    def forward() -> Any:
        return (a * b + c).sum()

    def gradient() -> Any:
        return forward(), ones * b, ones * a, ones

    return {"forward": forward, "gradient": gradient}


def adaline(_variant: str, d: SimpleNamespace) -> Phases:
    w, b = d.w, d.b

    def step() -> Any:
        nonlocal w, b
        error = w * d.x + b - d.t
        sign = 1.0 if error > 0 else -1.0
        w -= d.lr * sign * d.x
        b -= d.lr * sign
        return abs(error)

    return {"step": step}


def linreg(_variant: str, d: SimpleNamespace) -> Phases:
    w, b = d.w.copy(), d.b.copy()
    lr = np.float32(d.lr / d.batch)

    def epoch() -> Any:
        for i in range(0, len(d.x), d.batch):
            x = d.x[i : i + d.batch]
            error = x @ w + b - d.y[i : i + d.batch]
            loss = (error * error).sum() / (2 * d.batch)
            w[...] -= lr * (x.T @ error)
            b[...] -= lr * error.sum(axis=0)
        return loss

    return {"epoch": epoch}


def elementwise(_variant: str, d: SimpleNamespace) -> Phases:
    x, w, b = d.x, d.w, d.b

    def forward() -> Any:
        return (np.tanh(x * w + b) * (1 / (1 + np.exp(-x)))).sum()

    def gradient() -> Any:
        t = np.tanh(x * w + b)
        s = 1 / (1 + np.exp(-x))
        through_tanh = (1 - t * t) * s
        dx = through_tanh * w + t * s * (1 - s)
        return (t * s).sum(), dx, (through_tanh * x).sum(), through_tanh.sum()

    return {"forward": forward, "gradient": gradient}


def chain(_variant: str, d: SimpleNamespace) -> Phases:
    def multiply(start: np.ndarray) -> np.ndarray:
        for _ in range(d.length):
            start = start * d.factor
        return start

    def forward() -> Any:
        return multiply(d.x).sum()

    def gradient() -> Any:
        return multiply(d.x).sum(), multiply(np.ones_like(d.x))

    return {"forward": forward, "gradient": gradient}
