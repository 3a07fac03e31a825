"""Norms, diagonals and traces are NumPy's; where a norm has a kink, its derivative is 0."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

import dlcore as dl
from dlcore import linalg


def close(found, expected):
    assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12, atol=1e-12)


ORDERS = [None, "fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("keepdims", [True, False])
def test_norms_of_matrices_are_numpys(backend, order, keepdims):
    x = np.random.default_rng(2).standard_normal((2, 3, 4))

    found = linalg.norm(dl.tensor(x), order, (2, 0), keepdims)

    close(found, dl.tensor(np.linalg.norm(x, order, (2, 0), keepdims)))
    if order is not None:
        close(linalg.matrix_norm(dl.tensor(x), ord=order), dl.tensor(np.linalg.matrix_norm(x, ord=order)))


@pytest.mark.parametrize("order", [0, 1, 2, 3, 0.5, 2.5, -1, -2.5, math.inf, -math.inf])
@pytest.mark.parametrize("zero", [True, False])
def test_norms_of_vectors_are_numpys(backend, order, zero):
    x = np.random.default_rng(3).standard_normal((2, 3))
    x[0, 0] *= not zero

    found = linalg.vector_norm(dl.tensor(x), ord=order, axis=1, keepdims=True)

    with np.errstate(divide="ignore"):
        close(found, dl.tensor(np.linalg.norm(x, order, 1, True)))
        close(linalg.norm(dl.tensor(x), order, 1), dl.tensor(np.linalg.norm(x, order, 1)))
        close(linalg.vector_norm(dl.tensor(x), ord=order), dl.tensor(np.linalg.norm(x.ravel(), order)))


def test_a_power_norm_neither_overflows_nor_vanishes(backend):
    x = dl.tensor([3e200, 4e200], dtype="float64")

    assert linalg.vector_norm(x, ord=3).item() == pytest.approx(91 ** (1 / 3) * 1e200)
    assert linalg.vector_norm(1.0 / x, ord=3).item() > 0.0


@pytest.mark.parametrize("offset", range(-4, 5))
def test_diagonals_and_traces_are_numpys(backend, offset):
    x = np.arange(24.0).reshape(2, 3, 4)

    close(linalg.diagonal(dl.tensor(x), offset=offset), dl.tensor(np.linalg.diagonal(x, offset=offset)))
    close(linalg.trace(dl.tensor(x), offset=offset), dl.tensor(np.linalg.trace(x, offset=offset)))


def test_the_2_norm_of_all_elements_is_what_norm_gives_without_an_order(backend):
    assert linalg.norm(dl.ones((2, 2, 4))).item() == 4.0


# --- subgradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [2, 1, 3, 0.5, 1.5, 0, math.inf])
def test_the_gradient_of_a_norm_at_0_is_0_at_both_orders(backend, order):
    f = lambda x: linalg.vector_norm(x, ord=order)
    x = dl.zeros(3, dtype="float64")

    assert dl.grad(f)(x).tolist() == [0.0] * 3
    assert dl.jvp(f, [x], [dl.ones(3, dtype="float64")])[1].item() == 0.0
    assert dl.grad(lambda x: dl.sum(dl.grad(f)(x)))(x).tolist() == [0.0] * 3


@pytest.mark.parametrize("order", ["fro", "nuc", 2, -2, 1])
def test_the_gradient_of_a_matrix_norm_at_0_is_0(backend, order):
    gradient = dl.grad(lambda x: linalg.matrix_norm(x, ord=order))(dl.zeros((3, 2)))

    assert gradient.tolist() == [[0.0, 0.0]] * 3


def test_equal_singular_values_share_the_gradient_of_the_spectral_norm(backend):
    gradient = dl.grad(lambda x: linalg.matrix_norm(x, ord=2))(2.0 * dl.eye(2, dtype="float64"))

    assert_allclose(gradient.numpy(), np.eye(2) / 2, atol=1e-15)
