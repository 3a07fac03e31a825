"""As parity.py, for ``dlcore.nn.functional``."""

from __future__ import annotations

from typing import Any

import numpy as np

import dlcore as dl
from dlcore.nn import functional as F
from dlcore.samples import DISTINCT, NONZERO, PROBABILITY, REAL, Domain
from tests.parity import Case

REDUCTIONS = ("mean", "sum", "none")
BENT = Domain(-7.0, 7.0, avoid=(-6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0))
BOTH = (REAL, REAL)
LABELS = np.array([0, 3, 1])
SOME_IGNORED = np.array([0, -100, 1])
SIGNS = np.array([1, -1, 1])


def act(name: str, **options: Any) -> Case:
    """An activation that takes the same options in both."""
    return Case(name, lambda x: getattr(F, name)(x, **options),
                lambda t, x: getattr(t.nn.functional, name)(x, **options), (BENT,))


def of_pairs(name: str, domains: tuple[Domain, ...] = BOTH, count: int = 2, **options: Any) -> list[Case]:
    """A loss of two arrays in every reduction; options that are lists are tensors of doubles."""
    def given(make: Any) -> dict[str, Any]:
        return {k: make(np.array(v)) if isinstance(v, list) else v for k, v in options.items()}

    return [Case(name, lambda *xs, r=r: getattr(F, name)(*xs, reduction=r, **given(dl.tensor)),
                 lambda t, *xs, r=r: getattr(t.nn.functional, name)(*xs, reduction=r, **given(t.tensor)),
                 domains) for r in REDUCTIONS]


def of_labels(name: str, labels: np.ndarray, shape: tuple[int, ...] = (3, 4), **options: Any) -> list[Case]:
    """A loss of scores against labels in every reduction."""
    def given(make: Any) -> dict[str, Any]:
        return {k: make(np.array(v)) if isinstance(v, list) else v for k, v in options.items()}

    return [Case(name, lambda x, r=r: getattr(F, name)(x, dl.tensor(labels), reduction=r, **given(dl.tensor)),
                 lambda t, x, r=r: getattr(t.nn.functional, name)(
                     x, t.tensor(labels), reduction=r, **given(t.tensor)), shape=shape) for r in REDUCTIONS]


def cosine(**options: Any) -> list[Case]:
    """The loss of pairs of rows that belong together or not."""
    return [Case("cosine_embedding_loss",
                 lambda x, y, r=r: F.cosine_embedding_loss(x, y, dl.tensor(SIGNS), reduction=r, **options),
                 lambda t, x, y, r=r: t.nn.functional.cosine_embedding_loss(
                     x, y, t.tensor(SIGNS), reduction=r, **options), BOTH) for r in REDUCTIONS]


WEIGHT = [0.5, 2.0, 1.0, 3.0]
GRID = np.arange(3 * 2 * 2).reshape(3, 2, 2) % 4
UNSURE = (PROBABILITY, PROBABILITY)
APART = (Domain(-2.0, -1.0), Domain(0.0, 1.0), Domain(3.0, 4.0))

