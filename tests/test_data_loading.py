"""Loaders: every example once an epoch, orders that depend on seed and epoch alone, and resuming."""

import math
from itertools import chain, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import dlcore as dl
from dlcore.data import ArrayDataset, DataLoader
from tests.strategies import fewer

COUNTS, SIZES, EPOCHS = st.integers(0, 9), st.integers(1, 4), st.integers(0, 3)
HOW = st.sampled_from([{}, {"shuffle": True}, {"replacement": True}])


def loader_of(n, size, **how):
    return DataLoader(ArrayDataset(np.arange(n)), size, **how)


def epoch_of(loader):
    return [x.tolist() for x, in loader]


@fewer(1)
@given(n=COUNTS, size=SIZES, seed=st.integers(0, 2**64 - 1), shuffle=st.booleans())
def test_an_epoch_has_every_example_once(n, size, seed, shuffle):
    loader = loader_of(n, size, shuffle=shuffle, seed=seed)

    for _ in range(2):
        batches = epoch_of(loader)

        assert len(batches) == len(loader)
        assert sorted(chain(*batches)) == list(range(n))
        assert all(len(batch) == size for batch in batches[:-1])


@given(n=COUNTS, size=SIZES)
def test_without_shuffling_the_order_is_that_of_the_data(n, size):
    assert list(chain(*epoch_of(loader_of(n, size)))) == list(range(n))


