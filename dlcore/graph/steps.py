"""The backward pass step by step: what arrives at a node, its derivatives, what it hands on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from backends import backend_of
from dlcore import ops
from dlcore.core import pullback
from dlcore.graph.nodes import Node, is_float
from dlcore.graph.passes import passed, seeded
from dlcore.history import Node as History
from dlcore.tensors import Tensor
from dlcore.text import short, table

Arrivals = dict[Node, History]  # parents, and where in the history their gradients arrive

SMALL = 16  # elements of a Jacobian that is worth looking at


class Step(NamedTuple):
    """One operation of a backward pass; ``local`` and ``outgoing`` have an entry a parent."""

    node: Node
    """The operation that the gradient passes through."""
    incoming: Tensor
    """The gradient of the output in this node."""
    local: dict[Node, Tensor | None]
    """The derivative of the node in each parent, of shape (*node, *parent); None if large."""
    outgoing: dict[Node, Tensor]
    """The share of each parent's gradient that comes from this node."""


class BackwardSteps(tuple[Step, ...]):
    """The steps in the order in which they happen; printed, they are a table."""

    __slots__ = ()

    def __str__(self) -> str:
        rows = [["step", "node", "operation", "incoming", "parent", "local", "outgoing"]]
        for position, step in enumerate(self, start=1):
            first = [str(position), step.node.name, step.node.kind, short(step.incoming)]
            for parent, out in step.outgoing.items():
                rows.append([*first, parent.name, short(step.local[parent], "-"), short(out)])
                first = ["", "", "", ""]
        return table(rows)

    __repr__ = __str__


def backward_steps(order: Sequence[Node]) -> BackwardSteps:
    """How the gradient of the last node of ``order`` passes through the others; changes nothing."""
    steps = []
    flow = seeded(order[-1])
    for operation, history in passed(order, flow):
        parents = {p: at for p in operation.parents if (at := arrival(p)) is not None}
        g = flow[operation.held.node]
        local = derivatives(operation, history, parents)
        outgoing = through(operation, history, g, parents)
        steps.append(Step(operation, as_result(operation, g), local, outgoing))
    return BackwardSteps(steps)


def arrival(parent: Node) -> History | None:
    """Where in the engine's history the gradient of ``parent`` arrives; None if it has none."""
    if not parent.parents:
        return parent.leaf if is_float(parent.held) else None
    at: History | None = parent.held.node
    return at


def as_result(node: Node, g: Any) -> Tensor:
    """A raw array as a tensor where the value of ``node`` lives."""
    return ops.conj(Tensor(backend_of(node.held.array).asarray(g)))


def through(node: Node, history: list[History], g: Any, parents: Arrivals) -> dict[Node, Tensor]:
    """The gradient ``g`` of ``node``, pulled back to each parent; zeros where nothing arrives."""
    flow = {node.held.node: g}
    pullback(history, flow, recorded=False)
    zeros_like = backend_of(node.held.array).zeros_like
    found = {p: flow[at] if at in flow else zeros_like(p.held.array) for p, at in parents.items()}
    return {p: as_result(node, g) for p, g in found.items()}


def derivatives(node: Node, history: list[History],
                parents: Arrivals) -> dict[Node, Tensor | None]:
    """The Jacobian of ``node`` in each parent where it is small: one pass for each of its rows."""
    size = node.held.size
    small = {p: at for p, at in parents.items() if size * p.held.size <= SMALL}
    if not small:
        return dict.fromkeys(parents)
    array, xp = node.held.array, backend_of(node.held.array)
    rows = []
    for i in range(size):
        unit = xp.astype(xp.equal(xp.arange(0, size, 1, "int64"), i), array.dtype)
        rows.append(through(node, history, xp.reshape(unit, array.shape), small))
    return {p: stacked(node, [row[p] for row in rows]) if p in small else None for p in parents}


def stacked(node: Node, rows: list[Tensor]) -> Tensor:
    """Rows of a Jacobian, one for each element of the value of ``node``, as one tensor."""
    xp = backend_of(rows[0].array)
    return Tensor(xp.reshape(xp.stack([r.array for r in rows]), (*node.held.shape, *rows[0].shape)))
