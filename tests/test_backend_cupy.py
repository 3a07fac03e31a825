"""The CUDA backend without a GPU: its calls are ones that CuPy takes, and its own parts hold.

What it promises like every backend is tested on the stand-in by test_backend_contract, its kernels
by test_cuda_on_cpu.
"""

import re
import sys
from operator import attrgetter

import numpy as np
import pytest

from tests import cupy_signatures, fake_cupy
from tests.fake_cupy import needs_compiler


@pytest.fixture
def cuda():
    """The file of the CUDA backend, on the stand-in for CuPy."""
    return fake_cupy.load()


# --- the calls ---------------------------------------------------------------------


@pytest.mark.parametrize("path", cupy_signatures.SOURCES, ids=lambda path: path.name)
def test_every_call_of_cupy_is_one_that_cupy_takes(path):
    assert cupy_signatures.complaints(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        ("cp.sum(x, where=y)", "unexpected keyword argument 'where'"),
        ("cp.maximum(x)", r"cupy.maximum: 1 arguments and \[\]"),
        ("cp.maximum(x, y, where=z)", r"2 arguments and \['where'\]"),
        ("cp.sort(x, stable=True)", "unexpected keyword argument 'stable'"),
        ("cp.take_along_axis(x, i)", "missing a required argument: 'axis'"),
        ("cp.errstate(all='ignore')", r"cupy.errstate is not in cupy_signatures\.json"),
        ("special.erf(x, y, z)", "erf: 3 arguments"),
        ("f(cp.nonsense)", r"cupy.nonsense is not in cupy_signatures\.json"),
    ],
)
def test_the_check_of_calls_notices_what_cupy_would_refuse(call, complaint):
    source = f"import cupy as cp\nfrom cupyx.scipy import special\n{call}"

    (found,) = cupy_signatures.complaints(source)

    assert found.startswith("line 3: ")
    assert re.search(complaint, found)


@pytest.mark.parametrize(
    "call", ["cp.sum(x).item()", "cp.einsum('ij->i', x)", "x.sum(where=y)"]
)
def test_the_check_of_calls_leaves_what_cupy_takes(call):
    assert cupy_signatures.complaints(f"import cupy as cp\n{call}") == []


OF_THE_DEVICE = {"blocking"}
"""Keywords that CuPy has and NumPy does not need."""


def test_every_call_is_also_one_that_numpy_takes():
    wrong, seen = [], 0
    for path in cupy_signatures.SOURCES:
        for use in cupy_signatures.uses(path.read_text(encoding="utf-8")):
            library, _, short = use.name.partition(".")
            thing = numpy_s(short) if library == "cupy" else None
            if thing is None or use.call is None or isinstance(thing, type):
                continue  # what is only CuPy's has a test of its own
            seen += 1
            use.call.keywords = [k for k in use.call.keywords if k.arg not in OF_THE_DEVICE]
            takes = cupy_signatures.read(cupy_signatures.written(thing))
            wrong += [f"{path.name}, {why}" for why in cupy_signatures.refused(use, takes)]

    assert wrong == []
    assert seen > 50


def numpy_s(name):
    """What NumPy has of this name, None if nothing."""
    try:
        return attrgetter(name)(np)
    except AttributeError:
        return None


def test_every_name_is_also_one_of_numpy_or_of_the_device():
    for name in cupy_signatures.known():
        library, _, short = name.partition(".")
        device_only = name.startswith(("cupy.cuda.", "cupyx.")) or "pool" in name
        own = short in {"ElementwiseKernel", "asnumpy"}
        assert device_only or own or attrgetter(short)(np), f"{short} of {library} is not in NumPy 2"


def test_signatures_survive_being_written_and_read():
    def function(a, b=1, *args, c, d=2, **kwargs):
        """Has parameters of every kind."""

    written = cupy_signatures.written(function)

    assert written == "a, b=, *args, c, d=, **kwargs"
    assert cupy_signatures.read(written).bind(0, 1, 2, c=3, e=4)
    assert cupy_signatures.read("") == cupy_signatures.read(cupy_signatures.written(lambda: 0))


