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


def lenet(_variant: str, d: SimpleNamespace) -> Phases:
    p = list(d.parameters)
    moved = [np.zeros_like(array) for array in p]

    def step() -> Any:
        images = np.pad(d.x, ((0, 0), (0, 0), (2, 2), (2, 2)))
        columns1, c1 = _convolved(images, p[0], p[1])
        s1 = _pooled(c1)
        columns2, c2 = _convolved(s1, p[2], p[3])
        s2 = _pooled(c2)
        loss, g, gradients = _classified(s2.reshape(len(d.x), -1), p[4:], d.t)
        g2 = _unpooled(g.reshape(s2.shape), c2, s2).reshape(*c2.shape[:2], -1)
        g1 = _unpooled(_added(p[2].reshape(16, -1).T @ g2, s1), c1, s1).reshape(*c1.shape[:2], -1)
        for g, columns, w in ((g2, columns2, p[2]), (g1, columns1, p[0])):
            dw = (g @ columns.mT).sum(axis=0).reshape(w.shape)
            gradients = [dw, g.sum(axis=(0, 2)), *gradients]
        for i, gradient in enumerate(gradients):
            moved[i] = d.momentum * moved[i] + gradient
            p[i] = p[i] - d.lr * moved[i]
        return loss

    return {"step": step}


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


# --- what a network of convolutions is made of --------------------------------------


def _convolved(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    held = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))  # (n, c, h, w, 5, 5)
    n, _, height, width = held.shape[:4]
    columns = held.transpose(0, 1, 4, 5, 2, 3).reshape(n, w[0].size, height * width)
    out = w.reshape(len(w), -1) @ columns + b[:, None]
    return columns, np.maximum(out, 0).reshape(n, len(w), height, width)


def _pooled(x: np.ndarray) -> np.ndarray:
    return np.maximum.reduce([x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)])


def _unpooled(g: np.ndarray, x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The gradient, of the ReLU before too: where that is 0 nothing passes."""
    found, free = np.empty_like(x), out > 0
    for i in (0, 1):
        for j in (0, 1):
            here = free & (x[:, :, i::2, j::2] == out)
            found[:, :, i::2, j::2] = g * here
            free &= ~here
    return found


def _added(columns: np.ndarray, like: np.ndarray) -> np.ndarray:
    n, c, height, width = like.shape
    parts = columns.reshape(n, c, 5, 5, height - 4, width - 4)
    out = np.zeros_like(like)
    for i in range(5):
        for j in range(5):
            out[:, :, i : i + height - 4, j : j + width - 4] += parts[:, :, i, j]
    return out


def _classified(
    x: np.ndarray, p: list[np.ndarray], t: np.ndarray
) -> tuple[Any, np.ndarray, list[np.ndarray]]:
    """The cross-entropy of three linear layers with ReLU between, and the gradients of x and p."""
    rows, hidden = np.arange(len(t)), [x]
    for w, b in ((p[0], p[1]), (p[2], p[3])):
        hidden.append(np.maximum(hidden[-1] @ w.T + b, 0))
    scores = hidden[-1] @ p[4].T + p[5]
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    g = np.exp(logs)
    g[rows, t] -= 1
    g /= len(rows)
    gradients: list[np.ndarray] = []
    for w, h in zip((p[4], p[2], p[0]), hidden[::-1], strict=True):
        gradients = [g.T @ h, g.sum(axis=0), *gradients]
        g = (g @ w) * (h > 0)
    return -logs[rows, t].mean(), g, gradients
