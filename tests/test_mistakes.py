"""Mistakes are noticed while they happen, once and by name, and what is no mistake is left alone."""

import copy
import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import dlcore as dl
from dlcore import mistakes, nn, optim
from dlcore.nn import functional as F
from dlcore.optim.noticing import Noticing
from tests.loops import Loop, Two, X, nothing_noticed, noticed

PAGE = Path(__file__).parent.parent / "docs" / "mistakes.md"


# --- all of them -----------------------------------------------------------------------------------

KINDS = [k for k in vars(mistakes).values() if isinstance(k, type) and issubclass(k, dl.MistakeWarning)]


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not dl.MistakeWarning])
def test_every_kind_has_a_section_and_its_message_leads_there(kind):
    headings = re.findall(r"^#+ (.+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    anchors = [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]

    with noticed(kind, rf"^something \(docs/mistakes.md#{kind.page}\)$"):
        mistakes.warn(kind, "something")
    assert kind.page in anchors
    assert kind.__name__ in mistakes.__all__


def test_a_warning_is_shown_at_the_user_s_line_and_once_there():
    loop = Loop(nn.Sequential(nn.Linear(3, 1), nn.Dropout()))

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        with dl.no_grad():
            for _ in range(3):
                loop.model(loop.x)

    assert [(w.category, w.filename) for w in seen] == [(mistakes.TrainingMode, __file__)]
    assert "loop.model(loop.x)" in Path(__file__).read_text("utf-8").splitlines()[seen[0].lineno - 1]


def test_one_kind_can_be_silenced():
    loop = Loop(Two())

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", mistakes.UnreachedParameter)
        loop.step()


# --- gradients never cleared -----------------------------------------------------------------------

NOT_CLEARED = r"^SGD.step: the gradients of the last step were not cleared.*zero_grad\(\) before backward\(\)"


def test_gradients_that_are_not_cleared_are_noticed_in_the_second_step(backend):
    loop = Loop()
    loop.loss().backward()
    loop.optimizer.step()
    loop.loss().backward()

    with noticed(mistakes.GradientsNotCleared, NOT_CLEARED):
        loop.optimizer.step()


def test_they_are_noticed_when_they_were_clipped_or_without_scale_too():
    loop, scaler = Loop(), optim.GradScaler()
    for clip in (lambda ps: optim.clip_grad_norm(ps, 1.0), lambda ps: optim.clip_grad_value(ps, 1.0)):
        loop = Loop()
        loop.loss().backward()
        loop.optimizer.step()
        loop.loss().backward()
        clip(list(loop.model.parameters()))
        with noticed(mistakes.GradientsNotCleared, NOT_CLEARED):
            loop.optimizer.step()

    loop = Loop()
    scaler.scale(loop.loss()).backward()
    scaler.step(loop.optimizer)
    scaler.update()
    scaler.scale(loop.loss()).backward()
    with noticed(mistakes.GradientsNotCleared, NOT_CLEARED):
        scaler.step(loop.optimizer)


@pytest.mark.parametrize("clear", ["optimizer", "module", "by hand"])
def test_gathering_gradients_of_several_passes_for_one_step_is_no_mistake(clear, backend):
    loop = Loop()

    with nothing_noticed():
        for _ in range(3):
            for _ in range(3):
                (loop.loss() / 3.0).backward()
            optim.clip_grad_norm(loop.model.parameters(), 1.0)
            loop.optimizer.step()
            if clear == "optimizer":
                loop.optimizer.zero_grad()
            elif clear == "module":
                loop.model.zero_grad()
            else:
                for p in loop.model.parameters():
                    p.grad = None


def test_what_another_loss_left_in_a_gradient_that_is_cleared_is_no_mistake():
    """As the generator's loss leaves some in the discriminator, which clears it before its own pass."""
    loop = Loop()

    with nothing_noticed():
        for _ in range(3):
            loop.step()
            loop.loss().backward()


def test_a_step_twice_of_one_gradient_is_left_alone():
    loop = Loop()
    loop.loss().backward()

    with nothing_noticed():
        loop.optimizer.step()
        loop.optimizer.step()


def test_it_is_told_once_an_optimizer():
    loop = Loop()
    loop.loss().backward()
    loop.optimizer.step()

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(5):
            loop.loss().backward()
            loop.optimizer.step()

    assert [w.category for w in seen] == [mistakes.GradientsNotCleared]


def test_noticing_keeps_no_gradient_and_no_copy_of_it():
    loop = Loop()
    loop.step()
    kept = loop.optimizer._noticing.used
    assert kept() is loop.model.bias.grad

    twin = pickle.loads(pickle.dumps(Noticing()))  # noqa: S301  our own
    again = copy.deepcopy(loop.optimizer)
    loop.optimizer.zero_grad()

    assert kept() is None
    assert twin.used is None
    assert again._noticing.used is None


# --- a parameter that the loss does not reach --------------------------------------------------------


def test_a_parameter_that_no_gradient_reaches_is_named(backend):
    loop = Loop(Two())

    with noticed(mistakes.UnreachedParameter,
                 r"^SGD.step: the loss does not reach idle.weight \(1, 3\), idle.bias \(1,\): "):
        loop.step()


def test_its_name_is_the_one_in_the_outermost_module():
    loop = Loop(nn.Sequential(Two(), nn.Identity()))

    with noticed(mistakes.UnreachedParameter, "does not reach 0.idle.weight"):
        loop.step()


def test_a_parameter_of_no_module_is_counted_and_long_lists_are_cut():
    used, *others = [dl.tensor(float(i), requires_grad=True) for i in range(8)]
    optimizer = optim.Adam([used, *others])
    (used * used).backward()

    with noticed(mistakes.UnreachedParameter,
                 r"Adam.step: .*reach number 1 \(\), .*number 5 \(\) and 2 more: "):
        optimizer.step()


def test_frozen_parts_and_parts_that_are_left_out_later_are_no_mistake(backend):
    model = Two()
    model.idle.requires_grad_(False)
    frozen, sometimes = Loop(model), Loop(Two())

    with nothing_noticed():
        for i in range(3):
            frozen.step()
            sometimes.step(i == 0)


# --- evaluating in training mode ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Dropout(), dl.ones((2, 3))),
        (nn.Dropout2d(), dl.ones((2, 3, 1, 1))),
        (nn.BatchNorm1d(3), dl.ones((2, 3))),
        (nn.LSTM(3, 3, num_layers=2, dropout=0.5), dl.ones((2, 1, 3))),
        (nn.TransformerEncoderLayer(3, nhead=1, dim_feedforward=2), dl.ones((2, 1, 3))),
    ],
    ids=lambda x: type(x).__name__,
)
def test_predicting_as_in_training_is_noticed_under_no_grad_only(layer, x):
    model = nn.Sequential(nn.Identity(), layer)

    with nothing_noticed():
        model(x)
        with dl.no_grad():
            model.eval()(x)
        model.train()(x)
    with dl.no_grad(), noticed(mistakes.TrainingMode, r"called as in training, .*model.eval\(\) before"):
        model(x)