@given(n=COUNTS, size=SIZES, how=HOW)
def test_a_last_batch_that_is_short_can_be_left_out(n, size, how):
    batches = epoch_of(loader_of(n, size, drop_last=True, **how))

    assert [len(batch) for batch in batches] == [size] * (n // size)


def test_epochs_differ_and_a_seed_repeats_them():
    first, second = epoch_of(a := loader_of(50, 50, shuffle=True, seed=1)), epoch_of(a)

    assert first != second
    assert epoch_of(b := loader_of(50, 50, shuffle=True, seed=1)) == first
    assert epoch_of(b) == second
    assert epoch_of(loader_of(50, 50, shuffle=True, seed=2)) != first


def test_with_replacement_some_examples_come_twice_and_all_are_equally_likely():
    loader = loader_of(10, 10, replacement=True)

    drawn = [x for _ in range(300) for x in chain(*epoch_of(loader))]

    counts = np.bincount(drawn, minlength=10)
    assert counts.sum() == 3000
    assert np.abs(counts - 300).max() < 5 * np.sqrt(300 * 0.9)
    assert len(set(drawn[:10])) < 10


@pytest.mark.parametrize("make", [list, np.array, tuple])
def test_weights_say_how_likely_an_example_is(make):
    loader = DataLoader(ArrayDataset(np.arange(5)), 7, replacement=True, weights=make([0, 1, 3, 0, 6]))

    drawn = [x for _ in range(800) for x in chain(*epoch_of(loader))]

    counts = np.bincount(drawn, minlength=5)
    assert counts[[0, 3]].tolist() == [0, 0]
    expected = np.array([400, 1200, 2400])
    assert np.abs(counts[[1, 2, 4]] - expected).max() < 5 * np.sqrt(expected.max())


@given(weights=st.lists(st.floats(0, 1e300), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_an_example_without_weight_never_comes(weights, seed):
    if not 0 < sum(weights) < math.inf:
        return
    loader = loader_of(len(weights), 3, replacement=True, weights=weights, seed=seed)

    assert all(weights[i] > 0 for i in chain(*epoch_of(loader)))


def test_an_order_is_the_same_on_every_backend(backend):
    here = epoch_of(loader_of(20, 7, shuffle=True, seed=3))

    with dl.use_backend("cpu"):
        assert epoch_of(loader_of(20, 7, shuffle=True, seed=3)) == here


@pytest.mark.parametrize("make", [np.array, dl.tensor])
def test_batches_are_tensors_on_the_selected_backend_with_the_dtypes_of_the_data(make, backend):
    with dl.use_backend("cpu"):
        data = ArrayDataset(make(np.ones((5, 2), np.float64)), make(np.arange(5, dtype=np.int32)))

    for shuffle in (False, True):
        x, y = next(iter(DataLoader(data, 2, shuffle=shuffle)))

        assert (x.shape, x.dtype, x.backend) == ((2, 2), dl.float64, backend.name)
        assert (y.shape, y.dtype, y.backend) == ((2,), dl.int32, backend.name)


def test_rows_of_all_arrays_belong_together(backend):
    x = np.arange(12.0).reshape(6, 2)
    loader = DataLoader(ArrayDataset(x, dl.tensor(x[:, 0])), 4, shuffle=True)

    for features, label in loader:
        assert_array_equal(features.numpy()[:, 0], label.numpy())


def test_a_batch_is_a_copy_of_its_data():
    source = np.zeros(4)
    x, = next(iter(DataLoader(ArrayDataset(source), 4)))

    source += 1.0

    assert x.tolist() == [0.0] * 4


class Squares:
    """A dataset that is no array."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return float(index), np.array([index, index**2], np.float32), dl.tensor([index])


def test_any_object_with_a_length_and_items_is_a_dataset(backend):
    a, b, c = list(DataLoader(Squares(), 3))[1]

    assert (a.tolist(), a.dtype) == ([3.0, 4.0], dl.float32)
    assert (b.tolist(), b.dtype) == ([[3.0, 9.0], [4.0, 16.0]], dl.float32)
    assert (c.tolist(), c.dtype, c.backend) == ([[3], [4]], dl.int64, backend.name)
    shuffled = [a.tolist() for a, *_ in DataLoader(Squares(), 3, shuffle=True)]
    assert sorted(chain(*shuffled)) == [0.0, 1.0, 2.0, 3.0, 4.0]


# --- where a loader stands -------------------------------------------------------------------------


@given(n=st.integers(1, 9), size=SIZES, epochs=EPOCHS, taken=st.integers(0, 9), how=HOW)
def test_a_loader_goes_on_from_its_state(n, size, epochs, taken, how):
    loader = loader_of(n, size, seed=7, **how)
    for _ in range(epochs):
        epoch_of(loader)
    iterator = iter(loader)
    list(islice(iterator, taken))
    state = loader.state_dict()
    rest = [x.tolist() for x, in iterator] + epoch_of(loader)

    resumed = loader_of(n, size, seed=7, **how)
    resumed.load_state_dict(state)
    found = epoch_of(resumed)
    found += epoch_of(resumed) if len(found) < len(rest) else []

    assert found == rest


def test_an_epoch_that_was_broken_off_counts_as_one():
    whole, broken = (loader_of(9, 2, shuffle=True) for _ in range(2))
    next(iter(broken))
    epoch_of(whole)

    assert broken.state_dict() == {"epoch": 0, "position": 1, "examples": 9, "batch_size": 2, "seed": 0,
                                   "shuffle": True, "replacement": False}
    assert epoch_of(broken) == epoch_of(whole)
    assert broken.state_dict() == whole.state_dict()
    assert (whole.state_dict()["epoch"], whole.state_dict()["position"]) == (2, 0)


@pytest.mark.parametrize(("other", "said"), [
    ({"seed": 8}, "seed=7, this loader has seed=8"),
    ({"size": 3}, "batch_size=2, this loader has batch_size=3"),
    ({"n": 8}, "examples=9, this loader has examples=8"),
    ({"shuffle": True}, "shuffle=False, this loader has shuffle=True"),
    ({"replacement": True}, "replacement=False, this loader has replacement=True")])
def test_an_epoch_cannot_go_on_with_other_batches_but_the_next_one_can_begin(other, said):
    loader = loader_of(9, 2, seed=7)
    next(batches := iter(loader))
    middle = loader.state_dict()
    list(batches)
    end = loader.state_dict()
    another = loader_of(**{"n": 9, "size": 2, "seed": 7} | other)

    with pytest.raises(ValueError, match=f"from the middle of an epoch with {said}; make it with the same"):
        another.load_state_dict(middle)

    assert another.state_dict()["position"] == 0
    another.load_state_dict(end)
    assert another.state_dict()["epoch"] == 1


# --- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ArrayDataset([1, 2], [1, 2, 3]), r"needs arrays of one length .* got \(2,\) and \(3,\)"),
        (lambda: ArrayDataset(1.0), r"ArrayDataset: needs arrays of one length .* got \(\)"),
        (ArrayDataset, "ArrayDataset: .* got nothing"),
        (lambda: loader_of(3, 0), "DataLoader: batch_size must be at least 1, got 0"),
        (lambda: loader_of(3, 1, seed=-1), "DataLoader: seed must be a whole number from 0"),
        (lambda: loader_of(3, 1).load_state_dict({"epoch": 0, "position": 4}), "there is no batch 4 of 3"),
        (lambda: loader_of(3, 1).load_state_dict({}), "DataLoader: this is no state of a loader"),
        (lambda: loader_of(2, 1, weights=[1, 1]), "weights say how likely .* need replacement=True"),
        (lambda: loader_of(2, 1, replacement=True, weights=[1]), r"weights must be 2 numbers .* got \(1,\)"),
        (lambda: loader_of(2, 1, replacement=True, weights=[1, -1]), r"not negative .* got \(2,\) from -1.0"),
        (lambda: loader_of(2, 1, replacement=True, weights=[0, 0]), "not all 0"),
        (lambda: loader_of(2, 1, replacement=True, weights=[1, np.nan]), "weights must be 2 numbers"),
        (lambda: loader_of(0, 1, replacement=True, weights=[]), "weights must be 0 numbers"),
    ],
)
def test_a_mistake_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
