"""The marks that common mistakes leave in a Jacobian, in the order in which they are looked for.

Numbers only: an :class:`Evidence` holds the Jacobian of one argument and one result, as a mode claims it
and as finite differences have it, in nested lists; :func:`diagnose` says what would explain the
difference.  It is a guess, and worded as one; how often it names the right mistake is measured, on
mistakes planted in every rule of dlcore.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import isfinite, prod
from typing import NamedTuple

Shape = tuple[int, ...]
Vector = Sequence[float]
Matrix = Sequence[Vector]

WORDS = {"rev": "reverse mode", "fwd": "forward mode"}


class Diagnosis(NamedTuple):
    """A mistake that would explain what was seen: its kind in a few words, and a sentence."""

    kind: str
    sentence: str


class Evidence(NamedTuple):
    """How one mode treats one argument and one result.

    In reverse mode the matrices are the Jacobian, a row for each element of the result; in forward mode
    its transpose.  So in both a row is what comes back for one unit vector that is put in.  A complex
    number is two elements, its parts, along one more axis of size 2.
    """

    mode: str  # "rev" or "fwd"
    order: int
    given: Shape  # of what is put in: a cotangent of the result, or a tangent of the argument
    found: Shape  # of what comes back
    claimed: Matrix
    numeric: Matrix
    responses: Sequence[Vector] = ()  # what comes back for 0, u, -u and 2 u, with a random u
    kinks: Sequence[Sequence[float]] = ()  # where differences to the left and to the right disagree
    swapped: Sequence[Matrix] = ()  # finite differences with two arguments of equal shape exchanged
    parts: tuple[bool, bool] = (False, False)  # whether what is given and what is found are complex
    rtol: float = 1e-6

    @property
    def words(self) -> str:
        """The mode in words."""
        return WORDS[self.mode]

    @property
    def what(self) -> str:
        """What the mode is given."""
        return "cotangent" if self.mode == "rev" else "tangent"

    @property
    def tolerance(self) -> float:
        """What counts as equal: in proportion to the largest slope."""
        sizes = [abs(n) for row in self.numeric for n in row]
        return self.rtol * max([1e-3, *filter(isfinite, sizes)])

    @property
    def pairs(self) -> Iterator[tuple[float, float]]:
        """Every element as claimed and as found by differences."""
        for left, right in zip(self.claimed, self.numeric, strict=True):
            yield from zip(left, right, strict=True)

    @property
    def error(self) -> float:
        """The largest difference between the two, in proportion to the largest slope."""
        worst = max((abs(c - n) if isfinite(c) else float("inf") for c, n in self.pairs), default=0.0)
        return worst * self.rtol / self.tolerance

    def equals(self, expected: Matrix) -> bool:
        """Whether ``expected`` is what is claimed."""
        return alike(self.claimed, expected, self.tolerance)


def diagnose(e: Evidence) -> Diagnosis:
    """The first mark that is recognised, or kind "unknown".

        >>> diagnose(Evidence("rev", 1, (2,), (2,), [[0.0, 2.0], [4.0, 0.0]], [[0.0, 1.0], [2.0, 0.0]]))[0]
        'constant factor'
    """
    found = (look(e) for look in LOOKS)
    return next(filter(None, found), Diagnosis("unknown", "the mistake has no form that is known here"))


# --- a rule that is not linear, or wrong by the same everywhere --------------------------------------


def not_finite(e: Evidence) -> Diagnosis | None:
    """Nan or infinity."""
    if all(isfinite(c) for c, _ in e.pairs):
        return None
    return Diagnosis("not finite", f"{e.words} has nan or inf where the function is smooth: "
                                   "is something divided by zero?")


def kink(e: Evidence) -> Diagnosis | None:
    """Wrong only where the function itself has no derivative."""
    wrong = [(i, j) for i, row in enumerate(e.claimed) for j, c in enumerate(row)
             if abs(c - e.numeric[i][j]) > e.tolerance]
    if not e.kinks or not wrong or not all(e.kinks[i][j] for i, j in wrong):
        return None
    return Diagnosis("kink", f"{e.words} is wrong only where differences to the left and to the right "
                             "disagree: there is a kink, so check it somewhere else")


def nonlinear(e: Evidence) -> Diagnosis | None:
    """A derivative is linear in what it is given, whatever the function."""
    if not e.responses:
        return None
    nothing, plus, minus, twice = e.responses
    near = e.rtol * max(1e-3, *map(abs, (*nothing, *plus)))

    def same(left: Vector, right: Vector) -> bool:
        return alike([left], [right], near)

    at_zero = same(nothing, [0.0] * len(nothing))
    if at_zero and same(minus, [-p for p in plus]) and same(twice, [2.0 * p for p in plus]):
        return None
    flat = all(abs(n) <= e.tolerance for _, n in e.pairs)
    if not flat and not at_zero and same(plus, minus) and same(plus, twice):
        return Diagnosis("dropped cotangent", f"{e.words} returns the same whatever {e.what} it is given: "
                                              f"was the {e.what} forgotten?")
    if not at_zero:
        most = max(nothing, key=abs)
        return Diagnosis("constant added", f"{e.words} returns {most:.6g} for a {e.what} of zeros, but must "
                                           "return zeros: is something added that should be multiplied?")
    if same(plus, minus):
        return Diagnosis("absolute value", f"{e.words} does not tell a {e.what} from its negative: "
                                           "is an absolute value or a square taken of it?")
    return Diagnosis("not linear", f"{e.words} is not linear in the {e.what}")


def factor(e: Evidence) -> Diagnosis | None:
    """One factor everywhere: 0, -1 or another."""
    if not (size := sum(n * n for _, n in e.pairs)):
        return None
    k = sum(c * n for c, n in e.pairs) / size
    if not alike(e.claimed, [[k * n for n in row] for row in e.numeric], e.tolerance * max(1.0, abs(k))):
        return None
    if abs(k) <= e.rtol and e.order > 1:
        return Diagnosis("detached", f"{e.words} says that the derivative of order {e.order - 1} is constant "
                                     "here: does its rule use what was cut from the history, as by "
                                     "stop_gradient, .numpy() or .data?")
    if abs(k) <= e.rtol:
        return Diagnosis("zero", f"{e.words} is zero everywhere: is the rule missing, or the argument cut "
                                 "from the history?")
    if abs(k + 1.0) <= e.rtol:
        return Diagnosis("sign", f"{e.words} is right but for its sign")
    return Diagnosis("constant factor", f"{e.words} is {k:.6g} times what it should be, everywhere: "
                                        "a constant factor was forgotten, or is too many")


def conjugate(e: Evidence) -> Diagnosis | None:
    """Right but for the sign of the imaginary parts."""
    given, found = e.parts
    if not given and not found:
        return None
    for rows, order in {(given, False), (False, found), (given, found)}:  # whose imaginary parts
        if e.equals([[-n if (rows and i % 2) != (order and j % 2) else n for j, n in enumerate(row)]
                     for i, row in enumerate(e.numeric)]):
            return Diagnosis("conjugate", f"{e.words} is right but for the sign of imaginary parts: is a "
                                          "complex conjugate missing, or one too many?")
    return None


# --- sums that are missing ---------------------------------------------------------------------------


def missing_sum_of_copies(e: Evidence) -> Diagnosis | None:
    """Only one of the copies that broadcasting makes of an argument hands its part back."""
    axes = repeated(e.given, e.found) if e.mode == "rev" else ()
    for some in (axes, *((a,) for a in axes)):
        if some and any(e.equals(_only(e, some, i)) for i in (0, -1)):
            along = f"ax{'e' if len(some) > 1 else 'i'}s {', '.join(map(str, some))}"
            return Diagnosis("missing sum", f"the argument of shape {e.found} is broadcast to {e.given}, and "
                                            f"only one of its copies along {along} counts: sum over them")
    return None


def missing_sum(e: Evidence) -> Diagnosis | None:
    """The same for an axis along which more than one element has an influence."""
    for axis in range(len(e.given)):
        if _mixed(e, axis) and any(e.equals(_only(e, (axis,), i)) for i in (0, -1)):
            of = "result" if e.mode == "rev" else "argument"
            return Diagnosis("missing sum", f"in {e.words} only one index along axis {axis} of the {of} "
                                            "counts: is a sum over that axis missing?")
    return None


def overwritten(e: Evidence) -> Diagnosis | None:
    """Of several contributions to one element only one is there."""
    lost = [(column, right) for column, right in zip(columns(e.claimed), columns(e.numeric), strict=True)
            if not alike([column], [right], e.tolerance)]
    for column, right in lost:
        several = sum(abs(n) > e.tolerance for n in right)
        kept = [i for i, c in enumerate(column) if abs(c) > e.tolerance]
        if several < 2 or len(kept) != 1 or abs(column[kept[0]] - right[kept[0]]) > e.tolerance:
            return None
    if not lost:
        return None
    return Diagnosis("duplicates overwritten", f"in {e.words} an element to which several contribute gets "
                                               "one contribution only: are repeated indices overwritten "
                                               "instead of summed?")


# --- another order -----------------------------------------------------------------------------------


def reordered(e: Evidence) -> Diagnosis | None:
    """The right numbers in the wrong places."""
    for kind, words, order in _orders(e.found):
        if e.equals([[row[i] for i in order] for row in e.numeric]):
            if kind == "missing transpose" and len(e.given) < len(e.found):
                return _wrong_axis(e)
            return Diagnosis(kind, f"what {e.words} returns is right with {words}: {HINTS[kind]}")
    for kind, words, order in _orders(e.given):
        if e.equals([e.numeric[i] for i in order]):
            if kind == "missing transpose" and len(e.given) > len(e.found):
                return _wrong_axis(e)
            return Diagnosis(kind, f"{e.words} is right for a {e.what} with {words}: {HINTS[kind]}")
    return None


def operand(e: Evidence) -> Diagnosis | None:
    """Something that the rule multiplies with is transposed."""
    found = Diagnosis("missing transpose", f"{e.words} is right if what the rule multiplies with is "
                                           f"transposed: {HINTS['missing transpose']}")
    for rows, order in _both_transposed(e):
        if e.equals([[e.numeric[i][j] for j in order] for i in rows]):
            off = (n for i, row in enumerate(e.numeric) for j, n in enumerate(row) if i != j)
            return _wrong_axis(e) if any(abs(n) > e.tolerance for n in off) else found
    for a, b in product(range(len(e.given)), range(len(e.found))):
        if e.given[a] == e.found[b] > 1 and e.equals(_exchanged(e, a, b)):
            return found
    return None


def other_axis(e: Evidence) -> Diagnosis | None:
    """Everything depends on what it would depend on if two axes were exchanged."""
    pattern, right = _pattern(e.claimed, e.tolerance), _pattern(e.numeric, e.tolerance)
    exchanges = [*([[row[j] for j in order] for row in right] for _, _, order in _transposes(e.found)),
                 *([right[i] for i in order] for _, _, order in _transposes(e.given)),
                 *([[right[i][j] for j in order] for i in rows] for rows, order in _both_transposed(e))]
    return _wrong_axis(e) if pattern != right and pattern in exchanges else None


def swapped(e: Evidence) -> Diagnosis | None:
    """Right for the arguments in another order."""
    if not any(map(e.equals, e.swapped)):
        return None
    return Diagnosis("swapped arguments", f"{e.words} is right for the arguments in another order: "
                                          "does the rule take them in theirs?")


def _wrong_axis(e: Evidence) -> Diagnosis:
    return Diagnosis("wrong axis", f"{e.words} is as if two axes were exchanged: does the rule use the wrong "
                                   "axis, or miss that one was left out for lack of keepdims?")


# --- marks that tell where, and not why --------------------------------------------------------------


def some_elements(e: Evidence) -> Diagnosis | None:
    """Some elements are wrong, the others right, and those not only because they are zero."""
    pairs = list(zip(columns(e.claimed), columns(e.numeric), strict=True))
    wrong = [j for j, (c, n) in enumerate(pairs) if not alike([c], [n], e.tolerance)]
    active = [j for j, (c, n) in enumerate(pairs) if any(abs(x) > e.tolerance for x in (*c, *n))]
    if not wrong or len(wrong) >= len(active):
        return None
    places = _places(e.found)
    axes = [a for a in range(len(e.found)) if wrong == [j for j in active if places[j][a] > 0]]
    where = f"at {', '.join(str(places[j]) for j in wrong[:4])}{', ...' * (len(wrong) > 4)}"
    return Diagnosis("some elements", f"{len(wrong)} of {len(active)} elements of what {e.words} returns are "
                     f"wrong: {f'all but index 0 along axis {axes[0]}' if axes else where}")


def wrong_values(e: Evidence) -> Diagnosis | None:
    """Zero exactly where it should be, and wrong elsewhere."""
    if _pattern(e.claimed, e.tolerance) != _pattern(e.numeric, e.tolerance):
        return None
    return Diagnosis("wrong values", f"{e.words} is zero where it should be and wrong elsewhere: is the "
                                     "formula wrong, or evaluated at other values, such as an old array?")


LOOKS: tuple[Callable[[Evidence], Diagnosis | None], ...] = (
    not_finite, kink, nonlinear, factor, conjugate, missing_sum_of_copies, overwritten, reordered, operand,
    swapped, other_axis, missing_sum, some_elements, wrong_values)
"""From what is told by one mark alone to what is left over."""

HINTS = {"missing transpose": "is a transpose missing, or one too many?",
         "shifted": "is an index off by one?", "reversed": "is a flip missing, or one too many?"}


# --- rows, columns and orders ------------------------------------------------------------------------


def alike(left: Matrix, right: Matrix, tolerance: float) -> bool:
    """Whether two matrices are equal up to ``tolerance``; nan equals nothing."""
    return all(abs(x - y) <= tolerance
               for a, b in zip(left, right, strict=True) for x, y in zip(a, b, strict=True))


def columns(matrix: Matrix) -> list[Vector]:
    """The transpose."""
    return list(zip(*matrix, strict=True))


def repeated(given: Shape, found: Shape) -> tuple[int, ...]:
    """The axes along which broadcasting repeats shape ``found`` to ``given``; none if it cannot.

        >>> repeated((2, 3, 4), (3, 1)), repeated((2, 3), (3, 2))
        ((0, 2), ())
    """
    extra = len(given) - len(found)
    if extra < 0 or any(f not in (1, g) for g, f in zip(given[extra:], found, strict=True)):
        return ()
    return tuple(a for a, g in enumerate(given) if g > 1 and (a < extra or found[a - extra] == 1))


def _places(shape: Shape) -> list[Shape]:
    """The indices of all elements, in row-major order."""
    return list(product(*map(range, shape)))


def _pattern(matrix: Matrix, tolerance: float) -> list[list[bool]]:
    return [[abs(x) > tolerance for x in row] for row in matrix]


def _only(e: Evidence, axes: Sequence[int], index: int) -> Matrix:
    """The rows at ``index`` along every one of ``axes``, and zeros elsewhere."""
    return [row if all(place[a] == index % e.given[a] for a in axes) else [0.0] * len(row)
            for place, row in zip(_places(e.given), e.numeric, strict=True)]


def _mixed(e: Evidence, axis: int) -> bool:
    """Whether something depends on more than one index along ``axis`` of what is given."""
    places = _places(e.given)
    return any(len({place[axis] for place, n in zip(places, column, strict=True) if abs(n) > e.tolerance}) > 1
               for column in columns(e.numeric))


def _orders(shape: Shape) -> Iterator[tuple[str, str, list[int]]]:
    """Common mistakes in the order of elements: kind, words, and where each element comes from."""
    yield from _transposes(shape)
    axes = [a for a, n in enumerate(shape) if n > 1]
    for a, by in product(axes, (1, -1)):
        moved = [(*p[:a], (p[a] - by) % shape[a], *p[a + 1:]) for p in _places(shape)]
        yield "shifted", f"elements shifted by one along axis {a}", _numbers(shape, moved)
    size = prod(shape)
    for by in (1, -1):
        yield "shifted", "all elements shifted by one", [(i - by) % size for i in range(size)]
    yield "reversed", "all elements in reverse", list(reversed(range(size)))
    for a in axes:
        turned = [(*p[:a], shape[a] - 1 - p[a], *p[a + 1:]) for p in _places(shape)]
        yield "reversed", f"axis {a} in reverse", _numbers(shape, turned)


def _transposes(shape: Shape) -> Iterator[tuple[str, str, list[int]]]:
    """Every exchange of two axes, the last ones first; if they differ in size, the memory is misread."""
    axes = [a for a in reversed(range(len(shape))) if shape[a] > 1]
    for b, a in ((b, a) for b in axes for a in axes if a < b):
        new = [_with(place, a, b) for place in _places(_with(shape, a, b))]
        yield "missing transpose", f"axes {a} and {b} exchanged", _numbers(shape, new)


def _with(place: Shape, a: int, b: int) -> Shape:
    """``place`` with its entries ``a`` and ``b`` exchanged."""
    return (*place[:a], place[b], *place[a + 1:b], place[a], *place[b + 1:])


def _both_transposed(e: Evidence) -> Iterator[tuple[list[int], list[int]]]:
    """The same exchange of axes in what is given and in what is found."""
    if len(e.given) == len(e.found):
        yield from ((rows, order) for (_, _, rows), (_, _, order) in
                    zip(_transposes(e.given), _transposes(e.found), strict=False))


def _numbers(shape: Shape, places: Sequence[Shape]) -> list[int]:
    """The numbers of ``places`` in row-major order."""
    number = {place: i for i, place in enumerate(_places(shape))}
    return [number[place] for place in places]


def _exchanged(e: Evidence, a: int, b: int) -> Matrix:
    """The differences with axis ``a`` of what is given in the place of axis ``b`` of what is found."""
    rows, order = (dict(zip(_places(s), range(prod(s)), strict=True)) for s in (e.given, e.found))
    return [[e.numeric[rows[*p[:a], q[b], *p[a + 1:]]][order[*q[:b], p[a], *q[b + 1:]]] for q in order]
            for p in rows]
