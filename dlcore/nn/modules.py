"""Modules: trees of attributes whose leaves are tensors.

There is no registration and no ``super().__init__()`` to forget.  What a module holds is found by
walking its attributes in the order they were set, through lists, tuples and dicts; a tensor counts
as trained or saved by the role that :func:`Parameter` or :func:`Buffer` gave it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self, TypeVar

from backends import DType
from dlcore.core import dtype_of
from dlcore.hooks import HookHandle, check_callable, place_of
from dlcore.nn.hooks import hooked_call
from dlcore.tensors import Tensor, leaf_of, tensor

__all__ = ["Buffer", "Module", "Parameter"]

PARAMETER, BUFFER = "parameter", "buffer"
_HOOKS = ("forward_hooks", "backward_hooks")
T = TypeVar("T")


def Parameter(data: Any, requires_grad: bool = True) -> Tensor:  # noqa: N802  # a class in PyTorch
    """A tensor that a module's optimizer changes: ``data`` without its history, as a leaf.

    Args:
        data: a tensor, or whatever :func:`dlcore.tensor` takes; of a float dtype.
        requires_grad: False freezes it.

        >>> Parameter([1.0, 2.0])
        tensor([1., 2.], float32, requires_grad)
    """
    x = _in_role(data, PARAMETER)
    x.requires_grad = requires_grad
    return x


def Buffer(data: Any) -> Tensor:  # noqa: N802  # a class in PyTorch
    """A tensor that is saved with a module but not trained, such as a running mean.

    Assigning a tensor to an attribute that holds a buffer makes it the new buffer, without its
    history.
    """
    return _in_role(data, BUFFER)


def _in_role(data: Any, role: str) -> Tensor:
    x = data.detach() if type(data) is Tensor else tensor(data)
    x._role = role
    return x


class Loaded(NamedTuple):
    """The names that :meth:`Module.load_state_dict` passed over; empty if it was strict."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def _undefined(self: Module, *args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError(f"{type(self).__name__}: define forward(self, ...) to say what it "
                              "computes")


