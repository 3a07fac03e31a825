"""Joining, splitting and padding: NumPy is the model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import dlcore as dl

X = np.arange(12.0).reshape(3, 4)


@given(axis=st.integers(-2, 1), counts=st.lists(st.integers(0, 3), min_size=1, max_size=4))
def test_splitting_undoes_joining(axis, counts, backend):
    parts = [np.full((n, 2) if axis % 2 == 0 else (2, n), float(i)) for i, n in enumerate(counts)]
    xs = [dl.tensor(p) for p in parts]

    whole = dl.concat(xs, axis)
    again = dl.split(whole, np.cumsum(counts)[:-1].tolist(), axis)

    assert_array_equal(whole.numpy(), np.concatenate(parts, axis))
    assert len(again) == len(parts)
    for found, expected in zip(again, parts, strict=True):
        assert_array_equal(found.numpy(), expected)


@given(axis=st.integers(-3, 2), count=st.integers(1, 4))
def test_unstacking_undoes_stacking(axis, count, backend):
    parts = [X + i for i in range(count)]

    whole = dl.stack([dl.tensor(p) for p in parts], axis)

    assert_array_equal(whole.numpy(), np.stack(parts, axis))
    assert all((a.numpy() == b).all() for a, b in zip(dl.unstack(whole, axis), parts, strict=True))


@pytest.mark.parametrize("places", [2, [1], [3, 1], [0, 4], [-1], [1, 1, 9], []])
def test_splits_are_numpys(places, backend):
    found = dl.split(dl.tensor(X), places, axis=1)

    ordered = places if isinstance(places, int) else sorted(places)
    if places != [3, 1]:  # NumPy gives overlapping parts then; here a place never lies before another
        expected = np.split(X, ordered, axis=1)
        assert [p.tolist() for p in found] == [p.tolist() for p in expected]
    assert sum(p.shape[1] for p in found) == 4


def test_parts_that_nobody_uses_have_a_gradient_of_zeros(backend):
    x = dl.tensor(X, requires_grad=True)

    _, middle, _ = dl.unstack(x)
    (middle * middle).sum().backward(create_graph=True)
    dl.split(x, 2, axis=1)[1].sum().backward()

    assert x.grad.tolist() == [[0, 0, 1, 1], [8, 10, 13, 15], [0, 0, 1, 1]]


def test_joining_promotes(backend):
    assert dl.concat([dl.tensor([1]), dl.tensor([1.5])]).dtype == "float32"
    assert dl.stack([dl.tensor(1.0), dl.tensor(1.0, dtype="float64")]).dtype == "float64"


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
@given(widths=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=2, max_size=2))
def test_padding_is_numpys(mode, widths, backend):
    found = dl.pad(dl.tensor(X), widths, mode)

    assert_array_equal(found.numpy(), np.pad(X, widths, mode))


def test_padding_takes_short_forms_and_infinite_numbers(backend):
    x = dl.tensor([[1.0]])

    assert dl.pad(x, 1, constant_values=-np.inf)[0].tolist() == [-np.inf] * 3
    assert dl.pad(x, (0, 1)).shape == (2, 2)
    assert dl.pad(x, ((0, 0), (2, 0))).tolist() == [[0.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: dl.concat([]), ValueError, "concat: needs at least one tensor"),
        (
            dl.stack,
            TypeError,
            r"stack: takes a list or tuple of tensors, got one of shape \(3, 4\)",
        ),
        (lambda x: dl.stack([1.0, x]), TypeError, "stack: needs tensors, got float"),
        (
            lambda x: dl.concat([x, x[:, :2]], 0),
            ValueError,
            r"concat: shapes \(3, 4\) and \(3, 2\) differ in more than axis 0",
        ),
        (lambda x: dl.concat([x, x[0]]), ValueError, r"shapes \(3, 4\) and \(4,\) differ in more"),
        (lambda x: dl.concat([x[0, 0], x[0, 0]]), ValueError, "use stack"),
        (
            lambda x: dl.stack([x, x[:2]]),
            ValueError,
            r"stack: shapes \(3, 4\) and \(2, 4\) differ; a stack is of equal",
        ),
        (lambda x: dl.concat([x, x], 2), ValueError, "axis 2 is out of range"),
        (
            lambda x: dl.split(x, 2),
            ValueError,
            r"axis 0 of shape \(3, 4\) has size 3, which 2 equal parts do not divide",
        ),
        (lambda x: dl.split(x, 0), ValueError, "0 equal parts"),
        (lambda x: dl.unstack(x, 5), ValueError, "axis 5 is out of range"),
        (lambda x: dl.pad(x, ((1, 1),)), ValueError, "for each of the 2 axes"),
        (lambda x: dl.pad(x, -1), ValueError, "neither negative"),
        (lambda x: dl.pad(x, 1, "mirror"), ValueError, "unknown mode 'mirror'; choose from constant, edge"),
        (lambda x: dl.pad(x[:0], 1, "edge"), ValueError, r"axis 0 of shape \(0, 4\) is empty"),
    ],
)
def test_what_does_not_fit_together_is_named(call, error, match):
    with pytest.raises(error, match=match):
        call(dl.tensor(X))
