"""Programs: what a function computes, written down once and run again without the function.

:func:`trace` calls a function with symbols.  A :class:`Symbol` has a shape and a dtype but no numbers;
a primitive applied to one uses its shape rule and appends a step to the trace.  Derivatives work as
ever, for the rules are written with primitives.  Python branches on values cannot: a symbol has none.

    >>> import dlcore as dl
    >>> program = trace(dl.grad(lambda x: dl.sum(x * x)), dl.zeros(2))
    >>> program(dl.tensor([1.0, 2.0]))
    tensor([2., 4.], float32)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, NamedTuple, NoReturn

from backends import Backend, BackendError, DType, as_dtype
from dlcore import trees
from dlcore.core import Primitive, select
from dlcore.dispatch import WEAK, common_dtype, constant, operands_of, promoted, shape_of
from dlcore.history import Node, Shape, is_recording, keep
from dlcore.nans import watching
from dlcore.operators import Operators
from dlcore.tensors import Tensor, home_of

__all__ = ["Program", "Symbol", "trace"]


class Place(NamedTuple):
    """Where a step finds an argument: among the results of the steps before it."""

    position: int


class Step(NamedTuple):
    """One line of a program: a primitive with its arguments, or None for what is given from outside."""

    primitive: Primitive | None
    args: tuple[Any, ...]
    params: Mapping[str, Any]


class Trace:
    """A program while it is being written."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.homes: list[Backend] = []  # where each step computes
        self.captured: dict[int, tuple[Tensor, Symbol]] = {}  # by identity; tensors read anew at each run

    def append(self, step: Step, shape: Shape, dtype: DType, xp: Backend) -> Symbol:
        """The symbol of the result of a new step."""
        self.steps.append(step)
        self.homes.append(xp)
        return Symbol(self, len(self.steps) - 1, shape, dtype, xp)

    def symbol_of(self, x: Tensor) -> Symbol:
        """The symbol for a tensor that the function captured; its history is that of the tensor."""
        if id(x) not in self.captured:
            self.captured[id(x)] = x, self.append(Step(None, (), {}), *_kind("trace", x))
        return self.captured[id(x)][1].linked(x.node)


class Symbol(Operators):
    """A value that a program will compute: a shape, a dtype, and the place where it stands."""

    __slots__ = ("dtype", "node", "position", "shape", "trace", "xp")
    level: ClassVar[int] = 1

    def __init__(self, trace: Trace, position: int, shape: Shape, dtype: DType, xp: Backend,
                 node: Node | None = None) -> None:
        self.trace, self.position, self.shape, self.dtype = trace, position, shape, dtype
        self.xp, self.node = xp, node

    def linked(self, node: Node | None) -> Symbol:
        """The same value with another history."""
        return Symbol(self.trace, self.position, self.shape, self.dtype, self.xp, node)

    @property
    def requires_grad(self) -> bool:
        """Whether derivatives reach this value."""
        return self.node is not None

    def detach(self) -> Symbol:
        """The same value without history."""
        return self.linked(None)

    @staticmethod
    def apply(primitive: Primitive, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        """Write down one step and, if derivatives may be asked for, remember it."""
        first = next(a for a in args if type(a) is Symbol)
        home = first.trace
        if any(type(a) is Symbol and a.trace is not home for a in args):
            raise ValueError(f"{primitive.name}: the arguments belong to two traces; a symbol must not "
                             "outlive the function that is traced")
        given = [a if type(a) in WEAK or type(a) is Symbol else home.symbol_of(constant(primitive, a, first))
                 for a in args]
        values = promoted(primitive, given)
        arrays = [v.linked(None) if type(v) is Symbol else v for v in values]
        shapes, dtypes = _results(primitive, values, params)
        step = Step(primitive, tuple(Place(a.position) if type(a) is Symbol else a for a in arrays), params)
        xp = _home(primitive, arrays)
        parents = [v.node if type(v) is Symbol else None for v in values]
        live = primitive.differentiable and any(p is not None for p in parents) and is_recording()
        if primitive.outputs is None:
            out = home.append(step, shapes[0], dtypes[0], xp)
            return out.linked(_node(primitive, arrays, parents, params, out, xp)) if live else out
        whole = home.append(step, (), dtypes[0], xp).position
        outs = tuple(home.append(Step(select, (Place(whole),), {"index": i}), s, d, xp)
                     for i, (s, d) in enumerate(zip(shapes, dtypes, strict=True)))
        if not live:
            return primitive.outputs(outs)
        node = _node(primitive, arrays, parents, params, outs, xp)
        return primitive.outputs(
            o.linked(Node(select, (None,), (node,), {"index": i}, o, xp)
                     if o.dtype.kind in ("float", "complex") else None) for i, o in enumerate(outs))

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self} has no value until the program runs; use dl.where instead of a branch")

    def item(self) -> NoReturn:
        """Raises: there is no number yet."""
        raise TypeError(f"{self} has no value until the program runs; return it and read it then")

    __float__ = __int__ = __index__ = numpy = tolist = item

    def __repr__(self) -> str:
        primitive = self.trace.steps[self.position].primitive
        return f"<symbol {primitive.name if primitive else 'input'} {self.dtype}{self.shape}>"


def _node(primitive: Primitive, arrays: Sequence[Any], parents: Sequence[Node | None],
          params: Mapping[str, Any], out: Any, xp: Backend) -> Node:
    args, kept = keep(primitive, arrays, out)
    return Node(primitive, args, tuple(parents), params, kept, xp)


