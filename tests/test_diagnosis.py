"""Each kind of mistake is told by its marks, in words that say which; how often is in test_mutants.py."""

import inspect
import re

import numpy as np
import pytest

import dlcore as dl
from dlcore.testing import marks
from dlcore.testing.diagnosis import LIMIT, Closeup, diagnosed
from dlcore.testing.marks import Evidence, diagnose

DRAW = np.random.default_rng(0)
FULL = DRAW.uniform(1.0, 2.0, (3, 3)) * [[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0], [1.0, 1.0, -1.0]]  # no symmetry
DENSE = DRAW.uniform(1.0, 2.0, (9, 3))
EYE = np.diag(DRAW.uniform(1.0, 2.0, 9))  # elementwise on (3, 3)
SHIFT = np.roll(np.eye(9).reshape(9, 3, 3), 1, -1).reshape(9, 9)
TRANSPOSE = np.eye(9).reshape(9, 3, 3).transpose(0, 2, 1).reshape(9, 9)
GATHER = np.eye(3)[[0, 1, 1, 2, 1]]
PARTS = DRAW.uniform(1.0, 2.0, (4, 4))
ELEMENT = np.where(np.arange(9) == 4, 0.0, 1.0)

SPREAD = np.kron(np.eye(3), np.ones((1, 3)))  # a sum over axis 1 of (3, 3), pulled back
OTHER = np.kron(np.ones((1, 3)), np.eye(3))  # the same over axis 0


def evidence(claimed, numeric, given=(3,), found=(3,), **more):
    how = {"mode": "rev", "order": 1, **more}
    return Evidence(given=given, found=found, claimed=np.asarray(claimed).tolist(),
                    numeric=np.asarray(numeric).tolist(), **how)


SQUARE = {"given": (3, 3), "found": (3, 3)}
PULLED = [2.0, 3.0, 4.0]


@pytest.mark.parametrize(("kind", "words", "seen"), [
    ("zero", "is the rule missing", evidence(0 * FULL, FULL)),
    ("zero", "forward mode is zero everywhere", evidence(0 * FULL, FULL, mode="fwd")),
    ("detached", "derivative of order 1 is constant", evidence(0 * FULL, FULL, order=2)),
    ("sign", "but for its sign", evidence(-FULL, FULL)),
    ("constant factor", "reverse mode is 2 times what it should be", evidence(2 * FULL, FULL)),
    ("constant factor", "is 1.001 times", evidence(1.001 * FULL, FULL)),
    ("conjugate", "complex conjugate", evidence(
        PARTS * [1, -1, 1, -1], PARTS, given=(2, 2), found=(2, 2), parts=(True, True))),
    ("not finite", "divided by zero", evidence(FULL * np.nan, FULL)),
    ("kink", "there is a kink", evidence(EYE, EYE * ELEMENT, **SQUARE, kinks=(EYE * (1 - ELEMENT)).tolist())),
    ("missing transpose", "axes 0 and 1 exchanged", evidence(EYE @ TRANSPOSE, EYE, **SQUARE)),
    ("missing transpose", "multiplies with", evidence(TRANSPOSE @ EYE @ TRANSPOSE, EYE, **SQUARE)),
    ("missing transpose", "multiplies with", evidence(FULL.T, FULL)),
    ("missing transpose", "multiplies with",
     evidence(np.kron(np.eye(3), FULL.T), np.kron(np.eye(3), FULL), **SQUARE)),
    ("shifted", "shifted by one along axis 1", evidence(EYE @ SHIFT, EYE, **SQUARE)),
    ("shifted", "for a tangent with elements shifted", evidence(SHIFT @ EYE, EYE, **SQUARE, mode="fwd")),
    ("reversed", "all elements in reverse", evidence(EYE[:, ::-1], EYE, **SQUARE)),
    ("wrong axis", "two axes were exchanged", evidence(OTHER, SPREAD, found=(3, 3))),
    ("swapped arguments", "in another order", evidence(FULL**2, FULL, swapped=[FULL, FULL**2])),
    ("missing sum", r"shape \(2,\) is broadcast to \(3, 2\)",
     evidence(np.eye(6)[:, :2], np.tile(np.eye(2), (3, 1)), given=(3, 2), found=(2,))),
    ("missing sum", "only one index along axis 1 of the result", evidence(
        DENSE * np.tile([[1.0], [0.0], [0.0]], (3, 1)), DENSE, given=(3, 3))),
    ("duplicates overwritten", "instead of summed",
     evidence(GATHER * [[1.0], [0.0], [0.0], [1.0], [1.0]], GATHER, given=(5,))),
    ("some elements", r"1 of 9 elements of what reverse mode returns are wrong: at \(1, 1\)",
     evidence(EYE * ELEMENT, EYE, **SQUARE)),
    ("some elements", "all but index 0 along axis 0", evidence(EYE * (np.arange(9) < 3), EYE, **SQUARE)),
    ("wrong values", "zero where it should be", evidence(EYE**2, EYE, **SQUARE)),
    ("unknown", "no form", evidence(FULL, FULL * (1 - np.eye(3)))),
    ("dropped cotangent", "whatever cotangent", evidence(FULL, FULL, responses=[PULLED] * 4)),
    ("constant added", "returns 5 for a tangent of zeros", evidence(
        FULL, FULL, mode="fwd", responses=[[5.0] * 3, [6.0] * 3, [4.0] * 3, [7.0] * 3])),
    ("absolute value", "from its negative", evidence(
        FULL, FULL, responses=[[0.0] * 3, PULLED, PULLED, [4.0, 6.0, 8.0]])),
    ("not linear", "not linear in the cotangent", evidence(
        FULL, FULL, responses=[[0.0] * 3, PULLED, [-2.0, -3.0, -4.0], [4.0, 6.0, 16.0]])),
])
def test_a_mistake_is_told_by_its_marks(kind, words, seen):
    found = diagnose(seen)

    assert found.kind == kind
    assert re.search(words, found.sentence)


