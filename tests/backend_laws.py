"""What laws over every backend share: which backends, what to draw, what counts as equal."""

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import backends
from tests import fake_cupy

STAND_IN = "fakecuda"
backends.register_backend(STAND_IN, "tests.fake_cupy", "load")

on_every_backend = pytest.mark.parametrize(
    "backend",
    [
        "cpu",
        "strict",
        pytest.param("fakecuda", marks=fake_cupy.needs_compiler),
        pytest.param("cuda", marks=pytest.mark.cuda),
    ],
    indirect=True,
)
"""The usual backends, and the file of the CUDA backend where there is no GPU to run it on."""

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, max_side=4)
FULL_SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, max_side=4)
SMALL_FLOATS = st.integers(-8, 8).map(float)  # sums of few of them are exact in every float dtype


def host_arrays(shapes=SHAPES, dtype="float64", elements=SMALL_FLOATS):
    """NumPy arrays of small whole numbers."""
    return hnp.arrays(dtype, shapes, elements=elements)


def axes(ndim):
    """Every way to name axes of a reduction."""
    one = st.integers(-ndim, ndim - 1) if ndim else st.nothing()
    several = st.lists(st.integers(0, ndim - 1), unique=True).map(tuple) if ndim else st.just(())
    return st.none() | several | one


@st.composite
def indices(draw, shape):
    """A full index into ``shape``: slices, ints, None, Ellipsis, and integer arrays or a mask."""
    if shape and draw(st.booleans()):
        return advanced(draw, shape)
    index = draw(hnp.basic_indices(shape, allow_newaxis=True))
    return index if isinstance(index, tuple) else (index,)


def advanced(draw, shape):
    """Integer arrays that broadcast together, slices between them, or one mask over some axes."""
    if draw(st.booleans()):
        depth = draw(st.integers(1, len(shape)))
        return (draw(hnp.arrays(bool, shape[:depth])),)
    joint = draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=3))
    index = []
    for size in shape[: draw(st.integers(1, len(shape)))]:
        places = hnp.arrays(np.int64, joint, elements=st.integers(-size, size - 1))
        index.append(draw(places | st.just(slice(None)) | st.just(slice(1, None))))
    return (..., *index) if draw(st.booleans()) and len(index) == len(shape) else tuple(index)


def on_device(backend, index):
    """``index`` with its arrays on ``backend``."""
    return tuple(backend.from_host(i) if isinstance(i, np.ndarray) else i for i in index)


def same(backend, found, expected):
    """Assert that an array of ``backend`` has the values, the shape and the dtype of NumPy's."""
    expected = np.asarray(expected)
    assert backend.owns(found)  # NumPy's scalars count
    host = backend.to_host(found)
    assert host.shape == expected.shape
    assert host.dtype == expected.dtype
    np.testing.assert_array_equal(host, expected)


def available(backend, dtype):
    """Skip what this backend has no arrays of."""
    if not backend.supports(dtype):
        pytest.skip(f"backend {backend.name!r} has no {dtype}")
    return backend.dtype(dtype)