def test_dropout_that_was_left_on_on_purpose_is_no_mistake():
    """A model in evaluation, with its dropout in training: predictions are drawn."""
    model = nn.Sequential(nn.Linear(3, 8), nn.Sequential(nn.Dropout()), nn.Linear(8, 1)).eval()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.train()

    with nothing_noticed(), dl.no_grad():
        first, second = (model(dl.tensor(X, dtype="float32")) for _ in range(2))

    assert first.tolist() != second.tolist()


def test_layers_that_do_the_same_in_both_modes_are_left_alone():
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Dropout(0.0), nn.LSTM(3, 3, 2))

    with nothing_noticed(), dl.no_grad():
        model(dl.ones((2, 1, 3)))


def test_a_model_with_hooks_is_seen_through():
    model = nn.Sequential(nn.Dropout()).eval()
    model[0].train()
    model.register_forward_hook(lambda *saw: None)

    with nothing_noticed(), dl.no_grad():
        model(dl.ones(2))


# --- mistakes that are errors ------------------------------------------------------------------------

LOSSES = [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.squared_loss, F.binary_cross_entropy,
          F.binary_cross_entropy_with_logits, F.kl_div, F.hinge_loss]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda f: f.__name__)
def test_a_loss_refuses_a_column_against_a_row(loss, backend):
    with pytest.raises(ValueError, match=rf"{loss.__name__}: .*\(4, 1\).*\(4,\)") as raised:
        loss(dl.ones((4, 1)) * 0.5, dl.ones(4) * 0.5)

    assert re.search("reshape|squeeze", str(raised.value))


def test_integer_weights_are_refused_at_once(backend):
    for make in (lambda: nn.Parameter([1, 2]), lambda: nn.Parameter(dl.arange(3)),
                 lambda: dl.tensor([1, 2], requires_grad=True), lambda: dl.zeros(2, dtype="int64",
                                                                                 requires_grad=True)):
        with pytest.raises(TypeError, match="requires_grad: int64 has no derivatives; use a float dtype"):
            make()


def test_data_on_another_device_is_an_error_that_names_both_and_the_way_out():
    model, x = nn.Linear(3, 1), dl.ones((2, 3)).to("strict")

    with pytest.raises(dl.BackendError, match=r"linear: arrays on (cpu and strict|strict and cpu) in one "
                                              r"operation; move one of them with Tensor.to\(...\)"):
        model(x)
    with pytest.raises(dl.BackendError, match=r"on cpu beside a tensor on strict; make it a tensor there"):
        x + np.ones(3)
