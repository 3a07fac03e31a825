"""Nested dicts, lists and tuples of values: taken apart into leaves and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import Any

Rebuild = Callable[[Iterable[Any]], Any]


def leaves(tree: Any) -> list[Any]:
    """What ``tree`` holds, in order; None holds nothing.

        >>> leaves({"w": [1, 2], "b": (3, None)})
        [1, 2, 3]
    """
    found: list[Any] = []
    _collect(tree, found)
    return found


def _collect(tree: Any, found: list[Any]) -> None:
    if isinstance(tree, dict):
        for child in tree.values():
            _collect(child, found)
    elif isinstance(tree, list | tuple):
        for child in tree:
            _collect(child, found)
    elif tree is not None:
        found.append(tree)


def rebuilt(tree: Any, replacements: Iterable[Any]) -> Any:
    """A tree like ``tree`` with other leaves, in the same order.

        >>> rebuilt({"w": [1, 2], "b": (3, None)}, "xyz")
        {'w': ['x', 'y'], 'b': ('z', None)}
    """
    return _filled(tree, iter(replacements))


def _filled(tree: Any, remaining: Iterator[Any]) -> Any:
    if isinstance(tree, dict):
        filled = {key: _filled(child, remaining) for key, child in tree.items()}
        if type(tree) is dict:
            return filled
        again = copy(tree)  # an OrderedDict, a defaultdict with its factory
        again.update(filled)
        return again
    if isinstance(tree, tuple) and hasattr(tree, "_make"):  # a named tuple
        return tree._make(_filled(child, remaining) for child in tree)
    if isinstance(tree, list | tuple):
        return type(tree)(_filled(child, remaining) for child in tree)
    return None if tree is None else next(remaining)


def leaves_as(tree: Any, other: Any) -> list[Any]:
    """The leaves of ``other`` in the order in which ``tree``, of the same structure, holds its own.

        >>> leaves_as({"w": 1, "b": 2}, {"b": "bias", "w": "weight"})
        ['weight', 'bias']

    Raises:
        ValueError: the structure is another.
    """
    if not same_structure(tree, other):
        raise ValueError("trees are nested in different ways")
    found: list[Any] = []
    _collect_as(tree, other, found)
    return found


def _collect_as(tree: Any, other: Any, found: list[Any]) -> None:
    if isinstance(tree, dict):
        for key, child in tree.items():
            _collect_as(child, other[key], found)
    elif isinstance(tree, list | tuple):
        for child, match in zip(tree, other, strict=True):
            _collect_as(child, match, found)
    elif tree is not None:
        found.append(other)


def mapped(f: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """``f`` applied to every leaf of ``tree``, and to the leaves of trees like it."""
    columns = [leaves(tree), *(leaves_as(tree, other) for other in others)]
    return rebuilt(tree, [f(*each) for each in zip(*columns, strict=True)])


def same_structure(a: Any, b: Any) -> bool:
    """Whether two trees differ in their leaves only."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same_structure(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(same_structure, a, b))
    return (a is None) == (b is None) and not isinstance(b, dict | list | tuple)
