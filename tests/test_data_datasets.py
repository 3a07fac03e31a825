"""Datasets: whole, in part, joined and mapped, and how examples become a batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import dlcore as dl
from dlcore.data import ArrayDataset, ConcatDataset, DataLoader, Examples, MappedDataset, Subset, collate

LENGTHS = st.lists(st.integers(0, 4), min_size=1, max_size=4)


def numbered(n, start=0):
    """Rows that say which they are, in two arrays."""
    x = np.arange(start, start + n)
    return ArrayDataset(x * 1.5, x)


def numbers(dataset):
    return [int(dataset[i][1]) for i in range(len(dataset))]


EQUAL = [numbered(4), Subset(numbered(6), [0, 1, 2, 3]), Examples(np.arange(4) * 1.5, np.arange(4)),
         ConcatDataset([numbered(1), numbered(3, 1)]), numbered(4).map(lambda x, y: (x, y))]


class Dicts:
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return {"x": [float(index), 0.5], "y": index}


class Squares:
    """Finds many examples at once."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        raise AssertionError("an example was asked for alone")

    def rows(self, places):
        return (np.arange(5)[places] ** 2,)


# --- parts and joins ------------------------------------------------------------------------------------


@given(n=st.integers(1, 6), data=st.data())
def test_a_subset_has_the_examples_at_its_indices_in_their_order(n, data):
    indices = data.draw(st.lists(st.integers(0, n - 1), max_size=8))

    for given_as in (indices, tuple(indices), np.array(indices, int), dl.tensor(indices, "int64")):
        assert numbers(Subset(numbered(n), given_as)) == indices


@given(lengths=LENGTHS)
def test_joined_datasets_follow_each_other(lengths):
    starts = np.cumsum([0, *lengths])

    joined = ConcatDataset(numbered(n, start) for n, start in zip(lengths, starts[:-1], strict=True))

    n = sum(lengths)
    assert len(joined) == n
    assert numbers(joined) == list(range(n))
    assert [int(joined[i - n][1]) for i in range(n)] == list(range(n))


def test_a_dataset_can_be_walked_through():
    for dataset in EQUAL:
        assert [int(y) for _, y in dataset] == [0, 1, 2, 3]


def test_a_mapped_dataset_gives_what_its_function_makes_of_the_parts():
    data = numbered(4)

    assert numbers(data.map(lambda x, y: (x, y + 10))) == [10, 11, 12, 13]
    assert data.map(lambda x, y: x + y)[2] == 5.0
    assert [int(y) for y in MappedDataset(Dicts(), lambda d: d["y"])] == [0, 1, 2]


@given(n=st.integers(1, 6), size=st.integers(1, 3), data=st.data())
def test_a_loader_takes_rows_and_examples_alike(backend, n, size, data):
    indices = data.draw(st.lists(st.integers(0, n - 1), max_size=8))
    rows = Subset(Subset(numbered(n), indices), range(len(indices)))

    one_by_one = ConcatDataset([rows])

    for shuffle in (False, True):
        found, expected = ([(x.tolist(), y.tolist()) for x, y in DataLoader(d, size, shuffle, prefetch=2)]
                           for d in (rows, one_by_one))
        assert found == expected


def test_rows_are_taken_at_once_however_deep_they_lie():
    data = Subset(Subset(Squares(), range(4)), range(1, 4))

    assert [x.tolist() for x, in DataLoader(data, 2, shuffle=False)] == [[1, 4], [9]]
    assert data.tensors()[0].tolist() == [1, 4, 9]


def test_a_subclass_that_gives_other_examples_is_asked_for_them():
    class Doubled(ArrayDataset):
        def __getitem__(self, index):
            return tuple(2 * part for part in super().__getitem__(index))

    data = Doubled(np.arange(4))

    assert [x.tolist() for x, in DataLoader(data, 3)] == [[0, 2, 4], [6]]
    assert [x.tolist() for x, in DataLoader(Subset(data, [3, 1]), 3)] == [[6, 2]]
    assert data.tensors()[0].tolist() == [0, 2, 4, 6]


def test_a_dataset_of_the_users_own_may_have_rows():
    assert [x.tolist() for x, in DataLoader(Squares(), 3)] == [[0, 1, 4], [9, 16]]


@pytest.mark.parametrize("dataset", EQUAL)
def test_a_dataset_gives_itself_as_tensors(dataset, backend):
    x, y = dataset.tensors()

    assert (x.backend, y.backend, x.dtype, y.dtype) == (backend.name, backend.name, dl.float64, dl.int64)
    assert (x.tolist(), y.tolist()) == ([0.0, 1.5, 3.0, 4.5], [0, 1, 2, 3])


def test_tensors_stay_on_their_backend_until_they_are_in_a_batch():
    with dl.use_backend("strict"):
        data = ArrayDataset(dl.arange(6))
    with dl.use_backend("cpu"):
        assert data.rows(slice(2))[0].backend == "strict"
        assert next(iter(DataLoader(Subset(data, [4, 5]), 2)))[0].backend == "cpu"


