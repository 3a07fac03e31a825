"""Datasets in parts: for training, validation and test, of exact sizes, by chance or class by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from backends import host
from dlcore.data.datasets import Dataset, Subset
from dlcore.random import Generator
from dlcore.tensors import Tensor


def split(dataset: Dataset, sizes: Sequence[float], seed: int = 0, *, stratify: Any = None) -> list[Subset]:
    """Parts of a dataset with no example in common, drawn by chance; PyTorch's ``random_split``.

    Args:
        dataset: any; nothing of it is copied.
        sizes: of the parts: whole numbers that add up to its length, or fractions that add up to 1.
        seed: the same one gives the same parts, on every backend.
        stratify: a label for each example; each part then has its share of each, to the nearest whole
            number below or above; scikit-learn's ``train_test_split`` calls it so.

    Raises:
        ValueError: sizes that do not add up, or another number of labels than of examples.

        >>> from dlcore.data import ArrayDataset
        >>> train, test = split(ArrayDataset(list(range(10))), (0.8, 0.2))
        >>> len(train), len(test)
        (8, 2)
    """
    n = len(dataset)
    parts = _dealt("split", n, _counts(n, sizes), seed, stratify)
    return [Subset(dataset, places) for places in parts]


def k_fold(dataset: Dataset, k: int, seed: int = 0, *, stratify: Any = None) -> list[tuple[Subset, Subset]]:
    """``k`` pairs of a part for training and one for validation, in which every example is once.

    The parts for validation differ in size by one at most; scikit-learn's ``KFold`` and, with ``stratify``,
    ``StratifiedKFold``.

    Args:
        dataset: any; nothing of it is copied.
        k: how many, at least 2 and at most the number of examples.
        seed: the same one gives the same parts, on every backend.
        stratify: a label for each example, as in :func:`split`.

    Raises:
        ValueError: ``k`` out of its range, or another number of labels than of examples.

        >>> from dlcore.data import ArrayDataset
        >>> [(len(train), len(test)) for train, test in k_fold(ArrayDataset(list(range(10))), 3)]
        [(6, 4), (7, 3), (7, 3)]
    """
    n = len(dataset)
    if not 2 <= k <= n:
        raise ValueError(f"k_fold: k must be at least 2 and at most the number of examples, {n}; got {k}")
    folds = _dealt("k_fold", n, [n // k + (fold < n % k) for fold in range(k)], seed, stratify)
    others = ([i for other in folds if other is not fold for i in other] for fold in folds)
    return [(Subset(dataset, rest), Subset(dataset, fold)) for rest, fold in zip(others, folds, strict=True)]


def _counts(n: int, sizes: Sequence[float]) -> list[int]:
    """The sizes as whole numbers that add up to ``n``."""
    given = list(sizes)
    if given and min(given) >= 0 and all(hasattr(size, "__index__") for size in given) and sum(given) == n:
        return [int(size) for size in given]
    if not given or min(given) < 0 or not math.isclose(sum(given), 1.0):
        raise ValueError(f"split: sizes must be whole numbers that add up to {n}, the number of examples, or "
                         f"fractions that add up to 1; got {given}, which add up to {sum(given)}")
    ends = [0, *(round(n * share) for share in accumulate(given[:-1])), n]
    return [end - begin for begin, end in pairwise(ends)]


def _dealt(name: str, n: int, counts: list[int], seed: int, stratify: Any) -> list[list[int]]:
    """The numbers below ``n`` in parts of these sizes, in random order."""
    order = Generator(seed).permutation(n, backend="cpu").tolist()
    labels = [0] * n if stratify is None else _labels(stratify)
    if len(labels) != n:
        raise ValueError(f"{name}: stratify has {len(labels)} labels for {n} examples")
    members: dict[Any, list[int]] = {label: [] for label in labels}
    for place in order:
        members[labels[place]].append(place)
    shares = _rounded([[len(group) * count for count in counts] for group in members.values()], n)
    part_of: dict[int, int] = {}
    for group, row in zip(members.values(), shares, strict=True):
        parts = [part for part, share in enumerate(row) for _ in range(share)]
        part_of.update(zip(group, parts, strict=True))
    dealt: list[list[int]] = [[] for _ in counts]
    for place in order:
        dealt[part_of[place]].append(place)
    return dealt


def _labels(stratify: Any) -> list[Any]:
    listed = stratify.tolist() if type(stratify) is Tensor or host.is_array(stratify) else list(stratify)
    return [tuple(label) if isinstance(label, list) else label for label in listed]


def _rounded(table: list[list[int]], unit: int) -> list[list[int]]:
    """The table in units, each entry rounded down or up so that the sums of rows and columns stay.

    Those sums are multiples of ``unit``, so where an entry is none, another one in its row is none, and
    another one in that one's column, and so on: some of them make a cycle.  To add to them and to take from
    them in turn keeps all sums, and is done until one of them is whole.

    Source: Cox (1987), "A constructive procedure for unbiased controlled rounding", without its chance.
    """
    table = [list(row) for row in table]
    for i, row in enumerate(table):
        while any(x % unit for x in row):
            cycle = _cycle(table, unit, i)
            up, down = cycle[::2], cycle[1::2]
            step = min([unit - table[r][c] % unit for r, c in up] + [table[r][c] % unit for r, c in down])
            for r, c in up:
                table[r][c] += step
            for r, c in down:
                table[r][c] -= step
    return [[x // unit for x in row] for row in table]


def _cycle(table: list[list[int]], unit: int, row: int) -> list[tuple[int, int]]:
    """Entries that are no multiples of ``unit``, by turns in one row and in one column with the next.

    Rows and columns are the places of a walk, and entries lead from one to the other.
    """
    walk: list[tuple[str, int]] = [("row", row)]
    entries: list[tuple[int, int]] = []
    while True:
        kind, at = walk[-1]
        line = ([(at, c) for c in range(len(table[0]))] if kind == "row" else
                [(r, at) for r in range(len(table))])
        entries.append(next((r, c) for r, c in line if table[r][c] % unit and (r, c) not in entries[-1:]))
        place = ("column", entries[-1][1]) if kind == "row" else ("row", entries[-1][0])
        if place in walk:
            return entries[walk.index(place):]
        walk.append(place)
