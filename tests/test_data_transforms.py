"""Transforms: what they do to arrays and tensors, and that what is drawn can be drawn again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore.data import ArrayDataset, DataLoader, Subset, transforms
from dlcore.data.transforms import (
    Compose,
    GaussianNoise,
    Normalize,
    OneHot,
    RandomCrop,
    RandomHorizontalFlip,
    Standardize,
)
from dlcore.random import Generator
from tests.strategies import fewer

SEEDS = st.integers(0, 2**64 - 1)
PICTURES = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
EACH = {
    "standardize": lambda: Standardize(PICTURES, (0, 2, 3)),
    "inverse": lambda: Standardize(PICTURES, (0, 2, 3)).inverse,
    "normalize": lambda: Normalize([1, 2, 3], 4),
    "crop": lambda: RandomCrop((3, 4), 1, rng=Generator(1)),
    "flip": lambda: RandomHorizontalFlip(1.0),
    "noise": lambda: GaussianNoise(0.5, rng=Generator(1)),
    "compose": lambda: Compose([Normalize(0, 2), RandomHorizontalFlip(1.0)]),
}


@pytest.mark.parametrize("name", EACH)
def test_an_array_gives_an_array_and_a_tensor_a_tensor_of_the_same_values(name, backend):
    x = dl.tensor(PICTURES)

    array, tensor = EACH[name]()(PICTURES), EACH[name]()(x)

    assert isinstance(array, np.ndarray)
    assert (type(tensor), tensor.backend, tensor.dtype) == (dl.Tensor, backend.name, dl.float32)
    assert array.dtype == np.float32
    assert_allclose(tensor.numpy(), array, rtol=1e-6)
    assert_array_equal(x.numpy(), PICTURES)


def test_an_example_alone_is_treated_as_among_others():
    standardize, normalize = Standardize(PICTURES, (0, 2, 3)), Normalize([1, 2, 3], [4, 5, 6])

    for f in (standardize, standardize.inverse, normalize):
        assert_array_equal(f(PICTURES)[1], f(PICTURES[1]))


# --- scales -------------------------------------------------------------------------------------------


@given(n=st.integers(1, 20), seed=SEEDS, dtype=st.sampled_from(["float32", "float64"]))
def test_training_examples_get_mean_0_and_deviation_1_and_others_the_same_scale(n, seed, dtype):
    rng = np.random.default_rng(seed)
    x, unseen = (rng.normal(5.0, 3.0, (rows, 4)).astype(dtype) for rows in (n, 7))
    x[:, 3] = 2.5

    standardize = Standardize(x)

    tol = 1e-5 if dtype == "float32" else 1e-12
    found = standardize(x)
    assert_allclose(found.mean(axis=0), 0.0, atol=10 * tol)
    assert_allclose(found.std(axis=0), [*[1.0 if n > 1 else 0.0] * 3, 0.0], atol=10 * tol)
    expected = (unseen - x.mean(axis=0)) / standardize.std
    assert_allclose(standardize(unseen), expected, rtol=100 * tol, atol=100 * tol)
    assert_allclose(standardize.inverse(standardize(unseen)), unseen, rtol=10 * tol, atol=10 * tol)


def test_channels_of_pictures_are_standardized_each_by_itself():
    found = Standardize(PICTURES, axis=(0, 2, 3))(PICTURES)

    assert_allclose(found.mean(axis=(0, 2, 3)), 0.0, atol=1e-6)
    assert_allclose(found.std(axis=(0, 2, 3)), 1.0, rtol=1e-6)


def test_whole_numbers_become_the_default_float():
    assert Standardize([[1], [3]])(np.array([[5]])).tolist() == [[3.0]]
    pixels = np.array([[[0, 255]]], np.uint8)
    assert Normalize(0.5, 0.5)(pixels).tolist() == [[[-1.0, 1.0]]]
    assert Normalize(0.5, 0.5)(pixels).dtype == np.float32


@given(labels=st.lists(st.integers(0, 4), max_size=5))
def test_a_row_of_one_hot_has_its_1_at_the_label(labels, backend):
    expected = np.eye(5)[np.array(labels, int)]

    assert_array_equal(OneHot(5)(np.array(labels, int)), expected)
    assert_array_equal(OneHot(5)(dl.tensor(labels, "int64")).numpy(), expected)
    if labels:
        assert_array_equal(OneHot(5)(labels[0]), expected[0])


# --- chance -------------------------------------------------------------------------------------------


@fewer(2)
@given(h=st.integers(1, 5), w=st.integers(1, 5), padding=st.integers(0, 2), seed=SEEDS, data=st.data())
def test_a_crop_is_a_piece_of_the_padded_picture(h, w, padding, seed, data):
    size = (data.draw(st.integers(1, h + 2 * padding)), data.draw(st.integers(1, w + 2 * padding)))
    picture = np.arange(1.0, 1 + 2 * h * w).reshape(2, h, w)

    found = RandomCrop(size, padding, rng=Generator(seed))(picture)

    around = np.pad(picture, [(0, 0), (padding, padding), (padding, padding)])
    pieces = np.lib.stride_tricks.sliding_window_view(around, size, axis=(1, 2))
    assert any(np.array_equal(found, pieces[:, i, j]) for i, j in np.ndindex(pieces.shape[1:3]))


def test_all_places_of_a_crop_are_equally_likely():
    crop, picture = RandomCrop(2, rng=Generator(1)), np.arange(12.0).reshape(3, 4)

    counts = np.bincount([int(crop(picture)[0, 0]) for _ in range(1200)], minlength=12)

    assert sorted(np.flatnonzero(counts)) == [0, 1, 2, 4, 5, 6]
    assert np.abs(counts[counts > 0] - 200).max() < 5 * np.sqrt(200)


def test_a_flip_happens_as_often_as_was_said():
    flip = RandomHorizontalFlip(0.3, rng=Generator(1))

    flipped = sum(int(flip(np.array([0.0, 1.0]))[0]) for _ in range(1000))

    assert abs(flipped - 300) < 5 * np.sqrt(1000 * 0.3 * 0.7)
    assert_array_equal(RandomHorizontalFlip(1.0)(PICTURES), PICTURES[..., ::-1])
    assert RandomHorizontalFlip(0.0)(PICTURES) is PICTURES


def test_noise_has_its_deviation():
    found = GaussianNoise(0.5, rng=Generator(1))(np.zeros(10_000))

    assert found.std() == pytest.approx(0.5, rel=0.05)  # 0.7 % is one standard error
    assert abs(found.mean()) < 0.025


@pytest.mark.parametrize("workers", [0, 3])
def test_examples_are_changed_by_chance_anew_in_every_epoch_and_alike_in_every_run(workers, backend):
    change = Compose([RandomCrop(3, 1), RandomHorizontalFlip(), GaussianNoise(0.1)])
    data = ArrayDataset(PICTURES, [0, 1]).map(lambda picture, label: (change(picture), label))

    def epochs(workers):
        loader = DataLoader(Subset(data, [0, 1, 0]), 2, shuffle=True, workers=workers)
        return [[(x.tolist(), y.tolist()) for x, y in loader] for _ in range(2)]

    first, second = epochs(workers)

    assert first != second
    assert [first, second] == epochs(0)
    assert next(iter(DataLoader(data, 2)))[0].shape == (2, 3, 3, 3)


# --- mistakes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Standardize(np.ones((0, 3))), ValueError, r"needs examples along .* got shape \(0, 3\)"),
        (lambda: Standardize(np.ones((2, 3)), axis=1), ValueError, r"got shape \(2, 3\) and axis 1"),
        (lambda: Standardize(1.0), ValueError, r"got shape \(\) and axis 0"),
        (lambda: Normalize(0.0, [1, 0]), ValueError, r"Normalize: a deviation must not be 0, got \[1, 0\]"),
        (lambda: Normalize([1, 2], 1)(PICTURES), ValueError,
         r"pictures of shape \(2, 3, 4, 5\) are no \(\.\.\., 2, height, width\)"),
        (lambda: Normalize(0, 1)(np.ones((4, 5))), ValueError, r"pictures of shape \(4, 5\) are no"),
        (lambda: OneHot(3)([3]), IndexError, "one_hot: index 3"),
        (lambda: OneHot(3)([0.5]), TypeError, "one_hot: float32 cannot index"),
        (lambda: RandomCrop(0), ValueError, "RandomCrop: needs a height .* got size 0 and padding 0"),
        (lambda: RandomCrop((1, 2, 3)), ValueError, r"got size \(1, 2, 3\)"),
        (lambda: RandomCrop(2, -1), ValueError, "padding -1"),
        (lambda: RandomCrop(7, 1)(PICTURES[0]), ValueError, r"and padding 1 holds no piece of \(7, 7\)"),
        (lambda: RandomCrop(1)(np.ones(3)), ValueError, r"of shape \(3,\) and padding 0 holds no piece"),
        (lambda: RandomHorizontalFlip(1.5), ValueError, "p must be a probability from 0 to 1, got 1.5"),
        (lambda: GaussianNoise(-1), ValueError, "GaussianNoise: std must not be negative, got -1"),
        (lambda: GaussianNoise(1)([1, 2]), TypeError, "GaussianNoise: int64 has no room for noise"),
    ],
)
def test_a_mistake_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_names_of_the_module_are_its_classes():
    assert sorted(transforms.__all__) == transforms.__all__
    assert all(isinstance(getattr(transforms, name), type) for name in transforms.__all__)
