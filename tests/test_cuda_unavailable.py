"""Why CUDA is not available: each cause is provoked, told apart, and answered with a remedy.

The causes come from a module that stands in for CuPy and fails where the real one would, with the
status codes and the texts of the real one.
"""

import contextlib
import importlib
import sys
import types

import numpy as np
import pytest

import backends
from backends import BackendError, cuda_probe, registry


class CUDARuntimeError(RuntimeError):
    """CuPy's error for a call of the CUDA runtime that failed."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def fails(error: Exception):
    """A function that raises ``error`` whatever it is given."""

    def function(*args, **kwargs):
        raise error

    return function


def stand_in(*, count=lambda: 1, driver=13000, **functions):
    """A module that has what the probe asks of CuPy; ``functions`` replace what it would do."""
    cupy = types.ModuleType("cupy")
    cupy.ndarray = np.ndarray
    cupy.float32 = np.float32
    for name in ("ones", "sum", "matmul", "reshape"):
        setattr(cupy, name, functions.get(name, getattr(np, name)))
    cupy.cuda = types.SimpleNamespace(
        Device=lambda ordinal: contextlib.nullcontext(),
        runtime=types.SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            getDeviceCount=count,
            driverGetVersion=lambda: driver,
            runtimeGetVersion=lambda: 13000,
        ),
    )
    return cupy


def compat():
    """The module of array-api-compat that wraps CuPy."""
    return {"array_api_compat": types.ModuleType("array_api_compat"),
            "array_api_compat.cupy": types.ModuleType("array_api_compat.cupy")}


@pytest.fixture
def installed(monkeypatch):
    """Puts modules where ``import`` finds them; None makes an import fail."""

    def install(**modules):
        for name, module in ({"cupy": stand_in(), **compat()} | modules).items():
            monkeypatch.setitem(sys.modules, name, module)

    return install


@pytest.fixture
def import_fails(monkeypatch):
    """Makes ``import cupy`` raise an error."""

    def install(error):
        monkeypatch.setattr(cuda_probe, "import_module", fails(error))

    return install


def no_device(status: int, text: str):
    """A function that counts devices like a driver that reports an error."""
    return fails(CUDARuntimeError(status, text))


def message() -> str:
    """What the probe has to say."""
    with pytest.raises(BackendError) as caught:
        cuda_probe.probe()
    text = str(caught.value)
    assert text.startswith("backend 'cuda' is not available: ")
    assert "\n" not in text
    return text


def test_a_device_that_computes_passes(installed):
    installed()

    assert cuda_probe.probe() is None


# --- the installation --------------------------------------------------------------


def test_cupy_is_not_installed(import_fails):
    import_fails(ModuleNotFoundError("No module named 'cupy'", name="cupy"))

    assert "CuPy is not installed; pip install 'dlcore[cuda13]'" in message()


def test_cupy_lacks_a_module_that_it_needs(import_fails):
    import_fails(ModuleNotFoundError("No module named 'fastrlock'", name="fastrlock"))

    assert "CuPy is installed, but the module 'fastrlock' that it needs is not" in message()


def test_cupy_does_not_import(import_fails):
    import_fails(ImportError("\n======\nFailed to import CuPy.\n\nnumpy.core.multiarray failed\n"))

    text = message()

    assert "CuPy is installed but cannot be imported; reinstall it together with a NumPy" in text
    assert "ImportError: ====== Failed to import CuPy. numpy.core.multiarray failed" in text


def test_only_an_empty_folder_of_cupy_is_left(installed):
    installed(cupy=types.ModuleType("cupy"))

    assert "only remains of CuPy are installed" in message()
    assert "uninstall every cupy package" in message()


def test_array_api_compat_is_not_installed(installed):
    installed(**{"array_api_compat.cupy": None})

    assert "array-api-compat is missing; pip install 'dlcore[cuda13]'" in message()


# --- the driver --------------------------------------------------------------------

INSUFFICIENT = "cudaErrorInsufficientDriver: CUDA driver version is insufficient"


def test_there_is_no_driver(installed):
    installed(cupy=stand_in(count=no_device(35, INSUFFICIENT), driver=0))

    assert "there is no NVIDIA driver on this machine (libcuda.so.1 is not found)" in message()


def test_the_driver_is_too_old(installed):
    installed(cupy=stand_in(count=no_device(35, INSUFFICIENT), driver=12080))

    text = message()

    assert "the NVIDIA driver is too old: it supports CUDA 12.8, CuPy was built for 13.x" in text
    assert "update the driver, or pip install 'dlcore[cuda12]'" in text
    assert INSUFFICIENT in text


def test_an_old_driver_has_no_older_extra_to_go_to(installed):
    cupy = stand_in(count=no_device(35, INSUFFICIENT), driver=11080)
    cupy.cuda.runtime.runtimeGetVersion = lambda: 12090
    installed(cupy=cupy)

    assert "CUDA 11.8, CuPy was built for 12.x; update the driver (" in message()


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (3, "CUDA was used before this process was forked; start processes with multiprocessing"),
        (46, "the device is in use by another process that does not share it"),
        (101, "the driver does not know a device of that number"),
        (209, "CuPy has no code for a device of this age"),
        (802, "the driver is not ready yet"),
        (803, "the driver's library and its kernel module have different versions; reboot"),
        (804, "this device does not support the CUDA compatibility package"),
        (999, "the CUDA driver reports an error"),
    ],
)
def test_the_driver_reports_an_error(installed, status, cause):
    installed(cupy=stand_in(count=no_device(status, "cudaErrorSomething: what it says")))

    assert cause in message()
    assert "(CUDARuntimeError: cudaErrorSomething: what it says)" in message()


# --- the device --------------------------------------------------------------------


@pytest.mark.parametrize("count", [lambda: 0, no_device(100, "cudaErrorNoDevice")])
def test_there_is_no_device(installed, monkeypatch, count):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    installed(cupy=stand_in(count=count))

    assert "there is a driver but no CUDA device on this machine" in message()


@pytest.mark.parametrize("count", [lambda: 0, no_device(100, "cudaErrorNoDevice")])
def test_the_environment_hides_the_devices(installed, monkeypatch, count):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    installed(cupy=stand_in(count=count))

    assert "no CUDA device is visible: CUDA_VISIBLE_DEVICES is '-1'; unset it" in message()


def test_a_number_that_no_device_has_lists_those_there_are(installed):
    installed(cupy=stand_in(count=lambda: 2))

    with pytest.raises(BackendError, match=r"there is no device 2: 2 visible, cuda, cuda:1$"):
        cuda_probe.probe(2)
    with pytest.raises(BackendError, match=r"there is no device 2: 2 visible, cuda, cuda:1$"):
        backends.set_backend("cuda:2")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Out of memory allocating 512 bytes (allocated so far: 0 bytes)."),
        CUDARuntimeError(2, "cudaErrorMemoryAllocation: out of memory"),
    ],
    ids=["pool", "driver"],
)
def test_there_is_no_memory_to_start_with(installed, error):
    installed(cupy=stand_in(ones=fails(error)))

    assert "the device has no free memory to start with; see nvidia-smi" in message()
    assert str(error) in message()


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("sum", RuntimeError('DynamicLibNotFoundError: Failure finding "libnvrtc.so.13"')),
        ("matmul", ImportError("libcublas.so.13: cannot open shared object file")),
        ("sum", OSError("libnvrtc-builtins.so.13.0: cannot open shared object file")),
    ],
)
def test_the_libraries_that_compile_or_multiply_are_missing(installed, function, error):
    installed(cupy=stand_in(**{function: fails(error)}))

    text = message()

    assert "the libraries that CuPy compiles and multiplies with do not load" in text
    assert "pip install 'cupy-cuda13x[ctk]'" in text
    assert str(error) in text


def test_the_first_kernel_fails_in_the_driver(installed):
    installed(cupy=stand_in(sum=fails(CUDARuntimeError(209, "cudaErrorNoKernelImageForDevice"))))

    assert "CuPy has no code for a device of this age" in message()


def test_the_device_computes_wrong_numbers(installed):
    installed(cupy=stand_in(matmul=lambda x, y: np.zeros((2, 2))))

    assert "device 0 computes wrong numbers: 8.0 for 8.0, 0.0 for 16.0" in message()


def test_a_long_text_of_the_driver_is_cut(installed):
    installed(cupy=stand_in(count=no_device(999, "x" * 500)))

    assert len(message()) < 300


# --- through the front door ----------------------------------------------------------


@pytest.fixture
def unloaded(monkeypatch):
    """Forgets a CUDA backend that may be loaded, and the module that made it."""
    loaded = {name: b for name, b in registry._loaded.items() if b.family != "cuda"}
    monkeypatch.setattr(registry, "_loaded", loaded)
    monkeypatch.delitem(sys.modules, "backends.cupy_backend", raising=False)
    before = dict(backends.OWNERS)
    yield
    backends.OWNERS.update(before)


@pytest.mark.usefixtures("unloaded")
def test_selecting_cuda_reports_the_cause_and_leaves_the_selection(installed):
    installed(cupy=stand_in(count=no_device(35, INSUFFICIENT), driver=0))
    before = backends.get_backend()

    with pytest.raises(BackendError, match=r"'cuda' is not available: there is no NVIDIA driver"):
        backends.set_backend("cuda")

    assert backends.get_backend() is before


@pytest.mark.usefixtures("unloaded")
def test_a_cause_that_was_removed_is_not_remembered(installed):
    installed(cupy=None)
    with pytest.raises(BackendError, match="not available"):
        backends.get_backend("cuda")
    installed(cupy=stand_in(count=no_device(35, INSUFFICIENT), driver=0))

    with pytest.raises(BackendError, match="no NVIDIA driver"):
        backends.get_backend("cuda")


@pytest.mark.usefixtures("unloaded")
def test_probing_imports_no_backend_file_for_nothing(installed):
    installed(cupy=stand_in(count=lambda: 0))

    assert "cuda" not in backends.available_backends()
    assert "backends.cupy_backend" not in sys.modules


def test_the_real_import_is_what_the_probe_uses():
    assert cuda_probe.import_module is importlib.import_module
