"""Losses: equal to PyTorch's to second order, strict about shapes, helpful about labels."""

import numpy as np
import pytest
from hypothesis import given

import dlcore as dl
from dlcore.nn import functional as F
from dlcore.testing.strategies import SEEDS
from tests.second_order import assert_equal_to_second_order
from tests.strategies import fewer

KL_DIV = "ignore:reduction. 'mean' divides the total loss:UserWarning"  # PyTorch's own
reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
PAIRS = [
    ("mse_loss", {}),
    ("l1_loss", {}),
    ("smooth_l1_loss", {}),
    ("smooth_l1_loss", {"beta": 0.3}),
    ("smooth_l1_loss", {"beta": 0.0}),
    ("huber_loss", {}),
    ("huber_loss", {"delta": 0.4}),
    ("binary_cross_entropy", {}),
    ("binary_cross_entropy_with_logits", {}),
    ("binary_cross_entropy_with_logits", {"pos_weight": np.array([1.0, 3.0, 0.5])}),
    ("kl_div", {}),
    ("kl_div", {"log_target": True}),
]


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)


# --- two tensors of one shape ----------------------------------------------------------------------


@pytest.mark.filterwarnings(KL_DIV)
@reductions
@pytest.mark.parametrize(("name", "options"), PAIRS)
@fewer(4)
@given(seed=SEEDS)
def test_value_and_both_derivatives_equal_pytorchs(name, options, reduction, torch, backend, seed):
    random = np.random.default_rng(seed)
    draw = random.standard_normal if "log" in name or "log_target" in options else random.random
    x, y = (draw((4, 3)) * 0.9 + 0.05 for _ in range(2))
    y = np.clip(y, 0.05, None) if name == "kl_div" and not options else y

    ours = {k: dl.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    theirs = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}

    assert_equal_to_second_order(
        torch,
        lambda x, y: getattr(F, name)(x, y, reduction=reduction, **ours),
        lambda x, y: getattr(torch.nn.functional, name)(x, y, reduction=reduction, **theirs),
        [x, y] if name != "kl_div" or options else [np.log(x), y],
        seed,
    )


@pytest.mark.filterwarnings(KL_DIV)
def test_the_batch_mean_of_kl_div_is_the_divergence(torch, backend):
    p, q = np.array([[0.5, 0.5], [0.1, 0.9]]), np.array([[0.25, 0.75], [1.0, 0.0]])

    found = F.kl_div(dl.tensor(np.log(p)), dl.tensor(q), reduction="batchmean")

    expected = torch.nn.functional.kl_div(
        torch.tensor(np.log(p)), torch.tensor(q), reduction="batchmean")
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
def test_a_weight_multiplies_each_loss(name, torch, backend):
    x, y, w = np.array([0.2, 0.9]), np.array([0.0, 1.0]), np.array([2.0, 5.0])

    found = getattr(F, name)(*map(dl.tensor, (x, y, w)))

    expected = getattr(torch.nn.functional, name)(*map(torch.tensor, (x, y, w)))
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


def test_certain_and_wrong_costs_a_hundred_and_has_a_finite_gradient(backend):
    p = dl.tensor([0.0, 1.0, 0.0, 1.0], dtype="float64", requires_grad=True)

    losses = F.binary_cross_entropy(p, dl.tensor([1.0, 0.0, 0.0, 1.0]), reduction="none")
    losses.sum().backward()

    assert losses.tolist() == [100.0, 100.0, 0.0, 0.0]
    assert np.isfinite(p.grad.numpy()).all()


def test_scores_of_any_size_have_a_finite_loss(backend):
    x = dl.tensor([-1e4, 1e4, -1e4, 1e4], requires_grad=True)

    losses = F.binary_cross_entropy_with_logits(
        x, dl.tensor([1.0, 0.0, 0.0, 1.0]), reduction="none")
    losses.sum().backward()

    assert losses.tolist() == [1e4, 1e4, 0.0, 0.0]
    assert x.grad.tolist() == [-1.0, 1.0, 0.0, 0.0]


def test_squared_loss_is_half_of_mse_so_that_its_slope_is_the_difference(backend):
    x, y = dl.tensor([3.0, -1.0], requires_grad=True), dl.tensor([1.0, 1.0])

    F.squared_loss(x, y, reduction="sum").backward()

    assert x.grad.tolist() == [2.0, -2.0]
    assert F.squared_loss(x, y).item() == F.mse_loss(x, y).item() / 2


def test_l1_loss_has_no_slope_where_it_is_zero(backend):
    x = dl.tensor([1.0, 2.0, 0.0], requires_grad=True)

    F.l1_loss(x, dl.tensor([1.0, 1.0, 1.0]), reduction="sum").backward()

    assert x.grad.tolist() == [0.0, 1.0, -1.0]


