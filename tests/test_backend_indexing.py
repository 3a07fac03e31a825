"""Reading and writing by index on every backend, held against NumPy on the host."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backends.dtypes import DTYPES, bfloat16, bool_, float16, float64
from tests.backend_laws import (
    FULL_SHAPES,
    available,
    host_arrays,
    indices,
    on_device,
    on_every_backend,
    same,
)

NUMERIC = [d for d in DTYPES if d is not bool_]
pytestmark = on_every_backend


@given(data=st.data())
def test_getitem_reads_what_numpy_reads(backend, data):
    x = data.draw(host_arrays())
    index = data.draw(indices(x.shape))

    found = backend.getitem(backend.from_host(x), on_device(backend, index))

    same(backend, found, x[index])


@given(data=st.data())
def test_index_add_is_the_adjoint_of_getitem(backend, data):
    x = data.draw(host_arrays())
    index = data.draw(indices(x.shape))
    v = data.draw(host_arrays(st.just(x[index].shape)))
    there = on_device(backend, index)

    read = backend.getitem(backend.from_host(x), there)
    added = backend.index_add(x.shape, there, backend.from_host(v))

    assert added.shape == x.shape
    pulled = backend.sum(added * backend.from_host(x))
    pushed = backend.sum(backend.from_host(v) * read)
    assert backend.to_host(pulled) == backend.to_host(pushed)


@given(data=st.data())
def test_index_set_writes_where_getitem_reads(backend, data):
    x = data.draw(host_arrays(FULL_SHAPES))
    index = data.draw(hnp.basic_indices(x.shape).map(lambda i: i if isinstance(i, tuple) else (i,)))
    v = data.draw(host_arrays(st.just(x[index].shape)))
    there = on_device(backend, index)
    before = backend.from_host(x)

    after = backend.index_set(before, there, backend.from_host(v))

    same(backend, backend.getitem(after, there), v)
    same(backend, before, x)


@pytest.mark.parametrize("dtype", NUMERIC)
def test_additions_at_one_place_accumulate_in_every_dtype(backend, dtype):
    available(backend, dtype)
    index = (backend.from_host(np.array([2, 0, 2])),)
    values = backend.astype(backend.from_host(np.array([1, 2, 3])), dtype)

    added = backend.index_add((4,), index, values)

    assert backend.dtype_name(added) is dtype
    assert backend.to_host(added).astype(complex).tolist() == [2, 0, 4, 0]


@pytest.mark.parametrize("dtype", [float16, bfloat16])
def test_additions_at_one_place_are_accumulated_in_float32(backend, dtype):
    available(backend, dtype)
    places = backend.from_host(np.zeros(1 << 13, np.int64))
    values = backend.ones((1 << 13,), dtype)

    added = backend.index_add((1,), (places,), values)
    scattered = backend.scatter_add(backend.zeros((1,), dtype), 0, places, values)

    assert backend.dtype_name(added) is backend.dtype_name(scattered) is dtype
    assert backend.to_host(added).item() == backend.to_host(scattered).item() == 8192.0


@given(data=st.data())
def test_scatter_add_adds_slices_along_an_axis(backend, data):
    x = data.draw(host_arrays(FULL_SHAPES))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    size = x.shape[axis]
    any_place = st.integers(-size, size - 1)
    places = data.draw(hnp.arrays(np.int64, st.integers(0, 5), elements=any_place))
    v = data.draw(host_arrays(st.just(np.take(x, places, axis).shape)))
    expected = x.copy()
    np.add.at(np.moveaxis(expected, axis, 0), places, np.moveaxis(v, axis, 0))
    there = backend.from_host(x)

    found = backend.scatter_add(there, axis, backend.from_host(places), backend.from_host(v))

    same(backend, found, expected)
    same(backend, there, x)


@given(data=st.data())
def test_take_reads_slices_in_the_shape_of_its_indices(backend, data):
    x = data.draw(host_arrays(FULL_SHAPES))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    size = x.shape[axis]
    places = data.draw(hnp.arrays(np.int64, hnp.array_shapes(min_dims=0, max_dims=2, max_side=3),
                                  elements=st.integers(-size, size - 1)))

    found = backend.take(backend.from_host(x), backend.from_host(places), axis)

    same(backend, found, np.take(x, places, axis))


@given(data=st.data())
def test_take_along_axis_reads_what_numpy_reads(backend, data):
    x = data.draw(host_arrays(FULL_SHAPES))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    size = x.shape[axis]
    places = data.draw(hnp.arrays(np.int64, x.shape, elements=st.integers(-size, size - 1)))

    found = backend.take_along_axis(backend.from_host(x), backend.from_host(places), axis)

    same(backend, found, np.take_along_axis(x, places, axis))


@pytest.mark.parametrize("wrong", [3, -4])
@pytest.mark.parametrize("member", ["getitem", "index_add", "index_set", "scatter_add", "take"])
def test_an_index_outside_is_an_index_error_when_a_value_is_read(backend, member, wrong):
    x = backend.ones((3, 2), float64)
    i = backend.from_host(np.array([1, wrong]))
    v = backend.ones((2, 2), float64)
    calls = {
        "getitem": lambda: backend.getitem(x, (i,)),
        "index_add": lambda: backend.index_add((3, 2), (i,), v),
        "index_set": lambda: backend.index_set(x, (i,), v),
        "scatter_add": lambda: backend.scatter_add(x, 0, i, v),
        "take": lambda: backend.take(x, i, 0),
    }

    with pytest.raises(IndexError, match=r"out of bounds for .*axis.* size 3"):
        backend.to_host(calls[member]())

    backend.to_host(x)  # it is reported once
