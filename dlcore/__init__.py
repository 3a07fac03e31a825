"""dlcore: a deep-learning core that can be read in an evening and trained with the next morning.

    >>> import dlcore as dl
    >>> w = dl.tensor([1.0, 2.0], requires_grad=True)
    >>> loss = dl.sum(w * w)
    >>> loss.backward()
    >>> w.grad
    tensor([2., 4.], float32)

Read ``core.py`` first: it is the engine.  ``ops/`` declares what can be computed, ``tensors.py`` what
it is computed on, ``transforms.py`` derivatives of functions.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

import backends as _backends

if not hasattr(_backends, "set_backend"):
    raise ImportError(
        "dlcore needs its package `backends`, but found another module of that name at "
        f"{getattr(_backends, '__file__', None) or list(_backends.__path__)}; rename that one, or move it "
        "out of the folder that Python looks in first")

from backends import (
    BackendError,
    DeviceTransferError,
    OutOfMemoryError,
    available_backends,
    get_backend,
    get_default_dtype,
    memory_meter,
    register_backend,
    set_backend,
    set_default_dtype,
    set_deterministic,
    synchronize,
    transfer_guard,
    transfer_meter,
    use_backend,
    use_deterministic,
)
from backends.dtypes import (
    bfloat16,
    bool_,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from dlcore import ops, random
from dlcore.creation import (
    arange,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    linspace,
    ones,
    zeros,
)
from dlcore.custom import custom_vjp, remat
from dlcore.mistakes import MistakeWarning
from dlcore.nans import debug_nans
from dlcore.ops import *
from dlcore.tensors import Tensor, tensor
from dlcore.transforms import grad, hessian, hvp, jacobian, jvp, no_grad, stop_gradient, value_and_grad, vjp

__version__ = "0.1.0.dev0"

__all__ = [
    "BackendError", "DeviceTransferError", "MistakeWarning", "OutOfMemoryError", "Tensor", "__version__",
    "arange", "available_backends", "bfloat16", "bool_", "checkpoint", "complex64", "complex128",
    "custom_vjp", "data", "debug_nans", "empty", "empty_like", "eye", "fft", "float16", "float32", "float64",
    "from_dlpack", "full", "full_like", "get_backend", "get_default_dtype", "grad", "graph", "hessian", "hvp",
    "int8", "int16", "int32", "int64", "jacobian", "jvp", "linalg", "linspace", "memory_meter", "mistakes",
    "nn", "no_grad", "ones", "ops", "optim", "random", "register_backend", "remat", "set_backend",
    "set_default_dtype", "set_deterministic", "stop_gradient", "synchronize", "tensor", "testing", "train",
    "transfer_guard", "transfer_meter", "uint8", "uint16", "uint32", "uint64", "use_backend",
    "use_deterministic", "value_and_grad", "viz", "vjp", "zeros",
]
__all__ += ops.__all__

_LATE = ("checkpoint", "data", "fft", "graph", "linalg", "nn", "optim", "testing", "train", "viz")
"""Parts that many programs do without, and that take twice as long to import as all the rest."""

if _TYPE_CHECKING:
    from dlcore import checkpoint, data, fft, graph, linalg, nn, optim, testing, train, viz
else:

    def __getattr__(name: str) -> _Any:
        if name in _LATE:
            return _import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LATE})
