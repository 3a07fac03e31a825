"""Attention: how much of each value every query takes."""

from __future__ import annotations

import math

from dlcore.core import V, dtype_of, operation
from dlcore.dispatch import wants_tensors
from dlcore.ops.activations import softmax
from dlcore.ops.arithmetic import ones_like, where
from dlcore.ops.products import matmul
from dlcore.ops.shapes import matrix_transpose, tril
from dlcore.samples import sample
from dlcore.shaping import broadcast_shapes


@operation([sample("b m d, b k d"), sample("m d, k d", is_causal=True), sample("2 m d, 2 k d, m k"),
            sample("m d, k d, ? m k", scale=0.5)])
@wants_tensors
def attention_weights(query: V, key: V, attn_mask: V | None = None, *, is_causal: bool = False,
                      scale: float | None = None) -> V:
    """Of every query, how much it looks at each key: (..., queries, keys), which sum to 1 over the keys.

    A query that may look at nothing has weights of 0, with gradients of 0.

    Args:
        query: (..., queries, features).
        key: (..., keys, features).
        attn_mask: broadcasts to the result; of booleans, true where a query may look; of floats, added
            before the softmax.
        is_causal: whether query i looks at the keys up to i only.
        scale: factor of the products; 1 over the root of the features if None.

        >>> import dlcore as dl
        >>> attention_weights(dl.zeros((2, 3)), dl.zeros((2, 3)), is_causal=True).tolist()
        [[1.0, 0.0], [0.5, 0.5]]
    """
    name = "attention_weights"
    if len(query.shape) < 2 or len(key.shape) < 2 or query.shape[-1] != key.shape[-1]:
        raise ValueError(f"{name}: query {query.shape} must be (..., queries, features) and key {key.shape} "
                         "(..., keys, features)")
    if attn_mask is not None and is_causal:
        raise ValueError(f"{name}: give attn_mask or is_causal, not both")
    factor = 1.0 / math.sqrt(max(query.shape[-1], 1)) if scale is None else scale
    scores = matmul(query * factor, matrix_transpose(key))
    if is_causal:
        attn_mask = tril(ones_like(scores)) > 0
    if attn_mask is not None:
        if broadcast_shapes(attn_mask.shape, scores.shape) != scores.shape:
            raise ValueError(f"{name}: attn_mask {attn_mask.shape} does not broadcast to the products "
                             f"{scores.shape} of queries and keys")
        masks = dtype_of(attn_mask).kind == "bool"
        scores = where(attn_mask, scores, -math.inf) if masks else scores + attn_mask
    return softmax(scores, -1)
