"""Sums of products over named axes: einsum, and products that are a matrix product in disguise.

The primitive ``einsum`` knows the plain case only: every operand names each of its axes once, and a
letter has one size everywhere.  What users may write beyond that is brought to it first: an Ellipsis
gets letters, a letter that an operand repeats takes its diagonal, and an axis of size 1 that meets a
longer one is dropped, which is what broadcasting means in a sum of products.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from dlcore.core import Primitive, V, broadcast_to, operation
from dlcore.dispatch import wants_tensors
from dlcore.ops.indexing import getitem_p
from dlcore.ops.products import matmul
from dlcore.ops.shapes import permute_dims, reshape
from dlcore.samples import sample
from dlcore.shaping import Shape, normalized_axis

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"  # the module string takes 0.8 ms to import

# --- the primitive --------------------------------------------------------------------------------


def _terms(subscripts: str) -> tuple[list[str], str]:
    given, out = subscripts.split("->")
    return given.split(","), out


def _sizes(terms: Sequence[str], shapes: Sequence[Shape]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for letter, n in zip(term, shape, strict=True):
            if sizes.setdefault(letter, n) != n:
                raise ValueError(
                    f"axis {letter!r} has size {sizes[letter]} in one operand and {n} in another"
                )
    return sizes


def _einsum_shape(*shapes: Shape, subscripts: str) -> Shape:
    terms, out = _terms(subscripts)
    sizes = _sizes(terms, shapes)
    return tuple(sizes[letter] for letter in out)


def _vjp(i: int) -> Callable[..., V]:
    def rule(g: V, out: V, *xs: V, subscripts: str) -> V:
        """The product of ``g`` with the other operands, over the axes of operand ``i``.

        An axis that only that operand has was summed out, so ``g`` spreads along it.
        """
        terms, result = _terms(subscripts)
        others = [*terms[:i], *terms[i + 1:]]
        known = [letter for letter in terms[i] if any(letter in term for term in (result, *others))]
        product = einsum_p(
            g, *xs[:i], *xs[i + 1 :], subscripts=f"{','.join([result, *others])}->{''.join(known)}"
        )
        spread = tuple(n if letter in known else 1 for letter, n in zip(terms[i], xs[i].shape, strict=True))
        return broadcast_to(reshape(product, spread), xs[i].shape)
    return rule


def _jvp(i: int) -> Callable[..., V]:
    return lambda t, out, *xs, subscripts: einsum_p(*xs[:i], t, *xs[i + 1:], subscripts=subscripts)


einsum_p: Primitive = Primitive(
    "einsum", lambda xp, *xs, subscripts: xp.einsum(subscripts, *xs), _einsum_shape, _vjp, _jvp,
    samples=[sample("a b, b c", subscripts="ij,jk->ik"), sample("a b, a", subscripts="ij,i->"),
             sample("a b, b c, c a", subscripts="ij,jk,ki->i"), sample("a b", subscripts="ij->ji"),
             sample("a b 2", subscripts="ijk->j"), sample(", a", subscripts=",i->i")], reads="xs",
    of_complex=True)

# --- einsum as it is written ----------------------------------------------------------------------


class Parsed(NamedTuple):
    """Letters for every axis of every operand, and of the result."""

    terms: tuple[str, ...]
    out: str


@lru_cache(maxsize=1000)
def parsed(subscripts: str, ranks: tuple[int, ...]) -> Parsed:
    """``subscripts`` with letters for each Ellipsis, and the result written out.

        >>> parsed("...ij,jk", (3, 2))
        Parsed(terms=('Zij', 'jk'), out='Zik')
    """
    text = subscripts.replace(" ", "")
    given, arrow, out = text.partition("->")
    terms = given.split(",")
    if len(terms) != len(ranks):
        raise ValueError(f"einsum: {subscripts!r} names {len(terms)} operands, got {len(ranks)}")
    for term in (*terms, out):
        if term.count("...") > 1 or set(term.replace("...", "")) - set(LETTERS):
            raise ValueError(
                f"einsum: {term!r} in {subscripts!r} must be letters, with at most one ellipsis '...'"
            )
    extra = [rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True)]
    for i, (term, n) in enumerate(zip(terms, extra, strict=True)):
        if n < 0 or (n and "..." not in term):
            raise ValueError(
                f"einsum: {term!r} in {subscripts!r} does not name the {ranks[i]} axes of operand {i}"
            )
    free = [letter for letter in reversed(LETTERS) if letter not in text]
    rest = "".join(
        reversed(free[: max((n for n, term in zip(extra, terms, strict=True) if "..." in term), default=0)])
    )
    if not arrow:
        letters = given.replace(",", "").replace(".", "")
        out = "..." * ("..." in given) + "".join(sorted(a for a in set(letters) if letters.count(a) == 1))
    full = tuple(term.replace("...", rest[len(rest) - n:]) for term, n in zip(terms, extra, strict=True))
    result = out.replace("...", rest)
    if len(set(result)) < len(result):
        raise ValueError(f"einsum: the result {out!r} of {subscripts!r} names an axis twice")
    if unknown := sorted(set(result) - set("".join(full))):
        raise ValueError(f"einsum: the result of {subscripts!r} names {unknown[0]!r}, which no operand has")
    return Parsed(full, result)


def _diagonals(x: V, term: str) -> tuple[V, str]:
    """``x`` with the diagonal of any axes that share a letter, and the letters of what is left."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            first, second = term.index(letter), term.rindex(letter)
            n = x.shape[first]
            if x.shape[second] != n:
                raise ValueError(f"einsum: axes {letter!r} of an operand of shape {x.shape} differ in size")
            rest = [a for a in range(len(term)) if a not in (first, second)]
            moved = permute_dims(x, [*rest, first, second])
            flat = reshape(moved, (*moved.shape[:-2], n * n))
            x = getitem_p(flat, index=(Ellipsis, slice(None, None, n + 1)))
            term = "".join(term[a] for a in rest) + letter
    return x, term


