"""dlcore, define-by-run."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

import dlcore as dl
from dlcore.nn import functional as F

Phases = dict[str, Callable[[], Any]]


def host(value: Any) -> np.ndarray:
    return value.numpy() if isinstance(value, dl.Tensor) else np.asarray(value)


def leaf(array: Any) -> dl.Tensor:
    return dl.tensor(array, requires_grad=True)


def tiny(_variant: str, d: SimpleNamespace) -> Phases:
    a, b, c = leaf(d.a), leaf(d.b), leaf(d.c)

    def forward() -> Any:
        return (a * b + c).sum()

    def gradient() -> Any:
        a.grad = b.grad = c.grad = None
        y = forward()
        y.backward()
        return y, a.grad, b.grad, c.grad

    return {"forward": forward, "gradient": gradient}


def adaline(_variant: str, d: SimpleNamespace) -> Phases:
    w, b = leaf(d.w), leaf(d.b)
    optimizer = dl.optim.SGD([w, b], d.lr)

    def step() -> Any:
        optimizer.zero_grad()
        loss = dl.abs(w * d.x + b - d.t)
        loss.backward()
        optimizer.step()
        return loss.item()

    return {"step": step}


def linreg(variant: str, d: SimpleNamespace) -> Phases:
    x, y = dl.tensor(d.x), dl.tensor(d.y)
    w, b = leaf(d.w), leaf(d.b)
    optimizer = dl.optim.SGD([w, b], d.lr)

    def epoch() -> Any:
        for i in range(0, len(x), d.batch):
            batch = slice(i, i + d.batch)
            optimizer.zero_grad()
            if variant == "loss":
                loss = F.squared_loss(x[batch] @ w + b, y[batch])
            else:
                loss = ((x[batch] @ w + b - y[batch]) ** 2 / 2).mean()
            loss.backward()
            optimizer.step()
        return loss.item()

    return {"epoch": epoch}


def mlp(variant: str, d: SimpleNamespace) -> Phases:
    x, t = dl.tensor(d.x), dl.tensor(d.t)
    p = [leaf(array) for array in d.parameters]
    if variant == "digits_adam":
        optimizer: Any = dl.optim.Adam(p, lr=d.lr, betas=d.betas, eps=d.eps)
    else:
        optimizer = dl.optim.SGD(p, lr=d.lr, momentum=0 if variant == "boston" else d.momentum)

    def digits() -> Any:
        h = F.relu(F.linear(x, p[0], p[1]))
        h = F.relu(F.linear(h, p[2], p[3]))
        return F.cross_entropy(F.linear(h, p[4], p[5]), t)

    def boston() -> Any:
        return F.mse_loss(F.linear(dl.sigmoid(F.linear(x, p[0], p[1])), p[2], p[3]), t)

    loss_of = boston if variant == "boston" else digits

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss.item()

    return {"step": step}


def lenet(_variant: str, d: SimpleNamespace) -> Phases:
    x, t = dl.tensor(d.x), dl.tensor(d.t)
    p = [leaf(array) for array in d.parameters]
    optimizer = dl.optim.SGD(p, lr=d.lr, momentum=d.momentum)

    def step() -> Any:
        optimizer.zero_grad()
        h = F.max_pool2d(F.relu(F.conv2d(x, p[0], p[1], padding=2)), 2)
        h = F.max_pool2d(F.relu(F.conv2d(h, p[2], p[3])), 2)
        h = F.relu(F.linear(dl.flatten(h, 1), p[4], p[5]))
        h = F.relu(F.linear(h, p[6], p[7]))
        loss = F.cross_entropy(F.linear(h, p[8], p[9]), t)
        loss.backward()
        optimizer.step()
        return loss.item()

    return {"step": step}


def elementwise(_variant: str, d: SimpleNamespace) -> Phases:
    x, w, b = leaf(d.x), leaf(d.w), leaf(d.b)

    def forward() -> Any:
        return (dl.tanh(x * w + b) * dl.sigmoid(x)).sum()

    def gradient() -> Any:
        x.grad = w.grad = b.grad = None
        y = forward()
        y.backward()
        return y, x.grad, w.grad, b.grad

    return {"forward": forward, "gradient": gradient}


def second_order(variant: str, d: SimpleNamespace) -> Phases:
    x = dl.tensor(d.x)
    if variant == "hessian":

        def rosenbrock(x: Any) -> Any:
            return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

        hessian = dl.hessian(rosenbrock)
        return {"hessian": lambda: hessian(x)}

    y = dl.tensor(d.y)
    parameters = [dl.tensor(array) for array in d.parameters]
    direction = [dl.tensor(array) for array in d.direction]

    def loss(p: Any) -> Any:
        return ((dl.tanh(x @ p[0] + p[1]) @ p[2] + p[3] - y) ** 2).mean()

    return {"hvp": lambda: dl.hvp(loss, parameters, direction)}


def chain(_variant: str, d: SimpleNamespace) -> Phases:
    x, factor = leaf(d.x), dl.tensor(d.factor)

    def forward() -> Any:
        y = x
        for _ in range(d.length):
            y = y * factor
        return y.sum()

    def gradient() -> Any:
        x.grad = None
        y = forward()
        y.backward()
        return y, x.grad

    return {"forward": forward, "gradient": gradient}
