"""Batches of a dataset, in an order that depends on the seed and the number of the epoch alone.

So a loader can be put back to any place of any epoch, and batches are the same on every backend.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import backends
from dlcore import ops
from dlcore.data.datasets import ArrayDataset, Dataset
from dlcore.random import Generator
from dlcore.tensors import Tensor, tensor


class DataLoader:
    """Batches of a dataset: iterating over it goes through one epoch.

    Args:
        dataset: an :class:`ArrayDataset`, or anything with a length that gives a tuple for an index.
        batch_size: how many examples a batch has; the last one may have fewer.
        shuffle: another order in every epoch.
        seed: of the orders.
        drop_last: leave out a last batch that is not full.
        replacement: draw every example anew from all of them, so that some come twice and some not.

    Raises:
        ValueError: a batch size below 1, or a seed out of its range.

        >>> loader = DataLoader(ArrayDataset([0, 1, 2, 3, 4]), batch_size=2)
        >>> [x.tolist() for x, in loader]
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, dataset: Dataset, batch_size: int, shuffle: bool = False, seed: int = 0,
                 drop_last: bool = False, replacement: bool = False) -> None:
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size must be at least 1, got {batch_size}")
        if not 0 <= seed < 2**64:
            raise ValueError(f"DataLoader: seed must be a whole number from 0 to 2**64 - 1, got {seed}")
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.shuffle, self.seed, self.replacement = shuffle, seed, replacement
        self._stream = Generator(seed ^ _APART)
        self._stream = Generator(seed ^ _APART)
        self._epoch, self._position, self._midway = 0, 0, False

    def __len__(self) -> int:
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """The batches of the next epoch; those that are left of one after :meth:`load_state_dict`.

        An epoch that was broken off counts as one.
        """
        if self._position and not self._midway:
            self._epoch, self._position = self._epoch + 1, 0
        epoch, order, self._midway = self._epoch, self._order(self._epoch), False
        for position in range(self._position, len(self)):
            places = slice(position * self.batch_size, (position + 1) * self.batch_size)
            batch = self._batch(places if order is None else order[places])
            self._epoch, self._position = epoch, position + 1
            yield batch
        self._epoch, self._position = epoch + 1, 0

    def _order(self, epoch: int) -> Any:
        """The places of the dataset in the order of an epoch, a host array; None for their own."""
        n = len(self.dataset)
        self._stream.state = (self._stream.state[0], epoch * n)  # an epoch takes n words of it
        if self.replacement and n:
            return self._stream.integers(0, n, n, backend="cpu").numpy()
        return self._stream.permutation(n, backend="cpu").numpy() if self.shuffle else None

    def _batch(self, places: Any) -> tuple[Tensor, ...]:
        if isinstance(self.dataset, ArrayDataset):
            return self.dataset.batch(places)
        if isinstance(places, slice):
            places = range(*places.indices(len(self.dataset)))
        columns = zip(*(self.dataset[int(i)] for i in places), strict=True)
        return tuple(_stacked(column) for column in columns)

    def state_dict(self) -> dict[str, int]:
        """Which epoch comes next, or is under way, and how many of its batches have come."""
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from where :meth:`state_dict` was taken, with the same data and seed."""
        if not {"epoch", "position"} <= state.keys():
            raise ValueError("DataLoader: this is no state of a loader; it comes from state_dict()")
        epoch, position = state["epoch"], state["position"]
        if epoch < 0 or not 0 <= position <= len(self):
            raise ValueError(f"DataLoader: there is no batch {position} of {len(self)} in epoch {epoch}")
        at_end = position == len(self) > 0
        self._epoch, self._position, self._midway = epoch + at_end, 0 if at_end else position, True


_APART = 0x9E37_79B9_7F4A_7C15
"""Mixed into the seed, so that a loader draws other words than a generator of the same seed."""


def _stacked(parts: Sequence[Any]) -> Tensor:
    """The same part of several examples as one tensor with a new first axis."""
    if any(type(part) is Tensor for part in parts):
        return ops.stack([part if type(part) is Tensor else tensor(part) for part in parts]).to(
            backends.current().name)
    return tensor(parts)
