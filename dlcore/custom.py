"""Functions with a say in their own derivative: ``custom_vjp`` gives the rule, ``remat`` recomputes.

Both put a whole call into the history as one node with several outputs.  The cotangents of all its
arguments come at once, so its one parent is a ``pack`` node, which hands them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from backends import OWNERS, Backend, DType
from dlcore import core, ops, random, trees
from dlcore.core import Primitive, Value, alias, dtype_of, lifted, pack, selected
from dlcore.history import Node, Shape, is_recording, next_age, recording, unannounced, walk
from dlcore.nans import noted
from dlcore.tensors import Tensor, home_of, matching, tensor
from dlcore.transforms import Linearized, Tree, bare, own_leaf, stand_in

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
    def restore(k: Any) -> Any:
        return lifted(k.array, k.node if recorded else None) if type(k) is Kept else k

    return trees.mapped(restore, tree)


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


composite = Primitive(
    "composite", lambda xp, packed, *, call: packed, None, (_pull,), (_push,), outputs=tuple)


def entered(call: Call, outputs: Sequence[Value], parents: Sequence[Node | None]) -> list[Any]:
    """``outputs`` as new values, whose history is one node: ``call``, made from ``parents``."""
    xp, arrays = home_of(outputs[0]), [bare(o) for o in outputs]
    packed = Node(pack, (None,) * len(parents), tuple(parents), {}, None, xp)
    node = Node(composite, (None,), (packed,), {"call": call}, tuple(arrays), xp)
    if not OWNERS:
        noted(node)
    return [lifted(a, selected(node, i)) for i, a in enumerate(arrays)]


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
        if own_leaf(node):
            found[node] = None
        elif node not in own:
            found.update(dict.fromkeys(p for p in node.parents if p is not None and p.age < since))
    return order, list(found)


def as_values(tree: Tree) -> list[Any]:
    """The leaves of a result; numbers become tensors."""
    return [o if isinstance(o, Value) else tensor(o) for o in trees.leaves(tree)]


# --- a rule of the user's own ----------------------------------------------------------------------------


class Like(NamedTuple):
    """What is known of a value whose cotangent is to come: it must have the same."""

    shape: Shape
    dtype: DType
    xp: Backend


def like(x: Value) -> Like:
    return Like(x.shape, dtype_of(x), home_of(x))


class CustomCall(Call):
    """A call whose derivative the user gave."""

    def __init__(self, backward: Callable[[Tree, Tree], Any], saved: Tree, result: Tree,
                 args: tuple[Tree, ...], outputs: Sequence[Value]) -> None:
        self.backward, self.saved = backward, kept(saved)
        self.result, self.args = (trees.mapped(lambda o: 0, t) for t in (result, args))  # their structure
        self.likes = [[like(x) if isinstance(x, Value) else None for x in trees.leaves(a)] for a in args]
        self.outputs = [like(o) for o in outputs]

    def pull(self, gs: Sequence[Value], recorded: bool) -> list[Value | None]:
        gs = list(map(ops.conj, gs))  # users are given, and give, what passes carry the conjugates of
        found = self.backward(restored(self.saved, recorded), trees.rebuilt(self.result, gs))
        count = len(self.likes)
        each = [found] if count == 1 and not (isinstance(found, tuple) and len(found) == 1) else found
        if not isinstance(each, list | tuple) or len(each) != count:
            raise ValueError(f"custom_vjp: backward must return {count} cotangents, one for each argument, "
                             f"got {_counted(found)}")
        matched: list[Value | None] = []
        for i, (g, likes) in enumerate(zip(each, self.likes, strict=True)):
            if g is not None and not trees.same_structure(self.args[i], g):
                raise ValueError(f"custom_vjp: the cotangent that backward returned for argument {i} must be "
                                 "nested like that argument")
            given = [None] * len(likes) if g is None else trees.leaves_as(self.args[i], g)
            what = f"custom_vjp: the cotangent that backward returned for argument {i}"
            matched += [None if d is None or x is None or x.dtype.kind not in ("float", "complex")
                        else ops.conj(matching(what, d, x)) for d, x in zip(given, likes, strict=True)]
        return matched

    def push(self, ts: Sequence[Value | None], recorded: bool) -> Sequence[Value | None]:
        """The rule is linear in the cotangent, so pulling back through it pushes forward."""
        live = [i for i, t in enumerate(ts) if t is not None]
        smooth = [i for i, o in enumerate(self.outputs) if o.dtype.kind in ("float", "complex")]
        zeros: list[Value] = [Tensor(o.xp.zeros(o.shape, o.dtype)) for o in self.outputs]

        def pulled(*gs: Value) -> list[Value]:
            full = dict(enumerate(zeros)) | dict(zip(smooth, gs, strict=True))
            found = self.pull(list(full.values()), recorded)
            return [ops.zeros_like(ts[i]) if (d := found[i]) is None else d for i in live]

        at = Linearized("custom_vjp", pulled, [zeros[i] for i in smooth])
        pushed = dict(zip(smooth, map(ops.conj, at.pull([ops.conj(ts[i]) for i in live])), strict=True))
        return [pushed.get(i) for i in range(len(zeros))]


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
        if not is_recording():
            return in_two(forward(*args))[0]
        parents = [x.node if isinstance(x, Value) else None for x in trees.leaves(args)]
        both, inputs, since = run(forward, args)
        out, saved = in_two(both)
        outputs = as_values(out)
        if captured([*outputs, *trees.leaves(saved)], inputs, since)[1]:
            raise ValueError("custom_vjp: forward uses a tensor that requires a gradient and is not an "
                             "argument; make it an argument, or detach() it")
        if not outputs or not any(parents):
            return out
        return trees.rebuilt(out, entered(CustomCall(backward, saved, out, args, outputs), outputs, parents))

    return call


def in_two(both: Any) -> tuple[Tree, Tree]:
    """What ``forward`` returned: the result and what is saved."""
    if not isinstance(both, tuple) or len(both) != 2:
        raise TypeError("custom_vjp: forward must return two things, the result and what backward needs; "
                        f"got {_counted(both)}")
    return both


def _counted(x: Any) -> str:
    """What kind of thing ``x`` is, and of how many."""
    return f"a {type(x).__name__}{f' of {len(x)}' if isinstance(x, tuple) else ''}"


# --- recomputing instead of remembering --------------------------------------------------------------------


class Recomputed(Call):
    """A call that is made again when its derivative is asked for."""

    def __init__(self, f: Callable[..., Tree], args: tuple[Tree, ...], outside: Sequence[Node],
                 states: Mapping[random.Generator, tuple[int, int]]) -> None:
        self.f, self.args, self.outside, self.states = f, kept(args), list(outside), states
        self.active = [type(k) is Kept and k.node is not None for k in trees.leaves(self.args)]
        self.captured = [(n, x.array) for n in outside if n.primitive is None and (x := n.out()) is not None]

    def again(self, recorded: bool) -> tuple[list[Value], list[Node], list[Node | None]]:
        """The outputs of another run, its history, and the nodes in it that stand for the parents."""
        args = restored(self.args, recorded)
        if not recorded:  # the arguments are leaves now
            args = trees.rebuilt(args, [stand_in(x) if on else x
                                        for x, on in zip(trees.leaves(args), self.active, strict=True)])
        with random.replayed(self.states), self.as_it_was():
            result, inputs, since = run(self.f, args)
        outputs = live_outputs(result)
        order, _ = walk([o.node for o in outputs], since)
        return outputs, order, [x.node if on else None for x, on in zip(inputs, self.active, strict=True)]

    @contextmanager
    def as_it_was(self) -> Iterator[None]:
        """The captured leaves hold what they held, even if their ``.data`` was replaced since."""
        leaves = [(x, array) for n, array in self.captured if (x := n.out()) is not None]
        now = [x.array for x, _ in leaves]
        try:
            for x, array in leaves:
                x.array = array
            yield
        finally:
            for (x, _), array in zip(leaves, now, strict=True):
                x.array = array

    def pull(self, gs: list[Value], recorded: bool) -> Sequence[Value | None]:
        outputs, order, inputs = self.again(recorded)
        flow: dict[Any, Any] = {}
        for o, g in zip(outputs, gs, strict=True):
            d = g if recorded else bare(g)
            flow[o.node] = flow[o.node] + d if o.node in flow else d
        targets = [n for n in (*inputs, *self.outside) if n is not None]
        found = core.pullback(order, flow, targets, recorded=recorded) | flow  # what is outside stays in flow
        return [self._value(found.get(n)) if n else None for n in (*inputs, *self.outside)]

    def push(self, ts: Sequence[Value | None], recorded: bool) -> Sequence[Value | None]:
        outputs, order, inputs = self.again(recorded)
        flow = {n: t if recorded else bare(t) for n, t in zip((*inputs, *self.outside), ts, strict=True)
                if n is not None and t is not None}
        reached: dict[Any, Any] = core.pushforward(order, flow, recorded=recorded)
        return [self._value(reached.get(o.node)) for o in outputs]

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
        with random.watched() as states:
            result, inputs, since = run(f, args)
        outputs = live_outputs(result)
        _, outside = captured(outputs, inputs, since)
        parents = [x.node if isinstance(x, Value) else None for x in trees.leaves(args)] + outside
        if not outputs:
            return result
        entries = iter(entered(Recomputed(f, args, outside, states), outputs, parents))
        return trees.mapped(lambda o: next(entries) if is_live(o) else o, result)

    return call


def live_outputs(result: Tree) -> list[Any]:
    """Those leaves of a result that have a history."""
    return [o for o in trees.leaves(result) if is_live(o)]


def is_live(o: Any) -> bool:
    """Whether ``o`` is a value with a history."""
    return isinstance(o, Value) and o.node is not None
