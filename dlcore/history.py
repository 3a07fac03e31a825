"""What a value remembers: nodes, and the order in which derivatives visit them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from itertools import count
from operator import attrgetter
from typing import Any, NamedTuple

from backends import OWNERS, Backend

Shape = tuple[int, ...]

next_age = count(1).__next__
by_age = attrgetter("age")
NO_PARAMS: Mapping[str, Any] = {}
SMALL = 256  # elements; keeping an array of fewer costs less than describing it


class Node:
    """One application of a primitive; a leaf has none, and refers weakly to its tensor in ``out``.

    ``args`` are the arrays that the primitive's rules read, described by a :class:`Spec` where no
    rule reads them, and ``parents`` the nodes of the same arguments, None for a constant.  A node
    holds arrays and nodes, never a value, while values hold their node: so there is no reference
    cycle, and memory goes when the last value does.  ``age`` grows with every node, so descending
    age is an order in which children come before their parents.
    """

    __slots__ = ("__weakref__", "age", "args", "out", "params", "parents", "primitive", "xp")

    def __init__(self, primitive: Any, args: tuple[Any, ...], parents: Iterable[Node | None],
                 params: Mapping[str, Any], out: Any, xp: Any) -> None:
        self.primitive, self.args, self.parents = primitive, args, parents
        self.params, self.out, self.xp = params, out, xp
        self.age = next_age()

    def release(self, where: tuple[str, int]) -> None:
        """Let go of everything; ``where`` is the file and line of the pass that is done with it."""
        self.args, self.out, self.parents = (), None, Released(where)


class Spec(NamedTuple):
    """What a node keeps of an array that no rule reads."""

    shape: Shape
    dtype: Any

    @property
    def ndim(self) -> int:
        return len(self.shape)


def described(a: Any) -> Any:
    """``a`` itself where it is small or no array, else its shape and dtype."""
    return a if not hasattr(a, "dtype") or a.size <= SMALL else Spec(a.shape, a.dtype)


class HistoryError(ValueError, RuntimeError):
    """A derivative was asked for that the recorded history cannot give."""


class Released:
    """Stands for the parents of a node that a backward pass has used up."""

    __slots__ = ("where",)

    def __init__(self, where: tuple[str, int]) -> None:
        self.where = where

    def __iter__(self) -> Iterator[Node | None]:
        raise HistoryError(
            "backward: a part of this history was released by the backward() at "
            f"{self.where[0]}:{self.where[1]}; pass retain_graph=True there to walk it again")


_recording: ContextVar[bool] = ContextVar("recording", default=True)
is_recording = _recording.get


@contextmanager
def recording(on: bool) -> Iterator[None]:
    """Switch the writing of history on or off inside the ``with`` block."""
    token = _recording.set(on)
    try:
        yield
    finally:
        _recording.reset(token)


_here: ContextVar[Backend | None] = ContextVar("here", default=None)
announced = _here.get


class Announced:
    """Inside the ``with`` block of a raw pass: where primitives that meet no value compute."""

    def __enter__(self) -> Announced:
        self.before = self.xp = _here.get()
        self.scope: AbstractContextManager[object] | None = None
        return self

    def move(self, xp: Backend | None) -> None:
        """Compute on ``xp`` from now on, its device being the current one; None for nowhere."""
        if self.scope is not None:
            self.scope.__exit__(None, None, None)
            self.scope = None
        self.xp = xp
        _here.set(xp)
        if xp is not None and xp.array_type not in OWNERS:  # one of several devices of its kind
            self.scope = xp.scope()
            self.scope.__enter__()

    def __exit__(self, *error: object) -> None:
        if self.xp is not self.before:
            self.move(self.before)


class Walk(NamedTuple):
    """The nodes that some roots came from, youngest first, and whether older ones were reached."""

    order: list[Node]
    outside: list[Node]


def walk(roots: Iterable[Node | None], since: int = 0) -> Walk:
    """Every node behind ``roots`` that is at least as young as age ``since``, youngest first.

    The walk stops at older nodes, which are outside by their age, and reports those it met.

    Raises:
        HistoryError: a backward pass has released a node on the way.
    """
    order: list[Node] = []
    outside: list[Node] = []
    seen: set[Node | None] = {None}
    queue: Iterable[Node | None] = roots
    position = 0
    while True:
        for node in queue:
            if node not in seen:
                seen.add(node)
                (order if node.age >= since else outside).append(node)  # type: ignore[union-attr, arg-type]
        if position == len(order):
            break
        queue = order[position].parents
        position += 1
    order.sort(key=by_age, reverse=True)
    return Walk(order, outside)


def leading_to(targets: Collection[Node], order: Iterable[Node]) -> set[Node | None]:
    """The nodes of ``order``, which is oldest first, that have one of ``targets`` behind them."""
    useful: set[Node | None] = set(targets)
    for node in order:
        if any(parent in useful for parent in node.parents):
            useful.add(node)
    return useful
