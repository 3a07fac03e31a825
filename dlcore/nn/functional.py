"""What layers compute, as functions: activations, losses, and maps that have weights.

Names, arguments and array layouts are PyTorch's, with ``axis`` where that says ``dim``; usually
imported as ``F``.
"""

from __future__ import annotations

import math

from dlcore import core, random
from dlcore.core import V, operation
from dlcore.dispatch import wants_tensors
from dlcore.ops.activations import (
    celu,
    elu,
    gelu,
    glu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    masked,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    silu,
    softmax,
    softplus,
    softsign,
    step,
)
from dlcore.ops.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
)
from dlcore.ops.arithmetic import equal, where
from dlcore.ops.attention import attention_weights
from dlcore.ops.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from dlcore.ops.cross_entropy import cross_entropy, nll_loss
from dlcore.ops.indexing import checked_range, take
from dlcore.ops.interpolation import interpolate, pixel_shuffle, pixel_unshuffle
from dlcore.ops.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_embedding_loss,
    hinge_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
    squared_loss,
    triplet_margin_loss,
)
from dlcore.ops.normalization import (
    batch_norm,
    cosine_similarity,
    group_norm,
    instance_norm,
    layer_norm,
    normalize,
    rms_norm,
    running_statistics,
)
from dlcore.ops.pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from dlcore.ops.products import matmul
from dlcore.ops.shapes import expand_dims, matrix_transpose, reshape
from dlcore.ops.transcendental import sigmoid, tanh
from dlcore.ops.windows import fold, unfold
from dlcore.random import Generator
from dlcore.samples import sample
from dlcore.shaping import Shape
from dlcore.transforms import stop_gradient

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "batch_norm",
    "bilinear", "binary_cross_entropy", "binary_cross_entropy_with_logits", "celu", "conv1d", "conv2d",
    "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "cosine_embedding_loss",
    "cosine_similarity", "cross_entropy", "dropout", "dropout1d", "dropout2d", "dropout3d",
    "elu", "embedding", "fold", "gelu", "glu",
    "group_norm", "hardsigmoid", "hardswish", "hardtanh", "hinge_loss", "huber_loss",
    "instance_norm", "interpolate", "kl_div", "l1_loss", "layer_norm", "leaky_relu", "linear",
    "log_softmax", "logsigmoid", "max_pool1d", "max_pool2d", "max_pool3d", "mish", "mse_loss",
    "nll_loss", "normalize", "pixel_shuffle", "pixel_unshuffle", "prelu", "relu", "relu6",
    "rms_norm", "running_statistics", "scaled_dot_product_attention", "selu", "sigmoid", "silu",
    "smooth_l1_loss", "softmax", "softplus", "softsign", "squared_loss", "step", "tanh",
    "triplet_margin_loss", "unfold",
]

# --- maps with weights ---------------------------------------------------------------------------


def _linear_shape(s: Shape, t: Shape) -> Shape:
    if not s or s[-1] != t[1]:
        raise ValueError(f"x {s} must have in its last axis the {t[1]} features that weight {t}, "
                         "(out_features, in_features), takes")
    return (*s[:-1], t[0])


def _weight_cotangent(g: V, x: V, weight: V) -> V:
    """gᵀ x over all rows: in the layout of ``weight``, which no transposed product would have."""
    if len(x.shape) == 1:
        return expand_dims(g, -1) * expand_dims(x, -2)
    if len(x.shape) > 2:
        rows = math.prod(x.shape[:-1])
        g, x = reshape(g, (rows, g.shape[-1])), reshape(x, (rows, x.shape[-1]))
    return matmul(matrix_transpose(g), x)


linear_p = core.bilinear(
    "linear", lambda xp, x, y: xp.matmul(x, y.mT), _linear_shape,
    lambda g, x, weight: matmul(g, weight), _weight_cotangent,
    samples=[sample("n i, o i"), sample("a b i, o i"), sample("i, o i")],
)


