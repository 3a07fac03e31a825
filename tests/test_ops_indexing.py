"""Indexing: NumPy is the model for values, and its add.at for gradients."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices, integer_array_indices
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore.shaping import indexed_shape
from dlcore.testing import check_grads
from tests.devices import settled

ARRAY = np.arange(60.0).reshape(3, 4, 5)


def check_index(index, array=ARRAY):
    """``x[index]`` and its gradient are NumPy's."""
    x = dl.tensor(array, requires_grad=True)
    plain = tuple(as_numpy(i) for i in index) if isinstance(index, tuple) else as_numpy(index)

    y = x[index]

    assert_array_equal(y.numpy(), array[plain])
    y.backward(dl.tensor(array[plain] + 1.0))
    expected = np.zeros_like(array)
    np.add.at(expected, plain, array[plain] + 1.0)
    assert_allclose(x.grad.numpy(), expected, rtol=1e-12)


def as_numpy(i):
    return i.numpy() if isinstance(i, dl.Tensor) else i


@given(index=basic_indices((3, 4, 5), allow_newaxis=True, allow_ellipsis=True))
def test_ints_slices_none_and_ellipsis_index_as_in_numpy(index, backend):
    check_index(index)


@given(index=integer_array_indices((3, 4, 5)))
def test_integer_arrays_index_as_in_numpy(index, backend):
    check_index(index)


entries = st.one_of(
    st.integers(-2, 1),
    st.just(None),
    st.just(Ellipsis),
    st.just(slice(None)),
    st.just(slice(None, None, -1)),
    st.just(slice(1, None)),
    st.lists(st.integers(-3, 2), min_size=2, max_size=2),
    st.just(np.array([[0, 1], [-1, 0]])),
)


def valid(index):
    try:
        ARRAY[tuple(index)]
    except IndexError:
        return False
    return True


@given(index=st.lists(entries, min_size=1, max_size=5).filter(valid))
def test_mixtures_index_as_in_numpy(index, backend):
    index = tuple(index)
    arrays = [i for i in index if isinstance(i, list | np.ndarray)]
    static = tuple("array" if isinstance(i, list | np.ndarray) else i for i in index)

    check_index(index)

    assert indexed_shape(ARRAY.shape, *(np.shape(a) for a in arrays), index=static) == ARRAY[index].shape


@pytest.mark.parametrize("index", [
    ARRAY > 30, (slice(None), ARRAY[0] > 10), (ARRAY[:, :, 0] > 10, 1), (np.array([True, False, True]), 0),
    ([True, False, True], slice(None, None, -2)), (Ellipsis, np.array([True, False, True, False, True])),
    (ARRAY[:, 0, 0] < 0,), np.int64(1), (np.int32(2), np.uint8(0)), [], [[]], (np.array([0, 2], "uint8"),)])
def test_masks_and_numpy_scalars_index_as_in_numpy(index, backend):
    check_index(index)


def test_tensors_index_tensors(backend):
    check_index(dl.tensor([[2, 0], [-1, 2]]))
    check_index((dl.tensor([0, 0]), slice(None), dl.tensor([[1], [1]])))
    check_index(dl.tensor(ARRAY) > 17)
    check_index(slice(dl.tensor(1), dl.tensor(3)))
    check_index(dl.tensor(2))


def test_a_place_that_is_named_twice_gathers_both_gradients(backend):
    x = dl.zeros(3, requires_grad=True)

    x[[0, 2, 0]].backward(dl.tensor([1.0, 2.0, 4.0]))

    assert x.grad.tolist() == [5.0, 0.0, 2.0]


def test_a_slice_does_not_copy_on_the_cpu():
    x = dl.zeros((4, 2))

    assert np.shares_memory(x[1:3].data, x.data)


