"""Optimizers, schedules of their rates, and what stands between a gradient and a step.

Rules: ``momentum.py``, ``adam.py``, ``adaptive.py``; what they share: ``base.py``.
"""

from dlcore.optim import schedules
from dlcore.optim.adam import Adam, AdamW, NAdam, RAdam
from dlcore.optim.adaptive import Adadelta, Adagrad, RMSprop
from dlcore.optim.averaging import EMA, SWA
from dlcore.optim.base import Optimizer
from dlcore.optim.clipping import clip_grad_norm, clip_grad_value
from dlcore.optim.minimizing import Minimum, minimize
from dlcore.optim.momentum import SGD, Lion
from dlcore.optim.scaling import GradScaler

__all__ = [
    "EMA", "SGD", "SWA", "Adadelta", "Adagrad", "Adam", "AdamW", "GradScaler", "Lion", "Minimum", "NAdam",
    "Optimizer", "RAdam", "RMSprop", "clip_grad_norm", "clip_grad_value", "minimize", "schedules",
]
