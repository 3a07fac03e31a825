"""The errors that only backends raise; everything else is Python's own."""

from __future__ import annotations


class BackendError(RuntimeError):
    """A backend is unknown, unavailable, or mixed with another one."""


class DeviceTransferError(BackendError):
    """Data would have to move between devices where nobody asked for it."""


class MatrixError(ValueError):
    """A matrix that an operation cannot take: singular, not positive definite, with a repeated value."""