class Module:
    """Something with parameters: a subclass sets attributes and defines ``forward``.

        >>> import dlcore as dl
        >>> class Scale(Module):
        ...     def __init__(self, factor):
        ...         self.factor = Parameter(factor)
        ...     def forward(self, x):
        ...         return x * self.factor
        >>> Scale(2.0)(dl.tensor([1.0, 2.0]))
        tensor([2., 4.], float32, from multiply)
        >>> Scale(2.0)
        Scale(factor ()): 1 parameter
    """

    training: bool = True
    """Whether layers that train otherwise than they predict, such as dropout, are to train."""

    forward: Callable[..., Any] = _undefined
    """What the module computes; calling the module calls it."""

    forward_hooks: tuple[Callable[..., Any], ...] = ()
    """What is called after ``forward``; see :meth:`register_forward_hook`.  No part of the state."""

    backward_hooks: tuple[Callable[..., Any], ...] = ()
    """Likewise in a backward pass; see :meth:`register_full_backward_hook`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What ``forward`` computes, or what a hook puts in its place."""
        if self.forward_hooks or self.backward_hooks:
            return hooked_call(self, args, kwargs)
        return self.forward(*args, **kwargs)

    def register_forward_hook(self, hook: Callable[[Any, tuple[Any, ...], Any], Any]) -> HookHandle:
        """From now on, ``hook(module, args, output)`` is called whenever the module was.

        Hooks are called in the order they came; a copy of the module has them as well.

        Args:
            hook: sees the module, its positional arguments and what came out.  What it returns takes the
                place of that, unless it is None.

            >>> import dlcore as dl
            >>> model, shapes = dl.nn.Linear(3, 2), []
            >>> with model.register_forward_hook(lambda module, args, out: shapes.append(out.shape)):
            ...     _ = model(dl.ones((4, 3)))
            >>> shapes
            [(4, 2)]
        """
        check_callable("register_forward_hook", "module, args, output", hook)
        return self._registered("forward_hooks", hook)

    def register_full_backward_hook(self, hook: Callable[[Any, tuple[Any, ...], tuple[Any, ...]], Any]
                                    ) -> HookHandle:
        """From now on, ``hook(module, grad_input, grad_output)`` is called in passes back through the module.

        Args:
            hook: sees the gradients of the positional arguments and those of the outputs, None for what has
                none.  The tuple that it returns, unless it is None, goes further back for ``grad_input``.
        """
        check_callable("register_full_backward_hook", "module, grad_input, grad_output", hook)
        return self._registered("backward_hooks", hook)

    def _registered(self, kind: str, hook: Callable[..., Any]) -> HookHandle:
        def end(hook: Callable[..., Any]) -> None:
            hooks = getattr(self, kind)
            i = place_of(hooks, hook)
            setattr(self, kind, hooks[:i] + hooks[i + 1:])

        setattr(self, kind, (*getattr(self, kind), hook))
        return HookHandle(hook, end)

    # --- what it holds -------------------------------------------------------------------------

    def parts(self) -> Iterator[tuple[str, Any]]:
        """Everything that is set on this module but hooks, by name, in the order it was set."""
        return ((name, part) for name, part in vars(self).items() if name not in _HOOKS)

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module, named ``""``, and every module below it with its dotted name, each once."""
        return _once((n, x) for n, x in _walk(self) if isinstance(x, Module))

    def modules(self) -> Iterator[Module]:
        """This module and every module below it, each once."""
        return (m for _, m in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules below this one that have no other in between, with their names, each once."""
        return _once(x for name, part in self.parts() for x in _children(part, name))

    def children(self) -> Iterator[Module]:
        """The modules below this one that have no other in between, each once."""
        return (m for _, m in self.named_children())

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter with its dotted name; one that is used in two places by its first."""
        return _once(_tensors(self, PARAMETER))

    def parameters(self) -> Iterator[Tensor]:
        """Every parameter, each once, in the order of the attributes."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Every buffer with its dotted name, each once."""
        return _once(_tensors(self, BUFFER))

    def buffers(self) -> Iterator[Tensor]:
        """Every buffer, each once."""
        return (b for _, b in self.named_buffers())

    # --- saving and loading --------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """The values of all parameters and buffers by dotted name, without history.

        They stay what they are when training goes on: no array that a tensor holds is written to.
        """
        return {name: x.detach() for name, x in _tensors(self, PARAMETER, BUFFER)}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Loaded:
        """Take over the values of ``state``, keeping each tensor's identity, dtype and backend.

        Args:
            state: tensors or NumPy arrays by dotted name.
            strict: refuse names that are missing or too many; else they are passed over.

        Returns:
            the names passed over.

        Raises:
            ValueError: names or shapes that do not fit, all of them listed; nothing is loaded then.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"load_state_dict: needs a dict from names to tensors, got a "
                            f"{type(state).__name__}")
        own = dict(_tensors(self, PARAMETER, BUFFER))
        new = {name: _converted(x, state[name]) for name, x in own.items() if name in state}
        passed = Loaded([n for n in own if n not in state], [n for n in state if n not in own])
        wrong = [f"{name} {array}" for name, array in new.items() if isinstance(array, str)]
        listed = {"missing": [f"{n} {own[n].shape}" for n in passed.missing_keys] if strict else [],
                  "unexpected": passed.unexpected_keys if strict else [], "misshapen": wrong}
        if any(listed.values()):
            lines = [f"  {word}: {', '.join(names)}" for word, names in listed.items() if names]
            raise ValueError(f"load_state_dict: this state is not one of {type(self).__name__}; "
                             "nothing was loaded\n" + "\n".join(lines))
        for name, array in new.items():
            own[name].array = array
        return passed

    # --- changing all of it --------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Switch this module and all below it to training; returns it."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch this module and all below it to predicting; returns it."""
        return self.train(False)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` with every module below, each once, and at last with this one; returns it.

            >>> import dlcore as dl
            >>> def start(module):
            ...     if isinstance(module, dl.nn.Linear):
            ...         dl.nn.init.ones_(module.weight)
            >>> dl.nn.Sequential(dl.nn.Linear(2, 1)).apply(start)[0].weight.tolist()
            [[1.0, 1.0]]
        """
        for module in list(_upwards(self, set())):
            fn(module)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let all parameters gather gradients, or freeze them; returns the module."""
        for p in self.parameters():
            if p.requires_grad != requires_grad:
                p.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def to(self, target: str | DType) -> Self:
        """Move every tensor to another backend, or all floats to another float dtype.

        Each tensor stays the same object, so an optimizer goes on working; gradients are dropped.

        Args:
            target: the name of a backend (``"cuda"``), or a dtype (``dl.float64``).
        """
        wanted = target if isinstance(target, DType) else None
        if wanted is not None and wanted.kind != "float":
            raise ValueError(f"to: parameters need a float dtype, got {wanted}")
        for _, x in _once((n, x) for n, x in _walk(self) if type(x) is Tensor):
            computed = x.node is not None and x.node.primitive is not None
            if computed or (wanted is not None and x.dtype.kind != "float"):
                continue
            x.array = x.detach().to(target).array
            if x.requires_grad:
                x.node = leaf_of(x)  # the old one remembers where it was
            x.grad = None
        return self

    # --- attributes ----------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if type(value) is Tensor and value.role is None:
            before = vars(self).get(name)
            role = before.role if type(before) is Tensor else None
            if role == PARAMETER:
                raise TypeError(
                    f"{type(self).__name__}.{name} is a parameter, and an optimizer may hold it; "
                    f"write module.{name}.data = ..., or assign nn.Parameter(...) to replace it")
            if role == BUFFER:
                value = Buffer(value)
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:  # only called for what is not there
        from difflib import get_close_matches

        known = [] if name.startswith("__") else [n for n in dir(self) if n[0] != "_"]
        near = get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}")

    def __repr__(self) -> str:
        return "\n".join(_lines(self, ()))


# --- walking the tree ----------------------------------------------------------------------------


def _walk(thing: Any, name: str = "", path: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every module and tensor below ``thing``, itself included, with its dotted name.

    What two places share is met twice; a module that holds what holds it is not entered again.
    """
    if type(thing) is Tensor:
        yield name, thing
        return
    if any(thing is above for above in path):
        return
    if isinstance(thing, Module):
        yield name, thing
        children: Iterable[tuple[Any, Any]] = list(thing.parts())
    elif isinstance(thing, dict):
        children = thing.items()
    elif isinstance(thing, list | tuple):
        children = enumerate(thing)
    else:
        return
    for key, child in children:
        yield from _walk(child, f"{name}.{key}" if name else str(key), (*path, thing))


def _upwards(module: Module, seen: set[int]) -> Iterator[Module]:
    """Every module below ``module``, those below it before each, each once."""
    seen.add(id(module))
    for child in module.children():
        if id(child) not in seen:
            yield from _upwards(child, seen)
    yield module


def _tensors(module: Module, *roles: str) -> Iterator[tuple[str, Tensor]]:
    return ((n, x) for n, x in _walk(module) if type(x) is Tensor and x.role in roles)


def _once(named: Iterable[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    """Each object under the first of its names."""
    seen: set[int] = set()
    for name, x in named:
        if id(x) not in seen:
            seen.add(id(x))
            yield name, x


def _converted(own: Tensor, given: Any) -> Any:
    """The array of ``given`` as ``own`` could hold it, or in words why it cannot."""
    values = given if type(given) is Tensor else tensor(given)
    if values.shape != own.shape:
        return f"is {own.shape}, the state has {values.shape}"
    if dtype_of(values).kind != own.dtype.kind:
        return f"is {own.dtype}, the state has {values.dtype}"
    return values.detach().to(own.backend).astype(own.dtype).array


# --- printing ------------------------------------------------------------------------------------

_PLAIN = (bool, int, float, str)


def _lines(module: Module, path: tuple[Module, ...]) -> list[str]:
    """The lines of a module's repr: what it is set to, its shapes, its size, and its children."""
    facts, below = [], []
    for name, part in module.parts():
        if type(part) is Tensor:
            facts.append(f"{name} {part.shape}")
        elif isinstance(part, _PLAIN) and name != "training":
            facts.append(f"{name}={part!r}")
        else:
            below += [(n, x) for n, x in _children(part, name) if x not in (*path, module)]
    count = sum(p.size for p in module.parameters())
    size = f": {count:,} parameter{'s' * (count != 1)}" if count else ""
    lines = [f"{type(module).__name__}({', '.join(facts)}){size}"]
    for name, child in below:
        first, *rest = _lines(child, (*path, module))
        lines += [f"  {name}: {first}", *(f"  {line}" for line in rest)]
    return lines


def _children(part: Any, name: str, path: tuple[Any, ...] = ()) -> list[tuple[str, Module]]:
    """The modules in ``part`` that have no other module in between."""
    if isinstance(part, Module):
        return [(name, part)]
    if not isinstance(part, dict | list | tuple) or any(part is above for above in path):
        return []
    inside = part.items() if isinstance(part, dict) else enumerate(part)
    return [found for key, x in inside for found in _children(x, f"{name}.{key}", (*path, part))]
