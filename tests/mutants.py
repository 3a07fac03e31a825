"""Mistakes to plant in derivative rules, and how to tell that a planted mistake changes nothing.

A :class:`Mutant` is one kind of mistake that fits every rule of every primitive: it is told what the
right rule is and what it was called with, and answers wrongly.  Planted in a copy of a primitive it must
be noticed by the same checks as an honest mistake.  Where it changes nothing, as another sign does not
change zero, it is *equivalent*; that is measured, on more and other calls than the checks see, and never
listed by hand.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

import dlcore as dl
from backends import get_backend
from dlcore import core, ops, transforms
from dlcore.core import PRIMITIVES, Primitive, Value
from dlcore.history import announced
from dlcore.samples import PerPosition
from dlcore.tensors import Tensor
from dlcore.testing.calls import Call, called, letters
from dlcore.testing.marks import repeated
from dlcore.transforms import Linearized

MODES = {"vjp": "rev", "jvp": "fwd"}  # the mode that a kind of rule serves
FLOATS = ("", "~")  # the kinds of argument that have derivatives


class Site(NamedTuple):
    """One rule: of which primitive, in which direction, for which argument."""

    name: str
    field: str
    position: int

    def __str__(self) -> str:
        return f"{self.name}.{self.field}[{self.position}]"

    @property
    def primitive(self) -> Primitive:
        """The primitive as it should be."""
        return PRIMITIVES[self.name]

    @property
    def rule(self) -> Callable[..., Any] | None:
        """The rule as it should be."""
        rules: Any = getattr(self.primitive, self.field)
        return rules[self.position] if isinstance(rules, PerPosition) or self.position < len(rules) else None


def sites() -> list[Site]:
    """Every rule in the registry."""
    found = [
        Site(name, field, position)
        for name, p in PRIMITIVES.items() if p.differentiable
        for field in MODES
        for position in sorted({i for s in p.samples for i, a in enumerate(s.arguments()) if a[0] in FLOATS})
    ]
    return [site for site in found if site.rule]


class Use(NamedTuple):
    """One use of a rule: what the rule is, and what it was called with."""

    site: Site
    d: Any
    out: Any
    args: tuple[Any, ...]
    params: dict[str, Any]

    def right(self, **changed: Any) -> Any:
        """What the rule answers; ``changed`` replaces fields of this."""
        site, d, out, args, params = self._replace(**changed)
        return site.rule(d, out, *args, **params)

    @property
    def x(self) -> Any:
        """The argument that the rule is about."""
        return self.args[self.site.position]


class Mutant(NamedTuple):
    """One kind of mistake: how it answers, what a diagnosis should call it, and at which order it shows."""

    name: str
    wrong: Callable[[Use], Any]
    kind: str  # "one or another" if both are apt
    order: int = 1

    def planted(self, site: Site) -> Primitive:
        """A copy of the primitive in which the rule at ``site`` makes this mistake."""
        primitive = site.primitive
        rules = getattr(primitive, site.field)

        def wrong(d: Any, out: Any, *args: Any, **params: Any) -> Any:
            return self.wrong(Use(site, d, out, args, params))

        def rule(position: int) -> Any:
            if position == site.position:
                return wrong
            return rules[position] if isinstance(rules, PerPosition) or position < len(rules) else None

        broken = copy.copy(primitive)
        vars(broken).pop("call", None)  # it is made from the primitive, on its first call
        setattr(broken, site.field, PerPosition(rule))
        return broken


# --- what mutants are made of ------------------------------------------------------------------------


def each(f: Callable[..., Any], *xs: Any) -> Any:
    """``f`` of arrays, or of each of several that come as a tuple; None stays."""
    if isinstance(xs[0], tuple | list):
        return tuple(each(f, *some) for some in zip(*xs, strict=True))
    return None if xs[0] is None else f(*xs)


def floating(x: Any) -> bool:
    return core.dtype_of(x).kind in ("float", "complex")


def answered(f: Callable[[Any], Any]) -> Callable[[Use], Any]:
    """A mistake made in what the rule answers."""
    return lambda use: each(f, use.right())


def asked(f: Callable[[Any], Any]) -> Callable[[Use], Any]:
    """A mistake made in the cotangent or tangent that the rule is given."""
    return lambda use: use.right(d=each(f, use.d))


def with_arguments(f: Callable[[Any], Any]) -> Callable[[Use], Any]:
    """A mistake made in the arrays that the rule reads, arguments and result."""
    def changed(x: Any) -> Any:
        return f(x) if hasattr(x, "shape") and floating(x) else x

    return lambda use: use.right(out=each(changed, use.out), args=tuple(map(changed, use.args)))


def mask(x: Any, keep: Callable[[tuple[int, ...]], Any]) -> Any:
    """Ones and zeros beside ``x``, by the indices of its elements."""
    grid = np.indices(x.shape) if x.shape else np.zeros((0,))
    kept = np.broadcast_to(keep(grid), x.shape).astype(str(core.dtype_of(x)))
    return dl.tensor(kept) if isinstance(x, Value) else kept


def in_memory_order(x: Any) -> Any:
    """The last two axes exchanged, and taken for the original shape."""
    return x if x.ndim < 2 else ops.reshape(ops.matrix_transpose(x), x.shape)


def transposed_if_square(x: Any) -> Any:
    return ops.matrix_transpose(x) if x.ndim > 1 and x.shape[-1] == x.shape[-2] else x


def first_row(x: Any) -> Any:
    return x * mask(x, lambda at: at[0] == 0) if x.ndim else x


def in_single_precision(x: Any) -> Any:
    return core.cast(x, dl.complex64 if core.dtype_of(x).kind == "complex" else dl.float32)


def detached(x: Any) -> Any:
    return x.linked(None) if isinstance(x, Value) else x


# --- mutants that need to know more ------------------------------------------------------------------


def stale(use: Use) -> Any:
    """All arrays are those of before the last step, which changed the arguments by a tenth."""
    args = tuple(x * 0.9 + 0.05 if hasattr(x, "shape") and floating(x) else x for x in use.args)
    return use.right(args=args, out=use.site.primitive.apply(args, use.params))


def swapped(use: Use) -> Any:
    """The first two float arguments of one shape in the other order."""
    alike = [i for i, x in enumerate(use.args) if getattr(x, "shape", None) == use.x.shape and floating(x)]
    if len(alike) < 2:
        return use.right()
    args = list(use.args)
    args[alike[0]], args[alike[1]] = args[alike[1]], args[alike[0]]
    return use.right(args=tuple(args))


def other_axis(use: Use) -> Any:
    """The axis after the right one."""
    n, axis = use.args[0].ndim, use.params.get("axis")
    next_one = (axis + 1) % n if isinstance(axis, int) else axis
    if isinstance(axis, tuple) and len(axis) == 1:
        next_one = ((axis[0] + 1) % n,)
    return use.right(params={**use.params, "axis": next_one}) if axis is not None else use.right()


def not_kept(use: Use) -> Any:
    """As if reduced axes had been kept that were not: what is left meets the last axes, not its own."""
    axis, kept = use.params.get("axis"), use.params.get("keepdims")
    if kept is None or axis is None:
        return use.right()
    if use.site.field == "jvp":
        return use.right(params={**use.params, "keepdims": not kept})
    leading = axis if kept else tuple(range(1 if isinstance(axis, int) else len(axis)))
    return use.right(params={**use.params, "axis": leading})


def one_copy(use: Use) -> Any:
    """Of all copies that broadcasting made of the argument only the first hands back its part."""
    if use.site.field == "jvp" or isinstance(use.d, tuple | list):
        return use.right()
    axes = repeated(use.d.shape, use.x.shape)
    return use.right(d=use.d * mask(use.d, lambda at: np.all([at[a] == 0 for a in axes], axis=0)))


def unfit(use: Use) -> Any:
    """What broadcasting repeated is not summed, or not repeated: the shape is another, the total is right."""
    found = use.right()
    if isinstance(found, tuple | list) or isinstance(use.d, tuple | list):
        return found
    if use.site.field == "jvp":
        axes = repeated(found.shape, use.d.shape)
        index = tuple(slice(0, 1) if a in axes else slice(None) for a in range(found.ndim))
        return ops.getitem(found, index) if axes else found
    axes = repeated(use.d.shape, use.x.shape)
    count = np.prod([use.d.shape[a] for a in axes])
    return ops.broadcast_to(found / float(count), use.d.shape) if axes else found


def overwritten(use: Use) -> Any:
    """Of what is added at one place only the last stays, wherever the rule adds at places."""
    def index_add(shape: Any, index: Any, values: Any) -> Any:
        out = np.zeros(shape, values.dtype)
        out[index] = values
        return out

    def scatter_add(x: Any, axis: int, indices: Any, values: Any) -> Any:
        out = np.array(x)
        out[(*(slice(None),) * (axis % x.ndim), indices)] = values
        return out

    with ExitStack() as patches:
        for member in (index_add, scatter_add):
            xp = announced() or get_backend("cpu")
            patches.enter_context(mock.patch.object(xp, member.__name__, member))
        return use.right()


def near_zero(use: Use) -> Any:
    """Half as much again where the argument is near 0, if it has an element for each of the answer."""
    def wrong(found: Any) -> Any:
        if found.shape != use.x.shape and not repeated(found.shape, use.x.shape):
            return found
        return found * ops.where(ops.abs(use.x) < 0.5, found * 0.0 + 1.5, found * 0.0 + 1.0)

    return each(wrong, use.right())


MUTANTS = [
    Mutant("zero", answered(lambda r: r * 0.0), "zero"),
    Mutant("negated", answered(lambda r: -r), "sign"),
    Mutant("doubled", answered(lambda r: r * 2.0), "constant factor"),
    Mutant("0.1 % too large", answered(lambda r: r * 1.001), "constant factor"),
    Mutant("constant added", answered(lambda r: r + 0.01), "constant added"),
    Mutant("only the first row", answered(first_row), "some elements"),
    Mutant("wrong near zero", near_zero, "some elements"),
    Mutant("transposed", answered(in_memory_order), "missing transpose"),
    Mutant("reversed", answered(ops.flip), "reversed"),
    Mutant("shifted by one", answered(lambda r: ops.roll(r, 1, -1) if r.ndim else r), "shifted"),
    Mutant("in single precision", answered(in_single_precision), "wrong dtype"),
    Mutant("conjugated", answered(ops.conj), "conjugate"),
    Mutant("cotangent dropped", asked(lambda g: g * 0.0 + 1.0), "dropped cotangent"),
    Mutant("cotangent's absolute value", asked(ops.abs), "absolute value"),
    Mutant("cotangent clipped", asked(lambda g: ops.clip(g, -0.3, 0.3)), "not linear"),
    Mutant("operands transposed", with_arguments(transposed_if_square), "missing transpose"),
    Mutant("arguments swapped", swapped, "swapped arguments"),
    Mutant("stale arrays", stale, "wrong values"),
    Mutant("another axis", other_axis, "wrong axis or wrong shape"),
    Mutant("keepdims forgotten", not_kept, "wrong axis or wrong shape"),
    Mutant("one copy of many", one_copy, "missing sum"),
    Mutant("not summed at all", unfit, "missing sum or wrong shape"),
    Mutant("duplicates overwritten", overwritten, "duplicates overwritten"),
    Mutant("arrays detached", with_arguments(detached), "detached", order=2),
    Mutant("answer detached", answered(detached), "detached", order=2),
]
"""Kinds of mistakes: in what a rule answers, in what it is given, in what it reads, in how it sums."""


# --- whether a mutant differs ------------------------------------------------------------------------


def drawn(primitive: Primitive, position: int, sizes: tuple[int, ...], seeds: range) -> Iterator[Call]:
    """Calls in which the argument at ``position`` is a float: for each seed, sizes in turn and one sample."""
    for seed in seeds:
        for sample in primitive.samples:
            names = letters(sample)
            given = {letter: max(sizes[(seed + i * (seed % 2)) % len(sizes)], names[letter])
                     for i, letter in enumerate(names)}
            call = called(primitive, sample, given, seed)
            if position in call.floats:
                yield call


def repeating(call: Call) -> Call:
    """The same call with all indices 0 but for the last: everything meets at one place."""
    return call._replace(
        args=[a * (a == a.flat[-1]) if a.size and a.dtype.kind == "i" else a for a in call.args])


def response(call: Call, site: Site, order: int, seed: int) -> list[np.ndarray]:
    """What one mode, and at order 2 its own derivatives, says of a random cotangent or tangent."""
    mode = MODES[site.field]
    call = alone(call, site.position) if order == 1 else call
    f = call.between_floats(call.tensors())
    xs = [dl.tensor(call.args[i]) for i in call.floats]
    draw = np.random.default_rng(seed)
    at = Linearized("mutants", f, xs)
    given = at.outputs if mode == "rev" else xs
    vectors = [dl.tensor(draw.normal(0.0, 2.0, x.shape)) for x in given]
    if order == 1:
        found = at.pull(vectors) if mode == "rev" else at.push(tuple(vectors))
    else:
        derived = derivative(f, mode, len(xs))
        second = Linearized("mutants", derived, [*xs, *vectors])
        found = second.pull([dl.tensor(draw.standard_normal(x.shape)) for x in second.outputs])
    return [y.numpy() for y in found]


def alone(call: Call, position: int) -> Call:
    """The same call with one argument to differentiate in: the parts of several might hide each other."""
    return call._replace(floats=[position])


def derivative(f: Callable[..., list[Any]], mode: str, n: int) -> Callable[..., list[Any]]:
    """A derivative of a function of ``n`` arguments, as a function of those and of what the mode is given."""
    if mode == "rev":
        return lambda *both: list(dl.vjp(f, *both[:n])[1](list(both[n:])))
    return lambda *both: list(dl.jvp(f, both[:n], both[n:])[1])


@cache
def expected(site: Site, order: int) -> list[tuple[Call, list[np.ndarray]]]:
    """Calls that differ as much as calls can, and the right response to each."""
    calls = list(drawn(site.primitive, site.position, (1, 2, 3), range(6)))
    calls += [repeating(call) for call in calls if any(a.dtype.kind == "i" for a in call.args)]
    return [(call, response(call, site, order, seed)) for seed, call in enumerate(calls)]


@contextmanager
def as_the_rules_give_them() -> Iterator[None]:
    """Lets transforms hand out derivatives without converting them, which would hide a wrong dtype."""
    def value(found: Any, like: Any) -> Any:
        if found is None:
            return ops.zeros_like(like.linked(None))
        return found if isinstance(found, Value) else Tensor(found)

    with mock.patch.object(transforms, "as_value", value):
        yield


def is_equivalent(mutant: Mutant, site: Site) -> bool:
    """Whether the mistake changes nothing, neither numbers nor shapes nor dtypes, in any of many calls."""
    broken = mutant.planted(site)
    for seed, (call, right) in enumerate(expected(site, mutant.order)):
        try:
            found = response(call._replace(subject=broken), site, mutant.order, seed)
        except (TypeError, ValueError, IndexError):  # it has arrays that do not fit
            return False
        if differ(found, right):
            return False
    return True


def differ(found: list[np.ndarray], right: list[np.ndarray]) -> bool:
    """Whether arrays differ by more than rounding, or in shape or dtype."""
    return any(x.shape != y.shape or x.dtype != y.dtype or not np.allclose(x, y, rtol=1e-9, atol=1e-12)
               for x, y in zip(found, right, strict=True))
