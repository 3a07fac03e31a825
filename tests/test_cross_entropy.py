"""Losses over classes: equal to PyTorch's to second order, stable, and helpful about labels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import dlcore as dl
from dlcore.nn import functional as F
from dlcore.testing.strategies import SEEDS
from tests.second_order import assert_equal_to_second_order
from tests.strategies import fewer

reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
both = pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)


# --- like PyTorch's --------------------------------------------------------------------------------

SHAPES = [((5, 3), (5,)), ((2, 3, 4), (2, 4)), ((2, 3, 2, 2), (2, 2, 2)), ((3,), ())]
OPTIONS = [
    {},
    {"label_smoothing": 0.2},
    {"weight": np.array([0.5, 2.0, 1.0])},
    {"ignore_index": 1},
    {"weight": np.array([0.5, 2.0, 1.0]), "ignore_index": 2, "label_smoothing": 0.1},
]


def converted(options, make):
    return {k: make(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}


@reductions
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(("shape", "rows"), SHAPES)
@fewer(4)
@given(seed=SEEDS)
def test_cross_entropy_of_labels_equals_pytorchs(torch, backend, shape, rows, options, reduction, seed):
    random = np.random.default_rng(seed)
    x, labels = random.standard_normal(shape) * 3, np.asarray(random.integers(0, 3, rows))
    labels.flat[0] = 0  # if all were ignored, the mean would be nan

    ours, theirs = converted(options, dl.tensor), converted(options, torch.tensor)

    assert_equal_to_second_order(
        torch,
        lambda x: F.cross_entropy(x, dl.tensor(labels), reduction=reduction, **ours),
        lambda x: torch.nn.functional.cross_entropy(
            x, torch.tensor(labels), reduction=reduction, **theirs),
        [x],
        seed,
    )


@reductions
@pytest.mark.parametrize("options", [o for o in OPTIONS if "ignore_index" not in o])
@pytest.mark.parametrize("shape", [s for s, _ in SHAPES])
@fewer(4)
@given(seed=SEEDS)
def test_cross_entropy_of_probabilities_equals_pytorchs(torch, backend, shape, options, reduction, seed):
    random = np.random.default_rng(seed)
    args = [random.standard_normal(shape), random.random(shape)]
    ours, theirs = converted(options, dl.tensor), converted(options, torch.tensor)

    assert_equal_to_second_order(
        torch,
        lambda x, p: F.cross_entropy(x, p, reduction=reduction, **ours),
        lambda x, p: torch.nn.functional.cross_entropy(x, p, reduction=reduction, **theirs),
        args,
        seed,
    )


@reductions
@pytest.mark.parametrize("options", [o for o in OPTIONS if "label_smoothing" not in o])
@pytest.mark.parametrize(("shape", "rows"), SHAPES)
def test_nll_loss_equals_pytorchs(torch, backend, shape, rows, options, reduction):
    random = np.random.default_rng(1)
    x, labels = random.standard_normal(shape), np.asarray(random.integers(0, 3, rows))
    labels.flat[0] = 0
    ours, theirs = converted(options, dl.tensor), converted(options, torch.tensor)

    assert_equal_to_second_order(
        torch,
        lambda x: F.nll_loss(x, dl.tensor(labels), reduction=reduction, **ours),
        lambda x: torch.nn.functional.nll_loss(
            x, torch.tensor(labels), reduction=reduction, **theirs),
        [x],
    )


@given(seed=SEEDS, offset=st.sampled_from([0.0, 1e3, -1e5]))
def test_cross_entropy_is_nll_of_log_softmax_however_large_the_scores(backend, seed, offset):
    random = np.random.default_rng(seed)
    x, labels = dl.tensor(random.standard_normal((4, 3)) + offset), dl.tensor([0, 2, 1, 1])

    found = F.cross_entropy(x, labels, reduction="none")

    assert_allclose(found.numpy(), F.nll_loss(F.log_softmax(x), labels, reduction="none").numpy(),
                    rtol=1e-12, atol=1e-12)


@both
def test_a_batch_of_which_every_label_is_ignored_has_no_mean(name, backend):
    x = dl.tensor(np.zeros((2, 3)), requires_grad=True)

    assert math.isnan(getattr(F, name)(x, dl.tensor([-100, -100])).item())
    assert getattr(F, name)(x, dl.tensor([-100, -100]), reduction="sum").item() == 0.0


@pytest.mark.parametrize("kind", ["int32", "uint8", "int64"])
def test_labels_of_any_integer_dtype_serve(kind, backend):
    x = dl.tensor([[1.0, 2.0, 3.0]], requires_grad=True)

    loss = F.cross_entropy(x, dl.tensor([1], dtype=kind))
    loss.backward()

    assert loss.item() == pytest.approx(1.4076059, rel=1e-6)
    assert x.grad.dtype == dl.float32


def test_small_labels_serve_for_more_classes_than_they_can_count(backend):
    x = dl.tensor(np.zeros((1, 300)), requires_grad=True)

    F.cross_entropy(x, dl.tensor([255], dtype="uint8")).backward()

    assert np.argmin(x.grad.numpy()) == 255
    assert_allclose(x.grad.numpy().sum(), 0.0, atol=1e-15)


def test_half_precision_scores_have_half_precision_losses():
    x = dl.tensor([[100.0, -100.0]], dtype="float16", requires_grad=True)

    loss = F.cross_entropy(x, dl.tensor([1]))
    loss.backward()

    assert (loss.dtype, loss.item(), x.grad.dtype) == (dl.float16, 200.0, dl.float16)


def test_a_numpy_array_or_a_list_can_hold_the_labels(backend):
    x = dl.tensor([[0.0, 0.0]])

    for labels in ([1], np.array([1])):
        assert F.cross_entropy(x, labels).item() == pytest.approx(math.log(2))


# --- mistakes --------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(("label", "labels"), [(3, [0, 3]), (-1, [-1, 2]), (7, [[0, 1], [7, 2]])])
def test_a_label_that_is_no_class_is_named_with_the_number_of_classes(name, label, labels):
    shape = (2, 3) if np.ndim(labels) == 1 else (2, 3, 2)

    with pytest.raises(ValueError, match=rf"{name}: label {label} is none of the 3 classes of input"):
        getattr(F, name)(dl.ones(shape), dl.tensor(labels))


@both
def test_an_unknown_reduction_is_named(name, backend):
    with pytest.raises(ValueError, match=f"{name}: reduction must be 'mean', 'sum' or 'none', got 'avg'"):
        getattr(F, name)(dl.ones((2, 2)), dl.tensor([0, 1]), reduction="avg")


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda x: F.cross_entropy(x, dl.ones(2)),
         r"class labels must be integers, got float32; convert them with target.astype\('int64'\)"),
        (TypeError, lambda x: F.cross_entropy(x, dl.tensor([True, False])), "integers, got bool"),
        (ValueError, lambda x: F.cross_entropy(x, dl.tensor([[0], [1]])),
         r"target must have shape \(2,\), one label for each; it has \(2, 1\); write target.reshape"),
        (ValueError, lambda x: F.cross_entropy(x, dl.tensor([0, 1, 2])), r"it has \(3,\)$"),
        (ValueError, lambda x: F.cross_entropy(x, dl.tensor([[0, 0, 1], [1, 0, 0]])),
         "turn one-hot rows into labels with dl.argmax"),
        (ValueError, lambda x: F.cross_entropy(x, dl.tensor([0, 1]), dl.ones(2)),
         r"weight has shape \(2,\), but there are 3 classes"),
        (ValueError, lambda x: F.cross_entropy(x, dl.tensor([0, 1]), label_smoothing=1.5),
         "label_smoothing must lie in 0..1, got 1.5"),
        (ValueError, lambda x: F.cross_entropy(dl.tensor(1.0), dl.tensor(0)), "input is 0-d"),
    ],
)
def test_a_mistake_is_named(error, call, message, backend):
    with pytest.raises(error, match=message):
        call(dl.ones((2, 3)))
