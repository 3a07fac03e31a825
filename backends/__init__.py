"""Select an array backend at run time.

    >>> import backends
    >>> backends.set_backend("cpu")
    >>> backends.get_backend()
    <backend cpu>

A :class:`Backend` is an array namespace plus the few members that the array-API standard lacks.
``registry`` keeps them, ``dtypes`` names what their arrays hold, ``host`` handles NumPy arrays for
callers that never import NumPy.  Nothing here imports an array library before it is selected.
"""

from backends.base import Backend
from backends.determinism import set_deterministic, use_deterministic
from backends.dtypes import DType, as_dtype, get_default_dtype, promote, set_default_dtype
from backends.errors import BackendError, DeviceTransferError, OutOfMemoryError
from backends.library import Array
from backends.registry import (
    OWNERS,
    available_backends,
    backend_of,
    current,
    get_backend,
    memory_meter,
    owners_hidden,
    register_backend,
    set_backend,
    synchronize,
    use_backend,
)
from backends.transfers import TransferMeter, transfer_guard, transfer_meter

__all__ = [
    "OWNERS", "Array", "Backend", "BackendError", "DType", "DeviceTransferError", "OutOfMemoryError",
    "TransferMeter", "as_dtype", "available_backends", "backend_of", "current", "get_backend",
    "get_default_dtype", "memory_meter", "owners_hidden", "promote", "register_backend", "set_backend",
    "set_default_dtype", "set_deterministic", "synchronize", "transfer_guard", "transfer_meter",
    "use_backend", "use_deterministic",
]
