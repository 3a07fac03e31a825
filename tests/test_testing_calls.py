"""Samples become calls: of the sizes, kinds and domains they state, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore.samples import DISTINCT, Domain, sample
from dlcore.testing.calls import MARGIN, called, declared, letters, numbers, subjects
from dlcore.testing.strategies import SEEDS

SIZES = {"a": 2, "b": 3}
SAMPLE = sample("a b, ~ b, ? a, #b 2, ", [Domain(1.0, 2.0), Domain(avoid=(0.0,)), *[Domain()] * 3],
                shape=lambda s: (s["a"], s["b"]), axis=1)


@given(seed=SEEDS)
def test_arguments_have_the_kinds_and_sizes_that_the_sample_states(seed):
    call = called(None, SAMPLE, SIZES, seed)

    assert [a.dtype for a in call.args] == ["float64", "complex128", "bool", "int64", "float64"]
    assert [a.shape for a in call.args] == [(2, 3), (3,), (2,), (2,), ()]
    assert call.floats == [0, 1, 4]
    assert call.params == {"shape": (2, 3), "axis": 1}


@given(seed=SEEDS)
def test_both_parts_of_a_complex_argument_are_of_the_domain(seed):
    z = called(None, SAMPLE, SIZES, seed).args[1]

    parts = np.concatenate([z.real, z.imag])
    assert np.all(np.abs(parts) > MARGIN)
    assert np.all(np.abs(parts) <= 2.0)
    assert len(set(parts)) == 6


@given(seed=SEEDS)
def test_indices_lie_below_the_size_they_index(seed):
    assert np.isin(called(None, SAMPLE, SIZES, seed).args[3], [0, 1, 2]).all()


@given(seed=SEEDS)
def test_the_same_seed_draws_the_same_call(seed):
    first, second = called(None, SAMPLE, SIZES, seed), called(None, SAMPLE, SIZES, seed)

    for a, b in zip(first.args, second.args, strict=True):
        np.testing.assert_array_equal(a, b)


@given(seed=SEEDS, avoid=st.sampled_from([(), (0.0,), (-0.5, 0.5), (-1.0, 0.0, 1.0)]))
def test_numbers_lie_in_the_domain_and_away_from_what_it_avoids(seed, avoid):
    found = numbers((4, 5), Domain(-1.5, 2.0, avoid), seed)

    assert found.shape == (4, 5)
    assert found.min() >= -1.5
    assert found.max() < 2.0
    assert all(np.abs(found - a).min() > MARGIN for a in avoid)


@given(seed=SEEDS)
def test_distinct_numbers_lie_two_margins_apart(seed):
    found = np.sort(numbers((4, 5), DISTINCT, seed, offset=0.07), axis=None)

    assert np.diff(found).min() == pytest.approx(2 * MARGIN)


def test_a_domain_of_which_the_margins_leave_nothing_is_refused():
    with pytest.raises(ValueError, match=r"no number of Domain\(.* stays 0.1 away from \(0.0,\)"):
        numbers((1,), Domain(-0.05, 0.05, avoid=(0.0,)))


def test_an_open_size_is_at_least_one_where_something_indexes_below_it():
    assert letters(sample("a b, #b c, 3")) == {"a": 0, "b": 1, "c": 0}


@pytest.mark.parametrize(("dtype", "expected"), [
    (None, ["float64", "complex128", "bool", "int64", "float64"]),
    ("float32", ["float32", "complex64", "bool", "int64", "float32"]),
    ("float64", ["float64", "complex128", "bool", "int64", "float64"])])
def test_a_dtype_is_for_what_is_differentiable_and_keeps_complex_complex(dtype, expected, backend):
    call = called(None, SAMPLE, SIZES, 0)

    assert [x.dtype for x in call.tensors(dtype)] == expected


def test_of_floats_fixes_what_has_no_derivative(backend):
    call = called(dl.where, sample("? a, a, a"), SIZES, 0)
    args = call.tensors()

    found = call.of_floats(args)(args[2], args[1])

    np.testing.assert_array_equal(found.numpy(), np.where(call.args[0], call.args[2], call.args[1]))


@pytest.mark.parametrize(("meant", "name"), [
    ("dl.tanh", "tanh"), ("mse_loss", "mse_loss"), ("F.mse_loss()", "mse_loss"), (dl.tanh, "tanh"),
    (dl.nn.functional.mse_loss, "mse_loss"), (dl.nn.functional.softmax, "softmax"),
    (dl.core.OPERATIONS["pad"], "pad"), ("pad()", "pad"),
])
def test_what_is_declared_is_found_by_what_users_call_it(meant, name):
    assert declared("here", meant).name == name


@pytest.mark.parametrize(("wrong", "kind", "match"), [
    ("sofmax", ValueError, "here: no operation 'sofmax' is declared"),
    (dl.zeros, ValueError, "here: no operation 'zeros' is declared"),
    (np.sin, TypeError, "here: takes a primitive, an operation or its name, got <ufunc 'sin'>"),
    (3, TypeError, "here: takes a primitive, an operation or its name, got 3"),
])
def test_what_is_not_declared_is_refused(wrong, kind, match):
    with pytest.raises(kind, match=match):
        declared("here", wrong)


def test_the_last_arrays_of_a_sample_can_be_passed_by_name():
    call = called(dl.nn.functional.layer_norm, sample("a 4, weight: 4", normalized_shape=4), {"a": 2}, 0)
    x, weight = call.tensors()

    found = call.of_floats([x, weight])(x, weight * 2.0)

    np.testing.assert_allclose(found.numpy(), 2.0 * dl.nn.functional.layer_norm(x, 4, weight).numpy())


def test_a_declaration_is_a_subject_at_once():
    name = "a_subject_of_this_test"
    try:
        dl.core.elementwise(name, lambda xp, x: x, lambda d, out, x: d)

        assert subjects()[name].name == name
    finally:
        dl.core.PRIMITIVES.pop(name)
