"""Dtypes: their names, what may stand for one, and what two of them become."""

import copy
import pickle

import array_api_strict
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.dtypes import (
    DTYPES,
    KINDS,
    DType,
    as_dtype,
    bfloat16,
    bool_,
    complex64,
    complex128,
    default_of_kind,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote,
    set_default_dtype,
    uint8,
    uint16,
    uint32,
    uint64,
)

dtypes = st.sampled_from(DTYPES)
numpy_dtypes = [np.dtype(str(d)) for d in DTYPES if d is not bfloat16]


@pytest.fixture
def default_dtype():
    """Puts the default dtype back, whatever the test did to it."""
    before = get_default_dtype()
    yield before
    set_default_dtype(before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dtype_is_one_object_that_equals_its_name(dtype):
    assert DType(str(dtype)) is dtype
    assert dtype == str(dtype)
    assert hash(dtype) == hash(str(dtype))
    assert f"{dtype}" == str(dtype)
    assert repr(dtype) == f"dlcore.{dtype}"


@pytest.mark.parametrize("dtype", DTYPES)
def test_copies_and_pickles_of_a_dtype_are_itself(dtype):
    assert copy.copy(dtype) is dtype
    assert copy.deepcopy([dtype])[0] is dtype
    assert pickle.loads(pickle.dumps(dtype)) is dtype  # noqa: S301  our own bytes


@pytest.mark.parametrize("dtype", numpy_dtypes, ids=str)
def test_a_dtype_equals_that_of_numpy_from_both_sides(dtype):
    portable = as_dtype(dtype)

    assert portable == dtype
    assert dtype == portable
    assert portable == dtype.type
    assert dtype.type == portable
    assert not portable != dtype  # noqa: SIM202  __ne__ is its own method


def test_different_dtypes_are_unequal_whoever_asks():
    assert float32 != float64
    assert float32 != np.float64
    assert float32 != np.dtype("float64")
    assert float32 != "float64"
    assert float32 != 32
    assert float32 is not None


@pytest.mark.parametrize("dtype", numpy_dtypes, ids=str)
def test_kind_size_and_sign_agree_with_numpy(dtype):
    kinds = {"b": "bool", "i": "int", "u": "int", "f": "float", "c": "complex"}

    portable = as_dtype(dtype)

    assert portable.kind == kinds[dtype.kind]
    assert portable.itemsize == dtype.itemsize
    assert portable.signed == (dtype.kind in "ifc")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("float32", float32),
        (np.float32, float32),
        (np.dtype(">f4"), float32),
        (np.bool_, bool_),
        (np.float64, float64),
        (np.dtype("float64"), float64),
        (ml_dtypes.bfloat16, bfloat16),
        (np.dtype(ml_dtypes.bfloat16), bfloat16),
        (array_api_strict.complex64, complex64),
        (bool, bool_),
        (int, int64),
        (float, float32),
        (complex, complex64),
        (uint8, uint8),
    ],
)
def test_as_dtype_reads_what_users_write(spec, expected):
    assert as_dtype(spec) is expected
    assert as_dtype(spec) is expected  # the second answer comes from a cache


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown dtype 'floot32'; known: bool, int8, .*float32"):
        as_dtype("floot32")


def test_a_dtype_that_dlcore_lacks_is_named():
    with pytest.raises(ValueError, match=r"unknown dtype 'datetime64\[s\]'; known"):
        as_dtype(np.dtype("datetime64[s]"))


@pytest.mark.parametrize("spec", [32, None, ["float32"], dict, np.str_])
def test_what_names_no_dtype_is_a_type_error(spec):
    with pytest.raises(TypeError, match=r"is not a dtype; give a name such as 'float32'"):
        as_dtype(spec)


def test_the_default_dtype_is_what_python_floats_become(default_dtype):
    assert default_dtype is float32

    set_default_dtype("float64")

    assert get_default_dtype() is float64
    assert as_dtype(float) is float64
    assert as_dtype(complex) is complex128
    assert default_of_kind("float") is float64
    assert default_of_kind("int") is int64


@pytest.mark.parametrize("wrong", [int, "bool", complex64])
def test_the_default_dtype_must_be_a_float_dtype(default_dtype, wrong):
    with pytest.raises(ValueError, match=r"is not a float dtype; choose from float16, .*float64"):
        set_default_dtype(wrong)


# --- promotion ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (bool_, int8, int8),
        (int64, float32, float32),
        (uint64, float16, float16),
        (float16, float32, float32),
        (float16, bfloat16, float32),
        (uint8, int8, int16),
        (uint16, int8, int32),
        (uint32, int32, int64),
        (uint8, int64, int64),
        (uint8, uint32, uint32),
        (complex64, float64, complex128),
        (complex64, float16, complex64),
        (complex64, int64, complex64),
        (complex64, complex128, complex128),
    ],
)
def test_promotion_by_example(left, right, expected):
    assert promote(left, right) is expected
    assert promote(right, left) is expected


@given(a=dtypes)
def test_promotion_of_a_dtype_with_itself_or_bool_changes_nothing(a):
    assert promote(a) is a
    assert promote(a, a) is a
    assert promote(a, bool_) is a


@given(several=st.lists(dtypes, min_size=1, max_size=4).flatmap(
    lambda given: st.tuples(st.just(given), st.permutations(given))))
def test_promotion_does_not_depend_on_the_order(several):
    first, second = several

    assert promoted(*first) is promoted(*second)


@given(a=dtypes, b=dtypes, c=dtypes)
def test_promotion_of_three_is_that_of_two_and_one(a, b, c):
    pair = promoted(a, b)

    if pair is not None:
        assert promoted(pair, c) is promoted(a, b, c)


@given(a=dtypes, b=dtypes)
def test_promotion_keeps_the_higher_kind_and_never_narrows_within_it(a, b):
    result = promoted(a, b)

    if result is not None:
        assert KINDS.index(result.kind) == max(KINDS.index(a.kind), KINDS.index(b.kind))
        assert all(result.itemsize >= d.itemsize for d in (a, b) if d.kind == result.kind)


@given(a=dtypes, b=dtypes)
def test_promotion_within_a_kind_is_that_of_numpy(a, b):
    if a.kind == b.kind and bfloat16 not in (a, b) and promoted(a, b) is not None:
        assert promote(a, b) == np.promote_types(str(a), str(b))


def test_uint64_and_a_signed_integer_have_no_common_dtype():
    with pytest.raises(TypeError, match=r"no integer dtype holds both int8 and uint64; con"):
        promote(int8, uint64)


def test_uint64_and_a_signed_integer_beside_a_float_are_outranked():
    assert promote(int8, uint64, float32) is float32


def promoted(*several):
    """What ``several`` promote to, None where there is no answer."""
    try:
        return promote(*several)
    except TypeError:
        return None
