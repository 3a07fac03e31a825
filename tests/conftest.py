"""Every test that takes ``backend`` runs once per backend; a device that is absent says so itself.

``pytest`` skips the cuda tests on a machine without a device, with the machine's reason.
``pytest -m cuda`` asks for the device, so there its absence is a failure.
"""

import os
import re
import signal
from contextlib import nullcontext

import pytest
from hypothesis import HealthCheck, settings

import backends
from tests.devices import why_no_cuda

# A fixture that selects a backend is the same for every drawn example, so its scope is no mistake.
settings.register_profile(
    "dev",
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
dev = settings.get_profile("dev")
settings.register_profile("ci", parent=dev, max_examples=25, derandomize=True)
settings.register_profile("card", parent=dev, max_examples=2, derandomize=True)
settings.register_profile("nightly", parent=dev, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

os.environ.pop("DLCORE_BACKEND", None)  # a test that names no backend is about the CPU
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a run in the background is begun without

backends.register_backend("strict", "tests.strict_backend", "StrictBackend")
backends.register_backend("single", "tests.strict_backend", "SingleBackend")


@pytest.fixture(params=["cpu", "strict", pytest.param("cuda", marks=pytest.mark.cuda)])
def backend(request):
    """The backend under test, selected for the duration of the test."""
    # Laws want equal bits; test_cuda_scatter looks at the mode that is faster.
    in_order = backends.use_deterministic() if request.param == "cuda" else nullcontext()
    with backends.use_backend(request.param) as chosen, in_order:
        yield chosen
        chosen.synchronize()  # raises what a device has found wrong here, and not in the next test


def asked_for(item, marker):
    """Whether the run was asked for the tests with this marker, as by ``pytest -m cuda``."""
    return re.search(rf"(?<!not )\b{marker}\b", item.config.getoption("markexpr"))


def pytest_collection_modifyitems(items):
    """Mark what compares with PyTorch or JAX as ``peers``, which is what ``nox -s peers`` runs."""
    for item in items:
        if {"torch", "jax"} & {*item.fixturenames, *vars(item.module)}:
            item.add_marker("peers")


def pytest_runtest_setup(item):
    """Skip a cuda test without a device, or fail it if the run was asked for cuda tests."""
    if item.get_closest_marker("cuda") and why_no_cuda():
        if asked_for(item, "cuda"):
            pytest.fail(why_no_cuda(), pytrace=False)
        pytest.skip(why_no_cuda())
    if item.get_closest_marker("cuda_on_cpu") and not asked_for(item, "cuda_on_cpu"):
        pytest.skip("needs CuPy and compilers, and minutes: nox -s cuda-on-cpu")
    if item.get_closest_marker("figures") and not asked_for(item, "figures"):
        pytest.skip("runs an example to its end, which takes long: nox -s examples")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A run that was asked for cuda_on_cpu skips nothing: what is missing there is an error."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and asked_for(item, "cuda_on_cpu"):
        report.outcome = "failed"
    return report