def _home(primitive: Primitive, arrays: Sequence[Any]) -> Backend:
    """The one backend where all symbols among ``arrays`` will be."""
    homes = list(dict.fromkeys(a.xp for a in arrays if type(a) is Symbol))
    if len(homes) > 1:
        raise BackendError(f"{primitive.name}: arrays on {homes[0].name} and {homes[1].name} in one "
                           "operation; move one of them with Tensor.to(...)")
    return homes[0]


def _results(primitive: Primitive, values: Sequence[Any],
             params: Mapping[str, Any]) -> tuple[list[Shape], list[DType]]:
    """The shapes and dtypes of all outputs, by the rules of the primitive."""
    if primitive.shape is None:
        raise TypeError(f"{primitive.name}: the shape of the result depends on values, so it cannot be "
                        "traced")
    try:
        shapes = primitive.shape(*map(shape_of, values), **params)
    except (ValueError, IndexError, TypeError) as reason:
        raise type(reason)(f"{primitive.name}: {reason}") from None
    operands = operands_of(primitive, values)
    given = [v.dtype for v in operands if type(v) is Symbol] or [common_dtype(primitive, operands)]
    dtypes: Any
    if callable(primitive.result):
        dtypes = primitive.result(given, **params)
    else:
        dtypes = given[0] if primitive.same_dtype else as_dtype(primitive.result)
    if primitive.outputs is None:
        return [shapes], [dtypes]
    return list(shapes), list(dtypes) if type(dtypes) is tuple else [dtypes] * len(shapes)


def _kind(name: str, x: Any) -> tuple[Shape, DType, Backend]:
    """What tells a tensor from one that needs another program."""
    if type(x) is not Tensor:
        raise TypeError(f"{name}: the arguments must be tensors, got {type(x).__name__}; "
                        "make it one with dl.tensor(...)")
    return tuple(x.shape), x.dtype, home_of(x)


class Program:
    """What a function computes, step by step; call it with other tensors of the same kind.

    Tensors that the function captured are read at each call, so a program sees parameters change.
    """

    def __init__(self, trace: Trace, inputs: Sequence[Symbol], arguments: Any, result: Any) -> None:
        self.inputs, self.arguments, self.result = inputs, arguments, result
        symbols = [trace.symbol_of(o) if type(o) is Tensor else o for o in trees.leaves(result)]
        if any(type(o) is Symbol and o.trace is not trace for o in symbols):
            raise ValueError("trace: the result belongs to another trace; a symbol must not outlive the "
                             "function that is traced")
        self.steps, self.homes = trace.steps, trace.homes
        self.outputs = [Place(o.position) if type(o) is Symbol else o for o in symbols]
        self.captured = [(x, s.position) for x, s in trace.captured.values()]
        last: dict[int, int] = {}
        for i, step in enumerate(self.steps):
            last.update((a.position, i) for a in step.args if type(a) is Place)
        keep = {o.position for o in self.outputs if type(o) is Place}
        self._done_after: list[list[int]] = [[] for _ in self.steps]
        for position, i in last.items():
            if position not in keep:
                self._done_after[i].append(position)

    def __len__(self) -> int:
        return len(self.steps)

    def __call__(self, *args: Any) -> Any:
        """The result for ``args``, which have the structure, shapes, dtypes and backend traced with.

        Raises:
            ValueError: they have not.
        """
        if not trees.same_structure(self.arguments, args):
            raise ValueError("program: the arguments are nested in another way than those it was traced with")
        done: list[Any] = [None] * len(self.steps)
        for symbol, x in zip(self.inputs, trees.leaves_as(self.arguments, args), strict=True):
            if _kind("program", x) != (symbol.shape, symbol.dtype, symbol.xp):
                raise ValueError(f"program: traced with {symbol.dtype}{symbol.shape} on {symbol.xp.name}, "
                                 f"called with {x.dtype}{tuple(x.shape)} on {x.backend}; trace it again")
            done[symbol.position] = x.array
        for x, position in self.captured:
            done[position] = x.array
        self._run(done)
        found = [Tensor(done[o.position]) if type(o) is Place else o for o in self.outputs]
        return trees.rebuilt(self.result, found)

    def _run(self, done: list[Any]) -> None:
        """Make every step, and leave its result at its place in ``done`` for as long as one needs it."""
        watch = watching()
        with ExitStack() as quiet:
            for xp in set(self.homes):
                quiet.enter_context(xp.quiet())
            here, scope = None, quiet.enter_context(ExitStack())
            for i, ((primitive, places, params), xp) in enumerate(zip(self.steps, self.homes, strict=True)):
                if xp is not here:
                    scope.close()
                    scope.enter_context(xp.scope())
                    here = xp
                if primitive is not None:
                    arrays = [done[a.position] if type(a) is Place else a for a in places]
                    done[i] = primitive.forward(xp, *arrays, **params)
                    if watch is not None:
                        watch.computed(primitive, arrays, params, done[i])
                for position in self._done_after[i]:
                    done[position] = None


def trace(f: Callable[..., Any], *args: Any) -> Program:
    """The program of ``f`` for arguments like ``args``: nested dicts, lists and tuples of tensors.

    ``f`` runs once, with symbols; what it does besides computing happens only now.
    """
    writing = Trace()
    inputs = [writing.append(Step(None, (), {}), *_kind("trace", x)) for x in trees.leaves(args)]
    result = f(*trees.rebuilt(args, inputs))
    return Program(writing, inputs, trees.mapped(lambda x: 0, args), result)
