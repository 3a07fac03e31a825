"""Whether a model is in the mode that its use asks for."""

from __future__ import annotations

import sys
from typing import Any

from dlcore.mistakes import TrainingMode, warn
from dlcore.nn.modules import Module

_CALL = Module.__call__.__code__


def check_mode(layer: Module) -> None:
    """Warn that ``layer``, which is to train, was called where nothing is recorded.

    A model that is to predict, all but such a layer, was made so on purpose: for dropout that samples
    predictions, say.
    """
    if _outermost(layer).training:
        warn(TrainingMode,
             f"{type(layer).__name__}: called as in training, but under no_grad, as in evaluation; call "
             "model.eval() before evaluating and model.train() before training on")


def _outermost(layer: Module) -> Any:
    """The module whose call is the outermost of those that are running."""
    found, frame = layer, sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code is _CALL:
            found = frame.f_locals["self"]
    return found
