"""Copies between the host and a device: who sees them, and who forbids them.

Data crosses in two members of a backend, ``from_host`` and ``to_host``; a member whose result has a
shape that only the device knows waits for it, too.  A backend with memory of its own says so here,
before it acts.  The CPU has nothing to say, and where nobody watches, saying it costs the reading of
one context variable.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, NamedTuple, get_args

from backends.errors import DeviceTransferError

Mode = Literal["allow", "log", "disallow"]

_OURS = {"dlcore", "backends", "contextlib", "functools"}  # the last two call us back for a decorator
_REMEDY = {
    "to_device": "make it on the device, or copy it before the guarded block",
    "to_host": "keep it on the device and read it after the guarded block",
    "wait": "use dl.where or a product with the mask, whose shape is known",
}


class Place(NamedTuple):
    """Where a copy came from, and what it was."""

    kind: Literal["to_device", "to_host", "wait"]
    line: str
    """The innermost line that is not of dlcore: ``"train.py:12"``."""
    operation: str
    """What of dlcore that line called: ``"Tensor.item"``; empty if the backend itself."""


class Total(NamedTuple):
    """What was counted at one place."""

    times: int = 0
    nbytes: int = 0

    def __add__(self, other: Total) -> Total:  # type: ignore[override]  # as numbers, not as tuples
        return Total(self.times + other.times, self.nbytes + other.nbytes)


class TransferMeter:
    """Copies between host and device, and waits for a device, that :func:`transfer_meter` counts."""

    def __init__(self) -> None:
        self.places: dict[Place, Total] = {}
        """How often and how many bytes, for each line of the user."""

    def _sum(self, *kinds: str) -> Total:
        return sum((total for place, total in self.places.items() if place.kind in kinds), Total())

    @property
    def to_device(self) -> Total:
        """Copies from the host to a device."""
        return self._sum("to_device")

    @property
    def to_host(self) -> Total:
        """Copies from a device to the host; each of them waits for the device as well."""
        return self._sum("to_host")

    @property
    def waits(self) -> int:
        """How often the host waited for a device: for a value, a shape, or because it was told to."""
        return self._sum("to_host", "wait").times

    def __str__(self) -> str:
        return "\n".join(f"{times:6}  {nbytes:10} B  {' '.join(place)}".rstrip()
                         for place, (times, nbytes) in self.places.items()) or "no transfers"


class _Watch(NamedTuple):
    mode: Mode
    meters: tuple[TransferMeter, ...]


_NOBODY = _Watch("allow", ())
_watch: ContextVar[_Watch | None] = ContextVar("dlcore_transfers", default=None)

# --- what users say --------------------------------------------------------------------------------


@contextmanager
def transfer_guard(mode: Mode) -> Iterator[None]:
    """Allow, log or forbid copies between host and device inside the ``with`` block.

    It holds in this thread or task; the innermost guard decides.  What a user asks for is a transfer
    like any other: ``dl.tensor`` of data on the host, ``numpy``, ``item``, ``tolist``, ``float``, ``to``
    and printing.  The cpu backend has none.

    Args:
        mode: ``"allow"``; ``"log"``, which warns of each through the logger ``dlcore.transfers``; or
            ``"disallow"``, which raises DeviceTransferError before anything is copied, and where the
            host would have to wait for a shape.  :func:`dlcore.synchronize` moves nothing and is allowed.

    Raises:
        ValueError: another mode.

        >>> import dlcore as dl
        >>> with dl.transfer_guard("disallow"):
        ...     dl.tensor(2.0).item()
        2.0
    """
    if mode not in get_args(Mode):
        raise ValueError(f"transfer_guard: the mode is 'allow', 'log' or 'disallow', got {mode!r}")
    with _watching((_watch.get() or _NOBODY)._replace(mode=mode)):
        yield


@contextmanager
def transfer_meter() -> Iterator[TransferMeter]:
    """Counts copies between host and device, and waits, by the line that caused them.

    It counts what happens in this thread or task inside the ``with`` block; of nested ones each counts.

        >>> import dlcore as dl
        >>> with dl.transfer_meter() as meter:
        ...     value = dl.tensor(2.0).item()
        >>> print(meter)
        no transfers
    """
    watch, meter = _watch.get() or _NOBODY, TransferMeter()
    with _watching(watch._replace(meters=(*watch.meters, meter))):
        yield meter


@contextmanager
def _watching(watch: _Watch) -> Iterator[None]:
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


# --- what backends say ------------------------------------------------------------------------------


def to_device(nbytes: int, device: str) -> None:
    """A member of a backend is about to copy ``nbytes`` from the host to ``device``."""
    if (watch := _watch.get()) is not None:
        _note(watch, "to_device", nbytes, f"copies {nbytes} bytes from the host to {device}")


def to_host(nbytes: int, device: str) -> None:
    """A member of a backend is about to wait for ``device`` and copy ``nbytes`` to the host."""
    if (watch := _watch.get()) is not None:
        _note(watch, "to_host", nbytes, f"copies {nbytes} bytes from {device} to the host")


def waits_for_shape(device: str) -> None:
    """A member of a backend is about to wait for ``device``, which alone knows the shape of a result."""
    if (watch := _watch.get()) is not None:
        _note(watch, "wait", 0, f"waits until {device} knows how many elements are true")


def waits_as_told() -> None:
    """A member of a backend is about to wait because the user asked for that alone."""
    if (watch := _watch.get()) is not None:
        _note(watch._replace(mode="allow"), "wait", 0, "")


def _note(watch: _Watch, kind: Literal["to_device", "to_host", "wait"], nbytes: int, deed: str) -> None:
    place = Place(kind, *_caller())
    if watch.mode == "disallow":
        raise DeviceTransferError(
            f"{place.operation or 'backend'}: {deed} at {place.line}, inside transfer_guard('disallow'); "
            f"{_REMEDY[kind]}, or allow this one with dl.transfer_guard('allow')")
    if watch.mode == "log":
        import logging  # 13 ms, needed only here

        logging.getLogger("dlcore.transfers").warning(
            "%s: %s at %s", place.operation or "backend", deed, place.line)
    for meter in watch.meters:
        meter.places[place] = meter.places.get(place, Total()) + Total(1, nbytes)


def _caller() -> tuple[str, str]:
    """The innermost line that is neither dlcore's nor of the backend's file, and what it called."""
    frame, operation = sys._getframe(3), ""
    backend = frame.f_globals.get("__name__", "")
    while frame.f_back is not None:
        module = frame.f_globals.get("__name__", "")
        if module != backend and module.partition(".")[0] not in _OURS:
            break
        if "<" not in (name := frame.f_code.co_qualname):  # else a wrapper, which tells nothing
            operation = name
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}", operation
