"""PyTorch computes the same values, gradients and second derivatives over windows, to 1e-9 in float64."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import dlcore as dl
from dlcore.nn import functional as F
from dlcore.testing.strategies import SEEDS
from tests.second_order import assert_equal_to_second_order
from tests.strategies import fewer

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: nothing to compare with", exc_type=ImportError
)
T = torch.nn.functional

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

axes_1_to_3 = pytest.mark.parametrize("axes", [1, 2, 3])


def normal(seed, *shape):
    """Floats of which no two are equal."""
    return np.random.default_rng(seed).standard_normal(shape)


def agree(name, args, seed, **params):
    """Assert that ``F.name`` is PyTorch's."""
    ours, theirs = getattr(F, name), getattr(T, name)
    assert_equal_to_second_order(
        torch, lambda *xs: ours(*xs, **params), lambda *xs: theirs(*xs, **params), args, seed
    )


@st.composite
def several(draw, axes, low, high):
    """One number for all axes or one for each."""
    one = st.integers(low, high)
    return draw(one | st.tuples(*[one] * axes))


def each(value, axes):
    return (value,) * axes if isinstance(value, int) else value


@st.composite
def stacked(draw, channels, sizes):
    """A shape with samples, none of them, or without their axis."""
    n = draw(st.sampled_from([(), (0,), (1,), (2,), (3,)]))
    return (*n, channels, *sizes)


# --- convolution ----------------------------------------------------------------------------------


