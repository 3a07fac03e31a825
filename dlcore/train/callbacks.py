"""Callbacks: what else is done at the ends of batches and epochs.

Each hook gets the trainer, from which everything can be read: ``model``, ``optimizer``, ``history``,
``epoch`` and ``step``.  ``trainer.stop(reason)`` ends the training after the epoch at hand.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlcore import checkpoint
from dlcore.optim import clip_grad_norm


class Callback:
    """Does nothing at every occasion; a subclass overrides what it needs."""

    def on_fit_begin(self, trainer: Any) -> None:
        """Before the first epoch."""

    def on_backward_end(self, trainer: Any) -> None:
        """When a batch has its gradients, before the step that uses them."""

    def on_batch_end(self, trainer: Any) -> None:
        """After every step; reading a value here makes the device wait."""

    def on_epoch_end(self, trainer: Any, results: dict[str, float]) -> None:
        """After every epoch, with its results, which may be added to."""

    def on_epoch_logged(self, trainer: Any, results: dict[str, float]) -> None:
        """After that, when the results are complete and stand in the history."""

    def on_fit_end(self, trainer: Any) -> None:
        """After the last epoch, and after an interruption."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to hold, so that training goes on as if it had not been stopped."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""


class Checkpoint(Callback):
    """Saves the whole run every few epochs, and when it is interrupted.

    Args:
        path: of the file, as :func:`dlcore.checkpoint.save` takes it; ``{epoch}`` in it becomes the
            number of epochs that are done.
        every: how many epochs lie between two files.
        keep_last: how many of them stay.

    ``trainer.fit(..., resume=path)`` goes on from one.
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1, keep_last: int | None = None) -> None:
        if every < 1:
            raise ValueError(f"Checkpoint: every must be at least 1, got {every}")
        self.path, self.every, self.keep_last = os.fspath(path), every, keep_last
        self.written: Path | None = None

    def on_epoch_logged(self, trainer: Any, results: dict[str, float]) -> None:
        """Save, if it is time."""
        if trainer.epoch % self.every == 0:
            self.save(trainer)

    def save(self, trainer: Any) -> Path:
        """Save now, unless a parameter is nan or infinite, which is an error; returns where."""
        trainer.check_weights()
        path = self.path.replace("{epoch}", str(trainer.epoch))
        self.written = trainer.save(path, keep_last=self.keep_last)
        return self.written


class ClipGradNorm(Callback):
    """Scales the gradients of every batch so that their joint norm is at most ``max_norm``.

    Args:
        max_norm: positive, in the units of the gradients.
        norm_type: the p of the p-norm, as :func:`dlcore.optim.clip_grad_norm` takes it.
    """

    def __init__(self, max_norm: float, norm_type: float = 2.0) -> None:
        self.max_norm, self.norm_type = max_norm, norm_type

    def on_backward_end(self, trainer: Any) -> None:
        """Clip them."""
        clip_grad_norm(trainer.model.parameters(), self.max_norm, self.norm_type)


class _Watching(Callback):
    """Follows one result and knows whether it has become better."""

    def __init__(self, monitor: str, mode: str | None, min_delta: float) -> None:
        name = type(self).__name__
        if mode not in (None, "min", "max"):
            raise ValueError(f"{name}: mode must be 'min' or 'max', got {mode!r}")
        if min_delta < 0:
            raise ValueError(f"{name}: min_delta must not be negative, got {min_delta}")
        self.monitor, self.min_delta = monitor, min_delta
        self.mode = mode or ("min" if monitor.endswith(("loss", "mae", "error")) else "max")
        self.best = math.inf if self.mode == "min" else -math.inf
        self.best_epoch = 0

    def improved(self, trainer: Any, results: Mapping[str, float]) -> bool:
        """Whether these results are the best so far; they are remembered then."""
        if self.monitor not in results:
            raise ValueError(f"{type(self).__name__}: there is no result {self.monitor!r}; there are "
                             f"{', '.join(results)}{_hint(self.monitor)}")
        value = results[self.monitor]
        gain = self.best - value if self.mode == "min" else value - self.best
        if gain > self.min_delta:
            self.best, self.best_epoch = value, trainer.epoch
            return True
        return False

    def state_dict(self) -> dict[str, Any]:
        """See the base class."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See the base class."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]


def _hint(monitor: str) -> str:
    return "; pass validation= to fit" if monitor.startswith("val_") else ""


class EarlyStopping(_Watching):
    """Ends the training once a result has not become better for some epochs.

    Args:
        monitor: the name of the result: ``"val_loss"``, ``"val_accuracy"``.
        patience: how many epochs without a gain are allowed.
        min_delta: a gain that is not greater is none.
        mode: whether ``"min"`` or ``"max"`` is better; by the name if None.
    """

    def __init__(self, monitor: str = "val_loss", patience: int = 5, min_delta: float = 0.0,
                 mode: str | None = None) -> None:
        if patience < 1:
            raise ValueError(f"EarlyStopping: patience must be at least 1, got {patience}")
        super().__init__(monitor, mode, min_delta)
        self.patience = patience

    def on_epoch_end(self, trainer: Any, results: dict[str, float]) -> None:
        """Stop, if it is time."""
        if not self.improved(trainer, results) and trainer.epoch - self.best_epoch >= self.patience:
            trainer.stop(f"{self.monitor} has not become better than {self.best:.5g} since epoch "
                         f"{self.best_epoch}")


class BestModel(_Watching):
    """Keeps the model as it was when a result was best.

    Args:
        monitor: the name of the result.
        path: a file for the weights; None keeps them in memory, and only there.
        min_delta: a gain that is not greater is none.
        mode: whether ``"min"`` or ``"max"`` is better; by the name if None.
        restore: put the best weights back into the model when the training ends.
    """

    def __init__(self, monitor: str = "val_loss", path: str | os.PathLike[str] | None = None,
                 min_delta: float = 0.0, mode: str | None = None, *, restore: bool = True) -> None:
        super().__init__(monitor, mode, min_delta)
        self.path, self.restore = path, restore
        self.weights: dict[str, Any] | None = None

    def on_epoch_end(self, trainer: Any, results: dict[str, float]) -> None:
        """Keep the model, if it is the best."""
        if self.improved(trainer, results):
            self.weights = trainer.model.state_dict()  # stays as it is: no array is written to
            if self.path is not None:
                extra = {"epoch": trainer.epoch, self.monitor: self.best}
                checkpoint.save(self.path, trainer.model, extra=extra)

    def on_fit_end(self, trainer: Any) -> None:
        """Put the best weights back."""
        if self.restore and self.weights is not None and not trainer.interrupted:
            trainer.model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """See the base class."""
        return {**super().state_dict(), "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See the base class."""
        super().load_state_dict(state)
        self.weights = state["weights"]
