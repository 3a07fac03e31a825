"""Why CUDA is not available, found out before anything is computed on it.

A device count alone proves little: it answers while the libraries that compile and multiply are
missing.  So the probe ends with one allocation, one kernel and one matrix product, and whatever
fails on the way becomes one line that says what to do about it.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, NoReturn

from backends.errors import BackendError

# Values of cudaError_t, from the CUDA runtime API.
_OUT_OF_MEMORY = 2
_NOT_INITIALIZED = 3
_INSUFFICIENT_DRIVER = 35
_BUSY = 46
_NO_DEVICE = 100
_INVALID_DEVICE = 101
_NO_KERNEL_IMAGE = 209
_SYSTEM_NOT_READY = 802
_DRIVER_MISMATCH = 803
_NOT_COMPATIBLE = 804


def probe(ordinal: int = 0) -> None:
    """Return if CUDA device ``ordinal`` computes.

    Raises:
        BackendError: it does not; the message has the cause and the remedy in one line.
    """
    cp = _import_cupy()
    count = _count_devices(cp)
    if ordinal >= count:
        names = ", ".join("cuda" if i == 0 else f"cuda:{i}" for i in range(count))
        _fail(f"there is no device {ordinal}: {count} visible, {names}")
    _compute_something(cp, ordinal)
    _import_compat()


def _import_cupy() -> Any:
    try:
        cp = import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            _fail(f"CuPy is installed, but the module {error.name!r} that it needs is not; "
                  "reinstall it: pip install --force-reinstall 'dlcore[cuda13]'", error)
        _fail("CuPy is not installed; pip install 'dlcore[cuda13]' "
              "(for a driver older than 580: 'dlcore[cuda12]')", error)
    except ImportError as error:
        _fail("CuPy is installed but cannot be imported; reinstall it together with a NumPy that "
              "it accepts: pip install --force-reinstall 'dlcore[cuda13]'", error)
    if not hasattr(cp, "ndarray"):  # an empty folder imports as a namespace package
        _fail("only remains of CuPy are installed: removing one of its wheels took the files of "
              "another along; uninstall every cupy package, then pip install 'dlcore[cuda13]'")
    return cp


def _count_devices(cp: Any) -> int:
    runtime = cp.cuda.runtime
    try:
        count = int(runtime.getDeviceCount())
    except runtime.CUDARuntimeError as error:
        _explain(cp, error)
    if count == 0:
        _fail_without_device()
    return count


def _compute_something(cp: Any, ordinal: int) -> None:
    try:
        with cp.cuda.Device(ordinal):
            x = cp.ones(8, cp.float32)
            total = float(cp.sum(x * x))
            product = float(cp.sum(cp.matmul(cp.reshape(x, (2, 4)), cp.reshape(x, (4, 2)))))
    except MemoryError as error:  # CuPy's own is a subclass
        _fail_out_of_memory(error)
    except cp.cuda.runtime.CUDARuntimeError as error:
        _explain(cp, error)
    except (ImportError, OSError, RuntimeError) as error:
        _fail(f"the libraries that CuPy compiles and multiplies with do not load; "
              f"pip install 'cupy-cuda{_runtime_major(cp)}x[ctk]', or install the CUDA toolkit",
              error)
    if (total, product) != (8.0, 16.0):
        _fail(f"device {ordinal} computes wrong numbers: {total} for 8.0, {product} for 16.0; "
              "its driver and CuPy do not fit together")


def _import_compat() -> None:
    try:
        import_module("array_api_compat.cupy")
    except ImportError as error:
        _fail("the package array-api-compat is missing; pip install 'dlcore[cuda13]'", error)


def _explain(cp: Any, error: Any) -> NoReturn:
    """Raise what a CUDARuntimeError means."""
    status = error.status
    driver = cp.cuda.runtime.driverGetVersion()  # 0 without a driver; raises nothing
    if status == _INSUFFICIENT_DRIVER and driver == 0:
        _fail("there is no NVIDIA driver on this machine (libcuda.so.1 is not found)", error)
    if status == _INSUFFICIENT_DRIVER:
        major = _runtime_major(cp)
        older = f", or pip install 'dlcore[cuda{major - 1}]'" if major > 12 else ""
        _fail(f"the NVIDIA driver is too old: it supports CUDA {_version(driver)}, CuPy was built "
              f"for {major}.x; update the driver{older}", error)
    if status == _NO_DEVICE:
        _fail_without_device(error)
    if status == _OUT_OF_MEMORY:
        _fail_out_of_memory(error)
    _fail(_CAUSES.get(status, "the CUDA driver reports an error"), error)


_CAUSES = {
    _NOT_INITIALIZED: "CUDA was used before this process was forked; start processes with "
                      "multiprocessing.get_context('spawn')",
    _BUSY: "the device is in use by another process that does not share it",
    _INVALID_DEVICE: "the driver does not know a device of that number",
    _NO_KERNEL_IMAGE: "CuPy has no code for a device of this age; install one that does",
    _SYSTEM_NOT_READY: "the driver is not ready yet; check that its services run "
                       "(nvidia-fabricmanager, nvidia-persistenced)",
    _DRIVER_MISMATCH: "the driver's library and its kernel module have different versions; reboot, "
                      "or in a container mount the host's libcuda.so.1",
    _NOT_COMPATIBLE: "this device does not support the CUDA compatibility package in use; update "
                     "the driver instead",
}


def _fail_without_device(error: Exception | None = None) -> NoReturn:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        _fail("there is a driver but no CUDA device on this machine", error)
    _fail(f"no CUDA device is visible: CUDA_VISIBLE_DEVICES is {visible!r}; unset it, or name a "
          "device that exists", error)


def _fail_out_of_memory(error: Exception) -> NoReturn:
    _fail("the device has no free memory to start with; see nvidia-smi for what holds it", error)


def _runtime_major(cp: Any) -> int:
    return int(cp.cuda.runtime.runtimeGetVersion()) // 1000


def _version(number: int) -> str:
    """CUDA's way to write versions: 12080 is 12.8."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _fail(cause: str, error: BaseException | None = None) -> NoReturn:
    if error is None:
        raise BackendError(f"backend 'cuda' is not available: {cause}")
    shown = " ".join(str(error).split())[:160]
    raise BackendError(f"backend 'cuda' is not available: {cause} "
                       f"({type(error).__name__}: {shown})") from error
