"""Laws about derivatives, for everything that is declared: they are right, in both modes and orders,
recorded or not, whatever the history keeps; and the check that says so has teeth."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore import core, history
from dlcore.core import PRIMITIVES, PerPosition
from dlcore.testing import check_grads
from dlcore.testing.calls import called, letters, outputs
from dlcore.testing.strategies import SEEDS, calls
from dlcore.transforms import Linearized
from tests.strategies import SUBJECTS, fewer

FLOATS = ("float", "complex")
SMOOTH = [name for name, s in SUBJECTS.items() if getattr(s, "differentiable", True)]
smooth = pytest.mark.parametrize("name", SMOOTH)


def random_like(xs, rng):
    draw = lambda x: rng.uniform(-1.5, 1.5, x.shape)
    return [dl.tensor(draw(x) + 1j * draw(x) if x.dtype.kind == "complex" else draw(x)) for x in xs]


def linearized(call):
    """The float arguments of a call, and its history between them and its float results."""
    args = call.tensors()
    f = call.of_floats(args)
    return Linearized("law", lambda *xs: [y for y in outputs(f(*xs)) if y.dtype.kind in FLOATS],
                      [args[i] for i in call.floats])


def derivatives(at, seed):
    """Both derivatives of a linearized call, for a cotangent and a direction drawn from ``seed``."""
    rng = np.random.default_rng(seed)
    u, v = random_like(at.outputs, rng), random_like(at.inputs, rng)
    return [x.numpy() for x in (*at.pull(u), *at.push(tuple(v)))]


def assert_equal_bits(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@smooth
@fewer(4)
@given(data=st.data())
def test_both_modes_agree_with_finite_differences_at_both_orders(name, backend, data):
    call = data.draw(calls(SUBJECTS[name]))
    if not call.floats:
        return
    args = call.tensors()

    check_grads(call.of_floats(args), *(args[i] for i in call.floats), seed=data.draw(SEEDS))


@smooth
@fewer(2)
@given(data=st.data())
def test_a_recorded_pass_gives_the_same_bits(name, backend, data):
    call = data.draw(calls(SUBJECTS[name]))
    at, seed = linearized(call), data.draw(SEEDS)

    raw = derivatives(at, seed)
    at.outside = True  # as if a value from outside took part: then passes are recorded
    recorded = derivatives(at, seed)

    assert_equal_bits(recorded, raw)


@smooth
@fewer(2)
@given(data=st.data())
def test_derivatives_do_not_depend_on_what_is_only_described(name, backend, data):
    call, seed = data.draw(calls(SUBJECTS[name])), data.draw(SEEDS)
    expected = derivatives(linearized(call), seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "SMALL", 0)
        patch.setattr(history, "SMALL", 0)
        at = linearized(call)
        found = derivatives(at, seed)
        at.outside = True
        recorded = derivatives(at, seed)

    assert_equal_bits(found, expected)
    assert_equal_bits(recorded, expected)


def poisoned(array, xp):
    """Nan in place of every number; what holds no floats stays."""
    if isinstance(array, tuple):
        return tuple(poisoned(a, xp) for a in array)
    if not hasattr(array, "dtype") or xp.dtype_name(array).kind not in FLOATS:
        return array
    return xp.full_like(array, np.nan)


@smooth
@fewer(2)
@given(data=st.data())
def test_rules_read_nothing_that_they_do_not_declare(name, backend, data):
    call, seed = data.draw(calls(SUBJECTS[name])), data.draw(SEEDS)
    at = linearized(call)
    expected = derivatives(at, seed)

    for node in at.order:
        p = node.primitive
        if p is not None:
            reads = p.reads_args + p.reads_args[-1:] * (len(node.args) - len(p.reads_args))
            node.args = tuple(
                a if read else poisoned(a, node.xp) for a, read in zip(node.args, reads, strict=False)
            )
            node.out = node.out if "out" in p.reads else poisoned(node.out, node.xp)

    assert_equal_bits(derivatives(at, seed), expected)


# --- teeth ----------------------------------------------------------------------------------------


def slightly_wrong(x):
    """A derivative that is 0.1 % too large; of one that is always 0, a little more than that."""
    if isinstance(x, tuple):
        return tuple(None if y is None else slightly_wrong(y) for y in x)
    return x * 1.001 + 1e-3 * (x == 0) if isinstance(x, dl.Tensor) else x * 1.001 + 1e-3 * np.equal(x, 0)


def with_wrong_rule(primitive, field, wrong):
    """A copy of ``primitive`` in which one rule is slightly wrong."""
    rules = getattr(primitive, field)

    def rule(position):
        right = rules[position] if isinstance(rules, PerPosition) or position < len(rules) else None
        return (lambda *a, **k: slightly_wrong(right(*a, **k))) if position == wrong else right

    broken = copy.copy(primitive)
    vars(broken).pop("call", None)  # it is made from the primitive, on its first call
    setattr(broken, field, PerPosition(rule))
    return broken


RULES = [
    (name, field, position)
    for name, p in PRIMITIVES.items()
    if p.differentiable
    for field in ("vjp", "jvp")
    for position in sorted({i for s in p.samples for i, (kind, *_) in enumerate(s.arguments())
                            if kind in {"", "~"}})
]


def check_samples(primitive, position, mode):
    """Check one mode on every sample in which the argument at ``position`` is a float."""
    for seed in range(4):
        for sample in primitive.samples:
            call = called(primitive, sample, dict.fromkeys(letters(sample), 2), seed)
            if position in call.floats:
                f = call.of_floats(call.tensors())
                f.__name__ = primitive.name
                check_grads(f, *(call.args[i] for i in call.floats), order=1, modes=(mode,), seed=seed)


@pytest.mark.parametrize(("name", "field", "position"), RULES)
def test_a_rule_that_is_slightly_wrong_is_noticed(name, field, position):
    broken = with_wrong_rule(PRIMITIVES[name], field, position)
    mode, words = {"vjp": ("rev", "reverse"), "jvp": ("fwd", "forward")}[field]

    with pytest.raises(AssertionError, match=f"{name}: {words} mode, order 1, is wrong"):
        check_samples(broken, position, mode)
