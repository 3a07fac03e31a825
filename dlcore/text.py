"""Values as short text, and tables: what drawings and listings are made of."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import east_asian_width

from dlcore.tensors import Tensor

FEW = 4  # elements that are all shown


def number(x: complex) -> str:
    """``x`` with at most four significant digits."""
    return f"{x:.4g}" if isinstance(x, float | complex) else str(x)


def short(value: Tensor | None, missing: str = "") -> str:
    """``value`` in a few characters: all of its elements if they are few, else their range.

        >>> import dlcore as dl
        >>> short(dl.tensor([0.123456, 2.0])), short(dl.arange(100))
        ('[0.1235, 2]', '0 … 99')
    """
    if value is None:
        return missing
    if value.size == 1:
        return number(value.item())
    if value.size <= FEW:
        return nested(value.tolist())
    flat = value.numpy().ravel().tolist()
    if isinstance(flat[0], complex):
        return f"{number(flat[0])} …"
    low, high = number(min(flat)), number(max(flat))
    return f"all {low}" if low == high else f"{low} … {high}"


def nested(numbers: object) -> str:
    """Lists of numbers, each shortened."""
    if isinstance(numbers, list):
        return f"[{', '.join(map(nested, numbers))}]"
    return number(numbers)  # type: ignore[arg-type]  # what is no list is a number


def cells(text: str) -> int:
    """How many columns of a terminal ``text`` fills; a Chinese character fills two."""
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


def clipped(text: str, limit: int) -> str:
    """``text`` cut to ``limit`` columns, with a sign where something is missing."""
    if cells(text) <= limit:
        return text
    while cells(text) > limit - 1:
        text = text[:-1]
    return text + "…"


def table(rows: Sequence[Sequence[str]]) -> str:
    """``rows``, of which the first is the heading, as aligned columns under a rule.

        >>> print(table([["name", "value"], ["w", "0.5"]]))
        name  value
        ----  -----
        w     0.5
    """
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    ruled = [rows[0], ["-" * width for width in widths], *rows[1:]]
    lines = ("  ".join(text + " " * (w - cells(text)) for text, w in zip(row, widths, strict=True))
             for row in ruled)
    return "\n".join(line.rstrip() for line in lines)