@pytest.mark.parametrize(("index", "error", "match"), [
    (3, IndexError, r"getitem: index 3 is out of range for axis 0 of size 3, in shape \(3, 4, 5\)"),
    ((0, -5), IndexError, r"getitem: index -5 is out of range for axis 1 of size 4"),
    ((0, 0, 0, 0), IndexError, r"4 indices for shape \(3, 4, 5\), which has 3 axes"),
    ((..., 0, ...), IndexError, "one Ellipsis"),
    ([0, 3], IndexError, "index 3 is out of bounds for (axis 0 with|an axis of) size 3"),
    ((slice(None), [4]), IndexError, "index 4 is out of bounds for (axis 1 with|an axis of) size 4"),
    (np.array([True, False]), IndexError, r"a mask of shape \(2,\) at axis 0 does not fit shape \(3, 4, 5\)"),
    (1.0, TypeError, "1.0 is no index"),
    ("a", TypeError, "'a' is no index"),
    (True, TypeError, "True is no index"),
    ([0.5], TypeError, r"float32\(1,\) cannot index"),
    (np.array(True), TypeError, r"bool\(\) cannot index"),
    (([0, 1], [0, 1, 2]), ValueError, r"shapes \(2,\) and \(3,\) do not broadcast"),
    (slice(0, 3, 0), ValueError, "step"),
    (slice(0.5, 2), TypeError, "integer"),
])
def test_what_is_no_index_is_refused(index, error, match, backend):
    with pytest.raises(error, match=match):
        settled(dl.tensor(ARRAY)[index])


# --- take -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("indices", "axis"), [([2, 0, 2], 0), ([[1, -1]], 1), (3, 2), ([59, 0], None), ([], 1)]
)
def test_take_picks_as_numpy_does(indices, axis, backend):
    found = dl.take(dl.tensor(ARRAY), indices, axis)

    assert_array_equal(found.numpy(), np.take(ARRAY, np.array(indices, int), axis))


def test_take_along_axis_broadcasts_and_sums_the_gradient(backend):
    x = dl.tensor([[1.0, 2.0, 3.0]], requires_grad=True)

    y = dl.take_along_axis(x, [[0], [2], [2]], axis=1)
    y.sum().backward()

    assert y.tolist() == [[1.0], [3.0], [3.0]]
    assert x.grad.tolist() == [[1.0, 0.0, 2.0]]


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: dl.take(x, [3], 0), IndexError, "take.*index 3 is out of bounds for axis 0 with size 3"),
        (lambda x: dl.take(x, [0.5], 0), TypeError, "take: float32 cannot index"),
        (lambda x: dl.take(x, [0], 3), ValueError, "axis 3 is out of range for a 3-d tensor"),
        (lambda x: dl.take_along_axis(x, [0], 1), ValueError, r"indices of shape \(1,\) need as many axes"),
        (lambda x: dl.take_along_axis(x, [[[0], [0]]], 2), ValueError, "do not broadcast"),
        (
            lambda x: dl.scatter_add(x, 0, [[[0]]], dl.zeros((1, 1, 2))),
            ValueError,
            r"\(1, 1, 1\) indices cannot place",
        ),
        (
            lambda x: dl.scatter_add(x, 0, [[[0]]], dl.zeros((1, 1, 1))),
            ValueError,
            "all sizes but that of axis 0",
        ),
        (lambda x: dl.segment_sum(x, [0, 1], 2), ValueError, "one number for each of the first axis"),
        (
            lambda x: dl.segment_sum(x, [0, 1, 2], 2),
            IndexError,
            "segment_sum: segment 2 is out of range: there are 2",
        ),
        (
            lambda x: dl.segment_max(x, [0, 1, 2], 2),
            IndexError,
            "segment_max: segment 2 is out of range: there are 2",
        ),
        (
            lambda x: dl.one_hot(dl.tensor([0, 3]), 3),
            IndexError,
            "one_hot: index 3 is out of range: there are 3, from 0 to 2",
        ),
        (lambda x: dl.one_hot(dl.tensor([-1]), 3), IndexError, "one_hot: index -1 is out of range"),
        (lambda x: dl.one_hot(x, 3), TypeError, "one_hot: float32 cannot index"),
        (lambda x: dl.nonzero(x[0, 0, 0]), ValueError, "nonzero: a 0-d array has no axes"),
    ],
)
def test_wrong_indices_and_shapes_are_named(call, error, match):
    with pytest.raises(error, match=match):
        call(dl.zeros((3, 4, 5)))