# --- of functions ------------------------------------------------------------------------------------


POINT = dl.tensor(DRAW.uniform(0.5, 1.5, (3, 3)), dtype="float64")


def with_gradient(f, rule):
    """``f`` with another derivative: a mistake."""
    slope = dl.custom_vjp(lambda x: (f(x), x), rule)
    return lambda x: [slope(x)]


def test_what_is_right_has_no_diagnosis():
    for mode in ("rev", "fwd"):
        assert diagnosed(lambda x, y: [x @ y, dl.sin(x)], [POINT, POINT * 2.0], mode) is None


def test_what_is_too_large_has_none_either():
    f = with_gradient(dl.square, lambda x, g: g * x)

    assert diagnosed(f, [dl.ones(LIMIT, dtype="float64")], "rev").kind == "constant factor"
    assert diagnosed(f, [dl.ones(LIMIT + 1, dtype="float64")], "rev") is None


def test_the_argument_and_the_result_that_are_wrong_are_named():
    wrong = with_gradient(dl.square, lambda x, g: -g * 2.0 * x)

    found = diagnosed(lambda x, y: [x * y, x + wrong(y)[0]], [POINT, POINT], "rev")

    assert found == ("sign", "argument 1, result 1: reverse mode is right but for its sign")


def test_a_gradient_that_is_constant_is_seen_at_the_second_order():
    f = with_gradient(dl.square, lambda x, g: g * 2.0 * dl.stop_gradient(x))

    found = diagnosed(lambda x, u: list(dl.vjp(f, x)[1]([u])), [POINT, POINT], "rev", order=2)

    assert found.kind == "detached"
    assert found.sentence.startswith("argument 0: ")


def test_a_kink_is_told_from_a_mistake():
    at = dl.tensor([0.0, 1.0], dtype="float64")

    one_sided = with_gradient(dl.abs, lambda x, g: g * dl.where(x < 0, -1.0, 1.0))
    mistaken = with_gradient(dl.square, lambda x, g: g * 2.0 * (x + 1.0))

    assert diagnosed(one_sided, [at], "rev").kind == "kink"
    assert diagnosed(mistaken, [at], "rev").kind == "unknown"


@pytest.mark.parametrize(("kind", "words", "rule"), [
    ("missing sum", r"shape \(3, 3\), the argument has shape \(3,\): sum over", lambda x, g: g * POINT),
    ("wrong shape", r"shape \(2,\), the argument has shape \(3,\)$", lambda x, g: g[0, :2]),
    ("wrong dtype", "float32, the argument is float64", lambda x, g: dl.sum(g * POINT, 0).astype("float32")),
])
def test_another_shape_or_dtype_is_named(kind, words, rule):
    closeup = Closeup(lambda x: [x * POINT], [POINT[0]], "rev")
    closeup.run = lambda k, vectors: [[rule(POINT[0], g)] for g in vectors]

    found = closeup.of_another_kind()

    assert found.kind == kind
    assert re.search(words, found.sentence)


def test_complex_numbers_are_looked_at_in_parts():
    at = dl.tensor([1.0 + 2.0j, 3.0 - 1.0j], dtype="complex128")
    f = with_gradient(dl.square, lambda x, g: g * 2.0 * x)

    assert diagnosed(f, [at], "rev").kind == "conjugate"
    assert diagnosed(lambda x: [x * x], [at], "fwd") is None


def test_single_precision_is_looked_at_with_longer_steps():
    at = POINT.astype("float32") * 100.0
    half = with_gradient(dl.square, lambda x, g: g * x)

    assert diagnosed(lambda x: [x * x], [at], "rev", rtol=1e-3) is None
    assert diagnosed(half, [at], "rev", rtol=1e-3).kind == "constant factor"


def test_every_kind_of_mistake_has_a_case_here():
    kinds = {kind for kind, *_ in test_a_mistake_is_told_by_its_marks.pytestmark[0].args[1]}

    assert set(re.findall(r'Diagnosis\("([a-z ]+)"', inspect.getsource(marks))) <= kinds
