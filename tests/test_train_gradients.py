"""What a callback can do between the gradients of a batch and its step."""

import numpy as np
import pytest

import dlcore as dl
from dlcore import nn, optim, train
from dlcore.data import ArrayDataset, DataLoader

LIMIT = 0.05  # all gradients here are longer


def parts():
    """A model, its optimizer, and the batches of an epoch, the same every time."""
    dl.random.seed(1)
    model = nn.Linear(3, 2)
    x = np.random.default_rng(0).standard_normal((12, 3)).astype("float32")
    return model, optim.SGD(model.parameters(), lr=0.5), DataLoader(ArrayDataset(x, x[:, :2]), 4)


def norm(model):
    return float(np.sqrt(sum((p.grad.numpy().astype("float64") ** 2).sum() for p in model.parameters())))


def test_clipping_in_a_callback_is_clipping_between_backward_and_step(backend):
    model, optimizer, loader = parts()
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        assert optim.clip_grad_norm(model.parameters(), LIMIT).item() > LIMIT
        optimizer.step()
    by_hand = [p.tolist() for p in model.parameters()]

    model, optimizer, loader = parts()
    train.Trainer(model, nn.MSELoss(), optimizer, callbacks=[train.ClipGradNorm(LIMIT)]).fit(loader, 1)

    assert [p.tolist() for p in model.parameters()] == by_hand


def test_a_callback_sees_the_gradients_that_the_callbacks_before_it_left(backend):
    seen = []

    class Look(train.Callback):
        def on_backward_end(self, trainer):
            seen.append((trainer.step, norm(trainer.model)))

    model, optimizer, loader = parts()
    callbacks = [Look(), train.ClipGradNorm(LIMIT), Look()]
    train.Trainer(model, nn.MSELoss(), optimizer, callbacks=callbacks).fit(loader, 1)

    assert [step for step, _ in seen] == [0, 0, 1, 1, 2, 2]
    assert min(n for _, n in seen[::2]) > LIMIT
    assert [n for _, n in seen[1::2]] == pytest.approx([LIMIT] * 3, rel=1e-6)


def test_a_limit_that_is_not_positive_is_refused_at_the_first_batch():
    model, optimizer, loader = parts()

    with pytest.raises(ValueError, match="clip_grad_norm: max_norm must be positive, got 0"):
        train.Trainer(model, nn.MSELoss(), optimizer, callbacks=[train.ClipGradNorm(0)]).fit(loader, 1)
