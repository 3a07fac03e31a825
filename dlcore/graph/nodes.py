"""Nodes of a graph that is built by hand: placeholders, variables, constants and operations.

A node holds its parents and, once it ran, a value; an operation also the function of tensors that
computes it.  No rule of derivation is written here: values carry the engine's history, and
``passes`` pulls gradients through it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any, ClassVar, NoReturn, cast
from weakref import ref

from backends import backend_of, get_default_dtype
from dlcore import ops
from dlcore.core import Primitive, alias
from dlcore.graph.passes import ancestors, by_age, differentiate, ordered
from dlcore.history import Node as History
from dlcore.history import next_age, recording, walk
from dlcore.operators import Operators
from dlcore.tensors import Tensor, tensor

Operand = Any  # a node; or a number, a tensor or an array, which becomes a constant
Given = Any  # what a placeholder is fed or a variable is given: a number, an array or a tensor

KINDS = {"multiply": "Mul", "subtract": "Sub", "divide": "Div", "negative": "Neg",
         "matmul": "MatMul", "relu": "ReLU", "leaky_relu": "LeakyReLU"}  # others as they are

_numbers: dict[str, Callable[[], int]] = defaultdict(lambda: count(1).__next__)


class NoShapeError(TypeError, AttributeError):
    """A node was asked what only its value knows; ``hasattr`` may ask, hence the second base."""


class Node(Operators):
    """What all nodes have in common; it compares and hashes by identity.

    Arithmetic on nodes, and every operation of dlcore that needs no shape, makes further nodes.
    """

    __slots__ = ("__weakref__", "_children", "_grad", "_name", "age", "held", "kind", "parents")

    level: ClassVar[int] = 9  # above every value that a node's function may meet
    leaf: History | None = None  # where gradients of an input arrive; see Input
    trainable: bool = False

    def __init__(self, kind: str, parents: tuple[Node, ...] = (), name: str | None = None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"{kind}: a name is a string, got {type(name).__name__}")
        self.kind, self.parents, self.age = kind, parents, next_age()
        self.held: Any = None  # what functions are given: a tensor; of a constant perhaps a number
        self._grad: Tensor | None = None
        self._name: str | int = _numbers[kind]() if name is None else name
        self._children: dict[ref[Node], None] = {}
        for parent in dict.fromkeys(parents):
            others = parent._children
            others[ref(self, cast("Callable[..., None]", others.pop))] = None

    @staticmethod
    def apply(primitive: Primitive, args: tuple[Any, ...], params: Any) -> Operation:
        """A node that applies ``primitive`` when it runs."""
        kind = KINDS.get(primitive.name) or primitive.name.capitalize()
        return Operation(partial(primitive, **params) if params else primitive, args, kind)

    # --- what can be looked at -------------------------------------------------------------------

    @property
    def name(self) -> str:
        """As given, or derived from what the node does."""
        return f"{self.kind.lower()}_{self._name}" if isinstance(self._name, int) else self._name

    @property
    def value(self) -> Tensor | None:
        """The value as a tensor; None before there is one."""
        return None if self.held is None else as_tensor(self.held).detach()

    @value.setter
    def value(self, given: Given) -> None:
        raise TypeError(f"{self.name}: the value of {self.kind} cannot be assigned, only that of a "
                        "placeholder or a variable")

    @property
    def grad(self) -> Tensor | None:
        """What the last backward pass found here; None before it and after :meth:`clear`."""
        return self._grad

    @property
    def children(self) -> tuple[Node, ...]:
        """The living nodes that take this one as an operand, in the order they were made."""
        return tuple(child for link in list(self._children) if (child := link()) is not None)

    # --- what it does as the end of a graph ------------------------------------------------------

    def forward(self) -> Tensor:
        """The value, computed with that of every ancestor that has none; kept until :meth:`clear`.

        Raises:
            ValueError: a placeholder that is needed has no value.
        """
        if self.held is None:
            pending = sorted(ancestors(self, lambda n: n.held is None), key=by_age)
            with recording(True):
                for node in pending:
                    node.run()
        return cast("Tensor", self.value)

    def backward(self) -> None:
        """Set the gradient of this node, a scalar, in itself and in every ancestor.

        Raises:
            ValueError: it has no value, one that is no scalar, or one that is out of date.
        """
        differentiate(ordered(self))

    def update(self, lr: float = 0.001) -> None:
        """Move a trainable variable by ``lr`` against its gradient; any other node stays."""

    def clear(self) -> None:
        """Drop the gradients of this node and its ancestors, and all values but the variables'."""
        for node in ancestors(self):
            node.drop()

    # --- for the passes --------------------------------------------------------------------------

    def run(self) -> None:
        """Compute the value from those of the parents."""
        raise ValueError(f"forward: {self.kind.lower()} {self.name} has no value; feed it, or "
                         f"assign {self.name}.value")

    def history(self) -> list[History]:
        """The part of the engine's history that is this node's own, youngest first."""
        return []

    def drop(self) -> None:
        """Forget value and gradient."""
        self.held = self._grad = None

    def received(self, g: Any) -> None:
        """Keep the raw gradient ``g``, or zeros where none arrived; integers have no gradient."""
        if g is None:
            self._grad = ops.zeros_like(self.value) if is_float(self.held) else None
        else:
            self._grad = ops.conj(Tensor(backend_of(self.held.array).asarray(g)))

    def _no_shape(self) -> NoReturn:
        raise NoShapeError(
            f"{self.name} has no shape and no dtype before it is fed; look at {self.name}.value, "
            f"or make a node of the whole function with dl.graph.node(function, {self.name})")

    shape = dtype = property(_no_shape)

    def __bool__(self) -> bool:
        raise TypeError(f"{self.name} has no truth value before the graph runs; "
                        "write dl.where instead of if")

    def __repr__(self) -> str:
        return self.name

    __eq__, __ne__, __hash__ = object.__eq__, object.__ne__, object.__hash__


