"""New tensors: what NumPy makes, in dlcore's dtypes, on the selected backend."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl

SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)
DTYPES = st.sampled_from(["bool", "int8", "int64", "uint8", "float32", "float64", "complex64"])
WHOLE = st.integers(-6, 6)


def assert_like_numpy(found, expected, backend):
    assert (found.shape, found.dtype, found.backend) == (expected.shape, expected.dtype, backend.name)
    assert_array_equal(found.numpy(), expected)


@given(shape=SHAPES, dtype=DTYPES)
def test_zeros_ones_and_full_have_the_shape_and_dtype_that_is_asked_for(shape, dtype, backend):
    assert_like_numpy(dl.zeros(shape, dtype), np.zeros(shape, dtype), backend)
    assert_like_numpy(dl.ones(shape, dtype), np.ones(shape, dtype), backend)
    assert_like_numpy(dl.full(shape, 1, dtype), np.full(shape, 1, dtype), backend)
    assert dl.empty(shape, dtype).shape == shape
    assert dl.empty(shape, dtype).dtype == dtype


@pytest.mark.parametrize("shape", [3, np.int64(3), (3,), [3], (np.int32(3),), dl.tensor(3)])
def test_a_shape_is_a_whole_number_or_several_of_any_kind(shape, backend):
    assert dl.zeros(shape).shape == (3,)


def test_without_a_dtype_numbers_decide_and_else_the_default_float(backend):
    made = [dl.zeros(2), dl.ones(2), dl.empty(2), dl.eye(2), dl.linspace(0, 1, 2), dl.full(2, 7.0),
            dl.full(2, 7), dl.full(2, True), dl.full(2, 1j), dl.full(2, np.float64(7))]

    assert [x.dtype for x in made] == ["float32"] * 6 + ["int64", "bool", "complex64", "float64"]


@given(start=WHOLE, stop=WHOLE, step=WHOLE.filter(bool))
def test_arange_of_whole_numbers_is_int64_and_numpys(start, stop, step, backend):
    assert_like_numpy(dl.arange(start, stop, step), np.arange(start, stop, step), backend)
    assert_like_numpy(dl.arange(stop), np.arange(stop), backend)


@pytest.mark.parametrize(("args", "dtype"), [
    ((3.0,), "float32"), ((0, 1, 0.25), "float32"), ((1, 2.5), "float32"), ((np.int64(3),), "int64"),
    ((dl.tensor(3),), "int64"), ((np.float32(3),), "float32"), ((dl.tensor(3.0),), "float32")])
def test_arange_is_of_floats_if_one_of_its_numbers_is(args, dtype, backend):
    found = dl.arange(*args)

    assert found.dtype == dtype
    assert_allclose(found.numpy(), np.arange(*map(float, args)))
    assert dl.arange(*args, dtype="float64").dtype == "float64"


@given(start=WHOLE, stop=WHOLE, num=st.integers(0, 5), endpoint=st.booleans())
def test_linspace_is_numpys(start, stop, num, endpoint, backend):
    found = dl.linspace(start, stop, num, "float64", endpoint=endpoint)

    assert_allclose(found.numpy(), np.linspace(start, stop, num, endpoint=endpoint), rtol=1e-14, atol=1e-15)


@given(rows=st.integers(0, 4), columns=st.none() | st.integers(0, 4), k=st.integers(-4, 4), dtype=DTYPES)
def test_eye_is_numpys(rows, columns, k, dtype, backend):
    assert_like_numpy(dl.eye(rows, columns, k, dtype), np.eye(rows, columns, k, dtype), backend)


def test_likes_have_the_shape_dtype_and_backend_of_the_other_wherever_new_arrays_are_made():
    with dl.use_backend("strict"):
        x = dl.tensor([[1, 2]])

    for like in (dl.empty_like(x), dl.full_like(x, 5), dl.zeros_like(x), dl.ones_like(x)):
        assert (like.shape, like.dtype, like.backend) == ((1, 2), "int64", "strict")
    assert dl.full_like(x, 5).tolist() == [[5, 5]]
    assert dl.full_like(x, 2.5, "float64").tolist() == [[2.5, 2.5]]
    assert dl.empty_like(x, "float32").dtype == "float32"


@pytest.mark.parametrize("make", [dl.zeros, dl.ones, lambda shape, **how: dl.full(shape, 2.0, **how)])
def test_what_is_made_may_require_a_gradient(make, backend):
    x = make(3, requires_grad=True)

    dl.sum(x * 2.0).backward()

    assert x.grad.tolist() == [2.0] * 3
    assert not make(3).requires_grad
    with pytest.raises(TypeError, match="requires_grad: int64 has no derivatives"):
        make(3, dtype="int64", requires_grad=True)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["zeros", "ones", "empty"])
@pytest.mark.parametrize("shape", [-1, (2, -1), 2.0, (1, 2.5), "ab", None, (None,)])
def test_what_is_no_shape_is_refused_by_name(name, shape):
    with pytest.raises(ValueError, match=f"{name}: a shape holds whole numbers that are not negative, got"):
        getattr(dl, name)(shape)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: dl.full(2, "a"), TypeError, "full: the value must be a number, got 'a'"),
    (lambda: dl.full(2, dl.tensor(1.0)), TypeError, "full: the value must be a number"),
    (lambda: dl.full(2, 300, "uint8"), ValueError, "full: 300 does not fit uint8"),
    (lambda: dl.full_like(dl.zeros(2, "uint8"), -1), ValueError, "full_like: -1 does not fit uint8"),
    (lambda: dl.arange(3, step=0), ValueError, "arange: step must not be 0"),
    (lambda: dl.arange("3"), TypeError, "arange: needs numbers, got '3'"),
    (lambda: dl.linspace(0, 1, -1), ValueError, "linspace: num must not be negative, got -1"),
    (lambda: dl.eye(-1), ValueError, "eye: a shape holds whole numbers that are not negative"),
    (lambda: dl.zeros(2, 3), TypeError, "3 is not a dtype; give a name such as 'float32'")])
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
