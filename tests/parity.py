"""Which call of PyTorch's each operation of dlcore is compared with, and why some have none.

A table without PyTorch: what is called there stands in functions of the module, so that a machine
without it can still tell which names nobody compares.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import dlcore as dl
from dlcore.samples import DISTINCT, NONZERO, OPEN_UNIT, POSITIVE, PROBABILITY, REAL, Domain

ABOVE_ONE = Domain(1.2, 3.0)
STEEP = Domain(-1.2, 1.2)
BOUNDED = Domain(avoid=(-0.5, 1.0))
JUMPY = Domain(avoid=(-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0))


class Case(NamedTuple):
    """Two functions that should agree, ``ours(*xs)`` and ``theirs(torch, *xs)``, on floats of ``domains``."""

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    domains: tuple[Domain, ...] = (REAL,)
    shape: tuple[int, ...] = (3, 3)


def alike(domain: Domain, names: str, count: int = 1) -> list[Case]:
    """Functions of one name in both, of ``count`` arrays."""
    return [Case(n, getattr(dl, n), lambda t, *xs, n=n: getattr(t, n)(*xs), (domain,) * count)
            for n in names.split()]


def reduced(domain: Domain, name: str, theirs: str = "") -> list[Case]:
    """A reduction over everything, an axis, two axes, keeping them."""
    f = getattr(dl, name)
    where = [{"axis": 1}, {"axis": -2, "keepdims": True}, {"axis": (0, 2)}, {"axis": (0, 1, 2)}]
    return [Case(name, lambda x, w=w: f(x, **w),
                 lambda t, x, w=w: getattr(t, theirs or name)(x, w["axis"], w.get("keepdims", False)),
                 (domain,), (2, 3, 2)) for w in where]


def along(domain: Domain, name: str) -> list[Case]:
    """A running reduction along each axis."""
    return [Case(name, lambda x, i=i: getattr(dl, name)(x, i),
                 lambda t, x, i=i: getattr(t, name)(x, i), (domain,))
            for i in (0, -1)]


PAIR, PAIR_DISTINCT = (REAL, REAL), (DISTINCT, DISTINCT)
PLACES = np.array([[0, 2, 0]])

CASES = [
    *alike(NONZERO, "abs reciprocal sign"),
    *alike(OPEN_UNIT, "acos asin atanh erfinv"),
    *alike(ABOVE_ONE, "acosh"),
    *alike(REAL, "asinh atan cos cosh erf erfc exp exp2 expm1 negative sigmoid sin sinc sinh square tanh"),
    *alike(REAL, "isfinite isinf isnan logical_not nan_to_num tril triu"),
    *alike(JUMPY, "ceil floor round trunc"),
    *alike(POSITIVE, "digamma lgamma log log10 log1p log2 rsqrt sqrt"),
    *alike(PROBABILITY, "logit"),
    *alike(STEEP, "tan"),
    *alike(REAL, "sum mean"),
    *alike(NONZERO, "prod"),
    *alike(DISTINCT, "max min argmax argmin argsort"),
    *alike(REAL, "add subtract multiply logaddexp matmul logical_and logical_or logical_xor", 2),
    *alike(NONZERO, "atan2 divide hypot", 2),
    *alike(DISTINCT, "maximum minimum", 2),
    *alike(POSITIVE, "pow remainder xlogy", 2),
    *(Case(n, getattr(dl, n), lambda t, x, y, theirs=theirs: getattr(t, theirs)(x, y), PAIR_DISTINCT)
      for n, theirs in [("equal", "eq"), ("not_equal", "ne"), ("less", "lt"), ("less_equal", "le"),
                        ("greater", "gt"), ("greater_equal", "ge")]),
    Case("zeros_like", dl.zeros_like, lambda t, x: t.zeros_like(x) + 0 * x),
    Case("ones_like", dl.ones_like, lambda t, x: t.ones_like(x) + 0 * x),
    Case("remainder", lambda x: dl.remainder(x, 0.7),
         lambda t, x: t.remainder(x, 0.7), (Domain(-0.6, -0.1),)),
    Case("remainder", lambda x: dl.remainder(x, -2.5),
         lambda t, x: t.remainder(x, -2.5), (Domain(0.1, 2.0),)),
    *(Case("floor_divide", lambda x, n=n: x // n, lambda t, x, n=n: t.floor(x / n), (Domain(0.1, 0.6),))
      for n in (0.7, -2.5)),
    Case("copysign", dl.copysign, lambda t, x, y: t.copysign(x, y), (NONZERO, NONZERO)),
    Case("signbit", dl.signbit, lambda t, x: t.signbit(x), (NONZERO,)),
    Case("pow", lambda x: dl.pow(x, 2.5), lambda t, x: x**2.5, (POSITIVE,)),
    Case("pow", lambda x: dl.pow(x, -2), lambda t, x: x**-2, (NONZERO,)),
    Case("pow", lambda x: 2.0**x, lambda t, x: 2.0**x),
    Case("polygamma", lambda x: dl.polygamma(2, x), lambda t, x: t.polygamma(2, x), (POSITIVE,)),
    Case("polygamma", lambda x: dl.polygamma(0, x), lambda t, x: t.polygamma(0, x), (POSITIVE,)),
    Case("clip", lambda x: dl.clip(x, -0.5, 1.0), lambda t, x: t.clamp(x, -0.5, 1.0), (BOUNDED,)),
    Case("clip", lambda x: dl.clip(x, max=1.0), lambda t, x: t.clamp(x, max=1.0), (BOUNDED,)),
    Case("clip", lambda x: dl.clip(x, -0.5), lambda t, x: t.clamp(x, -0.5), (BOUNDED,)),
    Case("clip", dl.clip, lambda t, *xs: t.clamp(*xs), (DISTINCT, NONZERO, ABOVE_ONE)),
    Case("round", lambda x: dl.round(x * 10.0), lambda t, x: t.round(x * 10.0), (Domain(0.21, 0.24),)),
    Case("nan_to_num", lambda x: dl.nan_to_num(dl.log(x), 7.0, 8.0, 9.0),
         lambda t, x: t.nan_to_num(t.log(x), 7.0, 8.0, 9.0), (POSITIVE,)),
    Case("logit", dl.logit, lambda t, x: t.special.logit(x), (PROBABILITY,)),
    Case("where", lambda x, y: dl.where(x > y, x * y, y),
         lambda t, x, y: t.where(x > y, x * y, y), PAIR_DISTINCT),
    Case("where", lambda x: dl.where(x > 0, x, 0.5), lambda t, x: t.where(x > 0, x, 0.5), (NONZERO,)),
    Case("where", lambda x: dl.where(x > 0, 2.0, 0.5) * x,
         lambda t, x: t.where(x > 0, 2.0, 0.5) * x, (NONZERO,)),

    *reduced(REAL, "sum"), *reduced(REAL, "mean"), *reduced(REAL, "logsumexp"),
    *reduced(DISTINCT, "max", "amax"), *reduced(DISTINCT, "min", "amin"),
    *reduced(REAL, "any")[:2], *reduced(REAL, "all")[:2],
    *reduced(DISTINCT, "argmax")[:2], *reduced(DISTINCT, "argmin")[:2],
    *reduced(NONZERO, "prod")[:2],
    *along(NONZERO, "cumprod"), *along(REAL, "cumsum"), *along(REAL, "logcumsumexp"),
    Case("zeros_like", lambda x: dl.zeros_like(x, "int32"), lambda t, x: t.zeros_like(x, dtype=t.int32)),
    Case("ones_like", lambda x: dl.ones_like(x, dtype="bool"), lambda t, x: t.ones_like(x, dtype=t.bool)),
    Case("cummax", lambda x: dl.cummax(x, 0), lambda t, x: t.cummax(x, 0).values, (DISTINCT,)),
    Case("count_nonzero", lambda x: dl.count_nonzero(dl.maximum(x, 0), 1),
         lambda t, x: t.count_nonzero(t.relu(x), 1)),
    Case("isin", lambda x: dl.isin(dl.round(x), dl.tensor([0.0, 1.0])),
         lambda t, x: t.isin(t.round(x), t.tensor([0.0, 1.0]))),
    Case("var", lambda x: dl.var(x, 0, correction=1), lambda t, x: t.var(x, 0)),
    Case("var", lambda x: dl.var(x, (0, 1), keepdims=True),
         lambda t, x: t.var(x, (0, 1), correction=0, keepdim=True)),
    Case("std", lambda x: dl.std(x, 1), lambda t, x: t.std(x, 1, correction=0)),
    Case("std", lambda x: dl.std(x, correction=2), lambda t, x: t.std(x, correction=2)),
    Case("diff", lambda x: dl.diff(x, 0, 2), lambda t, x: t.diff(x, 2, 0)),

    Case("sort", lambda x: dl.sort(x, 0, descending=True), lambda t, x: t.sort(x, 0, descending=True).values,
         (DISTINCT,)),
    Case("sort", dl.sort, lambda t, x: t.sort(x).values, (DISTINCT,)),
    Case("argsort", lambda x: dl.argsort(x, 0, descending=True),
         lambda t, x: t.argsort(x, 0, descending=True),
         (DISTINCT,)),
    Case("topk", lambda x: dl.topk(x, 2).values, lambda t, x: t.topk(x, 2).values, (DISTINCT,)),
    Case("topk", lambda x: dl.topk(x, 2, 0).indices, lambda t, x: t.topk(x, 2, 0).indices, (DISTINCT,)),
    *(Case("searchsorted", lambda x, y, s=s: dl.searchsorted(dl.sort(x[0]), y, side=s),
           lambda t, x, y, s=s: t.searchsorted(t.sort(x[0]).values, y, side=s), PAIR_DISTINCT)
      for s in ("left", "right")),

    Case("einsum", lambda x, y: dl.einsum("ij,kj,ij->ik", x, y, x),
         lambda t, x, y: t.einsum("ij,kj,ij->ik", x, y, x), PAIR),
    Case("einsum", lambda x: dl.einsum("ii", x), lambda t, x: t.einsum("ii", x)),
    Case("einsum", lambda x, y: dl.einsum("...j,jk", x, y), lambda t, x, y: t.einsum("...j,jk", x, y), PAIR),
    Case("tensordot", lambda x, y: dl.tensordot(x, y, 1), lambda t, x, y: t.tensordot(x, y, 1), PAIR),
    Case("tensordot", lambda x, y: dl.tensordot(x, y, ([0, 1], [1, 0])),
         lambda t, x, y: t.tensordot(x, y, ([0, 1], [1, 0])), PAIR),
    Case("outer", lambda x, y: dl.outer(x[0], y[1]), lambda t, x, y: t.outer(x[0], y[1]), PAIR),
    Case("matmul", lambda x, y: x @ y[0], lambda t, x, y: x @ y[0], PAIR),
    Case("matmul", lambda x, y: dl.matmul(x[0], y), lambda t, x, y: t.matmul(x[0], y), PAIR, (2, 3, 3)),

    Case("getitem", lambda x: x[[0, 2, 0], [1, 1, 1]], lambda t, x: x[[0, 2, 0], [1, 1, 1]]),
    Case("getitem", lambda x: x[1:, None, 0] * x[..., :-1, 1:2],
         lambda t, x: x[1:, None, 0] * x[..., :-1, 1:2]),
    Case("getitem", lambda x: x[x > 0], lambda t, x: x[x > 0], (NONZERO,)),
    Case("nonzero", lambda x: dl.nonzero(x > 0)[1],
         lambda t, x: t.nonzero(x > 0, as_tuple=True)[1], (NONZERO,)),
    Case("take", lambda x: dl.take(x, [2, 2, 0], 1), lambda t, x: t.index_select(x, 1, t.tensor([2, 2, 0]))),
    Case("take", lambda x: dl.take(x, [8, 2, 0, 2]), lambda t, x: t.take(x, t.tensor([8, 2, 0, 2]))),
    Case("take_along_axis", lambda x: dl.take_along_axis(x, PLACES, 0),
         lambda t, x: t.take_along_dim(x, t.tensor(PLACES), 0)),
    Case("scatter_add", lambda x, y: dl.scatter_add(x, 1, [[0] * 3] * 3, y),
         lambda t, x, y: x.scatter_add(1, t.zeros(3, 3, dtype=int), y), PAIR),
    Case("segment_sum", lambda x: dl.segment_sum(x, [1, 1, 3], 4),
         lambda t, x: t.zeros(4, 3).to(x).index_add(0, t.tensor([1, 1, 3]), x)),
    Case("segment_max", lambda x: dl.segment_max(x, [0, 1, 1], 2),
         lambda t, x: t.stack([x[0], t.amax(x[1:], 0)]), (DISTINCT,)),
    Case("one_hot", lambda x: dl.one_hot(dl.argmax(x, 1), 4, "int64"),
         lambda t, x: t.nn.functional.one_hot(t.argmax(x, 1), 4), (DISTINCT,)),

    Case("concat", lambda x, y: dl.concat([x, y, x], 1), lambda t, x, y: t.cat([x, y, x], 1), PAIR),
    Case("stack", lambda x, y: dl.stack([x, y], -1), lambda t, x, y: t.stack([x, y], -1), PAIR),
    Case("split", lambda x: dl.split(x, [1], 1)[1], lambda t, x: t.tensor_split(x, [1], 1)[1]),
    Case("split", lambda x: dl.split(x, 3)[2], lambda t, x: t.tensor_split(x, 3)[2]),
    Case("unstack", lambda x: dl.unstack(x, 1)[2], lambda t, x: t.unbind(x, 1)[2]),
    Case("pad", lambda x: dl.pad(x, ((1, 0), (0, 2)), constant_values=3),
         lambda t, x: t.nn.functional.pad(x, (0, 2, 1, 0), value=3)),
    *(Case("pad", lambda x, o=o: dl.pad(x, ((0, 0), (0, 0), (1, 2)), mode=o),
           lambda t, x, n=n: t.nn.functional.pad(x, (1, 2), mode=n), shape=(2, 3, 4))
      for o, n in [("reflect", "reflect"), ("edge", "replicate"), ("wrap", "circular")]),
    Case("broadcast_to", lambda x: dl.broadcast_to(x, (2, 3, 3)), lambda t, x: t.broadcast_to(x, (2, 3, 3))),
    Case("expand_dims", lambda x: dl.expand_dims(x, -2), lambda t, x: t.unsqueeze(x, -2)),
    Case("flatten", lambda x: dl.flatten(x, 1), lambda t, x: t.flatten(x, 1), shape=(2, 3, 2)),
    Case("flip", lambda x: dl.flip(x, 1), lambda t, x: t.flip(x, (1,))),
    Case("matrix_transpose", dl.matrix_transpose, lambda t, x: x.mT, shape=(2, 3, 2)),
    *(Case("meshgrid", lambda x, i=i, k=k: dl.meshgrid(x[0], x[1, :2], x[2], indexing=i)[k],
           lambda t, x, i=i, k=k: t.meshgrid(x[0], x[1, :2], x[2], indexing=i)[k])
      for i in ("xy", "ij") for k in range(3)),
    Case("moveaxis", lambda x: dl.moveaxis(x, 0, -1), lambda t, x: t.moveaxis(x, 0, -1), shape=(2, 3, 4)),
    Case("permute_dims", lambda x: dl.permute_dims(x, (1, 2, 0)), lambda t, x: t.permute(x, (1, 2, 0)),
         shape=(2, 3, 4)),
    Case("repeat", lambda x: dl.repeat(x, 2, 0), lambda t, x: t.repeat_interleave(x, 2, 0)),
    Case("reshape", lambda x: dl.reshape(x, (9, -1)), lambda t, x: t.reshape(x, (9, -1))),
    Case("roll", lambda x: dl.roll(x, (1, 2), (0, 1)), lambda t, x: t.roll(x, (1, 2), (0, 1))),
    Case("roll", lambda x: dl.roll(x, 2), lambda t, x: t.roll(x, 2)),
    Case("squeeze", lambda x: dl.squeeze(x, 1), lambda t, x: t.squeeze(x, 1), shape=(3, 1, 1)),
    Case("swapaxes", lambda x: dl.swapaxes(x, 0, 2), lambda t, x: t.swapaxes(x, 0, 2), shape=(2, 3, 4)),
    Case("tile", lambda x: dl.tile(x, (2, 1)), lambda t, x: t.tile(x, (2, 1))),
    Case("tril", lambda x: dl.tril(x, k=-1), lambda t, x: t.tril(x, -1)),
    Case("triu", lambda x: dl.triu(x, k=1), lambda t, x: t.triu(x, 1)),
]

NOT_COMPARED: dict[str, str] = {}  # name of an operation: why PyTorch has no such call
COMPARED_ELSEWHERE = dict.fromkeys(["angle", "conj", "imag", "real"], "test_complex_torch.py")
