"""Each rule against its formula, written out in plain NumPy: what holds without PyTorch as well."""

import math

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose

import dlcore as dl
from dlcore import optim
from dlcore.testing.strategies import SEEDS
from tests.strategies import fewer

# A rule yields the parameter after each step; it is sent the gradient there, and counts from 1.


def sgd(x, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    v = None
    while True:
        g = yield x
        g = g + weight_decay * x
        v = g if v is None else momentum * v + (1 - dampening) * g
        x = x - lr * (g + momentum * v if nesterov else v if momentum else g)


def adam(x, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, decoupled=False):
    m = v = top = 0.0
    t = 0
    while True:
        g = yield x
        t += 1
        if decoupled:
            x = x - lr * weight_decay * x
        else:
            g = g + weight_decay * x
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        top = np.maximum(top, v) if amsgrad else v
        x = x - lr * m / (1 - betas[0] ** t) / (np.sqrt(top / (1 - betas[1] ** t)) + eps)


def adamw(x, weight_decay=1e-2, **options):
    return adam(x, weight_decay=weight_decay, decoupled=True, **options)


def nadam(x, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, momentum_decay=4e-3):
    m = v = 0.0
    mus = []

    def mu(t):
        return betas[0] * (1 - 0.5 * 0.96 ** (t * momentum_decay))

    while True:
        g = yield x
        mus.append(mu(len(mus) + 1))
        t, after = len(mus), mu(len(mus) + 1)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        mean = after * m / (1 - math.prod(mus) * after) + (1 - mus[-1]) * g / (1 - math.prod(mus))
        x = x - lr * mean / (np.sqrt(v / (1 - betas[1] ** t)) + eps)


def radam(x, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
    m = v = 0.0
    t, most = 0, 2 / (1 - betas[1]) - 1
    while True:
        g = yield x
        t += 1
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        mean = m / (1 - betas[0] ** t)
        rho = most - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
        if rho > 5:
            r = math.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
            mean = r * mean * math.sqrt(1 - betas[1] ** t) / (np.sqrt(v) + eps)
        x = x - lr * mean


def rmsprop(x, lr=1e-2, alpha=0.99, eps=1e-8, momentum=0.0, centered=False):
    v = m = u = 0.0
    while True:
        g = yield x
        v = alpha * v + (1 - alpha) * g**2
        m = alpha * m + (1 - alpha) * g
        u = momentum * u + g / (np.sqrt(v - m**2 if centered else v) + eps)
        x = x - lr * u


def adagrad(x, lr=1e-2, lr_decay=0.0, initial_accumulator_value=0.0, eps=1e-10):
    total, t = initial_accumulator_value, 0
    while True:
        g = yield x
        total = total + g**2
        x = x - lr / (1 + t * lr_decay) * g / (np.sqrt(total) + eps)
        t += 1


def adadelta(x, lr=1.0, rho=0.9, eps=1e-6):
    v = u = 0.0
    while True:
        g = yield x
        v = rho * v + (1 - rho) * g**2
        step = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u = rho * u + (1 - rho) * step**2
        x = x - lr * step


def lion(x, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
    m = 0.0
    while True:
        g = yield x
        x = x - lr * (np.sign(betas[0] * m + (1 - betas[0]) * g) + weight_decay * x)
        m = betas[1] * m + (1 - betas[1]) * g


RULES = [
    ("SGD", sgd, {}),
    ("SGD", sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.2}),
    ("SGD", sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", adam, {}),
    ("Adam", adam, {"lr": 0.1, "betas": (0.5, 0.6), "eps": 1e-3, "weight_decay": 0.2, "amsgrad": True}),
    ("AdamW", adamw, {}),
    ("AdamW", adamw, {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True}),
    ("NAdam", nadam, {}),
    ("NAdam", nadam, {"lr": 0.1, "betas": (0.7, 0.8), "eps": 1e-3, "momentum_decay": 0.2}),
    ("RAdam", radam, {}),
    ("RAdam", radam, {"lr": 0.1, "betas": (0.7, 0.9), "eps": 1e-3}),
    ("RMSprop", rmsprop, {}),
    ("RMSprop", rmsprop, {"lr": 0.1, "alpha": 0.8, "momentum": 0.5, "centered": True}),
    ("Adagrad", adagrad, {}),
    ("Adagrad", adagrad, {"lr": 0.1, "lr_decay": 0.3, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    ("Adadelta", adadelta, {}),
    ("Adadelta", adadelta, {"lr": 0.5, "rho": 0.7, "eps": 1e-3}),
    ("Lion", lion, {}),
    ("Lion", lion, {"lr": 0.1, "betas": (0.5, 0.8), "weight_decay": 0.3}),
]


@fewer(6)
@pytest.mark.parametrize(("name", "rule", "options"), RULES)
@given(seed=SEEDS)
def test_a_rule_is_its_formula(name, rule, options, backend, seed):
    random = np.random.default_rng(seed)
    start, gradients = random.standard_normal((3, 2)), random.standard_normal((8, 3, 2))
    p = dl.tensor(start, requires_grad=True)
    optimizer = getattr(optim, name)([p], **options)
    reference = rule(start, **options)
    next(reference)

    for g in gradients:
        p.grad = dl.tensor(g)
        optimizer.step()

        assert_allclose(p.numpy(), reference.send(g), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "rule", "options"), RULES)
def test_to_maximize_is_to_minimize_the_opposite(name, rule, options, backend):
    up, down = (dl.tensor([1.0, -2.0], requires_grad=True) for _ in range(2))
    pairs = [(up, getattr(optim, name)([up], maximize=True, **options), 1.0),
             (down, getattr(optim, name)([down], **options), -1.0)]

    for p, optimizer, sign in pairs:
        for g in ([1.0, 2.0], [0.5, -3.0]):
            p.grad = sign * dl.tensor(g)
            optimizer.step()

    assert up.tolist() == down.tolist()


def test_rmsprop_centered_bears_equal_gradients(backend):
    """The mean of squares less the squared mean is 0 then, or by rounding less, whose root is nan."""
    p = dl.tensor([1.0, 1.0], requires_grad=True)
    optimizer = optim.RMSprop([p], lr=1e-3, alpha=0.5, centered=True)

    for _ in range(60):
        p.grad = dl.tensor([0.1, 0.3])
        optimizer.step()

    assert np.isfinite(p.numpy()).all()


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "NAdam", "Lion"])
def test_complex_parameters_are_refused_where_the_rule_is_of_real_numbers(name, backend):
    p = dl.tensor([1.0 + 1.0j], requires_grad=True)

    with pytest.raises(TypeError, match=rf"{name}: parameter 0 of shape \(1,\) is complex64; optimize"):
        getattr(optim, name)([p])
    optim.SGD([p])
