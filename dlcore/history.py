"""Values and what they remember: nodes, and the order in which derivatives visit them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from itertools import count
from operator import attrgetter
from threading import local
from types import FrameType
from typing import Any, ClassVar, NamedTuple

from backends import OWNERS, Backend, DType, as_dtype

Shape = tuple[int, ...]

next_age = count(1).__next__
by_age = attrgetter("age")
NO_PARAMS: Mapping[str, Any] = {}
SMALL = 1024  # elements; keeping an array of fewer costs less than describing it


class Value:
    """Something primitives apply to.  ``node`` is its history, None for a constant."""

    __slots__ = ()
    level: ClassVar[int]  # of two kinds of value in one call the higher level decides
    node: Node | None
    shape: Shape

    @staticmethod
    def apply(primitive: Any, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        """Apply ``primitive`` to ``args``, of which this kind is the most abstract."""
        raise NotImplementedError  # every kind of value says what applying means for it

    def linked(self, node: Node | None) -> Any:
        """The same value with another history."""
        raise NotImplementedError  # as above


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
        self.age: float = next_age()


class Spec(NamedTuple):
    """What a node keeps of an array that no rule reads."""

    shape: Shape
    dtype: Any

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)


def described(a: Any) -> Any:
    """``a`` itself where it is small or no array, else its shape and dtype."""
    return a if not hasattr(a, "dtype") or a.size <= SMALL else Spec(a.shape, a.dtype)


def keep(primitive: Any, arrays: Sequence[Any], out: Any) -> tuple[tuple[Any, ...], Any]:
    """The arguments and the result of ``primitive`` for a node: described where no rule reads them."""
    reads = primitive.reads_args
    reads += reads[-1:] * (len(arrays) - len(reads))  # of *xs all are read, or none
    args = tuple(a if read else described(a) for a, read in zip(arrays, reads, strict=False))
    return args, out if "out" in primitive.reads or primitive.outputs else described(out)


def dtype_of(x: Any) -> DType:
    """The dtype of a value, a raw array or what a node keeps of one."""
    return as_dtype(x.dtype)


class HistoryError(ValueError, RuntimeError):
    """A derivative was asked for that the recorded history cannot give."""


class Released:
    """Stands for the parents of a node that a pass has used up; knows the line that ran the pass."""

    __slots__ = ("code", "instruction")

    def __init__(self, caller: FrameType) -> None:
        self.code, self.instruction = caller.f_code, caller.f_lasti  # a line number takes long to find

    def __iter__(self) -> Iterator[Node | None]:
        line = next(n for start, end, n in self.code.co_lines() if start <= self.instruction < end)
        raise HistoryError(
            "backward: a part of this history was released by the backward() at "
            f"{self.code.co_filename}:{line}; detach() what is carried over from one step to the next, or "
            "pass retain_graph=True there to walk it again")


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


class _Here(local):
    """Where a thread computes; a pass never waits, so no context could change within one."""

    xp: Backend | None = None


_here = _Here()


def announced() -> Backend | None:
    """Where primitives that meet no value compute: in a raw pass on its backend, else nowhere."""
    return _here.xp


def announce(xp: Backend | None, scope: AbstractContextManager[object] | None = None) -> Any:
    """Let primitives that meet no value compute on ``xp`` from now on; None for nowhere.

    Leaves ``scope``, what the announcement before has returned, and returns what to leave next: a
    scope in which the device is the current one, where there are several of its kind, and else one
    in which NumPy warns nobody of inf and nan (no library has both several devices and warnings).
    """
    if scope is not None:
        scope.__exit__(None, None, None)
    _here.xp = xp
    if xp is None:
        return None
    # where owners are hidden, nobody can tell how many devices of its kind there are
    scope = xp.quiet() if xp.array_type in OWNERS else xp.scope() if OWNERS else _both(xp)
    scope.__enter__()
    return scope


@contextmanager
def _both(xp: Backend) -> Iterator[None]:
    with xp.scope(), xp.quiet():
        yield


@contextmanager
def unannounced() -> Iterator[bool]:
    """Users' code inside a rule: it sees values only.  Yields whether the pass is recorded."""
    before = announced()
    _here.xp = None  # the scope that was entered for it stays: it is left by whoever announced it
    try:
        yield before is None
    finally:
        _here.xp = before


def walk(roots: Iterable[Node | None], since: int = 0) -> tuple[list[Node], list[Node]]:
    """Every node behind ``roots`` that is at least as young as age ``since``, youngest first.

    The walk stops at older nodes, which are outside by their age, and returns those it met too.

    Raises:
        HistoryError: a backward pass has released a node on the way.
    """
    order: list[Node] = []
    outside: list[Node] = []
    seen: set[Node | None] = {None}
    for root in roots:
        if root not in seen:
            seen.add(root)
            (order if root.age >= since else outside).append(root)  # type: ignore[union-attr, arg-type]
    for node in order:  # which grows meanwhile
        for parent in node.parents:
            if parent not in seen:
                seen.add(parent)
                (order if parent.age >= since else outside).append(parent)  # type: ignore[union-attr, arg-type]
    order.sort(key=by_age, reverse=True)
    return order, outside


def leading_to(targets: Collection[Node], order: Iterable[Node]) -> set[Node | None]:
    """The nodes of ``order``, which is oldest first, that have one of ``targets`` behind them."""
    useful: set[Node | None] = set(targets)
    for node in order:
        if any(parent in useful for parent in node.parents):
            useful.add(node)
    return useful
