"""Host arrays: what data becomes, what is refused, and what random numbers are made of."""

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backends import DeviceTransferError, distributions, host, set_default_dtype

KEYS = st.integers(0, 2**128 - 1)
FLOATS = ["float16", "bfloat16", "float32", "float64"]


def words_of(*numbers):
    """An array of random words that are not random."""
    return np.array(numbers, dtype=np.uint64)


# --- data --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        (2, "int64"),
        (True, "bool"),
        (1j, "complex64"),
        ([], "float32"),
        ([[]], "float32"),
        ([1.5, 2], "float32"),
        ([True, 2], "int64"),
        ([[True], [False]], "bool"),
        ((1, (2.5)), "float32"),
        ([1, 2j], "complex64"),
        (np.float64(1.5), "float64"),
        (np.int8([1, 2]), "int8"),
        ([np.float64(1.5), 2.5], "float64"),
        ([np.float16(1.5), 2.5], "float16"),
        ([np.int8(1), 2], "int8"),
        ([np.int8(1), 2.5], "float32"),
        ([np.float32(1), np.float64(2)], "float64"),
        ([np.float32([1, 2]), [3.5, 4]], "float32"),
        (np.array([1.5], ">f4"), "float32"),
        (np.array([1.5], ml_dtypes.bfloat16), "bfloat16"),
    ],
    ids=repr,
)
def test_python_numbers_are_weak_and_numpy_keeps_its_dtype(data, dtype):
    found = host.array(data)

    assert found.dtype.name == dtype
    assert found.dtype.isnative
    assert found.astype(complex).ravel().tolist() == np.asarray(data).ravel().tolist()


@given(x=hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, min_side=0),
                    elements=st.floats(width=32)))
def test_nested_lists_become_the_array_they_spell(x):
    found = host.array(x.tolist(), "float64")

    np.testing.assert_array_equal(found, x.astype(float) if x.size else np.array(x.tolist()))


@pytest.mark.parametrize("data", [[1, 2], 2.0, np.array([1, 2]), [np.float64(3)]], ids=repr)
def test_a_dtype_that_is_given_holds(data):
    assert host.array(data, "float16").dtype == np.float16


def test_a_numpy_array_of_the_right_dtype_is_not_copied():
    x = np.zeros(3)

    assert host.array(x) is x
    assert host.array(x, "float64") is x


def test_the_default_dtype_is_what_floats_become():
    set_default_dtype("float64")
    try:
        assert host.array([1.5]).dtype == np.float64
        assert host.array([1j]).dtype == np.complex128
        assert host.array([1]).dtype == np.int64
    finally:
        set_default_dtype("float32")


def test_objects_that_numpy_can_read_are_read():
    class Column:
        def __array__(self, dtype=None, copy=None):
            return np.array([1, 2], np.int16)

    assert host.array(Column()).dtype == np.int16


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([[1, 2], [3]], r"ragged nested lists: data\[1\] has length 1, but data\[0\] has length 2"),
        ([[[1], [2]], [[1], [2, 3]]], r"data\[1\]\[1\] has length 2, but data\[0\]\[0\] has len"),
        ([1, [2]], r"data\[1\] has length 1, but data\[0\] has no length: it is a number; pad or"),
        ([np.zeros(2), np.zeros(3)], r"data\[1\] has length 3, but data\[0\] has length 2"),
    ],
)
def test_ragged_lists_are_refused_and_the_place_is_named(data, message):
    with pytest.raises(ValueError, match=message):
        host.array(data)


def test_a_list_that_contains_itself_is_refused():
    data = []
    data.append(data)

    with pytest.raises(ValueError, match=r"nested more than 64 deep, or one that contains itself"):
        host.array(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("text", r"a tensor holds numbers, not a value of type str: 'text'"),
        (b"text", r"not a value of type bytes: b'text'"),
        (None, r"a tensor holds numbers, not None"),
        ([1, None], r"a tensor holds numbers, not None"),
        ([[1], ["2"]], r"not a value of type str: '2'"),
        ([{1: 2}], r"not a value of type dict: {1: 2}"),
        ({1: 2}, r"not Python objects \(NumPy dtype object\)"),
        (np.array(["a"]), r"not strings \(NumPy dtype <U1\)"),
        (np.array([b"a"]), r"not bytes"),
        (np.datetime64("2026-01-01"), r"not dates"),
        (np.timedelta64(1, "s"), r"not time differences"),
        (np.zeros(2, "i4,f4"), r"not records"),
    ],
)
def test_what_is_no_number_is_a_type_error(data, message):
    with pytest.raises(TypeError, match=message):
        host.array(data)


