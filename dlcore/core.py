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

import functools
import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from backends import OWNERS, DType, as_dtype
from dlcore.history import (NO_PARAMS, SMALL, Node, Released, Shape, Spec, Value, announce, announced,
                            dtype_of, is_recording, keep, leading_to)
from dlcore.nans import watching
from dlcore.samples import (OPERATIONS, REAL, Domain, PerPosition, Sample, also_complex, array_arguments,
                            operation, sample)
from dlcore.shaping import broadcast_shapes, checked_broadcast, repeated_axes

__all__ = ["OPERATIONS", "Domain", "Sample", "Value", "broadcast_shapes", "dtype_of", "operation", "sample"]

Array = Any  # of whichever library a backend wraps
V = Any  # what a rule computes on: a Value, or a raw array when the pass is not recorded
Rule = Callable[..., V]
Rules = Sequence[Rule | None] | Callable[[int], Rule]

Tensor: Any = None  # set once by the last line of tensors.py: the hot path asks `type(x) is Tensor`

# --- declaring operations ----------------------------------------------------------------------

PRIMITIVES: dict[str, Primitive] = {}  # every declared one by name: what tests and docs iterate over


class Primitive:
    """An operation: what it computes, its result's shape and dtype, and its two derivatives.

    Args:
        forward: ``forward(xp, *arrays, **params)`` computes with the backend ``xp``.
        shape: ``shape(*shapes, **params)`` predicts the result's shape or raises ValueError; None
            where the shape depends on values: such a primitive cannot be traced.
        vjp: ``vjp[i](g, out, *args, **params)`` pulls the cotangent ``g`` back to argument ``i``;
            None: no derivative in it.  For any number of arguments, a function from i to a rule.
        jvp: ``jvp[i](t, out, *args, **params)`` likewise pushes the tangent ``t`` of it forward.
        samples: how to call it, for the tests; without samples it is not registered.
        result: dtype of the result: "same" as the arguments, "float" likewise but of integers the
            default float, the name of a dtype, or a function of the arguments' dtypes and the params.
        reads: which of ``"out"`` and forward's argument names the rules read the values of.
        promotes: positions of the arguments that must agree in dtype; None means all.
        outputs: what makes the result of a tuple of outputs (a named tuple's ``_make``), if several.
        of_complex: whether it takes complex numbers, too (see ``ops/complexes.py``), hence is sampled so.
    """

    def __init__(self, name: str, forward: Callable[..., Any], shape: Callable[..., Any] | None,
                 vjp: Rules | Callable[[int], Rule] = (), jvp: Rules | Callable[[int], Rule] = (), *,
                 samples: Sequence[Sample] = (), result: str | Callable[..., DType] = "same",
                 reads: str | None = None, promotes: Sequence[int] | None = None,
                 outputs: Callable[[Iterable[Any]], Any] | None = None, of_complex: bool = False) -> None:
        self.name, self.forward, self.shape, self.of_complex = name, forward, shape, of_complex
        self.samples = also_complex(samples) if of_complex else samples
        self.vjp, self.jvp = (PerPosition(r) if callable(r) else r for r in (vjp, jvp))
        self.result, self.promotes, self.outputs = result, promotes, outputs
        self.differentiable = bool(self.vjp)
        names = ("out", *array_arguments(forward))
        self.reads = names if reads is None else tuple(reads.split())
        assert set(self.reads) <= set(names), f"{name} reads {self.reads}, forward takes {names}"
        self.reads_all = all(n in self.reads for n in names)
        self.reads_args = tuple(n in self.reads for n in names[1:])
        self.same_dtype = result in ("same", "float")
        if samples and PRIMITIVES.setdefault(name, self) is not self:
            raise ValueError(f"primitive {name!r} is declared twice")

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

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