CASES = [
    act("relu"), act("leaky_relu"), act("leaky_relu", negative_slope=-0.5), act("elu"), act("elu", alpha=1.5),
    act("selu"), act("celu"), act("celu", alpha=2.0), act("gelu"), act("gelu", approximate="tanh"),
    act("silu"), act("mish"), act("softplus"), act("softplus", beta=2.0), act("softsign"), act("hardtanh"),
    act("hardtanh", min_val=-0.5, max_val=2.0), act("relu6"), act("hardswish"), act("logsigmoid"),
    act("sigmoid"), act("tanh"),
    Case("hardsigmoid", F.hardsigmoid, lambda t, x: t.nn.functional.relu6(x + 3) / 6,  # theirs is once only
         (BENT,)),
    Case("prelu", lambda x, w: F.prelu(x, w[0]), lambda t, x, w: t.nn.functional.prelu(x, w[0]),
         (NONZERO, NONZERO)),
    *(Case(n, lambda x, n=n, i=i: getattr(F, n)(x, axis=i),
           lambda t, x, n=n, i=i: getattr(t.nn.functional, n)(x, dim=i), shape=(2, 4, 2))
      for n in ("softmax", "log_softmax", "glu") for i in (0, 1, -1)),

    Case("linear", F.linear, lambda t, *xs: t.nn.functional.linear(*xs), BOTH),
    Case("linear", lambda x, w, b: F.linear(x, w, b[0]),
         lambda t, x, w, b: t.nn.functional.linear(x, w, b[0]),
         (REAL, REAL, REAL)),
    Case("bilinear", lambda x, y, w: F.bilinear(x, y, dl.stack([w, 2.0 * w])),
         lambda t, x, y, w: t.nn.functional.bilinear(x, y, t.stack([w, 2.0 * w])), (REAL, REAL, REAL)),
    Case("embedding", lambda w: F.embedding(dl.tensor([[1, 0], [1, 1]]), w),
         lambda t, w: t.nn.functional.embedding(t.tensor([[1, 0], [1, 1]]), w)),
    Case("embedding", lambda w: dl.square(F.embedding(dl.tensor([2, 0, 2]), w, -1)),
         lambda t, w: t.square(t.nn.functional.embedding(t.tensor([2, 0, 2]), w, -1))),
    Case("dropout", lambda x: F.dropout(x, 0.5, training=False),
         lambda t, x: t.nn.functional.dropout(x, 0.5, training=False)),
    Case("dropout", lambda x: F.dropout(x, 1.0), lambda t, x: t.nn.functional.dropout(x, 1.0)),
    *(Case(f"dropout{n}d", lambda x, n=n, p=p: getattr(F, f"dropout{n}d")(x, p, training=p == 1.0),
           lambda t, x, n=n, p=p: getattr(t.nn.functional, f"dropout{n}d")(x, p, training=p == 1.0),
           shape=(2, 3, *[2] * n)) for n in (1, 2, 3) for p in (0.5, 1.0)),
    Case("layer_norm", lambda x: F.layer_norm(x, 3), lambda t, x: t.nn.functional.layer_norm(x, (3,))),
    Case("layer_norm", lambda x, w, b: F.layer_norm(x, (3, 3), w, b, eps=0.1),
         lambda t, x, w, b: t.nn.functional.layer_norm(x, (3, 3), w, b, eps=0.1), (REAL, REAL, REAL)),
    Case("rms_norm", lambda x, w: F.rms_norm(x, 3, w[0]),
         lambda t, x, w: t.nn.functional.rms_norm(x, (3,), w[0], eps=1e-5), BOTH),
    *(Case("normalize", lambda x, p=p, i=i: F.normalize(x, p, axis=i),
           lambda t, x, p=p, i=i: t.nn.functional.normalize(x, p, dim=i), (NONZERO,))
      for p, i in [(2.0, 1), (2.0, 0), (3.0, 1), (1.0, 1)]),
    Case("normalize", lambda x: F.normalize(x, eps=100.0),
         lambda t, x: t.nn.functional.normalize(x, eps=100.0)),
    *(Case("cosine_similarity", lambda x, y, i=i: F.cosine_similarity(x, y, axis=i),
           lambda t, x, y, i=i: t.nn.functional.cosine_similarity(x, y, dim=i), BOTH) for i in (0, 1)),

    *of_pairs("mse_loss"), *of_pairs("l1_loss", (DISTINCT, DISTINCT)), *of_pairs("smooth_l1_loss"),
    *of_pairs("smooth_l1_loss", beta=0.3), *of_pairs("smooth_l1_loss", (DISTINCT, DISTINCT), beta=0.0),
    *of_pairs("huber_loss"), *of_pairs("huber_loss", delta=0.4),
    *of_pairs("binary_cross_entropy", UNSURE),
    *of_pairs("binary_cross_entropy", UNSURE, weight=[0.5, 2.0, 1.0]),
    *of_pairs("binary_cross_entropy_with_logits"),
    *of_pairs("binary_cross_entropy_with_logits", pos_weight=[1.0, 3.0, 0.5], weight=[0.5, 2.0, 1.0]),
    *of_pairs("kl_div", UNSURE)[1:], *of_pairs("kl_div", log_target=True)[1:],
    Case("kl_div", lambda x, y: F.kl_div(x, y, reduction="batchmean"),
         lambda t, x, y: t.nn.functional.kl_div(x, y, reduction="batchmean"), UNSURE),
    Case("kl_div", F.kl_div,
         lambda t, x, y: t.nn.functional.kl_div(x, y, reduction="sum") / 9,
         UNSURE),
    *cosine(), *cosine(margin=-0.5),
    *of_pairs("triplet_margin_loss", APART, margin=20.0), *of_pairs("triplet_margin_loss", APART, margin=0.1),
    *of_pairs("triplet_margin_loss", APART, margin=20.0, p=3.0, swap=True, eps=1e-3),

    *of_labels("cross_entropy", LABELS), *of_labels("cross_entropy", LABELS, label_smoothing=0.2),
    *of_labels("cross_entropy", LABELS, weight=WEIGHT, ignore_index=3, label_smoothing=0.1),
    *of_labels("cross_entropy", SOME_IGNORED), *of_labels("cross_entropy", SOME_IGNORED, weight=WEIGHT),
    *of_labels("cross_entropy", np.array([0, -1, 1]), ignore_index=-1, label_smoothing=0.3),
    *of_labels("cross_entropy", GRID, (3, 4, 2, 2)), *of_labels("cross_entropy", np.array(2), (4,)),
    *of_labels("cross_entropy", GRID, (3, 4, 2, 2), weight=WEIGHT, ignore_index=1, label_smoothing=0.1),
    *of_pairs("cross_entropy", (REAL, PROBABILITY)),
    *of_pairs("cross_entropy", (REAL, PROBABILITY), weight=[0.5, 2.0, 1.0], label_smoothing=0.2),
    *of_labels("nll_loss", LABELS), *of_labels("nll_loss", SOME_IGNORED, weight=WEIGHT),
    *of_labels("nll_loss", GRID, (3, 4, 2, 2), ignore_index=2), *of_labels("nll_loss", np.array(2), (4,)),
]

NOT_COMPARED = {
    "hinge_loss": "PyTorch's hinge_embedding_loss is another function, and it has no other",
    "squared_loss": "half of mse_loss, which is compared; PyTorch has no name for it",
    "step": "PyTorch's heaviside has no derivative",
}
COMPARED_ELSEWHERE = dict.fromkeys([
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "batch_norm", "conv1d", "conv2d",
    "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "fold", "group_norm",
    "instance_norm", "interpolate", "max_pool1d", "max_pool2d", "max_pool3d", "pixel_shuffle",
    "pixel_unshuffle", "running_statistics", "scaled_dot_product_attention", "unfold",
], "test_torch_windows.py")
