"""The same bits again: on request, sums do not depend on the order in which a card gets to its numbers.

The stand-in makes atomic additions from back to front, as a card may.
"""

import contextvars
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

import backends
import dlcore as dl
from backends.determinism import is_deterministic
from dlcore import nn
from tests import fake_cupy
from tests.backend_laws import FULL_SHAPES, STAND_IN, host_arrays, indices, on_device, on_every_backend, same

WIDE = st.sampled_from([1e8, -1e8, 1.0, 0.5])  # their float32 sum depends on the order
NUMBERS = [1e8, 1.0, -1e8, 0.5]


@pytest.fixture
def cuda():
    """The file of the CUDA backend, on the stand-in for CuPy, selected."""
    if fake_cupy.COMPILER is None:
        pytest.skip("kernels run on the host only with g++ or clang++")
    with backends.use_backend(STAND_IN) as chosen:
        yield chosen


# --- the switch --------------------------------------------------------------------------------


def test_it_is_off_until_it_is_switched_on_for_the_process():
    assert not is_deterministic()

    dl.set_deterministic(True)
    try:
        assert is_deterministic()
        found = []
        thread = threading.Thread(target=lambda: found.append(is_deterministic()))
        thread.start()
        thread.join()
        assert found == [True]
    finally:
        dl.set_deterministic(False)


def test_a_block_has_its_own_say_in_its_own_thread():
    found = []
    with dl.use_deterministic():
        elsewhere = contextvars.Context()  # as threads begin with, but for free-threaded Pythons
        thread = threading.Thread(target=lambda: found.append(elsewhere.run(is_deterministic)))
        thread.start()
        thread.join()
        with dl.use_deterministic(False):
            found.append(is_deterministic())
        found.append(is_deterministic())

    assert found == [False, False, True]
    assert not is_deterministic()


# --- additions at repeated places ---------------------------------------------------------------


@given(data=st.data())
def test_additions_at_repeated_places_are_made_in_their_order(cuda, data):
    places = data.draw(hnp.arrays(np.int64, st.integers(0, 8), elements=st.integers(-3, 2)))
    values = data.draw(hnp.arrays(np.float32, (places.size, 2), elements=WIDE))
    expected = np.zeros((3, 2), np.float32)
    np.add.at(expected, places, values)

    with dl.use_deterministic():
        found = cuda.index_add((3, 2), (cuda.from_host(places),), cuda.from_host(values))

    assert_array_equal(cuda.to_host(found), expected)


def test_without_it_they_come_in_any_order(cuda):
    places, values = cuda.from_host(np.zeros(4, np.int64)), cuda.from_host(np.array(NUMBERS, np.float32))

    found = [cuda.index_add((1,), (places,), values)]
    with dl.use_deterministic():
        found.append(cuda.index_add((1,), (places,), values))

    assert [cuda.to_host(x).item() for x in found] == [0.0, 0.5]


@on_every_backend
@given(data=st.data())
def test_additions_at_any_index_are_the_same_both_ways_where_they_are_exact(backend, data):
    shape = data.draw(FULL_SHAPES)
    index = data.draw(indices(shape))
    values = data.draw(host_arrays(st.just(np.empty(shape)[index].shape)))
    there = on_device(backend, index)

    found = backend.index_add(shape, there, backend.from_host(values))
    with dl.use_deterministic():
        ordered = backend.index_add(shape, there, backend.from_host(values))

    same(backend, ordered, backend.to_host(found))


@on_every_backend
@given(data=st.data())
def test_slices_are_added_along_an_axis_the_same_both_ways(backend, data):
    x = data.draw(host_arrays(FULL_SHAPES))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    size = x.shape[axis]
    places = data.draw(hnp.arrays(np.int64, st.integers(0, 9), elements=st.integers(-size, size - 1)))
    values = data.draw(host_arrays(st.just(np.take(x, places, axis).shape)))
    args = backend.from_host(x), axis, backend.from_host(places), backend.from_host(values)

    found = backend.scatter_add(*args)
    with dl.use_deterministic():
        ordered = backend.scatter_add(*args)

    same(backend, ordered, backend.to_host(found))


@pytest.mark.parametrize("dtype", ["int8", "int64", "float16", "bfloat16", "float64", "complex64", "bool"])
def test_every_dtype_can_be_added_in_order(cuda, dtype):
    values = cuda.astype(cuda.ones((3,), "int64"), dtype)

    with dl.use_deterministic():
        found = cuda.index_add((2,), (cuda.from_host(np.array([1, 1, 0])),), values)

    assert cuda.dtype_name(found) == dtype
    assert cuda.to_host(found).astype(complex).tolist() == [1, 2 if dtype != "bool" else 1]


@pytest.mark.parametrize("gradient", [
    lambda table, i, g: dl.vjp(lambda t: t[i], table)[1](g),
    lambda table, i, g: dl.vjp(lambda t: nn.functional.embedding(i, t), table)[1](g),
    lambda table, i, g: dl.vjp(lambda t: dl.take(t, i, axis=0), table)[1](g),
    lambda table, i, g: (table.at[i].add(g),),
    lambda table, i, g: (dl.scatter_add(table, 0, i[:, None], g),),
    lambda table, i, g: (dl.segment_sum(g, i, 2),),
])
def test_what_adds_in_dlcore_adds_in_order(cuda, gradient):
    table = dl.zeros((2, 1))
    i, g = dl.tensor([0, 0, 0, 0]), dl.tensor(np.array(NUMBERS, np.float32)[:, None])

    with dl.use_deterministic():
        (ordered,) = gradient(table, i, g)
    (found,) = gradient(table, i, g)

    assert ordered[0, 0].item() == 0.5
    assert found[0, 0].item() == 0.0


# --- on a card -----------------------------------------------------------------------------------


@pytest.mark.cuda
def test_a_card_gives_the_same_bits_each_time():
    with backends.use_backend("cuda"), dl.use_deterministic():
        i = dl.random.integers(0, 50, (100_000,))
        g = dl.random.normal((100_000, 8))
        table = dl.zeros((50, 8))
        runs = [(table.at[i].add(g).numpy(), dl.cumsum(g, axis=0).numpy(), (g.T @ g).numpy(), g.sum().numpy())
                for _ in range(5)]

    for run in runs[1:]:
        for first, again in zip(runs[0], run, strict=True):
            assert_array_equal(again, first)