@wants_tensors
def linear(x: V, weight: V, bias: V | None = None) -> V:
    """``x @ weight.T + bias``.

    Args:
        x: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,), or None.

        >>> import dlcore as dl
        >>> linear(dl.ones((4, 3)), dl.ones((2, 3)), dl.ones(2)).shape
        (4, 2)
    """
    if len(weight.shape) != 2:
        raise ValueError(f"linear: weight must be (out_features, in_features), it has shape {weight.shape}")
    out = linear_p(x, weight)
    return out if bias is None else out + bias


@operation(samples=[sample("n i, n j, o i j"), sample("a b i, a b j, o i j"), sample("i, j, o i j"),
                    sample("n i, n j, o i j, o")])
@wants_tensors
def bilinear(x1: V, x2: V, weight: V, bias: V | None = None) -> V:
    """For every matrix of ``weight``, the number x1ᵀ matrix x2; then the bias is added.

    Args:
        x1: (..., in1_features).
        x2: (..., in2_features), with the same leading axes.
        weight: (out_features, in1_features, in2_features).
        bias: (out_features,), or None.

        >>> import dlcore as dl
        >>> bilinear(dl.ones((4, 3)), dl.ones((4, 5)), dl.ones((2, 3, 5))).shape
        (4, 2)
    """
    if len(weight.shape) != 3:
        raise ValueError(f"bilinear: weight must be (out_features, in1_features, in2_features), it has shape "
                         f"{weight.shape}")
    if (x1.shape[:-1], x1.shape[-1:], x2.shape[-1:]) != (x2.shape[:-1], weight.shape[1:2], weight.shape[2:]):
        raise ValueError(f"bilinear: x1 {x1.shape} and x2 {x2.shape} must be (..., {weight.shape[1]}) and "
                         f"(..., {weight.shape[2]}), as weight {weight.shape} takes them, with equal axes "
                         "before")
    out_features, in1_features, in2_features = weight.shape
    of_x2 = linear_p(x2, reshape(weight, (out_features * in1_features, in2_features)))
    matrices = reshape(of_x2, (*x2.shape[:-1], out_features, in1_features))
    out = reshape(matmul(matrices, expand_dims(x1, -1)), (*x1.shape[:-1], out_features))
    return out if bias is None else out + bias


@wants_tensors
def embedding(indices: V, weight: V, padding_idx: int | None = None) -> V:
    """The rows of ``weight`` that ``indices``, integers of any shape, name.

    Args:
        indices: integers.
        weight: (rows, features).
        padding_idx: a row to which no gradient flows; from the end if negative.

    Raises:
        IndexError: an index is not a row (looked at where that costs no waiting).

        >>> import dlcore as dl
        >>> embedding(dl.tensor([[1, 0]]), dl.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
        [[[3.0, 4.0], [1.0, 2.0]]]
    """
    checked_range("embedding", "index", indices, weight.shape[0])
    rows = take(weight, indices, 0)
    if padding_idx is None:
        return rows
    padding = checked_row("embedding", padding_idx, weight.shape[0])
    return where(expand_dims(equal(indices, padding), -1), stop_gradient(rows), rows)


def checked_row(name: str, padding_idx: int, rows: int) -> int:
    """``padding_idx`` counted from the start, if there is such a row."""
    if not -rows <= padding_idx < rows:
        raise IndexError(f"{name}: padding_idx {padding_idx} is out of range: there are {rows} rows")
    return padding_idx % rows


# --- dropout and attention -----------------------------------------------------------------------


