"""Valid calls of everything that is declared, with numbers drawn from a seed.

A :class:`~dlcore.samples.Sample` leaves sizes open and says where to draw; here it becomes a call.
Nothing here needs Hypothesis: :mod:`dlcore.testing.strategies` draws samples, sizes and seeds with it.
The arrays are NumPy's, so that one call can be made on every backend.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from backends import as_dtype, host, promote
from dlcore import fft, linalg  # noqa: F401  they declare operations, which count though nobody named them
from dlcore.core import OPERATIONS, PRIMITIVES, Primitive, dtype_of
from dlcore.nn import functional  # noqa: F401  likewise
from dlcore.samples import Domain, Operation, Sample
from dlcore.tensors import Tensor, tensor

Array = Any  # of NumPy

MARGIN = 0.1
"""How far drawn numbers stay from the places that a domain avoids, and half as far as from each other."""

ATTEMPTS = 100
"""How often numbers are drawn anew that fell into a margin; half of a domain lost is made up for in 50."""


def subjects() -> dict[str, Primitive | Operation]:
    """Everything that dlcore declares, and others by now: primitives by name, compositions with parentheses.

        >>> subjects()["tanh"], subjects()["mse_loss()"].name
        (<primitive tanh>, 'mse_loss')
    """
    return {**PRIMITIVES, **{f"{name}()": operation for name, operation in OPERATIONS.items()}}


def declared_name(asked: str, name: str) -> str:
    """The key in :func:`subjects` of what users call ``dl.tanh`` or ``F.mse_loss``.

    Raises:
        ValueError: nothing of that name is declared; ``asked`` is who says so.
    """
    bare = name.removeprefix("dl.").removeprefix("F.")
    for key in (bare, f"{bare}()"):
        if key in subjects():
            return key
    raise ValueError(f"{asked}: no operation {bare.removesuffix('()')!r} is declared; python -m dlcore "
                     "operations lists all")


def declared(asked: str, subject: Any) -> Any:
    """The primitive or operation that is meant by itself, by a name, or by a public function of dlcore."""
    if hasattr(subject, "samples"):
        return subject
    ours = (getattr(subject, "__module__", None) or "").startswith("dlcore.")
    name = getattr(subject, "__name__", None) if ours else subject
    if not isinstance(name, str):
        raise TypeError(f"{asked}: takes a primitive, an operation or its name, got {subject!r}")
    return subjects()[declared_name(asked, name)]


class Call(NamedTuple):
    """One valid call of an operation, with its arguments as NumPy arrays.

    ``floats`` are the positions of those arguments in which it can be differentiated, real or complex.
    """

    subject: Any
    args: list[Array]
    floats: list[int]
    params: dict[str, Any]
    names: tuple[str, ...] = ()  # of the last arguments, if these are passed by name

    def tensors(self, dtype: Any = None, **how: Any) -> list[Tensor]:
        """The arguments on the selected backend.

        Args:
            dtype: of the arguments in ``floats``; what is complex becomes as precise and stays complex.
            how: for the same arguments, what else :func:`dlcore.tensor` takes.
        """
        return [tensor(a, dtype=dtype and _beside(a, dtype), **how) if i in self.floats else tensor(a)
                for i, a in enumerate(self.args)]

    def __call__(self, *args: Any) -> Any:
        """The result on these arguments."""
        if not self.names:
            return self.subject(*args, **self.params)
        first = len(args) - len(self.names)
        return self.subject(*args[:first], **dict(zip(self.names, args[first:], strict=True)), **self.params)

    def of_floats(self, args: Sequence[Any]) -> Callable[..., Any]:
        """The operation as a function of the arguments in ``floats`` only; the others are from ``args``."""
        def f(*values: Any) -> Any:
            full = list(args)
            for position, value in zip(self.floats, values, strict=True):
                full[position] = value
            return self(*full)

        return f

    def between_floats(self, args: Sequence[Any]) -> Callable[..., list[Any]]:
        """The same function with only its float results, real and complex, as a list."""
        f = self.of_floats(args)
        return lambda *xs: [y for y in outputs(f(*xs)) if dtype_of(y).kind in ("float", "complex")]


def _beside(a: Array, dtype: Any) -> Any:
    """``dtype``, or the complex one of its precision if ``a`` is complex."""
    return promote(as_dtype(dtype), as_dtype("complex64")) if a.dtype.kind == "c" else dtype


def numbers(shape: tuple[int, ...], domain: Domain, seed: Any = 0, offset: float = 0.0) -> Array:
    """A float64 array of the domain, more than ``MARGIN`` away from where there is no derivative.

    Args:
        shape: of the array.
        domain: where to draw; its numbers that are to be distinct are 2 ``MARGIN`` apart.
        seed: a whole number, or a generator that :func:`backends.host.generator` has made.
        offset: shifts distinct numbers, so that those of two arrays differ as well.

    Raises:
        ValueError: the margins leave nothing of the domain.
    """
    rng = host.generator(seed)
    size = math.prod(shape)
    if domain.distinct:
        return ((rng.permutation(size) - size / 2) * 2 * MARGIN + offset).reshape(shape)
    found = rng.uniform(domain.low, domain.high, size)
    if domain.matrix and len(shape) > 1:
        found = found.reshape(shape)
        for i in range(min(shape[-2:])):
            found[..., i, i] += 1.5 * (i + 1)
        return found
    for _ in range(ATTEMPTS):
        near = [abs(found - a) <= MARGIN for a in domain.avoid]
        if not any(there.any() for there in near):
            return found.reshape(shape)
        bad = sum(near) > 0
        found[bad] = rng.uniform(domain.low, domain.high, int(bad.sum()))
    raise ValueError(f"no number of {domain} stays {MARGIN} away from {domain.avoid}")


def complex_numbers(shape: tuple[int, ...], domain: Domain, seed: Any = 0, offset: float = 0.0) -> Array:
    """A complex128 array whose real and imaginary parts are each as :func:`numbers` draws them."""
    rng = host.generator(seed)
    return host.array(numbers(shape, domain, rng, offset) + 1j * numbers(shape, domain, rng, offset))


def letters(sample: Sample) -> dict[str, int]:
    """The sizes that a sample leaves open, each with the least it can be: 1 if something indexes below it.

        >>> from dlcore.samples import sample
        >>> letters(sample("n k, #n m"))
        {'n': 1, 'k': 0, 'm': 0}
    """
    least: dict[str, int] = {}
    for kind, sizes, _ in sample.arguments():
        for letter in (*sizes, *([kind[1:]] if kind[:1] == "#" else [])):
            if not letter.isdigit():
                least[letter] = max(least.get(letter, 0), int(letter == kind[1:]))
    return least


def called(subject: Any, sample: Sample, sizes: Mapping[str, int], seed: int) -> Call:
    """The call that a sample, the sizes it leaves open and a seed amount to.

        >>> from dlcore.samples import sample
        >>> call = called(subjects()["matmul"], sample("a b, b c"), {"a": 2, "b": 3, "c": 1}, seed=0)
        >>> call(*call.tensors()).shape, call.floats
        ((2, 1), [0, 1])
    """
    rng = host.generator(seed)
    size_of = {**sizes, **{str(n): n for n in range(10)}}
    args: list[Array] = []
    floats: list[int] = []
    for i, (kind, axes, domain) in enumerate(sample.arguments()):
        shape = tuple(size_of[axis] for axis in axes)
        if kind == "?":
            args.append(host.array(rng.random(shape) < 0.5))
        elif kind[:1] == "#":
            args.append(host.array(rng.integers(0, size_of[kind[1:]], shape)))
        else:
            draw = complex_numbers if kind == "~" else numbers
            args.append(draw(shape, domain, rng, offset=0.07 * i))  # so that no two arguments tie
            floats.append(i)
    params = {k: v(sizes) if callable(v) else v for k, v in sample.params.items()}
    return Call(subject, args, floats, params, sample.names)


def outputs(result: Any) -> list[Any]:
    """What an operation returns, as a list: of one tensor, unless it returns several."""
    return list(result) if isinstance(result, tuple) else [result]
