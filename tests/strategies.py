"""Hypothesis strategies that turn the samples of an operation into calls of it.

Hypothesis draws which sample, the sizes and a seed; the numbers come from the seed, because drawing
them one by one takes a hundred times as long and a shorter list of odd floats explains nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

import dlcore as dl
from backends.dtypes import as_dtype, complex64, promote
from dlcore.core import OPERATIONS, PRIMITIVES
from dlcore.samples import Domain, Sample

MARGIN = 0.1  # how far drawn numbers stay from the places a domain avoids
SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 3)
SIZES_AND_NONE = st.integers(0, 2)

SUBJECTS = {
    **{f"{name}": p for name, p in PRIMITIVES.items()},
    **{f"{name}()": o for name, o in OPERATIONS.items()},
}
"""Everything that is declared: primitives by name, compositions with parentheses."""


def fewer(divisor: int) -> settings:
    """The profile's settings with fewer examples, for laws that are dear."""
    return settings(max_examples=max(1, settings().max_examples // divisor))


class Call(NamedTuple):
    """One valid call of an operation, with its arguments as NumPy arrays."""

    subject: Any
    args: list[np.ndarray]
    floats: list[int]
    params: dict[str, Any]

    def tensors(self, dtype: str | None = None, **how: Any) -> list[dl.Tensor]:
        """The arguments on the selected backend, floats in another dtype if one is given."""
        def beside(a):
            complex_too = dtype is not None and a.dtype.kind == "c"
            return promote(as_dtype(dtype), complex64) if complex_too else dtype

        return [dl.tensor(a, beside(a), **how) if i in self.floats else dl.tensor(a)
                for i, a in enumerate(self.args)]

    def __call__(self, *args: Any) -> Any:
        """The result on these arguments."""
        return self.subject(*args, **self.params)

    def of_floats(self, args: list[dl.Tensor]) -> Any:
        """The operation as a function of its float arguments only."""
        def f(*values: Any) -> Any:
            full = list(args)
            for position, value in zip(self.floats, values, strict=True):
                full[position] = value
            return self(*full)

        return f


def numbers(
    shape: tuple[int, ...], domain: Domain, seed: int | np.random.Generator = 0, offset: float = 0.0
) -> np.ndarray:
    """Floats of the domain, more than MARGIN away from where the operation has no derivative."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    if domain.distinct:  # at least 2 * MARGIN apart
        return ((rng.permutation(size) - size / 2) * 2 * MARGIN + offset).reshape(shape)
    found = rng.uniform(domain.low, domain.high, size)
    for _ in range(100):
        bad = np.any([np.abs(found - a) <= MARGIN for a in domain.avoid], axis=0) & np.ones(size, bool)
        if not bad.any():
            return found.reshape(shape)
        found[bad] = rng.uniform(domain.low, domain.high, int(bad.sum()))
    raise ValueError(f"no number of {domain} stays {MARGIN} away from {domain.avoid}")


def arrays(shape: tuple[int, ...], domain: Domain) -> st.SearchStrategy[np.ndarray]:
    """A float64 array of the domain."""
    return SEEDS.map(lambda seed: numbers(shape, domain, seed))


def letters(sample: Sample) -> dict[str, int]:
    """The sizes that a sample leaves open, each with the least it can be: 1 if something indexes below it."""
    least: dict[str, int] = {}
    for kind, sizes, _ in sample.arguments():
        for letter in (*sizes, *([kind[1:]] if kind[:1] == "#" else [])):
            if not letter.isdigit():
                least[letter] = max(least.get(letter, 0), int(letter == kind[1:]))
    return least


def called(subject: Any, sample: Sample, sizes: dict[str, int], seed: int) -> Call:
    """The call that a sample, the sizes it leaves open and a seed amount to."""
    rng = np.random.default_rng(seed)
    size_of = {**sizes, **{str(n): n for n in range(10)}}
    args, floats = [], []
    for i, (kind, axes, domain) in enumerate(sample.arguments()):
        shape = tuple(size_of[axis] for axis in axes)
        if kind == "?":
            args.append(np.asarray(rng.random(shape) < 0.5))
        elif kind[:1] == "#":
            args.append(np.asarray(rng.integers(0, size_of[kind[1:]], shape)))
        else:
            found = numbers(shape, domain, rng, offset=0.07 * i)  # so that no two arguments tie
            if kind == "~":
                found = np.asarray(found + 1j * numbers(shape, domain, rng, offset=0.07 * i))
            args.append(found)
            floats.append(i)
    params = {k: v(sizes) if callable(v) else v for k, v in sample.params.items()}
    return Call(subject, args, floats, params)


def outputs(result: Any) -> list[Any]:
    """What an operation returns, as a list: of one tensor, unless it returns several."""
    return list(result) if isinstance(result, tuple) else [result]


@st.composite
def calls(draw: Any, subject: Any, sizes: st.SearchStrategy[int] = SIZES) -> Call:
    """A valid call of a primitive or an operation."""
    chosen = draw(st.sampled_from(list(subject.samples)))
    given = {letter: max(draw(sizes), least) for letter, least in letters(chosen).items()}
    return called(subject, chosen, given, draw(SEEDS))
