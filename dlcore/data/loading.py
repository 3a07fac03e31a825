"""Batches of a dataset, in an order that depends on the seed and the number of the epoch alone.

So a loader can be put back to any place of any epoch, and batches are the same on every backend and for
any number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from threading import Event
from typing import Any

from backends import host, use_backend
from dlcore.data.collating import collate as stacked
from dlcore.data.collating import moved, rows_of
from dlcore.data.datasets import ArrayDataset, Dataset, Examples, Subset
from dlcore.data.working import Stopped, in_order
from dlcore.random import Generator, drawing_from


class DataLoader:
    """Batches of a dataset: iterating over it goes through one epoch.

    Examples are made on the CPU, put together there, and moved to the selected backend as a batch; the
    rows of an :class:`ArrayDataset` of tensors never leave their backend.

    Args:
        dataset: an :class:`ArrayDataset`, or anything with a length that gives an example for an index.
        batch_size: how many examples a batch has; the last one may have fewer.
        shuffle: another order in every epoch.
        seed: of the orders, and of what a dataset draws from :mod:`dlcore.random` for an example: seed,
            epoch and place in it decide on that.
        drop_last: leave out a last batch that is not full.
        replacement: draw every example anew from all of them, so that some come twice and some not.
        weights: how likely each example is to be drawn, up to a factor; with ``replacement`` only.
        workers: how many threads make batches.  They help where a dataset reads files, or computes in
            NumPy, which other threads do not wait for; with 0 the caller's thread does all of it.
        prefetch: how many batches are begun before they are asked for, and moved to the backend when
            they are ready; twice the workers if None.
        collate: makes a batch of a list of examples, instead of :func:`dlcore.data.collate`; the arrays and
            tensors in what it returns are moved to the backend.

    Raises:
        ValueError: a batch size below 1, a seed out of its range, negative workers or prefetch, workers
            without prefetch, or weights that do not fit.
        TypeError: a dataset without a length or without indices.

    What fails in the dataset is raised where its batch would come, with a note that names the example.

        >>> loader = DataLoader(ArrayDataset([0, 1, 2, 3, 4]), batch_size=2)
        >>> [x.tolist() for x, in loader]
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, dataset: Dataset, batch_size: int, shuffle: bool = False, seed: int = 0,
                 drop_last: bool = False, replacement: bool = False, *, weights: Any = None, workers: int = 0,
                 prefetch: int | None = None, collate: Callable[[list[Any]], Any] | None = None) -> None:
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise TypeError(f"DataLoader: a {type(dataset).__name__} is no dataset, which has a length and "
                            "gives an example for an index; make a list of what an iterator gives")
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size must be at least 1, got {batch_size}")
        if not 0 <= seed < 2**64:
            raise ValueError(f"DataLoader: seed must be a whole number from 0 to 2**64 - 1, got {seed}")
        ahead = 2 * workers if prefetch is None else prefetch
        if workers < 0 or ahead < 0 or (workers and not ahead):
            raise ValueError("DataLoader: workers and prefetch must not be negative, and workers need a "
                             f"prefetch of at least 1; got workers={workers} and prefetch={prefetch}")
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.shuffle, self.seed, self.replacement = shuffle, seed, replacement
        self.workers, self.prefetch, self.collate = workers, ahead, collate
        self._bounds = None if weights is None else _bounds(weights, len(dataset), replacement)
        self._plain = collate is None and _is_plain(dataset)
        self._epoch, self._position, self._midway = 0, 0, False

    def __len__(self) -> int:
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        """The batches of the next epoch; those that are left of one after :meth:`load_state_dict`.

        An epoch that was broken off counts as one.
        """
        if self._position and not self._midway:
            self._epoch, self._position = self._epoch + 1, 0
        epoch, order, self._midway = self._epoch, self._order(self._epoch), False
        begin, end = self._position, len(self)
        made = partial(self._made, epoch, order)
        with closing(in_order(made, range(begin, end), self.workers, self.prefetch, moved)) as batches:
            for position, batch in enumerate(batches, begin + 1):
                self._epoch, self._position = epoch, position
                yield batch
        self._epoch, self._position = epoch + 1, 0

    def _order(self, epoch: int) -> Any:
        """The places of the dataset in the order of an epoch, a host array; None for their own."""
        n = len(self.dataset)
        stream = Generator(self.seed ^ _ORDERS)
        stream.state = (self.seed ^ _ORDERS, epoch * n)  # an epoch takes n words of it
        if self._bounds is not None:
            drawn = stream.uniform(n, dtype="float64", backend="cpu").numpy()
            return self._bounds.searchsorted(drawn, side="right")
        if self.replacement and n:
            return stream.integers(0, n, n, backend="cpu").numpy()
        return stream.permutation(n, backend="cpu").numpy() if self.shuffle else None

    def _made(self, epoch: int, order: Any, position: int, stopped: Event) -> Any:
        """The batch at ``position``, still where its examples are."""
        places = slice(position * self.batch_size, (position + 1) * self.batch_size)
        indices = places if order is None else order[places]
        if self._plain:
            return rows_of(self.dataset, indices)
        n, key, examples = len(self.dataset), self.seed ^ _EXAMPLES, []
        with use_backend("cpu"), drawing_from(Generator(key)) as stream:
            stream.state = (key, (epoch * n + places.start) * _WORDS)
            if self.collate is None and (found := rows_of(self.dataset, indices)) is not None:
                return found
            for place in range(*places.indices(n)):
                if stopped.is_set():
                    raise Stopped
                index = place if order is None else int(order[place])
                stream.state = (key, (epoch * n + place) * _WORDS)
                try:
                    examples.append(self.dataset[index])
                except Exception as error:
                    error.add_note(f"DataLoader: this is example {index} of the dataset, in batch {position} "
                                   f"of epoch {epoch}")
                    raise
            return (self.collate or stacked)(examples)

    def state_dict(self) -> dict[str, int]:
        """Which epoch comes next, or is under way, and how many of its batches have come."""
        return {"epoch": self._epoch, "position": self._position, **self._of()}

    def _of(self) -> dict[str, int]:
        """What the batches of a seed depend on besides."""
        return {"examples": len(self.dataset), "batch_size": self.batch_size, "seed": self.seed,
                "shuffle": self.shuffle, "replacement": self.replacement}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from where :meth:`state_dict` was taken, with the same data and seed.

        Raises:
            ValueError: this is no such state; or it is from the middle of an epoch of a loader with another
                number of examples, batch size, seed or way of drawing, so that this one cannot go on.
        """
        if not {"epoch", "position"} <= state.keys():
            raise ValueError("DataLoader: this is no state of a loader; it comes from state_dict()")
        epoch, position = state["epoch"], state["position"]
        if epoch < 0 or not 0 <= position <= len(self):
            raise ValueError(f"DataLoader: there is no batch {position} of {len(self)} in epoch {epoch}")
        at_end = position == len(self) > 0
        if position and not at_end:
            for name, here in self._of().items():
                if (there := state.get(name, here)) != here:
                    raise ValueError(f"DataLoader: the state is from the middle of an epoch with {name}="
                                     f"{there}, this loader has {name}={here}; make it with the same, or "
                                     "begin an epoch without the state")
        self._epoch, self._position, self._midway = epoch + at_end, 0 if at_end else position, True


_ORDERS, _EXAMPLES = 0x9E37_79B9_7F4A_7C15, 0xBF58_476D_1CE4_E5B9
"""Mixed into the seed, so that a loader draws other words than a generator of the same seed."""

_WORDS = 2**40
"""How many words of its stream each example has for itself."""


def _is_plain(dataset: Any) -> bool:
    """Whether these are rows of arrays, of which nothing fails or draws."""
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return type(dataset) in (ArrayDataset, Examples)


def _bounds(weights: Any, n: int, replacement: bool) -> Any:
    """Where in [0, 1) the share of each example ends."""
    given = host.array(weights if host.is_array(weights) else list(weights), "float64")
    if not replacement:
        raise ValueError("DataLoader: weights say how likely examples are drawn; they need replacement=True")
    if given.shape != (n,) or not n or (given < 0).any() or not 0 < given.sum() < math.inf:
        raise ValueError(f"DataLoader: weights must be {n} numbers that are not negative and not all 0, got "
                         f"{given.shape} from {given.min(initial=math.inf)} on")
    ends = given.cumsum()
    return ends[:-1] / ends[-1]  # a draw beyond the last of them is the last example
