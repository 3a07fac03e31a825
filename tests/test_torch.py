"""PyTorch computes the same values, gradients and second derivatives, to 1e-9 in float64."""

import pytest
from numpy.testing import assert_allclose

import dlcore as dl
from dlcore.samples import DISTINCT, NONZERO, OPEN_UNIT, POSITIVE, PROBABILITY, REAL, Domain
from dlcore.testing.calls import numbers

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: nothing to compare with", exc_type=ImportError
)
pytestmark = pytest.mark.peers

ABOVE_ONE = Domain(1.2, 3.0)

UNARY = {  # name here and in PyTorch, where the two differ; and where to compare
    "abs": NONZERO,
    "acos": OPEN_UNIT,
    "acosh": ABOVE_ONE,
    "asin": OPEN_UNIT,
    "asinh": REAL,
    "atan": REAL,
    "atanh": OPEN_UNIT,
    "ceil": REAL,
    "cos": REAL,
    "cosh": REAL,
    "digamma": POSITIVE,
    "erf": REAL,
    "erfc": REAL,
    "erfinv": OPEN_UNIT,
    "exp": REAL,
    "exp2": REAL,
    "expm1": REAL,
    "floor": REAL,
    "lgamma": POSITIVE,
    "log": POSITIVE,
    "log10": POSITIVE,
    "log1p": POSITIVE,
    "log2": POSITIVE,
    "logit": PROBABILITY,
    "negative": REAL,
    "nan_to_num": REAL,
    "reciprocal": NONZERO,
    "round": REAL,
    "rsqrt": POSITIVE,
    "sign": NONZERO,
    "sin": REAL,
    "sinc": REAL,
    "sinh": REAL,
    "sqrt": POSITIVE,
    "square": REAL,
    "tan": Domain(-1.2, 1.2),
    "tanh": REAL,
    "trunc": REAL,
    "tril": REAL,
    "triu": REAL,
    "prod": NONZERO,
    "sum": REAL,
    "mean": REAL,
    "max": DISTINCT,
    "min": DISTINCT,
}
BINARY = {
    "add": REAL,
    "atan2": NONZERO,
    "divide": NONZERO,
    "hypot": NONZERO,
    "logaddexp": REAL,
    "matmul": REAL,
    "maximum": DISTINCT,
    "minimum": DISTINCT,
    "multiply": REAL,
    "pow": POSITIVE,
    "remainder": POSITIVE,
    "subtract": REAL,
    "xlogy": POSITIVE,
}
AXIS = {
    "cumprod": NONZERO,
    "cumsum": REAL,
    "logcumsumexp": REAL,
    "logsumexp": REAL,
    "sum": REAL,
    "mean": REAL,
    "prod": NONZERO,
}
OTHERS = {  # (ours, theirs, domains)
    "polygamma": (lambda x: dl.polygamma(2, x), lambda x: torch.polygamma(2, x), [POSITIVE]),
    "power": (lambda x: dl.pow(x, 2.5), lambda x: x**2.5, [POSITIVE]),
    "a number's power": (lambda x: 2.0**x, lambda x: 2.0**x, [REAL]),
    "clip": (
        lambda x: dl.clip(x, -0.5, 1.0),
        lambda x: torch.clamp(x, -0.5, 1.0),
        [Domain(avoid=(-0.5, 1.0))],
    ),
    "where": (
        lambda x, y: dl.where(x > y, x * y, y),
        lambda x, y: torch.where(x > y, x * y, y),
        [DISTINCT, DISTINCT],
    ),
    "var": (lambda x: dl.var(x, 0, correction=1), lambda x: torch.var(x, 0), [REAL]),
    "std": (lambda x: dl.std(x, 1), lambda x: torch.std(x, 1, correction=0), [REAL]),
    "max along an axis": (lambda x: dl.max(x, 1), lambda x: torch.amax(x, 1), [DISTINCT]),
    "cummax": (lambda x: dl.cummax(x, 0), lambda x: torch.cummax(x, 0).values, [DISTINCT]),
    "diff": (lambda x: dl.diff(x, 0, 2), lambda x: torch.diff(x, 2, 0), [REAL]),
    "topk": (lambda x: dl.topk(x, 2).values, lambda x: torch.topk(x, 2).values, [DISTINCT]),
    "sort": (
        lambda x: dl.sort(x, 0, descending=True),
        lambda x: torch.sort(x, 0, descending=True).values,
        [DISTINCT],
    ),
    "einsum": (
        lambda x, y: dl.einsum("ij,kj,ij->ik", x, y, x),
        lambda x, y: torch.einsum("ij,kj,ij->ik", x, y, x),
        [REAL, REAL],
    ),
    "a trace": (lambda x: dl.einsum("ii", x), lambda x: torch.einsum("ii", x), [REAL]),
    "tensordot": (lambda x, y: dl.tensordot(x, y, 1), lambda x, y: torch.tensordot(x, y, 1), [REAL, REAL]),
    "outer": (lambda x, y: dl.outer(x[0], y[1]), lambda x, y: torch.outer(x[0], y[1]), [REAL, REAL]),
    "gather": (lambda x: x[[0, 2, 0], [1, 1, 1]], lambda x: x[[0, 2, 0], [1, 1, 1]], [REAL]),
    "slices": (
        lambda x: x[1:, None, 0] * x[..., :-1, 1:2],
        lambda x: x[1:, None, 0] * x[..., :-1, 1:2],
        [REAL],
    ),
    "a mask": (lambda x: x[x > 0], lambda x: x[x > 0], [NONZERO]),
    "take": (
        lambda x: dl.take(x, [2, 2, 0], 1),
        lambda x: torch.index_select(x, 1, torch.tensor([2, 2, 0])),
        [REAL],
    ),
    "take_along_axis": (
        lambda x: dl.take_along_axis(x, [[0, 0, 2]], 0),
        lambda x: torch.take_along_dim(x, torch.tensor([[0, 0, 2]]), 0),
        [REAL],
    ),
    "scatter_add": (
        lambda x, y: dl.scatter_add(x, 1, [[0] * 3] * 3, y),
        lambda x, y: x.scatter_add(1, torch.zeros(3, 3, dtype=int), y),
        [REAL, REAL],
    ),
    "concat": (lambda x, y: dl.concat([x, y, x], 1), lambda x, y: torch.cat([x, y, x], 1), [REAL, REAL]),
    "stack": (lambda x, y: dl.stack([x, y], 2), lambda x, y: torch.stack([x, y], 2), [REAL, REAL]),
    "split": (lambda x: dl.split(x, [1], 1)[1], lambda x: torch.tensor_split(x, [1], 1)[1], [REAL]),
    "pad": (
        lambda x: dl.pad(x, ((1, 0), (0, 2)), constant_values=3),
        lambda x: torch.nn.functional.pad(x, (0, 2, 1, 0), value=3),
        [REAL],
    ),
    "roll": (lambda x: dl.roll(x, (1, 2), (0, 1)), lambda x: torch.roll(x, (1, 2), (0, 1)), [REAL]),
    "flip": (lambda x: dl.flip(x, 1), lambda x: torch.flip(x, (1,)), [REAL]),
    "tile": (lambda x: dl.tile(x, (2, 1)), lambda x: torch.tile(x, (2, 1)), [REAL]),
    "repeat": (lambda x: dl.repeat(x, 2, 0), lambda x: torch.repeat_interleave(x, 2, 0), [REAL]),
    "permute_dims": (lambda x: dl.permute_dims(x, (1, 0)), lambda x: torch.permute(x, (1, 0)), [REAL]),
}