def test_a_batch_has_no_history_of_the_tensors_it_was_taken_from():
    w = dl.tensor([1.0, 2.0], requires_grad=True)

    for dataset in (ArrayDataset(w), ArrayDataset(w).map(lambda x: (x,)), [(w,), (w,)]):
        assert not next(iter(DataLoader(dataset, 2)))[0].requires_grad


# --- batches --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("examples", "expected"), [
    ([(1, 2.0), (3, 4.0)], ([1, 3], [2.0, 4.0])),
    ([[1, 2.0], [3, 4.0]], ([1, 3], [2.0, 4.0])),
    ([1, 3], ([1, 3],)),
    ([np.array([1, 2]), np.array([3, 4])], ([[1, 2], [3, 4]],)),
    ([([1, 2], True)], ([[1, 2]], [True])),
    ([{"a": 1, "b": [2]}, {"b": [4], "a": 3}], {"a": [1, 3], "b": [[2], [4]]})])
def test_examples_are_put_side_by_side(examples, expected):
    found = collate(examples)

    assert type(found) is type(expected)
    pairs = [(found[k], expected[k]) for k in expected] if isinstance(expected, dict) else zip(
        found, expected, strict=True)
    for part, values in pairs:
        assert_array_equal(part, values)


def test_tensors_among_arrays_make_a_tensor(backend):
    part, = collate([dl.tensor([1.0]), dl.tensor([2.0])])

    assert (type(part), part.backend, part.tolist()) == (dl.Tensor, backend.name, [[1.0], [2.0]])


def test_an_example_may_be_a_dict(backend):
    batch = next(iter(DataLoader(Dicts(), 2)))

    assert {name: (x.tolist(), x.backend) for name, x in batch.items()} == {
        "x": ([[0.0, 0.5], [1.0, 0.5]], backend.name), "y": ([0, 1], backend.name)}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_collate_of_the_users_own_makes_the_batch_and_it_is_moved(workers, backend):
    words = [[1, 2, 3], [4], [5, 6]]

    def padded(examples):
        longest = max(map(len, examples))
        rows = np.array([[*e, *[0] * (longest - len(e))] for e in examples])
        return {"words": rows, "lengths": [len(e) for e in examples], "nested": (rows[0], "text")}

    first, second = DataLoader(words, 2, collate=padded, workers=workers)

    assert first["words"].tolist() == [[1, 2, 3], [4, 0, 0]]
    assert second["words"].tolist() == [[5, 6]]
    assert (first["words"].backend, first["nested"][0].backend) == (backend.name, backend.name)
    assert (first["lengths"], first["nested"][1]) == ([3, 1], "text")


def test_a_collate_gets_the_examples_of_rows_too():
    found = list(DataLoader(numbered(3), 2, collate=lambda examples: [int(y) for _, y in examples]))

    assert found == [[0, 1], [2]]


def test_what_does_not_stack_says_which_part_it_is():
    with pytest.raises(ValueError, match=r"ragged nested lists: data\[1\] has length 1") as caught:
        list(DataLoader([(1, [2, 3]), (4, [5])], 2))

    note, = caught.value.__notes__
    assert note.startswith("collate: this is part 1 of the examples; DataLoader(collate=...) can pad")


# --- mistakes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Subset(numbered(3), [0, 3]), IndexError, "Subset: there is no example 3 of 3"),
        (lambda: Subset(numbered(3), [-1]), IndexError, "Subset: there is no example -1 of 3"),
        (lambda: Subset(numbered(3), [0.5]), ValueError, r"indices are whole numbers .*, not float32\(1,\)"),
        (lambda: Subset(numbered(3), [True]), ValueError, r"indices are whole numbers .*, not bool\(1,\)"),
        (lambda: Subset(numbered(3), [[1]]), ValueError, r"in one dimension, not int64\(1, 1\)"),
        (lambda: ConcatDataset([]), ValueError, "ConcatDataset: there are no datasets"),
        (lambda: ConcatDataset([numbered(2)])[2], IndexError, "ConcatDataset: there is no example 2 of 2"),
        (lambda: ConcatDataset([numbered(2)])[-3], IndexError, "ConcatDataset: there is no example -3 of 2"),
        (lambda: collate([]), ValueError, "collate: there are no examples"),
        (lambda: collate([(1, 2), (1,)]), ValueError,
         "collate: example 1 of the batch is a tuple of 1 parts, example 0 is a tuple of 2 parts"),
        (lambda: collate([{"a": 1}, (1,)]), ValueError, "a tuple of 1 parts, example 0 is a dict of 1 parts"),
        (lambda: DataLoader(iter([1]), 1), TypeError, "a list_iterator is no dataset, .* make a list of"),
        (lambda: DataLoader({1, 2}, 1), TypeError, "DataLoader: a set is no dataset"),
    ],
)
def test_a_mistake_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