def test_hinge_loss_is_zero_beyond_the_margin(backend):
    scores, sides = dl.tensor([2.0, 0.5, -0.5, 1.0]), dl.tensor([1, 1, 1, -1])

    assert F.hinge_loss(scores, sides, reduction="none").tolist() == [0.0, 0.5, 1.5, 2.0]


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss", "squared_loss"])
def test_unequal_dtypes_promote_and_gradients_keep_theirs(name, backend):
    x = dl.tensor([1.0, 2.0], dtype="float32", requires_grad=True)
    y = dl.tensor([0.0, 1.0], dtype="float64", requires_grad=True)

    loss = getattr(F, name)(x, y)
    loss.backward()

    assert loss.dtype == dl.float64
    assert (x.grad.dtype, y.grad.dtype) == (dl.float32, dl.float64)
    assert getattr(F, name)(x, dl.tensor([1, 2])).dtype == dl.float32


def test_a_list_or_a_number_can_be_a_target():
    x = dl.tensor([1.0, 3.0])

    assert F.mse_loss(x, [1.0, 1.0]).item() == 2.0
    assert F.mse_loss(x[0], 0.0).item() == 1.0


# --- embeddings ------------------------------------------------------------------------------------


@reductions
@fewer(4)
@given(seed=SEEDS)
def test_cosine_embedding_loss_equals_pytorchs(torch, backend, reduction, seed):
    random = np.random.default_rng(seed)
    x, y = random.standard_normal((2, 6, 4))
    sides = np.array([1, -1, 1, -1, 1, -1])

    assert_equal_to_second_order(
        torch,
        lambda x, y: F.cosine_embedding_loss(
            x, y, dl.tensor(sides), margin=-0.5, reduction=reduction),
        lambda x, y: torch.nn.functional.cosine_embedding_loss(
            x, y, torch.tensor(sides), margin=-0.5, reduction=reduction),
        [x, y],
        seed,
    )


@reductions
@pytest.mark.parametrize("options", [{}, {"swap": True, "margin": 2.0}, {"p": 3.0}])
@fewer(4)
@given(seed=SEEDS)
def test_triplet_margin_loss_equals_pytorchs(torch, backend, options, reduction, seed):
    args = list(np.random.default_rng(seed).standard_normal((3, 5, 4)))

    assert_equal_to_second_order(
        torch,
        lambda *xs: F.triplet_margin_loss(*xs, reduction=reduction, **options),
        lambda *xs: torch.nn.functional.triplet_margin_loss(*xs, reduction=reduction, **options),
        args,
        seed,
    )


# --- mistakes --------------------------------------------------------------------------------------

ALL_PAIRS = ["mse_loss", "squared_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "hinge_loss",
             "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div"]


@pytest.mark.parametrize("name", ALL_PAIRS)
def test_a_column_against_a_row_is_refused_with_the_way_out(name, backend):
    message = (rf"^{name}: input has shape \(10, 1\), target \(10,\); write "
               r"target\.reshape\(\(10, 1\)\), or all 100 pairs would be compared")

    with pytest.raises(ValueError, match=message):
        getattr(F, name)(dl.ones((10, 1)), dl.ones(10))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((4, 3), (3,)), r"write dl\.broadcast_to\(target, \(4, 3\)\)"),
        (((4, 3), ()), r"write dl\.broadcast_to\(target, \(4, 3\)\)"),
        (((4, 3), (3, 4)), r"write target\.reshape\(\(4, 3\)\)$"),
        (((4, 3), (2, 2)), "they must be equal"),
        (((3,), (4, 3)), "they must be equal"),
    ],
)
def test_other_unequal_shapes_are_refused_with_the_advice_that_fits(shapes, message, backend):
    with pytest.raises(ValueError, match=message):
        F.mse_loss(*map(dl.ones, shapes))


@pytest.mark.parametrize("name", ALL_PAIRS)
def test_an_unknown_reduction_is_named(name, backend):
    with pytest.raises(ValueError, match=f"{name}: reduction must be 'mean', 'sum' or 'none', got 'avg'"):
        getattr(F, name)(dl.ones(2), dl.ones(2), reduction="avg")


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda x: F.huber_loss(x, x, delta=0.0), "delta must be positive, got 0"),
        (ValueError, lambda x: F.smooth_l1_loss(x, x, beta=-1.0), "beta must not be negative, got -1"),
        (ValueError, lambda x: F.cosine_embedding_loss(x, x, dl.ones(3)),
         r"cosine_embedding_loss: target has shape \(3,\), but input1 \(2, 3\) has rows \(2,\)"),
        (ValueError, lambda x: F.cosine_embedding_loss(x, dl.ones(3), dl.ones(2)),
         r"cosine_embedding_loss: input1 has shape \(2, 3\), input2 \(3,\)"),
        (ValueError, lambda x: F.triplet_margin_loss(x, x, dl.ones((2, 4))),
         r"triplet_margin_loss: anchor has shape \(2, 3\), negative \(2, 4\)"),
    ],
)
def test_a_mistake_is_named(error, call, message, backend):
    with pytest.raises(error, match=message):
        call(dl.ones((2, 3)))


def test_scores_given_as_probabilities_are_named_with_the_other_loss():
    with pytest.raises(ValueError, match=r"lies in -1..2; for scores .* binary_cross_entropy_with_log"):
        F.binary_cross_entropy(dl.tensor([-1.0, 2.0]), dl.tensor([0.0, 1.0]))
