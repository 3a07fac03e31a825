"""``debug_nans``: stop at the operation that makes the first nan, and say of what it made it.

Nobody who does not ask pays for it.  Inside the ``with`` block the table of owners is empty, which
sends every operation the general way, in ``dispatch.py``, and every pass asks whether it is watched;
both then show what was computed to the :class:`Watch` of their context.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from backends import as_dtype, backend_of, owners_hidden, transfer_guard
from dlcore.history import Node, Shape, Spec
from dlcore.mistakes import users_line
from dlcore.shaping import broadcast_shapes

_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)
watching = _watch.get
"""The watch of this context, if it has one; ask only where ``OWNERS`` is empty, which costs less to ask."""


@contextmanager
def debug_nans(*, inf: bool = False) -> Iterator[None]:
    """Raise where an operation makes the first nan inside the ``with`` block; also a decorator.

    The error names the operation, the place in its result, and what it was made of there.  Operations
    are watched forward, and in passes of any order with the step of the pass; a nan that comes in with
    data is noticed in the first operation that hands it on.  Every operation waits for its device and
    takes several times as long.  It holds in this thread or task; others take the general way meanwhile,
    which is slower and computes the same.

    Args:
        inf: stop at infinities as well, those of a mask included.

    Raises:
        FloatingPointError: in the operation that made it.

        >>> import dlcore as dl
        >>> with dl.debug_nans():
        ...     dl.log(dl.tensor([1.0, -1.0]))
        Traceback (most recent call last):
        ...
        FloatingPointError: log: nan at (1,) of the result float32(2,), which is log(-1.0) there; ...
    """
    token = _watch.set(Watch(inf))
    try:
        with owners_hidden():
            yield
    finally:
        _watch.reset(token)


class Watch:
    """Looks at everything that is computed, and remembers the line that made each node."""

    def __init__(self, inf: bool) -> None:
        self.inf = inf
        self.lines: WeakKeyDictionary[Node, str] = WeakKeyDictionary()

    def first(self, x: Any) -> tuple[str, Shape] | None:
        """What is wrong with the array ``x``, and its first place in row-major order."""
        if as_dtype(x.dtype).kind not in ("float", "complex"):
            return None
        xp = backend_of(x)
        with transfer_guard("allow"), xp.scope():  # whoever debugs wants to know, and was told that it waits
            bad = xp.logical_not(xp.isfinite(x)) if self.inf else xp.isnan(x)
            if not xp.scalar(xp.any(bad)):
                return None
            flat = xp.reshape(xp.asarray(bad), (-1,))
            place = int(xp.scalar(xp.argmax(xp.astype(flat, "int64"))))
            index = unravelled(place, x.shape)
            return ("nan" if xp.scalar(xp.any(xp.isnan(element(x, index)))) else "an infinity"), index

    def computed(self, primitive: Any, args: Sequence[Any], params: Mapping[str, Any], out: Any) -> None:
        """An operation went forward."""
        for x in arrays_in(out):
            if (found := self.first(x)) is not None:
                what, index = found
                within = "".join(f", in {how} of {self._called(node)}" for how, node in passes())
                self._stop(f"{primitive.name}{within}: {what} {placed(index)} the result {described(x)}, "
                           f"{made_of(primitive, args, params, x.shape, index)}", primitive, args)

    def pulled(self, node: Node, g: Any, flow: Mapping[Any, Any]) -> None:
        """A pass has handed ``g`` from ``node`` on to its parents, which have it in ``flow``."""
        for x in arrays_in(g):
            if (found := self.first(x)) is not None:
                what, index = found
                raise FloatingPointError(f"backward: {what} {placed(index)} the cotangent {described(x)} "
                                         "that the pass was given; look at what made it") from None
        for i, parent in enumerate(node.parents):
            handed = flow.get(parent)
            several = isinstance(handed, list | tuple)  # of a call that is one node
            for j, part in enumerate(handed if several else (handed,)):  # type: ignore[arg-type]
                for x in arrays_in(part):
                    if (found := self.first(x)) is not None:
                        whose = f"the gradient of input {j if several else i}"
                        self._stop_in("backward", node, whose, x, found, {"the gradient that came in": g})

    def pushed(self, node: Node, tangents: Sequence[Any], t: Any) -> None:
        """A pass in forward mode has made the tangent ``t`` of ``node`` of those of its parents."""
        for x in arrays_in(t):
            if (found := self.first(x)) is not None:
                moving = {f"the tangent of input {i}": d for i, d in enumerate(tangents) if d is not None}
                self._stop_in("forward mode", node, "the tangent of the result", x, found, moving)

    def _called(self, node: Node) -> str:
        """The operation of a node, and the line that called it, if it was called under the watch."""
        name, line = str(node.primitive.name), self.lines.get(node)
        known = "custom_vjp or remat" if name == "composite" else f"{name}{options(node.params, '({})')}"
        return f"{known}, which was called at {line}" if line else known

    def _stop_in(self, how: str, node: Node, whose: str, x: Any, found: tuple[str, Shape],
                 moving: Mapping[str, Any]) -> NoReturn:
        """Raise for the array ``x`` that a step of a pass has made of ``moving``."""
        what, index = found
        told = {**moving, **{f"input {i}": a for i, a in enumerate(node.args)}, "its result": node.out}
        facts = "; ".join(f"{name} is {at_place(a, x.shape, index, node.primitive)}"
                          for name, a in told.items() if is_one(a))
        self._stop(f"{self._called(node)}, {how}: {what} {placed(index)} {whose}, {described(x)}; {facts}",
                   node.primitive, [*node.args, *moving.values()])

    def _stop(self, message: str, primitive: Any, args: Sequence[Any]) -> NoReturn:
        """Raise, with what to do: follow what came in, or keep it away from the edge of a domain."""
        counted = [counts(a) for a in args]
        if any(nan for nan, _ in counted):
            fix = "it came in with an input: look at what made that, data or a parameter after its last step"
        elif not self.inf and any(inf for _, inf in counted):
            fix = "an infinity came in with an input: dl.debug_nans(inf=True) stops where it is made"
        else:
            fix = (f"keep the inputs of {primitive.name} away from the edge of its domain and the end of "
                   "their dtype, or choose other ones with dl.where before (docs/subgradients.md)")
        raise FloatingPointError(f"{message}; {fix}") from None


def noted(node: Node) -> None:
    """Remember which line has made ``node``, where passes are watched."""
    if (watch := watching()) is not None:
        watch.lines[node] = users_line()


# --- what is told of arrays -----------------------------------------------------------------------------


def arrays_in(x: Any) -> list[Any]:
    """The arrays in what an operation or a pass hands on: one, several, or none that has numbers."""
    if isinstance(x, list | tuple):
        return [a for part in x for a in arrays_in(part)]
    a = getattr(x, "array", x)  # of a tensor; a symbol has none
    return [a] if hasattr(a, "dtype") and not isinstance(a, Spec) and is_owned(a) else []


def is_owned(a: Any) -> bool:
    """Whether some backend has arrays like ``a``; a symbol of a trace is nobody's."""
    try:
        backend_of(a)
    except TypeError:
        return False
    return True


