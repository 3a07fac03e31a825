"""Datasets: a number of examples, each of which can be had by its index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import backends
from backends import host
from dlcore.tensors import Tensor, tensor


class Dataset(Protocol):
    """A number of examples, each a tuple of numbers, arrays or tensors."""

    def __len__(self) -> int:
        """How many examples there are."""

    def __getitem__(self, index: int) -> Sequence[Any]:
        """The example at ``index``."""


class ArrayDataset:
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
        self.arrays = tuple(a if type(a) is Tensor else host.array(a) for a in arrays)
        shapes = [tuple(a.shape) for a in self.arrays]
        if not shapes or () in shapes or len({s[0] for s in shapes}) > 1:
            given = " and ".join(map(str, shapes)) or "nothing"
            raise ValueError(f"ArrayDataset: needs arrays of one length along the first axis, got {given}")

    def __len__(self) -> int:
        return int(self.arrays[0].shape[0])

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return tuple(a[index] for a in self.arrays)

    def batch(self, places: Any) -> tuple[Tensor, ...]:
        """The examples at ``places``, a slice or integers, as tensors on the selected backend."""
        return tuple(_taken(a, places) for a in self.arrays)


def _taken(array: Any, places: Any) -> Tensor:
    """The rows of an array or tensor at ``places``, as a tensor on the selected backend."""
    if type(array) is not Tensor:
        return tensor(array[places])
    return array.detach()[places].to(backends.current().name)
