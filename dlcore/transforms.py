"""Functions that make derivatives of functions: grad, vjp, jvp, jacobian, hessian, hvp.

Each runs the function on watched stand-ins for its arguments, so that the history between them and
the result can be told from everything outside, and then makes one pass over that history.  The pass
is recorded exactly if something outside is reached, because only then can anyone ask for more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from dlcore import core, ops, trees
from dlcore.core import Value, alias, dtype_of
from dlcore.dispatch import exhausted_in
from dlcore.history import Node, is_recording, next_age, recording, walk
from dlcore.tensors import Tensor, home_of, matching, tensor

Tree = Any  # nested dicts, lists and tuples of tensors


def watched(name: str, x: Any) -> Value:
    """A stand-in for ``x`` to differentiate with respect to, linked to the history of ``x``.

    Raises:
        TypeError: ``x`` is not a float tensor, nor can it become one.
    """
    if not isinstance(x, Value):
        x = tensor(x)
    if dtype_of(x).kind not in ("float", "complex"):
        raise TypeError(f"{name}: {dtype_of(x)}{x.shape} has no derivatives; use a float dtype")
    return alias(x) if x.node is not None else stand_in(x)


def stand_in(x: Value) -> Any:
    """``x`` as a leaf that gathers no ``.grad``."""
    return x.linked(Node(None, (), (), {}, nobody, home_of(x)))


def nobody() -> None:
    """Stands for the tensor of a leaf that gathers no ``.grad``."""


def own_leaf(node: Node) -> bool:
    """Whether ``node`` is a leaf that somebody may ask for, and not what a transform has watched.

    By the time a function has returned, the transforms inside it are done, and nobody asks for the
    leaves that they watched.
    """
    return node.primitive is None and node.out is not nobody


class Linearized:
    """A function at a point: its result, and the history between that and its arguments."""

    def __init__(self, name: str, f: Callable[..., Tree], args: Sequence[Tree]) -> None:
        self.name, self.args = name, args
        since = next_age()
        with recording(True):
            self.inputs = [watched(name, x) for x in trees.leaves(args)]
            self.result = f(*trees.rebuilt(tuple(args), self.inputs))
        self.outputs = [o if isinstance(o, Value) else tensor(o) for o in trees.leaves(self.result)]
        self.targets = {x.node for x in self.inputs if x.node is not None}
        self.order, older = walk([o.node for o in self.outputs], since)
        self.outside = bool(older) or any(map(own_leaf, self.order))

    def value(self) -> Tree:
        """The result, with a history only where something outside the arguments was reached."""
        keep = self.outside and is_recording()
        return trees.rebuilt(self.result, self.outputs if keep else [o.linked(None) for o in self.outputs])

    def pull(self, cotangents: Tree) -> Tree:
        """The cotangents of the arguments that belong to those of the result."""
        given = list(map(ops.conj, self._like("cotangent", cotangents, self.result, self.outputs)))
        recorded = is_recording() and (self.outside or any(g.node is not None for g in given))
        flow: dict[Node, Any] = {}
        for o, g in zip(self.outputs, given, strict=True):
            if o.node is not None:
                d = g if recorded else bare(g)
                flow[o.node] = flow[o.node] + d if o.node in flow else d
        try:
            found: dict[Any, Any] = core.pullback(self.order, flow, self.targets, recorded=recorded)
        except MemoryError as error:
            raise exhausted_in(self.name, error, self.order[0]) from None
        gradients = [ops.conj(as_value(found.get(x.node), x)) for x in self.inputs]
        return trees.rebuilt(tuple(self.args), gradients)

    def push(self, tangents: Tree) -> Tree:
        """The tangent of the result that belongs to those of the arguments."""
        given = self._like("tangent", tangents, tuple(self.args), self.inputs)
        recorded = is_recording() and (self.outside or any(t.node is not None for t in given))
        flow: dict[Any, Any] = {x.node: t if recorded else bare(t)
                                for x, t in zip(self.inputs, given, strict=True)}
        try:
            reached: dict[Any, Any] = core.pushforward(self.order, flow, recorded=recorded)
        except MemoryError as error:
            raise exhausted_in(self.name, error, self.order[0]) from None
        return trees.rebuilt(self.result, [as_value(reached.get(o.node), o) for o in self.outputs])

    def _like(self, what: str, given: Tree, tree: Tree, values: Sequence[Any]) -> list[Any]:
        """The leaves of ``given`` with the dtypes of ``values``, of whose structure and shapes they are."""
        try:
            leaves = trees.leaves_as(tree, given)
        except ValueError:
            raise ValueError(f"{self.name}: the {what}s must be nested like the "
                             f"{'result' if what == 'cotangent' else 'arguments'}") from None
        return [matching(f"{self.name}: a {what}", g, x) for g, x in zip(leaves, values, strict=True)]


def bare(x: Any) -> Any:
    """What a pass that is not recorded computes with: an array, or a symbol without history."""
    return x.array if type(x) is Tensor else x.linked(None)


def as_value(found: Any, like: Any) -> Any:
    """What a pass has found, as a value in the dtype of ``like``; zeros where it found nothing."""
    if found is None:
        return ops.zeros_like(like.linked(None))
    return core.cast_like(found if isinstance(found, Value) else Tensor(found), like)


# --- the transforms ------------------------------------------------------------------------------------


def vjp(f: Callable[..., Tree], *primals: Tree) -> tuple[Tree, Callable[[Tree], tuple[Tree, ...]]]:
    """``f(*primals)``, and the function that pulls a cotangent of it back to each primal.

    The function may be called any number of times; it returns a tuple with one cotangent a primal.

        >>> import dlcore as dl
        >>> y, pull = dl.vjp(dl.sin, dl.tensor(0.0))
        >>> pull(dl.tensor(2.0))
        (tensor(2., float32),)
    """
    at = Linearized("vjp", f, primals)
    return at.value(), at.pull


def jvp(f: Callable[..., Tree], primals: Sequence[Tree], tangents: Sequence[Tree]) -> tuple[Tree, Tree]:
    """``f(*primals)`` and its derivative along ``tangents``, one for each primal.

        >>> import dlcore as dl
        >>> dl.jvp(dl.square, [dl.tensor(3.0)], [dl.tensor(1.0)])
        (tensor(9., float32), tensor(6., float32))
    """
    at = Linearized("jvp", f, tuple(primals))
    return at.value(), at.push(tuple(tangents))


def value_and_grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, *,
                   has_aux: bool = False) -> Callable[..., tuple[Any, Any]]:
    """A function that returns the scalar ``f(*args)`` and its gradient.

    Args:
        f: returns a scalar; with ``has_aux`` a pair of a scalar and anything else.
        argnums: the argument to differentiate in, or a tuple of them for a tuple of gradients.
        has_aux: return ``((value, aux), gradient)``.

    Raises:
        ValueError: the result is not a scalar, or there is no argument ``argnums``.

        >>> import dlcore as dl
        >>> dl.value_and_grad(lambda w: dl.sum(w * w))(dl.tensor([1.0, 2.0]))
        (tensor(5., float32), tensor([2., 4.], float32))
    """
    def wrapped(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        chosen = _positions("grad", argnums, len(args))
        aux: list[Any] = []

        def partial(*active: Any) -> Any:
            full = list(args)
            for position, x in zip(chosen, active, strict=True):
                full[position] = x
            out = f(*full, **kwargs)
            if has_aux:
                out, extra = out
                aux.append(extra)
            return out

        at = Linearized("grad", partial, [args[i] for i in chosen])
        _check_scalar(at)
        with_aux = at.value() if not has_aux else (at.value(), trees.mapped(_without_history, aux[0]))
        gradients = at.pull(trees.mapped(lambda o: ops.ones_like(o.linked(None)), at.value()))
        return with_aux, gradients[0] if isinstance(argnums, int) else gradients

    return wrapped


def _check_scalar(at: Linearized) -> None:
    if len(at.outputs) != 1 or at.outputs[0].shape != ():
        shapes = ", ".join(str(o.shape) for o in at.outputs)
        raise ValueError(f"grad: the function must return a scalar, it returned shape {shapes or 'nothing'}; "
                         "reduce it with .sum() or .mean(), or use dl.jacobian or dl.vjp")
    if ops.is_complex(at.outputs[0]):
        raise TypeError("grad: the function returned a complex number, a loss must be real; take dl.real or "
                        "dl.abs of it, or use dl.vjp with a cotangent")


def _without_history(x: Any) -> Any:
    return x.linked(None) if isinstance(x, Value) else x


def _positions(name: str, argnums: int | Sequence[int], count: int) -> list[int]:
    given = [argnums] if isinstance(argnums, int) else list(argnums)
    if not all(isinstance(i, int) for i in given):
        raise TypeError(f"{name}: argnums must be an int or a tuple of ints, got {argnums!r}")
    if not all(-count <= i < count for i in given):
        raise ValueError(f"{name}: argnums={argnums}, but the function was called with "
                         f"{count} positional arguments")
    found = [i % count for i in given]
    if len(set(found)) < len(found):
        raise ValueError(f"{name}: argnums={argnums} names an argument twice")
    return found


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, *,
         has_aux: bool = False) -> Callable[..., Any]:
    """The gradient of the scalar function ``f``; apply it again for higher derivatives.

    Arguments as :func:`value_and_grad` has them.  An argument that the result does not depend on
    has a gradient of zeros.

        >>> import dlcore as dl
        >>> dl.grad(dl.grad(lambda x: x * x * x))(dl.tensor(2.0))
        tensor(12., float32)
    """
    both = value_and_grad(f, argnums, has_aux=has_aux)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, gradients = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return gradient


def jacobian(f: Callable[..., Tree], argnums: int | Sequence[int] = 0) -> Callable[..., Tree]:
    """A function that returns all first derivatives of ``f``: shape of the result + shape of the argument.

    One reverse pass for each element of the result.  For nested results and arguments the answer is
    nested like the result and, in each place, like the argument.

        >>> import dlcore as dl
        >>> dl.jacobian(lambda x: x * x)(dl.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """
    def wrapped(*args: Any, **kwargs: Any) -> Tree:
        chosen = _positions("jacobian", argnums, len(args))

        def partial(*active: Any) -> Any:
            full = list(args)
            for position, x in zip(chosen, active, strict=True):
                full[position] = x
            return f(*full, **kwargs)

        at = Linearized("jacobian", partial, [args[i] for i in chosen])
        blocks = [_rows(at, i) for i in range(len(at.outputs))]
        picked = [b[0] if isinstance(argnums, int) else b for b in blocks]
        return trees.rebuilt(at.result, picked)

    return wrapped


def _rows(at: Linearized, position: int) -> Tree:
    """The derivatives of one output: one pass for each of its elements, stacked."""
    values = [o.linked(None) for o in at.outputs]
    zeros = [ops.zeros_like(o) for o in values]
    out = values[position]
    if ops.is_complex(out):
        raise TypeError("jacobian: the result is complex, and its two parts have derivatives of their own; "
                        "take dl.real and dl.imag of it apart, or use dl.jvp")
    passes = []
    for i in range(out.size):
        cotangents = [unit(out, i) if j == position else z for j, z in enumerate(zeros)]
        passes.append(at.pull(trees.rebuilt(at.result, cotangents)))
    if not passes:
        empty = [ops.broadcast_to(x.linked(None), (*out.shape, *x.shape)) for x in at.inputs]
        return trees.rebuilt(tuple(at.args), empty)
    return trees.mapped(lambda *rows: ops.reshape(ops.stack(rows), (*out.shape, *rows[0].shape)), *passes)


def unit(like: Any, position: int) -> Tensor:
    """A tensor shaped like another that is 1 at one place, counted in row-major order, else 0."""
    xp = home_of(like)
    flat = xp.equal(xp.arange(0, like.size, 1, "int64"), position)
    return Tensor(xp.reshape(xp.astype(flat, dtype_of(like)), like.shape))


def hessian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Tree]:
    """A function that returns all second derivatives of the scalar function ``f``.

        >>> import dlcore as dl
        >>> dl.hessian(lambda x: dl.sum(x * x * x))(dl.tensor([1.0, 2.0])).tolist()
        [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Callable[..., Any], x: Tree, v: Tree) -> Tree:
    """The Hessian of the scalar function ``f`` at ``x`` times ``v``, without building the Hessian.

    Forward over reverse: one gradient, and one forward pass through it.

        >>> import dlcore as dl
        >>> dl.hvp(lambda x: dl.sum(x * x * x), dl.tensor([1.0, 2.0]), dl.tensor([1.0, 1.0]))
        tensor([ 6., 12.], float32)
    """
    return jvp(grad(f), [x], [v])[1]


def no_grad() -> AbstractContextManager[None]:
    """Write no history inside the ``with`` block; also a decorator.

    A transform inside still records what it differentiates itself, but its result is a constant.

        >>> import dlcore as dl
        >>> x = dl.tensor(1.0, requires_grad=True)
        >>> with dl.no_grad():
        ...     print((2 * x).requires_grad)
        False
    """
    return recording(False)


def stop_gradient(x: Tree) -> Tree:
    """``x`` as a constant: its values without history."""
    return trees.mapped(_without_history, x)
