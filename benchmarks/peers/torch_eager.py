"""PyTorch, define-by-run, written as its tutorials write it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

Phases = dict[str, Callable[[], Any]]


def host(value: Any) -> np.ndarray:
    return torch.as_tensor(value).detach().numpy()


def leaf(array: np.ndarray) -> Any:
    return torch.tensor(array, requires_grad=True)


def descend(parameters: list[Any], lr: float) -> None:
    with torch.no_grad():
        for p in parameters:
            p.sub_(p.grad, alpha=lr)
            p.grad = None


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

    def step() -> Any:
        loss = (w * d.x + b - d.t).abs()
        loss.backward()
        descend([w, b], d.lr)
        return loss.item()

    return {"step": step}


def linreg(variant: str, d: SimpleNamespace) -> Phases:
    x, y = torch.tensor(d.x), torch.tensor(d.y)
    w, b = leaf(d.w), leaf(d.b)

    def epoch() -> Any:
        for i in range(0, len(x), d.batch):
            batch = slice(i, i + d.batch)
            if variant == "loss":
                loss = F.mse_loss(x[batch] @ w + b, y[batch]) / 2
            else:
                loss = ((x[batch] @ w + b - y[batch]) ** 2 / 2).mean()
            loss.backward()
            descend([w, b], d.lr)
        return loss.item()

    return {"epoch": epoch}


def mlp(variant: str, d: SimpleNamespace) -> Phases:
    x, t = torch.tensor(d.x), torch.tensor(d.t)
    p = [leaf(array) for array in d.parameters]
    if variant == "digits_adam":
        optimizer: Any = torch.optim.Adam(p, lr=d.lr, betas=d.betas, eps=d.eps)
    else:
        optimizer = torch.optim.SGD(p, lr=d.lr, momentum=0 if variant == "boston" else d.momentum)

    def digits() -> Any:
        h = F.relu(F.linear(x, p[0], p[1]))
        h = F.relu(F.linear(h, p[2], p[3]))
        return F.cross_entropy(F.linear(h, p[4], p[5]), t)

    def boston() -> Any:
        return F.mse_loss(F.linear(torch.sigmoid(F.linear(x, p[0], p[1])), p[2], p[3]), t)

    loss_of = boston if variant == "boston" else digits

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss.item()

    return {"step": step}


def lenet(_variant: str, d: SimpleNamespace) -> Phases:
    x, t = torch.tensor(d.x), torch.tensor(d.t)
    p = [leaf(array) for array in d.parameters]
    optimizer = torch.optim.SGD(p, lr=d.lr, momentum=d.momentum)

    def step() -> Any:
        optimizer.zero_grad()
        h = F.max_pool2d(F.relu(F.conv2d(x, p[0], p[1], padding=2)), 2)
        h = F.max_pool2d(F.relu(F.conv2d(h, p[2], p[3])), 2)
        h = F.relu(F.linear(h.flatten(1), p[4], p[5]))
        h = F.relu(F.linear(h, p[6], p[7]))
        loss = F.cross_entropy(F.linear(h, p[8], p[9]), t)
        loss.backward()
        optimizer.step()
        return loss.item()

    return {"step": step}


def elementwise(_variant: str, d: SimpleNamespace) -> Phases:
    x, w, b = leaf(d.x), leaf(d.w), leaf(d.b)

    def forward() -> Any:
        return (torch.tanh(x * w + b) * torch.sigmoid(x)).sum()

    def gradient() -> Any:
        x.grad = w.grad = b.grad = None
        y = forward()
        y.backward()
        return y, x.grad, w.grad, b.grad

    return {"forward": forward, "gradient": gradient}


def second_order(variant: str, d: SimpleNamespace) -> Phases:
    x = torch.tensor(d.x)
    if variant == "hessian":

        def rosenbrock(x: Any) -> Any:
            return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

        return {"hessian": lambda: torch.autograd.functional.hessian(rosenbrock, x)}

    y = torch.tensor(d.y)
    p = [leaf(array) for array in d.parameters]
    direction = [torch.tensor(array) for array in d.direction]

    def hvp() -> Any:
        loss = ((torch.tanh(x @ p[0] + p[1]) @ p[2] + p[3] - y) ** 2).mean()
        gradient = torch.autograd.grad(loss, p, create_graph=True)
        return torch.autograd.grad(gradient, p, direction)

    return {"hvp": hvp}


def chain(_variant: str, d: SimpleNamespace) -> Phases:
    x, factor = leaf(d.x), torch.tensor(d.factor)

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