@pytest.mark.parametrize("data", [2**63, [2**70], -(2**63) - 1])
def test_an_integer_that_int64_cannot_hold_is_refused(data):
    with pytest.raises(ValueError, match=r"a number does not fit int64"):
        host.array(data)


def test_an_integer_that_the_dtype_cannot_hold_is_refused():
    with pytest.raises(ValueError, match=r"a number does not fit uint8: .*300"):
        host.array([1, 300], "uint8")


def test_a_dtype_that_dlcore_lacks_is_refused():
    with pytest.raises(ValueError, match=r"unknown dtype '(float128|float96)'; known"):
        host.array(np.zeros(2, np.longdouble))


def test_an_array_on_another_device_names_the_way_home():
    class OnTheCard:
        def __array__(self, dtype=None, copy=None):
            raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    with pytest.raises(DeviceTransferError, match=r"OnTheCard is not in host memory; .*\.get\(\)"):
        host.array(OnTheCard())


def test_other_errors_of_an_object_that_is_read_come_through():
    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise ValueError("no data yet")

    with pytest.raises(ValueError, match="no data yet"):
        host.array(Broken())


def test_arrays_and_scalars_of_numpy_are_told_apart():
    assert host.is_array(np.zeros(2))
    assert not host.is_array(np.float32(1))
    assert host.is_scalar(np.float32(1))
    assert not host.is_scalar(1.0)
    assert not host.is_array([1.0])


def test_arrays_are_printed_with_commas_and_aligned():
    assert host.format_array(np.arange(3.0)) == "[0., 1., 2.]"
    assert host.format_array(np.eye(2), "tensor(") == "[[1., 0.],\n        [0., 1.]]"


# --- random words ------------------------------------------------------------------


# Random123's file of known answers: counter, key and output of philox4x64-10, words from low to
# high.  NumPy's stream begins at counter 1, so the counter 0 is the last of all.
KNOWN_ANSWERS = [
    (
        0,
        0,
        "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b",
    ),
    (
        2**256 - 1,
        2**128 - 1,
        "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0",
    ),
    (
        0x082EFA98EC4E6C89_A4093822299F31D0_13198A2E03707344_243F6A8885A308D3,
        0xBE5466CF34E90C6C_452821E638D01377,
        "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6",
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_random_words_pass_the_known_answer_test(counter, key, words):
    position = 4 * ((counter - 1) % 2**256)

    found = host.random_words(key, position, 4)

    assert [f"{word:016x}" for word in found.tolist()] == words.split()


@given(key=KEYS, position=st.integers(0, 1000), count=st.integers(0, 50))
def test_random_words_are_a_stretch_of_numpys_stream(key, position, count):
    stream = np.random.Philox(key=key).random_raw(position + count)

    found = host.random_words(key, position, count)

    assert found.dtype == np.uint64
    np.testing.assert_array_equal(found, stream[position:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 0, 1), r"the key must lie in 0\.\.2\*\*128 - 1, got -1"),
        ((2**128, 0, 1), r"the key must lie in"),
        ((0, -1, 1), r"position and count must not be negative, got -1 and 1"),
        ((0, 0, -2), r"must not be negative, got 0 and -2"),
    ],
)
def test_words_outside_the_stream_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        host.random_words(*arguments)


# --- numbers made of words -----------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform_numbers_reach_from_zero_to_just_below_one(dtype):
    low, half, high = host.uniform(words_of(0, 2**63, 2**64 - 1), dtype)

    assert low == 0
    assert half == 0.5
    assert high == 1 - float(ml_dtypes.finfo(dtype).epsneg)


@given(word=st.integers(0, 2**64 - 1))
def test_uniform_numbers_are_the_leading_bits_of_the_word(word):
    assert host.uniform(words_of(word))[0] == (word >> 11) * 2.0**-53
    assert host.uniform(words_of(word), "float32")[0] == (word >> 40) * 2.0**-24