class Unary(Primitive):
    """A primitive of one array; this call is the hot path, ``dispatch.py`` the general one."""

    def __call__(self, x: Any, **params: Any) -> Any:
        return self.call(x, params)

    def call(self, x: Any, params: Mapping[str, Any]) -> Any:
        """The same with parameters that are at hand: spreading them costs as much as ten elements do."""
        if type(x) is not Tensor:
            if type(x) in OWNERS and (raw := announced()) is not None:
                return self.forward(raw, x, **params) if params else self.forward(raw, x)
            return self.apply((x,), params)
        a, node = x.array, x.node
        try:
            xp = OWNERS[type(a)]
            out = self.forward(xp, a, **params) if params else self.forward(xp, a)
        except Exception:
            return self.apply((x,), params)  # does it again with care, and explains what fails
        if (self.same_dtype and out.dtype is not a.dtype) or (
                not self.of_complex and a.dtype in xp.complex_dtypes):
            return self.apply((x,), params)  # integers become floats first, complex numbers are refused
        if node is None or not (self.differentiable and is_recording()):
            return Tensor(out)
        if self.reads_all or (a.size <= SMALL and out.size <= SMALL):
            return Tensor(out, Node(self, (a,), (node,), params, out, xp))
        args, kept = keep(self, (a,), out)
        return Tensor(out, Node(self, args, (node,), params, kept, xp))


class Binary(Primitive):
    """A primitive of two arrays, or of one and a Python number, without parameters; as hot as Unary."""

    def __call__(self, x: Any, y: Any) -> Any:
        return self.call(x, y)

    @functools.cached_property
    def call(self) -> Callable[[Any, Any], Any]:
        """The call as a plain function, which operators bind as a method: a frame less for each."""
        forward, apply, same_dtype = self.forward, self.apply, self.same_dtype
        reads_all, differentiable, of_complex = self.reads_all, self.differentiable, self.of_complex

        def hot(x: Any, y: Any) -> Any:
            if type(x) is Tensor:
                a, p = x.array, x.node
                dtype, owner = a.dtype, type(a)
                if type(y) is Tensor:
                    b, q = y.array, y.node
                    if b.dtype is not dtype:
                        return apply((x, y), NO_PARAMS)
                elif type(y) is float or type(y) is int:
                    b, q = y, None
                else:
                    return apply((x, y), NO_PARAMS)
            elif type(y) is Tensor and (type(x) is float or type(x) is int):
                a, p, b, q = x, None, y.array, y.node
                dtype, owner = b.dtype, type(b)
            elif type(x) in OWNERS and type(y) in OWNERS and (xp := announced()) is not None:
                return forward(xp, x, y)
            else:
                return apply((x, y), NO_PARAMS)
            try:
                xp = OWNERS[owner]
                out = forward(xp, a, b)
            except Exception:
                return apply((x, y), NO_PARAMS)
            if (same_dtype and out.dtype is not dtype) or (not of_complex and dtype in xp.complex_dtypes):
                return apply((x, y), NO_PARAMS)
            if (p is None and q is None) or not (differentiable and is_recording()):
                return Tensor(out)
            if reads_all or out.size <= SMALL:
                return Tensor(out, Node(self, (a, b), (p, q), NO_PARAMS, out, xp))
            args, kept = keep(self, (a, b), out)
            return Tensor(out, Node(self, args, (p, q), NO_PARAMS, kept, xp))

        return hot


# --- the three families ------------------------------------------------------------------------

same: Rule = lambda d, out, *args, **params: d  # a slope of 1


def linear(name: str, forward: Callable[..., Array], shape: Callable[..., Shape] | None, transpose: Rule,
           samples: Sequence[Sample] = (), **declared: Any) -> Unary:
    """A primitive linear in its one array: it is its own jvp, and only the transpose is written.

    ``transpose(g, x, **params)`` may use the shape and dtype of ``x``, never its values.
    """
    primitive: Unary = Unary(
        name, forward, shape, (lambda g, out, x, **params: transpose(g, x, **params),),
        (lambda t, out, x, **params: primitive(t, **params),), samples=samples,
        **{"reads": "", "of_complex": True, **declared})
    return primitive