# --- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "index",
    [
        0,
        (slice(None), 1),
        (Ellipsis, slice(None, None, 2)),
        [2, 0],
        (slice(None), [0, 3], [4, 1]),
        ARRAY > 30,
    ],
)
def test_at_set_and_add_make_what_numpy_writes(index, backend):
    x = dl.tensor(ARRAY)
    written, added = ARRAY.copy(), ARRAY.copy()
    written[index] = 7.0
    added[index] += 7.0

    assert_array_equal(x.at[index].set(7.0).numpy(), written)
    assert_array_equal(x.at[index].add(7.0).numpy(), added)
    assert_array_equal(x.numpy(), ARRAY)


def test_at_add_adds_to_a_place_named_twice_twice(backend):
    assert dl.zeros(3).at[[0, 0, 2]].add(dl.tensor([1.0, 2.0, 4.0])).tolist() == [3.0, 0.0, 4.0]


def test_at_passes_gradients_to_both_arrays(backend):
    x, v = dl.ones((3, 2), requires_grad=True), dl.ones(2, requires_grad=True)
    weights = dl.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

    (x.at[[0, 2]].set(v) * weights).sum().backward()

    assert x.grad.tolist() == [[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]
    assert v.grad.tolist() == [6.0, 8.0]


def test_at_refuses_to_set_an_element_twice_and_values_that_do_not_fit():
    x = dl.zeros((2, 3))

    with pytest.raises(ValueError, match=r"at\[...\].set: an element of shape \(2, 3\) is named twice"):
        x.at[[0, 0]].set(1.0)
    with pytest.raises(ValueError, match=r"shape \(2,\) does not broadcast to \(3,\)"):
        x.at[0].set([1.0, 2.0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_at_keeps_the_dtype_whatever_numbers_are_written(dtype, backend):
    x = dl.zeros(2, dtype=dtype)

    assert x.at[0].set(3).dtype == dtype
    assert x.at[:1].add([1]).dtype == dtype
    if dtype == "float64":
        assert x.at[0].set(0.1)[0].item() == 0.1


# --- counting and grouping ------------------------------------------------------------------------


def test_one_hot_rows_have_the_default_dtype_or_the_one_that_is_asked_for(backend):
    indices = dl.tensor([[2], [0]])

    assert dl.one_hot(indices, 3).tolist() == [[[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]]]
    assert dl.one_hot(indices, 3).dtype == "float32"
    assert dl.one_hot(indices, 3, dtype="int64").dtype == "int64"


def test_scatter_add_adds_along_the_axis(backend):
    x, values = dl.zeros((2, 3), requires_grad=True), dl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)

    y = dl.scatter_add(x, 1, [[0, 0], [2, 1]], values)
    (y * y).sum().backward()

    assert y.tolist() == [[3.0, 0.0, 0.0], [0.0, 4.0, 3.0]]
    assert values.grad.tolist() == [[6.0, 6.0], [6.0, 8.0]]


def test_segments_sum_and_reach_their_maxima(backend):
    x = dl.tensor([[1.0, 5.0], [2.0, 2.0], [2.0, 0.0]], requires_grad=True)

    total, highest = dl.segment_sum(x, [1, 0, 1], 3), dl.segment_max(x, [1, 0, 1], 3)

    assert total.tolist() == [[2.0, 2.0], [3.0, 5.0], [0.0, 0.0]]
    assert highest.tolist() == [[2.0, 2.0], [2.0, 5.0], [-np.inf, -np.inf]]


def test_derivatives_of_segments_are_right(backend):
    x = np.array([[1.0, 5.0], [2.0, 3.0], [4.0, 0.0], [0.0, 9.0]])

    for f in (dl.segment_sum, dl.segment_max):
        check_grads(lambda x, f=f: f(x, [1, 0, 1, 0], 2), x)


def test_equal_maxima_of_a_segment_share_its_gradient(backend):
    x = dl.tensor([1.0, 1.0, 0.0, 2.0])

    gradient = dl.grad(lambda x: dl.segment_max(x, [0, 0, 0, 1], 2).sum())(x)

    assert gradient.tolist() == [0.5, 0.5, 0.0, 1.0]


def test_the_places_of_a_mask_are_those_of_numpy(backend):
    x = np.array([[0, 1], [1, 1]], bool)

    assert [i.tolist() for i in dl.nonzero(dl.tensor(x))] == [i.tolist() for i in np.nonzero(x)]