@given(
    numbers=st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 2**64 - 1, 2**32 - 1, 2**32]),
                     min_size=1, max_size=5),
    bounds=st.tuples(st.integers(-(2**63), 2**63), st.integers(-(2**63), 2**63)),
)
def test_integers_are_exact_products_of_word_and_range(numbers, bounds):
    low, high = sorted(bounds)
    if low == high:
        low, high = 0, 1

    found = host.integers(words_of(*numbers), low, high)

    assert found.dtype == np.int64
    assert found.tolist() == [low + (word * (high - low) >> 64) for word in numbers]


@pytest.mark.parametrize(("low", "high"), [(3, 3), (4, 3), (0, 2**63 + 1), (-(2**63) - 1, 0)])
def test_an_empty_or_too_wide_range_of_integers_is_refused(low, high):
    with pytest.raises(ValueError, match=rf"low must be less than high, .*; got {low} and {high}"):
        host.integers(words_of(1), low, high)


def test_normal_numbers_have_the_moments_and_tails_of_their_distribution():
    x = host.normal(host.random_words(7, 0, 200_000))

    standard_error = 200_000**-0.5
    assert abs(x.mean()) < 4 * standard_error
    assert abs(x.var() - 1) < 4 * math.sqrt(2) * standard_error
    assert abs((x**4).mean() - 3) < 4 * math.sqrt(96) * standard_error
    assert abs((abs(x) > 2).mean() - math.erfc(2**0.5)) < 4 * 0.21 * standard_error
    assert abs(np.corrcoef(x[0::2], x[1::2])[0, 1]) < 4 * math.sqrt(2) * standard_error


@given(key=KEYS, count=st.integers(0, 10))
def test_a_longer_draw_begins_with_a_shorter_one(key, count):
    words = host.random_words(key, 0, 20)

    np.testing.assert_array_equal(host.normal(words)[: 2 * count], host.normal(words[: 2 * count]))


@pytest.mark.parametrize("dtype", FLOATS)
def test_normal_numbers_of_any_dtype_are_those_of_float64_rounded(dtype):
    words = host.random_words(1, 0, 64)

    found = host.normal(words, dtype)

    np.testing.assert_array_equal(found, host.normal(words).astype(found.dtype))
    assert found.dtype.name == dtype


def test_the_words_at_the_ends_give_finite_normal_numbers():
    ends = words_of(0, 0, 2**64 - 1, 0, 0, 2**64 - 1, 2**64 - 1, 2**64 - 1)

    assert np.isfinite(host.normal(ends)).all()


def test_normal_numbers_come_in_pairs():
    with pytest.raises(ValueError, match=r"normal: words are used in pairs, got 3 of them"):
        host.normal(words_of(1, 2, 3))


@pytest.mark.parametrize("function", [host.uniform, host.normal])
def test_random_numbers_of_no_float_dtype_are_refused(function):
    with pytest.raises(ValueError, match=r"(uniform|normal): dtype must be a float dtype, got int"):
        function(words_of(1, 2), "int8")


@given(key=KEYS, count=st.integers(0, 50))
def test_a_permutation_has_every_number_once(key, count):
    found = host.permutation(host.random_words(key, 0, count))

    assert found.dtype == np.int64
    assert sorted(found.tolist()) == list(range(count))


def test_a_permutation_sorts_its_words_and_keeps_equal_ones_in_order():
    assert host.permutation(words_of(5, 1, 5, 0)).tolist() == [3, 1, 0, 2]


@given(key=KEYS, count=st.integers(1, 9))
def test_every_backend_makes_the_same_numbers_of_the_same_words(backend, key, count):
    here = host.random_words(key, 3, 2 * count)
    there = backend.random_words(key, 3, 2 * count)

    def both(function, *arguments):
        expected = getattr(host, function)(here, *arguments)
        found = getattr(distributions, function)(backend, there, *arguments)
        return backend.to_host(found), expected

    np.testing.assert_array_equal(*both("uniform", "float32"))
    np.testing.assert_array_equal(*both("uniform", "float64"))
    np.testing.assert_array_equal(*both("integers", -5, 2**40))
    np.testing.assert_array_equal(*both("permutation"))
    np.testing.assert_allclose(*both("normal"), rtol=1e-14, atol=1e-15)
