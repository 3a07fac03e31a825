"""Laws of windows, convolution and pooling that need no other library, on every backend."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore.nn import functional as F
from dlcore.ops.convolution import convolve_back_p, convolve_filters_p, convolve_p
from dlcore.ops.windows import add_windows_p, windows_p
from dlcore.testing.strategies import SEEDS
from tests.strategies import fewer

STEPS = st.tuples(st.integers(1, 3), st.integers(1, 3))


def normal(seed, *shape):
    return dl.tensor(np.random.default_rng(seed).standard_normal(shape))


def inner(x, y):
    return (x * y).sum().item()


@given(window=STEPS, stride=STEPS, dilation=STEPS, extra=STEPS, seed=SEEDS)
def test_adding_windows_is_the_adjoint_of_taking_them(backend, window, stride, dilation, extra, seed):
    sizes = tuple(d * (k - 1) + e for d, k, e in zip(dilation, window, extra, strict=True))
    x = normal(seed, 2, *sizes, 3)
    held = windows_p(x, window=window, stride=stride, dilation=dilation)
    y = normal(seed + 1, *held.shape)

    added = add_windows_p(y, sizes=sizes, stride=stride, dilation=dilation)

    assert inner(held, y) == pytest.approx(inner(x, added), rel=1e-9, abs=1e-9)


@given(window=STEPS, stride=STEPS, dilation=STEPS, seed=SEEDS)
def test_windows_hold_what_lies_there(window, stride, dilation, seed):
    x = normal(seed, 1, 8, 9, 2)

    held = windows_p(x, window=window, stride=stride, dilation=dilation).numpy()

    i, j = (k - 1 for k in window)
    row, column = held.shape[3] - 1, held.shape[4] - 1
    there = x.numpy()[:, row * stride[0] + i * dilation[0], column * stride[1] + j * dilation[1]]
    assert_array_equal(held[:, i, j, row, column], there)


@fewer(2)
@given(stride=STEPS, dilation=STEPS, groups=st.integers(1, 2), rows=st.integers(0, 9), seed=SEEDS)
def test_one_number_is_linear_in_images_filters_and_results(backend, stride, dilation, groups, rows, seed):
    how = {"stride": stride, "padding": ((1, 0), (2, 1)), "dilation": dilation, "groups": groups}
    x, w = normal(seed, 3, 4, 6, 5), normal(seed + 1, 2, 4 // groups, 3, 2)
    y = convolve_p(x, w, **how)
    g = normal(seed + 2, *y.shape)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(backend), "columns_at_once", 2**rows)  # laid out a row or many at a time
        again = convolve_p(x, w, **how)
        back = convolve_back_p(g, w, sizes=(6, 5), **how)
        filters = convolve_filters_p(x, g, window=(3, 2), **how)

    assert_allclose(again.numpy(), y.numpy(), rtol=1e-12, atol=1e-12)
    assert inner(x, back) == pytest.approx(inner(y, g), rel=1e-9, abs=1e-9)
    assert inner(w, filters) == pytest.approx(inner(y, g), rel=1e-9, abs=1e-9)


@given(seed=SEEDS)
def test_convolving_a_shifted_image_shifts_the_result(backend, seed):
    x, w = normal(seed, 2, 3, 7, 6), normal(seed + 1, 4, 3, 3, 2)

    shifted = F.conv2d(dl.pad(x, ((0, 0), (0, 0), (1, 0), (2, 0))), w)

    assert_allclose(shifted.numpy()[:, :, 1:, 2:], F.conv2d(x, w).numpy(), rtol=1e-12, atol=1e-12)


@given(seed=SEEDS)
def test_convolution_is_unfold_and_a_product(backend, seed):
    x, w = normal(seed, 2, 3, 6, 5), normal(seed + 1, 4, 3, 3, 2)
    how = {"stride": (2, 1), "padding": 1, "dilation": (1, 2)}

    product = dl.reshape(w, (4, 18)) @ F.unfold(x, (3, 2), **how)

    found = dl.reshape(F.conv2d(x, w, **how), product.shape)
    assert_allclose(found.numpy(), product.numpy(), rtol=1e-12, atol=1e-12)


@given(seed=SEEDS, stride=STEPS)
def test_the_transposed_convolution_is_the_adjoint(backend, seed, stride):
    y, w = normal(seed, 2, 4, 3, 2), normal(seed + 1, 4, 3, 2, 3)

    back = F.conv_transpose2d(y, w, stride=stride)
    x = normal(seed + 2, *back.shape)

    assert inner(F.conv2d(x, w, stride=stride), y) == pytest.approx(inner(x, back), rel=1e-9, abs=1e-9)


def test_every_group_sees_its_own_channels(backend):
    x = dl.tensor([[[1.0, 2.0]], [[3.0, 4.0]]])

    out = F.conv2d(x, dl.tensor([[[[10.0]]], [[[100.0]]]]), groups=2)

    assert out.tolist() == [[[10.0, 20.0]], [[300.0, 400.0]]]


@pytest.mark.parametrize("pool", [F.max_pool2d, F.avg_pool2d])
@given(value=st.floats(-3, 3))
def test_a_constant_is_pooled_to_itself(pool, backend, value):
    x = dl.full((2, 1, 5, 6), value, dtype="float64")

    found = pool(x, 3, 2), F.adaptive_avg_pool2d(x, (3, 4)), F.adaptive_max_pool2d(x, (3, 4))

    for out in found:
        assert_allclose(out.numpy(), np.full(out.shape, value), rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
@pytest.mark.parametrize("size", [1, (2, 9), (7, 7)])
def test_a_constant_is_interpolated_to_itself(mode, size, backend):
    x = dl.full((2, 1, 5, 6), 1.7, dtype="float64")

    out = F.interpolate(x, size, mode=mode)

    assert_allclose(out.numpy(), np.full(out.shape, 1.7), rtol=1e-14)


def test_corners_stay_where_they_are(backend):
    x = normal(0, 1, 1, 3, 4)

    out = F.interpolate(x, (5, 9), mode="bilinear", align_corners=True)

    assert_allclose(out.numpy()[..., ::4, ::8], x.numpy()[..., ::2, ::3], rtol=1e-14)


def test_an_infinite_element_stays_where_it_is(backend):
    x = dl.tensor([[[1.0, 2.0, math.inf, 4.0, 5.0]]])

    assert F.interpolate(x, 10).tolist()[0][0] == [1, 1, 2, 2, math.inf, math.inf, 4, 4, 5, 5]
    assert F.avg_pool1d(x, 2, 1, 1).tolist()[0][0] == [0.5, 1.5, math.inf, math.inf, 4.5, 2.5]
    assert F.max_pool1d(-x, 2, 1, 1).tolist()[0][0] == [-1, -1, -2, -4, -4, -5]


@given(r=st.integers(1, 3), seed=SEEDS)
def test_channels_become_pixels_and_back(backend, r, seed):
    x = normal(seed, 2, 2 * r * r, 2, 3)

    assert_array_equal(F.pixel_unshuffle(F.pixel_shuffle(x, r), r).numpy(), x.numpy())


# --- first of ties, halves, nothing at all --------------------------------------------------------


def test_the_gradient_of_pooling_goes_to_the_first_of_equal_elements(backend):
    x = dl.tensor([[[1.0, 1.0, 0.0], [1.0, 1.0, 2.0]]])

    found = dl.grad(lambda x: F.max_pool2d(x, 2, 1).sum())(x)
    direction = dl.tensor([[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]])
    tangent = dl.jvp(lambda x: F.max_pool2d(x, 2, 1), [x], [direction])[1]

    assert found.tolist() == [[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]]
    assert tangent.tolist() == [[[0.0, 5.0]]]


def test_no_element_of_a_window_with_nan_gets_a_gradient(backend):
    x = dl.tensor([[1.0, math.nan, 2.0, 3.0]])

    found = dl.grad(lambda x: F.max_pool1d(x, 2).sum())(x)

    assert found.tolist() == [[0.0, 0.0, 0.0, 1.0]]


def test_halves_are_summed_in_float32():
    x = dl.full((1, 1, 64, 64), 1.0, dtype="float16")
    ones = dl.ones((1, 1, 64, 64), dtype="float16")

    assert F.conv2d(x, ones).item() == 4096.0  # 2048 + 1 is 2048 in float16
    assert F.avg_pool2d(x, 64, divisor_override=1).item() == 4096.0
    assert F.fold(dl.ones((4096, 1), "float16"), 64, 64).dtype == "float16"
    assert dl.grad(lambda w: F.conv2d(x, w).sum())(dl.ones((1, 1, 1, 1), "float16")).item() == 4096.0
    assert dl.grad(lambda x: F.conv1d(x, dl.ones((1, 1, 4095), "float16"), padding=4094).sum())(
        dl.ones((1, 1, 1), "float16")).item() == 4096.0  # 4095 rounded
    assert F.group_norm(dl.tensor([[-300.0, 300.0]], dtype="float16"), 1).tolist() == [[-1.0, 1.0]]


@pytest.mark.parametrize("f", [
    lambda x: F.conv2d(x, dl.ones((4, 3, 2, 2)), dl.ones(4), stride=2, padding=1),
    lambda x: F.conv_transpose2d(x, dl.ones((3, 4, 2, 2)), stride=2),
    lambda x: F.max_pool2d(x, 3, 2, 1),
    lambda x: F.avg_pool2d(x, 3, 2, 1),
    lambda x: F.adaptive_max_pool2d(x, 3),
    lambda x: F.interpolate(x, (3, 9), mode="bilinear"),
    lambda x: F.unfold(x, 2),
    lambda x: F.pixel_unshuffle(x, 2),
    lambda x: F.group_norm(x, 3),
])  # fmt: skip
def test_no_images_give_no_images_and_zero_gradients(f, backend):
    some, none = dl.zeros((2, 3, 4, 6)), dl.zeros((0, 3, 4, 6), requires_grad=True)

    out = f(none)
    out.backward(dl.ones(out.shape))

    assert out.shape == (0, *f(some).shape[1:])
    assert none.grad.shape == none.shape


def test_without_images_the_gradient_of_filters_is_zero(backend):
    w = dl.ones((4, 3, 2, 2))

    assert not dl.grad(lambda w: F.conv2d(dl.zeros((0, 3, 4, 4)), w).sum())(w).numpy().any()


def test_integers_are_pooled_and_convolved_as_integers():
    x = dl.reshape(dl.arange(6), (1, 2, 3))

    assert F.max_pool2d(-x, 2, 1, 1).tolist() == [[[0, 0, -1, -2], [0, 0, -1, -2], [-3, -3, -4, -5]]]
    assert F.conv2d(x, dl.ones((1, 1, 2, 2), dtype="int64")).tolist() == [[[8, 12]]]


# --- attention ------------------------------------------------------------------------------------


def test_a_query_that_may_look_at_nothing_gets_nothing_and_hands_nothing_back(backend):
    q, k, v = (normal(seed, 2, 3) for seed in range(3))
    mask = dl.tensor([[True, True], [False, False]])

    def attend(*qkv):
        return F.scaled_dot_product_attention(*qkv, mask)

    gradients = dl.grad(lambda *qkv: attend(*qkv).sum(), (0, 1, 2))(q, k, v)

    assert attend(q, k, v).tolist()[1] == [0.0, 0.0, 0.0]
    assert all(np.isfinite(g.numpy()).all() for g in gradients)
    assert gradients[0].tolist()[1] == [0.0, 0.0, 0.0]


def test_weights_of_attention_are_dropped(backend):
    q = v = dl.ones((1, 3))

    assert F.scaled_dot_product_attention(q, q, v, dropout_p=1.0).tolist() == [[0.0, 0.0, 0.0]]
    assert F.scaled_dot_product_attention(q, q, v, dropout_p=0.5).tolist()[0][0] in (0.0, 2.0)


def test_places_in_large_windows_are_counted_too(backend):
    x = dl.reshape(dl.arange(400), (1, 20, 20)).astype("float64")

    found = dl.grad(lambda x: F.max_pool2d(x, 20).sum())(x)

    assert found.numpy().ravel().nonzero()[0].tolist() == [399]
