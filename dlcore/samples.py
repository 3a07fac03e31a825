"""The parts of a declaration: above all how an operation can be called, so that tests can call it.

A :class:`Sample` is written beside the operation it belongs to and leaves sizes open:
``sample("b m k, b k n")`` is a product of two stacks of matrices of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Domain(NamedTuple):
    """Where an operation is differentiable: the values to draw when testing it.

    ``matrix`` means such numbers around 1.5, 3, 4.5, … on the diagonal of the last two axes: with ``low``
    and ``high`` near 0, matrices far from singular, positive definite, with values far apart.
    """

    low: float = -2.0
    high: float = 2.0
    avoid: tuple[float, ...] = ()
    distinct: bool = False
    matrix: bool = False


REAL = Domain()
POSITIVE = Domain(low=0.3, high=3.0)
NONZERO = Domain(avoid=(0.0,))
OPEN_UNIT = Domain(low=-0.9, high=0.9)
PROBABILITY = Domain(low=0.05, high=0.95)
DISTINCT = Domain(distinct=True)
MATRIX = Domain(low=-0.2, high=0.2, matrix=True)


class Sample(NamedTuple):
    """One way to call an operation; see :func:`sample`."""

    shapes: tuple[str, ...]
    domains: tuple[Domain, ...]
    params: Mapping[str, Any]
    names: tuple[str, ...] = ()  # of the last arrays, if these are passed by name

    def arguments(self) -> list[tuple[str, list[str], Domain]]:
        """Per argument its kind, sizes and domain.

        The kind is ``""``, ``"~"`` complex, ``"?"`` boolean, or ``"#n"`` an index below n.
        """
        found = []
        for spec, domain in zip(self.shapes, self.domains, strict=True):
            letters = spec.split()
            kind = letters.pop(0) if letters and letters[0][0] in "~?#" else ""
            found.append((kind, letters, domain))
        return found


def sample(shapes: str, domain: Domain | Sequence[Domain] = REAL, **params: Any) -> Sample:
    """One valid call: shapes of the array arguments, where to draw them, and the parameters.

    A letter is a size for the test to draw, a digit is that size.  A leading ``?`` marks a boolean
    argument, ``~`` a complex one, whose two parts are each of the domain, and ``#n`` one of integers
    from 0 to n - 1, n being a letter or digits.  The last arrays may have names by which they are passed:
    ``"a 4, weight: 4"``.  A parameter given as a function receives the drawn sizes:
    ``shape=lambda s: (s["a"] * s["b"],)``.

        >>> sample("? a b, a b, 1").arguments()[0][:2]
        ('?', ['a', 'b'])
    """
    specs = [spec.rpartition(":") for spec in shapes.split(",")]
    domains = (domain,) * len(specs) if isinstance(domain, Domain) else tuple(domain)
    names = tuple(name.strip() for name, _, _ in specs if name)
    return Sample(tuple(spec.strip() for _, _, spec in specs), domains, params, names)


def also_complex(samples: Sequence[Sample]) -> list[Sample]:
    """``samples``, and each with real arguments once more with complex ones in their place.

        >>> [s.shapes for s in also_complex([sample("a, ? a")])]
        [('a', '? a'), ('~ a', '? a')]
    """
    found = list(samples)
    for s in samples:
        shapes = tuple(spec if spec[:1] in "~?#" and spec else f"~ {spec}" for spec in s.shapes)
        if shapes != s.shapes:
            found.append(s._replace(shapes=shapes))
    return found


def array_arguments(forward: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the arrays that ``forward(xp, x, y, *others, option)`` computes with.

        >>> array_arguments(lambda xp, x, *others, axis: x)
        ('x', 'others')
    """
    code = forward.__code__
    keywords = code.co_argcount + code.co_kwonlyargcount  # a starred name comes after them
    starred = code.co_varnames[keywords:keywords + 1] if code.co_flags & 0x04 else ()
    return (*code.co_varnames[1:code.co_argcount], *starred)


class PerPosition:
    """The rules of a primitive of any number of arguments, made when one is asked for."""

    def __init__(self, rule: Callable[[int], Callable[..., Any]]) -> None:
        self.rule = rule

    def __getitem__(self, position: int) -> Callable[..., Any]:
        return self.rule(position)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return map(self.rule, count())


class Operation(NamedTuple):
    """A composition of primitives that the laws, the ledger and the docs treat like one."""

    name: str
    function: Callable[..., Any]
    samples: Sequence[Sample]

    def __call__(self, *args: Any, **params: Any) -> Any:
        """What the function returns."""
        return self.function(*args, **params)


OPERATIONS: dict[str, Operation] = {}
"""Every declared composition by name."""


def operation(samples: Sequence[Sample]) -> Callable[[F], F]:
    """Declare the decorated public function as an operation; the function itself stays as it is."""
    def declare(function: F) -> F:
        name = function.__name__
        if name in OPERATIONS:
            raise ValueError(f"operation {name!r} is declared twice")
        OPERATIONS[name] = Operation(name, function, samples)
        return function

    return declare
