"""Laws about derivatives, for everything that is declared: they are right, in both modes and orders,
recorded or not, whatever the history keeps.  That mistakes are noticed is shown in test_mutants.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore import core, history
from dlcore.testing import check_grads
from dlcore.testing.diagnosis import Closeup
from dlcore.testing.strategies import SEEDS, calls
from dlcore.transforms import Linearized
from tests.mutants import as_the_rules_give_them
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
    return Linearized("law", call.between_floats(args), [args[i] for i in call.floats])


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


@smooth
@fewer(3)
@given(data=st.data())
def test_derivatives_have_the_shape_and_dtype_of_what_they_belong_to(name, backend, data):
    call = data.draw(calls(SUBJECTS[name]))
    args = call.tensors(data.draw(st.sampled_from(["float32", "float64"])))

    for position in call.floats:  # one at a time: the parts of several are added, which could hide it
        f = call._replace(floats=[position]).between_floats(args)
        for mode in ("rev", "fwd"):
            with as_the_rules_give_them():
                assert Closeup(f, [args[position]], mode).of_another_kind() is None
