"""The graph that leads to one output: run it, differentiate it, let it learn, look at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlcore.graph.drawing import Drawing, draw
from dlcore.graph.nodes import Given, Node, Operation, Placeholder, Variable, as_tensor, read
from dlcore.graph.passes import differentiate, ordered
from dlcore.graph.steps import BackwardSteps, backward_steps
from dlcore.history import recording
from dlcore.tensors import Tensor
from dlcore.text import short, table

FeedDict = Mapping[Placeholder, Given]

READABLE = 200  # nodes: a notebook shows larger graphs as text


class Graph:
    """Everything that leads to ``output``, usually a loss.

    Only that counts: a node that something else consumes too has here the gradient of ``output``.

        >>> import dlcore.graph as g
        >>> x, y, w = g.Placeholder("x"), g.Placeholder("y"), g.Variable(0.0, name="w")
        >>> graph = g.Graph(g.AbsLoss(w * x, y, name="loss"))
        >>> graph.forward({x: 2.0, y: 6.0})
        tensor(6., float32)
        >>> graph.backward(); graph.update(lr=0.5); w.value
        tensor(1., float32)
    """

    def __init__(self, output: Node) -> None:
        if not isinstance(output, Node):
            raise TypeError(f"Graph: the output is a node, got {type(output).__name__}")
        self.output = output
        self.order = ordered(output)
        """All nodes in topological order: the inputs first, the output last."""
        self._members = frozenset(self.order)
        self._placeholders = [n for n in self.order if isinstance(n, Placeholder)]

    # --- running ---------------------------------------------------------------------------------

    def forward(self, feed_dict: FeedDict | None = None) -> Tensor:
        """The value of the output, computed anew from ``feed_dict``.

        Every node keeps its value; gradients of an earlier run are dropped.

        Args:
            feed_dict: for each placeholder a number, an array or a tensor.

        Raises:
            ValueError: a placeholder is missing, or a feed is not for a placeholder of this graph.
        """
        feeds = self._fed(feed_dict or {}, self._placeholders)
        for placeholder in self._placeholders:
            placeholder.give(feeds[placeholder])
        try:
            with recording(True):
                for node in self.order:
                    node._grad = None
                    if type(node) is Operation:
                        node.run()
        except BaseException:
            self.clear()  # no half of the values belongs to another run than the rest
            raise
        value = self.output.value
        assert value is not None, "every node has just run"
        return value

    def backward(self) -> None:
        """Set the gradient of the output, a scalar, in every node."""
        differentiate(self.order)

    def update(self, lr: float = 0.001) -> None:
        """Move every trainable variable by ``lr`` against its gradient; nothing else changes."""
        for variable in self.trainables:
            variable.update(lr)

    def clear(self) -> None:
        """Drop all gradients, and all values but the variables'."""
        for node in self.order:
            node.drop()

    def predict(self, node: Node, feed_dict: FeedDict | None = None) -> Tensor:
        """The value that ``node`` would have; values and gradients stay as they are.

        Args:
            node: of this graph, or computed from nodes of it.
            feed_dict: a value for each placeholder that leads to ``node``; others may be fed, too.
        """
        order = self.order if node is self.output else ordered(node)
        feeds = self._fed(feed_dict or {}, [n for n in order if isinstance(n, Placeholder)])
        values: dict[Node, Any] = {n: feeds.get(n, n.held) for n in order}
        with recording(False):
            for n in order:
                if type(n) is Operation:
                    values[n] = n.result([values[p] for p in n.parents])
        value: Tensor = as_tensor(values[node])
        return value.detach()

    def _fed(self, feed_dict: FeedDict, needed: Sequence[Node]) -> dict[Node, Tensor]:
        """``feed_dict`` as tensors, once it is sure that it has what is ``needed``, and no more."""
        for node in feed_dict:
            if not isinstance(node, Node):
                raise TypeError(f"feed_dict: placeholders are its keys, got {node!r}")
            if not isinstance(node, Placeholder):
                raise ValueError(  # noqa: TRY004  a node, but none to feed
                    f"feed_dict: {node.name} is no placeholder ({node.kind}); assign a variable by "
                    f"{node.name}.value = ...")
            if node not in self._members and node not in needed:
                raise ValueError(f"feed_dict: placeholder {node.name} is not in this graph")
        if missing := [p.name for p in needed if p not in feed_dict]:
            raise ValueError(f"feed_dict: no value for placeholder {', '.join(missing)}")
        return {node: read(node, given) for node, given in feed_dict.items()}

    # --- looking ---------------------------------------------------------------------------------

    @property
    def trainables(self) -> list[Variable]:
        """The variables that :meth:`update` changes."""
        return [n for n in self.order if isinstance(n, Variable) and n.trainable]

    def backward_steps(self) -> BackwardSteps:
        """Each step of the backward pass: incoming, local and outgoing gradient.  Print it.

        It makes the pass for itself, after :meth:`forward`, and changes nothing.
        """
        return backward_steps(self.order)

    def draw(self, direction: str = "down") -> Drawing:
        """A picture of the graph: an SVG text that a notebook shows and ``.save(path)`` writes.

        Args:
            direction: where the arrows lead, ``"down"`` or ``"right"``.
        """
        return draw(self.order, direction)

    def _repr_svg_(self) -> str | None:
        return str(self.draw()) if len(self) <= READABLE else None

    def __str__(self) -> str:
        rows = [[n.name, n.kind, short(n.value, "-"), short(n.grad, "-")] for n in self.order]
        return table([["node", "operation", "value", "gradient"], *rows])

    def __repr__(self) -> str:
        return f"<graph of {len(self)} nodes that lead to {self.output.name}>"

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.order)

    def __contains__(self, node: object) -> bool:
        return node in self._members
