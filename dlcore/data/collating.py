"""From examples to a batch: the same parts of all of them side by side, then on the selected backend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import backends
from backends import Backend, host
from dlcore import ops, trees
from dlcore.tensors import Tensor


def collate(examples: Sequence[Any]) -> Any:
    """The examples as one: each of their parts stacked along a new first axis.

    Args:
        examples: tuples or dicts of parts, all alike; anything else is an example of one part.  A part is
            a number, an array, a tensor or nested lists of numbers.

    Returns:
        A tuple or dict of NumPy arrays, and of tensors where there were some.

    Raises:
        ValueError: no examples, or parts of unequal shapes.

        >>> inputs, targets = collate([([1.0, 2.0], 0), ([3.0, 4.0], 1)])
        >>> inputs.shape, targets.tolist()
        ((2, 2), [0, 1])
    """
    if not examples:
        raise ValueError("collate: there are no examples")
    first = parts_of(examples[0])
    names = list(first) if isinstance(first, dict) else range(len(first))
    columns: dict[Any, list[Any]] = {name: [] for name in names}
    for i, example in enumerate(examples):
        parts = parts_of(example)
        if type(parts) is not type(first) or len(parts) != len(first):
            raise ValueError(f"collate: example {i} of the batch is {_described(parts)}, example 0 is "
                             f"{_described(first)}")
        for name in names:
            columns[name].append(parts[name])
    stacked = {name: _stacked(name, column) for name, column in columns.items()}
    return stacked if isinstance(first, dict) else tuple(stacked.values())


def parts_of(example: Any) -> tuple[Any, ...] | dict[Any, Any]:
    """The parts of an example; what is neither a tuple, a list nor a dict is its only part."""
    if isinstance(example, dict):
        return example
    return tuple(example) if isinstance(example, tuple | list) else (example,)


def chosen(dataset: Any, places: Iterable[Any]) -> Any:
    """The batch of the examples at ``places``: their rows where a dataset has such, else one by one."""
    if (found := rows_of(dataset, places)) is not None:
        return found
    return collate([dataset[int(i)] for i in places])


def rows_of(dataset: Any, places: Any) -> Any:
    """What ``dataset.rows(places)`` gives; None if it has no such method, or it gives None."""
    kind: Any = type(dataset)  # which mypy does not take for hashable
    return dataset.rows(places) if _has_rows(kind) else None


@cache
def _has_rows(kind: type) -> bool:
    """Whether ``rows`` speaks for a class: not if a subclass of what has it defines other examples."""
    first = next((c for c in kind.__mro__ if {"rows", "__getitem__"} & vars(c).keys()), object)
    return "rows" in vars(first)


def moved(batch: Any) -> Any:
    """``batch`` with its arrays and tensors on the selected backend, as tensors; all else stays as it is."""
    xp = backends.current()
    if type(batch) is tuple:  # nearly always; trees are general, and take a few microseconds
        return tuple([_moved(part, xp) for part in batch])
    return _moved(batch, xp)


def _moved(part: Any, xp: Backend) -> Any:
    if host.is_array(part):
        return Tensor(xp.from_host_async(host.array(part)))
    if type(part) is Tensor:
        return part.to(xp.name)
    if isinstance(part, dict | list | tuple):
        return trees.mapped(lambda leaf: _moved(leaf, xp), part)
    return part


def _stacked(name: Any, parts: list[Any]) -> Any:
    try:
        if any(type(part) is Tensor for part in parts):
            return ops.stack([part.detach() if type(part) is Tensor else Tensor(host.array(part))
                              for part in parts])
        return host.array(parts)
    except (ValueError, TypeError) as error:
        error.add_note(f"collate: this is part {name!r} of the examples; DataLoader(collate=...) can pad or "
                       "leave out what does not stack")
        raise


def _described(parts: Any) -> str:
    return f"a {'dict' if isinstance(parts, dict) else 'tuple'} of {len(parts)} parts"