def _dropped(name: str, x: V, p: float, training: bool, rng: Generator | None, shape: Shape) -> V:
    """``x`` with what is drawn in ``shape``, which broadcasts to that of ``x``, set to 0."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p must be a probability from 0 to 1, got {p}")
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0.0
    generator = random.default_generator if rng is None else rng
    return masked(x, generator.bernoulli(1 - p, shape, backend=x.backend)) * (1.0 / (1.0 - p))


@wants_tensors
def dropout(x: V, p: float = 0.5, *, training: bool = True, rng: Generator | None = None) -> V:
    """``x`` with each element set to 0 with probability ``p``, the others divided by ``1 - p``.

    Args:
        x: of any shape.
        p: 0 to 1.
        training: if false, ``x`` is returned as it is.
        rng: where the random numbers come from; dlcore's default generator if None.

    Source: Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from
    overfitting".
    """
    return _dropped("dropout", x, p, training, rng, x.shape)


def _channels_dropped(name: str, axes: int, x: V, p: float, training: bool, rng: Generator | None) -> V:
    if len(x.shape) not in (axes + 1, axes + 2):
        sizes = ", ".join("dhw"[-axes:] if axes > 1 else "l")
        raise ValueError(f"{name}: x must be (n, c, {sizes}) or (c, {sizes}), it has shape {x.shape}")
    return _dropped(name, x, p, training, rng, (*x.shape[:-axes], *(1,) * axes))


@wants_tensors
def dropout1d(x: V, p: float = 0.5, *, training: bool = True, rng: Generator | None = None) -> V:
    """:func:`dropout` of whole channels of signals, (n, c, l) or (c, l)."""
    return _channels_dropped("dropout1d", 1, x, p, training, rng)


@wants_tensors
def dropout2d(x: V, p: float = 0.5, *, training: bool = True, rng: Generator | None = None) -> V:
    """:func:`dropout` of whole channels of images, (n, c, h, w) or (c, h, w).

    Source: Tompson et al. (2015), "Efficient object localization using convolutional networks".

        >>> import dlcore as dl
        >>> dropped = dropout2d(dl.ones((2, 3, 4, 4)))
        >>> set(dl.mean(dropped, axis=(2, 3)).reshape(-1).tolist()) <= {0.0, 2.0}
        True
    """
    return _channels_dropped("dropout2d", 2, x, p, training, rng)


@wants_tensors
def dropout3d(x: V, p: float = 0.5, *, training: bool = True, rng: Generator | None = None) -> V:
    """:func:`dropout` of whole channels of volumes, (n, c, d, h, w) or (c, d, h, w)."""
    return _channels_dropped("dropout3d", 3, x, p, training, rng)


@operation(samples=[sample("b m e, b k e, b k f"), sample("m e, m e, m f", is_causal=True),
                    sample("m e, k e, k f, m k", scale=0.5), sample("m e, k e, k f", dropout_p=1.0)])
@wants_tensors
def scaled_dot_product_attention(query: V, key: V, value: V, attn_mask: V | None = None,
                                 dropout_p: float = 0.0, *, is_causal: bool = False,
                                 scale: float | None = None) -> V:
    """Means of ``value``, weighed for every query by how well its key fits: (..., queries, features).

    A query that may look at nothing gets 0, with gradients of 0.

    Args:
        query: (..., queries, e).
        key: (..., keys, e).
        value: (..., keys, features).
        attn_mask: broadcasts to (..., queries, keys); of booleans, true where a query may look; of
            floats, added before the softmax.
        dropout_p: the probability with which a weight is dropped; always, so give 0 unless training.
        is_causal: whether query i looks at the keys up to i only.
        scale: factor of the products of queries and keys; 1 / sqrt(e) if None.

    Source: Vaswani et al. (2017), "Attention is all you need".

        >>> import dlcore as dl
        >>> q, v = dl.zeros((2, 3)), dl.tensor([[1.0], [3.0]])
        >>> scaled_dot_product_attention(q, q, v, is_causal=True).tolist()
        [[1.0], [2.0]]
    """
    weights = attention_weights(query, key, attn_mask, is_causal=is_causal, scale=scale)
    return matmul(dropout(weights, dropout_p), value)
