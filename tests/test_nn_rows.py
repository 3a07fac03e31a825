"""Layers over the last axes, embeddings, and layers that rearrange or drop: PyTorch's, with its state."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import nn
from dlcore.nn import functional as F
from dlcore.testing import check_grads
from dlcore.testing.strategies import SEEDS
from tests.strategies import fewer

LAYERS = [  # the layer, its arguments, and the shapes of what goes in
    ("Bilinear", (3, 4, 2), {}, [(5, 3), (5, 4)]),
    ("Bilinear", (3, 4, 2), {"bias": False}, [(2, 5, 3), (2, 5, 4)]),
    ("LayerNorm", (4,), {}, [(3, 4)]),
    ("LayerNorm", ((2, 4),), {"eps": 0.1}, [(3, 2, 4)]),
    ("LayerNorm", (4,), {"bias": False}, [(4,)]),
    ("LayerNorm", (4,), {"elementwise_affine": False}, [(3, 4)]),
    ("RMSNorm", (4,), {"eps": 1e-5}, [(3, 4)]),
    ("RMSNorm", ((2, 4),), {"eps": 0.1, "elementwise_affine": False}, [(3, 2, 4)]),
    ("Unflatten", (1, (2, -1)), {}, [(3, 6, 2)]),
    ("Unflatten", (-1, (3, 2)), {}, [(3, 6)]),
    ("PixelShuffle", (2,), {}, [(2, 8, 2, 3)]),
    ("PixelUnshuffle", (2,), {}, [(2, 2, 4, 6)]),
    ("Upsample", (), {"scale_factor": 2.0, "mode": "bilinear"}, [(1, 2, 3, 4)]),
    ("Upsample", (5,), {}, [(1, 2, 3)]),
    ("CosineSimilarity", (), {}, [(3, 4), (3, 4)]),
    ("CosineSimilarity", (0, 0.1), {}, [(3, 4), (3, 4)]),
]


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)


def drawn_anew(layer, rng):
    """``layer`` in float64 with other weights: those that are all ones or zeros hide mistakes."""
    layer.to(dl.float64)
    for p in layer.parameters():
        p.data = dl.tensor(rng.standard_normal(p.shape)).data
    return layer


@pytest.mark.parametrize(("name", "args", "options", "shapes"), LAYERS)
def test_a_layer_is_pytorchs_with_its_state_and_gradients(torch, backend, name, args, options, shapes):
    rng = np.random.default_rng(0)
    ours = drawn_anew(getattr(nn, name)(*args, **options), rng)
    theirs = getattr(torch.nn, name)(*args, **options).double()
    names = {n: tuple(x.shape) for n, x in theirs.state_dict().items()}
    theirs.load_state_dict({n: torch.tensor(x.numpy()) for n, x in ours.state_dict().items()})
    xs = [rng.standard_normal(s) for s in shapes]
    ours_in, theirs_in = ([make(x, requires_grad=True) for x in xs] for make in (dl.tensor, torch.tensor))

    y, z = ours(*ours_in), theirs(*theirs_in)
    g = rng.standard_normal(y.shape)
    y.backward(dl.tensor(g))
    z.backward(torch.tensor(g))

    assert {n: x.shape for n, x in ours.state_dict().items()} == names
    assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-10, atol=1e-12)
    for a, b in zip([*ours_in, *ours.parameters()], [*theirs_in, *theirs.parameters()], strict=True):
        assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("layer", [nn.LayerNorm(3), nn.LayerNorm((2, 3), bias=False), nn.RMSNorm(3)], ids=str)
def test_derivatives_of_a_norm_are_right_to_second_order(layer, backend):
    rng = np.random.default_rng(1)
    sizes, count = layer.normalized_shape, len(list(layer.parameters()))

    def run(x, *weights):
        return getattr(F, "rms_norm" if type(layer) is nn.RMSNorm else "layer_norm")(x, sizes, *weights)

    check_grads(run, *(dl.tensor(rng.standard_normal(s)) for s in [(2, 2, 3), *[sizes] * count]))


# --- embeddings ------------------------------------------------------------------------------------


@fewer(2)
@given(seed=SEEDS, shape=st.sampled_from([(), (4,), (2, 3), (0,)]),
       padding=st.sampled_from([None, 0, 4, -1, -5]))
def test_an_embedding_is_pytorchs_with_its_gradient(torch, backend, seed, shape, padding):
    rng = np.random.default_rng(seed)
    ours = nn.Embedding(5, 3, padding).to(dl.float64)
    theirs = torch.nn.Embedding(5, 3, padding).double()
    kept = {n: x.numpy() for n, x in theirs.state_dict().items()}
    kept["weight"] = kept["weight"] + 1.0  # a row of padding that is not zero is taken as it is
    ours.load_state_dict(kept)
    theirs.load_state_dict({n: torch.tensor(x) for n, x in kept.items()})
    indices, g = rng.integers(0, 5, shape), rng.standard_normal((*shape, 3))

    y, z = ours(dl.tensor(indices)), theirs(torch.tensor(indices))
    y.backward(dl.tensor(g))
    z.backward(torch.tensor(g))

    assert_array_equal(y.numpy(), z.detach().numpy())
    assert_allclose(ours.weight.grad.numpy(), theirs.weight.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_an_embedding_is_drawn_normally_with_a_row_of_zeros_for_padding(backend):
    dl.random.seed(0)
    weight = nn.Embedding(200, 50, padding_idx=-1).weight.numpy()

    assert_array_equal(weight[-1], 0.0)
    assert abs(weight[:-1].mean()) < 5 / np.sqrt(199 * 50)  # five standard deviations of a mean
    assert weight[:-1].std() == pytest.approx(1.0, abs=5 / np.sqrt(2 * 199 * 50))  # and of a deviation


def test_training_leaves_the_row_of_padding_as_it_is(backend):
    layer = nn.Embedding(3, 2, padding_idx=1)
    optimizer = dl.optim.SGD(layer.parameters(), lr=0.1)

    layer(dl.tensor([0, 1, 1, 2])).sum().backward()
    optimizer.step()

    assert layer.weight.numpy()[1].tolist() == [0.0, 0.0]
    assert layer.weight.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]


# --- dropout of channels ---------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("stack", [(), (40,)])
def test_whole_channels_are_dropped_and_the_rest_scaled(axes, stack, backend):
    layer = getattr(nn, f"Dropout{axes}d")(0.25, rng=dl.random.Generator(2))
    x = dl.ones((*stack, 30, *[2] * axes), requires_grad=True)

    y = layer(x)
    y.sum().backward()

    channels = y.numpy().reshape(-1, 2**axes)
    assert (channels == channels[:, :1]).all()
    assert set(np.unique(channels)) == {np.float32(0), np.float32(1 / 0.75)}
    share, n = (channels[:, 0] == 0).mean(), len(channels)
    assert share == pytest.approx(0.25, abs=5 * np.sqrt(0.25 * 0.75 / n))  # five standard deviations
    assert_array_equal(x.grad.numpy(), y.numpy())
    assert layer.eval()(x) is x


# --- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: nn.Bilinear(3, 0, 2), "Bilinear: sizes must be at least 1, got 3, 0 and 2"),
        (ValueError, lambda: nn.Bilinear(3, 4, 2)(dl.ones((5, 3)), dl.ones((5, 3))),
         r"bilinear: x1 \(5, 3\) and x2 \(5, 3\) must be \(\.\.\., 3\) and \(\.\.\., 4\), as weight"),
        (ValueError, lambda: nn.Bilinear(3, 4, 2)(dl.ones((5, 3)), dl.ones((6, 4))),
         "with equal axes before"),
        (ValueError, lambda: F.bilinear(dl.ones(2), dl.ones(2), dl.ones((2, 2))),
         r"bilinear: weight must be \(out_features, in1_features, in2_features\), it has shape \(2, 2\)"),
        (ValueError, lambda: nn.Embedding(-1, 2), "Embedding: sizes must not be negative, got -1 and 2"),
        (IndexError, lambda: nn.Embedding(3, 2, 3),
         "Embedding: padding_idx 3 is out of range: there are 3 rows"),
        (IndexError, lambda: F.embedding(dl.tensor([0]), dl.ones((3, 2)), -4),
         "embedding: padding_idx -4 is out of range: there are 3 rows"),
        (ValueError, lambda: nn.LayerNorm((2, -1)), r"LayerNorm: a shape holds .*, got \(2, -1\)"),
        (ValueError, lambda: nn.LayerNorm(3)(dl.ones((3, 2))),
         r"layer_norm: the last axes of x \(3, 2\) must have normalized_shape \(3,\)"),
        (ValueError, lambda: nn.RMSNorm("x"), "RMSNorm: a shape holds whole numbers"),
        (ValueError, lambda: nn.Dropout2d(2.0), "Dropout2d: p must be a probability from 0 to 1, got 2.0"),
        (ValueError, lambda: nn.Dropout2d()(dl.ones((2, 3))),
         r"dropout2d: x must be \(n, c, h, w\) or \(c, h, w\), it has shape \(2, 3\)"),
        (ValueError, lambda: nn.Dropout1d()(dl.ones(3)), r"dropout1d: x must be \(n, c, l\) or \(c, l\)"),
        (ValueError, lambda: F.dropout3d(dl.ones((1,) * 5), 1.5), "dropout3d: p must be a probability"),
        (ValueError, lambda: nn.Unflatten(1, (5, -1))(dl.ones((2, 12))), r"reshape: .*\(2, 12\)"),
    ],
)
def test_a_mistake_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
