"""Optimizers on the file of the CUDA backend, with the stand-in for CuPy: the values of the CPU."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backends
import dlcore as dl
from dlcore import optim
from tests import backend_laws  # noqa: F401  registers the stand-in as "fakecuda"
from tests.fake_cupy import needs_compiler
from tests.optimizing import OPTIMIZERS, drawn, leaves, run

pytestmark = needs_compiler


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_steps_are_those_of_the_cpu(name, options, dtype):
    found = []
    for backend in ("cpu", "fakecuda"):
        with backends.use_backend(backend):
            params = leaves(drawn(0), dtype)
            found.append(run(getattr(optim, name)(params, **options), params, 3)[-1])

    for x, y in zip(*found, strict=True):
        assert_allclose(x, y, rtol=1e-12 if dtype == "float64" else 2e-3)  # a bit of a half


def test_clipping_scaling_and_averaging_are_those_of_the_cpu():
    found = []
    for backend in ("cpu", "fakecuda"):
        with backends.use_backend(backend):
            params = leaves(drawn(1))
            optimizer, scaler = optim.SGD(params, lr=0.1, momentum=0.9), optim.GradScaler(8.0)
            average = optim.EMA(params, decay=0.5)
            for norm in (1.0, 3.0, np.inf):
                optimizer.zero_grad()
                scaler.scale(sum(dl.sum(p * p) for p in params)).backward()
                scaler.unscale(optimizer)
                optim.clip_grad_norm(params, 0.5, norm)
                optim.clip_grad_value(params, 0.4)
                assert scaler.step(optimizer)
                scaler.update()
                average.update()
            with average.applied():
                found.append([p.numpy() for p in params])

    for x, y in zip(*found, strict=True):
        assert_allclose(x, y, rtol=1e-12)


def test_a_state_goes_from_one_device_to_another():
    with backends.use_backend("fakecuda"):
        params = leaves(drawn(0))
        optimizer = optim.Adam(params)
        run(optimizer, params, 2)
    here = leaves([p.numpy() for p in params])
    other = optim.Adam(here)

    other.load_state_dict(optimizer.state_dict())

    for p, q in zip(run(other, here, 2)[-1], run(optimizer, params, 2)[-1], strict=True):
        assert_allclose(p, q, rtol=1e-12)
    for one, theirs in zip(other.state_dict()["state"], optimizer.state_dict()["state"], strict=True):
        assert_array_equal(one["step"], theirs["step"])


def test_minimize_computes_where_the_start_is():
    with backends.use_backend("fakecuda"):
        found = optim.minimize(lambda x: dl.sum((x - 2.0) ** 2), dl.zeros(3, "float64"), "trust-krylov")

    assert found.x.backend == "fakecuda"
    assert_allclose(found.x.numpy(), [2.0] * 3, atol=1e-6)
