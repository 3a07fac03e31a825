"""Infinities and nan are results like any other: no operation warns of them, or stops, on any backend."""

import contextlib
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore.testing.calls import outputs
from dlcore.testing.strategies import SEEDS, calls
from tests.strategies import SUBJECTS, fewer

ODD = [np.inf, -np.inf, np.nan, 0.0, -0.0, 1.0, -1.0, 700.0, 1e300, -1e300, 3e38, 1e-320]


def with_odd_numbers(call, seed):
    """The call with floats that are infinite, nan, huge, tiny and zero in place of its own."""
    rng = np.random.default_rng(seed)

    def odd(a):
        found = np.zeros_like(a)
        found.real = rng.choice(ODD, a.shape)
        if a.dtype.kind == "c":
            found.imag = rng.choice(ODD, a.shape)
        return found

    return call._replace(args=[odd(a) if i in call.floats else a for i, a in enumerate(call.args)])


def computed_with_derivatives(call, seed):
    """Run a call forward, backward in both ways, and forwards along a tangent."""
    args = call.tensors(requires_grad=True)
    results = [y for y in outputs(call(*args)) if y.requires_grad]
    rng = np.random.default_rng(seed)
    for y in results:
        g = dl.tensor(rng.choice(ODD, y.shape))
        y.backward(g, retain_graph=True)
        y.backward(g, create_graph=True)
    if results:
        floats = [args[i].detach() for i in call.floats]
        dl.jvp(lambda *xs: [y for y in outputs(call.of_floats(args)(*xs)) if y.dtype == "float64"],
               floats, [dl.tensor(rng.choice(ODD, x.shape)) for x in floats])


@pytest.mark.parametrize("name", SUBJECTS)
@fewer(3)
@given(data=st.data())
def test_infinities_and_nan_warn_nobody_even_where_warnings_are_errors(name, backend, data):
    call, seed = data.draw(calls(SUBJECTS[name])), data.draw(SEEDS)
    assert ("error", None, Warning, None, 0) in warnings.filters  # as pyproject.toml has it

    with contextlib.suppress(ValueError):  # a probability of 700 is refused
        computed_with_derivatives(with_odd_numbers(call, seed), seed)


def test_an_operation_computes_on_where_numpy_is_told_to_raise():
    x = dl.tensor([np.inf, 3e38], requires_grad=True)

    with np.errstate(all="raise"):
        y = x * x - x
        y.backward(dl.tensor([0.0, 3e38]))

    assert np.isnan(y.numpy()[0])
    assert np.isnan(x.grad.numpy()[0])
    assert np.isposinf(x.grad.numpy()[1])


SCRIPT = """
import numpy, dlcore as dl
x = dl.tensor([numpy.inf, 3e38], requires_grad=True)
y = dl.sum(x * 10.0 - x) + x @ dl.tensor([0.0, 1.0])
y.backward()
numpy.float32(3e38) * numpy.float32(10)
"""


def test_warnings_are_kept_from_operations_only_and_not_from_the_users_own_lines():
    ran = subprocess.run([sys.executable, "-W", "default", "-c", SCRIPT], check=True, capture_output=True,
                         text=True)

    assert ran.stderr.count("RuntimeWarning") == 1
    assert "scalar multiply" in ran.stderr
