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

    def tensors(self) -> tuple[Tensor, ...]:
        """All examples, a tensor for each array, on the selected backend.

            >>> inputs, targets = ArrayDataset([[1.0], [2.0]], [0, 1]).tensors()
            >>> inputs.shape, targets.tolist()
            ((2, 1), [0, 1])
        """
        return self.batch(slice(None))


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


def _taken(array: Any, places: Any) -> Tensor:
    """The rows of an array or tensor at ``places``, as a tensor on the selected backend."""
    if type(array) is not Tensor:
        return tensor(array[places])
    return array.detach()[places].to(backends.current().name)
