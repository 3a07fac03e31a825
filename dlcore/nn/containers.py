"""Several modules in a row, as a list or as one module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from dlcore.nn.modules import Module

__all__ = ["ModuleList", "Sequential"]


class ModuleList(Module):
    """Modules in a list, numbered in names; a plain Python list as an attribute does the same."""

    def __init__(self, modules: Iterable[Any] = ()) -> None:
        self.layers: list[Any] = []
        for layer in modules:
            self.append(layer)

    def append(self, layer: Any) -> Self:
        """Add a module at the end; returns the list."""
        if not callable(layer):
            raise TypeError(f"{type(self).__name__}: layer {len(self.layers)} is a "
                            f"{type(layer).__name__}, not a module or a function")
        self.layers.append(layer)
        return self

    def parts(self) -> Iterator[tuple[str, Any]]:
        """The layers by their numbers, and what else is set."""
        for name, part in super().parts():
            if name == "layers":
                yield from ((str(i), layer) for i, layer in enumerate(part))
            else:
                yield name, part

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.layers)

    def __getitem__(self, index: int) -> Any:
        return self.layers[index]


class Sequential(ModuleList):
    """Modules, or functions of one tensor, applied one after the other.

        >>> import dlcore as dl
        >>> Sequential(dl.square, dl.sum)(dl.tensor([3.0, 4.0])).item()
        25.0
    """

    def __init__(self, *layers: Any) -> None:
        super().__init__(layers)

    def forward(self, x: Any) -> Any:
        """What the last layer makes of what the one before it makes, and so on."""
        for layer in self.layers:
            x = layer(x)
        return x