def bilinear(name: str, forward: Callable[..., Array], shape: Callable[..., Shape], left: Rule, right: Rule,
             samples: Sequence[Sample] = ()) -> Primitive:
    """A primitive linear in each of two arrays; ``left(g, x, y)`` pulls back to ``x``, ``right`` to ``y``."""
    primitive: Primitive = Binary(
        name, forward, shape,
        (lambda g, out, x, y: left(g, x, y), lambda g, out, x, y: right(g, x, y)),
        (lambda t, out, x, y: primitive(t, y), lambda t, out, x, y: primitive(x, t)),
        samples=samples, reads="x y", of_complex=True)
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
                tuple(rule and _pulled(rule, i, kind is Binary) for i, rule in enumerate(rules)),
                tuple(rule and _pushed(rule) for rule in rules), samples=samples, **declared)


def _pulled(rule: Rule, i: int, binary: bool) -> Rule:
    """``rule`` as a vjp: what broadcasting repeated is summed."""
    def general(g: V, out: V, *args: V, **params: Any) -> V:
        return sum_to(rule(g, out, *args, **params), args[i].shape)

    def left(g: V, out: V, x: V, y: V) -> V:
        d = g if rule is same else rule(g, out, x, y)
        return d if d.shape == x.shape else sum_to(d, x.shape)

    def right(g: V, out: V, x: V, y: V) -> V:
        d = g if rule is same else rule(g, out, x, y)
        return d if d.shape == y.shape else sum_to(d, y.shape)

    return (left, right)[i] if binary else general


def _pushed(rule: Rule) -> Rule:
    """``rule`` as a jvp: what the other arguments' shapes add is repeated."""
    return lambda t, out, *args, **params: broadcast_to(rule(t, out, *args, **params), out.shape)


# --- the primitives that the engine itself needs -------------------------------------------------

alias = linear("alias", lambda xp, x: x, lambda s: s, lambda g, x: g, [sample("a b")])
sum_to_p = linear("sum_to",
                  lambda xp, x, *, shape: xp.reshape(xp.sum(x, repeated_axes(x.shape, shape)), shape),
                  lambda s, *, shape: shape, lambda g, x, *, shape: broadcast_to(g, x.shape),
                  [sample("a b c", shape=lambda s: (1, s["c"])), sample("a b", shape=())])
broadcast_to_p = linear("broadcast_to", lambda xp, x, *, shape: xp.broadcast_to(x, shape), checked_broadcast,
                        lambda g, x, *, shape: sum_to(g, x.shape),
                        [sample("a 1", shape=lambda s: (2, s["a"], 3)), sample("", shape=(2, 2))])
_convert, _chosen = lambda xp, x, *, dtype: xp.converted(x, dtype), lambda given, *, dtype: as_dtype(dtype)
astype_p = linear("astype", _convert, lambda s, *, dtype: s, lambda g, x, *, dtype: cast_like(g, x),
                  [sample("a b", dtype="float64"), sample("a", dtype="complex128")], result=_chosen)
truncate_p = Unary("truncate", _convert, lambda s, *, dtype: s, result=_chosen,  # to what has no derivatives
                   samples=[sample("a b", dtype="int64"), sample("a", dtype="bool")])
select = Primitive("select", lambda xp, x, *, index: x[index], None)  # one of a node's several outputs
pack = Primitive("pack", lambda xp, *xs: xs, None, vjp=lambda i: lambda g, out, *xs: g[i])  # its adjoint


def sum_to(x: V, shape: Shape) -> V:
    """Undo broadcasting: ``x`` summed over the axes along which ``shape`` was repeated."""
    if x.shape == shape:
        return x
    raw = announced() if type(x) in OWNERS else None  # what the call would do, sooner
    return sum_to_p(x, shape=shape) if raw is None else sum_to_p.forward(raw, x, shape=shape)


def broadcast_to(x: V, shape: Shape) -> V:
    """``x`` repeated along new and size-1 axes until it has ``shape``."""
    if x.shape == shape:
        return x
    raw = announced() if type(x) in OWNERS else None
    return broadcast_to_p(x, shape=shape) if raw is None else raw.broadcast_to(x, shape)


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


