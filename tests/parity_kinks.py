"""Where a derivative does not exist, or is infinite, and PyTorch takes the same one as dlcore.

Where it takes another, docs/subgradients.md says so.  Activations are compared in test_activations.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import dlcore as dl
from dlcore.nn import functional as F

INF = np.inf
TIES, ZEROS = [5.0, 5.0, 0.0, 5.0], [2.0, 0.0, 3.0, 0.0, 1.0]


class Kink(NamedTuple):
    """Two functions, and where to compare them."""

    what: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    args: list[Any]


def at(name: str, *args: Any) -> Kink:
    """A function of one name in both, at ``args``."""
    return Kink(name, getattr(dl, name), lambda t, *xs: getattr(t, name)(*xs), list(args))


def loss(name: str, *args: Any, **options: Any) -> Kink:
    """A loss that takes the same options in both."""
    return Kink(name, lambda *xs: getattr(F, name)(*xs, **options),
                lambda t, *xs: getattr(t.nn.functional, name)(*xs, **options), list(args))


KINKS = [
    at("abs", [-1.0, 0.0, -0.0, 2.0]), at("sign", [0.0, 1.0]),
    at("floor", [1.0]), at("ceil", [1.0]), at("trunc", [0.0, 1.0]), at("round", [0.5, 1.5, 2.5]),
    at("maximum", [1.0, 2.0, 0.0], [1.0, 1.0, 1.0]), at("minimum", [1.0, 2.0, 0.0], [1.0, 1.0, 1.0]),
    at("max", TIES), at("min", [1.0, 2.0, 1.0]),
    Kink("max along an axis", lambda x: dl.max(x, 0), lambda t, x: t.amax(x, 0), [TIES]),
    Kink("min along an axis", lambda x: dl.min(x, 0), lambda t, x: t.amin(x, 0), [[1.0, 2.0, 1.0]]),
    Kink("segment_max", lambda x: dl.segment_max(x, [0, 0, 1], 2),
         lambda t, x: t.zeros(2).to(x).scatter_reduce(
        0, t.tensor([0, 0, 1]), x, "amax", include_self=False), [[5.0, 5.0, 1.0]]),
    Kink("sort", dl.sort, lambda t, x: t.sort(x, stable=True).values, [TIES]),
    Kink("sort downwards", lambda x: dl.sort(x, descending=True),
         lambda t, x: t.sort(x, stable=True, descending=True).values, [TIES]),
    Kink("cummax", lambda x: dl.cummax(x, 0), lambda t, x: t.cummax(x, 0).values, [TIES]),
    at("prod", [2.0, 0.0, 3.0]), Kink("prod of two zeros", dl.prod, lambda t, x: t.prod(x), [ZEROS]),
    Kink("cumprod", lambda x: dl.cumprod(x, 0), lambda t, x: t.cumprod(x, 0), [ZEROS]),
    at("pow", [0.0, 0.0, 2.0, -2.0, -2.0], [2.0, 0.0, 0.0, 3.0, 2.0]),
    *(Kink(f"to the power {n}", lambda x, n=n: x**n, lambda t, x, n=n: x**n, [[0.0, 1.0]])
      for n in (0, 1, 2, 0.5, -1)),
    Kink("powers of 0", lambda y: 0.0**y, lambda t, y: 0.0**y, [[0.0, 1.0, 2.0]]),
    at("xlogy", [0.0, 1.0, 0.0], [1.0, 2.0, 2.0]), at("logaddexp", [1.0, -INF], [1.0, 1.0]),
    at("sinc", [0.0, 1.0]), at("nan_to_num", [np.nan, INF, -INF, 1.0]),
    Kink("std of equal numbers", dl.std, lambda t, x: t.std(x, correction=0), [[2.0, 2.0, 2.0]]),
    Kink("logsumexp of one -inf", dl.logsumexp, lambda t, x: t.logsumexp(x, 0), [[-INF, 1.0]]),
    at("log", [0.0, -1.0]), at("log1p", [-1.0, -2.0]), at("log2", [0.0]), at("log10", [0.0]),
    at("sqrt", [0.0, -1.0]), at("rsqrt", [0.0]), at("reciprocal", [0.0, -0.0]),
    at("asin", [1.0, -1.0, 2.0]), at("acos", [1.0, -1.0, 2.0]), at("acosh", [1.0, 0.5]),
    at("atanh", [1.0, -1.0, 2.0]), at("atan2", [0.0], [0.0]), at("logit", [0.0, 1.0]),
    at("erfinv", [1.0, -1.0, 2.0]), at("lgamma", [0.0, -1.0]), at("divide", [1.0, 0.0], [0.0, 0.0]),
    at("remainder", [2.0, -2.0, 0.0], [1.0, 1.0, 1.0]),
    loss("l1_loss", [0.0, 1.0], [0.0, 2.0]), loss("huber_loss", [0.0, 1.0, 2.0], [0.0, 2.0, 0.0]),
    loss("smooth_l1_loss", [0.0, 1.0, 2.0], [0.0, 2.0, 0.0]),
    loss("smooth_l1_loss", [0.0, 1.0], [0.0, 2.0], beta=0.0), loss("normalize", [[0.0, 0.0]]),
    loss("triplet_margin_loss", [[1.0, 1.0]], [[1.0, 1.0]], [[1.0, 1.0]]),
    Kink("prelu", F.prelu, lambda t, x, w: t.nn.functional.prelu(x, w[:1]), [[0.0, 1.0, -1.0], [0.25]]),
    Kink("cosine_similarity", lambda x, y: F.cosine_similarity(x, y, axis=0),
         lambda t, x, y: t.nn.functional.cosine_similarity(x, y, dim=0), [[0.0, 0.0], [1.0, 2.0]]),
]
