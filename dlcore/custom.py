"""Functions with a say in their own derivative: ``custom_vjp`` gives the rule, ``remat`` recomputes.

Both put a whole call into the history as one node with several outputs.  The cotangents of all its
arguments come at once, so its one parent is a ``pack`` node, which hands them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dlcore import core, ops, random, trees
from dlcore.core import Primitive, Value, alias, lifted, pack, selected
from dlcore.history import Node, is_recording, next_age, recording, unannounced, walk
from dlcore.tensors import Tensor, tensor
from dlcore.transforms import Linearized, Tree, bare, home_of

__all__ = ["custom_vjp", "remat"]


class Kept:
    """A value as a node may keep it without a cycle: its array and its history apart."""

    __slots__ = ("array", "node")

    def __init__(self, x: Value) -> None:
        self.array, self.node = bare(x), x.node


def kept(tree: Tree) -> Tree:
    """``tree`` with every value as a node may keep it."""
    return trees.mapped(lambda x: Kept(x) if isinstance(x, Value) else x, tree)


def restored(tree: Tree, recorded: bool) -> Tree:
    """What :func:`kept` took apart; with its history only if the pass is recorded."""
    return trees.mapped(lambda k: lifted(k.array, k.node if recorded else None) if type(k) is Kept else k, tree)


class Call:
    """One call of a function that is a single node of the history; its derivatives work on values."""

    def pull(self, gs: list[Value], recorded: bool) -> Sequence[Value | None]:
        """The cotangent of every parent that belongs to those of all outputs; None for zeros."""
        raise NotImplementedError  # the two kinds below say how

    def push(self, ts: Sequence[Value | None], recorded: bool) -> Sequence[Value | None]:
        """The tangent of every output that belongs to those of the parents; None for zeros."""
        raise NotImplementedError  # as above


def _on_values(gs: Sequence[Any], outs: Sequence[Any], derive: Callable[..., Sequence[Any]]) -> list[Any]:
    """``derive(gs, recorded)`` with values for raw arrays, and raw arrays of what it returns."""
    with unannounced() as recorded:
        found = derive([g if g is None or isinstance(g, Value) else Tensor(g) for g in gs], recorded)
        return [d if d is None or recorded else bare(d) for d in found]


def _pull(gs: Sequence[Any], outs: Sequence[Any], packed: Any, *, call: Call) -> list[Any]:
    full = [ops.zeros_like(o) if g is None else g for g, o in zip(gs, outs, strict=True)]
    return _on_values(full, outs, call.pull)


def _push(ts: Sequence[Any], outs: Sequence[Any], packed: Any, *, call: Call) -> list[Any]:
    found = _on_values(ts, outs, call.push)
    return [ops.zeros_like(o) if t is None else t for t, o in zip(found, outs, strict=True)]


composite = Primitive("composite", lambda xp, packed, *, call: packed, None, (_pull,), (_push,), outputs=tuple)


def entered(call: Call, result: Tree, outputs: Sequence[Value], parents: Sequence[Node | None]) -> Tree:
    """``result`` as new values, whose history is one node: ``call``, made from ``parents``."""
    xp, arrays = home_of(outputs[0]), [bare(o) for o in outputs]
    packed = Node(pack, (None,) * len(parents), tuple(parents), {}, None, xp)
    node = Node(composite, (None,), (packed,), {"call": call}, tuple(arrays), xp)
    return trees.rebuilt(result, [lifted(a, selected(node, i)) for i, a in enumerate(arrays)])


def run(f: Callable[..., Any], args: Tree) -> tuple[Any, list[Any], int]:
    """``f(*args)`` recorded from stand-ins for the arguments, those, and the age of its oldest node."""
    since = next_age()
    with recording(True):
        inputs = [alias(x) if isinstance(x, Value) and x.node is not None else x for x in trees.leaves(args)]
        return f(*trees.rebuilt(args, inputs)), inputs, since


def captured(values: Iterable[Any], inputs: Iterable[Any], since: int) -> tuple[list[Node], list[Node]]:
    """The history of ``values`` since ``since``, and the nodes outside it that are not behind ``inputs``."""
    roots = [v.node for v in values if isinstance(v, Value)]
    own = {x.node for x in inputs if isinstance(x, Value)}
    order, _ = walk(roots, since)
    found = dict.fromkeys(n for n in roots if n is not None and n.age < since)
    for node in order:
        if node.primitive is None:
            found[node] = None
        elif node not in own:
            found.update(dict.fromkeys(p for p in node.parents if p is not None and p.age < since))
    return order, list(found)


def as_values(tree: Tree) -> list[Any]:
    """The leaves of a result; numbers become tensors."""
    return [o if isinstance(o, Value) else tensor(o) for o in trees.leaves(tree)]


# --- a rule of the user's own ----------------------------------------------------------------------------


class CustomCall(Call):
    """A call whose derivative the user gave."""

    def __init__(self, backward: Callable[[Tree, Tree], Any], saved: Tree, result: Tree, args: tuple[Tree, ...],
                 outputs: Sequence[Value]) -> None:
        self.backward, self.saved = backward, kept(saved)
        self.result = trees.mapped(lambda o: 0, result)  # only how it is nested
        self.shapes = [[getattr(x, "shape", ()) for x in trees.leaves(a)] for a in args]
        self.zeros = [Kept(ops.zeros_like(o.linked(None))) for o in outputs]

    def pull(self, gs: Sequence[Value], recorded: bool) -> list[Value | None]:
        found = self.backward(restored(self.saved, recorded), trees.rebuilt(self.result, gs))
        each = [found] if len(self.shapes) == 1 and not (isinstance(found, tuple) and len(found) == 1) else found
        if not isinstance(each, list | tuple) or len(each) != len(self.shapes):
            raise ValueError(f"custom_vjp: backward must return {len(self.shapes)} cotangents, one for each "
                             f"argument, got {type(found).__name__}{'' if not isinstance(found, tuple) else f' of {len(found)}'}")
        matched: list[Value | None] = []
        for g, shapes in zip(each, self.shapes, strict=True):
            given = [None] * len(shapes) if g is None else trees.leaves(g)
            if [getattr(x, "shape", s) for x, s in zip(given, shapes, strict=False)] != shapes or len(given) != len(shapes):
                raise ValueError(f"custom_vjp: backward returned a cotangent of shapes "
                                 f"{[getattr(x, 'shape', None) for x in given]} for an argument of shapes {shapes}")
            matched += given
        return matched

    def push(self, ts: Sequence[Value | None], recorded: bool) -> Sequence[Value | None]:
        """The rule is linear in the cotangent, so pulling back through it pushes forward."""
        live = [i for i, t in enumerate(ts) if t is not None]

        def pulled(*gs: Value) -> list[Value]:
            found, zero = self.pull(gs, recorded), ops.sum(gs[0]) * 0.0
            return [zero + ops.zeros_like(ts[i]) if (d := found[i]) is None else d for i in live]

        at = Linearized("custom_vjp", pulled, [lifted(z.array, None) for z in self.zeros])
        pushed: Sequence[Value] = at.pull([ts[i] for i in live])
        return pushed


def custom_vjp(forward: Callable[..., tuple[Tree, Tree]],
               backward: Callable[[Tree, Tree], Any]) -> Callable[..., Tree]:
    """A function whose derivative is the one you give.

    Args:
        forward: ``forward(*args)`` returns the result and whatever ``backward`` needs.
        backward: ``backward(saved, cotangent)`` returns the cotangent of every argument (of a single
            argument as it is), None for zeros.

    Both see tensors.  With ``backward`` written in dlcore operations it can be differentiated again.

    Raises:
        ValueError: ``forward`` uses a tensor that requires a gradient and is no argument, or
            ``backward`` returns cotangents that do not fit the arguments.

        >>> import dlcore as dl
        >>> loud = dl.custom_vjp(lambda x: (dl.exp(x), None), lambda saved, g: 100.0 * g)
        >>> dl.grad(loud)(dl.tensor(0.0))
        tensor(100., float32)
    """
    def call(*args: Tree) -> Tree:
        parents = [x.node if isinstance(x, Value) else None for x in trees.leaves(args)]
        if not is_recording() or not any(parents):
            return forward(*args)[0]
        (out, saved), inputs, since = run(forward, args)
        outputs = as_values(out)
        if captured([*outputs, *trees.leaves(saved)], inputs, since)[1]:
            raise ValueError("custom_vjp: forward uses a tensor that requires a gradient and is not an argument; "
                             "make it an argument, or detach() it")
        return entered(CustomCall(backward, saved, out, args, outputs), out, outputs, parents)

    return call


# --- recomputing instead of remembering --------------------------------------------------------------------


class Recomputed(Call):
    """A call that is made again when its derivative is asked for."""

    def __init__(self, f: Callable[..., Tree], args: tuple[Tree, ...], outside: Sequence[Node],
                 state: tuple[int, int]) -> None:
        self.f, self.args, self.outside, self.state = f, kept(args), list(outside), state
        self.active = [type(k) is Kept and k.node is not None for k in trees.leaves(self.args)]

    def again(self, recorded: bool) -> tuple[list[Value], list[Node], list[Node | None]]:
        """The outputs of another run, its history, and the nodes in it that stand for the parents."""
        args = restored(self.args, recorded)
        if not recorded:  # the arguments are leaves now
            args = trees.rebuilt(args, [x.linked(Node(None, (), (), {}, lambda: None, home_of(x))) if on else x
                                        for x, on in zip(trees.leaves(args), self.active, strict=True)])
        before, random.default_generator.state = random.default_generator.state, self.state
        try:
            result, inputs, since = run(self.f, args)
        finally:
            random.default_generator.state = before
        outputs = as_values(result)
        order, _ = walk([o.node for o in outputs], since)
        return outputs, order, [x.node if on else None for x, on in zip(inputs, self.active, strict=True)]

    def pull(self, gs: list[Value], recorded: bool) -> Sequence[Value | None]:
        outputs, order, inputs = self.again(recorded)
        flow: dict[Node, Any] = {}
        for o, g in zip(outputs, gs, strict=True):
            if o.node is not None:
                d = g if recorded else bare(g)
                flow[o.node] = flow[o.node] + d if o.node in flow else d
        targets = [n for n in (*inputs, *self.outside) if n is not None]
        found = core.pullback(order, flow, targets, recorded=recorded) | flow  # what is outside stays in flow
        return [self._value(found.get(n)) if n else None for n in (*inputs, *self.outside)]

    def push(self, ts: Sequence[Value | None], recorded: bool) -> Sequence[Value | None]:
        outputs, order, inputs = self.again(recorded)
        flow = {n: t if recorded else bare(t) for n, t in zip((*inputs, *self.outside), ts, strict=True)
                if n is not None and t is not None}
        reached = core.pushforward(order, flow, recorded=recorded)
        return [self._value(reached.get(o.node)) if o.node else None for o in outputs]

    def _value(self, d: Any) -> Value | None:
        return d if d is None or isinstance(d, Value) else Tensor(d)


def remat(f: Callable[..., Tree]) -> Callable[..., Tree]:
    """``f``, but its inner values are computed again in the backward pass instead of being kept.

    Saves memory and costs a second forward run.  Tensors that ``f`` captures (a layer's parameters)
    get their gradients as ever; draws from ``dl.random`` repeat themselves.

        >>> import dlcore as dl
        >>> dl.grad(dl.remat(lambda x: dl.sin(x) * x))(dl.tensor(0.0))
        tensor(0., float32)
    """
    def call(*args: Tree) -> Tree:
        if not is_recording():
            return f(*args)
        state = random.default_generator.state
        result, inputs, since = run(f, args)
        outputs = as_values(result)
        _, outside = captured(outputs, inputs, since)
        parents = [x.node if isinstance(x, Value) else None for x in trees.leaves(args)] + outside
        if not outputs or not any(parents):
            return result
        return entered(Recomputed(f, args, outside, state), result, outputs, parents)

    return call