@axes_1_to_3
@given(data=st.data(), seed=SEEDS)
def test_convolution(axes, data, seed):
    groups = data.draw(st.integers(1, 3))
    ins, outs = (groups * data.draw(st.integers(1, 2)) for _ in "io")
    window = tuple(data.draw(st.integers(1, 3)) for _ in range(axes))
    dilation = data.draw(several(axes, 1, 2))
    stride = data.draw(several(axes, 1, 3))
    padding = data.draw(several(axes, 0, 2) | st.sampled_from(["same", "valid"]))
    if padding == "same":
        stride = 1
    reach = [d * (k - 1) + 1 for k, d in zip(window, each(dilation, axes), strict=True)]
    sizes = [r + data.draw(st.integers(0, 3)) for r in reach]
    args = [normal(seed, *data.draw(stacked(ins, sizes))), normal(seed + 1, outs, ins // groups, *window)]
    args += [normal(seed + 2, outs)] * data.draw(st.integers(0, 1))

    agree(f"conv{axes}d", args, seed, stride=stride, padding=padding, dilation=dilation, groups=groups)


@axes_1_to_3
@given(data=st.data(), seed=SEEDS)
def test_transposed_convolution(axes, data, seed):
    groups = data.draw(st.integers(1, 3))
    ins, outs = (groups * data.draw(st.integers(1, 2)) for _ in "io")
    window, sizes = ([data.draw(st.integers(1, 3)) for _ in range(axes)] for _ in "ks")
    dilation, stride = data.draw(several(axes, 1, 3)), data.draw(several(axes, 1, 3))
    padding, extra = data.draw(several(axes, 0, 2)), data.draw(several(axes, 0, 2))
    settings = zip(*(each(v, axes) for v in (stride, dilation, padding, extra)), window, sizes, strict=True)
    for s, d, p, e, k, n in settings:
        assume(e < max(s, d))
        assume((n - 1) * s - 2 * p + d * (k - 1) + e + 1 >= 1)
    args = [normal(seed, *data.draw(stacked(ins, sizes))), normal(seed + 1, ins, outs // groups, *window)]
    args += [normal(seed + 2, outs)] * data.draw(st.integers(0, 1))

    agree(f"conv_transpose{axes}d", args, seed, stride=stride, padding=padding, output_padding=extra,
          groups=groups, dilation=dilation)


@given(data=st.data(), seed=SEEDS)
def test_unfold_and_fold(data, seed):
    window, padding = data.draw(several(2, 1, 3)), data.draw(several(2, 0, 2))
    how = {"padding": padding, "stride": data.draw(several(2, 1, 3)), "dilation": data.draw(several(2, 1, 2))}
    reach = [d * (k - 1) + 1 for k, d in zip(each(window, 2), each(how["dilation"], 2), strict=True)]
    sizes = tuple(r + data.draw(st.integers(0, 3)) for r in reach)
    x = normal(seed, *data.draw(stacked(2, sizes).filter(lambda shape: shape[0] > 0)))
    columns = F.unfold(dl.tensor(x), window, **how).shape

    agree("unfold", [x], seed, kernel_size=window, **how)
    agree("fold", [normal(seed, *columns)], seed, output_size=sizes, kernel_size=window, **how)


# --- pooling --------------------------------------------------------------------------------------


@st.composite
def pools(draw, axes, dilated):
    """Shapes and settings with which a pool makes sense."""
    window = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    how = {"kernel_size": window, "stride": draw(st.none() | several(axes, 1, 3)),
           "padding": tuple(draw(st.integers(0, k // 2)) for k in window), "ceil_mode": draw(st.booleans())}
    dilation = draw(several(axes, 1, 2)) if dilated else 1
    if dilated:
        how["dilation"] = dilation
    # PyTorch's avg_pool3d refuses images smaller than a window, padded or not.
    sizes = [max(1, d * (k - 1) + 1 - 2 * p if dilated else k) + draw(st.integers(0, 4))
             for k, d, p in zip(window, each(dilation, axes), how["padding"], strict=True)]
    n = draw(st.sampled_from([(), (1,), (2,)]))
    return (*n, draw(st.integers(1, 2)), *sizes), how


@axes_1_to_3
@given(data=st.data(), seed=SEEDS)
def test_max_pooling(axes, data, seed):
    shape, how = data.draw(pools(axes, True))
    x = normal(seed, *shape)
    pooled = getattr(F, f"max_pool{axes}d")(dl.tensor(x), **how)
    assume(np.isfinite(pooled.numpy()).all())  # no window holds padding only

    agree(f"max_pool{axes}d", [x], seed, **how)


@axes_1_to_3
@given(data=st.data(), seed=SEEDS)
def test_average_pooling(axes, data, seed):
    shape, how = data.draw(pools(axes, False))
    how["count_include_pad"] = data.draw(st.booleans())
    if axes > 1:
        how["divisor_override"] = data.draw(st.none() | st.integers(1, 5))

    agree(f"avg_pool{axes}d", [normal(seed, *shape)], seed, **how)


@pytest.mark.parametrize("name", ["adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
                                  "adaptive_max_pool1d", "adaptive_max_pool2d"])
@given(data=st.data(), seed=SEEDS)
def test_adaptive_pooling(name, data, seed):
    axes = int(name[-2])
    sizes = [data.draw(st.integers(1, 7)) for _ in range(axes)]
    wanted = data.draw(several(axes, 1, 7))

    agree(name, [normal(seed, *data.draw(st.sampled_from([(), (2,)])), 2, *sizes)], seed, output_size=wanted)


@given(seed=SEEDS)
def test_pooling_takes_the_first_of_equal_elements(seed):
    x = np.random.default_rng(seed).integers(0, 2, (2, 2, 5, 6)).astype(float)

    agree("max_pool2d", [x], seed, kernel_size=3, stride=2, padding=1)
    agree("adaptive_max_pool2d", [x], seed, output_size=(2, 4))


# --- interpolation --------------------------------------------------------------------------------

MODES = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "area", *MODES])
@given(data=st.data(), seed=SEEDS)
def test_interpolation(mode, data, seed):
    axes = MODES.get(mode) or data.draw(st.integers(1, 3))
    sizes = [data.draw(st.integers(1, 5)) for _ in range(axes)]
    how = {"mode": mode}
    if mode in MODES:
        how["align_corners"] = data.draw(st.sampled_from([None, False, True]))
    if data.draw(st.booleans()):
        how["size"] = data.draw(several(axes, 1, 9))
    else:  # halves are exact in float32, in which PyTorch computes some places
        how["scale_factor"] = data.draw(st.sampled_from([1.0, 1.5, 2.0, 2.5, 4.0]))

    agree("interpolate", [normal(seed, 2, 1, *sizes)], seed, **how)


@given(r=st.integers(1, 3), sizes=st.tuples(st.integers(1, 3), st.integers(1, 3)), seed=SEEDS)
def test_pixels_and_channels(r, sizes, seed):
    h, w = sizes

    agree("pixel_shuffle", [normal(seed, 2, 2 * r * r, h, w)], seed, upscale_factor=r)
    agree("pixel_unshuffle", [normal(seed, 2, h * r, w * r)], seed, downscale_factor=r)


# --- norms and attention --------------------------------------------------------------------------


@given(sizes=st.lists(st.integers(2, 3), max_size=2), seed=SEEDS)
def test_norms(sizes, seed):
    x, mean, scale = normal(seed, 3, 4, *sizes), normal(seed + 1, 4), normal(seed + 2, 2, 4)
    var, affine = np.exp(normal(seed + 3, 4)), {"weight": scale[0], "bias": scale[1]}

    def both(name, ours=dl.tensor, theirs=torch.tensor, **params):
        assert_equal_to_second_order(
            torch,
            lambda x, w, b: getattr(F, name)(x, weight=w, bias=b, **converted(params, ours)),
            lambda x, w, b: getattr(T, name)(x, weight=w, bias=b, **converted(params, theirs)),
            [x, *affine.values()], seed)

    def converted(params, convert):
        return {k: convert(v) if isinstance(v, np.ndarray) else v for k, v in params.items()}

    both("group_norm", num_groups=2, eps=0.1)
    both("batch_norm", running_mean=mean, running_var=var)
    both("batch_norm", running_mean=None, running_var=None, training=True, eps=0.1)
    if sizes:
        both("instance_norm", eps=0.1)
        both("instance_norm", running_mean=mean, running_var=var, use_input_stats=False)


@given(seed=SEEDS, momentum=st.floats(0, 1))
def test_running_statistics(seed, momentum):
    x, mean, var = normal(seed, 3, 2, 4), normal(seed, 2), np.exp(normal(seed, 2))
    expected = torch.tensor(mean), torch.tensor(var)

    found = F.running_statistics(dl.tensor(x), dl.tensor(mean), dl.tensor(var), momentum)
    T.batch_norm(torch.tensor(x), *expected, training=True, momentum=momentum)

    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mask", ["none", "causal", "bool", "float"])
@fewer(2)
@given(stack=st.lists(st.integers(1, 2), max_size=2), seed=SEEDS, scale=st.none() | st.just(0.7))
def test_attention(mask, stack, seed, scale):
    query = normal(seed, *stack, 3, 2)
    key, value = normal(seed + 1, *stack, 4, 2), normal(seed + 2, *stack, 4, 5)
    masks = {"bool": normal(seed + 3, 3, 4) > 0, "float": normal(seed + 3, 3, 4)}
    if mask == "bool":
        masks["bool"][1] = False  # a query that may look at nothing
    given_mask = masks.get(mask)

    def attend(library, attention):
        return lambda q, k, v: attention(
            q, k, v, attn_mask=None if given_mask is None else library.tensor(given_mask),
            is_causal=mask == "causal", scale=scale)

    assert_equal_to_second_order(
        torch, attend(dl, F.scaled_dot_product_attention), attend(torch, T.scaled_dot_product_attention),
        [query, key, value], seed)
