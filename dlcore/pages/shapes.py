"""Which shapes an operation takes and gives: its samples, and what becomes of their letters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dlcore.samples import Sample
from dlcore.testing.calls import called, letters, outputs

SIZES = (23, 37, 53, 67, 89)
"""Of the letters of a sample, so far apart that a size of a result tells which it was made of."""

SMALL = 9  # no larger number is added to a letter, and a size up to this is no letter's
FEW = 4  # so many results are told one by one


def shapes(subject: Any) -> str:
    """The samples of a declaration, each as ``m k, k n → m n``; those of complex numbers are like the others.

        >>> from dlcore.testing.calls import subjects
        >>> shapes(subjects()["outer()"])
        'a, b → a b'
    """
    samples = [s for s in subject.samples if not any(spec[:1] == "~" for spec in s.shapes)] or subject.samples
    return "; ".join(dict.fromkeys(f"{_given(s)} → {_found(subject, s)}" for s in samples))


def _given(sample: Sample) -> str:
    named = (*("",) * (len(sample.shapes) - len(sample.names)), *sample.names)
    return ", ".join(f"{name}: {spec}" if name else spec or "()"
                     for name, spec in zip(named, sample.shapes, strict=True))


def _found(subject: Any, sample: Sample) -> str:
    if getattr(subject, "shape", subject) is None:
        return "as many as the values say"
    sizes = dict(zip(letters(sample), SIZES, strict=False))
    call = called(subject, sample, sizes, seed=0)
    found = [" ".join(_written(n, sizes) for n in y.shape) or "()" for y in outputs(call(*call.tensors()))]
    return ", ".join(found if len(found) <= FEW else [found[0], "...", found[-1]])


def _written(size: int, sizes: Mapping[str, int]) -> str:
    """A size of the result in terms of the letters."""
    terms = _terms(sizes) if size > SMALL else ()
    return next((text for text, value in terms if value == size), str(size))


def _terms(sizes: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """What a size may be: a letter, or one that was added to, multiplied, or joined with another."""
    yield from sizes.items()
    for letter, n in sizes.items():
        for k in range(1, SMALL + 1):
            yield from ((f"{letter}+{k}", n + k), (f"{k}{letter}", n * k))
    for a, m in sizes.items():
        for b, n in sizes.items():
            yield from ((f"{a}{b}", m * n), (f"{a}+{b}", m + n))
            yield from ((f"{a}+{b}+{k}", m + n + k) for k in range(1, SMALL + 1))
