"""Metrics: how good predictions are, in numbers that people understand.

A metric is a function ``metric(outputs, targets)`` of one batch, whose value is averaged over batches
by their sizes.  What is no mean over examples, such as a precision, is a :class:`Metric`: its counts
are added up over batches, and its value is made of the sums, so it does not depend on the batch size.
All of it is computed where the outputs are, and nothing waits for it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from backends.dtypes import float32, float64
from dlcore import ops
from dlcore.tensors import Tensor


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The share of examples whose class has the largest output.

    Args:
        outputs: (n, classes, ...): scores, logits or probabilities.
        targets: (n, ...): integers.

        >>> import dlcore as dl
        >>> accuracy(dl.tensor([[0.1, 0.9], [0.8, 0.2]]), dl.tensor([1, 1])).item()
        0.5
    """
    return ops.mean(ops.equal(_guessed("accuracy", outputs, targets), targets))


def top_k_accuracy(k: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A metric: the share of examples whose class is among the ``k`` with the largest outputs.

        >>> import dlcore as dl
        >>> top_k_accuracy(2)(dl.tensor([[0.5, 0.3, 0.2]]), dl.tensor([1])).item()
        1.0
    """
    def top_k(outputs: Tensor, targets: Tensor) -> Tensor:
        _check_classes("top_k_accuracy", outputs, targets)
        if not 1 <= k <= outputs.shape[1]:
            raise ValueError(f"top_k_accuracy: k={k} of {outputs.shape[1]} classes")
        _, places = ops.topk(outputs, k, axis=1)
        return ops.mean(ops.any(ops.equal(places, ops.expand_dims(targets, 1)), axis=1))

    return top_k


def mae(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean absolute error: how far outputs are from targets of the same shape, on average."""
    _check_alike("mae", outputs, targets)
    return ops.mean(ops.abs(outputs - targets))


class Metric:
    """A metric that is made of sums over all examples; subclasses define the two methods."""

    def counts(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What of a batch is added up."""
        raise NotImplementedError(f"{type(self).__name__}: define counts(self, outputs, targets)")

    def value(self, counts: Tensor) -> Tensor:
        """The metric, of the sum of the counts of all batches."""
        raise NotImplementedError(f"{type(self).__name__}: define value(self, counts)")

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The metric of one batch."""
        return self.value(self.counts(outputs, targets))


class _PerClass(Metric):
    """The mean over classes of a ratio of right guesses; a class that has none to count gives 0."""

    def __init__(self, name: str, ratio: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        self.name, self.ratio = name, ratio

    def counts(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(3, classes): right guesses, all guesses and all examples of each class."""
        guesses = _guessed(self.name, outputs, targets)
        guess, truth = (ops.one_hot(ops.reshape(x, (-1,)), outputs.shape[1]) for x in (guesses, targets))
        return ops.stack([ops.sum(x, axis=0) for x in (guess * truth, guess, truth)])

    def value(self, counts: Tensor) -> Tensor:
        """The mean of the ratio over classes."""
        return ops.mean(self.ratio(*ops.unstack(counts)))


def _share(part: Tensor, of: Tensor) -> Tensor:
    return part / ops.maximum(of, 1.0)


precision = _PerClass("precision", lambda right, guessed, true: _share(right, guessed))
"""Of what was guessed to be of a class, the share that is; the mean over classes."""

recall = _PerClass("recall", lambda right, guessed, true: _share(right, true))
"""Of what is of a class, the share that was found; the mean over classes."""

f1 = _PerClass("f1", lambda right, guessed, true: _share(right * 2.0, guessed + true))
"""The harmonic mean of precision and recall in each class; the mean over classes."""


class _Determination(Metric):
    """See :data:`r2`."""

    def counts(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """How many targets there are, their sum, the sum of their squares, and of the errors' squares."""
        _check_alike("r2", outputs, targets)
        y, error = wide(targets), wide(outputs - targets)
        return ops.stack([ops.sum(x) for x in (ops.ones_like(y), y, y * y, error * error)])

    def value(self, counts: Tensor) -> Tensor:
        """1 less the errors' share of the variance."""
        n, total, squares, errors = ops.unstack(counts)
        return 1.0 - errors / (squares - total * total / n)


r2 = _Determination()
"""How much of the targets' variance the outputs explain: 1 is all, 0 no more than their mean does."""


def wide(x: Tensor) -> Tensor:
    """``x`` in float64 where there is one: what is added up over an epoch."""
    return x.astype(float64 if x._owner().supports(float64) else float32)


def _guessed(name: str, outputs: Tensor, targets: Tensor) -> Tensor:
    _check_classes(name, outputs, targets)
    return ops.argmax(outputs, axis=1)


def _check_classes(name: str, outputs: Tensor, targets: Tensor) -> None:
    classes = (*outputs.shape[:1], *outputs.shape[2:])
    if len(outputs.shape) < 2 or targets.shape != classes or targets.dtype.kind != "int":
        raise ValueError(f"{name}: needs outputs (n, classes, ...) and integer targets (n, ...), got "
                         f"{outputs.dtype}{outputs.shape} and {targets.dtype}{targets.shape}")


def _check_alike(name: str, outputs: Tensor, targets: Tensor) -> None:
    if outputs.shape != targets.shape:
        raise ValueError(f"{name}: outputs of shape {outputs.shape} and targets of shape {targets.shape} "
                         "must have one shape; reshape one of them")


def name_of(metric: Any) -> str:
    """What a metric is called in messages."""
    inner = metric.func if isinstance(metric, functools.partial) else metric
    return str(getattr(inner, "name", getattr(inner, "__name__", type(inner).__name__)))
