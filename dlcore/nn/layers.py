"""Layers: the modules that have weights, norms over the last axes, and those that only rearrange or drop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar

from dlcore import random
from dlcore.core import V
from dlcore.creation import ones, zeros
from dlcore.history import is_recording
from dlcore.nn import functional as F
from dlcore.nn.modes import check_mode
from dlcore.nn.modules import Module, Parameter
from dlcore.ops.shapes import flatten, reshape
from dlcore.random import Generator
from dlcore.shaping import checked_sizes, normalized_axis

__all__ = [
    "Bilinear", "CosineSimilarity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "Embedding", "Flatten",
    "Identity", "LayerNorm", "Linear", "PixelShuffle", "PixelUnshuffle", "RMSNorm", "Unflatten", "Upsample",
]

# --- with weights --------------------------------------------------------------------------------


class Linear(Module):
    """``x @ weight.T + bias`` for x of shape (..., in_features); the result is (..., out_features).

    Args:
        in_features: the size of the last axis of what comes in.
        out_features: the size of the last axis of what goes out.
        bias: whether there is one.

    Attributes:
        weight: (out_features, in_features), drawn evenly from ±1 / sqrt(in_features), as PyTorch
            does.
        bias: (out_features,), drawn likewise, or None.

        >>> import dlcore as dl
        >>> Linear(3, 2)(dl.ones((4, 3))).shape
        (4, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        if in_features < 0 or out_features < 0:
            raise ValueError(f"Linear: sizes must not be negative, got {in_features} and "
                             f"{out_features}")
        self.in_features, self.out_features = in_features, out_features
        bound = 1.0 / math.sqrt(max(1, in_features))
        self.weight = Parameter(random.uniform((out_features, in_features), -bound, bound))
        self.bias = Parameter(random.uniform(out_features, -bound, bound)) if bias else None

    def forward(self, x: V) -> V:
        """See the class."""
        return F.linear(x, self.weight, self.bias)


class Bilinear(Module):
    """For every output a matrix, and the number x1ᵀ matrix x2; see ``functional.bilinear``.

    Args:
        in1_features: the size of the last axis of x1.
        in2_features: the size of the last axis of x2.
        out_features: the size of the last axis of what goes out.
        bias: whether there is one.

    Attributes:
        weight: (out_features, in1_features, in2_features), drawn evenly from ±1 / sqrt(in1_features), as
            PyTorch does.
        bias: (out_features,), drawn likewise, or None.

        >>> import dlcore as dl
        >>> Bilinear(3, 5, 2)(dl.ones((4, 3)), dl.ones((4, 5))).shape
        (4, 2)
    """

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True) -> None:
        if min(in1_features, in2_features, out_features) < 1:
            raise ValueError(f"Bilinear: sizes must be at least 1, got {in1_features}, {in2_features} and "
                             f"{out_features}")
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        bound = 1.0 / math.sqrt(in1_features)
        self.weight = Parameter(random.uniform((out_features, in1_features, in2_features), -bound, bound))
        self.bias = Parameter(random.uniform(out_features, -bound, bound)) if bias else None

    def forward(self, x1: V, x2: V) -> V:
        """See the class."""
        return F.bilinear(x1, x2, self.weight, self.bias)


