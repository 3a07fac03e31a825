"""A table of what a model is made of, found by running it once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import backends
from dlcore import trees
from dlcore.core import Value
from dlcore.creation import zeros
from dlcore.nn.modules import Module
from dlcore.shaping import Shape, checked_sizes
from dlcore.text import table
from dlcore.transforms import no_grad

__all__ = ["Summary", "summary"]


class Row(NamedTuple):
    """One module: its dotted name, its class, the shapes that came out of it, and its own parameters."""

    name: str
    layer: str
    outputs: list[Shape] | None
    parameters: int


class Summary(NamedTuple):
    """The modules of a model, and how many numbers its parameters hold; prints as a table."""

    rows: list[Row]
    parameters: int
    trained: int

    def __str__(self) -> str:
        counts = [f"{row.parameters:,}" for row in self.rows]
        width = max(map(len, ["parameters", *counts]))
        lines = [[row.name, row.layer, _shapes(row.outputs), count.rjust(width)]
                 for row, count in zip(self.rows, counts, strict=True)]
        trained = "all" if self.trained == self.parameters else f"{self.trained:,}"
        return (table([["name", "layer", "output", "parameters".rjust(width)], *lines])
                + f"\n{self.parameters:,} parameters, {trained} of them trained")

    def __repr__(self) -> str:
        return str(self)


def _shapes(outputs: list[Shape] | None) -> str:
    return "not called" if outputs is None else ", ".join(map(str, outputs))


def summary(model: Module, input_shape: int | Sequence[Any], dtype: Any = None) -> Summary:
    """What ``model`` is made of, with the shapes that come out of each part and its own parameters.

    The model runs once, on zeros, as in evaluation and without history; it is left as it was.  A parameter
    that several modules share counts where it is first met.

    Args:
        model: a module.
        input_shape: of what goes in, with the axis of the batch; or a list of several shapes.
        dtype: of what goes in: ``"int64"`` for a model that starts with an embedding; that of the first
            parameter if None.

        >>> from dlcore import nn
        >>> print(summary(nn.Sequential(nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10)), (1, 784)))
        name  layer       output   parameters
        ----  ----------  -------  ----------
              Sequential  (1, 10)           0
        0     Linear      (1, 32)      25,120
        1     ReLU        (1, 32)           0
        2     Linear      (1, 10)         330
        25,450 parameters, all of them trained
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: needs a module, got {type(model).__name__}")
    modules, parameters = dict(model.named_modules()), dict(model.named_parameters())
    shapes = _shapes_when_run(model, _inputs(model, input_shape, dtype))
    own = dict.fromkeys(modules, 0)
    for name, p in parameters.items():
        owner = name
        while owner not in own:
            owner = owner.rpartition(".")[0]
        own[owner] += p.size
    rows = [Row(name, type(m).__name__, shapes.get(m), own[name]) for name, m in modules.items()]
    trained = sum(p.size for p in parameters.values() if p.requires_grad)
    return Summary(rows, sum(own.values()), trained)


def _inputs(model: Module, input_shape: int | Sequence[Any], dtype: Any) -> list[Any]:
    """Zeros to run the model on, where its first parameter is."""
    given = [input_shape] if isinstance(input_shape, int) else list(input_shape)
    several = any(isinstance(s, Sequence) for s in given)
    shapes = [checked_sizes("summary", s) for s in (given if several else [input_shape])]
    first = next(model.parameters(), None)
    with ExitStack() as where:
        if first is not None:
            where.enter_context(backends.use_backend(first.backend))
            dtype = first.dtype if dtype is None else dtype
        return [zeros(shape, dtype) for shape in shapes]


def _shapes_when_run(model: Module, inputs: list[Any]) -> dict[Module, list[Shape]]:
    """The shapes of what came out of every module that was called, the last time it was."""
    found: dict[Module, list[Shape]] = {}

    def note(module: Module, args: tuple[Any, ...], out: Any) -> None:
        found[module] = [x.shape for x in trees.leaves(out) if isinstance(x, Value)]

    modes = {module: module.training for module in model.modules()}
    with ExitStack() as stack:
        for module in modes:
            stack.enter_context(module.register_forward_hook(note))
        stack.enter_context(no_grad())
        try:
            model.eval()(*inputs)
        finally:
            for module, training in modes.items():
                module.training = training
    return found
