"""Hooks on gradients: what a user's function does with a gradient when a pass has it complete.

A tensor without hooks pays nothing for them.  A leaf's hooks stand in its node, where a pass looks
anyway for what complex numbers need; those of a computed tensor are a node of their own, put between
the tensor's node and what that was computed by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from backends import backend_of
from dlcore import core, ops
from dlcore.core import Primitive, Value
from dlcore.history import HistoryError, Node, unannounced

Hook = Callable[[Any], Any]


class HookHandle:
    """What ends a hook: by :meth:`remove`, or as the end of a ``with`` block."""

    def __init__(self, hook: Callable[..., Any], end: Callable[[Callable[..., Any]], object]) -> None:
        self.hook = hook
        self._end: Callable[[Callable[..., Any]], object] | None = end

    def remove(self) -> None:
        """Call the hook no more; nothing happens the second time."""
        if self._end is not None:
            end, self._end = self._end, None
            end(self.hook)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.remove()


def check_callable(name: str, takes: str, hook: Any) -> None:
    """Raise unless ``hook`` can be called."""
    if not callable(hook):
        raise TypeError(f"{name}: needs a function of ({takes}), got {type(hook).__name__}")


def place_of(hooks: Any, hook: Callable[..., Any]) -> int:
    """Where in ``hooks`` this very function is."""
    return next(i for i, known in enumerate(hooks) if known is hook)


def register(x: Any, hook: Hook) -> HookHandle:
    """Have ``hook`` called with the gradient of the tensor ``x``; see :meth:`Tensor.register_hook`."""
    check_callable("register_hook", "gradient", hook)
    if x.node is None:
        raise HistoryError(f"register_hook: {x.dtype}{x.shape} requires no gradient, so none will come; make "
                           "it with dl.tensor(..., requires_grad=True)")
    hooks = _hooks_of_leaf(x) if x.node.primitive is None else _hooks_of_node(x.node)
    hooks.append(hook)
    return HookHandle(hook, lambda hook: hooks.pop(place_of(hooks, hook)))


def _hooks_of_leaf(x: Any) -> list[Hook]:
    """The hooks of a leaf, which it keeps itself, because it gets another node when it is moved or frozen."""
    if not hasattr(x, "_hooks"):
        x._hooks = []
        x.node.params = {**x.node.params, "hooks": x._hooks}
    return x._hooks


def _hooks_of_node(node: Node) -> list[Hook]:
    """The hooks of a computed value: its node becomes one that calls them, with all it was behind it.

    So whoever has computed with the value already, and knows this node, sees the hooks as well.
    """
    if node.primitive is not hooked:
        inner = Node(node.primitive, node.args, node.parents, node.params, node.out, node.xp)
        inner.age = node.age - 0.5  # older than this one and younger than its parents
        node.primitive, node.args, node.parents = hooked, (None,), (inner,)
        node.params = {"hooks": [], "maker": inner.primitive}
    return node.params["hooks"]


def _pulled(g: Any, out: Any, x: Any, *, hooks: list[Hook], maker: Primitive) -> Any:
    """``g`` after the hooks of a computed value, which are a user's code."""
    if not hooks:
        return g
    with unannounced() as recorded:
        seen = ops.conj(g if isinstance(g, Value) else core.Tensor(g))  # passes carry conjugates
        found = ops.conj(called(hooks, seen, recorded))
    return found if recorded else found.array


hooked = Primitive("hooked", lambda xp, x, *, hooks, maker: x, None, (_pulled,),
                   (lambda t, out, x, *, hooks, maker: t,))


def called(hooks: list[Hook], g: Any, recorded: bool) -> Any:
    """The gradient ``g``, a tensor, after each hook has seen it and perhaps put another in its place."""
    for hook in tuple(hooks):
        new = hook(g)
        if new is None:
            continue
        if type(new) is not core.Tensor:
            raise TypeError(f"register_hook: a hook must return None or a tensor like the gradient, "
                            f"{g.dtype}{g.shape}; got a {type(new).__name__}")
        if (new.shape, new.dtype) != (g.shape, g.dtype) or backend_of(new.array) is not backend_of(g.array):
            raise ValueError(f"register_hook: a hook must return a gradient like the one it is given, "
                             f"{g.dtype}{g.shape} on {g.backend}; got {new.dtype}{new.shape} on "
                             f"{new.backend}")
        g = new if recorded else new.detach()
    return g
