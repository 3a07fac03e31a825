"""The engine: primitives, the history that values carry, and derivatives through it.

Read it top to bottom; nothing here knows an array library or an operation that users call.

* A :class:`Value` is anything primitives apply to: a ``Tensor`` computes at once, a ``Symbol``
  only writes down what to compute.  The most abstract argument decides.
* A :class:`Primitive` is an operation together with its derivative rules; the families
  :func:`elementwise`, :func:`linear` and :func:`bilinear` write most of those.
* A :class:`~dlcore.history.Node` remembers which primitive made a value and what its rules read.
* :func:`pullback` walks nodes from young to old (reverse mode), :func:`pushforward` the same
  nodes from old to young.  Rules take what they are given: raw arrays when nobody asks for more
  derivatives, values when the pass is itself recorded; so derivatives of any order need no code.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from backends import OWNERS, DType, as_dtype, backend_of
from dlcore.history import (NO_PARAMS, SMALL, Announced, Node, Shape, Spec, announced, described,
                            is_recording, leading_to)
from dlcore.samples import OPERATIONS, REAL, Domain, Sample, operation, sample
from dlcore.shaping import broadcast_shapes, checked_broadcast

__all__ = ["OPERATIONS", "PRIMITIVES", "Domain", "Primitive", "Sample", "Value", "alias", "bilinear",
           "broadcast_to", "cast", "cast_like", "dtype_of", "elementwise", "linear", "operation",
           "pullback", "pushforward", "sample", "select", "sum_to"]

Array = Any  # of whichever library a backend wraps
V = Any  # what a rule computes on: a Value, or a raw array when the pass is not recorded
Rule = Callable[..., V]
Rules = Sequence[Rule | None] | Callable[[int], Rule]

Tensor: Any = None  # set once by the last line of tensors.py: the hot path asks `type(x) is Tensor`


class Value:
    """Something primitives apply to.  ``node`` is its history, None for a constant."""

    __slots__ = ()
    level: ClassVar[int]  # of two kinds of value in one call the higher level decides
    node: Node | None
    shape: Shape

    @staticmethod
    def apply(primitive: Primitive, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        """Apply ``primitive`` to ``args``, of which this kind is the most abstract."""
        raise NotImplementedError  # every kind of value says what applying means for it

    def linked(self, node: Node | None) -> Any:
        """The same value with another history."""
        raise NotImplementedError  # as above


# --- declaring operations ----------------------------------------------------------------------

PRIMITIVES: dict[str, Primitive] = {}
"""Every declared primitive by name: what tests, docs and kernels iterate over."""


class Primitive:
    """An operation: what it computes, its result's shape and dtype, and its two derivatives.

    Args:
        forward: ``forward(xp, *arrays, **params)`` computes with the backend ``xp``.
        shape: ``shape(*shapes, **params)`` predicts the result's shape or raises ValueError; None
            where the shape depends on values: such a primitive cannot be traced.
        vjp: ``vjp[i](g, out, *args, **params)`` pulls the cotangent ``g`` back to argument ``i``.
        jvp: ``jvp[i](t, out, *args, **params)`` pushes the tangent ``t`` of argument ``i`` forward.
            In both, None means "no derivative in this argument"; for any number of arguments
            give a function from position to rule.
        samples: how to call it, for the tests; without samples it is not registered.
        result: dtype of the result: "same" as the arguments, "float" likewise but of integers the
            default float, the name of a dtype, or a function of the arguments' dtypes and the params.
        reads: which of ``"out"`` and forward's argument names the rules read the values of.
        promotes: positions of the arguments that must agree in dtype; None means all.
        outputs: what makes the result of a tuple of outputs (a named tuple's ``_make``), if several.
    """

    def __init__(self, name: str, forward: Callable[..., Any], shape: Callable[..., Any] | None,
                 vjp: Rules | Callable[[int], Rule] = (), jvp: Rules | Callable[[int], Rule] = (), *,
                 samples: Sequence[Sample] = (), result: str | Callable[..., DType] = "same",
                 reads: str | None = None, promotes: Sequence[int] | None = None,
                 outputs: Callable[[Iterable[Any]], Any] | None = None) -> None:
        self.name, self.forward, self.shape, self.samples = name, forward, shape, samples
        self.vjp, self.jvp = (PerPosition(r) if callable(r) else r for r in (vjp, jvp))
        self.result, self.promotes, self.outputs = result, promotes, outputs
        self.differentiable = bool(self.vjp)
        code = forward.__code__
        names = ("out", *code.co_varnames[1:code.co_argcount])
        self.reads = names if reads is None else tuple(reads.split())
        self.reads_all = all(n in self.reads for n in names)
        self.reads_args = tuple(n in self.reads for n in names[1:])
        self.same_dtype = result in ("same", "float")
        if samples:
            if name in PRIMITIVES:
                raise ValueError(f"primitive {name!r} is declared twice")
            PRIMITIVES[name] = self

    def __call__(self, *args: Any, **params: Any) -> Any:
        return self.apply(args, params)

    def apply(self, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        """The general call: the most abstract argument decides; raw arrays compute inside a pass."""
        kind: type[Value] | None = None
        for a in args:
            if isinstance(a, Value) and (kind is None or a.level > kind.level):
                kind = type(a)
        if kind is not None:
            return kind.apply(self, args, params)
        if (xp := announced()) is None:
            given = ", ".join(type(a).__name__ for a in args)
            raise TypeError(f"{self.name}: needs a tensor, got {given}; make one with dl.tensor(...)")
        return self.forward(xp, *args, **params)

    def kept(self, arrays: Sequence[Any], out: Any) -> tuple[tuple[Any, ...], Any]:
        """The arguments and result as a node keeps them: described where no rule reads them."""
        reads = self.reads_args if len(self.reads_args) == len(arrays) else (False,) * len(arrays)
        args = tuple(a if read else described(a) for a, read in zip(arrays, reads, strict=True))
        return args, out if "out" in self.reads or self.outputs else described(out)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


class Unary(Primitive):
    """A primitive of one array; this call is the hot path, ``dispatch.py`` the general one."""

    def __call__(self, x: Any, **params: Any) -> Any:  # type: ignore[override]  # one argument, not any
        if type(x) is not Tensor:
            return self.apply((x,), params)
        a, node = x.array, x.node
        try:
            xp = OWNERS[type(a)]
            out = self.forward(xp, a, **params)
        except Exception:
            return self.apply((x,), params)  # does it again with care, and explains what fails
        if self.same_dtype and out.dtype is not a.dtype:
            return self.apply((x,), params)  # integers become floats first
        if type(out) is not xp.array_type:
            out = xp.asarray(out)  # NumPy makes scalars of 0-d results
        if node is None or not (self.differentiable and is_recording()):
            return Tensor(out)
        if self.reads_all or (a.size <= SMALL and out.size <= SMALL):
            return Tensor(out, Node(self, (a,), (node,), params, out, xp))
        args, kept = self.kept((a,), out)
        return Tensor(out, Node(self, args, (node,), params, kept, xp))


class Binary(Primitive):
    """A primitive of two arrays, or of one and a Python number, without parameters; as hot as Unary."""

    def __call__(self, x: Any, y: Any) -> Any:  # type: ignore[override]  # two arguments, not any
        if type(x) is Tensor:
            a, dtype = x.array, x.array.dtype
            if type(y) is Tensor:
                b = y.array
                if b.dtype is not dtype:
                    return self.apply((x, y), NO_PARAMS)
                parents = (x.node, y.node)
            elif type(y) is float or type(y) is int:
                b, parents = y, (x.node, None)
            else:
                return self.apply((x, y), NO_PARAMS)
            owner = type(a)
        elif type(y) is Tensor and (type(x) is float or type(x) is int):
            a, b, dtype, parents, owner = x, y.array, y.array.dtype, (None, y.node), type(y.array)
        else:
            return self.apply((x, y), NO_PARAMS)
        try:
            xp = OWNERS[owner]
            out = self.forward(xp, a, b)
        except Exception:
            return self.apply((x, y), NO_PARAMS)
        if self.same_dtype and out.dtype is not dtype:
            return self.apply((x, y), NO_PARAMS)
        if type(out) is not xp.array_type:
            out = xp.asarray(out)
        if parents[0] is parents[1] is None or not (self.differentiable and is_recording()):
            return Tensor(out)
        if self.reads_all or out.size <= SMALL:
            return Tensor(out, Node(self, (a, b), parents, NO_PARAMS, out, xp))
        args, kept = self.kept((a, b), out)
        return Tensor(out, Node(self, args, parents, NO_PARAMS, kept, xp))


class PerPosition:
    """Rules of a primitive of any number of arguments, made when one is asked for."""

    def __init__(self, rule: Callable[[int], Rule]) -> None:
        self.rule = rule

    def __getitem__(self, position: int) -> Rule:
        return self.rule(position)


# --- the three families ------------------------------------------------------------------------


def linear(name: str, forward: Callable[..., Array], shape: Callable[..., Shape] | None, transpose: Rule,
           samples: Sequence[Sample] = (), **declared: Any) -> Primitive:
    """A primitive linear in its one array: it is its own jvp, and only the transpose is written.

    ``transpose(g, x, **params)`` may use the shape and dtype of ``x``, never its values.
    """
    def vjp(g: V, out: V, x: V, **params: Any) -> V:
        return transpose(g, x, **params)

    def jvp(t: V, out: V, x: V, **params: Any) -> V:
        return primitive(t, **params)

    primitive = Unary(name, forward, shape, (vjp,), (jvp,), samples=samples, reads="", **declared)
    return primitive


def bilinear(name: str, forward: Callable[..., Array], shape: Callable[..., Shape], left: Rule, right: Rule,
             samples: Sequence[Sample] = ()) -> Primitive:
    """A primitive linear in each of two arrays: a product of some kind.

    ``left(g, x, y)`` pulls ``g`` back to ``x``, ``right(g, x, y)`` to ``y``.
    """
    def jvp_left(t: V, out: V, x: V, y: V) -> V:
        return primitive(t, y)

    def jvp_right(t: V, out: V, x: V, y: V) -> V:
        return primitive(x, t)

    primitive = Binary(name, forward, shape,
                       (lambda g, out, x, y: left(g, x, y), lambda g, out, x, y: right(g, x, y)),
                       (jvp_left, jvp_right), samples=samples, reads="x y")
    return primitive


def elementwise(name: str, forward: Callable[..., Array], *rules: Rule | None, domain: Any = REAL,
                samples: Sequence[Sample] = (), **declared: Any) -> Primitive:
    """A primitive that acts on each element: one ``rule(d, out, *args, **params)`` per argument.

    Its Jacobian is diagonal, hence its own transpose: the same rule scales a cotangent or a tangent.
    Broadcasting is handled here, once, and no rule mentions it.
    """
    arity = forward.__code__.co_argcount - 1
    shapes = {1: ["a b", ""], 2: ["a b, a b", "a b, b", "a 1, 1 b", ", a"], 3: ["a b, a b, a b", "a 1, b, "]}
    samples = samples or [sample(s, domain) for s in shapes[arity]]
    if arity == 1:  # nothing broadcasts, so the rule is both derivatives as it stands
        return Unary(name, forward, broadcast_shapes, rules, rules, samples=samples, **declared)
    kind = Binary if arity == 2 and not forward.__code__.co_kwonlyargcount else Primitive
    return kind(name, forward, broadcast_shapes,
                tuple(rule and _pulled(rule, i) for i, rule in enumerate(rules)),
                tuple(rule and _pushed(rule) for rule in rules), samples=samples, **declared)


def _pulled(rule: Rule, i: int) -> Rule:
    def vjp(g: V, out: V, *args: V, **params: Any) -> V:
        d = rule(g, out, *args, **params)
        return d if d.shape == args[i].shape else sum_to(d, args[i].shape)
    return vjp


def _pushed(rule: Rule) -> Rule:
    def jvp(t: V, out: V, *args: V, **params: Any) -> V:
        return broadcast_to(rule(t, out, *args, **params), out.shape)
    return jvp


# --- the primitives that the engine itself needs -------------------------------------------------


def _sum_to(xp: Any, x: Array, *, shape: Shape) -> Array:
    extra = x.ndim - len(shape)
    repeated = (i + extra for i, n in enumerate(shape) if n == 1 and x.shape[i + extra] != 1)
    return xp.reshape(xp.sum(x, axis=(*range(extra), *repeated)), shape)


alias = linear("alias", lambda xp, x: x, lambda s: s, lambda g, x: g, [sample("a b")])
sum_to_p = linear("sum_to", _sum_to, lambda s, *, shape: shape, lambda g, x, *, shape: broadcast_to(g, x.shape),
                  [sample("a b c", shape=lambda s: (1, s["c"])), sample("a b", shape=())])
broadcast_to_p = linear("broadcast_to", lambda xp, x, *, shape: xp.broadcast_to(x, shape), checked_broadcast,
                        lambda g, x, *, shape: sum_to(g, x.shape),
                        [sample("a 1", shape=lambda s: (2, s["a"], 3)), sample("", shape=(2, 2))])
astype_p = linear("astype", lambda xp, x, *, dtype: xp.astype(x, dtype), lambda s, *, dtype: s,
                  lambda g, x, *, dtype: cast_like(g, x), [sample("a b", dtype="float64")],
                  result=lambda given, *, dtype: as_dtype(dtype))
truncate_p = Unary("truncate", lambda xp, x, *, dtype: xp.astype(x, dtype), lambda s, *, dtype: s,
                   samples=[sample("a b", dtype="int64"), sample("a", dtype="bool")],
                   result=lambda given, *, dtype: as_dtype(dtype))  # to a dtype without derivatives
select = Primitive("select", lambda xp, x, *, index: x[index], None)  # one of a node's several outputs
pack = Primitive("pack", lambda xp, *xs: xs, None, vjp=lambda i: lambda g, out, *xs: g[i])  # its adjoint


def sum_to(x: V, shape: Shape) -> V:
    """Undo broadcasting: ``x`` summed over the axes along which ``shape`` was repeated."""
    return x if x.shape == shape else sum_to_p(x, shape=shape)


def broadcast_to(x: V, shape: Shape) -> V:
    """``x`` repeated along new and size-1 axes until it has ``shape``."""
    return x if x.shape == shape else broadcast_to_p(x, shape=shape)


def dtype_of(x: V) -> DType:
    """The dtype of a value, a raw array or what a node keeps of one."""
    return as_dtype(x.dtype)


def cast(x: V, dtype: DType) -> V:
    """``x`` converted to ``dtype``; the gradient comes back in the dtype of ``x``."""
    if dtype_of(x) == dtype:
        return x
    return (astype_p if dtype.kind in ("float", "complex") else truncate_p)(x, dtype=dtype)


def cast_like(x: V, like: V) -> V:
    """``x`` converted to the dtype of ``like``."""
    return cast(x, dtype_of(like))


# --- derivatives -------------------------------------------------------------------------------

def lifted(a: Any, node: Node | None) -> Any:
    """The value whose array ``a`` a node kept; descriptions and Python numbers stay what they are."""
    if isinstance(a, Value):
        return a.linked(node)
    return a if not hasattr(a, "dtype") or type(a) is Spec else Tensor(a, node)


def operands(node: Node) -> tuple[Any, tuple[Any, ...]]:
    """The result and the arguments of ``node`` as values, whose histories lead where its own does."""
    args = tuple(lifted(a, parent) for a, parent in zip(node.args, node.parents, strict=True))
    if node.primitive.outputs is None:
        return lifted(node.out, node), args
    return tuple(lifted(o, selected(node, i)) for i, o in enumerate(node.out)), args


def selected(node: Node, index: int) -> Node:
    """The node of one output of a node that has several."""
    return Node(select, (None,), (node,), {"index": index}, node.out[index], node.xp)


def pullback(order: Sequence[Node], flow: dict[Node, V], targets: Collection[Node] | None = None, *,
             recorded: bool, release: tuple[str, int] | None = None) -> dict[Node, V]:
    """Reverse mode: the cotangents of ``targets``, or of every leaf, from those in ``flow``.

    Args:
        order: what :func:`history.walk` found, youngest first.
        flow: cotangents of some nodes, of their dtype; used up.
        targets: where to stop; a target that nothing reaches is left out of the answer.
        recorded: whether rules see values, so that the answer has a history, or raw arrays.
        release: the file and line of a pass that lets every node go as soon as it is done.
    """
    found: dict[Node, V] = {}
    useful = None if targets is None else leading_to(targets, reversed(order))
    with Announced() as here:
        for node in order:
            if node not in flow:
                continue
            g, primitive = flow.pop(node), node.primitive
            if primitive is None or (targets is not None and node in targets):
                found[node] = g
                continue
            if not recorded and node.xp is not here.xp:
                here.move(node.xp)
            out, args = operands(node) if recorded else (node.out, node.args)
            if primitive is select:
                parent, i = node.parents[0], node.params["index"]
                several = flow.setdefault(parent, [None] * len(parent.out))
                several[i] = g if several[i] is None else several[i] + g
            else:
                rules, params = primitive.vjp, node.params
                for i, parent in enumerate(node.parents):
                    if parent is not None and (useful is None or parent in useful):
                        d = rules[i](g, out, *args, **params)
                        if d is not None:  # a call of several arguments may leave some out
                            flow[parent] = flow[parent] + d if parent in flow else d
            if release is not None:
                node.release(release)
    return found


def pushforward(order: Sequence[Node], flow: dict[Node, V], *, recorded: bool) -> dict[Node, V]:
    """Forward mode over the same history: ``flow`` with the tangent of every node that it reaches."""
    with Announced() as here:
        for node in reversed(order):
            if node in flow or node.primitive is None or not any(p in flow for p in node.parents):
                continue
            if not recorded and node.xp is not here.xp:
                here.move(node.xp)
            out, args = operands(node) if recorded else (node.out, node.args)
            flow[node] = pushed(node, [flow.get(p) if p else None for p in node.parents], out, args)
    return flow


def pushed(node: Node, tangents: Sequence[V | None], out: V, args: Sequence[V]) -> V:
    """The tangent of ``node`` where at least one of its arguments has one."""
    primitive, total = node.primitive, None
    if primitive is select:
        return tangents[0][node.params["index"]]  # type: ignore[index]  # its one parent has a tangent
    if primitive is pack:
        return tangents
    for i, t in enumerate(tangents):
        if t is not None:
            d = primitive.jvp[i](t, out, *args, **node.params)
            total = d if total is None else total + d
    return total
