"""A run whose loss or weights become nan stops, leaves a good checkpoint, and says how to find the cause."""

import math

import pytest

import dlcore as dl
from dlcore import train
from tests.test_train import loader, trainer


class Break(train.Callback):
    """Makes a weight nan, after some step or at the end of some epoch."""

    def __init__(self, step=None, epoch=None):
        self.step, self.epoch = step, epoch

    def on_batch_end(self, trainer):
        if trainer.step == self.step:
            trainer.model[0].weight.data = trainer.model[0].weight.data * math.nan

    def on_epoch_end(self, trainer, results):
        if trainer.epoch == self.epoch:
            trainer.model[0].weight.data = trainer.model[0].weight.data * math.nan


def test_a_loss_that_is_nan_stops_the_run_and_keeps_the_last_checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    t = trainer([train.Checkpoint(path), Break(step=15)])

    message = (r"the loss is nan in epoch 3, at step 18 or before; the last checkpoint is .*run.safetensors. "
               r"To find the cause, run it again under dl.debug_nans\(\)")
    with pytest.raises(FloatingPointError, match=message):
        t.fit(loader(), epochs=5)

    assert t.epoch == 2
    again = trainer()
    assert again.fit(loader(), epochs=5, resume=path).epochs == 5
    assert math.isfinite(again.history["loss"][-1])


def test_weights_that_are_nan_after_the_last_look_at_the_loss_are_not_saved(tmp_path):
    path = tmp_path / "run.safetensors"
    t = trainer([train.Checkpoint(path), Break(epoch=2)])

    with pytest.raises(FloatingPointError, match=r"fit: 0.weight became nan .* 12 .*checkpoint is .*run"):
        t.fit(loader(), epochs=5)

    again = trainer()
    again.load(path)
    assert again.epoch == 1
    again.check_weights()


def test_after_a_broken_epoch_a_trainer_goes_on_with_other_weights():
    t = trainer([Break(step=2)])
    good, begun = t.model.state_dict(), t.optimizer.state_dict()
    with pytest.raises(FloatingPointError, match="no checkpoint was written before"):
        t.fit(loader(), epochs=1)

    t.model.load_state_dict(good)
    t.optimizer.load_state_dict(begun)

    assert t.fit(loader(), epochs=1).epochs == 1


def test_a_run_under_debug_nans_stops_at_the_operation():
    t = trainer([Break(step=2)])

    with dl.debug_nans(), pytest.raises(FloatingPointError, match=r"^linear: nan at .*\d+ nan.*parameter"):
        t.fit(loader(), epochs=1)
