"""What only the NumPy backend has to get right."""

import platform
import subprocess
import sys

import numpy as np
import pytest

from backends import BackendError, numpy_quiet
from backends.dtypes import bfloat16
from backends.numpy_backend import NumpyBackend


def test_a_dtype_that_a_library_lacks_is_a_backend_error_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)

    assert not NumpyBackend().supports(bfloat16)
    with pytest.raises(BackendError, match=r"bfloat16 needs .*ml_dtypes.* 'dlcore\[half\]'"):
        NumpyBackend().zeros((2,), bfloat16)


def test_a_large_broadcast_is_a_view_and_a_small_one_an_array_of_its_own():
    cpu = NumpyBackend()
    x = np.ones(4)

    small, large = cpu.broadcast_to(x, (3, 4)), cpu.broadcast_to(x, (2000, 4))

    assert not np.shares_memory(x, small)
    assert np.shares_memory(x, large)
    assert not large.flags.writeable


def test_an_index_outside_names_the_places_and_the_size_where_rows_are_added():
    index = (np.array([0, -4]),)

    with pytest.raises(IndexError, match=r"an index in -4\.\.0 is out of bounds for axis 0"):
        NumpyBackend().index_add((3, 2), index, np.ones((2, 2)))


@pytest.mark.parametrize("values", [np.ones((2, 2)), np.ones(2), np.ones(()), np.ones((2, 1))])
def test_values_that_broadcast_are_added_at_every_place(values):
    found = NumpyBackend().index_add((3, 2), (np.array([1, 1]),), values)

    assert found.tolist() == [[0, 0], [2, 2], [0, 0]]


def test_quiet_does_without_the_state_of_numpy_if_it_must():
    hush, restore = numpy_quiet.switches(None)
    before = np.geterr()

    token = hush()
    assert set(np.geterr().values()) == {"ignore"}
    restore(token)

    assert np.geterr() == before
    assert numpy_quiet.find_state() is not None  # with this NumPy it need not


FAULTS = """
import resource
import dlcore as dl
x = dl.tensor(dl.ones(1_000_000), requires_grad=True)
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    dl.sum(dl.tanh(x * 0.7) * dl.sigmoid(x)).backward()
    x.grad = None
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(*[faults() for _ in range(6)])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="others are not taught")
def test_the_arrays_of_a_step_lie_in_the_memory_of_the_step_before():
    """In a process of its own, because whatever was freed in this one has taught it already."""
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)

    first, *_, last = map(int, done.stdout.split())
    assert first > 1000  # it takes pages of 4096 bytes for some arrays of 4 MB
    assert last < first / 10
