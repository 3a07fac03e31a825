"""What a workload is."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace


@dataclass(frozen=True)
class Workload:
    """Work that every peer does in the way that is natural to it.

    Args:
        variants: its sizes or kinds, by name.
        data: NumPy arrays and numbers for one variant.  Learning rates are to be multiplied by its
            second argument: with a real rate the batch is soon fitted, gradients turn denormal,
            and those cost ten times as much.  So values are checked at 1, and timed near 0.
        unit: what one figure is about.
        units: how many of them a run does.
    """

    variants: tuple[str, ...]
    data: Callable[[str, float], SimpleNamespace]
    unit: str
    units: int = 1
