"""What every backend promises beyond the array-API standard: dtypes, new arrays, the device."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backends.dtypes import DTYPES, bool_, float32, float64, int8, int64, promote
from tests.backend_laws import available, host_arrays, on_every_backend, same

pytestmark = on_every_backend


# --- dtypes and creation -----------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dtype_survives_the_way_through_the_library(backend, dtype):
    own = available(backend, dtype)

    x = backend.zeros((2,), dtype)

    assert x.dtype == own
    assert backend.dtype_name(x) is dtype
    assert backend.dtype_name(own) is dtype
    assert backend.dtype(own) == own
    assert backend.dtype(str(dtype)) == own


def test_new_arrays_have_the_default_dtype_and_live_on_the_backend(backend):
    made = [
        backend.zeros((2, 3)),
        backend.ones((2, 3)),
        backend.empty((2, 3)),
        backend.full((2, 3), 1.5),
        backend.linspace(0.0, 1.0, 3),
        backend.eye(3),
        backend.arange(0.0, 1.0, 0.25),
        backend.asarray(1.5),
    ]

    assert {backend.dtype_name(x) for x in made} == {float32}
    assert all(backend.owns(x) for x in made)


def test_the_kind_of_python_numbers_decides_where_no_dtype_is_given(backend):
    assert backend.dtype_name(backend.arange(3)) is int64
    assert backend.dtype_name(backend.full((2,), 3)) is int64
    assert backend.dtype_name(backend.full((2,), True)) is bool_
    assert backend.dtype_name(backend.asarray(True)) is bool_
    assert backend.dtype_name(backend.asarray(3)) is int64


def test_creation_gives_the_values_that_numpy_gives(backend):
    same(backend, backend.zeros((2, 0), float64), np.zeros((2, 0)))
    same(backend, backend.ones((), float64), np.ones(()))
    same(backend, backend.full((2, 3), 7, int8), np.full((2, 3), 7, np.int8))
    same(backend, backend.arange(2, 11, 3), np.arange(2, 11, 3))
    same(backend, backend.arange(4, dtype=float64), np.arange(4.0))
    same(backend, backend.linspace(1, 2, 5, float64), np.linspace(1, 2, 5))
    same(backend, backend.linspace(1, 2, 5, float64, endpoint=False), np.linspace(1, 2, 5, False))
    same(backend, backend.eye(2, 3, 1, float64), np.eye(2, 3, 1))


def test_arrays_like_another_have_its_shape_and_dtype(backend):
    x = backend.ones((2, 3), float64)

    same(backend, backend.zeros_like(x), np.zeros((2, 3)))
    same(backend, backend.ones_like(x, float32), np.ones((2, 3), np.float32))
    same(backend, backend.full_like(x, 2), np.full((2, 3), 2.0))
    assert backend.empty_like(x).shape == (2, 3)


def test_asarray_keeps_an_array_and_makes_arrays_of_all_else(backend):
    x = backend.ones((2,), float64)

    assert backend.asarray(x) is x
    assert backend.asarray(x, float64) is x
    same(backend, backend.asarray(x, float32), np.ones(2, np.float32))
    same(backend, backend.asarray(2.0, float64), np.array(2.0))
    same(backend, backend.asarray(backend.exp(backend.zeros((), float64))), np.array(1.0))


@given(x=host_arrays())
def test_data_comes_back_from_the_device_as_it_went(backend, x):
    there = backend.from_host(x)
    x_before = x.copy()

    same(backend, there, x)
    x += 1  # what the device holds is a copy
    same(backend, there, x_before)
    same(backend, backend.from_host(x, float32), x.astype(np.float32))


@given(x=host_arrays(), dtype=st.sampled_from([bool_, int8, int64, float32, float64]))
def test_astype_converts_and_leaves_what_is_right(backend, x, dtype):
    there = backend.from_host(x)

    converted = backend.astype(there, dtype)

    same(backend, converted, x.astype(str(dtype)))
    assert backend.astype(converted, dtype) is converted


@given(x=host_arrays(), y=host_arrays(), dtype=st.sampled_from([float32, float64]))
def test_real_numbers_become_complex_and_come_back_as_real_parts(backend, x, y, dtype):
    z = x + 1j * y.sum()
    there = backend.from_host(z)

    same(backend, backend.converted(there, dtype), z.real.astype(str(dtype)))
    same(backend, backend.converted(backend.from_host(x), "complex64"), x.astype("complex64"))
    assert backend.converted(there, "complex128") is there
    assert backend.dtype("complex128") in backend.complex_dtypes
    assert backend.dtype(dtype) not in backend.complex_dtypes


def test_a_copy_shares_no_memory(backend):
    x = backend.zeros((3,), float64)
    duplicate = backend.copy(x)

    backend.add_(x, 1.0)

    same(backend, duplicate, np.zeros(3))


def test_in_place_members_change_the_array_they_are_given(backend):
    x = backend.ones((2, 3), float64)

    assert backend.add_(x, backend.full((3,), 2.0, float64)) is x
    assert backend.multiply_(x, 5.0) is x

    same(backend, x, np.full((2, 3), 15.0))


# --- the object ----------------------------------------------------------------------


def test_copies_of_a_backend_are_itself(backend):
    assert copy.copy(backend) is backend
    assert copy.deepcopy([backend])[0] is backend


def test_a_backend_cannot_be_pickled(backend):
    with pytest.raises(TypeError, match=r"<backend \w+> is a device, not data: pickle its name"):
        pickle.dumps(backend)


def test_a_name_that_the_library_lacks_is_an_attribute_error(backend):
    with pytest.raises(AttributeError, match=rf"backend '{backend.name}' has no 'expp'"):
        backend.expp  # noqa: B018  asking is the test


def test_a_name_of_the_library_becomes_a_plain_attribute(backend):
    vars(backend).pop("exp", None)

    found = backend.exp

    assert vars(backend)["exp"] is found
    assert backend.exp is found


# --- the device --------------------------------------------------------------------


def test_inside_quiet_nothing_warns_and_outside_all_is_as_before(backend):
    x = backend.zeros((2,), float64)
    before = np.geterr()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with backend.quiet(), backend.quiet():
            backend.log(x) * x / x

    assert np.geterr() == before
    with np.errstate(divide="raise"):
        with backend.quiet():
            backend.log(x)
        assert np.geterr()["divide"] == "raise"


def test_quiet_ends_when_its_block_raises(backend):
    before = np.geterr()

    with pytest.raises(KeyError), backend.quiet():
        raise KeyError

    assert np.geterr() == before


def test_the_scope_of_a_backend_can_be_entered_within_itself(backend):
    with backend.scope(), backend.scope():
        x = backend.ones((2,), float64)

    same(backend, x + x, [2.0, 2.0])


def test_waiting_and_asking_for_memory_always_work(backend):
    backend.synchronize()

    assert all(amount >= 0 for amount in backend.memory_info().values())


@given(key=st.integers(0, 2**128 - 1), position=st.integers(0, 2**70), count=st.integers(0, 9))
def test_random_words_are_those_of_numpy_on_every_backend(backend, key, position, count):
    words = backend.random_words(key, position, count)

    block, skipped = divmod(position, 4)
    expected = np.random.Philox(key=key, counter=block).random_raw(skipped + count)[skipped:]
    same(backend, words, expected)


@given(a=st.sampled_from(DTYPES), b=st.sampled_from(DTYPES))
def test_arrays_of_two_dtypes_meet_in_the_promoted_one(backend, a, b):
    assume(backend.supports(a) and backend.supports(b))
    assume({a.kind, b.kind} != {"int"} or a.signed == b.signed)
    joint = promote(a, b)

    x = backend.astype(backend.ones((2,), a), joint)
    y = backend.astype(backend.ones((2,), b), joint)

    both = backend.logical_or if joint is bool_ else backend.add
    assert backend.dtype_name(both(x, y)) is joint