@wants_tensors
def einsum(subscripts: str, *operands: V) -> V:
    """The sum of products that ``subscripts`` describes, as NumPy reads it.

    ``"ij,jk->ik"`` multiplies elements of two matrices that agree in ``j`` and sums over it, for it is
    not in the result.  Without ``->`` the result has the letters that occur once, in alphabetical order.
    A letter twice in one operand takes its diagonal; ``...`` stands for any axes, which broadcast.

    Raises:
        ValueError: the subscripts do not fit the operands, or sizes of one letter differ.

        >>> import dlcore as dl
        >>> x = dl.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> dl.einsum("ii->", x), dl.einsum("ij->ji", x).tolist()
        (tensor(5., float32), [[1.0, 3.0], [2.0, 4.0]])
    """
    if not isinstance(subscripts, str):
        raise TypeError(
            f"einsum: subscripts come first, as in einsum('ij,jk->ik', x, y); got {type(subscripts).__name__}"
        )
    terms, out = parsed(subscripts, tuple(len(x.shape) for x in operands))
    plain = [_diagonals(x, term) for x, term in zip(operands, terms, strict=True)]
    longest: dict[str, int] = {}
    for x, term in plain:
        for letter, n in zip(term, x.shape, strict=True):
            longest[letter] = n if longest.get(letter, 1) == 1 else longest[letter]
    xs, names = [], []
    for x, term in plain:
        kept = [a for a, n in enumerate(x.shape) if n != 1 or longest[term[a]] == 1]
        xs.append(reshape(x, tuple(x.shape[a] for a in kept)))
        names.append("".join(term[a] for a in kept))
    return einsum_p(*xs, subscripts=f"{','.join(names)}->{out}")



# --- products -------------------------------------------------------------------------------------


@operation(
    [
        sample("a b, b c", axes=1),
        sample("a b c, b c", axes=2),
        sample("a b c, c a", axes=((0, 2), (1, 0))),
        sample("a, b", axes=0),
    ]
)
@wants_tensors
def tensordot(x: V, y: V, axes: int | Sequence[Sequence[int]] = 2) -> V:
    """The sum of products of ``x`` and ``y`` over pairs of axes.

    Args:
        x: any shape.
        y: any shape.
        axes: how many of the last axes of ``x`` meet the first of ``y``, or a pair of lists of axes.

        >>> import dlcore as dl
        >>> dl.tensordot(dl.ones((2, 3, 4)), dl.ones((4, 3)), axes=([1, 2], [1, 0])).tolist()
        [12.0, 12.0]
    """
    n, m = len(x.shape), len(y.shape)
    if isinstance(axes, int):
        if not 0 <= axes <= min(n, m):
            raise ValueError(f"tensordot: axes={axes}, but the shapes are {x.shape} and {y.shape}")
        left, right = list(range(n - axes, n)), list(range(axes))
    else:
        left, right = ([normalized_axis(a, k) for a in given] for given, k in zip(axes, (n, m), strict=True))
    joined = [x.shape[a] for a in left]
    if joined != [y.shape[a] for a in right]:
        raise ValueError(
            f"tensordot: axes {left} of shape {x.shape} and {right} of shape {y.shape} differ in size"
        )
    rows, columns = [a for a in range(n) if a not in left], [a for a in range(m) if a not in right]
    inner = math.prod(joined)
    outer_shape = (*(x.shape[a] for a in rows), *(y.shape[a] for a in columns))
    x = reshape(permute_dims(x, [*rows, *left]), (math.prod(x.shape[a] for a in rows), inner))
    y = reshape(permute_dims(y, [*right, *columns]), (inner, math.prod(y.shape[a] for a in columns)))
    return reshape(matmul(x, y), outer_shape)


@operation([sample("a, b")])
@wants_tensors
def outer(x: V, y: V) -> V:
    """Every product of an element of ``x`` with one of ``y``: the matrix ``x[i] * y[j]`` of two vectors.

        >>> import dlcore as dl
        >>> dl.outer(dl.tensor([1, 2]), dl.tensor([3, 4])).tolist()
        [[3, 4], [6, 8]]
    """
    if len(x.shape) != 1 or len(y.shape) != 1:
        raise ValueError(
            f"outer: takes two vectors, got shapes {x.shape} and {y.shape}; see tensordot with axes=0"
        )
    return reshape(x, (-1, 1)) * reshape(y, (1, -1))
