"""Layers for images: convolution, pooling and norms, with the names and layouts of PyTorch's.

One class does the work for any number of axes; its subclasses say how many.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from backends.dtypes import float32, promote
from dlcore import random
from dlcore.core import V
from dlcore.creation import ones, zeros
from dlcore.history import is_recording
from dlcore.nn import functional as F
from dlcore.nn.modes import check_mode
from dlcore.nn.modules import Buffer, Module, Parameter
from dlcore.ops.windows import Sizes, per_axis
from dlcore.tensors import Tensor

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d",
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d",
    "ConvTranspose2d", "ConvTranspose3d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d",
    "MaxPool1d", "MaxPool2d", "MaxPool3d",
]

# --- convolution ---------------------------------------------------------------------------------


class _Convolution(Module):
    """Filters and a bias, drawn evenly from ±1 / sqrt(fan_in), as PyTorch does."""

    axes: ClassVar[int]

    def _draw(self, shape: tuple[int, ...], out_channels: int, bias: bool) -> None:
        bound = 1.0 / math.sqrt(max(1, math.prod(shape[1:])))
        self.weight = Parameter(random.uniform(shape, -bound, bound))
        self.bias = Parameter(random.uniform(out_channels, -bound, bound)) if bias else None

    def _window(self, in_channels: int, out_channels: int, kernel_size: Sizes,
                groups: int) -> tuple[int, ...]:
        """The sizes of the window; after a look at the channels."""
        name = type(self).__name__
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(f"{name}: {in_channels} channels in and {out_channels} out cannot be divided "
                             f"into {groups} groups")
        return per_axis(name, "kernel_size", kernel_size, self.axes)


class Conv2d(_Convolution):
    """``functional.conv2d`` with filters of its own; ``Conv1d`` and ``Conv3d`` likewise.

    Args:
        in_channels: of the images that come in.
        out_channels: of those that go out: how many filters there are.
        kernel_size: of a filter; one number, or one for each axis, as the next three.
        stride: how far positions lie apart.
        padding: how many zeros stand around; or ``"same"``, or ``"valid"``.
        dilation: how far elements of a window lie apart.
        groups: into how many parts the channels are divided.
        bias: whether there is one.

    Attributes:
        weight: (out_channels, in_channels / groups, *kernel_size), drawn evenly from ±1 / sqrt(k), k
            being the elements of a filter, as PyTorch does.
        bias: (out_channels,), drawn likewise, or None.

        >>> import dlcore as dl
        >>> Conv2d(3, 8, 5, padding="same")(dl.ones((2, 3, 6, 7))).shape
        (2, 8, 6, 7)
    """

    axes = 2
    function: ClassVar[Callable[..., V]] = F.conv2d

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1,
                 padding: Sizes | str = 0, dilation: Sizes = 1, groups: int = 1, bias: bool = True) -> None:
        window = self._window(in_channels, out_channels, kernel_size, groups)
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self._draw((out_channels, in_channels // groups, *window), out_channels, bias)

    def forward(self, x: V) -> V:
        """See the class."""
        return type(self).function(x, self.weight, self.bias, self.stride, self.padding, self.dilation,
                                   self.groups)


class Conv1d(Conv2d):
    """``Conv2d`` for signals, (n, c, l)."""

    axes, function = 1, F.conv1d


class Conv3d(Conv2d):
    """``Conv2d`` for volumes, (n, c, d, h, w)."""

    axes, function = 3, F.conv3d


class ConvTranspose2d(_Convolution):
    """``functional.conv_transpose2d`` with filters of its own; the others likewise.

    Arguments as :class:`Conv2d` has them, with ``output_padding``: how many more elements are left
    after each axis.

    Attributes:
        weight: (in_channels, out_channels / groups, *kernel_size).
        bias: (out_channels,), or None.
    """

    axes = 2
    function: ClassVar[Callable[..., V]] = F.conv_transpose2d

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1,
                 padding: Sizes = 0, output_padding: Sizes = 0, groups: int = 1, bias: bool = True,
                 dilation: Sizes = 1) -> None:
        window = self._window(in_channels, out_channels, kernel_size, groups)
        self.stride, self.padding, self.output_padding = stride, padding, output_padding
        self.groups, self.dilation = groups, dilation
        self._draw((in_channels, out_channels // groups, *window), out_channels, bias)

    def forward(self, x: V) -> V:
        """See the class."""
        return type(self).function(x, self.weight, self.bias, self.stride, self.padding, self.output_padding,
                                   self.groups, self.dilation)


class ConvTranspose1d(ConvTranspose2d):
    """``ConvTranspose2d`` for signals, (n, c, l)."""

    axes, function = 1, F.conv_transpose1d


class ConvTranspose3d(ConvTranspose2d):
    """``ConvTranspose2d`` for volumes, (n, c, d, h, w)."""

    axes, function = 3, F.conv_transpose3d


# --- pooling -------------------------------------------------------------------------------------


class MaxPool2d(Module):
    """``functional.max_pool2d``; ``MaxPool1d`` and ``MaxPool3d`` likewise."""

    function: ClassVar[Callable[..., V]] = F.max_pool2d

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
                 dilation: Sizes = 1, *, ceil_mode: bool = False) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.ceil_mode = dilation, ceil_mode

    def forward(self, x: V) -> V:
        """See the class."""
        return type(self).function(x, self.kernel_size, self.stride, self.padding, self.dilation,
                                   ceil_mode=self.ceil_mode)


class MaxPool1d(MaxPool2d):
    """``functional.max_pool1d``."""

    function = F.max_pool1d


class MaxPool3d(MaxPool2d):
    """``functional.max_pool3d``."""

    function = F.max_pool3d


class AvgPool2d(Module):
    """``functional.avg_pool2d``; ``AvgPool1d`` and ``AvgPool3d`` likewise."""

    function: ClassVar[Callable[..., V]] = F.avg_pool2d

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, *,
                 ceil_mode: bool = False, count_include_pad: bool = True) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: V) -> V:
        """See the class."""
        return type(self).function(x, self.kernel_size, self.stride, self.padding, ceil_mode=self.ceil_mode,
                                   count_include_pad=self.count_include_pad)


class AvgPool1d(AvgPool2d):
    """``functional.avg_pool1d``."""

    function = F.avg_pool1d


class AvgPool3d(AvgPool2d):
    """``functional.avg_pool3d``."""

    function = F.avg_pool3d


class AdaptiveAvgPool2d(Module):
    """``functional.adaptive_avg_pool2d``; the others likewise."""

    function: ClassVar[Callable[..., V]] = F.adaptive_avg_pool2d

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def forward(self, x: V) -> V:
        """See the class."""
        return type(self).function(x, self.output_size)


class AdaptiveAvgPool1d(AdaptiveAvgPool2d):
    """``functional.adaptive_avg_pool1d``."""

    function = F.adaptive_avg_pool1d


class AdaptiveAvgPool3d(AdaptiveAvgPool2d):
    """``functional.adaptive_avg_pool3d``."""

    function = F.adaptive_avg_pool3d


# --- norms ---------------------------------------------------------------------------------------


class GroupNorm(Module):
    """``functional.group_norm``; with ``affine``, a weight and a bias for each channel."""

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, *, affine: bool = True) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: {num_channels} channels cannot be divided into {num_groups} groups")
        self.num_groups, self.eps = num_groups, eps
        self.weight = Parameter(ones(num_channels)) if affine else None
        self.bias = Parameter(zeros(num_channels)) if affine else None

    def forward(self, x: V) -> V:
        """See the class."""
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class _Norm(Module):
    """A norm with a weight, a bias, and running statistics, each if asked for."""

    axes: ClassVar[tuple[int, ...]]  # how many axes its inputs may have

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, *,
                 affine: bool = True, track_running_stats: bool = True) -> None:
        self.eps, self.momentum = eps, momentum
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine else None
        self.running_mean = Buffer(zeros(num_features)) if track_running_stats else None
        self.running_var = Buffer(ones(num_features)) if track_running_stats else None
        self.num_batches_tracked = Buffer(0) if track_running_stats else None

    def _checked(self, x: V) -> None:
        if len(x.shape) not in self.axes:
            allowed = " or ".join(map(str, self.axes))
            raise ValueError(f"{type(self).__name__}: x must have {allowed} axes, it has shape {x.shape}")


def _share(count: Tensor, like: Tensor) -> Tensor:
    """1 / ``count``, as precise as ``like``; a tensor, because to read the count would mean to wait."""
    return 1.0 / count.astype(promote(like.dtype, float32))


class BatchNorm2d(_Norm):
    """``functional.batch_norm`` over images (n, c, h, w), with running statistics of its own.

    While training, statistics are those of the batch, and the running ones move towards them; in
    evaluation the running ones are used, if there are any.

    Args:
        num_features: the number of channels.
        eps: added to the variance.
        momentum: how far running statistics move at each step; None for the mean over all steps.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics.

    Attributes:
        weight: (num_features,), ones, or None.
        bias: (num_features,), zeros, or None.
        running_mean: (num_features,), a buffer, zeros at first, or None.
        running_var: (num_features,), a buffer, ones at first, or None.
        num_batches_tracked: a buffer, the steps that were made; or None.
    """

    axes: ClassVar[tuple[int, ...]] = (4,)

    def forward(self, x: V) -> V:
        """See the class."""
        self._checked(x)
        if self.training and not is_recording():
            check_mode(self)
        training = self.training or self.running_mean is None
        out = F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training=training,
                           eps=self.eps)
        if self.training and self.running_mean is not None and self.num_batches_tracked is not None:
            count = self.num_batches_tracked = Buffer(self.num_batches_tracked + 1)
            step = _share(count, self.running_mean) if self.momentum is None else self.momentum
            self.running_mean, self.running_var = F.running_statistics(
                x, self.running_mean, self.running_var, step)
        return out


class BatchNorm1d(BatchNorm2d):
    """``BatchNorm2d`` for (n, c) and (n, c, l)."""

    axes = (2, 3)


class BatchNorm3d(BatchNorm2d):
    """``BatchNorm2d`` for (n, c, d, h, w)."""

    axes = (5,)


class InstanceNorm2d(_Norm):
    """``functional.instance_norm`` over images (n, c, h, w); without weight and bias unless ``affine``."""

    axes: ClassVar[tuple[int, ...]] = (4,)

    def __init__(self, num_features: int, eps: float = 1e-5, *, affine: bool = False) -> None:
        super().__init__(num_features, eps, affine=affine, track_running_stats=False)

    def forward(self, x: V) -> V:
        """See the class."""
        self._checked(x)
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


class InstanceNorm1d(InstanceNorm2d):
    """``InstanceNorm2d`` for (n, c, l)."""

    axes = (3,)


class InstanceNorm3d(InstanceNorm2d):
    """``InstanceNorm2d`` for (n, c, d, h, w)."""

    axes = (5,)