class Input(Node):
    """A node without parents whose value comes from outside."""

    __slots__ = ("leaf",)

    def __init__(self, kind: str, name: str | None) -> None:
        super().__init__(kind, (), name)
        self.leaf = History(None, (), (), {}, _nobody, None)

    def give(self, value: Tensor) -> None:
        """Hold ``value``, without its own history, as something to differentiate in."""
        self.held = Tensor(value.array, self.leaf if is_float(value) else None)


class Placeholder(Input):
    """An input that is fed anew for every run.

    ``name`` is what errors and drawings call it.  Outside a :class:`Graph`, assign its ``value``.
    """

    __slots__ = ()

    def __init__(self, name: str | None = None) -> None:
        super().__init__("Placeholder", name)

    @property
    def value(self) -> Tensor | None:
        """What it was fed last; None after :meth:`clear`."""
        return super().value

    @value.setter
    def value(self, given: Given) -> None:
        self.give(read(self, given))


class Variable(Input):
    """An input that keeps its value from run to run, and learns if it is ``trainable``.

    Args:
        value: a Python number (it becomes the default float), a NumPy scalar or array (which keeps
            its dtype) or a tensor.
        name: what errors and drawings call it.
        trainable: whether :meth:`update` changes it; may be set later, too.

    Raises:
        TypeError: trainable, and of a dtype without derivatives.

        >>> w = Variable(0.5, name="w")
        >>> loss = w * w
        >>> loss.forward(); loss.backward(); w.update(lr=0.1)
        tensor(0.25, float32)
        >>> w.grad, w.value
        (tensor(1., float32), tensor(0.4, float32))
    """

    __slots__ = ("trainable",)

    def __init__(self, value: Given, name: str | None = None, trainable: bool = True) -> None:
        super().__init__("Variable", name)
        self.trainable = trainable
        self.give(read(self, value))
        if trainable and not is_float(self.held):
            raise TypeError(f"Variable {self.name}: {self.held.dtype} has no derivatives; give it "
                            "a float dtype, or pass trainable=False")

    @property
    def value(self) -> Tensor:
        """What it holds; a Python number that is assigned takes the dtype of what was there."""
        return cast("Tensor", super().value)

    @value.setter
    def value(self, given: Given) -> None:
        weak = type(given) in PYTHON_NUMBERS
        self.give(tensor(given, self.held.dtype) if weak else read(self, given))

    def update(self, lr: float = 0.001) -> None:
        """Move it by ``lr`` against its gradient if it is trainable.

        Raises:
            ValueError: no backward pass has given it a gradient.
        """
        if self.trainable:
            if self._grad is None:
                raise ValueError(f"update: {self.name} has no gradient; forward() and backward() "
                                 "come first")
            self.held = (self.held.detach() - self._grad * float(lr)).linked(self.leaf)

    def drop(self) -> None:
        """Forget the gradient, never the value."""
        self._grad = None


