"""The page of subgradients on every backend, and no nan out of a branch that was not taken."""

import doctest
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore.nn import functional as F
from tests.test_docs import FENCE

PAGE = Path(__file__).parent.parent / "docs" / "subgradients.md"
INF = math.inf


def test_every_line_of_the_page_is_true_on_every_backend(backend):
    names, runner = {}, doctest.DocTestRunner(verbose=False)

    for language, code in FENCE.findall(PAGE.read_text("utf-8")):
        assert language == "python"
        if ">>>" in code:
            examples = doctest.DocTestParser().get_doctest(code, names, PAGE.name, None, 0)
            runner.run(examples, clear_globs=False)
            names.update(examples.globs)
        else:
            exec(code, names)  # noqa: S102  our own page

    assert runner.failures == 0
    assert runner.tries > 30


# --- a branch that was not taken -------------------------------------------------------------------

GUARDED = {  # what users of other libraries have lost an evening to: a function, where, its gradient
    "a logarithm where positive": (
        lambda x: dl.where(x > 0, dl.log(x), 0.0), [-1.0, 0.0, 2.0], [0.0, 0.0, 0.5]),
    "a logarithm of the absolute": (
        lambda x: dl.where(x == 0, 0.0, dl.log(dl.abs(x))), [0.0, 2.0], [0.0, 0.5]),
    "a root where positive": (lambda x: dl.where(x > 0, dl.sqrt(x), 0.0), [-1.0, 0.0, 4.0], [0.0, 0.0, 0.25]),
    "a power where positive": (lambda x: dl.where(x > 0, x**0.5, 0.0), [-1.0, 0.0, 4.0], [0.0, 0.0, 0.25]),
    "a reciprocal where not 0": (lambda x: dl.where(x == 0, 0.0, 1 / x), [0.0, 2.0], [0.0, -0.25]),
    "sin(x) / x where not 0": (
        lambda x: dl.where(x == 0, 1.0, dl.sin(x) / x), [0.0, math.pi], [0.0, -1 / math.pi]),
    "(exp(x) - 1) / x where not 0": (
        lambda x: dl.where(x == 0, 1.0, dl.expm1(x) / x), [0.0, 1.0], [0.0, 1.0]),
    "an arc cosine inside": (lambda x: dl.where(x < 1, dl.acos(x), 0.0), [0.0, 1.0, 2.0], [-1.0, 0.0, 0.0]),
    "an inverse hyperbolic tangent inside": (
        lambda x: dl.where(dl.abs(x) < 1, dl.atanh(x), 0.0), [0.5, 1.0, -2.0], [4 / 3, 0.0, 0.0]),
    "x log x where positive": (lambda x: dl.where(x > 0, dl.xlogy(x, x), 0.0), [0.0, 1.0], [0.0, 1.0]),
    "a norm where it is not 0": (
        lambda x: dl.where(dl.sum(x * x) > 0, dl.sqrt(dl.sum(x * x)), 0.0), [0.0, 0.0], [0.0, 0.0]),
    "a row of -inf": (lambda x: dl.logsumexp(dl.where(x > 0, x, -INF)), [-1.0, 0.0], [0.0, 0.0]),
    "masked scores": (lambda x: F.softmax(dl.where(x > 0, x, -INF)) * 2.0, [-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]),
}


@pytest.mark.parametrize(("f", "at", "expected"), GUARDED.values(), ids=GUARDED)
def test_nan_does_not_come_out_of_a_branch_that_was_not_taken(f, at, expected, backend):
    x = dl.tensor(at, dtype="float64")

    gradient = dl.grad(lambda x: f(x).sum())(x)
    pushed = [dl.jvp(lambda x: f(x).sum(), [x], [dl.tensor(e)])[1].item() for e in np.eye(len(at))]
    curvature = dl.hessian(lambda x: f(x).sum())(x)

    assert_allclose(gradient.numpy(), expected, rtol=1e-12, atol=1e-15)
    assert_allclose(pushed, expected, rtol=1e-12, atol=1e-15)
    assert np.isfinite(curvature.numpy()).all()


TIPS = {  # functions of lengths, at the length 0
    "hypot": lambda x: dl.hypot(x[0], x[1]),
    "std": dl.std,
    "the norm of all": dl.linalg.norm,
    "the norm of order 3": lambda x: dl.linalg.vector_norm(x, ord=3),
    "the norm of a matrix": lambda x: dl.linalg.matrix_norm(x[None]),
    "normalize": lambda x: F.normalize(x, axis=0),
    "normalize by the 3-norm": lambda x: F.normalize(x, p=3.0, axis=0) * 1e-12,
    "cosine_similarity": lambda x: F.cosine_similarity(x, x * 0.0, axis=0),
    "cosine_embedding_loss": lambda x: F.cosine_embedding_loss(x, x * 0.0, dl.tensor(1)) * 1e-12,
    "layer_norm": lambda x: F.layer_norm(x, 2),
    "rms_norm": lambda x: F.rms_norm(x, 2),
    "triplet_margin_loss": lambda x: F.triplet_margin_loss(x, x, x),
}


@pytest.mark.parametrize("f", TIPS.values(), ids=TIPS)
def test_a_length_of_zero_has_a_finite_gradient_and_so_has_that(f, backend):
    x, w = dl.zeros(2, dtype="float64"), dl.tensor([0.5, -1.5], dtype="float64")

    first = dl.grad(lambda x: dl.sum(f(x) * w))(x)
    second = dl.hessian(lambda x: dl.sum(f(x) * w))(x)

    assert np.isfinite(first.numpy()).all()
    assert np.isfinite(second.numpy()).all()


def test_what_differs_from_pytorch_is_as_the_page_says(backend):
    zero = dl.tensor(0.0)
    slopes = lambda f, *at: [g.item() for g in dl.grad(f, tuple(range(len(at))))(*map(dl.tensor, at))]

    assert slopes(dl.xlogy, 0.0, 0.0) == [-INF, 0.0]
    assert slopes(lambda y: F.kl_div(zero - 1.0, y), 0.0) == [-INF]
    assert slopes(lambda y: F.binary_cross_entropy(zero, y), 0.0) == [100.0]
    assert_array_equal(F.softmax(dl.tensor([-INF, -INF])).numpy(), [0.0, 0.0])
