"""Hypothesis strategies for shapes, arrays, tensors, and calls of whatever is declared.

Hypothesis draws sizes and a seed; the numbers come from the seed, because drawing them one by one
takes a hundred times as long and a shorter list of odd floats explains nothing.

Import this module by its name: ``import dlcore`` leaves it out, because it needs Hypothesis.
"""

from __future__ import annotations

from typing import Any

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("dlcore.testing.strategies needs Hypothesis: pip install 'dlcore[test]'") from error

from dlcore.samples import Domain, Sample
from dlcore.testing.calls import called, letters, numbers

__all__ = ["SEEDS", "SIZES", "arrays", "calls"]

Strategy = Any  # of Hypothesis, where it is installed

SEEDS: Strategy = st.integers(0, 2**32 - 1)
"""Where numbers are drawn from a seed."""

SIZES: Strategy = st.integers(1, 3)
"""The sizes of axes: 3 tells a matrix from its transpose, and 1 is what broadcasts."""


def arrays(shape: tuple[int, ...], domain: Domain) -> Strategy:
    """A float64 array of the domain."""
    return SEEDS.map(lambda seed: numbers(shape, domain, seed))


def calls(subject: Any, sizes: Strategy = SIZES) -> Strategy:
    """A valid :class:`~dlcore.testing.calls.Call` of a primitive or an operation.

    Args:
        subject: what is called, by one of the samples that it declares.
        sizes: what the sizes that a sample leaves open are drawn from.
    """
    def of(sample: Sample) -> Strategy:
        given = {letter: sizes.map(lambda n, least=least: max(n, least))
                 for letter, least in letters(sample).items()}
        return st.builds(called, st.just(subject), st.just(sample), st.fixed_dictionaries(given), SEEDS)

    return st.sampled_from(list(subject.samples)).flatmap(of)
