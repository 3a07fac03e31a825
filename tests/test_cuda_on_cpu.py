"""What can be proven of the CUDA backend with the real CuPy, its compiler and no GPU.

``nox -s cuda-on-cpu`` runs these tests; nothing is skipped there, what is missing is an error.
"""

import importlib
import os
import re
import subprocess
import sys
import warnings
from operator import attrgetter
from pathlib import Path

import array_api_strict
import numpy as np
import pytest

import dlcore as dl
from tests import cupy_signatures, host_kernels, kernel_cases, nvrtc

pytestmark = pytest.mark.cuda_on_cpu
ROOT = Path(__file__).parent.parent
KERNELS = tuple(kernel_cases.CASES)


@pytest.fixture(scope="module", autouse=True)
def real_cupy():
    """CuPy, whose wheel needs no GPU to be imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("cupy")


# --- calls -------------------------------------------------------------------------


def test_the_file_of_signatures_is_that_of_the_installed_cupy():
    recorded = {name: str(entry) for name, entry in cupy_signatures.known().items()}

    found = cupy_signatures.snapshot()["names"]

    assert {n: str(cupy_signatures.read(e)) for n, e in found.items()} == recorded


@pytest.mark.parametrize(("kind", "names"), [
    ("ndarray", "data device flags set fill __dlpack__ __cuda_array_interface__"),
    ("cuda.Device", "id synchronize"),
    ("cuda.Stream", "record wait_event"),
    ("cuda.Event", "done"),
    ("cuda.MemoryPointer", "ptr"),
    ("cuda.MemoryPool", "get_limit used_bytes total_bytes"),
    ("cuda.MemoryHook", "name malloc_postprocess free_postprocess"),
])
def test_objects_of_cupy_have_what_the_backend_asks_them_for(real_cupy, kind, names):
    found = attrgetter(kind)(real_cupy)

    assert [name for name in names.split() if not hasattr(found, name)] == []


def test_cupys_error_of_memory_can_be_read_by_ours(real_cupy):
    error = real_cupy.cuda.memory.OutOfMemoryError(3 << 30, 5)
    figures = importlib.import_module("backends.cuda_devices").figures
    memory = {"used": 1, "reserved": 2, "free": 3, "total": 4}

    assert figures(str(error), memory, 0).startswith("3.00 GiB were asked for; arrays take 1 bytes of")


# --- dtypes ------------------------------------------------------------------------

DTYPES = "?bhilBHILefdFD"  # bfloat16 is no dtype of NumPy's
UFUNCS = {name for name in array_api_strict.__all__ if isinstance(getattr(np, name, None), np.ufunc)}
OTHERS = {"matmul", "vecdot"}  # no ufuncs in CuPy; the backend says how it multiplies
REFUSED = {"logical_and", "logical_or", "logical_xor", "logical_not"}  # of complex numbers, by dlcore too


def dtype_in_numpy(name, char):
    """The dtype of the result for operands of one dtype, as dlcore makes them; None if there is none."""
    function = getattr(np, name)
    try:
        return function.resolve_dtypes((np.dtype(char),) * function.nin + (None,) * function.nout)[-1]
    except TypeError:
        return None


def dtype_in_cupy(function, char):
    """The same by the loops that CuPy declares: of the first that takes the operands."""
    loops = [loop.split("->") for loop in function.types if "E" not in loop]
    fitting = [outs for ins, outs in loops
               if len(ins) == function.nin and all(np.can_cast(np.dtype(char), np.dtype(i)) for i in ins)]
    return np.dtype(fitting[0][-1]) if fitting else None


@pytest.mark.parametrize("name", sorted(UFUNCS - OTHERS))
def test_a_function_of_the_standard_has_the_dtype_that_it_has_in_numpy(real_cupy, name):
    for char in DTYPES:
        expected = dtype_in_numpy(name, char)
        if expected is not None and not (name in REFUSED and char in "FD"):
            assert dtype_in_cupy(getattr(real_cupy, name), char) == expected, char


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_cupy_has_no_loop_for_is_refused_by_name(name):
    x = dl.tensor([1j])

    with pytest.raises(TypeError, match=f"^{name}: takes real numbers only"):
        getattr(dl, name)(*[x] * getattr(np, name).nin)


# --- extras ------------------------------------------------------------------------


def test_two_versions_of_cuda_are_refused_together(tmp_path):
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    (tmp_path / "pyproject.toml").write_text(project.replace('dynamic = ["version"]', 'version = "0"'))
    asked = ["sync", "--dry-run", "--extra", "cuda12", "--extra", "cuda13"]

    done = subprocess.run([sys.executable, "-m", "uv", *asked], cwd=tmp_path, check=False,
                          capture_output=True, text=True)

    assert done.returncode != 0
    said = " ".join(done.stderr.split())
    assert "Extras `cuda12` and `cuda13` are incompatible with the declared conflicts" in said, said


# --- kernels -----------------------------------------------------------------------


def test_every_kernel_has_a_case(real_cupy):
    module = vars(importlib.import_module("backends.cuda_kernels"))

    assert {n for n, k in module.items() if isinstance(k, real_cupy.ElementwiseKernel)} == set(KERNELS)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
def test_every_kernel_compiles_for_the_device(name, architecture):
    kernel = getattr(importlib.import_module("backends.cuda_kernels"), name)

    for dtype in map(kernel_cases.numpy_dtype, kernel_cases.CASES[name].dtypes):
        for contiguous in (True, False):
            code = nvrtc.cubin(kernel, dtype, architecture, contiguous=contiguous)
            assert code.startswith(b"\x7fELF")


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_computes_what_numpy_does_inside_its_arrays(name):
    done = host_kernels.sanitized("-m", "tests.kernel_cases", "--sanitize", name)

    assert done.returncode == 0, done.stderr
    runs = len(kernel_cases.SIZES) * len(kernel_cases.CASES[name].dtypes) * 2
    assert done.stdout == f"{name}: {runs} runs\n"


# --- the five failures of set_backend("cuda") ---------------------------------------


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """A folder with a library that stands in for NVIDIA's driver."""
    if host_kernels.GPP is None:
        pytest.fail("the stand-in for the driver is compiled with g++: install the package g++")
    folder = tmp_path_factory.mktemp("driver")
    source = ROOT / "tests" / "fake_driver.cpp"
    command = [host_kernels.GPP, "-shared", "-fPIC", "-o", str(folder / "libcuda.so.1"), str(source)]
    subprocess.run(command, check=True)
    return folder


