"""Passes over a graph built by hand: who leads to an output, in which order, and its gradient.

The value of an operation carries the ordinary history of the engine, and each operation knows
which part of that history is its own.  So the gradient is pulled through one node at a time, by the
engine, in the order in which it does so for tensors, and is left where it can be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar, cast

from backends import backend_of
from dlcore import ops
from dlcore.core import pullback
from dlcore.history import Node as History
from dlcore.history import walk
from dlcore.tensors import Tensor

Flow = dict[History | None, Any]  # raw gradients on their way


class Member(Protocol):
    """What a pass needs to know of a node; ``nodes.py`` says the rest."""

    parents: Any
    age: int
    held: Any
    leaf: History | None

    @property
    def name(self) -> str:
        """For errors."""

    def history(self) -> list[History]:
        """The part of the engine's history that is this node's own, youngest first."""

    def received(self, g: Any) -> None:
        """Keep a raw gradient."""


N = TypeVar("N", bound=Member)


def by_age(node: Member) -> int:
    """Operands are older than what is computed from them."""
    return node.age


def ancestors(output: N, among: Callable[[N], bool] = lambda n: True) -> list[N]:
    """``output`` and all that it is computed from, each once, as far as ``among`` lets through."""
    found, seen = [output], {output}
    for node in found:  # which grows meanwhile
        for parent in node.parents:
            if parent not in seen and among(parent):
                seen.add(parent)
                found.append(parent)
    return found


def ordered(output: N) -> list[N]:
    """Everything that leads to ``output``: inputs first, every operation after its operands."""
    return sorted(ancestors(output), key=lambda n: (bool(n.parents), n.age))


def seeded(output: Member) -> Flow:
    """A flow in which the gradient of ``output`` in itself, 1, has arrived and nothing else."""
    held = output.held
    if type(held) is not Tensor:
        raise ValueError(f"backward: {output.name} has no value; forward() comes first")
    if held.shape != ():
        raise ValueError(f"backward: {output.name} has shape {held.shape}, which is not a scalar; "
                         "end the graph in a loss, or in Sum or Mean")
    if ops.is_complex(held):
        raise TypeError(f"backward: {output.name} is complex; a loss must be real: "
                        "take dl.real or dl.abs of it")
    return {held.node: backend_of(held.array).ones_like(held.array)}


def passed(order: Sequence[N], flow: Flow) -> Iterator[tuple[N, list[History]]]:
    """Walk ``order`` from its end to the inputs while the gradients in ``flow`` move along.

    Yields every operation that a gradient reaches, with its own part of the history, while that
    gradient is complete and has not passed yet.  In the end the flow holds what reached the inputs.
    """
    for node in reversed(order):
        if node.parents and node.held.node in flow:
            history = node.history()
            yield node, history
            pullback(history, cast("dict[History, Any]", flow), recorded=False)


def differentiate(order: Sequence[Member]) -> None:
    """Set the gradients of the last node of ``order`` in all of them.

    What functions of nodes captured and what gathers gradients, such as the parameters of a module,
    is given its share as by :meth:`Tensor.backward`.
    """
    flow = seeded(order[-1])
    found: dict[Member, Any] = {}
    for operation, _ in passed(order, flow):
        found[operation] = flow[operation.held.node]
    for node in order:
        if node.leaf is not None:
            found[node] = flow.pop(node.leaf, None)
    for node in order:
        node.received(found.get(node))
    flow.pop(None, None)
    if flow:
        captured = pullback(walk(flow)[0], cast("dict[History, Any]", flow), recorded=False)
        for history, g in captured.items():
            if (leaf := history.out()) is not None:
                share = ops.conj(Tensor(history.xp.asarray(g)))
                leaf.grad = share if leaf.grad is None else leaf.grad + share
