"""Values and derivatives to second order, here and in PyTorch, by random cotangents."""

import numpy as np
from numpy.testing import assert_allclose

import dlcore as dl


def to_second_order(f, args, seed):
    """``f(*args)``, the gradients of its weighted sum, and those of their weighted sums."""
    weights = lambda shape: dl.tensor(np.random.default_rng(seed).standard_normal(shape))
    values = [dl.tensor(a) for a in args]
    places = tuple(range(len(args)))
    y = f(*values)
    first = dl.grad(lambda *xs: dl.sum(f(*xs) * weights(y.shape)), places)
    second = dl.grad(
        lambda *xs: sum(dl.sum(g * weights(g.shape)) for g in first(*xs)), places)
    return [x.numpy() for x in (y, *first(*values), *second(*values))]


def torch_to_second_order(torch, f, args, seed):
    weights = lambda shape: torch.tensor(np.random.default_rng(seed).standard_normal(tuple(shape)))
    values = [torch.tensor(a, requires_grad=True) for a in args]
    y = f(*values)
    first = torch.autograd.grad((y * weights(y.shape)).sum(), values, create_graph=True)
    total = sum((g * weights(g.shape)).sum() for g in first)
    second = torch.autograd.grad(total, values, allow_unused=True) if total.requires_grad else [
        None for _ in values]
    second = [torch.zeros_like(x) if g is None else g for x, g in zip(values, second, strict=True)]
    return [x.numpy(force=True) for x in (y, *first, *second)]


def assert_equal_to_second_order(torch, ours, theirs, args, seed=0):
    found = to_second_order(ours, args, seed)
    expected = torch_to_second_order(torch, theirs, args, seed)
    for x, y in zip(found, expected, strict=True):
        assert_allclose(x, y, rtol=1e-9, atol=1e-9)