# --- indices outside ---------------------------------------------------------------


@needs_compiler
def test_an_index_outside_is_reported_where_the_host_waits(cuda):
    x = cuda.arange(3)

    clamped = cuda.take(x, cuda.from_host(np.array([7, -9, 1])))

    with pytest.raises(IndexError, match=r"take: index (7|-9) is out of .* size 3; noticed only"):
        cuda.synchronize()
    assert cuda.to_host(clamped).tolist() == [2, 0, 1]


@needs_compiler
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "uint64"])
def test_indices_of_every_integer_dtype_are_held_inside(cuda, dtype):
    x = cuda.arange(3)
    inside = cuda.astype(cuda.from_host(np.array([2, 0])), dtype)

    assert cuda.to_host(cuda.take(x, inside)).tolist() == [2, 0]


def test_an_index_into_an_axis_without_elements_is_an_error_at_once(cuda):
    with pytest.raises(IndexError, match=r"take: an index into an axis of size 0"):
        cuda.take(cuda.zeros((0,)), cuda.zeros((1,), "int64"))
    assert cuda.take(cuda.zeros((0,)), cuda.zeros((0,), "int64")).shape == (0,)


def test_reading_values_looks_for_a_report_only_after_an_index_array_was_used(cuda):
    cuda.synchronize()

    assert not cuda._unread
    if fake_cupy.COMPILER:
        cuda.take(cuda.arange(3), cuda.arange(2))
        assert cuda._unread


# --- the device --------------------------------------------------------------------


def test_the_first_device_has_the_plain_name_and_others_a_number(cuda):
    first, second = type(cuda)(), type(cuda)(1)

    assert (first.name, second.name) == ("cuda", "cuda:1")
    assert first.owns(first.zeros((2,)))
    assert not second.owns(first.zeros((2,)))
    assert not first.owns(np.zeros(2))


def test_entering_a_scope_costs_nothing_while_there_is_one_device(cuda):
    assert cuda.scope() is cuda.scope()
    assert cuda.scope() is not cuda.device


def test_memory_is_told_by_name(cuda):
    assert set(cuda.memory_info()) == {"used", "reserved", "free", "total"}


def test_a_host_array_among_those_of_the_device_is_refused(cuda):
    with pytest.raises(TypeError, match="Unsupported type"):
        cuda.ones((2,)) + np.ones(2)


# --- the stand-in itself -----------------------------------------------------------


def test_the_stand_in_does_what_cupy_does_without_a_word():
    x = fake_cupy.array(np.arange(3))

    assert x[(fake_cupy.array(np.array([4])),)].host.tolist() == [1]
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        np.asarray(x)
    with pytest.raises(TypeError, match=r"cupy\.add\.at only supports"):
        fake_cupy.scatter_add(fake_cupy.array(np.zeros(2, "D")), (0,), 1.0)


@needs_compiler
def test_the_stand_in_runs_kernels_and_refuses_wrong_calls():
    kernel = fake_cupy.ElementwiseKernel("T x, float64 y", "T z", "z = x + (T)y", "test_add")
    x = fake_cupy.array(np.arange(3.0))

    assert kernel(x, 0.5).host.tolist() == [0.5, 1.5, 2.5]
    assert kernel(fake_cupy.array(np.ones((2, 1))), x).host.shape == (2, 3)
    with pytest.raises(TypeError, match="Wrong number of arguments"):
        kernel(x)
    with pytest.raises(TypeError, match="Type is mismatched"):
        kernel(x, x, fake_cupy.array(np.zeros(3, np.float32)))


def test_the_stand_in_leaves_no_trace_among_the_imported_modules(cuda):
    module = sys.modules.get(type(cuda).__module__)

    assert module is None or not isinstance(cuda, module.CupyBackend)
    assert getattr(sys.modules.get("cupy"), "ndarray", None) is not fake_cupy.ndarray