class Constant(Node):
    """A number or tensor that arithmetic met beside a node; it has no gradient.

    A Python number stays one, so that it adopts the dtype of what it meets.
    """

    __slots__ = ()

    def __init__(self, value: Given) -> None:
        weak = value is None or type(value) in PYTHON_NUMBERS
        super().__init__("Constant", (), repr(value) if weak else None)
        self.held = value if weak else read(self, value)

    def run(self) -> None:
        """It is what it is."""

    def drop(self) -> None:
        """It is what it is."""

    def received(self, g: Any) -> None:
        """It has no gradient."""


class Operation(Node):
    """A node that computes: ``function`` of the values of its parents.

    Args:
        function: takes as many tensors as there are operands, and returns one.
        operands: nodes; anything else becomes a constant.
        kind: what it does, in a word.
        name: what errors and drawings call it; derived from ``kind`` if None.
    """

    __slots__ = ("function", "read", "since")

    def __init__(self, function: Callable[..., Any], operands: Sequence[Operand], kind: str,
                 name: str | None = None) -> None:
        if not operands:
            raise ValueError(f"{kind}: needs at least one operand")
        parents = tuple(o if isinstance(o, Node) else Constant(o) for o in operands)
        super().__init__(kind, parents, name)
        self.function = function
        self.read: tuple[Any, ...] = ()

    def run(self) -> None:
        """Compute the value; remember from what, and which part of the history is its own."""
        self.since = next_age()
        self.read = tuple(parent.held for parent in self.parents)
        out = self.result(self.read)
        if out.node is not None and out.node.age < self.since:
            out = alias(out)  # an operand came back unchanged; it has a gradient of its own
        self.held = out

    def result(self, operands: Sequence[Any]) -> Tensor:
        """The function of ``operands`` as a tensor; a failure says where in the graph it was."""
        try:
            out = self.function(*operands)
            return out if type(out) is Tensor else self.one(out)
        except Exception as error:
            shapes = [tuple(getattr(o, "shape", ())) for o in operands]
            given = [f"{p.name} {s}" for p, s in zip(self.parents, shapes, strict=True)]
            error.add_note(f"in the graph: {self.kind} {self.name} of {', '.join(given)}")
            raise

    def one(self, out: Any) -> Tensor:
        """A result that is no tensor, as one."""
        if isinstance(out, tuple | list):
            raise TypeError(f"{self.kind} {self.name}: the function gave {len(out)} results, but a "
                            "node has one value; let it pick one of them")
        return tensor(out)

    def drop(self) -> None:
        """Forget value and gradient, and what they came from."""
        self.held = self._grad = None
        self.read = ()

    def history(self) -> list[History]:
        """The part of the engine's history that is this node's own, youngest first.

        Raises:
            ValueError: a parent was computed anew after this node.
        """
        for parent, used in zip(self.parents, self.read, strict=True):
            if parent.held is not used and type(parent) is Operation:
                raise ValueError(f"backward: {self.name} was computed from another value of "
                                 f"{parent.name} than it has now; clear() and forward() come first")
        return walk((self.held.node,), self.since)[0]


def _nobody() -> None:
    """Stands for the tensor of a leaf that gathers no ``.grad``: the node does."""


PYTHON_NUMBERS = (int, float, bool, complex)


def is_float(held: Any) -> bool:
    """Whether a gradient can arrive at what a node holds."""
    return type(held) is Tensor and held.dtype.kind in ("float", "complex")


def as_tensor(given: Given) -> Tensor:
    """``given`` as a tensor; whole Python numbers, in lists too, become the default float."""
    if type(given) is Tensor:
        return given
    made = tensor(float(given) if type(given) is int else given)
    whole = type(given) in (list, tuple) and made.dtype.kind == "int"
    return made.astype(get_default_dtype()) if whole else made


def read(node: Node, given: Given) -> Tensor:
    """What ``node`` is given, as a tensor; an error says which node it was."""
    try:
        return as_tensor(given)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{node.kind} {node.name}: {error}") from error