def selected(node: Node, index: int) -> Node | None:
    """The node of one output of a node that has several; one of integers has none, nor a derivative."""
    out = node.out[index]
    smooth = dtype_of(out).kind in ("float", "complex")
    return Node(select, (None,), (node,), {"index": index}, out, node.xp) if smooth else None


def pullback(order: Sequence[Node], flow: dict[Node, V], targets: Collection[Node] | None = None, *,
             recorded: bool, release: Released | None = None) -> dict[Node, V]:
    """Reverse mode: the cotangents of ``targets``, or of every leaf, from those in ``flow``.

    ``order`` is what :func:`history.walk` found, youngest first; a target that nothing reaches is
    left out of the answer.  ``recorded`` says whether rules see values, so that the answer has a
    history, or raw arrays; with ``release`` every node lets go as soon as the pass is done with it.
    """
    found: dict[Node, V] = {}
    useful = None if targets is None else leading_to(targets, reversed(order))
    before = here = announced()
    scope, take, watch = None, flow.pop, None if OWNERS else watching()
    try:
        for node in order:
            if (g := take(node, None)) is None:
                continue
            primitive = node.primitive
            if primitive is None or (targets is not None and node in targets):
                found[node] = g
                continue
            if node.xp is not here and not recorded:
                here, scope = node.xp, announce(node.xp, scope)
            out, args = operands(node) if recorded else (node.out, node.args)
            if primitive is select:
                (parent,), i = node.parents, node.params["index"]
                several = flow.setdefault(parent, [None] * len(parent.out))  # type: ignore[arg-type, union-attr]
                several[i] = g if several[i] is None else several[i] + g
            else:
                params = node.params
                for parent, rule in zip(node.parents, primitive.vjp):
                    if parent is not None and (useful is None or parent in useful):
                        if len(args) == 2 and not params:  # unpacking costs as much as ten elements do
                            d = rule(g, out, args[0], args[1])
                        else:
                            d = rule(g, out, *args, **params) if params else rule(g, out, *args)
                        if parent not in flow:
                            flow[parent] = d
                        elif d is not None:  # a call of several arguments may leave some out
                            flow[parent] = d if flow[parent] is None else flow[parent] + d
            if watch is not None:
                watch.pulled(node, g, flow)
            if release is not None:
                node.args, node.out, node.parents = (), None, release
    finally:
        if here is not before:
            announce(before, scope)
    return found


def pushforward(order: Sequence[Node], flow: dict[Node, V], *, recorded: bool) -> dict[Node, V]:
    """Forward mode over the same history: ``flow`` with the tangent of every node that it reaches."""
    before = here = announced()
    scope, watch = None, None if OWNERS else watching()
    try:
        for node in reversed(order):
            tangents = [None if parent is None else flow.get(parent) for parent in node.parents]
            if node in flow or all(t is None for t in tangents):
                continue
            if node.xp is not here and not recorded:
                here, scope = node.xp, announce(node.xp, scope)
            flow[node] = _pushed_through(node, tangents, recorded)
            if watch is not None:
                watch.pushed(node, tangents, flow[node])
    finally:
        if here is not before:
            announce(before, scope)
    return flow


def _pushed_through(node: Node, tangents: Sequence[V | None], recorded: bool) -> V:
    """The tangent of ``node``: the sum of what its arguments with a tangent contribute."""
    out, args = operands(node) if recorded else (node.out, node.args)
    if node.primitive is select:
        return tangents[0][node.params["index"]]  # type: ignore[index]  # its parent has several
    if node.primitive is pack:
        return tangents
    parts = [rule(t, out, *args, **node.params)
             for t, rule in zip(tangents, node.primitive.jvp, strict=False) if t is not None]
    if node.primitive.outputs is None or len(parts) == 1:
        return functools.reduce(operator.add, parts)
    return [functools.reduce(operator.add, each) for each in zip(*parts, strict=True)]
