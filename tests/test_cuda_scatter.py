"""Additions at repeated places on a card: right in any order, and on request the same bits in every run."""

from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backends
import dlcore as dl

pytestmark = pytest.mark.cuda
RUNS, PLACES, MANY = 8, 5, 1 << 18


@pytest.fixture
def cuda(request):
    """The CUDA backend in the mode of the test."""
    with backends.use_backend("cuda") as chosen, dl.use_deterministic(request.param == "deterministic"):
        yield chosen
        chosen.synchronize()


in_mode = partial(pytest.mark.parametrize, "cuda", indirect=True)


def additions(dtype):
    """Three ways to add at repeated places, as functions of nothing."""
    rng = np.random.default_rng(0)
    rows = dl.tensor(rng.integers(0, PLACES, MANY))
    values = dl.tensor(rng.standard_normal(MANY), dtype=dtype)
    table = dl.tensor(rng.standard_normal((PLACES, 3)), dtype=dtype, requires_grad=True)
    weights = dl.tensor(rng.standard_normal((MANY, 3)), dtype=dtype)

    def embedding():
        table.grad = None
        dl.sum(table[rows] * weights).backward()
        return table.grad

    return {
        "scatter_add": lambda: dl.scatter_add(dl.zeros(PLACES, dtype=dtype), 0, rows, values),
        "at[].add": lambda: dl.zeros(PLACES, dtype=dtype).at[rows].add(values),
        "the gradient of an embedding": embedding,
    }


WAYS = ("scatter_add", "at[].add", "the gradient of an embedding")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("dtype", "allowed"), [("float64", 1e-10), ("float32", 1e-4)])
@in_mode(["in any order", "deterministic"])
def test_additions_are_those_of_the_cpu(cuda, way, dtype, allowed):
    found = additions(dtype)[way]().numpy()

    with backends.use_backend("cpu"):
        expected = additions(dtype)[way]().numpy()
    assert_allclose(found, expected, rtol=0, atol=allowed * np.abs(expected).max())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@in_mode(["deterministic"])
def test_in_deterministic_mode_every_run_gives_the_same_bits(cuda, way, dtype):
    add = additions(dtype)[way]
    first = add().numpy()

    for _ in range(RUNS):
        assert_array_equal(add().numpy(), first)
