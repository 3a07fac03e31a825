"""Laws about devices: on each of them, values and both derivatives of everything that is declared are the
CPU's, in the dtype that was asked for, and nothing is copied or waited for on the way.

One of the devices has no float64, so that whatever silently makes one there is an error.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import backends
import dlcore as dl
from dlcore.testing.calls import outputs
from dlcore.testing.strategies import SEEDS, calls
from tests.strategies import SUBJECTS, TRANSFERRING, fewer

NARROW = {"float64": "float32", "complex128": "complex64"}
ALLOWED = {("single", "float32"): 2e-5, ("cuda", "float64"): 1e-10, ("cuda", "float32"): 1e-4}
"""How far a number may be from the CPU's, relative to the largest beside it and to 1.

Both compute in the same dtype, but not in the same order; on a card also by other routines.
"""

device = pytest.mark.parametrize(
    ("backend", "dtype"),
    [("single", "float32"),
     *(pytest.param("cuda", dtype, marks=pytest.mark.cuda) for dtype in ("float64", "float32"))],
    indirect=["backend"],
)


def cotangent(y, rng):
    g = rng.uniform(-1.5, 1.5, y.shape)
    return g + 1j * rng.uniform(-1.5, 1.5, y.shape) if y.dtype.kind == "complex" else g


class Derivatives:
    """A call in one dtype on the selected backend, with all arrays that it needs brought there before."""

    def __init__(self, call, dtype, seed):
        self.call, self.dtype = call, dtype
        self.args = call.tensors(dtype)
        self.at = [self.args[i] for i in call.floats]
        self.f = call.of_floats(self.args)
        rng = np.random.default_rng(seed)
        ys = [y for y in outputs(self.f(*self.at)) if y.dtype.kind in ("float", "complex")]
        self.g, self.v = ([dl.tensor(cotangent(x, rng), dtype=x.dtype) for x in xs] for xs in (ys, self.at))

    def results(self):
        """The values, the gradients for a cotangent, and what a cotangent of those is pulled back to."""
        values = outputs(self.f(*self.at))
        if not self.g or not self.at or not getattr(self.call.subject, "differentiable", True):
            return values
        floats = lambda *xs: [y for y in outputs(self.f(*xs)) if y.dtype.kind in ("float", "complex")]

        def first(*xs):
            return dl.vjp(floats, *xs)[1](self.g)

        gradients, pull = dl.vjp(first, *self.at)
        return [*values, *gradients, *pull(tuple(self.v))]


@pytest.mark.parametrize("name", SUBJECTS)
@device
@fewer(6)
@given(data=st.data())
def test_values_and_both_derivatives_are_those_of_the_cpu_without_a_wait(name, backend, dtype, data):
    call, seed = data.draw(calls(SUBJECTS[name])), data.draw(SEEDS)
    if str(call.params.get("dtype")) in NARROW and backend.name == "single":
        return
    here = Derivatives(call, dtype, seed)
    here.results()  # which may bring constants to the device, once

    with dl.transfer_guard("allow" if name in TRANSFERRING else "disallow"):
        found = here.results()

    with backends.use_backend("cpu"):
        expected = Derivatives(call, dtype, seed).results()
    for x, y in zip(found, expected, strict=True):
        assert (x.dtype, x.shape, x.backend) == (y.dtype, y.shape, backend.name)
        scale = max(1.0, np.abs(y.numpy()).max(initial=0.0)) if y.dtype.kind in ("float", "complex") else 0.0
        assert_allclose(x.numpy(), y.numpy(), rtol=0, atol=ALLOWED[backend.name, dtype] * scale)