class Embedding(Module):
    """A row of numbers for each of the integers from 0 to ``num_embeddings - 1``.

    Args:
        num_embeddings: how many rows.
        embedding_dim: numbers in a row.
        padding_idx: a row of zeros, to which no gradient flows; from the end if negative.

    Attributes:
        weight: (num_embeddings, embedding_dim), drawn from the standard normal distribution.

        >>> import dlcore as dl
        >>> words = Embedding(10, 3, padding_idx=0)
        >>> words(dl.tensor([[4, 7, 0], [4, 0, 0]])).shape, words(dl.tensor(0)).tolist()
        ((2, 3, 3), [0.0, 0.0, 0.0])
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None) -> None:
        if num_embeddings < 0 or embedding_dim < 0:
            raise ValueError(f"Embedding: sizes must not be negative, got {num_embeddings} and "
                             f"{embedding_dim}")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        rows = random.normal((num_embeddings, embedding_dim))
        self.padding_idx = padding_idx
        if padding_idx is not None:
            self.padding_idx = F.checked_row("Embedding", padding_idx, num_embeddings)
            rows = rows.at[self.padding_idx].set(0.0)
        self.weight = Parameter(rows)

    def forward(self, indices: V) -> V:
        """See the class."""
        return F.embedding(indices, self.weight, self.padding_idx)


# --- norms ---------------------------------------------------------------------------------------


class LayerNorm(Module):
    """Mean 0 and variance 1 over the last axes, then a scale and a shift; see ``functional.layer_norm``.

    Args:
        normalized_shape: the sizes of those axes.
        eps: added to the variance.
        elementwise_affine: whether there is a weight.
        bias: whether there is a bias as well.

    Attributes:
        weight: of ``normalized_shape``, ones, or None.
        bias: of ``normalized_shape``, zeros, or None.

        >>> import dlcore as dl
        >>> LayerNorm(2, eps=0.0)(dl.tensor([[1.0, 3.0], [10.0, 30.0]])).tolist()
        [[-1.0, 1.0], [-1.0, 1.0]]
    """

    def __init__(self, normalized_shape: int | Sequence[int], eps: float = 1e-5,
                 elementwise_affine: bool = True, bias: bool = True) -> None:
        self.normalized_shape, self.eps = checked_sizes("LayerNorm", normalized_shape), eps
        self.weight = Parameter(ones(self.normalized_shape)) if elementwise_affine else None
        self.bias = Parameter(zeros(self.normalized_shape)) if elementwise_affine and bias else None

    def forward(self, x: V) -> V:
        """See the class."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(Module):
    """Mean square 1 over the last axes, then a scale; see ``functional.rms_norm``.

    Args:
        normalized_shape: the sizes of those axes.
        eps: added to the mean square; PyTorch's default is the step from 1 to the next number instead.
        elementwise_affine: whether there is a weight.

    Attributes:
        weight: of ``normalized_shape``, ones, or None.
    """

    def __init__(self, normalized_shape: int | Sequence[int], eps: float = 1e-5,
                 elementwise_affine: bool = True) -> None:
        self.normalized_shape, self.eps = checked_sizes("RMSNorm", normalized_shape), eps
        self.weight = Parameter(ones(self.normalized_shape)) if elementwise_affine else None

    def forward(self, x: V) -> V:
        """See the class."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)


# --- without weights -----------------------------------------------------------------------------


class Identity(Module):
    """What comes in."""

    def forward(self, x: V) -> V:
        """See the class."""
        return x


class Flatten(Module):
    """The axes from ``start_axis`` to ``end_axis`` as one; the first, of the batch, stays."""

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        self.start_axis, self.end_axis = start_axis, end_axis

    def forward(self, x: V) -> V:
        """See the class."""
        return flatten(x, self.start_axis, self.end_axis)


class Unflatten(Module):
    """One axis as several.

    Args:
        axis: which one.
        unflattened_size: the sizes of those it becomes; one of them may be -1, which is what is left.

        >>> import dlcore as dl
        >>> Unflatten(1, (3, -1))(dl.ones((2, 12))).shape
        (2, 3, 4)
    """

    def __init__(self, axis: int, unflattened_size: Sequence[int]) -> None:
        self.axis, self.unflattened_size = axis, tuple(unflattened_size)

    def forward(self, x: V) -> V:
        """See the class."""
        axis = normalized_axis(self.axis, len(x.shape))
        return reshape(x, (*x.shape[:axis], *self.unflattened_size, *x.shape[axis + 1:]))


class PixelShuffle(Module):
    """``functional.pixel_shuffle``."""

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = upscale_factor

    def forward(self, x: V) -> V:
        """See the class."""
        return F.pixel_shuffle(x, self.upscale_factor)


class PixelUnshuffle(Module):
    """``functional.pixel_unshuffle``."""

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = downscale_factor

    def forward(self, x: V) -> V:
        """See the class."""
        return F.pixel_unshuffle(x, self.downscale_factor)


class Upsample(Module):
    """``functional.interpolate``, with its arguments."""

    def __init__(self, size: int | Sequence[int] | None = None,
                 scale_factor: float | Sequence[float] | None = None, mode: str = "nearest",
                 align_corners: bool | None = None) -> None:
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x: V) -> V:
        """See the class."""
        return F.interpolate(x, self.size, self.scale_factor, self.mode, self.align_corners)


class CosineSimilarity(Module):
    """``functional.cosine_similarity``."""

    def __init__(self, axis: int = 1, eps: float = 1e-8) -> None:
        self.axis, self.eps = axis, eps

    def forward(self, x1: V, x2: V) -> V:
        """See the class."""
        return F.cosine_similarity(x1, x2, self.axis, self.eps)


class Dropout(Module):
    """While training, zeros with probability ``p`` and the rest divided by ``1 - p``.

    Args:
        p: 0 to 1.
        rng: where the random numbers come from; dlcore's default generator if None.
    """

    function: ClassVar[Callable[..., V]] = F.dropout

    def __init__(self, p: float = 0.5, *, rng: Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p must be a probability from 0 to 1, got {p}")
        self.p, self.rng = p, rng

    def forward(self, x: V) -> V:
        """See the class."""
        if self.training and self.p and not is_recording():
            check_mode(self)
        return type(self).function(x, self.p, training=self.training, rng=self.rng)


class Dropout1d(Dropout):
    """``Dropout`` of whole channels of signals, (n, c, l) or (c, l)."""

    function = F.dropout1d


class Dropout2d(Dropout):
    """``Dropout`` of whole channels of images, (n, c, h, w) or (c, h, w)."""

    function = F.dropout2d


class Dropout3d(Dropout):
    """``Dropout`` of whole channels of volumes, (n, c, d, h, w) or (c, d, h, w)."""

    function = F.dropout3d