def along_rows(f):
    return lambda x: f(x, 1)


CASES = {
    **{name: (getattr(dl, name), getattr(torch, name), [domain]) for name, domain in UNARY.items()},
    **{name: (getattr(dl, name), getattr(torch, name), [domain] * 2) for name, domain in BINARY.items()},
    **{
        f"{name} along an axis": (along_rows(getattr(dl, name)), along_rows(getattr(torch, name)), [domain])
        for name, domain in AXIS.items()
    },
    **OTHERS,
}


def ours(f, xs, weights, direction):
    xs = [dl.tensor(x, requires_grad=True) for x in xs]
    y = f(*xs)
    gs = dl.grad(lambda *xs: (f(*xs) * dl.tensor(weights(y.shape))).sum(), tuple(range(len(xs))))
    slope = dl.grad(
        lambda *xs: sum((g * dl.tensor(d)).sum() for g, d in zip(gs(*xs), direction, strict=True)),
        tuple(range(len(xs))),
    )
    return [r.numpy() for r in (y, *gs(*xs), *slope(*xs))]


def theirs(f, xs, weights, direction):
    xs = [torch.tensor(x, requires_grad=True) for x in xs]
    y = f(*xs)
    gs = torch.autograd.grad((y * torch.tensor(weights(tuple(y.shape)))).sum(), xs, create_graph=True)
    slope = sum((g * torch.tensor(d)).sum() for g, d in zip(gs, direction, strict=True))
    second = torch.autograd.grad(slope, xs, allow_unused=True) if slope.requires_grad else [None] * len(xs)
    zeros = (torch.zeros_like(x) if s is None else s for x, s in zip(xs, second, strict=True))
    return [r.detach().numpy(force=True) for r in (y, *gs, *zeros)]


@pytest.mark.parametrize(("f", "their_f", "domains"), CASES.values(), ids=CASES)
def test_pytorch_agrees(f, their_f, domains):
    xs = [numbers((3, 3), d, i + 1, offset=0.07 * i) for i, d in enumerate(domains)]
    direction = [numbers((3, 3), REAL, 10 + i) for i in range(len(xs))]

    def weights(shape):
        return numbers(shape, REAL, 20)

    found, expected = ours(f, xs, weights, direction), theirs(their_f, xs, weights, direction)

    for a, b in zip(found, expected, strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-11)
