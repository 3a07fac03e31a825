"""What convolution, pooling, interpolation, norms and attention say when sizes do not fit."""

import re

import pytest

import dlcore as dl
from dlcore.nn import functional as F

IMAGES, FILTERS = (2, 4, 6, 5), (8, 4, 3, 3)


def ones(*shape):
    return dl.ones(shape)


ERRORS = {
    "channels": (
        lambda: F.conv2d(ones(*IMAGES), ones(8, 3, 3, 3)),
        "conv2d: images have 4 channels, filters expect 3"),
    "channels in groups": (
        lambda: F.conv2d(ones(*IMAGES), ones(8, 4, 3, 3), groups=2),
        "conv2d: images have 4 channels, filters expect 8, 4 for each of 2 groups"),
    "filters in groups": (
        lambda: F.conv2d(ones(*IMAGES), ones(3, 2, 3, 3), groups=2),
        "conv2d: 3 filters are no multiple of 2 groups"),
    "groups": (
        lambda: F.conv2d(ones(*IMAGES), ones(*FILTERS), groups=3),
        "conv2d: 4 channels cannot be divided into 3 groups"),
    "no groups": (
        lambda: F.conv2d(ones(*IMAGES), ones(*FILTERS), groups=0),
        "conv2d: 4 channels cannot be divided into 0 groups"),
    "a large window": (
        lambda: F.conv2d(ones(*IMAGES), ones(*FILTERS), dilation=3),
        ("conv2d: a window of (3, 3) with dilation (3, 3) reaches over 7 elements, more than the "
         "6 of images (6, 5) with padding ((0, 0), (0, 0))")),
    "axes of images": (
        lambda: F.conv2d(ones(6, 5), ones(*FILTERS)),
        "conv2d: x must be (n, c, h, w), or without n; it has shape (6, 5)"),
    "axes of filters": (
        lambda: F.conv1d(ones(2, 4, 6), ones(*FILTERS)),
        ("conv1d: weight must be (out_channels, in_channels / groups, kernel), it has shape (8, "
         "4, 3, 3)")),
    "bias": (
        lambda: F.conv2d(ones(*IMAGES), ones(*FILTERS), ones(4)),
        "conv2d: bias must have shape (8,), it has (4,)"),
    "stride": (
        lambda: F.conv2d(ones(*IMAGES), ones(*FILTERS), stride=0),
        ("conv2d: stride must be a whole number of at least 1, or 2 of them, one for each axis of "
         "an image; got 0")),
    "strides": (
        lambda: F.conv2d(ones(*IMAGES), ones(*FILTERS), stride=(1, 1, 1)),
        "conv2d: stride must be a whole number of at least 1, or 2 of them"),
    "a fraction": (
        lambda: F.conv2d(ones(*IMAGES), ones(*FILTERS), dilation=1.5),
        "conv2d: dilation must be a whole"),
    "padding": (
        lambda: F.conv2d(ones(*IMAGES), ones(*FILTERS), padding=-1),
        "conv2d: padding must be a whole number of at least 0"),
    "a name of padding": (
        lambda: F.conv2d(ones(*IMAGES), ones(*FILTERS), padding="full"),
        "conv2d: unknown padding 'full'; choose 'same', 'valid' or numbers"),
    "same padding with strides": (
        lambda: F.conv2d(ones(*IMAGES), ones(*FILTERS), stride=2, padding="same"),
        "conv2d: padding 'same' needs stride 1, got (2, 2)"),
    "transposed channels": (
        lambda: F.conv_transpose2d(ones(*IMAGES), ones(*FILTERS)),
        "conv_transpose2d: images have 4 channels, filters expect 8"),
    "transposed filters": (
        lambda: F.conv_transpose1d(ones(4, 6), ones(4, 3)),
        "conv_transpose1d: weight must be (in_channels, out_channels / groups, kernel)"),
    "output_padding": (
        lambda: F.conv_transpose2d(ones(*IMAGES), ones(4, 2, 3, 3), output_padding=1),
        ("conv_transpose2d: output_padding (1, 1) must be less than stride (1, 1) or dilation (1, "
         "1)")),
    "all cut off": (
        lambda: F.conv_transpose1d(ones(1, 1), ones(1, 1, 2), padding=1),
        "conv_transpose1d: padding (1,) leaves nothing of images of (2,)"),
    "unfold": (
        lambda: F.unfold(ones(1, 2, 3), 4),
        "unfold: a window of (4, 4) with dilation (1, 1) reaches over 4"),
    "fold": (
        lambda: F.fold(ones(8, 5), (2, 3), 2),
        ("fold: windows (2, 2) lie at 2 positions of images (2, 3), so x must be (n, c * 4, 2), "
         "or without n; it has shape (8, 5)")),
    "fold of large windows": (
        lambda: F.fold(ones(8, 5), 2, 3),
        "fold: a window of (3, 3)"),
    "padding of pools": (
        lambda: F.max_pool2d(ones(*IMAGES), 2, padding=2),
        "max_pool2d: padding (2, 2) must be at most half of kernel_size (2, 2)"),
    "large pools": (
        lambda: F.avg_pool2d(ones(*IMAGES), 7),
        ("avg_pool2d: a window of (7, 7) with dilation (1, 1) is larger than images (6, 5) with "
         "padding (0, 0)")),
    "divisor": (
        lambda: F.avg_pool2d(ones(*IMAGES), 2, divisor_override=0),
        "avg_pool2d: divisor_override must not be 0"),
    "kernel_size": (
        lambda: F.max_pool1d(ones(4, 6), 0),
        "max_pool1d: kernel_size must be a whole number of at least 1"),
    "output_size": (
        lambda: F.adaptive_avg_pool2d(ones(*IMAGES), (1, 2, 3)),
        "adaptive_avg_pool2d: output_size must be a whole number of at least 1, or 2 of them"),
    "nothing to pool": (
        lambda: F.adaptive_max_pool2d(ones(2, 3, 0, 4), 1),
        "adaptive_max_pool2d: images of shape (0, 4) have no elements to pool"),
    "both sizes": (
        lambda: F.interpolate(ones(*IMAGES), 3, 2.0),
        "interpolate: give either size or scale_factor, got 3 and 2.0"),
    "no size": (
        lambda: F.interpolate(ones(*IMAGES)),
        "interpolate: give either size or scale_factor"),
    "scale": (
        lambda: F.interpolate(ones(*IMAGES), scale_factor=-1.0),
        "interpolate: scale_factor must be a positive number, or 2 of them"),
    "too small a scale": (
        lambda: F.interpolate(ones(*IMAGES), scale_factor=0.1),
        "interpolate: the size that scale_factor 0.1 leaves must be a whole number of at least 1"),
    "mode": (
        lambda: F.interpolate(ones(*IMAGES), 3, mode="cubic"),
        "interpolate: unknown mode 'cubic'; choose from area, nearest"),
    "mode of other axes": (
        lambda: F.interpolate(ones(*IMAGES), 3, mode="linear"),
        "interpolate: mode 'linear' is for images of 1 axes, x has shape (2, 4, 6, 5)"),
    "corners": (
        lambda: F.interpolate(ones(*IMAGES), 3, align_corners=True),
        ("interpolate: align_corners is for linear, bilinear, trilinear, bicubic, not for mode "
         "'nearest'")),
    "no image": (
        lambda: F.interpolate(ones(2, 3), 3),
        "interpolate: x must be (n, c) and one to three axes of images, it has shape (2, 3)"),
    "nothing to interpolate": (
        lambda: F.interpolate(ones(2, 3, 0), 3),
        "interpolate: images of shape (0,) have no elements"),
    "pixel_shuffle": (
        lambda: F.pixel_shuffle(ones(6, 2, 2), 2),
        "pixel_shuffle: x must be (..., c * 4, h, w) for upscale_factor 2, it has shape (6, 2, 2)"),
    "pixel_unshuffle": (
        lambda: F.pixel_unshuffle(ones(1, 3, 2), 2),
        "pixel_unshuffle: x must be (..., c, h * 2, w * 2) for downscale_factor 2, it has shape"),
    "norm groups": (
        lambda: F.group_norm(ones(*IMAGES), 3),
        "group_norm: 4 channels of x (2, 4, 6, 5) cannot be divided into 3 groups"),
    "norm weight": (
        lambda: F.group_norm(ones(*IMAGES), 2, ones(2)),
        ("group_norm: weight must have shape (4,), one number a channel of x (2, 4, 6, 5), not "
         "(2,)")),
    "norm axes": (
        lambda: F.batch_norm(ones(3), None, None, training=True),
        "batch_norm: x must have at least 2 axes, samples and channels first; it has shape (3,)"),
    "no statistics": (
        lambda: F.batch_norm(ones(3, 2), None, None),
        "batch_norm: needs running_mean and running_var where those of x are not used"),
    "one element": (
        lambda: F.batch_norm(ones(1, 2), None, None, training=True),
        "batch_norm: x (1, 2) has one element a channel, whose variance would be 0"),
    "one element of an instance": (
        lambda: F.instance_norm(ones(3, 2, 1)),
        "instance_norm: x (3, 2, 1) has one element a channel"),
    "queries and keys": (
        lambda: F.scaled_dot_product_attention(ones(2, 3), ones(2, 4), ones(2, 4)),
        "attention_weights: query (2, 3) must be (..., queries, features) and key (2, 4)"),
    "two masks": (
        lambda: F.scaled_dot_product_attention(*[ones(2, 3)] * 3, ones(2, 2), is_causal=True),
        "attention_weights: give attn_mask or is_causal, not both"),
    "a mask": (
        lambda: F.scaled_dot_product_attention(*[ones(2, 3)] * 3, ones(4, 2, 2)),
        ("attention_weights: attn_mask (4, 2, 2) does not broadcast to the products (2, 2) of "
         "queries and keys")),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), ERRORS.values(), ids=ERRORS)
def test_what_does_not_fit_is_said(call, message, backend):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        call()


def test_a_list_is_no_image():
    with pytest.raises(TypeError, match=r"conv2d: needs a tensor, got list; make one with dl\.tensor"):
        F.conv2d([1.0], dl.ones((1, 1, 1, 1)))
