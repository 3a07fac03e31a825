"""What layers compute, as functions: activations, losses, and maps that have weights.

Names, arguments and array layouts are PyTorch's, with ``axis`` where that says ``dim``; usually
imported as ``F``.
"""

from __future__ import annotations

import math

from dlcore import random
from dlcore.core import V, bilinear, operation
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
    sigmoid,
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
from dlcore.ops.transcendental import tanh
from dlcore.ops.windows import fold, unfold
from dlcore.random import Generator
from dlcore.samples import sample
from dlcore.shaping import Shape

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "batch_norm",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "celu", "conv1d", "conv2d",
    "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "cosine_embedding_loss",
    "cosine_similarity", "cross_entropy", "dropout", "elu", "embedding", "fold", "gelu", "glu",
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


linear_p = bilinear(
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


@wants_tensors
def embedding(indices: V, weight: V) -> V:
    """The rows of ``weight`` that ``indices``, integers of any shape, name.

    Raises:
        IndexError: an index is not a row (looked at where that costs no waiting).

        >>> import dlcore as dl
        >>> embedding(dl.tensor([[1, 0]]), dl.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
        [[[3.0, 4.0], [1.0, 2.0]]]
    """
    checked_range("embedding", "index", indices, weight.shape[0])
    return take(weight, indices, 0)


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
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must be a probability from 0 to 1, got {p}")
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0.0
    generator = random.default_generator if rng is None else rng
    return masked(x, generator.bernoulli(1 - p, x.shape, backend=x.backend)) * (1.0 / (1.0 - p))


@operation(samples=[sample("b m e, b k e, b k f"), sample("m e, m e, m f", is_causal=True)])
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
