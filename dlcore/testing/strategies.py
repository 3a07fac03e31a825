"""Hypothesis strategies for shapes, arrays, tensors, and calls of whatever is declared.

Hypothesis draws sizes and a seed; the numbers come from the seed, because drawing them one by one
takes a hundred times as long and a shorter list of odd floats explains nothing.

Import this module by its name: ``import dlcore`` leaves it out, because it needs Hypothesis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("dlcore.testing.strategies needs Hypothesis: pip install 'dlcore[test]'") from error

from backends import as_dtype, host
from dlcore.samples import REAL, Domain, Sample, sample
from dlcore.tensors import tensor
from dlcore.testing.calls import called, complex_numbers, declared, letters, numbers

__all__ = ["SEEDS", "SIZES", "arrays", "broadcastable", "calls", "shapes", "tensors"]

Strategy = Any  # of Hypothesis, where it is installed

SEEDS: Strategy = st.integers(0, 2**32 - 1)
"""Where numbers are drawn from a seed."""

SIZES: Strategy = st.integers(1, 3)
"""The sizes of axes: 3 tells a matrix from its transpose, and 1 is what broadcasts."""


def shapes(min_axes: int = 0, max_axes: int = 3, sizes: Strategy = SIZES) -> Strategy:
    """A shape, a tuple of ``sizes``."""
    return st.lists(sizes, min_size=min_axes, max_size=max_axes).map(tuple)


def broadcastable(count: int = 2, max_axes: int = 3, sizes: Strategy = SIZES) -> Strategy:
    """A tuple of ``count`` shapes that broadcast together: axes of size 1, and missing ones in front."""
    def less(shape: tuple[int, ...]) -> Strategy:
        ones = st.lists(st.booleans(), min_size=len(shape), max_size=len(shape))
        return st.builds(lambda one, missing: tuple(
            1 if repeated else n for repeated, n in zip(one, shape, strict=True))[missing:],
            ones, st.integers(0, len(shape)))

    return shapes(0, max_axes, sizes).flatmap(lambda shape: st.tuples(*[less(shape)] * count))


def arrays(shape: int | Sequence[int] | Strategy = (), domain: Domain = REAL,
           dtype: Any = "float64") -> Strategy:
    """A NumPy array whose numbers lie in ``domain``, and not near the kinks that it avoids.

    Args:
        shape: of the array, or a strategy for it.
        domain: where to draw; of complex numbers both parts.
        dtype: float or complex.

    Raises:
        ValueError: of another kind of dtype.
    """
    kind = as_dtype(dtype)
    if kind.kind not in ("float", "complex"):
        raise ValueError(f"arrays: dtype must be float or complex, got {kind}")
    draw = complex_numbers if kind.kind == "complex" else numbers
    shape = (shape,) if isinstance(shape, int) else shape
    of = shape if isinstance(shape, st.SearchStrategy) else st.just(tuple(shape))
    return st.builds(lambda s, seed: host.array(draw(tuple(s), domain, seed), dtype), of, SEEDS)


def tensors(spec: str, domain: Domain | Sequence[Domain] = REAL, dtype: Any = "float64",
            sizes: Strategy = SIZES, **how: Any) -> Strategy:
    """A tensor, or a tuple of several whose letters agree, on the backend selected when it is drawn.

    Args:
        spec: shapes as :func:`dlcore.samples.sample` has them, with a letter for each open size:
            ``"n k"`` is a matrix, ``"n k, k m"`` two that can be multiplied; ``~`` marks complex numbers,
            ``?`` booleans, ``#n`` integers below n.
        domain: where to draw the numbers, one for all or one for each.
        dtype: of float tensors; complex ones have the complex dtype of that precision.
        sizes: of the axes.
        how: what else :func:`dlcore.tensor` takes for float tensors, as ``requires_grad=True``.
    """
    def made(call: Any) -> Any:
        several = call.tensors(dtype, **how)
        return several[0] if len(several) == 1 else tuple(several)

    return _calls(tensor, sample(spec, domain), sizes).map(made)


def calls(subject: Any, sizes: Strategy = SIZES) -> Strategy:
    """A valid :class:`~dlcore.testing.calls.Call` of a primitive or an operation.

    Args:
        subject: what is called, by one of the samples that it declares: a primitive, an operation, a public
            function of dlcore that is one or stands before one, or its name.
        sizes: what the sizes that a sample leaves open are drawn from.
    """
    called_one = declared("calls", subject)
    return st.sampled_from(list(called_one.samples)).flatmap(
        lambda chosen: _calls(called_one, chosen, sizes))


def _calls(subject: Any, chosen: Sample, sizes: Strategy) -> Strategy:
    given = {letter: sizes.map(lambda n, least=least: max(n, least))
             for letter, least in letters(chosen).items()}
    return st.builds(called, st.just(subject), st.just(chosen), st.fixed_dictionaries(given), SEEDS)
