"""Splits: exact sizes, every example once, and each part's share of every class."""

import math
from collections import Counter
from fractions import Fraction
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore.data import ArrayDataset, k_fold, split

SEEDS = st.integers(0, 2**64 - 1)
LABELS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=40)


def members(part):
    return [int(x) for x, in part]


def numbered(n):
    return ArrayDataset(np.arange(n))


@st.composite
def sizes_of(draw, n):
    """Sizes that add up to n; some may be 0."""
    cuts = sorted(draw(st.lists(st.integers(0, n), max_size=4)))
    return [b - a for a, b in zip([0, *cuts], [*cuts, n], strict=True)]


def is_rounded(count, exact):
    return math.floor(exact) <= count <= math.ceil(exact)


@given(n=st.integers(1, 30), seed=SEEDS, data=st.data())
def test_parts_have_the_sizes_asked_for_and_every_example_once(n, seed, data):
    sizes = data.draw(sizes_of(n))

    parts = split(numbered(n), sizes, seed)

    assert [len(part) for part in parts] == sizes
    assert sorted(chain(*map(members, parts))) == list(range(n))


@given(n=st.integers(1, 200), weights=st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any))
def test_fractions_are_rounded_to_sizes_that_add_up(n, weights):
    exact = [Fraction(w, sum(weights)) for w in weights]

    parts = split(numbered(n), [float(share) for share in exact])

    assert sum(map(len, parts)) == n
    for part, share in zip(parts, exact, strict=True):
        assert abs(len(part) - n * share) < 1 + 1e-9  # a share of a float may be a hair above a whole number


@given(labels=LABELS, seed=SEEDS, data=st.data())
def test_every_part_has_its_share_of_every_class(labels, seed, data):
    n = len(labels)
    sizes = data.draw(sizes_of(n))

    parts = split(numbered(n), sizes, seed, stratify=labels)

    assert [len(part) for part in parts] == sizes
    assert sorted(chain(*map(members, parts))) == list(range(n))
    for label, total in Counter(labels).items():
        for part in parts:
            found = sum(labels[i] == label for i in members(part))
            assert is_rounded(found, Fraction(total * len(part), n))


@given(n=st.integers(2, 30), seed=SEEDS, stratified=st.booleans(), data=st.data())
def test_folds_hold_every_example_once_and_training_has_the_others(n, seed, stratified, data):
    k = data.draw(st.integers(2, n))
    labels = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))

    folds = k_fold(numbered(n), k, seed, stratify=labels if stratified else None)

    assert len(folds) == k
    assert sorted(chain(*(members(held_out) for _, held_out in folds))) == list(range(n))
    for train, held_out in folds:
        assert sorted(members(train) + members(held_out)) == list(range(n))
        assert is_rounded(len(held_out), Fraction(n, k))
        for label in set(labels) if stratified else ():
            found = sum(labels[i] == label for i in members(held_out))
            assert is_rounded(found, Fraction(labels.count(label) * len(held_out), n))


def test_a_seed_repeats_a_split_on_every_backend(backend):
    here = [members(part) for part in split(numbered(20), (0.5, 0.5), 3)]

    assert here == [members(part) for part in split(numbered(20), (10, 10), 3)]
    assert here != [members(part) for part in split(numbered(20), (10, 10), 4)]
    with dl.use_backend("cpu"):
        assert here == [members(part) for part in split(numbered(20), (10, 10), 3)]


@pytest.mark.parametrize("stratify", [False, True])
def test_every_example_is_equally_likely_in_every_part(stratify):
    labels = [i % 3 for i in range(12)] if stratify else None
    counts = np.zeros(12)

    for seed in range(900):
        counts[members(split(numbered(12), (3, 9), seed, stratify=labels)[0])] += 1

    assert np.abs(counts - 225).max() < 5 * math.sqrt(900 * 0.25 * 0.75)


@pytest.mark.parametrize("labels", [[0, 1] * 5, ("a", "b") * 5, np.arange(10) % 2, dl.tensor([0, 1] * 5),
                                    np.array([[0, 1], [1, 0]] * 5)])
def test_labels_may_be_of_any_kind(labels):
    first, second = split(numbered(10), (4, 6), stratify=labels)

    assert [sum(i % 2 for i in members(part)) for part in (first, second)] == [2, 3]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split(numbered(10), (4, 5)), r"that add up to 10, .* got \[4, 5\], which add up to 9"),
        (lambda: split(numbered(10), (0.5, 0.4)), r"fractions that add up to 1; got \[0.5, 0.4\]"),
        (lambda: split(numbered(10), (1.5, -0.5)), r"got \[1.5, -0.5\]"),
        (lambda: split(numbered(10), ()), r"got \[\], which add up to 0"),
        (lambda: split(numbered(4), (2, 2), stratify=[0, 1]), "split: stratify has 2 labels for 4 examples"),
        (lambda: k_fold(numbered(4), 2, stratify=[0]), "k_fold: stratify has 1 labels for 4 examples"),
        (lambda: k_fold(numbered(4), 1), "k_fold: k must be at least 2 and at most the number .* 4; got 1"),
        (lambda: k_fold(numbered(4), 5), "number of examples, 4; got 5"),
        (lambda: split(numbered(4), (2, 2), -1), "the seed must be a whole number"),
    ],
)
def test_a_mistake_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
