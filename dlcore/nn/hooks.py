"""Hooks on the gradients of a module: what reached its outputs, and what leaves its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dlcore import ops, trees
from dlcore.core import Value
from dlcore.custom import Call, entered
from dlcore.history import is_recording
from dlcore.tensors import matching

Hook = Callable[[Any, tuple[Any, ...], tuple[Any, ...]], Any]
NAME = "register_full_backward_hook"


class Passage:
    """One call of a module: a node before it and one after it, through which its gradients pass."""

    def __init__(self, module: Any, hooks: tuple[Hook, ...]) -> None:
        self.module, self.hooks = module, hooks
        self.places: list[bool] = []  # which inputs a gradient leaves by
        self.grad_output: tuple[Any, ...] = ()

    def entry(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, with the node before the call in their history."""
        leaves = trees.leaves(args)
        self.places = list(map(_is_live, leaves))
        return trees.rebuilt(args, _through(_Entry(self), leaves))

    def exit(self, out: Any) -> Any:
        """The outputs, with the node after the call in their history."""
        leaves = trees.leaves(out)
        return trees.rebuilt(out, _through(_Exit(self, list(map(_is_live, leaves))), leaves))

    def ended(self, gs: Sequence[Any]) -> Sequence[Any]:
        """The gradients that leave by the inputs, after every hook has seen them."""
        given = iter(gs)
        grad_input = tuple(next(given) if live else None for live in self.places)
        for hook in self.hooks:
            new = hook(self.module, grad_input, self.grad_output)
            if new is not None:
                grad_input = _checked(new, grad_input)
        return [g for g in grad_input if g is not None]


class _Entry(Call):
    """The node before a call, where gradients leave."""

    def __init__(self, passage: Passage) -> None:
        self.passage = passage

    def pull(self, gs: list[Value], recorded: bool) -> Sequence[Value | None]:
        return list(map(ops.conj, self.passage.ended(list(map(ops.conj, gs)))))  # passes carry conjugates

    def push(self, ts: Sequence[Value | None], recorded: bool) -> Sequence[Value | None]:
        return ts


class _Exit(Call):
    """The node after a call, where gradients come in; without inputs that want one, they leave, too."""

    def __init__(self, passage: Passage, places: list[bool]) -> None:
        self.passage, self.places = passage, places

    def pull(self, gs: list[Value], recorded: bool) -> Sequence[Value | None]:
        given = iter(map(ops.conj, gs))
        self.passage.grad_output = tuple(next(given) if live else None for live in self.places)
        if not any(self.passage.places):
            self.passage.ended(())
        return gs

    def push(self, ts: Sequence[Value | None], recorded: bool) -> Sequence[Value | None]:
        return ts


def _is_live(x: Any) -> bool:
    return isinstance(x, Value) and x.node is not None


def _through(call: Call, leaves: list[Any]) -> list[Any]:
    """``leaves``, those with a history by way of one node, which is ``call``."""
    live = [x for x in leaves if _is_live(x)]
    if not live:
        return leaves
    passed = iter(entered(call, live, [x.node for x in live]))
    return [next(passed) if _is_live(x) else x for x in leaves]


def _checked(new: Any, grad_input: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a hook returned in place of ``grad_input``."""
    each = new if isinstance(new, tuple) else (new,)
    if [g is None for g in each] != [g is None for g in grad_input]:
        wanted, given = (f"{sum(g is not None for g in gs)} gradients in {len(gs)} places"
                         for gs in (grad_input, each))
        raise ValueError(f"{NAME}: a hook must return None or a tuple like grad_input, with {wanted}; "
                         f"got one with {given}")
    return tuple(None if g is None else matching(f"{NAME}: a gradient", g, old)
                 for g, old in zip(each, grad_input, strict=True))


def hooked_call(module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What calling ``module`` gives, by way of its hooks."""
    passage = Passage(module, module.backward_hooks) if module.backward_hooks and is_recording() else None
    if passage is not None:
        args = passage.entry(args)
    out = module.forward(*args, **kwargs)
    for hook in module.forward_hooks:
        replaced = hook(module, args, out)
        out = out if replaced is None else replaced
    return out if passage is None else passage.exit(out)