def is_one(x: Any) -> bool:
    """Whether ``x`` is one array, a number or what is known of one, and not several of them, nor nothing."""
    return isinstance(x, Spec) or not isinstance(x, list | tuple | None)


def unravelled(place: int, shape: Shape) -> Shape:
    """The index of the element that is at ``place`` in row-major order."""
    index: list[int] = []
    for n in reversed(shape):
        place, i = divmod(place, n)
        index.append(i)
    return tuple(reversed(index))


def placed(index: Shape) -> str:
    """Where in an array, for a message."""
    return f"at {index} of" if index else "as"


def element(x: Any, index: Shape) -> Any:
    """One element of an array, 0-d."""
    xp = backend_of(x)
    return xp.getitem(xp.asarray(x), index)


def described(x: Any) -> str:
    """The dtype and the shape of an array, a number as it is."""
    x = getattr(x, "array", x)
    return f"{as_dtype(x.dtype)}{tuple(x.shape)}" if hasattr(x, "dtype") else repr(x)


def counts(x: Any) -> tuple[int, int]:
    """How many elements of ``x`` are nan and how many infinite, as far as is known."""
    if isinstance(x, float):
        return int(x != x), int(x in (float("inf"), -float("inf")))  # noqa: PLR0124  that is what nan is
    found = arrays_in(x)
    if len(found) != 1 or as_dtype(found[0].dtype).kind not in ("float", "complex"):
        return 0, 0
    x, xp = found[0], backend_of(found[0])
    with transfer_guard("allow"), xp.scope():
        return int(xp.scalar(xp.sum(xp.isnan(x)))), int(xp.scalar(xp.sum(xp.isinf(x))))


def summarized(x: Any) -> str:
    """What is known of a whole array."""
    if not arrays_in(x):
        return f"{described(x)}, not kept" if isinstance(x, Spec) else described(x)
    nan, inf = counts(x)
    odd = [f"{n} {name}" for n, name in ((nan, "nan"), (inf, "infinite")) if n]
    return f"{described(x)} with {' and '.join(odd)}" if odd else described(x)


def is_elementwise(primitive: Any) -> bool:
    """Whether each element of the result is made of those at the same place."""
    return primitive.shape is broadcast_shapes


def at_place(x: Any, shape: Shape, index: Shape, primitive: Any) -> str:
    """The element of ``x`` at ``index`` of an array of ``shape``, if there is one; else what is known."""
    found = arrays_in(x)
    fits = is_elementwise(primitive) and len(found) == 1 and len(found[0].shape) <= len(shape) and all(
        n in (1, m) for n, m in zip(reversed(found[0].shape), reversed(shape), strict=False))
    if not fits:
        return summarized(x)
    own = index[len(shape) - len(found[0].shape):]
    xp = backend_of(found[0])
    with transfer_guard("allow"), xp.scope():
        value = element(found[0], tuple(0 if n == 1 else i for n, i in zip(found[0].shape, own, strict=True)))
        return repr(xp.scalar(value))


def options(params: Mapping[str, Any], form: str) -> str:
    """The parameters of an operation in ``form``, nothing if there are none."""
    return form.format(", ".join(f"{k}={v!r:.80}" for k, v in params.items())) if params else ""


def made_of(primitive: Any, args: Sequence[Any], params: Mapping[str, Any], shape: Shape,
            index: Shape) -> str:
    """What the element at ``index`` of a result was computed from."""
    if is_elementwise(primitive):
        values = ", ".join(at_place(a, shape, index, primitive) for a in args)
        return f"which is {primitive.name}({values}{options(params, ', {}')}) there"
    return f"of {', '.join(summarized(a) for a in args)}{options(params, ' with {}')}"


def passes() -> list[tuple[str, Node]]:
    """The innermost pass that is running, and the node it is at; asked only when something is wrong."""
    names = {"pullback": "the backward pass", "pushforward": "the forward-mode pass"}
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") == "dlcore.core" and frame.f_code.co_name in names:
            return [(names[frame.f_code.co_name], frame.f_locals["node"])]
        frame = frame.f_back
    return []
