"""Layers and their functions: equal to PyTorch's, and strict about shapes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import nn
from dlcore.nn import functional as F
from dlcore.testing.strategies import SEEDS
from tests.strategies import fewer


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)


# --- with weights ----------------------------------------------------------------------------------


@fewer(2)
@given(seed=SEEDS, rows=st.sampled_from([(), (4,), (2, 3), (0,)]), bias=st.booleans())
def test_linear_equals_pytorchs_with_all_its_gradients(torch, backend, seed, rows, bias):
    random = np.random.default_rng(seed)
    x, w, b = (random.standard_normal(s) for s in [(*rows, 3), (2, 3), (2,)])
    ours = [dl.tensor(a, requires_grad=True) for a in (x, w, b)[:2 + bias]]
    theirs = [torch.tensor(a, requires_grad=True) for a in (x, w, b)[:2 + bias]]
    g = random.standard_normal((*rows, 2))

    y, z = F.linear(*ours), torch.nn.functional.linear(*theirs)
    y.backward(g)
    z.backward(torch.tensor(g))

    assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-12, atol=1e-14)
    for ours_, theirs_ in zip(ours, theirs, strict=True):
        assert_allclose(ours_.grad.numpy(), theirs_.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_the_gradient_of_a_weight_lies_in_memory_as_the_weight_does():
    layer = nn.Linear(5, 4)

    layer(dl.ones((3, 5))).sum().backward()

    assert layer.weight.grad.data.flags.c_contiguous  # else an optimizer takes four times as long


def test_a_linear_layer_is_drawn_as_pytorch_draws_it(backend):
    dl.random.seed(3)
    layer = nn.Linear(100, 200)
    bound = 1 / math.sqrt(100)

    for x in (layer.weight.numpy(), layer.bias.numpy()):
        assert np.abs(x).max() <= bound
        assert x.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)  # of an even distribution
    dl.random.seed(3)
    assert_array_equal(nn.Linear(100, 200).weight.numpy(), layer.weight.numpy())


def test_one_seed_gives_the_same_weights_on_every_backend(backend):
    dl.random.seed(0)
    here = nn.Linear(3, 4)
    dl.random.seed(0)
    with dl.use_backend("cpu"):
        there = nn.Linear(3, 4)

    assert_array_equal(here.weight.numpy(), there.weight.numpy())


def test_dropout_zeroes_a_share_and_keeps_the_mean_while_training(backend):
    x = dl.ones((200, 50), requires_grad=True)
    layer = nn.Dropout(0.25, rng=dl.random.Generator(1))

    y = layer(x)
    y.sum().backward()

    share = (y.numpy() == 0).mean()
    assert share == pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / 10_000))
    assert set(np.unique(y.numpy())) == {np.float32(0), np.float32(1 / 0.75)}
    assert_array_equal(x.grad.numpy(), y.numpy())


def test_dropout_does_nothing_while_predicting_or_at_probability_zero_and_all_at_one(backend):
    x = dl.ones((3, 3))

    assert nn.Dropout(0.9).eval()(x) is x
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 1.0).tolist() == [[0.0] * 3] * 3


def test_dropout_draws_from_the_default_generator_unless_given_one(backend):
    x = dl.ones((4, 4))
    dl.random.seed(5)
    first = F.dropout(x)
    dl.random.seed(5)

    assert_array_equal(F.dropout(x).numpy(), first.numpy())


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize(("name", "shape"), [("layer_norm", 5), ("layer_norm", (4, 5)), ("rms_norm", (5,))])
def test_normalisation_over_the_last_axes_equals_pytorchs(torch, backend, name, shape, affine):
    random = np.random.default_rng(0)
    sizes = (shape,) if isinstance(shape, int) else shape
    x, *others = (random.standard_normal(s) for s in [(3, 4, 5), sizes, sizes])
    others = others[:(2 if name == "layer_norm" else 1) * affine]
    ours = [dl.tensor(a, requires_grad=True) for a in (x, *others)]
    theirs = [torch.tensor(a, requires_grad=True) for a in (x, *others)]

    y = getattr(F, name)(ours[0], shape, *ours[1:], eps=1e-5)
    z = getattr(torch.nn.functional, name)(theirs[0], sizes, *theirs[1:], eps=1e-5)
    (y * y * y).sum().backward()
    (z * z * z).sum().backward()

    assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-9, atol=1e-12)
    for a, b in zip(ours, theirs, strict=True):
        assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"p": 3.0}, {"axis": 0}])
def test_normalize_and_cosine_similarity_equal_pytorchs(torch, backend, options):
    x, y = np.random.default_rng(0).standard_normal((2, 4, 5))
    named = {{"axis": "dim"}.get(k, k): v for k, v in options.items()}

    found = F.normalize(dl.tensor(x), **options)

    expected = torch.nn.functional.normalize(torch.tensor(x), **named)
    assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)
    if "p" not in options:
        cosine = F.cosine_similarity(dl.tensor(x), dl.tensor(y), **options)
        expected = torch.nn.functional.cosine_similarity(torch.tensor(x), torch.tensor(y), **named)
        assert_allclose(cosine.numpy(), expected.numpy(), rtol=1e-12)


def test_a_vector_of_zeros_is_normalized_to_zeros_with_a_finite_gradient(backend):
    x = dl.zeros((1, 3), requires_grad=True)

    y = F.normalize(x)
    y.sum().backward()

    assert y.tolist() == [[0.0, 0.0, 0.0]]
    assert np.isfinite(x.grad.numpy()).all()


def test_the_gradient_of_an_embedding_adds_up_over_repeated_rows(backend):
    weight = dl.tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)

    rows = F.embedding(dl.tensor([[2, 0], [2, 2]]), weight)
    rows.sum().backward()

    assert rows.tolist() == [[[4.0, 5.0], [0.0, 1.0]], [[4.0, 5.0], [4.0, 5.0]]]
    assert weight.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [3.0, 3.0]]


MODULES = [
    (nn.Identity(), lambda x: x),
    (nn.ReLU(), F.relu),
    (nn.LeakyReLU(0.3), lambda x: F.leaky_relu(x, 0.3)),
    (nn.ELU(0.5), lambda x: F.elu(x, 0.5)),
    (nn.GELU("tanh"), lambda x: F.gelu(x, "tanh")),
    (nn.SiLU(), F.silu),
    (nn.Softplus(2.0), lambda x: F.softplus(x, 2.0)),
    (nn.Sigmoid(), F.sigmoid),
    (nn.Tanh(), dl.tanh),
    (nn.Softmax(0), lambda x: F.softmax(x, 0)),
    (nn.LogSoftmax(), F.log_softmax),
    (nn.Flatten(0), lambda x: dl.reshape(x, (-1,))),
]


@pytest.mark.parametrize(("module", "function"), MODULES)
def test_a_layer_without_weights_is_its_function(module, function, backend):
    x = dl.tensor([[-1.0, 0.5], [2.0, -0.1]])

    assert_array_equal(module(x).numpy(), function(x).numpy())
    assert list(module.parameters()) == []


LOSSES = [
    (nn.MSELoss, F.mse_loss, {}),
    (nn.L1Loss, F.l1_loss, {}),
    (nn.HuberLoss, F.huber_loss, {"delta": 0.5}),
    (nn.BCELoss, F.binary_cross_entropy, {}),
    (nn.BCEWithLogitsLoss, F.binary_cross_entropy_with_logits, {}),
]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("module", "function", "options"), LOSSES)
def test_a_loss_module_is_its_function(module, function, options, reduction, backend):
    x, y = dl.tensor([0.2, 0.9]), dl.tensor([0.0, 1.0])

    found = module(reduction=reduction, **options)(x, y)

    assert_array_equal(found.numpy(), function(x, y, reduction=reduction, **options).numpy())


def test_losses_over_classes_are_modules_too_and_move_their_weights(backend):
    x, labels = dl.tensor([[1.0, 2.0], [0.5, -1.0]]), dl.tensor([1, 0])
    weight = dl.tensor([1.0, 3.0])
    options = {"ignore_index": 0, "reduction": "sum"}

    smooth = nn.CrossEntropyLoss(weight, label_smoothing=0.1, **options)
    plain = nn.NLLLoss(weight, **options)

    expected = F.cross_entropy(x, labels, weight, label_smoothing=0.1, **options)
    assert smooth(x, labels).item() == expected.item()
    assert plain(x, labels).item() == F.nll_loss(x, labels, weight, **options).item()
    assert list(smooth.state_dict()) == ["weight"]
    assert nn.CrossEntropyLoss()(x, labels).item() == F.cross_entropy(x, labels).item()


# --- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: nn.Linear(3, 2)(dl.ones((4, 5))),
         r"linear: x \(4, 5\) must have in its last axis the 3 features that weight \(2, 3\)"),
        (ValueError, lambda: F.linear(dl.ones((4, 5)), dl.ones(5)),
         r"linear: weight must be \(out_features, in_features\), it has shape \(5,\)"),
        (ValueError, lambda: F.linear(dl.tensor(1.0), dl.ones((2, 3))), r"linear: x \(\) must have"),
        (ValueError, lambda: nn.Linear(-1, 2), "Linear: sizes must not be negative, got -1 and 2"),
        (TypeError, lambda: nn.Sequential([nn.ReLU()]), "Sequential: layer 0 is a list, not a module"),
        (ValueError, lambda: nn.Dropout(1.5), "Dropout: p must be a probability from 0 to 1, got 1.5"),
        (ValueError, lambda: F.dropout(dl.ones(2), -0.1), "dropout: p must be a probability"),
        (ValueError, lambda: F.layer_norm(dl.ones((2, 3)), 2),
         r"layer_norm: the last axes of x \(2, 3\) must have normalized_shape \(2,\)"),
        (ValueError, lambda: F.rms_norm(dl.ones((2, 3)), ()), "rms_norm: the last axes of x"),
        (TypeError, lambda: F.embedding(dl.ones(2), dl.ones((3, 4))), "float32 cannot index"),
    ],
)
def test_a_mistake_is_named(error, call, message, backend):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("index", [3, -1])
def test_an_embedding_has_no_row_outside(index):
    with pytest.raises(IndexError, match=f"embedding: index {index} is out of range: there are 3"):
        F.embedding(dl.tensor([0, index]), dl.ones((3, 4)))