def refusal(before="", path=(), **environment):
    """What ``set_backend("cuda")`` says in a process of its own."""
    code = f"{before}\nimport backends\nbackends.set_backend('cuda')"
    folders = os.pathsep.join(map(str, (*path, ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": folders} | environment,
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    start = "backends.errors.BackendError: backend 'cuda' is not available: "
    assert last.startswith(start), done.stderr
    return last.removeprefix(start)


def test_cupy_is_not_installed():
    text = refusal(before="import sys; sys.modules['cupy'] = None")

    assert text.startswith("CuPy is not installed; pip install 'dlcore[cuda13]'")


def test_cupy_cannot_be_imported(tmp_path):
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy" / "__init__.py").write_text("raise ImportError('multiarray failed')")

    text = refusal(path=[tmp_path])

    assert text.startswith("CuPy is installed but cannot be imported; reinstall it")


def test_there_is_no_driver():
    assert refusal().startswith("there is no NVIDIA driver on this machine")


def test_the_driver_is_too_old(driver):
    text = refusal(LD_LIBRARY_PATH=str(driver), FAKE_DRIVER_VERSION="12080")

    assert re.match(r"the NVIDIA driver is too old: it supports CUDA 12\.8, CuPy was built for 13", text)


def test_there_is_no_device(driver):
    text = refusal(
        LD_LIBRARY_PATH=str(driver), FAKE_DRIVER_VERSION="13000", FAKE_DRIVER_STATUS="100"
    )

    assert text.startswith("there is a driver but no CUDA device on this machine")
