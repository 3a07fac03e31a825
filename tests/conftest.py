"""Every test that takes ``backend`` runs once per backend; a device that is absent says so itself.

``pytest`` skips the cuda tests on a machine without a device, with the machine's reason.
``pytest -m cuda`` asks for the device, so there its absence is a failure.
"""

import os
import re

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
settings.register_profile("nightly", parent=dev, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

os.environ.pop("DLCORE_BACKEND", None)  # a test that names no backend is about the CPU

backends.register_backend("strict", "tests.strict_backend", "StrictBackend")


@pytest.fixture(params=["cpu", "strict", pytest.param("cuda", marks=pytest.mark.cuda)])
def backend(request):
    """The backend under test, selected for the duration of the test."""
    with backends.use_backend(request.param) as chosen:
        yield chosen


def pytest_runtest_setup(item):
    """Skip a cuda test without a device, or fail it if the run was asked for cuda tests."""
    if item.get_closest_marker("cuda") and why_no_cuda():
        if re.search(r"(?<!not )\bcuda\b", item.config.getoption("markexpr")):
            pytest.fail(why_no_cuda(), pytrace=False)
        pytest.skip(why_no_cuda())
