"""Attention with weights of its own, and the encoder of a transformer; state dicts are PyTorch's.

Masks are PyTorch's as well, and these differ between a layer and ``functional``: in a layer a boolean
mask is true where nobody looks, in ``functional.scaled_dot_product_attention`` where a query may look.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import reduce

from dlcore import ops
from dlcore.core import V, dtype_of
from dlcore.creation import empty, zeros
from dlcore.history import is_recording
from dlcore.nn import functional as F
from dlcore.nn import init
from dlcore.nn.layers import Dropout, LayerNorm, Linear
from dlcore.nn.modes import check_mode
from dlcore.nn.modules import Module, Parameter
from dlcore.ops.attention import attention_weights

__all__ = ["MultiheadAttention", "TransformerEncoder", "TransformerEncoderLayer"]

# --- attention -----------------------------------------------------------------------------------


class MultiheadAttention(Module):
    """Attention in ``num_heads`` parts of the features, each with products of its own.

    Args:
        embed_dim: the features of queries and of the result; a multiple of ``num_heads``.
        num_heads: how many parts.
        dropout: the probability with which a weight of attention is dropped in training.
        bias: whether products have one.
        kdim: the features of keys; ``embed_dim`` if None.
        vdim: the features of values; ``embed_dim`` if None.
        batch_first: (n, steps, features) instead of (steps, n, features).

    Attributes:
        in_proj_weight: (3 · embed_dim, embed_dim), for queries, keys and values, one after the other;
            ``q_proj_weight``, ``k_proj_weight`` and ``v_proj_weight`` in its place if ``kdim`` or ``vdim``
            differ.  Drawn by ``init.xavier_uniform_``.
        in_proj_bias: (3 · embed_dim,), zeros, or None.
        out_proj: the Linear layer that mixes the parts.

    Source: Vaswani et al. (2017), "Attention is all you need".

        >>> import dlcore as dl
        >>> x = dl.ones((7, 2, 8))
        >>> out, weights = MultiheadAttention(8, num_heads=4)(x, x, x)
        >>> out.shape, weights.shape
        ((7, 2, 8), (2, 7, 7))
    """

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, *,
                 kdim: int | None = None, vdim: int | None = None, batch_first: bool = False) -> None:
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise ValueError(f"MultiheadAttention: embed_dim {embed_dim} cannot be divided into num_heads "
                             f"{num_heads}")
        if not 0 <= dropout <= 1:
            raise ValueError(f"MultiheadAttention: dropout must be from 0 to 1, got {dropout}")
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.dropout, self.batch_first = dropout, batch_first
        self.kdim, self.vdim = (embed_dim if size is None else size for size in (kdim, vdim))
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = _drawn(3 * embed_dim, embed_dim)
        else:
            self.q_proj_weight = _drawn(embed_dim, embed_dim)
            self.k_proj_weight = _drawn(embed_dim, self.kdim)
            self.v_proj_weight = _drawn(embed_dim, self.vdim)
        self.in_proj_bias = Parameter(zeros(3 * embed_dim)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(self, query: V, key: V, value: V, key_padding_mask: V | None = None,
                need_weights: bool = True, attn_mask: V | None = None, average_attn_weights: bool = True,
                is_causal: bool = False) -> tuple[V, V | None]:
        """The result, of the shape of ``query``, and the weights of attention, or None in their place.

        A query that may look at nothing takes no part of any value.

        Args:
            query: (steps, n, embed_dim), or (n, steps, embed_dim) with ``batch_first``, or without n.
            key: likewise, of other steps and ``kdim`` features.
            value: likewise, of the steps of ``key`` and ``vdim`` features.
            key_padding_mask: (n, keys), true where nobody looks; or floats, added before the softmax.
            need_weights: whether the weights are returned, (n, queries, keys), after dropout.
            attn_mask: (queries, keys) or (n · num_heads, queries, keys); likewise.
            average_attn_weights: their mean over all heads, or (n, num_heads, queries, keys).
            is_causal: whether query i looks at the keys up to i only; no mask needs to say so again.
        """
        if self.training and self.dropout and not is_recording():
            check_mode(self)
        single = len(query.shape) == 2
        query, key, value = self._batches(query, key, value)
        q, k, v = (self._heads(x) for x in self._projected(query, key, value))
        if key_padding_mask is not None and single:
            key_padding_mask = ops.expand_dims(key_padding_mask, 0)
        mask = self._mask(q, k, key_padding_mask, attn_mask, is_causal)
        causal, p = is_causal and mask is None, self.dropout if self.training else 0.0
        if need_weights:
            weights = F.dropout(attention_weights(q, k, mask, is_causal=causal), p)
            out = ops.matmul(weights, v)
            weights = ops.mean(weights, axis=1) if average_attn_weights else weights
        else:
            weights, out = None, F.scaled_dot_product_attention(q, k, v, mask, p, is_causal=causal)
        n, _, steps, _ = out.shape
        out = self.out_proj(ops.reshape(ops.swapaxes(out, 1, 2), (n, steps, self.embed_dim)))
        if single:
            return ops.squeeze(out, 0), None if weights is None else ops.squeeze(weights, 0)
        return out if self.batch_first else ops.swapaxes(out, 0, 1), weights

    def _batches(self, query: V, key: V, value: V) -> tuple[V, V, V]:
        """The three as (n, steps, features); those that are the same stay the same."""
        given, features = (query, key, value), (self.embed_dim, self.kdim, self.vdim)
        axes = len(query.shape)
        if axes in (2, 3) and all(len(x.shape) == axes for x in given):
            q = self._batch(query)
            k = q if key is query else self._batch(key)
            v = q if value is query else k if value is key else self._batch(value)
            if (q.shape[0] == k.shape[0] == v.shape[0] and k.shape[1] == v.shape[1]
                    and (q.shape[2], k.shape[2], v.shape[2]) == features):
                return q, k, v
        order = "(n, steps" if self.batch_first else "(steps, n"
        raise ValueError(f"MultiheadAttention: query, key and value must be {order}, features) or (steps, "
                         f"features), with features {features} and as many values as keys; got "
                         f"{query.shape}, {key.shape} and {value.shape}")

    def _batch(self, x: V) -> V:
        """One of them as (n, steps, features)."""
        if len(x.shape) == 2:
            return ops.expand_dims(x, 0)
        return x if self.batch_first else ops.swapaxes(x, 0, 1)

    def _projected(self, query: V, key: V, value: V) -> tuple[V, V, V]:
        """What the input weights make of the three; with one product where they are the same."""
        packed = self.kdim == self.vdim == self.embed_dim
        if packed and query is key is value:
            q, k, v = ops.split(F.linear(query, self.in_proj_weight, self.in_proj_bias), 3, axis=-1)
            return q, k, v
        weights = (ops.split(self.in_proj_weight, 3) if packed
                   else (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight))
        biases = (None,) * 3 if self.in_proj_bias is None else ops.split(self.in_proj_bias, 3)
        q, k, v = (F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
        return q, k, v

    def _heads(self, x: V) -> V:
        """(n, steps, embed_dim) as (n, num_heads, steps, features of one)."""
        n, steps, features = x.shape
        apart = ops.reshape(x, (n, steps, self.num_heads, features // self.num_heads))
        return ops.swapaxes(apart, 1, 2)

    def _mask(self, q: V, k: V, key_padding_mask: V | None, attn_mask: V | None, is_causal: bool) -> V | None:
        """All masks as one for ``functional``, which broadcasts to (n, num_heads, queries, keys)."""
        (n, heads, queries, _), keys = q.shape, k.shape[2]
        masks = []
        if attn_mask is not None:
            if attn_mask.shape not in ((queries, keys), (n * heads, queries, keys)):
                raise ValueError(f"MultiheadAttention: attn_mask must be {(queries, keys)} or "
                                 f"{(n * heads, queries, keys)}, got {attn_mask.shape}")
            stack = (1, 1) if len(attn_mask.shape) == 2 else (n, heads)
            masks.append(ops.reshape(attn_mask, (*stack, queries, keys)))
        if key_padding_mask is not None:
            if key_padding_mask.shape != (n, keys):
                raise ValueError(f"MultiheadAttention: key_padding_mask must be {(n, keys)}, one for each "
                                 f"key, got {key_padding_mask.shape}")
            masks.append(ops.reshape(key_padding_mask, (n, 1, 1, keys)))
        if masks and is_causal:
            full = ops.broadcast_to(masks[-1], (*masks[-1].shape[:2], queries, keys))
            masks.append(ops.logical_not(ops.tril(ops.ones_like(full, "bool"))))
        return _joined(masks, q) if masks else None


def _drawn(*shape: int) -> V:
    return Parameter(init.xavier_uniform_(empty(shape)))


def _joined(masks: list[V], like: V) -> V:
    """Masks that are each true where nobody looks, or floats to add, as one for ``functional``."""
    if all(dtype_of(m).kind == "bool" for m in masks):
        return ops.logical_not(reduce(ops.logical_or, masks))
    added = [ops.where(m, -math.inf, ops.zeros_like(m, dtype_of(like))) if dtype_of(m).kind == "bool" else m
             for m in masks]
    return reduce(ops.add, added)


# --- the encoder of a transformer ----------------------------------------------------------------

_ACTIVATIONS: dict[str, Callable[[V], V]] = {"relu": F.relu, "gelu": F.gelu}


class TransformerEncoderLayer(Module):
    """Attention of a sequence to itself, then a small network at every step, each added to what came in.

    Args:
        d_model: the features of what comes in and goes out.
        nhead: the heads of attention.
        dim_feedforward: the width of the network.
        dropout: of the weights of attention, and of what is added.
        activation: of the network: ``"relu"``, ``"gelu"`` or a function.
        layer_norm_eps: of both norms.
        batch_first: (n, steps, d_model) instead of (steps, n, d_model).
        norm_first: whether norms come before what is added, or after the sum.
        bias: whether products and norms have one.

    Source: Vaswani et al. (2017), "Attention is all you need"; for ``norm_first`` Xiong et al. (2020), "On
    layer normalization in the transformer architecture".

        >>> import dlcore as dl
        >>> TransformerEncoderLayer(8, 2, dim_feedforward=16)(dl.ones((7, 3, 8))).shape
        (7, 3, 8)
    """

    def __init__(self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
                 activation: str | Callable[[V], V] = "relu", layer_norm_eps: float = 1e-5, *,
                 batch_first: bool = False, norm_first: bool = False, bias: bool = True) -> None:
        if isinstance(activation, str) and activation not in _ACTIVATIONS:
            raise ValueError(f"TransformerEncoderLayer: activation must be 'relu', 'gelu' or a function, got "
                             f"{activation!r}")
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.activation = _ACTIVATIONS[activation] if isinstance(activation, str) else activation

    def forward(self, src: V, src_mask: V | None = None, src_key_padding_mask: V | None = None,
                is_causal: bool = False) -> V:
        """What becomes of the sequences ``src``; masks as :class:`MultiheadAttention` has them."""
        def attended(x: V) -> V:
            out, _ = self.self_attn(x, x, x, src_key_padding_mask, need_weights=False, attn_mask=src_mask,
                                    is_causal=is_causal)
            return self.dropout(out)

        def fed(x: V) -> V:
            return self.dropout(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        if self.norm_first:
            x = src + attended(self.norm1(src))
            return x + fed(self.norm2(x))
        x = self.norm1(src + attended(src))
        return self.norm2(x + fed(x))


class TransformerEncoder(Module):
    """``num_layers`` copies of a layer, one after the other, and then perhaps a norm.

    Args:
        encoder_layer: what is copied; all copies start with its weights, as in PyTorch.
        num_layers: how many.
        norm: applied at the end, or None.

        >>> import dlcore as dl
        >>> layer = TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)
        >>> TransformerEncoder(layer, num_layers=2)(dl.ones((3, 7, 8)), is_causal=True).shape
        (3, 7, 8)
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        if num_layers < 1:
            raise ValueError(f"TransformerEncoder: num_layers must be at least 1, got {num_layers}")
        self.layers = [copy.deepcopy(encoder_layer) for _ in range(num_layers)]
        self.norm = norm

    def forward(self, src: V, mask: V | None = None, src_key_padding_mask: V | None = None,
                is_causal: bool = False) -> V:
        """What becomes of the sequences ``src``; masks as :class:`MultiheadAttention` has them."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, is_causal)
        return src if self.norm is None else self.norm(src)
