"""Random numbers that are the same on every backend: one seed, one stream.

A :class:`Generator` is a key and a position in the stream of Philox4x64-10, so its state is two
integers, and drawing the words from position a to position b needs nothing before a.  ``integers``,
``uniform``, ``bernoulli`` and ``permutation`` are equal bit for bit on all backends, ``normal`` to
rounding (its logarithm and cosine are each library's own).

Source: Salmon, Moraes, Dror & Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3"; the words
are those of NumPy's bit generator ``Philox(key=seed)``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from operator import index
from threading import Lock
from typing import Any

import backends
from backends import Backend, as_dtype, distributions, get_default_dtype
from dlcore.shaping import checked_sizes
from dlcore.tensors import Tensor

__all__ = ["Generator", "bernoulli", "default_generator", "drawing_from", "integers", "normal",
           "permutation", "seed", "uniform"]

Sizes = int | Sequence[int]


class Generator:
    """A stream of random numbers.

    Args:
        seed: a whole number from 0 to 2**64 - 1; the same seed gives the same numbers everywhere.

        >>> Generator(0).integers(0, 10, 4).tolist() == Generator(0).integers(0, 10, 4).tolist()
        True
    """

    def __init__(self, seed: int = 0) -> None:
        self._lock = Lock()
        self.state = (checked_seed(seed), 0)

    @property
    def state(self) -> tuple[int, int]:
        """The key and how many 64-bit words were drawn; assign it to go back there."""
        return self._key, self._position

    @state.setter
    def state(self, state: tuple[int, int]) -> None:
        try:
            key, position = map(index, state)
        except (TypeError, ValueError):
            key, position = -1, 0
        if not (0 <= key < 2**64 and position >= 0):
            raise ValueError(f"random: a state is a seed from 0 to 2**64 - 1 and a position, got {state!r}")
        with self._lock:
            self._key, self._position = key, position

    def _words(self, xp: Backend, count: int) -> Any:
        """The next ``count`` words, each uniform over 64 bits."""
        source = _stand_in.get() or self if self is default_generator else self
        with source._lock:
            key, start = source._key, source._position
            source._position += count
        if (states := _watched.get()) is not None:
            states.setdefault(self, (key, start))
        return xp.random_words(key, start, count)

    def uniform(self, shape: Sizes = (), low: float = 0.0, high: float = 1.0, dtype: Any = None, *,
                backend: str | None = None) -> Tensor:
        """Numbers in [low, high), as dense as the dtype allows.

        Args:
            shape: of the result.
            low: the smallest number.
            high: greater than ``low``; not drawn itself, but for rounding.
            dtype: a float dtype; the default one if None.
            backend: where the result is made; on the selected backend if None.
        """
        if not low <= high:
            raise ValueError(f"uniform: low must not exceed high, got {low} and {high}")
        xp, shape = _at(backend), checked_sizes("uniform", shape)
        dtype = as_dtype(dtype or get_default_dtype())
        with xp.scope():
            unit = distributions.uniform(xp, self._words(xp, math.prod(shape)), dtype)
            drawn = unit if (low, high) == (0.0, 1.0) else unit * (high - low) + low
        return Tensor(xp.reshape(drawn, shape))

    def normal(self, shape: Sizes = (), mean: float = 0.0, std: float = 1.0, dtype: Any = None, *,
               backend: str | None = None) -> Tensor:
        """Normally distributed numbers; ``std`` is not negative, the rest as :meth:`uniform` has it."""
        if std < 0:
            raise ValueError(f"normal: std must not be negative, got {std}")
        xp, shape = _at(backend), checked_sizes("normal", shape)
        dtype = as_dtype(dtype or get_default_dtype())
        size = math.prod(shape)
        with xp.scope():
            standard = distributions.normal(xp, self._words(xp, size + size % 2), dtype)[:size]
            drawn = standard if (mean, std) == (0.0, 1.0) else standard * std + mean
        return Tensor(xp.reshape(drawn, shape))

    def integers(self, low: int, high: int | None = None, shape: Sizes = (), *,
                 backend: str | None = None) -> Tensor:
        """int64 numbers in [low, high), all equally likely; with one bound in [0, low)."""
        low, high = (0, low) if high is None else (low, high)
        low, high = whole("integers", low), whole("integers", high)
        xp, shape = _at(backend), checked_sizes("integers", shape)
        with xp.scope():
            drawn = distributions.integers(xp, self._words(xp, math.prod(shape)), low, high)
        return Tensor(xp.reshape(drawn, shape))

    def bernoulli(self, p: float = 0.5, shape: Sizes = (), *, backend: str | None = None) -> Tensor:
        """Booleans that are True with probability ``p``."""
        if not 0 <= p <= 1:
            raise ValueError(f"bernoulli: p must be a probability from 0 to 1, got {p}")
        xp, shape = _at(backend), checked_sizes("bernoulli", shape)
        with xp.scope():
            drawn = distributions.bernoulli(xp, self._words(xp, math.prod(shape)), p)
        return Tensor(xp.reshape(drawn, shape))

    def permutation(self, n: int, *, backend: str | None = None) -> Tensor:
        """The int64 numbers from 0 to ``n`` - 1 in random order, all orders equally likely."""
        n, xp = whole("permutation", n), _at(backend)
        if n < 0:
            raise ValueError(f"permutation: n must not be negative, got {n}")
        with xp.scope():
            return Tensor(distributions.permutation(xp, self._words(xp, n)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _at_state, (self.state,)  # a lock is neither copied nor pickled

    def __repr__(self) -> str:
        return f"Generator(seed={self._key}, position={self._position})"


def whole(name: str, n: Any) -> int:
    """``n`` as an int of Python, if it is whole by type."""
    try:
        return index(n)
    except TypeError:
        raise TypeError(f"{name}: needs whole numbers, got {n!r}") from None


def checked_seed(seed: Any) -> int:
    """``seed``, if it is one."""
    if not (hasattr(seed, "__index__") and 0 <= index(seed) < 2**64):
        raise ValueError(f"random: the seed must be a whole number from 0 to 2**64 - 1, got {seed!r}")
    return index(seed)


def _at_state(state: tuple[int, int]) -> Generator:
    generator = Generator()
    generator.state = state
    return generator


States = dict[Generator, tuple[int, int]]
_watched: ContextVar[States | None] = ContextVar("watched", default=None)
_stand_in: ContextVar[Generator | None] = ContextVar("stand_in", default=None)


@contextmanager
def watched() -> Iterator[States]:
    """Yields a dict that tells of every generator drawn from in the ``with`` block where it stood before."""
    states: States = {}
    token = _watched.set(states)
    try:
        yield states
    finally:
        _watched.reset(token)
        if (around := _watched.get()) is not None:
            around.update(states | around)


@contextmanager
def replayed(states: Mapping[Generator, tuple[int, int]]) -> Iterator[None]:
    """Let generators draw in the ``with`` block what they drew from these states, then go on as before."""
    before = {generator: generator.state for generator in states}
    token, stood_in = _watched.set(None), _stand_in.set(None)
    try:
        for generator, state in states.items():
            generator.state = state
        yield
    finally:
        _watched.reset(token)
        _stand_in.reset(stood_in)
        for generator, state in before.items():
            generator.state = state


@contextmanager
def drawing_from(generator: Generator) -> Iterator[Generator]:
    """Let the functions of this module draw from ``generator`` in the ``with`` block, in this thread or task.

    Layers that are given no generator of their own, such as dropout, draw from it too; the default
    generator stays where it is.

        >>> with drawing_from(Generator(3)):
        ...     drawn = integers(0, 10, 4).tolist()
        >>> drawn == Generator(3).integers(0, 10, 4).tolist()
        True
    """
    token = _stand_in.set(generator)
    try:
        yield generator
    finally:
        _stand_in.reset(token)


def _at(backend: str | None) -> Backend:
    return backends.current() if backend is None else backends.get_backend(backend)


default_generator = Generator(0)
"""What the functions of this module draw from."""

uniform = default_generator.uniform
normal = default_generator.normal
integers = default_generator.integers
bernoulli = default_generator.bernoulli
permutation = default_generator.permutation


def seed(n: int) -> None:
    """Start the default generator anew.

        >>> seed(1)
        >>> default_generator.state
        (1, 0)
    """
    default_generator.state = (checked_seed(n), 0)
