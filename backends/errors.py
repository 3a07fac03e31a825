"""The errors that only backends raise; everything else is Python's own."""

from __future__ import annotations


class BackendError(RuntimeError):
    """A backend is unknown, unavailable, or mixed with another one."""


class DeviceTransferError(BackendError):
    """Data would have to move between devices where nobody asked for it."""


class OutOfMemoryError(BackendError, MemoryError):
    """There is no room for an array.  What was computed before is unharmed, and the work can go on."""


class MatrixError(ValueError):
    """A matrix that an operation cannot take: singular, not positive definite, with a repeated value."""


def let_go(error: BaseException) -> None:
    """Drop what the frames hold through which a library's ``MemoryError`` came, and those before it.

    A traceback keeps every array alive that a function on its way was computing with.
    """
    cause: BaseException | None = error
    while isinstance(cause, MemoryError) and (cause is error or not isinstance(cause, OutOfMemoryError)):
        cause.__traceback__ = None
        cause = cause.__context__  # one of ours further back is what a user handles while this happens
