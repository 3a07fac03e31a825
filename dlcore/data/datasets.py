"""Datasets: a number of examples, each of which can be had by its index."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from operator import index as whole
from typing import Any, Protocol

from backends import host
from dlcore.data.collating import chosen, moved, parts_of, rows_of
from dlcore.tensors import Tensor


class Dataset(Protocol):
    """A number of examples, each a tuple of numbers, arrays or tensors, or a dict of them.

    Whatever has these two methods is a dataset.  One that can find many examples at once, such as in a
    file, may have a third, ``rows(places)``: the parts of the examples at ``places``, a slice or an int64
    NumPy array, each as one array; a loader then asks for a batch instead of for its examples.
    """

    def __len__(self) -> int:
        """How many examples there are."""

    def __getitem__(self, index: int) -> Any:
        """The example at ``index``."""


class _Common:
    """What the datasets of this file can do besides."""

    def __len__(self) -> int:
        raise NotImplementedError  # every dataset says how many it has

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError  # and which they are

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def map(self, function: Callable[..., Any]) -> MappedDataset:
        """The dataset whose examples are ``function`` of these: ``function(inputs, targets)`` of a pair.

            >>> pairs = ArrayDataset([1, 2], [10, 20]).map(lambda x, y: (x + 1, y))
            >>> [int(part) for part in pairs[1]]
            [3, 20]
        """
        return MappedDataset(self, function)

    def tensors(self) -> Any:
        """All examples as one batch: a tensor for each part, on the selected backend.

            >>> inputs, targets = ArrayDataset([[1.0], [2.0]], [0, 1]).tensors()
            >>> inputs.shape, targets.tolist()
            ((2, 1), [0, 1])
        """
        return moved(chosen(self, host.array(range(len(self)), "int64")))


class ArrayDataset(_Common):
    """Examples that lie in the first axes of arrays of equal length.

    Args:
        arrays: tensors, NumPy arrays or nested lists; kept as they are, on the backend where they
            are, and not to be written to while the dataset is used.

    Raises:
        ValueError: no arrays, a 0-d one, or unequal lengths.

        >>> examples = ArrayDataset([[1.0, 2.0], [3.0, 4.0]], [0, 1])
        >>> len(examples), [part.tolist() for part in examples[1]]
        (2, [[3.0, 4.0], 1])
    """

    def __init__(self, *arrays: Any) -> None:
        self.arrays = tuple(a.detach() if type(a) is Tensor else host.array(a) for a in arrays)
        shapes = [tuple(a.shape) for a in self.arrays]
        if not shapes or () in shapes or len({s[0] for s in shapes}) > 1:
            given = " and ".join(map(str, shapes)) or "nothing"
            raise ValueError(f"ArrayDataset: needs arrays of one length along the first axis, got {given}")

    def __len__(self) -> int:
        return int(self.arrays[0].shape[0])

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return tuple(a[index] for a in self.arrays)

    def rows(self, places: Any) -> tuple[Any, ...]:
        """The rows of each array at ``places``, a slice or integers, where they are."""
        return tuple(a[places] for a in self.arrays)


class Examples(ArrayDataset):
    """Inputs and targets of which is known what they are and where they come from.

    Args:
        inputs: (n, ...): what a model is given.
        targets: (n, ...): what it should answer; None if there are none.
        columns: the names of the columns of a table.
        classes: what the labels 0, 1, … stand for, if the targets are labels.
        source: where the examples come from.
        license: under which terms.

    All arguments are attributes too; ``inputs`` and ``targets`` are NumPy arrays unless tensors were given.

        >>> weather = Examples([[21.0, 0.4], [14.0, 0.9]], [0, 1], ("°C", "humidity"), ("dry", "rain"))
        >>> weather
        Examples: 2 of inputs (2,) float32 and targets () int64; columns °C, humidity; classes dry, rain
        >>> [weather.classes[label] for label in weather.targets]
        ['dry', 'rain']
    """

    def __init__(self, inputs: Any, targets: Any = None, columns: Sequence[str] = (),
                 classes: Sequence[str] = (), source: str = "", license: str = "") -> None:
        super().__init__(inputs, *([] if targets is None else [targets]))
        self.inputs, self.targets = self.arrays[0], None if targets is None else self.arrays[1]
        self.columns, self.classes = tuple(columns), tuple(classes)
        self.source, self.license = source, license

    def __repr__(self) -> str:
        parts = [f"{name} {tuple(a.shape[1:])} {a.dtype}"
                 for name, a in zip(("inputs", "targets"), self.arrays, strict=False)]
        names = [f"; {what} {', '.join(found)}"
                 for what, found in (("columns", self.columns), ("classes", self.classes)) if found]
        return f"Examples: {len(self)} of {' and '.join(parts)}{''.join(names)}"


class Subset(_Common):
    """The examples of a dataset at some places, in that order.

    Args:
        dataset: any dataset; nothing of it is copied.
        indices: whole numbers from 0; some may come twice.

    Raises:
        IndexError: an index that the dataset does not have.
        ValueError: indices in more than one dimension, or that are not whole.

        >>> [x.tolist() for x, in Subset(ArrayDataset([10, 11, 12, 13]), [3, 1])]
        [13, 11]
    """

    def __init__(self, dataset: Dataset, indices: Any) -> None:
        given = indices.numpy() if type(indices) is Tensor else indices
        found = host.array(given if host.is_array(given) else list(given))
        if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
            raise ValueError(f"Subset: indices are whole numbers in one dimension, not {found.dtype}"
                             f"{found.shape}")
        wrong = found[(found < 0) | (found >= len(dataset))]
        if wrong.size:
            raise IndexError(f"Subset: there is no example {wrong[0]} of {len(dataset)}")
        self.dataset, self.indices = dataset, host.array(found, "int64")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def rows(self, places: Any) -> Any:
        """The rows at ``places`` of these, if the dataset has rows; else None."""
        return rows_of(self.dataset, self.indices[places])


class ConcatDataset(_Common):
    """Several datasets one after the other.

    Args:
        datasets: at least one.

    Raises:
        ValueError: there are no datasets.

        >>> both = ConcatDataset([ArrayDataset([1, 2]), ArrayDataset([3])])
        >>> [x.tolist() for x, in both]
        [1, 2, 3]
    """

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.datasets = tuple(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: there are no datasets")
        self.ends = list(accumulate(map(len, self.datasets)))

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, index: int) -> Any:
        place = whole(index) + (len(self) if index < 0 else 0)
        if not 0 <= place < len(self):
            raise IndexError(f"ConcatDataset: there is no example {index} of {len(self)}")
        which = bisect_right(self.ends, place)
        return self.datasets[which][place - (self.ends[which - 1] if which else 0)]


class MappedDataset(_Common):
    """A dataset whose examples go through a function whenever they are asked for.

    Args:
        dataset: any dataset.
        function: is given the parts of an example, or the dict that it is; returns another example.
            What it draws from :mod:`dlcore.random` is the same for any number of a loader's workers.

        >>> doubled = MappedDataset(ArrayDataset([1.0, 2.0]), lambda x: 2 * x)
        >>> doubled[1].tolist()
        4.0
    """

    def __init__(self, dataset: Any, function: Callable[..., Any]) -> None:
        self.dataset, self.function = dataset, function

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        parts = parts_of(self.dataset[index])
        return self.function(parts) if isinstance(parts, dict) else self.function(*parts)
