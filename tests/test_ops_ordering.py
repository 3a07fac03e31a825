"""Sorting: NumPy's order, stable, with ties kept in order in both directions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import dlcore as dl

few_values = st.lists(st.integers(0, 3).map(float), min_size=1, max_size=8)


@given(values=few_values)
def test_equal_elements_keep_their_order_in_both_directions(values, backend):
    x = np.array(values)

    upwards, downwards = dl.argsort(dl.tensor(x)), dl.argsort(dl.tensor(x), descending=True)

    assert_array_equal(upwards.numpy(), np.argsort(x, stable=True))
    assert_array_equal(downwards.numpy(), np.argsort(-x, stable=True))


@given(values=few_values, data=st.data())
def test_topk_gives_the_largest_first_and_where_they_were(values, backend, data):
    k = data.draw(st.integers(0, len(values)))

    found = dl.topk(dl.tensor(values), k)

    assert found.values.tolist() == sorted(values, reverse=True)[:k]
    assert [values[i] for i in found.indices.tolist()] == found.values.tolist()


def test_topk_along_another_axis_passes_the_gradient_to_the_chosen(backend):
    x = dl.tensor([[1.0, 9.0], [3.0, 2.0], [2.0, 4.0]], requires_grad=True)

    dl.topk(x, 1, axis=0).values.sum().backward()

    assert x.grad.tolist() == [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]


def test_results_of_topk_that_nobody_uses_do_not_matter(backend):
    x = dl.tensor([1.0, 3.0, 2.0], requires_grad=True)

    values, _ = dl.topk(x, 2)
    (values * values).sum().backward(create_graph=True)

    assert x.grad.tolist() == [0.0, 6.0, 4.0]


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted_finds_numpys_places(side, backend):
    x, values = np.array([1.0, 2.0, 2.0, 5.0]), np.array([[0.0, 2.0], [5.0, 9.0]])

    found = dl.searchsorted(dl.tensor(x), dl.tensor(values), side)

    assert found.dtype == "int64"
    assert_array_equal(found.numpy(), np.searchsorted(x, values, side))


@pytest.mark.parametrize(("call", "match"), [
    (lambda x: dl.topk(x, 3, axis=0), r"topk: k=3 elements cannot be picked along axis 0 of shape \(2, 4\)"),
    (lambda x: dl.topk(x, -1), "k=-1"),
    (lambda x: dl.sort(x, axis=2), "axis 2 is out of range for a 2-d tensor"),
    (lambda x: dl.searchsorted(x, x), r"searchsorted: looks in a 1-d array, got shape \(2, 4\)"),
    (lambda x: dl.searchsorted(x[0], x, "middle"), "side 'middle' must be 'left' or 'right'"),
])
def test_wrong_counts_axes_and_sides_are_named(call, match, backend):
    with pytest.raises(ValueError, match=match):
        call(dl.zeros((2, 4)))
