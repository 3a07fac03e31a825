"""Modules that stand for a function compute what it computes, and what PyTorch's module of the name does."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import nn
from dlcore.nn import activations, losses
from dlcore.nn import functional as F

OPTIONS = {  # of the activations that have some: here, and by PyTorch's names
    "LeakyReLU": [{"negative_slope": 0.2}], "ELU": [{"alpha": 0.5}], "CELU": [{"alpha": 0.5}],
    "GELU": [{"approximate": "tanh"}], "Softplus": [{"beta": 2.0}], "GLU": [{"axis": 0}],
    "Hardtanh": [{"min_val": -0.5, "max_val": 0.25}], "Softmax": [{"axis": 0}, {"axis": 1}],
    "LogSoftmax": [{"axis": 0}, {"axis": 1}], "PReLU": [{"init": 0.1}, {"num_parameters": 4}],
}
OWN = {"HingeLoss", "SquaredLoss"}  # PyTorch has none of this name

ACTIVATIONS = [(name, options) for name in activations.__all__ for options in [{}, *OPTIONS.get(name, [])]]
LOSSES = {
    "MSELoss": ({}, "real"), "L1Loss": ({}, "real"), "SmoothL1Loss": ({"beta": 0.5}, "real"),
    "HuberLoss": ({"delta": 0.5}, "real"), "BCELoss": ({}, "share"), "BCEWithLogitsLoss": ({}, "logit"),
    "KLDivLoss": ({"log_target": True}, "real"), "SquaredLoss": ({}, "real"), "HingeLoss": ({}, "sign"),
    "NLLLoss": ({"ignore_index": 1}, "label"), "CosineEmbeddingLoss": ({"margin": 0.2}, "rows"),
    "CrossEntropyLoss": ({"label_smoothing": 0.1}, "label"), "TripletMarginLoss": ({"swap": True}, "three"),
}


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)


def arguments(kind, seed=0):
    rng = np.random.default_rng(seed)
    x, y, z = rng.uniform(0.1, 0.9, (3, 6, 4))
    return {"real": (x, y), "share": (x, y), "logit": (x - 0.5, y), "sign": (x, np.sign(y - 0.5)),
            "label": (np.log(x), rng.integers(0, 4, 6)), "three": (x, y, z),
            "rows": (x, y, np.where(rng.random(6) < 0.5, 1.0, -1.0))}[kind]


def named(options):
    return {"dim" if k == "axis" else k: v for k, v in options.items()}


@pytest.mark.parametrize(("name", "options"), ACTIVATIONS, ids=str)
def test_an_activation_computes_its_function(name, options, backend):
    layer = getattr(nn, name)(**options)
    x = dl.random.Generator(1).normal((6, 4))
    if name == "PReLU":
        expected = F.prelu(x, layer.weight)
    else:
        expected = getattr(F, type(layer).__doc__.strip("`.").removeprefix("functional."))(x, **options)

    assert_array_equal(layer(x).numpy(), expected.numpy())


@pytest.mark.parametrize(("name", "options"), ACTIVATIONS, ids=str)
def test_an_activation_is_pytorchs(torch, name, options):
    x = np.random.default_rng(2).standard_normal((6, 4))
    given = options or ({"axis": -1} if "Softmax" in name else {})  # PyTorch's default depends on the shape
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**named(given)).double()

    y = theirs(torch.tensor(x)).detach().numpy()

    assert_allclose(ours.to(dl.float64)(dl.tensor(x)).numpy(), y, rtol=1e-9, atol=1e-12)
    assert {n: p.shape for n, p in ours.named_parameters()} == {
        n: tuple(p.shape) for n, p in theirs.named_parameters()}


def test_every_loss_is_looked_at():
    assert set(LOSSES) == set(losses.__all__)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("name", "options", "kind"), [(n, *o) for n, o in LOSSES.items()], ids=str)
def test_a_loss_computes_its_function(name, options, kind, reduction, backend):
    functions = {"BCELoss": "binary_cross_entropy", "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
                 "CosineEmbeddingLoss": "cosine_embedding_loss", "KLDivLoss": "kl_div", "NLLLoss": "nll_loss",
                 "CrossEntropyLoss": "cross_entropy", "TripletMarginLoss": "triplet_margin_loss",
                 "SmoothL1Loss": "smooth_l1_loss", "L1Loss": "l1_loss"}
    function = getattr(F, functions.get(name, f"{name.removesuffix('Loss').lower()}_loss"))
    xs = [dl.tensor(a) for a in arguments(kind)]

    found = getattr(nn, name)(**options, reduction=reduction)(*xs)

    assert_array_equal(found.numpy(), function(*xs, **options, reduction=reduction).numpy())


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")  # PyTorch's, about kl_div
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("name", "options", "kind"), [(n, *o) for n, o in LOSSES.items() if n not in OWN])
def test_a_loss_is_pytorchs(torch, name, options, kind, reduction):
    xs = arguments(kind)

    expected = getattr(torch.nn, name)(**options, reduction=reduction)(*map(torch.tensor, xs)).numpy()

    found = getattr(nn, name)(**options, reduction=reduction)(*map(dl.tensor, xs))
    assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)
