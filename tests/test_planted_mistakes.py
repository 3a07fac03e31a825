"""Ten mistakes that a GPU would punish, planted one by one: each is noticed where there is none.

A mistake is a change of one place in a file of the CUDA backend, or in the text of a kernel.  What
notices it is the machinery that watches these files in the other tests.
"""

import ctypes
import importlib
import types
import warnings
from pathlib import Path

import numpy as np
import pytest

import backends
import dlcore as dl
from tests import backend_laws, cupy_signatures, fake_cupy, host_kernels, kernel_cases, nvrtc
from tests.fake_cupy import needs_compiler
from tests.training import Training

HERE = Path(__file__).parent
BACKEND = HERE.parent / "backends" / "cupy_backend.py"


def planted(source, before, after):
    """``source`` with one place changed; a mistake that finds no soil is a mistake of this file."""
    assert source.count(before) == 1
    return source.replace(before, after)


@pytest.fixture
def plant(monkeypatch):
    """Plants a mistake in the file of the CUDA backend, and gives the backend that has it."""

    def change(before, after):
        backend = backends.get_backend(backend_laws.STAND_IN)
        changed = types.ModuleType("backends.planted")
        with fake_cupy.installed():
            exec(planted(BACKEND.read_text("utf-8"), before, after), vars(changed))  # noqa: S102  our own
        monkeypatch.setattr(backend, "__class__", changed.CupyBackend)
        return backend

    return change


@pytest.fixture
def step():
    """Makes one training step on the stand-in, after one that warms up."""

    def run(backend):
        with backends.use_backend(backend.name):
            training = Training()
            training.step()
            dl.synchronize()
            fake_cupy.traffic.clear()
            training.step()

    return run


# --- calls -------------------------------------------------------------------------


def test_1_a_keyword_that_cupy_lacks():
    source = planted(BACKEND.read_text("utf-8"), "cp.sort(x, axis)", "cp.sort(x, axis, stable=True)")

    (found,) = cupy_signatures.complaints(source)

    assert "cupy.sort(a, axis=Ellipsis, kind=Ellipsis): got an unexpected keyword argument 'stable'" in found


def test_2_a_name_that_cupy_lacks():
    source = planted(BACKEND.read_text("utf-8"), "cp.cumprod(", "cp.cumulative_prod(")

    (found,) = cupy_signatures.complaints(source)

    assert "cupy.cumulative_prod is not in cupy_signatures.json" in found


# --- what happens without a word ---------------------------------------------------


@needs_compiler
def test_3_a_hidden_wait(plant, step):
    backend = plant(
        "        self._unread = True\n", "        self._unread = bool(cp.any(indices < 0))\n"
    )

    with pytest.raises(TypeError, match="__bool__ of an array waits for the device where no meter"):
        step(backend)


@needs_compiler
def test_4_numpy_where_cupy_belongs(plant):
    backend = plant("cp.maximum(out[step:]", "__import__('numpy').maximum(out[step:]")  # CuPy lets it pass

    with pytest.raises(TypeError, match="does not support ufuncs"):
        backend.cumulative_max(backend.arange(3), 0)


@needs_compiler
@pytest.mark.parametrize(
    "copied", ["self.from_host(self.to_host(values))", "cp.array(cp.asnumpy(values))"]
)
def test_5_a_copy_through_the_host_in_a_step(plant, step, copied):
    backend = plant(
        "        out = self.zeros(shape, values.dtype)\n",
        f"        values = {copied}\n        out = self.zeros(shape, values.dtype)\n",
    )

    with dl.transfer_meter() as meter:
        step(backend)

    assert set(fake_cupy.traffic) == {"to_host", "to_device"}
    places = {(p.kind, p.operation) for p in meter.places if p.operation == "Tensor.backward"}
    seen = {("to_host", "Tensor.backward"), ("to_device", "Tensor.backward")}
    assert places == (seen if "self" in copied else set())  # the stand-in sees what goes past the meter


@needs_compiler
def test_6_places_that_are_written_twice(plant):
    backend = plant(
        "        cupyx.scatter_add(out, index, values)\n",
        "        out[index] = out[index] + values\n",
    )
    index = (backend.from_host(np.array([1, 0, 1])),)

    with pytest.raises(ValueError, match="a place is written twice; which value stays, CuPy leaves"):
        backend.index_add((2,), index, backend.ones((3,)))


# --- kernels -----------------------------------------------------------------------


def sanitized(name, before, after):
    """What AddressSanitizer says of the cases of one kernel after its text was changed."""
    code = f"""
from tests import fake_cupy, host_kernels, kernel_cases
host_kernels.FLAGS.extend(host_kernels.SANITIZER)
kernel = fake_cupy.kernels().{name}
assert kernel.operation.count({before!r}) == 1
kernel.operation = kernel.operation.replace({before!r}, {after!r})
kernel_cases.run({name!r}, [33])
"""
    done = host_kernels.sanitized("-c", code)
    assert done.returncode != 0
    return done.stderr


@pytest.mark.cuda_on_cpu
def test_7_a_write_behind_the_end():
    found = sanitized("philox", "position < count", "position <= count")

    assert "heap-buffer-overflow" in found
    assert "WRITE of size 8" in found


@pytest.mark.cuda_on_cpu
def test_8_a_reading_of_one_element_too_many():
    found = sanitized("add_runs", "j < count && place[j]", "j <= count && place[j]")

    assert "heap-buffer-overflow" in found
    assert "READ of size 8" in found


@pytest.mark.cuda_on_cpu
def test_9_a_kernel_that_does_not_compile_for_bfloat16():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module("backends.cuda_kernels")
        compiler = importlib.import_module("cupy.cuda.compiler")
    whole = module.add_runs
    parts = ("in_params", "out_params", "params", "name", "preamble", "kwargs")
    kernel = types.SimpleNamespace(**{p: getattr(whole, p) for p in parts})
    kernel.operation = planted(whole.operation, "total = total + value[order[j]]", "total += value[order[j]]")

    assert nvrtc.cubin(kernel, "float32", "sm_90", contiguous=True)
    with pytest.raises(compiler.CompileException, match=r'no operator "\+=" matches'):
        nvrtc.cubin(kernel, kernel_cases.numpy_dtype("bfloat16"), "sm_90", contiguous=True)


REVERSE = """
#include "host_blocks.h"
__global__ void reverse(const float *x, float *y) {
    __shared__ float part[64];
    unsigned t = threadIdx.x, start = blockIdx.x * 64;
    part[t] = x[start + t];
    BARRIER
    y[start + t] = part[63 - t];
}
extern "C" int k(const float *x, float *y) { return launch(3, 64, [&] { reverse(x, y); }); }
"""


def reversed_by(barrier):
    """What a kernel makes of numbers that it is to reverse in blocks of 64, and its status."""
    x = np.arange(192, dtype=np.float32)
    y = np.zeros_like(x)
    function = host_kernels.compiled(REVERSE.replace("BARRIER", barrier))
    status = function(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data))
    return status, np.array_equal(y.reshape(3, 64), x.reshape(3, 64)[:, ::-1])


@needs_compiler
def test_10_a_forgotten_barrier():
    assert reversed_by("__syncthreads();") == (0, True)
    assert reversed_by("") == (0, False)


@needs_compiler
def test_10_a_barrier_that_only_some_threads_reach():
    assert reversed_by("if (t < 10) __syncthreads();")[0] == 1
